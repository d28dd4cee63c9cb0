"""One run in several processes: workers search targets, and this process passes on what they report.

Workers are forked, so the job reaches them as it is: a model need not be pickled, and memory is shared
until it is written. A worker asks for targets as it needs them. If it dies, the targets that it had are
searched again, each in a process of its own, so that one that kills processes takes no others with it.
"""

import ctypes
import gc
import multiprocessing
import os
import pickle
import signal
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from typing import Any

import torch

from sxq.errors import InvalidValue
from sxq.execution import executor
from sxq.execution.executor import REPORT_EVERY, TOGETHER, Profile, Progress
from sxq.execution.remote import portable, unpickled, without_graph
from sxq.execution.target import Job
from sxq.planning.nodes import FieldScan, Generate
from sxq.values.explanation import TargetReport

_fork: Any = multiprocessing.get_context("fork" if hasattr(os, "fork") else None)
AHEAD = 2  # targets that a worker still holds when it asks for more
GIVEN = 4  # most targets that it is then given
DEATHS = 3  # processes that may die of a target before it is given up
LISTEN = 0.1  # seconds between two looks at an interrupt


def run_in_workers(
    job: Job,
    count: int,
    interrupted: Callable[[], bool],
    profile: Profile,
    *,
    report: Callable[[Progress], None] | None = None,
    started: float | None = None,
) -> Iterator[TargetReport]:
    """`run` in `count` processes; reports come in the order in which targets end.

    Raises InvalidValue where processes cannot be forked, and what `run` raises.
    """
    require_workers(job.model.device)
    pool = _Pool(job, count, time.perf_counter() if started is None else started)
    try:
        while pool.left or pool.workers:
            try:
                yield from pool.hear(profile)
                if interrupted():
                    pool.stop.value = True
                if report:
                    pool.tell_progress(report)
            except KeyboardInterrupt:
                if pool.pressed:
                    raise
                pool.pressed = True
                pool.stop.value = True
        if pool.pressed:
            raise KeyboardInterrupt
        if pool.error is not None:
            raise pool.error
    finally:
        pool.end()


def require_workers(device: torch.device) -> None:
    """Raise InvalidValue where a run cannot be shared by forked processes."""
    if not hasattr(os, "fork"):
        raise InvalidValue(
            "sxq_workers needs processes that can be forked, which this system does not have; RESET sxq_workers"
        )
    if device.type != "cpu":
        raise InvalidValue(
            f"sxq_workers is for models on the CPU, and this one is on {device}, which forked processes "
            "cannot use; RESET sxq_workers, or SET sxq_device = 'cpu'"
        )


@dataclass(eq=False)
class _Worker:
    """A process, the pipe to it, and the targets that it was given and has not reported."""

    process: Any
    pipe: Pipe
    given: set[int]  # ordinals
    alone: bool  # it was started for a single target
    progress: Progress | None = None  # as it last told
    finished: bool = False  # it has said all that it will


