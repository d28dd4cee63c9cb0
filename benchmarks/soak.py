"""A soak: everything that goes wrong in practice, at random, against what must hold all the same.

    python benchmarks/soak.py --minutes 10 --seed 0

Each step is one kind of trouble, for about a second, in a process of its own on the same file: a kill -9 while it
explains, interrupts from a thread, Ctrl-C, a second process, threads, forks, a full disk, corrupt bytes in a copy
of the file, hostile names. After each step the file is opened again, and these must hold:

    every target whose answer was returned is in the file, with that answer
    AUDIT finds nothing
    the user's model is as it was
    nothing but sxq.Error was raised (and KeyboardInterrupt where Ctrl-C was pressed)

Prints what was done and survived, and exits with 1 and the step that broke a rule. Steps are forked from one
process that has imported everything and opened nothing.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv

import sxq

NODES = 40
QUERY = "EXPLAIN NODES {} USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 40 CANDIDATES SEED {}"
NAMES = [
    '"; DROP TABLE x; --',
    "'quote'",
    "naïve ü",
    "a.b.c",
    "select",
    "x" * 300,
    "\u202eabc",
    "%s%n",
]
PATIENCE = 120  # seconds for a step, which takes one


class Net(torch.nn.Module):
    """Two layers, as a user may bring them."""

    def __init__(self):
        super().__init__()
        self.first = GCNConv(4, 8)
        self.second = GCNConv(8, 3)

    def forward(self, x, edge_index):
        return self.second(self.first(x, edge_index).relu(), edge_index)


def graph() -> Data:
    """The same random graph in every process."""
    rng = np.random.default_rng(0)
    edges = rng.integers(0, NODES, (2, 3 * NODES))
    edges = edges[:, edges[0] != edges[1]]
    both = np.concatenate([edges, edges[::-1]], axis=1)
    x = rng.standard_normal((NODES, 4)).astype("f4")
    return Data(x=torch.from_numpy(x), edge_index=torch.from_numpy(both))


def module() -> Net:
    """The same model in every process."""
    torch.manual_seed(0)
    return Net()


class Broken(Exception):
    """A rule does not hold."""


class Step:
    """What a step has at hand in its own process."""

    def __init__(self, path: str, seed: str, tell: Callable[[dict], None]):
        self.path = path
        self.rng = random.Random(seed)
        self.tell = tell  # to the process that keeps the books
        self.end = float("inf")
        self.module = module()
        self.before = state(self.module)

    @property
    def over(self) -> bool:
        return time.monotonic() > self.end

    @contextmanager
    def connected(self, path: str | None = None, **options: Any):
        """A connection with the graph and the model, which stays as it is."""
        with sxq.connect(path or self.path, lock_timeout=20, **options) as con:
            con.register_graph("g", graph())
            con.register_model("m", self.module, "g")
            self.end = min(self.end, time.monotonic() + 0.3 + self.rng.random())
            yield con
        if state(self.module) != self.before:
            raise Broken("the user's model was changed")

    def explain(self, con: sxq.Connection) -> None:
        """Explain some targets, and say what was answered."""
        nodes = self.rng.sample(range(NODES), self.rng.randint(1, 3))
        result = con.execute(QUERY.format(", ".join(map(str, nodes)), self.rng.randrange(1000)))
        self.acknowledge(result)

    def acknowledge(self, result: Any) -> None:
        """Tell of an answer that was returned."""
        if isinstance(result, sxq.Result) and result.query_id is not None:
            told = [[r.target, r.status, len(r.explanations)] for r in result.targets]
            self.tell({"query": result.query_id, "targets": told})

    def survive(self, action: Callable[[], object]) -> None:
        """Run an action that may be refused, with one of our own errors."""
        try:
            action()
            self.tell({"count": "done"})
        except sxq.Error as error:
            self.tell({"count": type(error).__name__})


def state(net: torch.nn.Module) -> list:
    """Everything of a module that may not change."""
    weights = [value.tolist() for value in net.state_dict().values()]
    return [
        weights,
        [part.training for part in net.modules()],
        [sorted(vars(p)) for p in net.modules()],
    ]


# The kinds of trouble. Each runs in its own process; `killed` and `pressed` are disturbed from outside.


def killed(step: Step) -> None:
    with step.connected() as con:
        step.tell({"ready": True})
        while True:
            step.explain(con)


def pressed(step: Step) -> None:
    """Ctrl-C at any moment."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    while not step.over:
        with suppress(KeyboardInterrupt), step.connected() as con:
            while not step.over:
                step.tell({"ready": True})
                last = con.last_result
                try:
                    step.explain(con)
                except KeyboardInterrupt:
                    if con.last_result is not last:
                        step.acknowledge(con.last_result)
                    step.tell({"count": "KeyboardInterrupt"})
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def interrupted(step: Step) -> None:
    with step.connected() as con:
        thread = threading.Thread(target=_interrupt, args=(step, con))
        thread.start()
        while not step.over:
            step.survive(lambda: step.explain(con))
            step.survive(lambda: con.execute("SELECT count(*) FROM targets, range(100000)"))
        thread.join()


