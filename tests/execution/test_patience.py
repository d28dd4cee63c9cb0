"""sxq_patience ends the search for a target whose front has stopped growing, and the answer says so."""

import numpy as np
import pytest

import sxq
from sxq.graph import Graph
from tests.graphs import random_graph
from tests.toys import Votes

ASKED = "EXPLAIN NODES 0, 1 USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 300 CANDIDATES"


@pytest.fixture
def con():
    rng = np.random.default_rng(1)
    edges = random_graph(rng, nodes=16, edges=24).edge_index
    with sxq.connect() as con:
        con.register_graph("g", Graph(edges, rng.normal(0, 2, (16, 2))))
        con.register_model("m", Votes(2), "g")
        yield con


def explained(con, patience, text=ASKED):
    con.execute(f"SET sxq_patience = {patience}")
    return con.execute(text)


def test_a_target_ends_early_and_says_so(con):
    whole = explained(con, 1)
    early = explained(con, 0.1)
    ended = [report for report in early.targets if "sxq_patience" in report.note]
    assert ended
    for report in ended:
        before = whole.targets[report.ordinal]
        assert report.candidates < before.candidates
        assert (report.status, report.complete) == ("done", False)
        assert report.hypervolume >= 0.95 * before.hypervolume
        assert f"ended after {report.candidates:,} candidates: over the last 30 " in report.note
    assert not early.complete
    assert "patience 0.1;" in early.plan
    assert "patience" not in whole.plan
    assert not any(report.note for report in whole.targets if not report.self_sufficient)


def test_until_it_ends_the_search_is_the_same(con):
    con.execute("SET sxq_keep_candidates = true")
    found = [explained(con, patience).query_id for patience in (1, 0.1)]
    candidates = "SELECT target, candidate, size, scores FROM candidates WHERE query_id = ?"
    whole, early = (set(map(repr, con.execute(candidates, [q]).fetchall())) for q in found)
    assert early < whole


def test_nothing_that_ends_by_itself_is_cut_short(con):
    for text in (
        ASKED + " BY onion, growing",
        ASKED.replace("NODES 0, 1", "NODE 0") + " BY exhaustive(size = 2)",
        "EXPLAIN NODES 0, 1 USING MODEL m OPTIMIZE fdl+, conc SMALLEST factual BUDGET 200 CANDIDATES",
    ):
        whole = explained(con, 1, text)
        early = explained(con, 0.01, text)
        assert early.candidates == whole.candidates
        assert early.complete == whole.complete
        assert not any("sxq_patience" in report.note for report in early.targets)


def test_a_small_field_is_searched_completely(con):
    con.register_graph("small", Graph(np.array([[1, 2, 3, 4], [0, 0, 0, 1]]), np.ones((5, 2))))
    con.register_model("s", Votes(2), "small")
    result = explained(con, 0.01, "EXPLAIN NODE 0 USING MODEL s OPTIMIZE fdl-, conc")
    assert result.complete
    assert not any("sxq_patience" in note for note in result.notes())


def test_a_front_that_stays_empty_has_the_whole_budget(con):
    whole = explained(con, 1, ASKED + " WHERE fdl+ > 5")
    early = explained(con, 0.01, ASKED + " WHERE fdl+ > 5")
    assert [r.candidates for r in early.targets] == [r.candidates for r in whole.targets]
    assert max(r.candidates for r in whole.targets) == 300


def test_every_rule_of_the_answer_takes_what_is_there(con):
    for clauses in ("JOINTLY TOP 8 BY random", "DIVERSIFY BY search, onion"):
        result = explained(con, 0.05, f"{ASKED} {clauses}")
        assert len(result) and not result.complete
        assert con.execute(f"AUDIT QUERY {result.query_id}").findings == 0
        assert any("sxq_patience" in report.note for report in result.targets)


def test_workers_end_at_the_same_candidates(con):
    one = explained(con, 0.1)
    con.execute("SET sxq_workers = 2")
    two = explained(con, 0.1)
    assert [r.candidates for r in two.targets] == [r.candidates for r in one.targets]
    assert [e.raw for e in two] == [e.raw for e in one]


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "'soon'", "true", "NULL"])
def test_a_share_that_is_none_is_refused(con, value):
    with pytest.raises(sxq.Error, match="sxq_patience|SET"):
        con.execute(f"SET sxq_patience = {value}")
