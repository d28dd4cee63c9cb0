"""The front: the exact Pareto set of all vectors so far, kept batch by batch.

The smallest of the candidates with equal vectors represents all; at equal size, the one with the
lexicographically smallest bits. Members are in lexicographically descending order of scores, so the
order and the split of batches have no effect.

*Thinning*, for fronts that outgrow their limit: one member per box of a grid. A newcomer to an occupied box
is refused unless it dominates the member there. In every score the box of what was refused is at most that of
some member, and stays so, because members leave only for newcomers that dominate them. So everything is
within one box of a member, however often members change.

The first grid has boxes of the factor 1 + epsilon. As long as a front is too large even so, the factor is squared,
in one score after another: a coarser grid is made of whole boxes, so what is said above still holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sxq.scoring.dominance import GRID, MILLION, dominated, grouped, reach

SLACK = 0.02  # enough for the edges of scores from 0.01 on
Grid = Sequence[np.ndarray]  # by score: the lower edges of its boxes, ascending from 1


@dataclass(frozen=True, eq=False)
class Front:
    """F members in order, one per distinct vector; also a batch that is about to be merged."""

    vectors: np.ndarray  # [F, M] int16, the grid of dominance.py
    ids: np.ndarray  # [F] int64, the caller's
    sizes: np.ndarray  # [F] units
    bits: np.ndarray  # [F] bytes: packed bits of the candidate; bytes compare as the bits do

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: np.ndarray | slice) -> "Front":
        return Front(self.vectors[rows], self.ids[rows], self.sizes[rows], self.bits[rows])


def empty(num_scores: int) -> Front:
    nothing = np.zeros(0, dtype=np.int64)
    return Front(
        np.zeros((0, num_scores), dtype=np.int16), nothing, nothing, np.zeros(0, dtype="S1")
    )


def batch(vectors: np.ndarray, ids: np.ndarray, sizes: np.ndarray, packed: np.ndarray) -> Front:
    """n candidates with packed bits [n, W] uint8; a byte string of fixed width sorts as its bytes do."""
    width = packed.shape[1]
    return Front(
        vectors,
        np.array(ids, dtype=np.int64),
        np.array(sizes, dtype=np.int64),
        np.ascontiguousarray(packed, dtype=np.uint8).view(f"S{width}").reshape(-1),
    )


def advance(front: Front, candidates: Front) -> Front:
    """The front of both."""
    return _join(front, _newcomers(front, candidates))


def advance_thinned(front: Front, candidates: Front, grid: Grid) -> Front:
    """A thinned front after more candidates."""
    # most are below the member of their box, which is seen without a look at the whole front
    hopeful = candidates[_above(front, candidates, grid)]
    # sorted, so that the choice does not depend on the order of arrival
    fresh = _join(candidates[:0], _newcomers(front, hopeful))
    return _join(front, fresh[_firsts_of_boxes(fresh, grid)])


def thin(front: Front, grid: Grid) -> Front:
    """The first member of every box."""
    return front[_firsts_of_boxes(front, grid)]


def _newcomers(front: Front, candidates: Front) -> Front:
    """Candidates that nothing dominates; those that equal a member stay, because they may be smaller."""
    fresh = candidates[~dominated(candidates.vectors, front.vectors)]
    return fresh[~dominated(fresh.vectors, fresh.vectors)]


def _join(front: Front, fresh: Front) -> Front:
    """Members that no newcomer dominates, and the newcomers: in order, one per distinct vector."""
    if not len(fresh):
        return front
    kept = front[~dominated(front.vectors, fresh.vectors)]
    both = Front(
        *(
            np.concatenate([getattr(part, name) for part in (kept, fresh)])
            for name in ("vectors", "ids", "sizes", "bits")
        )
    )
    return both[_firsts(both)]


def _firsts(both: Front) -> np.ndarray:
    """Positions of the smallest candidate of each vector, in descending order of vectors.

    Most vectors are there once, so bytes of bits are compared only where they are not.
    """
    order = np.lexsort(-both.vectors.T[::-1])
    ordered = both.vectors[order]
    opens = np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)]
    if opens.all():
        return order
    run = np.cumsum(opens)  # equal where vectors are
    order = order[np.lexsort((both.bits[order], both.sizes[order], run))]
    return order[opens]


def _above(front: Front, candidates: Front, grid: Grid) -> np.ndarray:
    """[n] bool: the candidates whose box has no member, or one that is larger in no score."""
    members = len(front)
    box = boxes(np.concatenate([front.vectors, candidates.vectors]), grid)
    # the member of each box, or zeros
    floor = np.zeros((box.max(initial=0) + 1, len(grid)), dtype=np.int16)
    floor[box[:members]] = front.vectors
    return (candidates.vectors >= floor[box[members:]]).all(axis=1)


def _firsts_of_boxes(fresh: Front, grid: Grid) -> np.ndarray:
    """Positions, ascending, of the first of each box."""
    _, first = np.unique(boxes(fresh.vectors, grid), return_index=True)
    return np.sort(first)


def boxes(vectors: np.ndarray, grid: Grid) -> np.ndarray:
    """[n] int64, equal where two vectors share a box, and less than n."""
    columns = [np.searchsorted(edges, own, side="right") for own, edges in zip(vectors.T, grid)]
    order, opens = grouped(np.stack(columns, axis=1))
    box = np.empty(len(vectors), dtype=np.int64)
    box[order] = np.cumsum(opens) - 1
    return box


@lru_cache
def coarse_grid(epsilon: int, num_scores: int, coarseness: int) -> Grid:
    """The grid after the factor was squared `coarseness` times, each time in the next score; epsilon in millionths."""
    rounds, more = divmod(coarseness, num_scores)
    return [box_edges(epsilon, rounds + (score < more)) for score in range(num_scores)]


def epsilon_of(grid: Grid) -> float:
    """The smallest epsilon, in whole millionths, whose step crosses every box."""
    widest = 0
    for edges in grid:
        low = edges.astype(np.int64)
        high = np.append(low[1:] - 1, GRID)
        widest = max(widest, int((-(-(high - low) * MILLION // low)).max()))  # rounded up
    return widest / MILLION


@lru_cache
def box_edges(epsilon: int, squared: int = 0) -> np.ndarray:
    """The lower edges of the boxes of one score, whose factor is 1 + epsilon, squared so many times.

    A box ends where its lower edge reaches, exactly; one of a squared factor where a finer box ends.
    As edges are whole numbers, two finer boxes are a little more than the squared factor: SLACK leaves them room.
    """
    finer = box_edges(epsilon, squared - 1) if squared else np.arange(1, GRID + 1, dtype=np.int16)
    step = epsilon
    for _ in range(squared):
        factor = (1 + step / MILLION) ** 2 * (1 + SLACK)
        step = round(min(factor - 1, GRID) * MILLION)
    beyond = np.append(finer[1:], GRID + 1)
    edges = [1]
    while (low := edges[-1]) <= GRID:
        ends = np.searchsorted(beyond, int(reach(np.array(low), step)) + 1, side="right")
        edges.append(int(beyond[ends - 1]))
    return np.array(edges[:-1], dtype=np.int16)
