"""Leaps: many units of a survivor added, dropped or exchanged at once, in a direction of the table.

A move changes one or two units and must promise a gain by itself. On the way from a good small
subgraph to a good one of twice its size, every single step may lose. A leap needs no promise: the
subgraph that it reaches is among the survivors, and moves continue from there.
"""

import numpy as np

from sxq.generators.search.run import SearchRun

NOISE = 1.0  # added to worths, whose mean is 1, so that leaps differ
ADD = 0  # a kind of leap
DROP = 1  # another; the third does both


def leaps(run: SearchRun, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Subgraphs [n, U] that may fall apart, and the candidate number [n] of the survivor each came from.

    One third adds units, one third drops units, one third does both. The number of units is
    log-uniform up to the size of the survivor; at most half of the survivor is dropped.
    """
    survivors = run.archive.survivors()
    rng = run.rng
    origin = rng.integers(len(survivors), size=count)
    bits = survivors.bits[origin]
    directions = run.table.directions(rng.uniform(0, np.pi / 2, count))
    worth = (directions @ run.table.worth.T).astype(np.float32)
    worth += NOISE * rng.random(bits.shape, dtype=np.float32)
    sizes = np.count_nonzero(bits, axis=1)
    kind = rng.integers(3, size=count)
    many = np.exp(rng.uniform(np.log(2), np.log(np.maximum(sizes, 3) + 1))).astype(int)
    touching = np.where(run.field.frontiers(bits), worth, -np.inf)
    added = chosen(touching, np.where(kind != DROP, many, 0))
    inside = np.where(bits, -worth, -np.inf)
    dropped = chosen(inside, np.where(kind != ADD, np.minimum(many, sizes // 2), 0))
    return bits ^ added ^ dropped, survivors.ids[origin]


def chosen(worth: np.ndarray, many: np.ndarray) -> np.ndarray:
    """The `many` [n] units of largest worth [n, U] above minus infinity, as bits [n, U]; all that equal the last."""
    units = worth.shape[1]
    most = min(int(many.max(initial=0)), units)
    if not most:
        return np.zeros(worth.shape, bool)
    best = np.partition(worth, units - most, axis=1)[:, units - most :]
    best.sort(axis=1)
    last = best[np.arange(len(best)), most - np.clip(many, 1, most)]
    last[many == 0] = np.inf
    return (worth >= last[:, None]) & (worth > -np.inf)
