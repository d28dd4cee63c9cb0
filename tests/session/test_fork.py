"""A forked process and the connection that it inherits."""

import multiprocessing
import os
import threading
import warnings

import duckdb
import numpy as np
import pytest

import sxq
from sxq.execution import executor
from sxq.storage import schema
from tests import graphs, toys

QUERY = "EXPLAIN NODES {} USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 30 CANDIDATES"
WAIT = 20  # seconds that no test needs

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "x.duckdb")


@pytest.fixture
def con(path):
    with sxq.connect(path) as con:
        con.register_graph("g", graphs.random_graph(np.random.default_rng(0), features=2))
        con.register_model("m", toys.Votes(layers=2), "g")
        con.execute(QUERY.format(0))
        yield con


def said(work):
    """What a call raised, as text, or that it raised nothing."""
    try:
        work()
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def in_child(work):
    """What `work` returns in a forked child that ends as multiprocessing ends it; None where it died or hung."""
    context = multiprocessing.get_context("fork")
    answers, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(work()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks
        child.start()
    sender.close()
    try:
        answer = answers.recv() if answers.poll(WAIT) else None
    except EOFError:
        answer = None
    child.join(WAIT)
    if child.is_alive():
        child.kill()
    assert child.exitcode == 0, f"exit code {child.exitcode} after {answer}"
    return answer


def assert_whole(con, path, queries):
    """What was acknowledged is in the file after it is opened again."""
    con.close()
    with sxq.connect(path) as again:
        again.register_model("m", toys.Votes(layers=2), "g")
        stored = again.sql("SELECT query_id, seconds IS NULL FROM queries ORDER BY 1").fetchall()
        assert stored == [(number, False) for number in queries]
        assert again.sql("SELECT DISTINCT status FROM targets").fetchall() == [("done",)]
        assert {row[-1] for row in again.execute("AUDIT")} == {"ok"}


CALLS = {
    "explain": lambda con: con.execute(QUERY.format(1)),
    "sql": lambda con: con.sql("CREATE TABLE t AS SELECT 1"),
    "question": lambda con: con.explain(node=1).using("m").optimize("conc").budget(20).run(),
    "register_graph": lambda con: con.register_graph(
        "h", graphs.random_graph(np.random.default_rng(1))
    ),
    "register_model": lambda con: con.register_model("n", toys.Votes(), "g"),
    "register_measure": lambda con: con.register_measure("f", lambda batch: batch.sizes, True),
    "register_explainer": lambda con: con.register_explainer("f", lambda module: None),
    "vocabulary": lambda con: con.vocabulary(),
    "interrupt": lambda con: con.interrupt(),
}


def test_a_child_is_refused_everything_and_the_parent_loses_nothing(con, path):
    answers = in_child(
        lambda: {name: said(lambda call=call: call(con)) for name, call in CALLS.items()}
    )
    for name, answer in answers.items():
        assert answer.startswith(
            f"ForkedConnection: this connection was opened by process {os.getpid()}"
        ), name
        assert "sxq.connect(path, read_only=True)" in answer and "spawn" in answer
    con.execute(QUERY.format(1))
    assert_whole(con, path, [1, 2])


def test_a_child_closes_and_collects_what_is_not_its_own_without_a_trace(con, path):
    before = os.stat(path), os.stat(path + ".wal")

    def leave():
        con.close()
        con.session = None
        return [os.stat(name).st_mtime_ns for name in (path, path + ".wal")]

    assert in_child(leave) == [stat.st_mtime_ns for stat in before]
    con.execute(QUERY.format(1))
    assert_whole(con, path, [1, 2])


@pytest.mark.slow
@pytest.mark.parametrize("read_only", [False, True])
def test_a_child_does_not_open_the_file_that_its_parent_had_open(con, path, read_only):
    """DuckDB would take the copy of its parent's memory for an open database."""
    relative = os.path.relpath(path)
    assert in_child(lambda: said(lambda: sxq.connect(relative, read_only))).startswith(
        f"ForkedConnection: '{relative}' was open in process {os.getpid()}"
    )
    assert_whole(con, path, [1])


@pytest.mark.slow
def test_a_child_opens_what_was_closed_before_the_fork(con, path):
    con.close()

    def explain():
        with sxq.connect(path) as own:
            own.register_model("m", toys.Votes(layers=2), "g")
            return own.execute(QUERY.format(1)).query_id

    assert in_child(explain) == 2
    with sxq.connect(path) as again:
        assert_whole(again, path, [1, 2])


@pytest.mark.slow
def test_a_child_that_is_forked_during_a_statement_does_not_wait_for_it(con, path, monkeypatch):
    monkeypatch.setattr(executor, "REPORT_EVERY", 0)  # however fast the search is
    started, go_on = threading.Event(), threading.Event()

    def hold(progress):
        started.set()
        go_on.wait(WAIT)

    con.report = hold
    worker = threading.Thread(target=con.execute, args=(QUERY.format("1, 2, 3"),), daemon=True)
    worker.start()
    assert started.wait(WAIT)
    calls = CALLS["sql"], CALLS["interrupt"], sxq.Connection.close
    answers = in_child(lambda: [said(lambda call=call: call(con)) for call in calls])
    go_on.set()
    worker.join(WAIT)
    con.report = None
    assert [answer.partition(":")[0] for answer in answers] == [
        "ForkedConnection",
        "ForkedConnection",
        "nothing",
    ]
    assert_whole(con, path, [1, 2])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["connect", "close"])
def test_a_fork_waits_for_a_thread_that_opens_or_closes_a_file(name, path, monkeypatch):
    """DuckDB holds a lock meanwhile, which a child would find locked for ever."""
    inside, go_on = threading.Event(), threading.Event()
    events = []
    real = duckdb.connect

    class Slow:
        """A connection of DuckDB that takes its time to close."""

        def __init__(self, connection):
            self.connection = connection

        def __getattr__(self, attribute):
            return getattr(self.connection, attribute)

        def close(self):
            hold()
            self.connection.close()

    def hold():
        if threading.current_thread() is worker:
            inside.set()
            go_on.wait(WAIT)
            events.append("opened or closed")

    def connect(*arguments, **options):
        connection = real(*arguments, **options)
        if name == "close":
            return Slow(connection) if threading.current_thread() is worker else connection
        hold()
        return connection

    def work():
        sxq.connect(path).close()

    worker = threading.Thread(target=work, daemon=True)
    monkeypatch.setattr(duckdb, "connect", connect)
    worker.start()
    assert inside.wait(WAIT)
    threading.Timer(0.3, go_on.set).start()

    def open_in_child():
        sxq.connect(path + ".other").close()
        return list(events)

    assert in_child(open_in_child) == ["opened or closed"]
    worker.join(WAIT)


def test_a_child_forked_while_a_file_is_prepared_does_not_open_it(path, monkeypatch):
    """Between DuckDB's opening and the end of `connect` a thread makes tables or runs migrations."""
    inside, go_on = threading.Event(), threading.Event()
    real = schema.prepare

    def slow(*arguments):
        inside.set()
        go_on.wait(WAIT)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(schema, "prepare", slow)
        worker = threading.Thread(target=lambda: sxq.connect(path).close(), daemon=True)
        worker.start()
        assert inside.wait(WAIT)
    answer = in_child(lambda: said(lambda: sxq.connect(path)))
    go_on.set()
    worker.join(WAIT)
    assert answer.startswith(f"ForkedConnection: {path!r} was open in process {os.getpid()}")
    sxq.connect(path).close()
