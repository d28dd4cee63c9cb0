"""The values that a generator and the executor exchange.

A generator is a coroutine: `scored = yield candidates`, or `rise = yield Estimate(...)` for first-order estimates.
It knows its field and a `Context`; it never sees the verifier, the lattice or the store, and those know nothing of
generators.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sxq.graph import Field

NONE = -1  # no parent, or no single unit that was edited
PRUNED = -1  # the number of a candidate that was not verified
OPENING = -1  # the number of the generator that asks for the whole field, before all others
# A parent that is asked for in the same batch: its row 0. The next number down is row 1, and so on.
FIRST = -2


@dataclass(frozen=True, eq=False)
class Candidates:
    """n subgraphs to be verified: connected, non-empty, containing the target."""

    bits: np.ndarray  # [n, U] bool
    # [n] the number of the candidate each was made from, or NONE; FIRST - i is row i of these
    parent: np.ndarray
    edited: np.ndarray  # [n] the unit added or removed, or NONE

    @staticmethod
    def of(
        bits: np.ndarray, parent: int | np.ndarray = NONE, edited: int | np.ndarray = NONE
    ) -> "Candidates":
        """Candidates with one parent or edited unit for all, or one each."""
        full = (
            np.asarray(value, np.int64) if np.ndim(value) else np.full(len(bits), value, np.int64)
            for value in (parent, edited)
        )
        return Candidates(bits, *full)

    @staticmethod
    def join(parts: "Sequence[Candidates]") -> "Candidates":
        """Several batches as one."""
        if len(parts) == 1:
            return parts[0]
        starts = np.cumsum([0, *(len(part.bits) for part in parts[:-1])])
        parents = [
            part.parent - np.where(part.parent <= FIRST, start, 0)
            for part, start in zip(parts, starts)
        ]
        return Candidates(
            np.concatenate([part.bits for part in parts]),
            np.concatenate(parents),
            np.concatenate([part.edited for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class Estimate:
    """A wish for first-order estimates, which the executor computes for many targets at once.

    The answer [n, U] is the rise of the class's log-odds with each unit, while the units `bits` are
    present, and with them the graph beyond the field if `rest`.
    """

    bits: np.ndarray  # [n, U] bool
    rest: bool

    @property
    def of_whole(self) -> bool:
        """Whether it is about the whole graph."""
        return self.rest and len(self.bits) == 1 and bool(self.bits.all())


@dataclass(frozen=True, eq=False, kw_only=True)
class Scored:
    """The answer, row by row in the order yielded. It has refused rows, too, so that a search can continue from them.

    A candidate that cannot enter the front, whatever the model says, is not verified: it is
    *pruned*. Generators get such rows only if the catalog says so of all generators that run.
    """

    ids: np.ndarray  # [n] candidate numbers: equal bits, equal number; PRUNED where not verified
    sizes: np.ndarray  # [n] units; more than were asked for, where candidates must hold others
    scores: np.ndarray  # [n, M] larger is better; upper bounds where pruned
    factual: np.ndarray  # [n] bool
    counterfactual: np.ndarray  # [n] bool
    explanatory: np.ndarray  # [n] bool: factual or counterfactual, and admitted by WHERE
    # [n, 2] probability of the answer on G_s and on G \ G_s (without clauses, of the predicted class); NaN where
    # pruned. A number, of regression, is turned into one: above 1/2 on the side of what the whole graph gives.
    p: np.ndarray

    def rows(self, start: int, stop: int) -> "Scored":
        """Some rows of the answer."""
        return Scored(**{name: values[start:stop] for name, values in vars(self).items()})


@dataclass(frozen=True, eq=False)
class Subject:
    """The model and its prediction, for learned generators and those that follow gradients."""

    model: Any  # sxq.models.borrow.Model: the engine's copy; leave it as it was
    graph: Any  # sxq.graph.Graph the field was cut out of
    probabilities: np.ndarray  # [C] of the classes on the whole graph
    predicted: int  # the class c that the answer on the whole graph speaks for
    learned: Mapping[str, Any]  # attributors by name: sxq.models.refine.Pretrained
    question: Any = None  # sxq.scoring.question.Question; None: why c is predicted


@dataclass(frozen=True, eq=False, kw_only=True)
class Context:
    """What a generator may know besides the field."""

    full: np.ndarray  # [M] scores of the whole field
    empty: np.ndarray  # [M] scores of the empty set, were it a candidate
    full_id: int  # candidate number of the whole field, verified before the generator starts
    allowance: int  # distinct candidates this generator may expect to have verified
    rows: int  # most candidates to yield at once, so that their bits stay small
    rng: np.random.Generator  # seeded by (SEED, target, generator)
    p_full: float  # probability of the class on G, which the whole field alone keeps
    p_empty: float  # probability of the class without any candidate unit
    # (sizes [n], p [n, 2]) -> scores [n, M], below the resolution too; NaN for measures that depend on more
    predict: Callable[[np.ndarray, np.ndarray], np.ndarray]
    measures: tuple[str, ...] = ()  # [M] names of the objectives, the columns of scores
    included: int = (
        0  # units that every candidate holds besides those of the field; they count in sizes
    )
    # takes a size: every candidate of at most so many units of the field has been verified
    proved: Callable[[int], None] = lambda size: None
    subject: Subject  # for generators that look into the model


# It gets a `Scored` for `Candidates`, and an array for an `Estimate`.
# It returns whether it left nothing out for lack of allowance; None: its spending tells.
# (As a type: Any, which lets a search end without a return statement.)
Search = Generator[Candidates | Estimate, Any, Any]
Proposals = Generator[
    Candidates, Scored, Any
]  # a search, or part of one, that asks for no estimates


def gradient(field: Field) -> Generator[Estimate, np.ndarray, np.ndarray]:
    """Ask for the first-order drop [U] of the class's log-odds when a unit is removed from the whole graph."""
    found = yield Estimate(np.ones((1, field.num_units), bool), rest=True)
    return found[0]


def lockstep(searches: Sequence[Proposals]) -> Proposals:
    """Several searches as one: their requests of a round are one batch; each gets its answers."""
    waiting: list[tuple[Proposals, Any]] = [(search, None) for search in searches]  # None starts it
    whole = True
    while True:
        asked = []
        for search, answer in waiting:
            try:
                asked.append((search, search.send(answer)))
            except StopIteration as end:
                whole &= end.value is not False
        if not asked:
            return whole
        scored = yield Candidates.join([candidates for _, candidates in asked])
        ends = np.cumsum([len(candidates.bits) for _, candidates in asked])
        waiting = [
            (search, scored.rows(end - len(candidates.bits), end))
            for (search, candidates), end in zip(asked, ends)
        ]


def judge(context: Context, objective: str) -> Callable[[np.ndarray], np.ndarray]:
    """The function by which a search values scores [..., M] -> [...]: one measure, or the mean."""
    if objective not in context.measures:
        return mean_score
    column = context.measures.index(objective)
    return lambda scores: np.nan_to_num(scores[..., column])


def mean_score(scores: np.ndarray) -> np.ndarray:
    """The mean over measures [..., M] -> [...], the paper's quality of a state; NaN counts as 0."""
    return np.nan_to_num(scores).mean(axis=-1)
