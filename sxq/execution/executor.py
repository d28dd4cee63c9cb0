"""The one loop: generators propose, the verifier verifies, the lattices rank; many targets at once.

Each round asks every running target for candidates, verifies all of them in one batch and tells each target what
came out. The loop can stop after any round: what a lattice holds is the answer, `complete = false`.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from sxq.errors import Error, FieldTooLarge, ModelError
from sxq.execution import answer as answering
from sxq.execution import report as reporting
from sxq.execution import target_order as workload
from sxq.execution.target import TargetRun
from sxq.execution.verifier import Verifier
from sxq.graph import Graph, GraphSet
from sxq.inference.choose import open_backend
from sxq.models.borrow import Model, blaming
from sxq.planning.nodes import Answer, FieldScan, Generate, Plan, Verify
from sxq.scoring.measures import Measure
from sxq.values.explanation import TargetReport

TOGETHER = {
    "cpu": 16,
    "cuda": 64,
}  # most targets searched at once: a batch is full, and more only take memory
REPORT_EVERY = 0.1  # seconds between two calls of `report`
LOOK_EVERY = (
    1.0  # seconds between two looks at what the running answers cover, which costs a selection each
)
LOOKED_AT = 8  # most targets looked at


@dataclass
class Profile:
    """Seconds per operator and counts, filled while a plan runs: what PROFILE shows.

    `Estimate` is no operator of the plan: the model runs for first-order estimates while a generator waits.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    candidates: int = 0
    rounds: int = 0
    batch_memory: int = 0  # bytes, after any halving

    def charge(self, operator: str, started: float) -> float:
        """Add the time since `started` to an operator; the time now."""
        now = time.perf_counter()
        self.seconds[operator] = self.seconds.get(operator, 0.0) + now - started
        return now

    def move(self, seconds: float, source: str, to: str) -> None:
        """Charge time to another operator than the one it was charged to."""
        if not seconds:
            return
        self.seconds[source] = self.seconds.get(source, 0.0) - seconds
        self.seconds[to] = self.seconds.get(to, 0.0) + seconds


@dataclass(frozen=True)
class Progress:
    """Where a query stands, for whoever watches."""

    targets: int  # finished
    total: int
    candidates: int  # verified so far, all targets
    seconds: float  # since the statement began
    front: int  # members of the running targets' fronts
    share: float  # of the work done, at least: searches may end before their budget
    coverage: float | None = None  # what the running targets' answers would cover now, on average
    within: float | None = None  # WITHIN, seconds

    @property
    def seconds_left(self) -> float | None:
        """How much longer the run takes, at most; None before anything is known."""
        if not self.share:
            return None
        left = self.seconds * (1 - self.share) / self.share
        return left if self.within is None else min(left, max(0.0, self.within - self.seconds))

    def __str__(self) -> str:
        rate = f", {self.candidates / self.seconds:,.0f}/s" if self.seconds else ""
        covers = "" if self.coverage is None else f", covers {self.coverage:.1%}"
        left = "" if self.seconds_left is None else f", at most {self.seconds_left:.0f} s left"
        return (
            f"{self.targets} of {self.total} targets, {self.candidates:,} candidates{rate}, "
            f"front {self.front}{covers}{left}"
        )


def run(
    plan: Plan,
    graph: Graph | GraphSet,
    model: Model,
    measures: Mapping[str, Measure],
    interrupted: Callable[[], bool],
    profile: Profile,
    report: Callable[[Progress], None] | None = None,
    learned: Mapping[str, object] | None = None,
    started: float | None = None,
) -> Iterator[TargetReport]:
    """Yield the report of each target as it is done.

    started    when the statement began, by time.perf_counter(): from then on WITHIN is counted; None is now

    Stops after the round in which `interrupted()` turns true or WITHIN has passed; targets that were not reached are
    reported as stopped. A KeyboardInterrupt or an error yields what the running targets have and is raised again.
    Raises ModelError for a forward pass that fails; and for a target that the model cannot be explained on, or
    FieldTooLarge for one that `exhaustive` cannot search, if it is the only one.
    """
    loop = _Loop(
        plan,
        graph,
        model,
        measures,
        profile,
        learned,
        time.perf_counter() if started is None else started,
    )
    try:
        while loop.waiting or loop.running:
            yield from loop.admit()
            yield from loop.round()
            if report:
                loop.tell_progress(report)
            if reason := loop.should_stop(interrupted):
                yield from loop.stop(reason)
        yield from loop.conclude()
    except KeyboardInterrupt:
        yield from loop.stop("interrupted")
        raise
    except Exception as error:
        yield from loop.stop(f"stopped by an error: {error}")
        raise


