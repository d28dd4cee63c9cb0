"""The lattice (the paper's updater): the explanatory candidates that one target's verification has found so far.

It keeps the score vectors of all explanatory candidates in order of arrival and, incrementally, their front.
B(s) and the answer are computed on demand: for progress, on a stop, at the end; this changes
nothing. Larger is better in every column; the lattice knows neither measures nor graphs.

The state is one frozen value, replaced in one assignment: a KeyboardInterrupt between any two bytecodes
leaves the lattice as it was before `add` or as it is after.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sxq.scoring import cover as covers
from sxq.scoring import front as fronts
from sxq.scoring import selection
from sxq.scoring.cover import Cover
from sxq.scoring.dominance import (
    GRID,
    dominated,
    epsilon_dominates,
    epsilon_needed,
    millionths,
    records,
    to_grid,
)
from sxq.scoring.front import Front
from sxq.scoring.hypervolume import hypervolume
from sxq.scoring.optimum import optimum


@dataclass(frozen=True, kw_only=True)
class Answer:
    """At most k members of the front, and their coverage of everything examined."""

    members: tuple[int, ...]  # ids in rank order
    member_dominance: tuple[int, ...]  # by member: explanatory candidates that it epsilon-dominates
    dominance: int  # DS: explanatory candidates that the members epsilon-dominate together
    coverage: float | None  # DS / explanatory; None where nothing is explanatory
    epsilon_achieved: float | None  # smallest (up to 1e-6) at which the answer covers everything
    hypervolume: float  # of the members' scores, above 0
    front: int  # size of the front it was chosen from
    thinned: float | None = (
        None  # the epsilon of the grid that front has one member per box of; None: exact
    )
    sampled: int = (
        1  # the members were chosen by one distinct score vector in so many; coverage is exact
    )
    proven: bool = False  # by exact search: no k members of that front cover more


@dataclass(frozen=True, eq=False)
class _State:
    """Everything that `add` changes."""

    front: Front
    arrived: tuple[
        tuple[np.ndarray, np.ndarray], ...
    ] = ()  # by batch: ids [n], grid vectors [n, M]
    explanatory: int = 0
    coarseness: int | None = (
        None  # of the grid (front.py) that the front is thinned by; None: exact
    )

    def everything(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids [n] and grid vectors [n, M] of all candidates, in order of arrival."""
        batches = [(self.front.ids[:0], self.front.vectors[:0]), *self.arrived]
        ids, vectors = map(np.concatenate, zip(*batches))
        return ids, vectors

    def shown(self, ids: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """The ids [n], each replaced by that of the front's member of equal vector, if there is one."""
        front = {vector.tobytes(): id_ for vector, id_ in zip(self.front.vectors, self.front.ids)}
        shown = [front.get(vector.tobytes(), id_) for vector, id_ in zip(vectors, ids)]
        return np.array(shown, dtype=np.int64)


class Lattice:
    """Explanatory candidates of one target, compared by `num_scores` scores under `epsilon` >= 0."""

    def __init__(self, num_scores: int, epsilon: float, front_limit: int = 4096):
        self.num_scores = num_scores
        self.epsilon = epsilon
        self.front_limit = front_limit
        self._epsilon = millionths(epsilon)
        self._state = _State(fronts.empty(num_scores))
        self._cover = (0, covers.empty(num_scores))  # batches counted so far, their cover

    def add(self, ids: np.ndarray, scores: np.ndarray, sizes: np.ndarray, bits: np.ndarray) -> None:
        """Explanatory candidates: ids [n], scores [n, M] in (0, 1] without NaN, sizes [n], bits [n, W] uint8.

        Bits are packed (`np.packbits` of the candidate's row of units); W is the same in every batch.
        """
        if not len(ids):
            return
        state = self._state
        candidates = fronts.batch(to_grid(scores), ids, sizes, bits)
        arrived = (*state.arrived, (candidates.ids, candidates.vectors))
        front, coarseness = self._advance(state, candidates)
        # one assignment: everything changes, or nothing
        self._state = _State(front, arrived, state.explanatory + len(candidates), coarseness)

    def _advance(self, state: _State, candidates: Front) -> tuple[Front, int | None]:
        """The front after more candidates, and its coarseness."""
        coarseness = state.coarseness
        if coarseness is None:
            front = fronts.advance(state.front, candidates)
        else:
            front = fronts.advance_thinned(state.front, candidates, self._grid(coarseness))
        while len(front) > self.front_limit and self._epsilon:
            coarseness = 0 if coarseness is None else coarseness + 1
            front = fronts.thin(front, self._grid(coarseness))
        return front, coarseness

    def _grid(self, coarseness: int) -> fronts.Grid:
        return fronts.coarse_grid(self._epsilon, self.num_scores, coarseness)

    @property
    def explanatory(self) -> int:
        """How many candidates were added."""
        return self._state.explanatory

    @property
    def front(self) -> np.ndarray:
        """[F] int64 ids of the front, lexicographically descending by scores."""
        return self._state.front.ids

    @property
    def front_scores(self) -> np.ndarray:
        """[F, M] float64 scores of the front, in its order."""
        return self._state.front.vectors / GRID

    @property
    def thinned(self) -> float | None:
        """The epsilon at which the front, which outgrew its limit, still covers everything; None while it is exact."""
        return self._thinned(self._state)

    def _thinned(self, state: _State) -> float | None:
        if state.coarseness is None:
            return None
        return fronts.epsilon_of(self._grid(state.coarseness))

    def newcomers(self, since: int) -> np.ndarray:
        """[n, M] grid vectors of the front's members whose ids are `since` or larger."""
        front = self._state.front
        return front.vectors[front.ids >= since]

    def dominates(self, scores: np.ndarray) -> np.ndarray:
        """[n] bool: which of the scores [n, M] some member of the front dominates."""
        front = self._state.front.vectors
        vectors = to_grid(scores)
        if not len(front) or not len(vectors) or (front.max(axis=0) < vectors.min(axis=0)).any():
            return np.zeros(
                len(vectors), bool
            )  # nearly always: no member is perfect in a score that is free
        return dominated(vectors, front)

    def dominated(self) -> Cover:
        """B(s) of every front member in the front's order, up to date, and their weights."""
        return self._look(self._state)

    def _look(self, state: _State) -> Cover:
        seen, cover = self._cover
        if seen < len(state.arrived):
            fresh = np.concatenate([vectors for _, vectors in state.arrived[seen:]])
            cover = covers.extend(cover, fresh, state.front.vectors, self._epsilon)
            self._cover = len(state.arrived), cover
        return cover

    def answer(self, k: int, rule: str = "coverage") -> Answer:
        """At most k members, by `coverage`, by the paper's streaming `swap` (selection.py), or by exact search for the
        `optimum` of coverage (optimum.py)."""
        assert k >= 1 and rule in ("coverage", "swap", "optimum"), f"k is {k}, rule is {rule!r}"
        state = self._state
        cover = self._look(state)
        if rule == "swap":
            return self._report(state, cover, *self._swap(state, k))
        if rule == "optimum":
            chosen, proven = optimum(cover, k)
            proven = proven and cover.step == 1
        else:
            chosen = selection.coverage(cover, k)
            proven = False
        rows = np.array(chosen, dtype=np.intp)
        answer = self._report(state, cover, state.front.ids[rows], state.front.vectors[rows])
        return replace(answer, proven=proven)

    def skyline_arrivals(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids [r] and grid vectors [r, M] of the arrivals that no earlier one equals or dominates, in order."""
        ids, vectors = self._state.everything()
        new = records(vectors)
        return ids[new], vectors[new]

    def answer_of(self, members: Sequence[int] | np.ndarray, exactly: bool = False) -> Answer:
        """The answer of these candidates, ids in rank order; for equal vectors, the front's, unless `exactly`."""
        state = self._state
        ids, vectors = state.everything()
        order = np.argsort(ids)
        rows = order[np.searchsorted(ids, np.asarray(members, dtype=np.int64), sorter=order)]
        shown = ids[rows] if exactly else state.shown(ids[rows], vectors[rows])
        return self._report(state, self._look(state), shown, vectors[rows])

    def _swap(self, state: _State, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and vectors of the swap rule's members."""
        ids, vectors = state.everything()
        chosen = selection.swap(vectors, self._epsilon, k)
        return state.shown(ids[chosen], vectors[chosen]), vectors[chosen]

    def _report(
        self, state: _State, cover: Cover, members: np.ndarray, vectors: np.ndarray
    ) -> Answer:
        """The answer of these members: ids [k], grid vectors [k, M]."""
        covered = epsilon_dominates(vectors, cover.vectors, self._epsilon)
        dominance = int(cover.counts[covered.any(axis=0)].sum())
        # A member that reaches a vector reaches all below it, so the exact front is enough to
        # check.
        thinned = self._thinned(state)
        everything = state.front.vectors if thinned is None else cover.vectors
        return Answer(
            members=tuple(members.tolist()),
            member_dominance=tuple((covered @ cover.counts).tolist()),
            dominance=dominance,
            coverage=dominance / state.explanatory if state.explanatory else None,
            epsilon_achieved=epsilon_needed(vectors, everything) if state.explanatory else None,
            hypervolume=hypervolume(vectors / GRID),
            front=len(state.front),
            thinned=thinned,
            sampled=cover.step,
        )
