"""The definitions of dominance between score vectors.

a is *dominated* by b if no score of a is larger and one is smaller.
a is *epsilon-dominated* by b if every score of a is <= (1 + epsilon) * b's and at least one is <= b's;
so b epsilon-dominates itself and everything that it dominates.

Scores are multiples of 1e-4, so vectors here are whole numbers 1 .. 10,000 ([n, M] int16, the *grid*), and
epsilon counts in whole millionths: (1 + epsilon) * b is decided exactly, never by the last bit of a float.
All comparisons are [b, n] tables built column by column, in slices of bounded memory.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

GRID = 10_000  # grid steps in the score 1
MILLION = 1_000_000
CELLS = 1 << 19  # entries of one comparison table: it stays in the cache


def to_grid(scores: np.ndarray) -> np.ndarray:
    """Scores [n, M] in (0, 1] as grid vectors [n, M] int16."""
    steps = np.rint(np.asarray(scores, dtype=np.float64) * GRID)
    assert ((steps >= 1) & (steps <= GRID)).all(), "scores must be in [1e-4, 1] and not NaN"
    return steps.astype(np.int16)


def millionths(epsilon: float) -> int:
    """Epsilon in whole millionths, capped where every score reaches every other."""
    assert epsilon >= 0, f"epsilon is {epsilon}"
    return round(min(epsilon, GRID) * MILLION)


def reach(vectors: np.ndarray, epsilon: int) -> np.ndarray:
    """The largest grid vectors <= (1 + epsilon) * vectors; epsilon in millionths."""
    grown = vectors.astype(np.int64) * (MILLION + epsilon) // MILLION
    return np.minimum(grown, GRID).astype(np.int16)


def at_least(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """[b, n]: no value of lower [n, M] is larger than that of upper [b, M]."""
    return _in_all(np.greater_equal, upper, lower)


def dominated(vectors: np.ndarray, by: np.ndarray) -> np.ndarray:
    """[n] bool: which of the vectors [n, M] some row of `by` [b, M] dominates."""
    mask = np.zeros(len(vectors), dtype=bool)
    for rows in slices(len(vectors), len(by)):
        table = at_least(by, vectors[rows])
        if vectors.dtype.kind == by.dtype.kind == "i":
            # no value is smaller, so one is larger where the sum is: exact for whole numbers
            table &= by.sum(axis=1, dtype=np.int64)[:, None] > vectors[rows].sum(
                axis=1, dtype=np.int64
            )
        else:
            table &= ~_in_all(np.less_equal, by, vectors[rows])
        mask[rows] = table.any(axis=0)
    return mask


def reached(vectors: np.ndarray, by: np.ndarray) -> np.ndarray:
    """[n] bool: which of the vectors [n, M] some row of `by` [b, M] equals or dominates."""
    parts = (at_least(by, vectors[rows]).any(axis=0) for rows in slices(len(vectors), len(by)))
    return np.concatenate([np.zeros(0, dtype=bool), *parts])


def epsilon_dominates(by: np.ndarray, vectors: np.ndarray, epsilon: int) -> np.ndarray:
    """[b, n] bool: which grid vectors [n, M] each row of `by` [b, M] epsilon-dominates; in millionths."""
    table = at_least(reach(by, epsilon), vectors)
    table &= ~_in_all(np.less, by, vectors)  # at least one score of the vector is <= that of `by`
    return table


def _in_all(compare: np.ufunc, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[b, n]: the comparison of left [b, M] with right [n, M] holds in every column."""
    table = np.ones((len(left), len(right)), dtype=bool)
    column = np.empty_like(table)
    for one, other in zip(np.ascontiguousarray(left.T), np.ascontiguousarray(right.T)):
        table &= compare(one[:, None], other, out=column)
    return table


def epsilon_needed(by: np.ndarray, vectors: np.ndarray) -> float:
    """The smallest epsilon at which the rows of `by` [b, M] epsilon-dominate all vectors [n, M].

    In whole millionths, rounded up; infinite if a vector is above every row of `by` in every score.
    """
    by = by.astype(np.int64)
    worst = 0.0
    for rows in slices(len(vectors), 1, CELLS // 32):
        some = vectors[rows].T.astype(np.int64, order="C")
        least = np.full(some.shape[1], np.inf)
        for row in by:
            excess = some - row[:, None]
            needed = (-(-excess * MILLION // row[:, None])).max(axis=0)  # -(-a // b) rounds up
            above = (excess > 0).all(axis=0)
            least = np.minimum(least, np.where(above, np.inf, np.maximum(needed, 0)))
        worst = max(worst, float(least.max()))
    return worst / MILLION


def records(vectors: np.ndarray) -> np.ndarray:
    """Positions, ascending, of the vectors that no earlier one equals or dominates.

    Comparing with records is enough: whatever another vector dominates, an earlier record dominates
    too.
    """
    kept = np.zeros(0, dtype=np.intp)
    for start in range(0, len(vectors), 256):
        fresh = np.arange(start, min(start + 256, len(vectors)))
        fresh = fresh[~reached(vectors[fresh], vectors[kept])]
        among = np.triu(at_least(vectors[fresh], vectors[fresh]), 1)  # [earlier, later]
        kept = np.concatenate([kept, fresh[~among.any(axis=0)]])
    return kept


def leaders(points: np.ndarray) -> np.ndarray:
    """Positions, ascending, of points [n, M] that no other dominates; the first of equals."""
    kept = np.zeros(0, dtype=np.intp)
    for start in range(0, len(points), 256):
        fresh = np.arange(start, min(start + 256, len(points)))
        fresh = fresh[~reached(points[fresh], points[kept])]
        among = at_least(points[fresh], points[fresh])
        # neither a point itself nor later equal ones count
        fresh = fresh[~(among & ~np.tril(among.T)).any(axis=0)]
        kept = np.concatenate([kept[~reached(points[kept], points[fresh])], fresh])
    return kept


def ranked(points: np.ndarray, most: int) -> np.ndarray:
    """Positions of the first `most` of distinct points [n, M] by non-dominated rank.

    The last rank may be cut: its last points stay. Takes a table of n by n, so a few thousand
    points.
    """
    above = at_least(points, points)
    np.fill_diagonal(above, False)
    left = np.arange(len(points))
    kept = []
    while len(left) and most > 0:
        beaten: Any = above[left].any(axis=0)
        beaten = beaten[left]
        kept.append(left[~beaten][-most:])
        left = left[beaten]
        most -= len(kept[-1])
    return np.concatenate([left[:0], *kept])


def frontier(points: np.ndarray) -> np.ndarray:
    """[f, M] the distinct points that no other dominates, lexicographically descending. Any numbers."""
    order, opens = grouped(points)
    descending = points[order[opens]][::-1]  # so dominators come first
    return descending[records(descending)]


def pareto(points: np.ndarray) -> np.ndarray:
    """[n] bool: the points [n, M] that no other dominates; equal ones stand or fall together."""
    return ~dominated(points, frontier(points))


def grouped(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order [n] that sorts the vectors, equal ones by position; [n] bool, where in it a new one begins."""
    order = np.lexsort(vectors.T[::-1])
    opens = np.ones(len(vectors), dtype=bool)
    opens[1:] = (vectors[order[1:]] != vectors[order[:-1]]).any(axis=1)
    return order, opens


def slices(n: int, width: int, cells: int = CELLS) -> Iterator[slice]:
    """Slices of n rows such that a table of `width` columns stays bounded."""
    step = max(1, cells // max(width, 1))
    return (slice(start, start + step) for start in range(0, n, step))
