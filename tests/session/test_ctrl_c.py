"""Ctrl-C and `interrupt` at any moment: nothing foreign is raised, nothing found is lost, nothing leaks."""

import os
import random
import signal
import threading
import time
from contextlib import contextmanager

import duckdb
import numpy as np
import pytest

import sxq
from sxq.storage import answer_rows, graph_rows, named_rows
from sxq.storage.ctrl_c import hearing_ctrl_c
from tests import graphs, toys

QUERY = "EXPLAIN NODES 0, 1 USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 30 CANDIDATES"
SLOW = "SELECT sum(hash(range)) FROM range(2000000000)"  # many seconds
FOREVER = "SELECT count(*) FROM range(100000000000)"


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "x.duckdb")


@pytest.fixture
def con(path):
    with sxq.connect(path) as con:
        con.register_graph("g", graphs.random_graph(np.random.default_rng(0), features=2))
        con.register_model("m", toys.Votes(layers=2), "g")
        yield con


@contextmanager
def pestered(con, seed=0):
    """While another thread interrupts the connection at random moments."""
    over = threading.Event()
    rng = random.Random(seed)

    def pester():
        while not over.wait(rng.random() * 0.004):
            con.interrupt()

    thread = threading.Thread(target=pester)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
def test_an_interrupt_at_the_end_of_a_statement_raises_nothing_foreign(con):
    """Only SQL of the user's own, which DuckDB stops without a result, raises; and it says so."""
    con.execute("CREATE TABLE t (a INT)")
    statements = [
        "SELECT count(*) FROM range(1000000)",
        "INSERT INTO t VALUES (1)",
        "SHOW MODELS",
        "DROP MODEL IF EXISTS nobody",
        QUERY,
        f"{QUERY} INTO answers",
        "DROP TABLE IF EXISTS answers",
    ]
    rng = random.Random(1)
    with pestered(con):
        end = time.monotonic() + 2
        while time.monotonic() < end:
            statement = rng.choice(statements)
            try:
                con.execute(statement)
            except sxq.NameTaken:
                assert "INTO" in statement
            except sxq.SQLError as error:
                assert "Interrupted" in str(error) and statement.split()[0] in {
                    *("SELECT", "INSERT"),
                    *("DROP", "SHOW"),
                }
    for _ in range(50):
        assert con.execute("SELECT 1; SELECT 2").rows == [(2,)]
    assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


def test_an_interrupt_does_not_reach_the_next_script(con, monkeypatch):
    """One that is on its way when its script ends: the end waits for it."""
    started = threading.Event()
    stop = con.session.store.interrupt

    def late():
        started.set()
        time.sleep(0.1)
        stop()

    monkeypatch.setattr(con.session.store, "interrupt", late)
    monkeypatch.setattr("sxq.connection.show", lambda *_: worker.start() or started.wait(5))
    worker = threading.Thread(target=con.interrupt)
    con.execute("SHOW MODELS")
    assert len(con.execute("SELECT 1; SELECT range FROM range(300000)").rows) == 300000
    worker.join()


def strike_inside(monkeypatch, module, name, times=1, signalled=False):
    """Ctrl-C in the middle of a statement of the engine, the first time(s) that `name` is called.

    A real signal arrives within the statement; otherwise the error is raised that DuckDB makes of one.
    """
    original = getattr(module, name)
    struck = []

    def slow(cursor, *arguments, **options):
        if len(struck) < times:
            struck.append(name)
            if not signalled:
                raise RuntimeError("Query interrupted")
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            cursor.execute(SLOW).fetchall()
        return original(cursor, *arguments, **options)

    monkeypatch.setattr(module, name, slow)
    return struck


@pytest.mark.slow
@pytest.mark.parametrize(
    "module, name, text",
    [
        (graph_rows, "save", "CREATE GRAPH h FROM DATASET 'KarateClub'"),
        (graph_rows, "listing", "SHOW GRAPHS"),
        (named_rows, "drop", "DROP MODEL m"),
        (answer_rows, "begin", QUERY),
    ],
)
def test_ctrl_c_inside_the_engines_sql(con, monkeypatch, module, name, text):
    struck = strike_inside(monkeypatch, module, name)
    with pytest.raises(KeyboardInterrupt):
        con.execute(text)
    assert struck
    assert len(con.execute(QUERY)) and con.execute(text) is not None
    con.execute("SELECT 1")


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "name, signalled", [("save_targets", False), ("finish", False), ("finish", True)]
)
def test_ctrl_c_while_an_answer_is_stored_keeps_it(con, monkeypatch, name, signalled):
    struck = strike_inside(monkeypatch, answer_rows, name, signalled=signalled)
    with pytest.raises(KeyboardInterrupt):
        con.execute(QUERY)
    assert struck
    last = con.last_result
    assert len(last) and len(last.targets) == 2
    stored = con.sql("SELECT target, rank, fdl_plus FROM explanations")
    assert sorted(stored) == sorted((e.target, e.rank, e.raw["fdl+"]) for e in last)
    assert con.sql("SELECT seconds > 0 FROM queries").fetchall() == [(True,)]
    assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


