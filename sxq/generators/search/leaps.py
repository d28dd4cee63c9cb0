"""Leaps: many units of a survivor added, dropped or exchanged at once, along a direction of the edge table.

Moves go one or two units, and each must promise something by itself; from a good small subgraph to a good one of twice
its size every step may lose. A leap asks for no promise: whatever it meets there is among the survivors, and moves go
on from it.
"""

import numpy as np

from sxq.generators.search.memory import Memory, best_of

NOISE = 1.0  # added to worths, whose mean is 1, so that leaps differ


def leaps(memory: Memory, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Subgraphs [n, U] that may fall apart, and the candidate number [n] of the survivor each came from.

    A third each add, drop or do both; as many units, log-uniformly, as the survivor has at most, half of them dropped.
    """
    survivors, rng = memory.archive.survivors(), memory.rng
    origin = rng.integers(len(survivors), size=count)
    bits = survivors.bits[origin]
    worth = (memory.directions(rng.uniform(0, np.pi / 2, count)) @ memory.worth.T).astype(
        np.float32
    )
    worth += NOISE * rng.random(bits.shape, dtype=np.float32)
    sizes, kind = np.count_nonzero(bits, axis=1), rng.integers(3, size=count)
    many = np.exp(rng.uniform(np.log(2), np.log(np.maximum(sizes, 3) + 1))).astype(int)
    added = _best(
        np.where(memory.field.frontiers(bits), worth, -np.inf), np.where(kind != 1, many, 0)
    )
    dropped = _best(
        np.where(bits, -worth, -np.inf), np.where(kind != 0, np.minimum(many, sizes // 2), 0)
    )
    return bits ^ added ^ dropped, survivors.ids[origin]


def _best(worth: np.ndarray, many: np.ndarray) -> np.ndarray:
    """Which units [n, U] are the `many` [n] of largest worth [n, U], or as many as are above minus infinity."""
    chosen = np.zeros(worth.shape, bool)
    if most := int(many.max(initial=0)):
        best = best_of(worth, most)
        row, place = np.nonzero((best >= 0) & (np.arange(best.shape[1]) < many[:, None]))
        chosen[row, best[row, place]] = True
    return chosen
