"""Of a stored query with many targets the result keeps sums, and reads reports from the store."""

import json

import numpy as np
import pytest

import sxq
from sxq.execution import executor
from sxq.session import commits, explain, stored_result
from sxq.values import many_targets
from tests import graphs, toys

ASKED = "EXPLAIN NODES (SELECT range FROM range(9)) USING MODEL m OPTIMIZE fdl+, conc TOP 3 SEED 4 BUDGET 30 CANDIDATES"


@pytest.fixture
def con():
    with sxq.connect() as con:
        con.register_graph("g", graphs.random_graph(np.random.default_rng(0), features=2))
        con.register_model("m", toys.Votes(layers=2), "g")
        yield con


@pytest.fixture
def few_held(monkeypatch):
    """Two reports are too many to be held, and four are read together."""
    monkeypatch.setattr(explain, "HELD", 2)
    monkeypatch.setattr(many_targets, "PAGE", 4)
    monkeypatch.setattr(commits, "MOST_UNSAVED", 3)
    monkeypatch.setitem(executor.TOGETHER, "cpu", 2)


def said(report):
    return (
        report.target,
        report.ordinal,
        report.status,
        report.candidates,
        report.note,
        report.complete,
    )


def test_it_says_what_a_result_in_memory_says(con, few_held, monkeypatch, tmp_path):
    stored = con.execute(f"{ASKED} INTO stored")
    monkeypatch.setattr(explain, "HELD", 100)
    held = con.execute(f"{ASKED} INTO held")
    assert isinstance(stored.targets, many_targets.StoredReports)
    assert isinstance(held.targets, list)
    assert stored.summary() == held.summary() and stored.notes() == held.notes()
    assert str(stored) == str(held) and len(stored) == len(held) > 9
    assert stored.fetchone() == held.fetchone()
    assert stored.fetchall() == held.fetchall() and stored.rows == held.rows
    assert list(map(said, stored.targets)) == list(map(said, held.targets))
    assert stored.targets[-1].target == 8 and [r.target for r in stored.targets[3:6]] == [3, 4, 5]
    assert [e.edges for e in stored] == [e.edges for e in held]
    assert stored[-1].scores == held[-1].scores and len(stored[2:5]) == 3
    assert stored.df().equals(held.df())
    assert stored.overview().rows == held.overview().rows
    for result in (stored, held):
        result.export(str(tmp_path / f"{result.query_id}.json"))
    one, two = (json.loads((tmp_path / f"{n}.json").read_text())["targets"] for n in (1, 2))
    assert len(one) == len(two) == 9
    made = [con.sql(f"FROM {name} ORDER BY ALL").fetchall() for name in ("stored", "held")]
    assert made[0] == made[1] and len(made[0]) == len(held)
    with pytest.raises(IndexError):
        stored.targets[9]


def test_targets_that_were_not_reached_are_stored_in_groups(con, few_held, monkeypatch):
    result = con.execute(f"{ASKED} WITHIN 0.000001 SECONDS")
    assert len(result.targets) == 9 and not result.complete
    rows = con.sql(
        "SELECT status, count(*), count(prediction) FROM targets GROUP BY ALL"
    ).fetchall()
    assert rows == [("stopped", 9, 2)]
    assert "7 nodes, such as 2: stopped after 1e-06 seconds before" in " ".join(result.notes())
    resumed = con.execute("RESUME QUERY 1")  # goes on with those that have no answer
    assert [report.target for report in resumed.targets] == [2, 3, 4, 5, 6, 7, 8]
    for _ in range(3):
        con.execute("RESUME QUERY 1")  # two more are searched each time
    monkeypatch.setattr(stored_result, "HELD", 2)
    whole = con.execute("RESUME QUERY 1")  # nothing is left: the stored answer
    assert "each of its 9 targets has its answer, 9 from" in whole.notes()[0]
    assert isinstance(whole.targets, many_targets.StoredReports) and con.last_result is whole
    monkeypatch.setattr(stored_result, "HELD", 9)
    held = con.execute("RESUME QUERY 1")
    assert isinstance(held.targets, list) and held.rows == whole.rows and len(held) == 9
    assert list(map(said, held.targets)) == list(map(said, whole.targets))
    assert held.summary() == whole.summary()


def test_a_resumed_query_reads_its_own_targets(con, few_held):
    con.execute(ASKED)
    con.sql(
        "UPDATE sxq.targets SET status = 'failed', prediction = NULL WHERE ordinal IN (1, 2, 7)"
    )
    con.sql("DELETE FROM sxq.explanations WHERE target IN (1, 2, 7)")
    resumed = con.execute("RESUME QUERY 1")
    assert [report.target for report in resumed.targets] == [1, 2, 7]
    assert {e.target for e in resumed} == {1, 2, 7}


