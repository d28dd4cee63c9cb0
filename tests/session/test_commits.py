"""Targets that end together are stored together, and nothing is lost by it."""

from types import SimpleNamespace

import numpy as np
import pytest

import sxq
from sxq.session import commits
from sxq.session.commits import Unsaved
from sxq.storage import answer_rows
from tests import graphs, toys
from tests.stored_values import begin, explanation, report, stopped

ASKED = "EXPLAIN NODES (SELECT node FROM nodes) USING MODEL m OPTIMIZE conc BY random BUDGET 5 CANDIDATES"


@pytest.fixture
def con():
    with sxq.connect() as con:
        con.register_graph("g", graphs.random_graph(np.random.default_rng(0), features=2))
        con.register_model("m", toys.Votes(layers=2), "g")
        yield con


def counted(monkeypatch):
    """The sizes of the groups that are stored."""
    sizes = []
    save = answer_rows.save_targets

    def noticed(cursor, query_id, reports, version):
        sizes.append(len(reports))
        save(cursor, query_id, reports, version)

    monkeypatch.setattr(answer_rows, "save_targets", noticed)
    return sizes


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 100])
def test_answers_do_not_depend_on_the_groups(con, monkeypatch, seconds):
    monkeypatch.setattr(commits, "TOGETHER", seconds)
    sizes = counted(monkeypatch)
    found = con.execute(ASKED)
    assert sum(sizes) == len(found.targets) > 3
    assert sizes[0] == 1 and (len(sizes) == 2 if seconds else set(sizes) == {1})
    stored = "SELECT target, rank, size FROM explanations ORDER BY ALL"
    assert con.execute(stored).rows == sorted((e.target, e.rank, e.size) for e in found)
    statuses = {status for (status,) in con.execute("SELECT status FROM targets").rows}
    assert statuses <= {"done", "empty"}
    assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


@pytest.mark.slow
def test_a_report_that_cannot_be_stored_costs_no_other(con, monkeypatch):
    monkeypatch.setattr(commits, "TOGETHER", 100)
    made = answer_rows._explanation
    hit = max(e.target for e in con.execute(ASKED))

    def refused(number, query_id, member):
        if member.target == hit:
            raise sxq.StoreError("no space left")
        return made(number, query_id, member)

    monkeypatch.setattr(answer_rows, "_explanation", refused)
    with pytest.raises(sxq.StoreError, match="no space left"):
        con.execute(ASKED)
    asked = "SELECT target, status FROM targets WHERE query_id = 2"
    statuses = dict(con.execute(asked).rows)
    done = {target for target, status in statuses.items() if status in ("done", "empty")}
    assert set(range(hit)) <= done and hit not in done


def unsaved(con, query_id):
    profile = SimpleNamespace(charge=lambda *_: None)
    return Unsaved(con.session, query_id, None, profile)


def test_what_is_due_is_stored_while_the_run_goes_on(con, monkeypatch):
    query_id = begin(con.session.store, targets=list(range(5)))
    waiting = unsaved(con, query_id)
    waiting.reports += [report(n, n, explanation(n)) for n in range(3)]
    assert waiting.due() and not waiting.stop_or_save() and waiting.reports == []
    waiting.reports.append(report(3, 3, explanation(3)))
    monkeypatch.setattr(commits, "TOGETHER", 100)
    assert not waiting.due() and not waiting.stop_or_save() and len(waiting.reports) == 1
    monkeypatch.setattr(commits, "TOGETHER", 0)
    con.session.store.execute("BEGIN")
    assert waiting.stop_or_save() and len(waiting.reports) == 1  # the store refuses: the run stops
    con.session.store.execute("ROLLBACK")
    waiting.reports.append(stopped(4, "late"))
    waiting.save()
    count = "SELECT status, count(*) FROM targets WHERE query_id = ? GROUP BY ALL ORDER BY ALL"
    assert con.execute(count, [query_id]).rows == [("done", 4), ("stopped", 1)]


def test_all_of_a_group_or_nothing(con):
    store = con.session.store
    query_id = begin(store, targets=list(range(3)))
    good = report(0, 0, explanation(0))
    with pytest.raises(sxq.StoreError, match="no target with ordinal 9"), store.together():
        store.save_target(query_id, good)
        store.save_target(query_id, report(9, 9))
    with pytest.raises(RuntimeError), store.together():
        store.save_target(query_id, good)
        raise RuntimeError
    count = "SELECT count(*) FROM explanations WHERE query_id = ?"
    assert con.execute(count, [query_id]).fetchone() == (0,)
    with store.together():
        store.save_target(query_id, good)
        store.save_target(query_id, good)  # twice changes nothing
    store.save_target(query_id, good)
    assert con.execute(count, [query_id]).fetchone() == (1,)
