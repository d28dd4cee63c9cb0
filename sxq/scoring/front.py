"""The front: the exact Pareto set of all vectors so far, kept batch by batch.

The smallest of the candidates with equal vectors represents all; at equal size, the one with the
lexicographically smallest bits. Members are in lexicographically descending order of scores, so the
order and the split of batches have no effect.

*Thinning*, for fronts that outgrow their limit: one member per box of the (1 + epsilon) grid. A newcomer to
an occupied box is refused unless it dominates the member there. A refused newcomer is one epsilon step from a
member, and members leave only for newcomers that dominate them, so steps never add up: everything stays
epsilon-dominated.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sxq.scoring.dominance import GRID, dominated, grouped, reach


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


def advance_thinned(front: Front, candidates: Front, epsilon: int) -> Front:
    """A thinned front after more candidates; epsilon in millionths."""
    # sorted, so that the choice does not depend on the order of arrival
    fresh = _join(candidates[:0], _newcomers(front, candidates))
    return _join(front, fresh[_admitted(front, fresh, epsilon)])


def thin(front: Front, epsilon: int) -> Front:
    """The first member of every box."""
    return front[_admitted(front[:0], front, epsilon)]


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


def _admitted(front: Front, fresh: Front, epsilon: int) -> np.ndarray:
    """Positions of the newcomers that enter: the first of each box among those not below its member."""
    members = len(front)
    box = boxes(np.concatenate([front.vectors, fresh.vectors]), epsilon)
    # the member of each box, or zeros
    floor = np.zeros((len(box), front.vectors.shape[1]), dtype=np.int16)
    floor[box[:members]] = front.vectors
    above = np.flatnonzero((fresh.vectors >= floor[box[members:]]).all(axis=1))
    _, first = np.unique(box[members:][above], return_index=True)
    return np.sort(above[first])


def boxes(vectors: np.ndarray, epsilon: int) -> np.ndarray:
    """[n] int64, equal where two vectors share a box."""
    order, opens = grouped(
        np.searchsorted(box_edges(epsilon), vectors, side="right").astype(np.int16)
    )
    box = np.empty(len(vectors), dtype=np.int64)
    box[order] = np.cumsum(opens) - 1
    return box


@lru_cache
def box_edges(epsilon: int) -> np.ndarray:
    """The lower edges of the boxes in every score: a box ends at (1 + epsilon) times its lower edge, exactly."""
    edges = [1]
    while edges[-1] < GRID:
        edges.append(int(reach(np.array(edges[-1]), epsilon)) + 1)
    return np.array(edges, dtype=np.int16)