@dataclass(eq=False)
class _Pool:
    """The workers of one run, and the targets that wait."""

    job: Job
    count: int
    started: float  # the run, by time.perf_counter()
    waiting: deque[int] = field(init=False)  # ordinals
    suspects: deque[int] = field(default_factory=deque)  # those that a worker had when it died
    deaths: Counter[int] = field(default_factory=Counter)  # by ordinal
    workers: list[_Worker] = field(default_factory=list)
    candidates: int = 0  # of workers that have ended
    pressed: bool = False  # Ctrl-C, once
    error: BaseException | None = None  # the first that a worker raised
    reported: float = 0.0  # when progress was last told
    stop: Any = field(default_factory=lambda: _fork.RawValue(ctypes.c_bool, False))

    def __post_init__(self) -> None:
        self.targets = self.job.plan.find(FieldScan).targets
        self.waiting = deque(range(len(self.targets)))
        self.left = len(self.targets)  # targets without a report
        self.backend = self.job.backend  # opened here, once, before the forks

    def hear(self, profile: Profile) -> Iterator[TargetReport]:
        """Start missing workers, and yield what those at work report within a moment."""
        self._start()
        pipes: dict[Any, _Worker] = {worker.pipe: worker for worker in self.workers}
        for pipe in wait(list(pipes), LISTEN):
            yield from self._listen(pipes[pipe], profile)

    def _listen(self, worker: _Worker, profile: Profile) -> Iterator[TargetReport]:
        try:
            kind, content = unpickled(worker.pipe.recv_bytes(), self.job.graph)
        except (
            EOFError,
            OSError,
            pickle.UnpicklingError,
        ):  # it died, or Ctrl-C cut a message short
            self.workers.remove(worker)
            worker.process.kill()
            worker.process.join()
            yield from self._mourn(worker)
            return
        match kind:
            case "report":
                worker.given.discard(content.ordinal)
                self.left -= 1
                yield content
            case "want":
                self._give(worker, 0 if worker.alone else content)
            case "progress":
                worker.progress = content
            case "error":
                self.error = self.error or content
                self.stop.value = True
            case "end":
                profile.merge(content)
                self.candidates += content.candidates
                worker.progress = None
                worker.finished = True

    def _start(self) -> None:
        """Start workers while there are targets for them."""
        while len(self.workers) < self.count and (self.waiting or self.suspects):
            alone = bool(self.suspects)
            share = -(-len(self.waiting) // self.count)
            first = [self.suspects.popleft()] if alone else self._take(min(share, self._together))
            here, there = _fork.Pipe()
            arguments = (self.job, there, first, self.stop, self.started)
            process = _fork.Process(target=_work, args=arguments, daemon=True)
            with warnings.catch_warnings():
                # Python warns of forks beside threads: a worker touches nothing that they hold.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            there.close()
            self.workers.append(_Worker(process, here, set(first), alone))

    @property
    def _together(self) -> int:
        return TOGETHER[self.job.model.device.type]

    def _take(self, number: int) -> list[int]:
        return [self.waiting.popleft() for _ in range(min(number, len(self.waiting)))]

    def _give(self, worker: _Worker, number: int) -> None:
        # Near the end a worker gets fewer, so that none is left with much to do.
        share = -(-len(self.waiting) // (2 * self.count))
        more = self._take(min(number, share))
        worker.given.update(more)
        try:
            worker.pipe.send(more)
        except OSError:
            pass  # it died; the next look at its pipe finds that out

    def _mourn(self, worker: _Worker) -> Iterator[TargetReport]:
        """Let the targets of a worker that died be searched again, or report that they failed."""
        if worker.finished and not worker.given:
            return
        for ordinal in sorted(worker.given):
            self.deaths[ordinal] += 1
            if self.deaths[ordinal] < DEATHS:
                self.suspects.append(ordinal)
                continue
            self.left -= 1
            yield TargetReport(
                target=self.targets[ordinal],
                ordinal=ordinal,
                status="failed",
                note=f"{DEATHS} processes died while they searched it, the last {_death(worker.process)}",
            )

    def tell_progress(self, report: Callable[[Progress], None]) -> None:
        """Report the progress of all workers together, unless it was reported a moment ago."""
        now = time.perf_counter()
        if now - self.reported < REPORT_EVERY:
            return
        self.reported = now
        told = [worker.progress for worker in self.workers if worker.progress is not None]
        done = len(self.targets) - self.left
        covered = [each.coverage for each in told if each.coverage is not None]
        report(
            Progress(
                targets=done,
                total=len(self.targets),
                candidates=self.candidates + sum(each.candidates for each in told),
                seconds=now - self.started,
                front=sum(each.front for each in told),
                share=done / len(self.targets),
                coverage=sum(covered) / len(covered) if covered else None,
                within=self.job.plan.find(Generate).within,
            )
        )

    def end(self) -> None:
        """End every process; those that are still at work are killed."""
        for worker in self.workers:
            if not worker.finished:
                worker.process.kill()
            worker.pipe.close()
            worker.process.join()


def _death(process: Any) -> str:
    code = process.exitcode
    return f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"


# -- in a worker -----------------------------------------------------------------------------------


class _Assigned:
    """The targets that wait in a worker; it asks for more before it has none. Like the deque of `run`."""

    def __init__(self, pipe: Pipe, first: Sequence[int]):
        self._pipe = pipe
        self._held = deque(first)
        self._asked = False  # and has no answer yet
        self._ended = False  # there are no more

    def __bool__(self) -> bool:
        self._ask()
        while self._asked and (not self._held or self._pipe.poll()):
            more = self._pipe.recv()
            self._asked = False
            self._ended = not more
            self._held.extend(more)
            self._ask()
        return bool(self._held)

    def _ask(self) -> None:
        if len(self._held) <= AHEAD and not (self._asked or self._ended):
            self._pipe.send(("want", GIVEN))
            self._asked = True

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, place: int) -> int:
        return self._held[place]

    def popleft(self) -> int:
        return self._held.popleft()


def _work(job: Job, pipe: Pipe, first: Sequence[int], stop: Any, started: float) -> None:
    """Search targets until there are no more, and send what is found. The whole life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent tells by `stop`
    gc.freeze()  # what the parent holds is not freed here
    torch.set_num_threads(1)  # a pool of threads does not outlive the fork
    profile = Profile()

    def interrupted() -> bool:
        return bool(stop.value)

    def tell(progress: Progress) -> None:
        pipe.send(("progress", progress))

    waiting = _Assigned(pipe, first)
    try:
        for found in executor.run(job, interrupted, profile, tell, started, waiting=waiting):
            pipe.send_bytes(without_graph(("report", found), job.graph))
    except Exception as error:
        pipe.send(("error", portable(error)))
    pipe.send(("end", profile))
    pipe.close()
