"""Leaps: many units of a survivor added, dropped or exchanged at once, along a direction of the edge table.

Moves go one or two units, and each must promise something by itself; from a good small subgraph to a good one of twice
its size every step may lose. A leap asks for no promise: the subgraph it reaches is among the survivors, and moves go
on from there.
"""

import numpy as np

from sxq.generators.search.edge_table import best_of
from sxq.generators.search.run import SearchRun

NOISE = 1.0  # added to worths, whose mean is 1, so that leaps differ
ADD, DROP = 0, 1  # kinds of leaps; the third does both


def leaps(run: SearchRun, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Subgraphs [n, U] that may fall apart, and the candidate number [n] of the survivor each came from.

    A third each add, drop or do both; as many units, log-uniformly, as the survivor has at most, half of them dropped.
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
    """The `many` [n] units of largest worth [n, U], or as many as are above minus infinity: bits [n, U]."""
    bits = np.zeros(worth.shape, bool)
    if most := int(many.max(initial=0)):
        best = best_of(worth, most)
        row, place = np.nonzero((best >= 0) & (np.arange(best.shape[1]) < many[:, None]))
        bits[row, best[row, place]] = True
    return bits
