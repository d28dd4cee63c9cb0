"""The search for one target. The executor drives many of these at once.

In reading order:

    restricting.py   INCLUDE, EXCLUDE and ANYWHERE, as units of the field
    load.py          `Loaded`: the field, on the device, and the model's output on both ends
    memory_bound.py  how much of a field can be searched within the memory
    pruning.py       which candidates are not verified
    search.py        `SearchState`: all candidates so far, measured and ranked
    turns.py         `GeneratorTurns`: the generators, which ask in turn and get their answers
    shapes.py        the nodes and embeddings of candidates, for DivSX
    found.py         `Found`: the result, from which the answer is chosen and the report is made

`Target` joins them: `ask` returns candidates to verify, `tell` takes their verdict, `close` returns
the result. Before it has candidates, `ask` may return requests for estimates; `estimated` takes them.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sxq.execution.target.found import Found
from sxq.execution.target.load import Job, Loaded, load
from sxq.execution.target.memory_bound import expected
from sxq.execution.target.restricting import scope
from sxq.execution.target.search import Round, SearchState
from sxq.execution.target.shapes import shape
from sxq.execution.target.turns import PATIENCE, GeneratorTurns
from sxq.execution.verifier import TIE, Request, Verdict
from sxq.graph.bits import unpack
from sxq.inference.edge_gradients import GradientRequest
from sxq.inference.memory_usage import memory_usage
from sxq.planning.nodes import Choose, Generate
from sxq.scoring import diversify
from sxq.scoring.growth import Growth

__all__ = ["Found", "Job", "Loaded", "Target"]

# Because of caches, a field ends up holding this many times the memory that it holds just after
# loading; measured on FacebookPage.
GROWS = 3


class Target:
    """The search for one target's skyline."""

    def __init__(self, job: Job, ordinal: int):
        self.job = job
        self.ordinal = ordinal
        self.started = time.perf_counter()
        self.loaded = load(job, ordinal)
        self.state = SearchState(job, self.loaded)
        self.turns = GeneratorTurns(job, self.loaded, self.state)
        self.bytes = GROWS * self._held()  # memory that it takes, measured less and less often
        self.expected = expected(self.loaded.field.num_units, self.state.budget)
        self._told = 0
        self._round: Round | None = None  # the last request
        self._cut = False  # the budget ended within a round: generators are not asked again
        self._choice = job.plan.find(Choose)
        self._first = False  # DivSX has its first k members
        self._patience = job.plan.find(Generate).patience
        self._growth = Growth(self.state.objectives)
        self._rests = False  # the front has not grown for as long as patience allows

    @property
    def over(self) -> bool:
        """Whether the search has ended: all generators have, the budget is spent, or the front rests."""
        return self._cut or self._first or self._rests or self.turns.over

    @property
    def share_done(self) -> float:
        """The share of the budget that is spent."""
        return self.state.table.count / self.state.budget

    def ask(self) -> Request | list[GradientRequest] | None:
        """New candidates from every generator that has not ended; None if there are none.

        If generators need estimates first, it returns requests for these: once `estimated` has the answers, ask again.

        A repeated candidate is answered from the candidate table, at no cost. If generators only
        repeat themselves, this returns after PATIENCE answers, so that the run can be stopped;
        `over` tells whether they have ended.
        """
        for _ in range(PATIENCE):
            asked = None if self._cut else self.turns.ask()
            if asked is None or isinstance(asked, list):
                return asked
            looked_up = self.state.look_up(*asked)
            self._round = looked_up
            self._cut = looked_up.cut
            if len(looked_up.new):
                return self._request(looked_up)
            self._answer(looked_up)
        return None

    def estimated(self, found: Sequence[np.ndarray]) -> None:
        """Pass on the estimates [n, U] last asked for, one array for each request."""
        self.turns.estimated(found)

    def tell(self, verdict: Verdict) -> None:
        """Record the verdict on the candidates last asked for, and answer the generators.

        A run that was stopped has verified only the first of them; the generators are then not answered.
        """
        asked = self._round
        assert asked is not None, "a verdict follows a request"
        before = self.state.table.count
        if (verified := len(verdict.p_kept)) < len(asked.new):
            self.state.record(replace(asked, new=asked.new[:verified]), verdict)
            return
        self.state.record(asked, verdict)
        if self._choice.rule == "divsx_first":
            self._first = self._has_first()
        if self._patience < 1:
            self._rests = self._at_rest(before)
        self._answer(asked)
        self._told += 1
        if self._told.bit_count() == 1 and self._told.bit_length() % 4 == 1:  # 1, 16, 256, ...
            self.bytes = self._held()

    def close(self, stopped: str = "") -> Found:
        """End the search and drop its generators; `stopped` is the reason if it was cut short."""
        choice = self._choice
        found = Found(
            loaded=self.loaded.unloaded() if choice.jointly else self.loaded,
            choice=choice,
            generators=tuple(name for name, _ in self.job.plan.find(Generate).generators),
            measures=tuple(self.state.measures),
            objectives=self.state.objectives,
            reported=tuple(self.job.measures[name] for name in self.job.plan.find(Choose).report),
            keeps=self.job.plan.keeps,
            table=self.state.table,
            lattice=self.state.lattice,
            pruned=self.state.pruned,
            incomparable=self.state.incomparable,
            bound=self.state.bound,
            scope=scope(self.job.plan),
            exhausted=self.turns.exhausted,
            full=self._cut and self.state.full,
            first=self._first,
            rested=self._window if self._rests else 0,
            stopped=stopped,
            seconds=time.perf_counter() - self.started,
        )
        self.turns.close()
        self._round = None
        return found

    def _request(self, asked: Round) -> Request:
        return Request(
            self.loaded.on_field.on_device,
            asked.candidates.bits[asked.new],
            self.loaded.question,
            tie=max(TIE, self.loaded.rounding / 2),
        )

    def _has_first(self) -> bool:
        """Whether DivSX has admitted k members: then its search is over."""
        ids, vectors = self.state.lattice.skyline_arrivals()
        k = self._choice.k
        if len(ids) < k:
            return False
        bits = unpack(self.state.table.rows(ids).bits, self.loaded.field.num_units)
        nodes, embeddings = shape(self.loaded, bits, self._choice.embedding)
        chosen = diversify.admitted(
            vectors,
            nodes,
            1 - diversify.cosine(embeddings),
            k=k,
            alpha=self._choice.alpha,
            epsilon=self.state.rank.epsilon,
            first=True,
        )
        return len(chosen) == k

    @property
    def _window(self) -> int:
        """The number of candidates over which the front must grow."""
        return math.ceil(self._patience * self.state.budget)

    def _at_rest(self, before: int) -> bool:
        """Whether the front has not grown for so long that the search ends, after a round from `before` on."""
        self._growth.add(self.state.table.count, self.state.lattice.newcomers(before))
        return self._growth.rests(self._window) and self.turns.endless

    def _answer(self, asked: Round) -> None:
        if not (self._cut or self._rests):
            self.turns.answer(asked)

    def _held(self) -> int:
        """Bytes of the loaded field and everything computed for it, without shared objects."""
        on_field = self.loaded.on_field
        return memory_usage(
            on_field.field,
            on_field.on_device,
            self.turns.gradients,
            self.state.table,
            shared=(on_field.graph, on_field.model, on_field.backend),
        )
