"""One connection and many threads; several connections to one file in a process."""

import signal
import threading

import numpy as np
import pytest

import sxq
from sxq import planning
from tests import graphs, toys

QUERY = "EXPLAIN NODES {} USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 30 CANDIDATES"
WAIT = 20  # seconds that no test needs


def data(seed=0):
    return graphs.random_graph(np.random.default_rng(seed), features=2)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "x.duckdb")


@pytest.fixture
def con(path):
    with sxq.connect(path) as con:
        con.register_graph("g", data())
        con.register_model("m", toys.Votes(layers=2), "g")
        yield con


def side_by_side(*works):
    """Call each work on a thread of its own; what they returned, or the first error."""
    outcomes = [None] * len(works)
    ready = threading.Barrier(len(works))

    def one(number):
        ready.wait(WAIT)
        try:
            outcomes[number] = works[number]()
        except BaseException as error:
            outcomes[number] = error

    threads = [
        threading.Thread(target=one, args=(number,), daemon=True) for number in range(len(works))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


def assert_whole(path, results):
    """Every acknowledged result is stored, once and complete, and measures the same again."""
    with sxq.connect(path) as con:
        con.register_model("m", toys.Votes(layers=2), "g")
        ids = sorted(result.query_id for result in results)
        assert [
            row[0] for row in con.sql("SELECT query_id FROM queries WHERE seconds > 0 ORDER BY 1")
        ] == ids
        assert len(set(ids)) == len(ids)
        assert {status for (status,) in con.sql("SELECT DISTINCT status FROM targets")} == {"done"}
        for result in results:
            stored = con.sql(
                "SELECT target, rank, fdl_plus FROM explanations WHERE query_id = ?",
                [result.query_id],
            )
            assert sorted(stored) == sorted((e.target, e.rank, e.raw["fdl+"]) for e in result)
            asked = con.sql(
                "SELECT target FROM targets WHERE query_id = ? ORDER BY ordinal", [result.query_id]
            )
            assert [key for (key,) in asked] == [report.target for report in result.targets]
        orphans = """SELECT count(*) FROM targets ANTI JOIN queries USING (query_id)"""
        assert con.sql(orphans).fetchone() == (0,)
        audit = con.execute("AUDIT").rows
        assert {row[-1] for row in audit} == {"ok"} and len(audit) == sum(map(len, results))


def explain_twice(con, number):
    return lambda: [con.execute(QUERY.format(f"{number}, {number + second}")) for second in (1, 2)]


@pytest.mark.slow
def test_threads_share_a_connection(con, path):
    found = side_by_side(*(explain_twice(con, number) for number in range(4)))
    con.close()
    assert_whole(path, [result for results in found for result in results])


@pytest.mark.slow
def test_threads_with_connections_of_their_own_share_a_file(con, path):
    cons = [con, *(sxq.connect(path) for _ in range(3))]
    for other in cons[1:]:
        other.register_model("m", toys.Votes(layers=2), "g")
    found = side_by_side(*(explain_twice(each, number) for number, each in enumerate(cons)))
    for each in cons:
        each.close()
    assert_whole(path, [result for results in found for result in results])


@pytest.fixture
def busy(con):
    """A connection while a thread explains on it without end; it goes on when `busy.set()` is called."""
    started, go_on = threading.Event(), threading.Event()

    def hold(batch):
        """A measure that waits at the first candidates, so that the search is never over before."""
        started.set()
        go_on.wait(WAIT)
        return batch.sizes.astype(float)

    con.register_measure("hold", hold, larger_is_better=False, score=lambda raw: 1 / (1 + raw))
    text = QUERY.format("0, 1, 2").replace("conc", "conc, hold")
    worker = threading.Thread(target=con.execute, args=(text,), daemon=True)
    worker.start()
    assert started.wait(WAIT)
    yield con, go_on
    go_on.set()
    worker.join(WAIT)


def test_a_statement_waits_for_the_one_that_runs(busy):
    con, go_on = busy
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(con.sql("SELECT DISTINCT status FROM targets").fetchall()),
        daemon=True,
    )
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive() and not answers
    go_on.set()
    waiting.join(WAIT)
    assert answers == [[("done",)]]


@pytest.mark.slow
def test_close_waits_for_the_statement_that_runs(busy, path):
    con, go_on = busy
    closing = threading.Thread(target=con.close, daemon=True)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    go_on.set()
    closing.join(WAIT)
    assert not closing.is_alive() and len(con.last_result)
    with pytest.raises(sxq.Error, match="closed"):
        con.sql("SELECT 1")
    with pytest.raises(sxq.Error, match="closed"):
        con.execute(QUERY.format(0))
    with sxq.connect(path) as again:
        assert again.sql("SELECT DISTINCT status FROM targets").fetchall() == [("done",)]


def test_an_interrupt_stops_what_runs_and_not_what_waits(busy):
    con, go_on = busy
    later = []
    waiting = threading.Thread(
        target=lambda: later.append(con.execute(QUERY.format(3))), daemon=True
    )
    waiting.start()
    waiting.join(0.05)
    assert con.interrupt()
    go_on.set()
    waiting.join(WAIT)
    statuses = con.sql(
        "SELECT query_id, count_if(status = 'stopped') > 0 FROM targets GROUP BY 1 ORDER BY 1"
    )
    assert statuses.fetchall() == [(1, True), (later[0].query_id, False)]