class _Loop:
    """The state of one run: targets waiting, targets running, the clock."""

    def __init__(
        self,
        plan: Plan,
        graph: Graph,
        model: Model,
        measures,
        profile: Profile,
        learned,
        started: float,
    ):
        self.learned = learned  # what was pre-trained, by name
        self.plan, self.graph, self.model, self.measures, self.profile = (
            plan,
            graph,
            model,
            measures,
            profile,
        )
        self.backend = open_backend(plan.find(Verify).backend, model)
        self.verifier = Verifier(model, self.backend, plan.find(Verify).batch_memory)
        self.most = TOGETHER.get(model.device.type, TOGETHER["cuda"])
        self.within = plan.find(Generate).within
        self.total = len(plan.find(FieldScan).targets)
        self.waiting, self.running = deque(self._order()), []
        self.choice = plan.find(Answer)
        self.ended: dict[
            int, TargetRun
        ] = {}  # by ordinal: what waits for the others, for a joint answer
        self.answered: deque = deque()  # what is left to report of a joint answer
        self.coverage: float | None = None  # as last looked at
        self.started, self.reported, self.looked = started, time.perf_counter(), time.perf_counter()

    def admit(self) -> Iterator[TargetReport]:
        """Start waiting targets while there is room; one that cannot be explained is reported as failed."""
        while self.waiting and len(self.running) < self.most and self._room():
            ordinal, started = self.waiting[0], time.perf_counter()
            try:
                self.running.append(
                    TargetRun(
                        self.plan,
                        self.graph,
                        self.model,
                        self.backend,
                        self.measures,
                        ordinal,
                        self.learned,
                    )
                )
                self.waiting.popleft()
            except ModelError as error:
                self.waiting.popleft()
                yield from self._failed(ordinal, error)
            self.profile.charge("Field", started)

    def _failed(self, ordinal: int, error: Error) -> Iterator[TargetReport]:
        """Report a target that cannot be explained; if it is the only one, the error is raised."""
        yield TargetReport(
            target=self._key(ordinal), ordinal=ordinal, status="failed", note=str(error)
        )
        if self.total == 1:
            raise error

    def round(self) -> Iterator[TargetReport]:
        """Ask, verify, tell; yield the targets that have nothing more to ask."""
        clock = time.perf_counter()
        requests, asked = [], list(self.running)
        for target in asked:
            try:
                requests.append((target, target.ask()))
            except FieldTooLarge as error:
                self.running.remove(target)
                yield from self._failed(target.ordinal, error)
        clock = self.profile.charge("Generate", clock)
        self.profile.move(sum(target.take_estimating() for target in asked), "Generate", "Estimate")
        with blaming(self.model, "copies of receptive fields, from which edges were removed"):
            verdicts = self.verifier.verify(
                [request for _, request in requests if request], self._held()
            )
        clock = self.profile.charge("Verify", clock)
        for (target, request), verdict in zip([pair for pair in requests if pair[1]], verdicts):
            target.tell(verdict)
            self.profile.candidates += len(request.bits)
        clock = self.profile.charge("Lattice", clock)
        self.profile.rounds += 1
        self.profile.batch_memory = self.verifier.batch_memory
        yield from self._finish([target for target in self.running if target.over])

    def should_stop(self, interrupted: Callable[[], bool]) -> str:
        """Why the run must stop now, or nothing."""
        if interrupted():
            return "interrupted"
        if self.within is not None and time.perf_counter() - self.started >= self.within:
            return f"stopped after {self.within:g} seconds"
        return ""

    def stop(self, reason: str) -> Iterator[TargetReport]:
        """Report everything that runs as it stands, and everything that waits as not reached."""
        yield from self._finish(list(self.running), reason)
        while self.waiting:
            ordinal = self.waiting.popleft()
            yield TargetReport(
                target=self._key(ordinal),
                ordinal=ordinal,
                status="stopped",
                note=f"{reason} before this target was reached",
            )
        yield from self.conclude()

    def conclude(self) -> Iterator[TargetReport]:
        """Choose the joint answer of the targets that have ended, and report them."""
        clock = time.perf_counter()
        if self.ended:
            runs = [self.ended[ordinal] for ordinal in sorted(self.ended)]
            self.answered, self.ended = deque(answering.jointly(runs, self.choice.k)), {}
        while self.answered:
            finished = reporting.write(*self.answered[0])
            self.answered.popleft()
            clock = self.profile.charge("Answer", clock)
            yield finished

    def tell_progress(self, report: Callable[[Progress], None]) -> None:
        now = time.perf_counter()
        if now - self.reported < REPORT_EVERY:
            return
        self.reported = now
        if now - self.looked >= LOOK_EVERY:
            self.looked, self.coverage = now, self._covered()
        done = self.total - len(self.waiting) - len(self.running)
        front = sum(len(target.lattice.front) for target in self.running)
        started = sum(target.ledger.count / target.generate.budget for target in self.running)
        report(
            Progress(
                done,
                self.total,
                self.profile.candidates,
                now - self.started,
                front,
                (done + started) / self.total,
                self.coverage,
                self.within,
            )
        )

    def _covered(self) -> float | None:
        """Mean coverage of the answers that some of the running targets would give now."""
        found = [
            target.lattice.answer(self.choice.k).coverage for target in self.running[:LOOKED_AT]
        ]
        found = [coverage for coverage in found if coverage is not None]
        return sum(found) / len(found) if found else None

    def _finish(self, targets: list[TargetRun], stopped: str = "") -> Iterator[TargetReport]:
        for target in targets:
            clock = time.perf_counter()
            target.close(stopped)
            if self.choice.jointly:
                self.ended[target.ordinal] = target
                self.running.remove(target)
                continue
            finished = reporting.write(target, answering.alone(target))
            self.running.remove(target)
            self.profile.charge("Answer", clock)
            yield finished

    def _order(self) -> Iterable[int]:
        """The ordinals of the targets as they are admitted; where all run at once the order is of no use."""
        scan = self.plan.find(FieldScan)
        if self.total <= self.most or scan.kind == "graph":  # graphs have nothing in common
            return range(self.total)
        return workload.order(self.graph, np.array(scan.positions), scan.hops)

    def _held(self) -> int:
        return sum(target.bytes for target in self.running)

    def _room(self) -> bool:
        """Fields take half of the memory, the other half is for the batch."""
        return not self.running or self._held() < self.verifier.batch_memory // 2

    def _key(self, ordinal: int):
        return self.plan.find(FieldScan).targets[ordinal]
