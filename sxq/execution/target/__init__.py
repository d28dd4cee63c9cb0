"""One target on its way through the search. The executor drives many of these at once.

In reading order:

    load.py     cuts out the field, puts it on the device and asks the model about both ends: `Loaded`
    search.py   holds what was verified, measured and ranked so far: `SearchState`
    turns.py    lets the generators ask in turn, and gives each its answers: `GeneratorTurns`
    found.py    is what the report and the answer are made from: `Found`

`Target` joins them: `ask` for candidates to verify, `tell` what the verifier said, `close` for what was found.
"""

import time

from sxq.execution.target.found import Found
from sxq.execution.target.load import Job, Loaded, load
from sxq.execution.target.search import Round, SearchState
from sxq.execution.target.turns import PATIENCE, GeneratorTurns
from sxq.execution.verifier import TIE, Request, Verdict
from sxq.inference.memory_usage import memory_usage
from sxq.planning.nodes import Choose, Generate

__all__ = ["Found", "Job", "Loaded", "Target"]

# As much of a field is held in the end as this many times what is held just after loading, because of caches;
# measured on FacebookPage.
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
        self.bytes = GROWS * self._held()  # memory it holds on to, looked up ever more rarely
        self._told = 0
        self._round: Round | None = None  # what was asked last
        self._cut = False  # the budget ended in the middle of a round: nobody is asked again

    @property
    def over(self) -> bool:
        """Whether there is nothing more to ask: every generator ended by itself, or the budget is spent."""
        return self._cut or self.turns.over

    @property
    def share_done(self) -> float:
        """Which share of the budget is spent."""
        return self.state.table.count / self.state.budget

    def ask(self) -> Request | None:
        """Candidates nobody has verified yet, from every generator that has not ended; None when there are none.

        A repeated candidate is answered from the candidate table, at no cost. Generators that only repeat themselves
        are left after PATIENCE answers, so that whoever wants to stop the run is heard; `over` says if they have ended.
        """
        for _ in range(PATIENCE):
            asked = None if self._cut else self.turns.ask()
            if asked is None:
                return None
            self._round = self.state.look_up(*asked)
            self._cut = self._round.cut
            if len(self._round.new):
                return self._request(self._round)
            self._answer()
        return None

    def tell(self, verdict: Verdict) -> None:
        """Record what the verifier said about the candidates last asked for, and answer the generators."""
        self.state.record(self._round, verdict)
        self._answer()
        self._told += 1
        if self._told.bit_count() == 1 and self._told.bit_length() % 4 == 1:  # 1, 16, 256, ...
            self.bytes = self._held()

    def close(self, stopped: str = "") -> Found:
        """End the search and let go of its generators; `stopped` says why it was not let run to its end."""
        found = Found(
            loaded=self.loaded.unloaded(),
            choice=self.job.plan.find(Choose),
            generators=tuple(name for name, _ in self.job.plan.find(Generate).generators),
            measures=tuple(self.state.measures),
            objectives=self.state.objectives,
            reported=tuple(self.job.measures[name] for name in self.job.plan.find(Choose).report),
            keeps=self.job.plan.keeps,
            table=self.state.table,
            lattice=self.state.lattice,
            pruned=self.state.pruned,
            incomparable=self.state.incomparable,
            exhausted=self.turns.exhausted,
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
            self.loaded.predicted,
            tie=max(TIE, self.loaded.rounding / 2),
        )

    def _answer(self) -> None:
        if not self._cut:
            self.turns.answer(self._round)

    def _held(self) -> int:
        """Bytes that the field, loaded, and what was found out about it take; not what all targets share."""
        on_field = self.loaded.on_field
        return memory_usage(
            on_field.field,
            on_field.on_device,
            self.turns.estimates.gradients,
            self.state.table,
            shared=(on_field.graph, on_field.model, on_field.backend),
        )