def test_ctrl_c_while_waiting_leaves_the_turn_free(busy):
    con, go_on = busy
    threading.Timer(
        0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)
    ).start()
    with pytest.raises(KeyboardInterrupt):
        con.sql("SELECT 1")
    go_on.set()
    assert con.sql("SELECT 1").fetchall() == [(1,)]


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "nested",
    [
        lambda con: con.execute(QUERY.format(1)),
        lambda con: con.sql("SELECT 1"),
        lambda con: con.vocabulary(),
        lambda con: con.register_graph("g", data(1), replace=True),
        lambda con: con.close(),
    ],
    ids=["explain", "sql", "vocabulary", "register", "close"],
)
def test_a_statement_inside_a_statement_is_refused(con, nested):
    refused = []

    def asking(batch):
        """A measure that uses its own connection."""
        with pytest.raises(sxq.ConnectionBusy, match="inside a statement") as caught:
            nested(con)
        refused.append(caught.value)
        return batch.sizes.astype(float)

    con.register_measure("asking", asking, larger_is_better=False, score=lambda raw: 1 / (1 + raw))
    result = con.execute(QUERY.format("0, 1, 2").replace("conc", "conc, asking"))
    assert refused and len(result)
    assert (
        con.sql("SELECT query_id, status FROM targets").fetchall()
        == [(result.query_id, "done")] * 3
    )
    assert len(con.execute(QUERY.format(1)))


def test_the_turn_is_free_after_an_error(con):
    for _ in range(2):
        with pytest.raises(sxq.UnknownName):
            con.execute("EXPLAIN NODE 0 USING MODEL nobody OPTIMIZE conc")
    assert con.sql("SELECT 1").fetchall() == [(1,)]


def graph_and_verdicts(con, query_id):
    """The graph that a query refers to, and the verdicts of its answers."""
    rows = con.sql(
        "SELECT g.content_hash FROM sxq.graphs g JOIN queries USING (graph_id) WHERE query_id = ?",
        [query_id],
    )
    return rows.fetchall(), {row[-1] for row in con.execute(f"AUDIT QUERY {query_id}")}


@pytest.mark.slow
def test_a_connection_sees_what_another_one_replaced(con, path):
    con.execute("TRAIN MODEL t ON GRAPH g (EPOCHS = 1, LAYERS = 1)")
    con.execute("EXPLAIN NODE 0 USING MODEL t ON GRAPH g OPTIMIZE conc BUDGET 20 CANDIDATES")
    with sxq.connect(path) as other:
        other.register_graph("g", data(1), replace=True)
        with pytest.raises(sxq.ModelError, match="dropped or replaced"):
            con.execute(QUERY.format(0))
        other.register_model("m", toys.Votes(layers=1), "g", replace=True)
        other.execute("TRAIN OR REPLACE MODEL t ON GRAPH g (EPOCHS = 1, LAYERS = 2)")
        assert con.execute("DESCRIBE GRAPH g").rows == other.execute("DESCRIBE GRAPH g").rows
        result = con.execute("EXPLAIN NODE 0 USING MODEL t OPTIMIZE conc BUDGET 20 CANDIDATES")
        assert graph_and_verdicts(con, result.query_id) == ([(data(1).content_hash,)], {"ok"})
        assert ("hops", "2") in con.execute("DESCRIBE MODEL t").rows
        with pytest.raises(sxq.ModelDetached):  # its code is with the other connection
            con.execute(QUERY.format(0))
        con.register_model("m", toys.Votes(layers=1), "g")
        result = con.execute(QUERY.format(0))
        assert graph_and_verdicts(other, result.query_id) == ([(data(1).content_hash,)], {"ok"})


@pytest.mark.slow
def test_a_connection_sees_what_another_one_dropped_and_made_again(con, path):
    """The same content under the same name, but another row of the file: the answers must refer to that."""
    with sxq.connect(path) as other:
        for kind, name in (("MODEL", "m"), ("GRAPH", "g")):
            other.execute(f"DROP {kind} {name}")
        assert con.vocabulary().graphs == con.vocabulary().models == ()
        with pytest.raises(sxq.UnknownName):
            con.execute(QUERY.format(0))
        other.register_graph("g", data())
        con.register_model("m", toys.Votes(layers=2), "g")
        result = con.execute(QUERY.format(0))
        assert graph_and_verdicts(con, result.query_id) == ([(data().content_hash,)], {"ok"})


@pytest.mark.slow
def test_what_is_dropped_while_a_query_is_planned_is_noticed_before_it_is_stored(
    con, path, monkeypatch
):
    with sxq.connect(path) as other:
        plan = planning.plan

        def meanwhile(*given):
            planned = plan(*given)
            other.execute("DROP MODEL m; DROP GRAPH g")
            return planned

        monkeypatch.setattr(planning, "plan", meanwhile)
        with pytest.raises(sxq.StoreError, match="run the query again"):
            con.execute(QUERY.format(0))
        assert (
            con.sql("SELECT count(*) FROM queries").fetchone()
            == con.sql("SELECT count(*) FROM targets").fetchone()
            == (0,)
        )


@pytest.mark.slow
def test_a_learned_attributor_that_another_connection_replaced_is_loaded_again(con, path):
    pretrain = "PRETRAIN {} REFINE r FOR MODEL m ON GRAPH g (EPOCHS = {}, NODES = 5)"
    con.execute(pretrain.format("", 1))
    explain = (
        "EXPLAIN NODE 0 USING MODEL m OPTIMIZE conc BY refine (pretrained = r) BUDGET 30 CANDIDATES"
    )
    con.execute(explain)
    first = con.session.registry.learned.attributors("r")
    with sxq.connect(path) as other:
        other.register_model("m", toys.Votes(layers=2), "g")
        other.execute(pretrain.format("OR REPLACE", 2))
    con.execute(explain)
    assert con.session.registry.learned.attributors("r") is not first