def _interrupt(step: Step, con: sxq.Connection) -> None:
    rng = random.Random(step.rng.random())
    while not step.over:
        time.sleep(rng.random() * 0.05)
        con.interrupt()


def two_processes(step: Step) -> None:
    """A second one finds the file locked, or waits for it."""
    with step.connected() as con:
        step.explain(con)
        child = os.fork()
        if not child:
            code = 1
            with suppress(BaseException):
                try:
                    sxq.connect(step.path, lock_timeout=0.2)
                except (sxq.DatabaseLocked, sxq.ForkedConnection):
                    code = 0
            os._exit(code)
        step.explain(con)
        if os.waitpid(child, 0)[1]:
            raise Broken("a second process opened the file, or got another error")


def threads(step: Step) -> None:
    wrong: list[BaseException] = []
    with step.connected() as con:

        def work() -> None:
            try:
                while not step.over:
                    step.survive(lambda: step.explain(con))
            except BaseException as error:
                wrong.append(error)

        several = [threading.Thread(target=work) for _ in range(4)]
        for thread in several:
            thread.start()
        for thread in several:
            thread.join()
    if wrong:
        raise wrong[0]


def forked(step: Step) -> None:
    """A child that inherits the connection is refused, and its end leaves the file alone."""
    with step.connected() as con:
        step.explain(con)
        child = os.fork()
        if not child:
            code = 1
            with suppress(BaseException):
                try:
                    con.execute("SELECT 1")
                except sxq.ForkedConnection:
                    con.close()
                    code = 0
            os._exit(code)
        step.explain(con)
        if os.waitpid(child, 0)[1]:
            raise Broken("a forked process used the connection")


