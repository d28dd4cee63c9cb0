"""The turns of a target's generators: they ask for candidates, wait for answers, and end.

Generators are coroutines. In every round, all that have not ended ask for candidates, and they are
answered together; those that ask for first-order estimates get them first. The opening is a generator
too: it asks for the whole field, whose scores the others start from.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import numpy as np

from sxq.errors import ModelError
from sxq.execution.target.load import Job, Loaded
from sxq.execution.target.search import Round, SearchState
from sxq.generators.catalog import GENERATORS, load
from sxq.generators.protocol import (
    NONE,
    OPENING,
    PRUNED,
    Candidates,
    Context,
    Estimate,
    Scored,
    Search,
    Subject,
)
from sxq.graph import Field
from sxq.inference.edge_gradients import EdgeGradients, GradientRequest
from sxq.models.blame import guarded
from sxq.models.wrappers import unwrapped
from sxq.planning.nodes import Generate

PATIENCE = 64  # requests answered from memory in a row, before other targets have their turn
BITS_MEMORY = 64 * 2**20  # bytes of candidates' bits a generator may yield at once


def _units(field: Field, edges: np.ndarray) -> np.ndarray:
    """The units of some edges, by their numbers in the graph."""
    found = field.unit[np.isin(field.edges, edges)]
    return np.unique(found[found >= 0])


def _turn(search: Search, answer: Any) -> Candidates | Estimate | StopIteration:
    """What a generator asks for, given its last answer (None starts it), or its end."""
    try:
        return search.send(answer)
    except StopIteration as end:
        return end.with_traceback(None)  # it holds the frames that called, and they hold the target


class GeneratorTurns:
    """The generators of one target, by number; the opening has the number OPENING."""

    def __init__(self, job: Job, loaded: Loaded, state: SearchState):
        generate = job.plan.find(Generate)
        self._generators = generate.generators
        self._share = (generate.budget - 1) // len(generate.generators)
        self._subject = Subject(
            model=job.model,
            graph=loaded.graph,
            probabilities=loaded.probabilities,
            predicted=loaded.question.favoured,
            learned=job.learned,
            question=loaded.question,
        )
        self._kind = type(unwrapped(job.model.module)).__name__
        self.gradients: EdgeGradients | None = None  # made on first use
        self._state = state
        self._loaded = loaded
        self._restriction = loaded.restriction
        self._members = job.members.get(loaded.ordinal)
        self._waiting: dict[int, Search] = {}  # those that have not ended
        if loaded.field.num_units:
            self._waiting[OPENING] = self._opening()
        self._asked: dict[int, Candidates | Estimate] = {}  # what each asks for in this turn
        self._answers: dict[int, Any] = {}  # the answer that each gets next
        self._heard: dict[int, list[np.ndarray]] = {}  # candidate numbers that each was answered
        self._complete = True  # no generator that ended left anything out for lack of budget

    @property
    def over(self) -> bool:
        """Whether every generator has ended."""
        return not self._waiting

    @property
    def endless(self) -> bool:
        """Whether every generator that has not ended goes on to its budget; none lists a field completely."""
        seen = self._restriction.field if self._restriction else self._loaded.field
        if OPENING in self._waiting or 2**seen.num_units - 2 <= self._share:
            return False
        return all(GENERATORS[self._generators[number][0]].endless for number in self._waiting)

    @property
    def exhausted(self) -> bool:
        """Whether every generator has ended and left nothing out for lack of budget."""
        return self.over and self._complete

    def ask(self) -> list[GradientRequest] | tuple[Candidates, np.ndarray] | None:
        """The candidates that generators ask for, and the owner [n] of each; None if all have ended.

        If some need estimates before, these; after `estimated` the next call goes on with the turn.
        """
        while silent := [number for number in self._waiting if number not in self._asked]:
            for number in silent:  # the opening may make room for others
                self._take_turn(number)
        if wanted := self._wanted():
            return [self._of_gradients(estimate) for estimate, _ in wanted]
        if not self._asked:
            return None
        proposed = [(n, asked) for n, asked in self._asked.items() if isinstance(asked, Candidates)]
        proposed.sort(key=itemgetter(0))
        self._asked = {}
        owner = np.repeat([n for n, _ in proposed], [len(own.bits) for _, own in proposed])
        return self._widened(Candidates.join([own for _, own in proposed])), owner

    def estimated(self, found: Sequence[np.ndarray]) -> None:
        """Give the generators the estimates [n, U] that `ask` returned requests for, in that order."""
        for (_, numbers), values in zip(self._wanted(), found):
            for number in numbers:
                self._answers[number] = self._seen(values)
                del self._asked[number]

    def _take_turn(self, number: int) -> None:
        """Let a generator ask for something, or end."""
        with self._blaming(number):
            found = _turn(self._waiting[number], self._answers.get(number))
        if isinstance(found, StopIteration):
            del self._waiting[number]
            self._complete &= self._has_left(number) if found.value is None else found.value
        else:
            self._asked[number] = found

    def _wanted(self) -> list[tuple[Estimate, list[int]]]:
        """The estimates that generators ask for, and who does; those at the whole graph are the same for all."""
        wanted: dict[int, tuple[Estimate, list[int]]] = {}
        for number, asked in self._asked.items():
            if isinstance(asked, Estimate):
                key = OPENING if asked.of_whole else number
                wanted.setdefault(key, (asked, []))[1].append(number)
        return list(wanted.values())

    def _of_gradients(self, estimate: Estimate) -> GradientRequest:
        """The request for estimates; units that generators do not see are where all candidates have them."""
        if self.gradients is None:
            self.gradients = self._loaded.gradients()
        bits = estimate.bits
        if self._restriction:
            bits = self._restriction.filled(bits, not estimate.rest)
        return GradientRequest(self.gradients, bits, estimate.rest)

    def _seen(self, values: np.ndarray) -> np.ndarray:
        """Values [n, U] of the units that generators see."""
        return values[:, self._restriction.units] if self._restriction else values

    def answer(self, asked: Round) -> None:
        """Give each generator the outcome for the candidates that it asked for."""
        for number in self._waiting:
            mine = asked.owner == number
            self._answers[number] = self._state.scored(asked, mine)
            self._heard.setdefault(number, []).append(asked.numbers[mine])

    def close(self) -> None:
        """Drop the generators and their answers: their frames hold the field and this object."""
        self._waiting.clear()
        self._asked.clear()
        self._answers.clear()
        self._heard.clear()
        self.gradients = None

    @contextmanager
    def _blaming(self, number: int) -> Iterator[None]:
        """Within, an exception of a generator becomes a ModelError that names it."""
        if (
            number == OPENING
        ):  # its own errors are sxq's; those of the model are told apart elsewhere
            yield
            return
        generator = self._generators[number][0]
        name = f"BY {generator}"
        other = "random" if generator == "search" else "search"
        remedy = f"the model or its layers do not suit this generator; choose another, such as BY {other}"
        with guarded(f"{name} on the model {self._kind}", remedy):
            try:
                yield
            except ModelError as error:
                if name not in str(error):
                    error.args = (f"{name}: {error}",)
                raise

    def _has_left(self, number: int) -> bool:
        """Whether a generator that ended had some of its share left."""
        heard = np.unique(np.concatenate(self._heard.pop(number, [np.zeros(0, int)])))
        return number == OPENING or bool(np.count_nonzero(heard != PRUNED) < self._share)

    def _widened(self, candidates: Candidates) -> Candidates:
        """Proposals on the field that generators see, as candidates."""
        if not (restriction := self._restriction):
            return candidates
        # the last place is that of NONE
        unit = np.append(restriction.units, NONE)[candidates.edited]
        return Candidates(restriction.widened(candidates.bits), candidates.parent, unit)

    def _opening(self) -> Search:
        """Ask for the whole field, then start the other generators with its scores.

        Where candidates must hold some units, also ask for these alone.
        """
        restriction = self._restriction
        field = restriction.field if restriction else self._loaded.field
        units = field.num_units
        ends = np.ones((1 + bool(self._included), units), bool)
        ends[1:] = False
        if restriction or self._loaded.kind == "graph":  # which may fall into parts
            ends = field.component(ends)
        scored = yield Candidates.of(ends)
        self._state.prove(self._included)
        if self._members is not None:
            return (yield from self._measuring(field, self._members))
        if not units:
            return None
        p_empty, p_full, empty = self._without_any(scored)
        predict = self._state.predict
        prove = self._state.prove
        for number, (name, options) in enumerate(self._generators):
            context = Context(
                full=scored.scores[0],
                empty=empty,
                full_id=int(scored.ids[0]),
                allowance=self._share,
                rows=max(1, BITS_MEMORY // units),
                rng=np.random.default_rng([*self._loaded.seed, zlib.crc32(name.encode())]),
                p_full=p_full,
                p_empty=p_empty,
                predict=lambda sizes, p: predict(sizes + self._included, p),
                measures=self._state.names[: self._state.objectives],
                included=self._included,
                proved=lambda size: prove(size + self._included),
                subject=self._subject,
            )
            search = load(name)(field, context, **dict(options))
            self._waiting[number] = search

    def _measuring(self, field: Field, members: Sequence[np.ndarray]) -> Search:
        """Ask for known explanations, and for nothing else."""
        bits = np.stack([np.isin(np.arange(field.num_units), _units(field, m)) for m in members])
        yield Candidates.of(bits)
        return False  # no generator came to its end

    @property
    def _included(self) -> int:
        """The number of units that every candidate holds."""
        return self._restriction.size if self._restriction else 0

    def _without_any(self, scored: Scored) -> tuple[float, float, np.ndarray]:
        """p on G_s and on G \\ G_s, and the scores [M], where no unit is chosen: of the second row, if there is one."""
        if len(scored.ids) > 1:
            alone, removed = scored.p[1].tolist()
            return alone, removed, scored.scores[1]
        loaded = self._loaded
        _, scores = self._state.measure(
            np.zeros((1, loaded.field.num_units), bool),
            np.array([loaded.p_empty]),
            np.array([loaded.p_full]),
        )
        ends = np.array([loaded.p_full, loaded.p_empty])
        p_full, p_empty = loaded.question.as_share(ends).tolist()
        return p_empty, p_full, scores[0, : self._state.objectives]