def test_ctrl_c_while_duckdb_reads_parameters():
    """DuckDB makes an error of its own of what a signal handler raises in the middle of them."""
    with pytest.raises(KeyboardInterrupt), hearing_ctrl_c():
        raise duckdb.Error("KeyboardInterrupt: ")
    with pytest.raises(duckdb.Error, match="KeyboardInterrupt"), hearing_ctrl_c():
        duckdb.sql("SELECT error('KeyboardInterrupt')").fetchall()


def test_a_second_ctrl_c_inside_the_engines_sql_aborts(con, monkeypatch):
    strike_inside(monkeypatch, answer_rows, "finish", times=2)
    with pytest.raises(KeyboardInterrupt):
        con.execute(QUERY)
    assert len(con.last_result)
    assert con.sql("SELECT seconds FROM queries").fetchall() == [(None,)]
    assert len(con.execute(QUERY))


def test_what_a_signal_handler_raises_stops_sql_and_is_raised(con):
    def late(number, frame):
        raise TimeoutError("too long")

    before = signal.signal(signal.SIGALRM, late)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TimeoutError, match="too long"):
            con.execute(FOREVER)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert con.sql("SELECT 1").rows == [(1,)]


def test_sql_that_outlives_several_ctrl_c_is_ended_before_the_next(con, monkeypatch):
    """A second Ctrl-C in the middle of handling the first leaves the call; the SQL must not run on beside others."""
    user = con.session.store._user_sql
    monkeypatch.setattr(user, "interrupt", lambda: signal.raise_signal(signal.SIGINT))
    threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        con.execute(FOREVER)
    monkeypatch.undo()
    assert con.execute("SELECT 1").rows == [(1,)]
    assert len(con.execute(QUERY))


CLOSED = {
    "sql": lambda con: con.sql("SELECT 1"),
    "explain": lambda con: con.execute(QUERY),
    "show": lambda con: con.execute("SHOW MODELS"),
    "audit": lambda con: con.execute("AUDIT"),
    "train": lambda con: con.execute("TRAIN MODEL t ON GRAPH g (EPOCHS = 1)"),
    "register_graph": lambda con: con.register_graph(
        "h", graphs.random_graph(np.random.default_rng(1))
    ),
    "register_model": lambda con: con.register_model("n", toys.Votes(layers=2), "g"),
    "vocabulary": lambda con: con.vocabulary(),
}


@pytest.mark.slow
@pytest.mark.sweep(3)
@pytest.mark.parametrize("call", CLOSED.values(), ids=CLOSED)
def test_a_closed_connection_says_so(con, call):
    con.close()
    with pytest.raises(sxq.Error, match="closed"):
        call(con)
    con.close()
    assert con.interrupt() is False


def test_close_while_sql_runs_in_another_thread(con):
    """It waits; after an interrupt the other thread has its error, and the connection is closed."""
    outcome = []

    def forever():
        try:
            con.execute(FOREVER)
        except BaseException as error:
            outcome.append(error)

    worker = threading.Thread(target=forever)
    worker.start()
    while not con.interrupt():
        time.sleep(0.01)
    con.close()
    worker.join(20)
    assert [type(error) for error in outcome] == [sxq.SQLError]
    with pytest.raises(sxq.Error, match="closed"):
        con.sql("SELECT 1")


@pytest.mark.parametrize("told", ["argument", "setting"])
def test_a_statement_waits_for_another_thread_as_long_as_it_is_told(path, told):
    with sxq.connect(path, lock_timeout=0.1 if told == "argument" else "auto") as con:
        if told == "setting":
            con.execute("SET sxq_lock_timeout = 0.1")
        worker = threading.Thread(
            target=lambda: pytest.raises(sxq.SQLError, con.execute, FOREVER), daemon=True
        )
        worker.start()
        while not con.session.running:
            time.sleep(0.01)
        for call in (lambda: con.execute("SHOW MODELS"), con.close, con.vocabulary):
            with pytest.raises(sxq.ConnectionBusy, match=r"waited 0.1 seconds .*sxq_lock_timeout"):
                call()
        con.interrupt()
        worker.join(20)
        con.execute("SET sxq_lock_timeout = 'auto'")
        assert con.execute("SELECT 1").rows == [(1,)]


@pytest.mark.parametrize("value", [-1, "soon", float("nan"), None, True])
def test_a_lock_timeout_is_a_number_of_seconds(value):
    with pytest.raises(sxq.InvalidValue, match="sxq_lock_timeout = .*expected 'auto' or a number"):
        sxq.connect(lock_timeout=value)


def test_the_lock_timeout_changes_no_answer_and_is_not_stored(con):
    con.execute(f"SET sxq_lock_timeout = 5; {QUERY}")
    assert "sxq_lock_timeout" not in con.sql("SELECT settings::VARCHAR FROM queries").fetchone()[0]