def full_disk(step: Step) -> None:
    """No file of this process may grow by more than a little."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with suppress(sxq.Error), step.connected() as con:
        size = max(map(os.path.getsize, Path(step.path).parent.glob("*.duckdb*")))
        room = size + step.rng.randrange(200_000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        while not step.over:
            step.survive(lambda: step.explain(con))
            step.survive(lambda: con.execute("CREATE OR REPLACE TABLE big AS FROM range(200000)"))


def corrupt(step: Step) -> None:
    """Random bytes of a copy are changed; the copy is read as far as it goes."""
    copy = step.path + ".copy"
    shutil.copy(step.path, copy)
    size = os.path.getsize(copy)
    with open(copy, "r+b") as file:
        for _ in range(step.rng.randint(1, 20)):
            file.seek(step.rng.randrange(size))
            file.write(step.rng.randbytes(step.rng.randint(1, 64)))

    def read() -> None:
        with sxq.connect(copy) as con:
            for text in ("SHOW MODELS", "SHOW QUERIES", "FROM explanations", "AUDIT"):
                step.survive(lambda text=text: con.execute(text))

    step.survive(read)


def hostile(step: Step) -> None:
    """Names that look like SQL, paths or formats."""
    name = step.rng.choice(NAMES)
    quoted = '"' + name.replace('"', '""') + '"'
    with step.connected() as con:
        step.survive(lambda: con.register_graph(name, graph(), replace=True))
        step.survive(lambda: con.register_model(name, step.module, name, replace=True))
        step.survive(
            lambda: con.execute(
                f"EXPLAIN NODE 1 USING MODEL {quoted} OPTIMIZE conc BUDGET 20 CANDIDATES"
            )
        )
        step.survive(lambda: con.execute(f"DESCRIBE MODEL {quoted}"))
        step.survive(lambda: con.execute(f"DROP MODEL {quoted}"))
        step.survive(lambda: con.execute(f"DROP GRAPH {quoted}"))
        step.explain(con)


KINDS = (killed, pressed, interrupted, two_processes, threads, forked, full_disk, corrupt, hostile)


def verify(step: Step, acknowledged: dict[int, list], whole: bool) -> None:
    """The rules, on the file as it is now."""
    with step.connected() as con:
        for query in (
            acknowledged
            if whole
            else step.rng.sample(list(acknowledged), min(5, len(acknowledged)))
        ):
            stored = con.sql(
                "SELECT t.target, t.status, count(e.rank) FROM targets t LEFT JOIN explanations e"
                " USING (query_id, target) WHERE query_id = ? GROUP BY ALL ORDER BY 1",
                [query],
            ).fetchall()
            if sorted(map(list, stored)) != sorted(acknowledged[query]):
                raise Broken(
                    f"query {query} answered {acknowledged[query]}, the file holds {stored}"
                )
        for query in list(acknowledged) if whole else list(acknowledged)[-2:]:
            rows = con.execute(f"AUDIT QUERY {query}").rows
            if wrong := [row for row in rows if not str(row[-1]).startswith("ok")]:
                raise Broken(f"AUDIT QUERY {query} found {wrong[:3]}")


class Books:
    """What was acknowledged, and what was survived."""

    def __init__(self) -> None:
        self.acknowledged: dict[int, list] = {}
        self.steps: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.counts: dict[str, Counter[str]] = {}

    def write(self, kind: str, news: dict) -> None:
        if "query" in news:
            self.acknowledged[news["query"]] = news["targets"]
            self.answers[kind] += len(news["targets"])
        if "count" in news:
            self.counts.setdefault(kind, Counter())[news["count"]] += 1

    def show(self) -> None:
        print(f"{'trouble':<14} {'steps':>5} {'targets kept':>12}  survived")
        for kind in KINDS:
            name = kind.__name__
            said = ", ".join(
                f"{n} {what}" for what, n in self.counts.get(name, Counter()).most_common(5)
            )
            print(f"{name:<14} {self.steps[name]:>5} {self.answers[name]:>12}  {said}")


def in_process(
    books: Books,
    kind: str,
    work: Callable[[Step], object],
    step: tuple[str, str],
    disturb: Any = None,
) -> None:
    """Run `work` in a forked process; `disturb(pid, ready)` may kill it or press Ctrl-C."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        out = os.fdopen(writing, "w", buffering=1)
        code = 0
        try:
            work(Step(*step, tell=lambda news: print(json.dumps(news), file=out)))
        except BaseException:
            code = 1
            print(json.dumps({"broken": traceback.format_exc()}), file=out)
        out.flush()
        os._exit(code)
    os.close(writing)
    ready = threading.Event()
    watching = threading.Thread(target=_watch, args=(child, ready, disturb))
    watching.start()
    broken = ""
    with os.fdopen(reading) as lines:
        for line in lines:
            if not line.endswith("\n"):
                break  # it was killed in the middle
            news = json.loads(line)
            ready.set()
            broken = news.get("broken", broken)
            books.write(kind, news)
    ready.set()
    watching.join()
    status = os.waitpid(child, 0)[1]
    killed_by_us = (
        disturb is _kill and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    )
    if broken or (status and not killed_by_us):
        raise Broken(broken or f"the process ended with status {status}")


def _watch(child: int, ready: threading.Event, disturb: Any) -> None:
    if disturb and ready.wait(PATIENCE):
        disturb(child)


def _kill(child: int) -> None:
    time.sleep(0.5 + 1.5 * random.random())
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def _press(child: int) -> None:
    for _ in range(4):
        time.sleep(random.random() * 0.2)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGINT)


DISTURB = {"killed": _kill, "pressed": _press}


def soak(minutes: float, seed: int, most: int | None) -> int:
    """Steps until the time is over; the exit code."""
    end = time.monotonic() + 60 * minutes
    books = Books()
    number = 0
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "soak.duckdb"))
        try:
            while time.monotonic() < end and number != most:
                name = f"{seed}/{number}"
                random.seed(name)
                kind = KINDS[number] if number < len(KINDS) else random.choice(KINDS)
                books.steps[kind.__name__] += 1
                in_process(books, kind.__name__, kind, (path, name), DISTURB.get(kind.__name__))
                rules = lambda step: verify(step, books.acknowledged, whole=False)
                in_process(books, "verify", rules, (path, name))
                number += 1
            rules = lambda step: verify(step, books.acknowledged, whole=True)
            in_process(books, "verify", rules, (path, "end"))
        except Broken as problem:
            books.show()
            print(
                f"\nbroken at step {number} ({kind.__name__}): --seed {seed} --steps {number + 1}\n{problem}"
            )
            return 1
    books.show()
    print(
        f"\n{number} steps, {sum(books.answers.values())} targets acknowledged, all kept; AUDIT found nothing"
    )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="at most so many, to reproduce a step")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sxq.explain(module(), graph(), node=0, budget=5)  # everything is imported before the first fork
    return soak(options.minutes, options.seed, options.steps)


if __name__ == "__main__":
    sys.exit(main())
