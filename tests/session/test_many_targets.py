"""Of a stored query with many targets the result keeps sums, and reads reports from the store."""

import json

import numpy as np
import pytest

import sxq
from sxq.execution import executor
from sxq.session import commits, explain
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
    with pytest.raises(sxq.InvalidValue, match="each of its 9 targets has its answer, 9 from"):
        con.execute("RESUME QUERY 1")


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
