"""One run on the workers of a `concurrent.futures.Executor`: a pool of processes, or a cluster.

The job (plan, graph, model) is pickled once. A worker reads it from a file where it shares a disk with this
process, else it asks for it, and it keeps it until another job comes. Targets go out a few at a time, and
reports come back without the graph.
"""

import gc
import io
import os
import pickle
import socket
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import nullcontext, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sxq.errors import InvalidValue, ModelError
from sxq.execution import executor
from sxq.execution.executor import REPORT_EVERY, TOGETHER, Profile, Progress
from sxq.execution.target import Job
from sxq.models.thread_count import one_thread
from sxq.planning.nodes import FieldScan, Generate
from sxq.values.explanation import TargetReport

PACKAGES = ("sxq", "torch", "torch-geometric", "numpy")  # of the same versions everywhere
FIRST_OUT = (
    4  # parts of a run that are out at once before any has come back: a worker may lack the job
)
OUT = 64  # most later
PARTS = 8  # a run has at least so many parts, if it has so many targets
LISTEN = 0.1  # seconds between two looks at the stop flag
NEEDED = "needed"  # a worker that does not have the job

Message = dict[
    str, Any
]  # what goes out and comes back: plain values, so that other versions understand it


def run_in_executor(
    job: Job,
    pool: Any,
    interrupted: Callable[[], bool],
    profile: Profile,
    *,
    report: Callable[[Progress], None] | None = None,
    started: float | None = None,
    ordinals: Sequence[int] | None = None,
) -> Iterator[TargetReport]:
    """`run` on the workers of an executor; reports come in the order in which parts of the run end.

    ordinals  the numbers of the targets to search; None: all

    Raises InvalidValue where the job cannot be pickled, and where workers lack sxq or have other versions of
    what decides an answer; what `run` raises; and what the executor does if it breaks.
    """
    run = _Run(job, pool, time.perf_counter() if started is None else started)
    run.waiting.extend(run.parts(ordinals))
    told = 0.0
    try:
        while run.waiting or run.out:
            run.send(interrupted)
            for done in wait(run.out, timeout=LISTEN, return_when=FIRST_COMPLETED).done:
                yield from run.receive(done, profile)
            if report and time.perf_counter() - told > REPORT_EVERY:
                told = time.perf_counter()
                report(run.progress(profile))
        if run.error is not None:
            raise run.error
        yield from run.unreached()
    finally:
        run.end()


def require_executor(pool: Any) -> None:
    """Raise InvalidValue for what is no executor."""
    if not callable(getattr(pool, "submit", None)):
        raise InvalidValue(
            f"executor={pool!r:.80} is no executor; expected a concurrent.futures.Executor, such as a "
            "ProcessPoolExecutor, sxq.executors.dask(client) or sxq.executors.ray()"
        )


