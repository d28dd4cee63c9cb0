"""The recommended member: most like the others of its answer, weighted by their fidelities; TOP 1 returns it."""

import pytest

import sxq
from sxq.values.explanation import Explanation


@pytest.fixture(scope="module")
def con():
    with sxq.connect() as con:
        con.execute(
            "CREATE GRAPH karate FROM DATASET 'KarateClub'; TRAIN MODEL gcn ON GRAPH karate (LAYERS = 2, EPOCHS = 40)"
        )
        yield con


def asked(con, top, more=""):
    return con.execute(
        f"EXPLAIN NODES 0, 8, 19 USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP {top} BUDGET 200 CANDIDATES {more}"
    )


def likeness(e: Explanation, members: list[Explanation]) -> float:
    own = set(e.edges)
    return sum(
        len(own & set(m.edges)) / len(own | set(m.edges)) * m.scores["fdl+"] * m.scores["fdl-"]
        for m in members
    )


def test_one_of_each_target_is_recommended_and_it_is_most_like_the_others(con):
    result = asked(con, 10)
    for report in result.targets:
        members = list(report.explanations)
        (first,) = [e for e in members if e.recommended]
        most = max(likeness(e, members) for e in members)
        assert likeness(first, members) == pytest.approx(most, abs=1e-8)
    assert [e.target for e in result.recommended] == [0, 8, 19]
    assert any(e.rank > 1 for e in result.recommended)
    stored = con.sql(
        f"SELECT target, rank FROM explanations WHERE query_id = {result.query_id} AND recommended ORDER BY target"
    ).rows
    assert stored == [(e.target, e.rank) for e in result.recommended]
    assert result.df().recommended.sum() == 3


def test_top_1_is_the_recommended_one_of_top_10(con):
    ten = asked(con, 10).recommended
    one = asked(con, 1)
    assert [(e.target, e.edges) for e in one] == [(e.target, e.edges) for e in ten]
    assert all(e.rank == 1 and e.recommended for e in one)
    assert all(row[-1] == "ok" for row in con.execute(f"AUDIT QUERY {one.query_id}"))


def test_the_summary_of_a_single_target_says_where_to_look_first(con):
    result = con.execute(
        "EXPLAIN NODE 19 USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 5 BUDGET 200 CANDIDATES"
    )
    assert result.summary().endswith(f"Look first at rank {result.recommended[0].rank}.")


def test_each_target_of_a_joint_answer_has_a_recommended_member(con):
    assert [e.target for e in asked(con, 6, "JOINTLY").recommended] == [0, 8, 19]