def test_an_answer_that_is_read_after_the_end_is_an_error_that_says_so(con, few_held):
    result = con.execute(ASKED)
    con.close()
    assert "9 nodes" in result.summary()
    with pytest.raises(sxq.StoreError, match="closed"):
        result.targets[0]


def test_an_interrupt_while_the_rest_is_reported_leaves_no_target_out(con, few_held, monkeypatch):
    begun = con.session.store.save_unreached
    calls = []

    def pressed(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt
        begun(*arguments)

    monkeypatch.setattr(con.session.store, "save_unreached", pressed)
    with pytest.raises(KeyboardInterrupt):
        con.execute(f"{ASKED} WITHIN 0.000001 SECONDS")
    assert len(con.last_result.targets) == 9
    assert con.sql("SELECT DISTINCT status FROM targets").fetchall() == [("stopped",)]


@pytest.fixture
def most_read(con, monkeypatch):
    """The most targets, and explanations, that were read at one time."""
    most = {}
    for name in ("stored_queries", "stored_explanations", "explanatory_candidates"):
        read = getattr(con.session.store, name)

        def reads(*given, read=read, name=name, **named):
            found = read(*given, **named)
            count = (
                max((len(q.targets) for q in found), default=0) if "queries" in name else len(found)
            )
            most[name] = max(most.get(name, 0), count)
            return found

        monkeypatch.setattr(con.session.store, name, reads)
    return most


def test_audit_reads_a_page_at_a_time_and_finds_what_it_finds_at_once(con, most_read, monkeypatch):
    con.execute("SET sxq_keep_candidates = true")
    for text in (ASKED, f"{ASKED} WITHIN 0.000001 SECONDS"):
        con.execute(text)
    con.sql("UPDATE sxq.targets SET candidates = 7 WHERE ordinal IN (2, 8)")
    con.sql("UPDATE sxq.explanations SET rank = 5 WHERE target = 6 AND rank = 1")
    con.sql("UPDATE sxq.explanations SET target = 70 WHERE target = 7")
    statements = ["AUDIT", "AUDIT QUERY 1", "AUDIT STRUCTURE"]
    at_once = [con.execute(text) for text in statements]
    assert most_read["stored_queries"] == 9 and most_read["stored_explanations"] > 12
    assert at_once[0].findings > 5 and any("70" in str(row) for row in at_once[0].rows)
    most_read.clear()
    monkeypatch.setattr(many_targets, "PAGE", 2)
    for text, found in zip(statements, at_once):
        again = con.execute(text)
        assert again.rows == found.rows and again.summary() == found.summary()
    assert most_read["stored_queries"] == 2 and most_read["stored_explanations"] <= 6
    assert most_read["explanatory_candidates"] <= 60


REFRESHED = """SELECT t.ordinal, t.target, t.status, refreshed, t.candidates, t.complete, t.note, e.rank, e.raw, e.scores,
    e.generator FROM targets t LEFT JOIN explanations e USING (query_id, target) WHERE query_id = ? ORDER BY ALL"""


def test_refresh_reads_a_page_at_a_time_and_answers_as_at_once(con, most_read, monkeypatch):
    con.execute(
        "EXPLAIN NODES (SELECT range FROM range(9)) USING MODEL m OPTIMIZE fdl+, conc BUDGET 30 CANDIDATES"
    )
    edge = con.sql("SELECT src, dst FROM edges WHERE src <> dst LIMIT 1").fetchone()
    con.execute("ALTER GRAPH g REMOVE EDGES (SELECT ?, ?)", list(edge))
    found = []
    for page in (2, 100):
        monkeypatch.setattr(many_targets, "PAGE", page)
        told = []
        con.report = told.append
        most_read.clear()
        row = con.execute("REFRESH QUERY 1").df().iloc[0]
        con.report = None
        found.append((con.sql(REFRESHED, [int(row.query_id)]).rows, row["carried":"left"].tolist()))
        assert most_read["stored_queries"] <= page and most_read["stored_explanations"] <= 10 * page
        assert all(one.total == 9 and 0 <= one.targets <= 9 and 0 <= one.share <= 1 for one in told)
        con.execute(f"DROP QUERY {row.query_id}")
    assert found[0] == found[1]
    assert len({row[3] for row in found[0][0]}) > 1, "several things were to be done"