class _Run:
    """The parts of a run that wait, and those that are out."""

    def __init__(self, job: Job, pool: Any, started: float):
        self.job = job
        self.pool = pool
        self.started = started
        self.key = uuid.uuid4().hex
        self.payload = pickled(job)
        self.waiting: deque[tuple[list[int], bool]] = deque()  # and whether the job goes with them
        self.out: dict[Future, list[int]] = {}
        self.error: BaseException | None = None
        self.window = FIRST_OUT
        self.finished = 0
        self.candidates = 0
        self.targets = job.plan.find(FieldScan).targets
        within = job.plan.find(Generate).within
        # by the clock on the wall, which the workers have too
        self.until = (
            None if within is None else time.time() + within - (time.perf_counter() - started)
        )
        handle, self.path = tempfile.mkstemp(prefix="sxq-job-")
        with os.fdopen(handle, "wb") as file:
            file.write(self.payload)

    def parts(self, ordinals: Sequence[int] | None) -> Iterator[tuple[list[int], bool]]:
        """The targets, a few at a time."""
        left = list(range(len(self.targets)) if ordinals is None else ordinals)
        self.total = len(left)
        self.left = set(left)
        size = max(1, min(TOGETHER["cpu"], len(left) // PARTS))
        for first in range(0, len(left), size):
            yield left[first : first + size], False

    def send(self, interrupted: Callable[[], bool]) -> None:
        """Send parts that wait; after an interrupt or an error, call back all that have not begun.

        After an interrupt the file goes, too: workers that have read it take that as the word to stop.
        """
        if interrupted():
            self.remove_file()
        if self.error is not None or interrupted():
            for future in self.out:
                future.cancel()
            self.out = {future: own for future, own in self.out.items() if not future.cancelled()}
            self.waiting.clear()
            return
        while self.waiting and len(self.out) < self.window:
            ordinals, whole = self.waiting.popleft()
            message = {
                "key": self.key,
                "path": self.path,
                "payload": self.payload if whole else None,
                "versions": versions(),
                "ordinals": ordinals,
                "until": self.until,
                "home": home(),
            }
            try:
                self.out[self.pool.submit(search, message)] = ordinals
            except Exception as failure:  # an executor that is broken, or was shut down
                self.error = _told(failure)
                self.waiting.clear()

    def receive(self, future: Future, profile: Profile) -> Iterator[TargetReport]:
        """Yield what a part of the run found."""
        ordinals = self.out.pop(future)
        try:
            answer = future.result()
        except CancelledError:
            return
        except Exception as failure:  # of the executor, or of a worker that cannot read the message
            self.error = self.error or _told(failure)
            return
        if answer.get("lacks") == NEEDED:
            self.waiting.appendleft((ordinals, True))
            return
        if "versions" in answer:
            self.error = self.error or InvalidValue(_other_versions(answer["versions"]))
            return
        reports, own, error = unpickled(answer["found"], self.job.graph)
        self.window = min(OUT, 2 * self.window)
        self.left.difference_update(one.ordinal for one in reports)
        profile.merge(own)
        self.candidates += own.candidates
        self.finished += len(ordinals)
        yield from reports
        if error is not None:
            self.error = self.error or error

    def unreached(self) -> Iterator[TargetReport]:
        """The targets that an interrupt called back."""
        for ordinal in sorted(self.left):
            yield TargetReport(
                target=self.targets[ordinal],
                ordinal=ordinal,
                status="stopped",
                note="interrupted before this target was reached",
            )

    def progress(self, profile: Profile) -> Progress:
        return Progress(
            targets=self.finished,
            total=self.total,
            candidates=self.candidates,
            seconds=time.perf_counter() - self.started,
            front=0,
            share=self.finished / max(1, self.total),
            within=self.job.plan.find(Generate).within,
        )

    def end(self) -> None:
        """Call back what is still out, and delete the file."""
        for future in self.out:
            future.cancel()
        self.remove_file()

    def remove_file(self) -> None:
        with suppress(OSError):
            os.unlink(self.path)


def _told(error: Exception) -> Exception:
    """The error of a worker or an executor in words that say what to do."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == "sxq":
        return InvalidValue(
            f"the workers of the executor lack sxq, or part of it ({error}); install sxq "
            f"{version('sxq')} where they run, too"
        )
    return InvalidValue(
        f"the executor failed ({type(error).__name__}: {error}); what it had found is stored, and RESUME QUERY "
        "goes on"
    )


def _other_versions(found: dict[str, str | None]) -> str:
    own = versions()
    other = [
        f"{name} {found.get(name) or 'not at all'}, this process {own[name]}"
        for name in own
        if found.get(name) != own[name]
    ]
    return f"a worker of the executor has {'; '.join(other)}: install the same versions there"


# -- jobs and reports as bytes -------------------------------------------------------------------


class _Pickler(pickle.Pickler):
    """Writes the graph of a job as its name."""

    def __init__(self, file: Any, graph: Any = None):
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._graph = graph

    def persistent_id(self, value: Any) -> str | None:
        return "graph" if self._graph is not None and value is self._graph else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, graph: Any = None):
        super().__init__(file)
        self._graph = graph

    def persistent_load(self, name: str) -> Any:
        return self._graph


def pickled(job: Job) -> bytes:
    """A job as bytes; raises InvalidValue for what cannot be pickled, and names it."""
    parts = {
        "plan": job.plan,
        "graph": job.graph,
        "model": job.model,
        "measures": dict(job.measures),
        "learned": dict(job.learned),
        "members": dict(job.members),
    }
    parts["measures"] = {
        name: measure
        for name, measure in job.measures.items()
        if measure.source != "registered by the user" or name in _named(job)
    }
    for name, part in parts.items():
        try:
            pickle.dumps(part)
        except Exception as error:  # any class of the user's may be at fault
            raise InvalidValue(
                f"the {name} cannot be sent to the workers of an executor ({type(error).__name__}: {error}); "
                "define its functions and classes in a module that the workers can import"
            ) from error
    return pickle.dumps(parts, protocol=pickle.HIGHEST_PROTOCOL)


def _named(job: Job) -> set[str]:
    """The measures that the plan names anywhere."""
    text = str(job.plan).lower()
    return {name for name in job.measures if name.lower() in text}


def without_graph(found: Any, graph: Any) -> bytes:
    """What a worker found, pickled; the graph, which the other side has, is only named."""
    held = io.BytesIO()
    _Pickler(held, graph).dump(found)
    return held.getvalue()


def unpickled(content: bytes, graph: Any) -> Any:
    """What a worker found, on the graph that is here."""
    return _Unpickler(io.BytesIO(content), graph).load()


# -- in a worker ---------------------------------------------------------------------------------

_jobs: dict[str, Job] = {}  # the last job, by its key
_read: set[str] = set()  # that key, if the job was read from its file


def search(message: Message) -> Message:
    """Search some targets of a job, in a worker; what was found, or what is missing."""
    if versions() != message["versions"]:
        return {"versions": versions()}
    job = _job(message)
    if job is None:
        return {"lacks": NEEDED}
    within = job.plan.find(Generate).within
    started = time.perf_counter()
    if within is not None:
        started -= within - max(0.0, message["until"] - time.time())
    profile = Profile()
    reports: list[TargetReport] = []
    error: Exception | None = None

    def stopped() -> bool:
        return message["key"] in _read and not os.path.exists(message["path"])

    # Other workers share the machine; a task that runs in the coordinator's own process has its threads.
    with nullcontext() if home() == message["home"] else one_thread():
        try:
            waiting = deque(message["ordinals"])
            for report in executor.run(job, stopped, profile, started=started, waiting=waiting):
                reports.append(report)
        except Exception as found:
            error = portable(found)
    return {"found": without_graph((reports, profile, error), job.graph)}


def _job(message: Message) -> Job | None:
    """The job of a message: held, with it, or in its file; None where it is none of these."""
    key = message["key"]
    if key not in _jobs:
        content = message["payload"]
        from_file = content is None
        if from_file:
            try:
                content = Path(message["path"]).read_bytes()
            except OSError:
                return None
        _jobs.clear()
        _read.clear()
        gc.collect()
        _read.update([key] if from_file else [])
        _jobs[key] = Job(**pickle.loads(content))
    return _jobs[key]


def home() -> tuple[str, int]:
    """The machine and the process."""
    return socket.gethostname(), os.getpid()


@cache
def versions() -> dict[str, str | None]:
    """The versions of everything that decides an answer."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def portable(error: Exception) -> Exception:
    """An error that can be sent; one whose class does not allow it goes as its text."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # any class of a user's may be at fault
        return ModelError(f"{type(error).__name__}: {error}")
