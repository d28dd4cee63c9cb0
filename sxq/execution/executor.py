"""The one loop: generators propose, the verifier verifies, the lattices rank; many targets at once.

Each round asks every running target for candidates, verifies all of them in one batch and tells
each target the outcome. The loop can stop after any round: the answer is then chosen from the lattice
as it stands, with `complete = false`.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sxq.errors import Error, FieldTooLarge, InvalidValue, ModelError
from sxq.execution import answer as answering
from sxq.execution import report as reporting
from sxq.execution.target import Found, Job, Target
from sxq.execution.verifier import Request, Verifier
from sxq.inference.edge_gradients import GradientRequest, gradients_together
from sxq.models.blame import blaming
from sxq.planning.nodes import Choose, FieldScan, Generate, Verify
from sxq.values.explanation import TargetReport

# Most targets searched at once, by kind of device: they fill a batch; more would only take memory.
TOGETHER = {"cpu": 16, "cuda": 64}
LONG_ROUND = 1.0  # seconds after which a round is stopped before its end, and tells its progress
REPORT_EVERY = 0.1  # seconds between two calls of `report`
# Seconds between two measurements of the running answers' coverage; each costs a selection.
LOOK_EVERY = 1.0
NO_GRADIENTS = "choose a generator that takes no edge gradients, such as BY random"
LOOKED_AT = 8  # most targets whose coverage is measured


@dataclass
class Profile:
    """Seconds per operator and counts, filled while a plan runs: PROFILE shows them.

    `Estimate` is not an operator of the plan: its time is that of the model when it runs for
    first-order estimates while a generator waits.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    candidates: int = 0
    rounds: int = 0
    missing: Counter[str] = field(default_factory=Counter)  # estimates not available, by reason

    def charge(self, operator: str, started: float) -> float:
        """Add the time since `started` to an operator; returns the present time."""
        now = time.perf_counter()
        self.seconds[operator] = self.seconds.get(operator, 0.0) + now - started
        return now

    def merge(self, other: "Profile") -> None:
        """Add what another run measured."""
        for operator, seconds in other.seconds.items():
            self.seconds[operator] = self.seconds.get(operator, 0.0) + seconds
        self.candidates += other.candidates
        self.rounds += other.rounds
        self.missing.update(other.missing)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a query has come."""

    targets: int  # finished
    total: int
    candidates: int  # verified so far, all targets
    seconds: float  # since the statement began
    front: int  # members of the running targets' fronts
    share: float  # least share of the work done: searches may end before their budget
    coverage: float | None = None  # mean coverage that answers of running targets would have now
    within: float | None = None  # WITHIN, seconds

    @property
    def seconds_left(self) -> float | None:
        """The most seconds that the run still takes; None before anything is known."""
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
    job: Job,
    interrupted: Callable[[], bool],
    profile: Profile,
    report: Callable[[Progress], None] | None = None,
    started: float | None = None,
    *,
    waiting: Any = None,
) -> Iterator[TargetReport]:
    """Yield the report of each target as it is done.

    started    when the statement began, by time.perf_counter(), for WITHIN; None means now
    waiting    the numbers of the targets to search, as a deque or something like it; None means all

    The run stops after the round in which `interrupted()` turns true or WITHIN has passed. Targets
    that were not reached are reported as stopped. After a KeyboardInterrupt or an error, the running
    targets are reported as they stand, and then the exception is raised again.

    Raises ModelError if a forward pass fails. If there is only one target, also raises ModelError if
    the model cannot be explained on it, InvalidValue if it cannot hold what INCLUDE names, and
    FieldTooLarge if `exhaustive` cannot search it.
    """
    loop = _Loop(job, profile, time.perf_counter() if started is None else started)
    if waiting is not None:
        loop.waiting = waiting
    try:
        while loop.waiting or loop.running:
            yield from loop.admit()
            yield from loop.round(lambda: loop.heard(interrupted, report))
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

    def __init__(self, job: Job, profile: Profile, started: float):
        self.job = job
        self.profile = profile
        self.verifier = Verifier(job.model, job.backend, job.plan.find(Verify).batch_memory)
        self.most = TOGETHER.get(job.model.device.type, TOGETHER["cuda"])
        self.within = job.plan.find(Generate).within
        self.choice = job.plan.find(Choose)
        self.targets = job.plan.find(FieldScan).targets
        self.total = len(self.targets)
        self.waiting = deque(range(self.total))  # ordinals
        self.running: list[Target] = []
        self.ended: dict[int, Found] = {}  # by ordinal: targets that wait for a joint answer
        self.answered: deque = deque()  # the part of a joint answer that is not yet reported
        self.coverage: float | None = None  # as last measured
        self.started = self.begun = started  # the run, and its present round
        self.reported = self.looked = time.perf_counter()

    def admit(self) -> Iterator[TargetReport]:
        """Start waiting targets while there is room; a target that cannot be explained fails."""
        while self.waiting and len(self.running) < self.most and self._room():
            ordinal = self.waiting[0]
            started = time.perf_counter()
            try:
                self.running.append(Target(self.job, ordinal))
                self.waiting.popleft()
            except (ModelError, InvalidValue) as error:
                self.waiting.popleft()
                yield from self._failed(ordinal, error)
            self.profile.charge("Field", started)

    def _failed(self, ordinal: int, error: Error) -> Iterator[TargetReport]:
        """Report a target that cannot be explained; if it is the only one, the error is raised."""
        yield TargetReport(
            target=self.targets[ordinal], ordinal=ordinal, status="failed", note=str(error)
        )
        if self.total == 1:
            raise error

    def heard(
        self, interrupted: Callable[[], bool], report: Callable[[Progress], None] | None
    ) -> str:
        """In a long round, report the progress; returns the reason why the run must stop now."""
        if time.perf_counter() - self.begun < LONG_ROUND:
            return ""  # a short one comes to its end, with candidates of every target
        if report:
            self.tell_progress(report)
        return self.should_stop(interrupted)

    def round(self, stopped: Callable[[], str]) -> Iterator[TargetReport]:
        """Ask, verify, tell; yield the targets that have nothing more to ask.

        `stopped` is asked between targets and between batches; a round that is cut short keeps what it has.
        """
        self.begun = time.perf_counter()
        requests = yield from self._ask(stopped)
        clock = time.perf_counter()
        with blaming(self.job.model, "copies of receptive fields, from which edges were removed"):
            verdicts = self.verifier.verify(
                [request for _, request in requests], self._held(), stopped
            )
        clock = self.profile.charge("Verify", clock)
        for (target, request), verdict in zip(requests, verdicts):
            target.tell(verdict)
            self.profile.candidates += len(request.bits)
        self.profile.charge("Lattice", clock)
        self.profile.rounds += 1
        yield from self._finish([target for target in self.running if target.over])

    def _ask(
        self, stopped: Callable[[], str]
    ) -> Generator[TargetReport, None, list[tuple[Target, Request]]]:
        """The candidates that targets ask for; those that need estimates get them together, and go on."""
        requests: list[tuple[Target, Request]] = []
        asking = list(self.running)
        while asking:
            clock = time.perf_counter()
            wanting: list[tuple[Target, list[GradientRequest]]] = []
            for target in asking:
                try:
                    request = target.ask()
                except FieldTooLarge as error:
                    self.running.remove(target)
                    yield from self._failed(target.ordinal, error)
                    continue
                if isinstance(request, list):
                    wanting.append((target, request))
                elif request:
                    requests.append((target, request))
                if stopped():
                    self.profile.charge("Generate", clock)
                    return requests
            self.profile.charge("Generate", clock)
            self._estimate(wanting)
            asking = [target for target, _ in wanting]
        return requests

    def _estimate(self, wanting: list[tuple[Target, list[GradientRequest]]]) -> None:
        """Compute the estimates that targets ask for, all together."""
        if not wanting:
            return
        started = time.perf_counter()
        requests = [request for _, own in wanting for request in own]
        with blaming(self.job.model, "copies of receptive fields, under edge masks", NO_GRADIENTS):
            found = iter(gradients_together(requests))
        for target, own in wanting:
            target.estimated(list(islice(found, len(own))))
        for request in requests:
            if request.of.unavailable:
                self.profile.missing[request.of.unavailable] += len(request.bits)
        self.profile.charge("Estimate", started)

    def should_stop(self, interrupted: Callable[[], bool]) -> str:
        """The reason why the run must stop now; empty if it may go on."""
        if interrupted():
            return "interrupted"
        if self.within is not None and time.perf_counter() - self.started >= self.within:
            return f"stopped after {self.within:g} seconds"
        return ""

    def stop(self, reason: str) -> Iterator[TargetReport]:
        """Report running targets as they stand, and waiting targets as not reached."""
        yield from self._finish(list(self.running), reason)
        while self.waiting:
            ordinal = self.waiting.popleft()
            yield TargetReport(
                target=self.targets[ordinal],
                ordinal=ordinal,
                status="stopped",
                note=f"{reason} before this target was reached",
            )
        yield from self.conclude()

    def conclude(self) -> Iterator[TargetReport]:
        """Choose the joint answer of the targets that have ended, and report them."""
        clock = time.perf_counter()
        if self.ended:
            together = [self.ended[ordinal] for ordinal in sorted(self.ended)]
            self.answered = deque(answering.jointly(together, self.choice.k))
            self.ended = {}
        while self.answered:
            finished = reporting.write(*self.answered[0])
            self.answered.popleft()
            clock = self.profile.charge("Answer", clock)
            yield finished

    def tell_progress(self, report: Callable[[Progress], None]) -> None:
        """Report the progress of the run, unless it was reported a moment ago."""
        now = time.perf_counter()
        if now - self.reported < REPORT_EVERY:
            return
        self.reported = now
        if now - self.looked >= LOOK_EVERY:
            self.looked = now
            self.coverage = self._covered()
        done = self.total - len(self.waiting) - len(self.running)
        begun = sum(target.share_done for target in self.running)
        report(
            Progress(
                targets=done,
                total=self.total,
                candidates=self.profile.candidates,
                seconds=now - self.started,
                front=sum(len(target.state.lattice.front) for target in self.running),
                share=(done + begun) / self.total,
                coverage=self.coverage,
                within=self.within,
            )
        )

    def _covered(self) -> float | None:
        """The mean coverage of the answers that some of the running targets would have now."""
        looked_at = self.running[:LOOKED_AT]
        answers = [target.state.lattice.answer(self.choice.k) for target in looked_at]
        found = [answer.coverage for answer in answers if answer.coverage is not None]
        return sum(found) / len(found) if found else None

    def _finish(self, targets: list[Target], stopped: str = "") -> Iterator[TargetReport]:
        for target in targets:
            clock = time.perf_counter()
            found = target.close(stopped)
            if self.choice.jointly:
                self.ended[target.ordinal] = found
                self.running.remove(target)
                continue
            finished = reporting.write(found, answering.alone(found))
            self.running.remove(target)
            self.profile.charge("Answer", clock)
            yield finished

    def _held(self) -> int:
        return sum(target.bytes for target in self.running)

    def _room(self) -> bool:
        """Whether another target fits: fields and searches take up to half of the memory, batches the rest."""
        half = self.verifier.batch_memory // 2
        searches = sum(target.expected for target in self.running)
        return not self.running or max(self._held(), searches) < half
