"""The indicators of answers against slow twins, moocore, and values worked out by hand."""

import math
from itertools import combinations
from types import SimpleNamespace

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sxq.errors import InvalidValue
from sxq.graph import extract, induced_edges
from sxq.scoring.indicators import (
    Match,
    agreement,
    coverage,
    epsilon_achieved,
    hypervolume,
    nigd,
    nipf,
    nms,
    on_paper_scale,
    on_scores,
    stability,
)
from tests import graphs
from tests import oracles_scoring as oracle

POINT = st.tuples(*[st.sampled_from([0.0001, 0.1, 0.11, 0.25, 0.5, 0.55, 0.9, 1.0])] * 3)
POINTS = st.lists(POINT, min_size=1, max_size=8)
EDGE = st.tuples(st.integers(0, 3), st.integers(0, 3))
ANSWER = st.lists(st.frozensets(EDGE, max_size=4), max_size=3)

A = np.array([[0.2, 0.8, 0.5], [0.4, 0.6, 0.1]])
UNION = np.array([[0.2, 0.8, 0.5], [0.4, 0.6, 0.1], [0.8, 0.8, 0.5], [0.4, 0.6, 0.1]])


def steps(points):
    return [tuple(round(10_000 * value) for value in point) for point in points]


def test_the_papers_indicators_by_hand():
    assert nipf(A) == pytest.approx(2.6 / 6)
    # top 2 of the union: .8 .4 | .8 .8 | .5 .5, of which A lacks .8 by .4
    assert nigd(A, UNION, k=2) == pytest.approx(0.4 / 6)
    assert nms(A, UNION).tolist() == [0.5, 1.0, 1.0]


EMPTY = pytest.mark.parametrize("nothing", [np.zeros((0, 3)), []], ids=["no rows", "no columns"])


@EMPTY
def test_an_empty_answer_is_the_worst(nothing):
    assert (
        math.isnan(nipf(nothing))
        and hypervolume(nothing) == hypervolume(nothing, np.ones(3)) == 0.0
    )
    assert nigd(nothing, UNION) == math.inf and nms(nothing, UNION).tolist() == [0, 0, 0]
    assert coverage(nothing, UNION, 0.1) == 0.0 and epsilon_achieved(nothing, UNION) == math.inf


@EMPTY
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("answer", [A, np.zeros((0, 3)), []], ids=["two", "no rows", "no columns"])
def test_nothing_to_compare_with_is_nan_without_a_warning(answer, nothing):
    assert math.isnan(nigd(answer, nothing)) and np.isnan(nms(answer, nothing)).all()
    assert len(nms(answer, nothing)) == (3 if np.ndim(answer) == 2 or np.ndim(nothing) == 2 else 0)
    assert math.isnan(coverage(answer, nothing, 0.1)) and math.isnan(
        epsilon_achieved(answer, nothing)
    )


@given(POINTS, POINTS, st.integers(1, 12))
def test_nigd_and_nms_are_their_equations(answer, others, k):
    union = sorted({*answer, *others})
    distances = [
        min(abs(value - point[m]) for point in answer)
        for m in range(3)
        for value in sorted((p[m] for p in union), reverse=True)[:k]
    ]
    assert nigd(answer, [*answer, *others], k, np.array) == pytest.approx(np.mean(distances))
    best = [max(p[m] for p in answer) / max(p[m] for p in union) for m in range(3)]
    assert nms(answer, union, np.array).tolist() == pytest.approx(best)


@given(
    st.lists(st.tuples(st.floats(0, 1, width=16)), min_size=1, max_size=8),
    st.lists(st.tuples(st.floats(0, 1, width=16)), min_size=1, max_size=8),
)
def test_nigd_of_one_measure_is_moocores_igd(answer, others):
    union = np.unique([*answer, *others], axis=0)
    assert nigd(np.array(answer), union, len(union)) == pytest.approx(
        moocore.igd(answer, union), abs=1e-12
    )


@given(POINTS, POINTS, st.sampled_from([0.0, 0.1, 0.5, 3.0]))
def test_coverage_and_epsilon_are_the_definition(answer, examined, epsilon):
    members, vectors = (
        [oracle.Candidate(i, point, 1, b"") for i, point in enumerate(steps(points))]
        for points in (answer, examined)
    )
    assert coverage(answer, examined, epsilon) == oracle.dominance(members, vectors, epsilon) / len(
        examined
    )
    expected = oracle.epsilon_achieved(members, vectors)
    found = epsilon_achieved(answer, examined)
    assert found == pytest.approx(float(expected), abs=1.1e-6)  # found in whole millionths
    if found < math.inf:  # moocore's has no "and at least one score is <="
        factor = moocore.epsilon_mult(answer, ref=examined, maximise=True)
        assert found >= max(0, factor - 1) - 1e-6


def explanation(target, edges, fdl_plus, fdl_minus):
    scores = {"fdl+": max(fdl_plus, 0.01), "fdl-": 1 - abs(fdl_minus), "size": 0.5}
    raw = {"fdl+": fdl_plus, "fdl-": fdl_minus}
    return SimpleNamespace(target=target, edge_index=np.zeros((2, edges)), raw=raw, scores=scores)


def test_scales():
    answer = [explanation(7, 2, -0.2, -0.1), explanation(8, 16, 0.6, 0.3)]
    assert on_scores("fdl-", "size")(answer).tolist() == [[0.9, 0.5], [0.7, 0.5]]
    paper = on_paper_scale({7: 4, 8: 16})(answer)
    np.testing.assert_allclose(paper, [[-0.2, 1.1, 0.5], [0.6, 0.7, 0.0]])
    assert nipf(answer, on_paper_scale(16)) == pytest.approx(
        (-0.2 + 1.1 + 0.75 + 0.6 + 0.7 + 0.0) / 6
    )
    assert on_paper_scale(1)([explanation(7, 1, 0, 0)])[0, 2] == 1.0
    assert on_scores("size")([]).shape == (0, 1) and on_paper_scale(3)([]).shape == (0, 3)


@pytest.mark.parametrize("undirected", [False, True])
def test_induced_edges_are_those_between_nodes_within_reach(undirected):
    for seed in range(5):
        graph = graphs.random_graph(np.random.default_rng(seed), undirected=undirected)
        for target, hops in ((0, 1), (1, 2)):
            field = extract(graph, target, hops, 0, directed=True)
            near = set(field.nodes[field.node_hop <= hops].tolist())
            inside = sum(u in near and v in near for u, v in graph.edge_index.T.tolist())
            assert induced_edges(graph, target, hops) == inside


def test_stability_by_hand():
    first, second = [[(0, 1), (1, 2)], [(3, 4)]], [[(0, 1)], [(3, 4)]]
    found = stability([first, second])
    assert found.members == pytest.approx((0.5 + 1 + 0.5 + 1) / 4) and found.edges == pytest.approx(
        2 / 3
    )
    assert (
        stability([first, first, first]) == stability([[], []])
        and stability([[], []]).members == 1.0
    )
    assert stability([first, []]).members == stability([first, []]).edges == 0.0
    with pytest.raises(InvalidValue, match="two answers or more, 1 given"):
        stability([first])


@given(st.lists(ANSWER, min_size=2, max_size=4))
def test_stability_is_the_mean_over_pairs(answers):
    alone = [stability(pair) for pair in combinations(answers, 2)]
    found = stability(answers[::-1])
    assert found.members == pytest.approx(np.mean([pair.members for pair in alone]))
    assert found.edges == pytest.approx(np.mean([pair.edges for pair in alone]))
    assert 0 <= found.members <= 1 and 0 <= found.edges <= 1


def test_agreement_by_hand():
    truth = [(0, 1), (1, 0), (1, 2), (2, 1)]
    found = agreement([[(0, 1), (1, 0)], [(1, 2), (2, 1), (5, 6), (6, 5)], [(7, 8)]], truth)
    assert found.best == Match(1.0, 0.5, pytest.approx(2 / 3))
    assert found.union == Match(pytest.approx(4 / 7), 1.0, pytest.approx(8 / 11))
    nothing = agreement([], truth)
    assert math.isnan(nothing.best.precision) and nothing.union.recall == nothing.best.f1 == 0.0
    with pytest.raises(InvalidValue, match="no edge"):
        agreement([], [])


@given(ANSWER, st.frozensets(EDGE, min_size=1, max_size=5))
def test_agreement_is_its_definition(answer, truth):
    found = agreement(answer, truth)
    edges = set().union(*answer)
    assert found.union.recall == sum(edge in edges for edge in truth) / len(truth)
    assert not edges or found.union.precision == sum(edge in truth for edge in edges) / len(edges)
    assert all(
        found.best.f1 >= 2 * len(member & truth) / (len(member) + len(truth)) for member in answer
    )


def test_the_view_of_indicators_is_the_library(con):
    measures = ["fdl+", "fdl-", "conc"]
    asked = [
        con.execute(f"EXPLAIN {clauses}")
        for clauses in (
            "NODES 0, 1 USING MODEL gossip OPTIMIZE fdl+, fdl-, conc TOP 3",
            "NODE 0 USING MODEL gossip OPTIMIZE fdl+, fdl-, conc BY random (size = 2) TOP 4",
            "NODE 'acct-17' USING MODEL votes OPTIMIZE fdl+, fdl-, conc",
        )
    ]
    points = {
        (found.query_id, report.target): on_scores(*measures)(report.explanations)
        for found in asked
        for report in found.targets
    }
    view = con.execute(
        "SELECT query_id, target, answers, nipf, nigd, nms, hypervolume FROM indicators"
    ).rows
    assert len(view) == len(points) == 4
    for query, target, answers, *found in view:
        own = points[query, target]
        union = np.concatenate([other for (_, node), other in points.items() if node == target])
        k = {1: 3, 2: 4, 3: 10}[query]
        assert answers == len(own) and list(found[2]) == measures
        assert found[0] == pytest.approx(nipf(own)) and found[1] == pytest.approx(
            nigd(own, union, k)
        )
        assert list(found[2].values()) == pytest.approx(nms(own, union).tolist())
        assert found[3] == pytest.approx(moocore.hypervolume(-own, ref=np.zeros(3)))


def test_other_measures_or_units_are_another_union(con):
    for clauses in ("fdl+, conc", "fdl+, conc EDGES DIRECTED", "fdl+, fdl-"):
        con.execute(f"EXPLAIN NODE 0 USING MODEL gossip OPTIMIZE {clauses} TOP 1")
    best = con.execute("SELECT list_min(map_values(nms)) FROM indicators").fetchall()
    assert best == [(1.0,)] * 3


def test_the_view_of_stability_is_the_library(con):
    for seed in range(3):
        found = con.execute(
            "EXPLAIN NODES 0, 3 USING MODEL gossip OPTIMIZE fdl+, conc BY random (size = 2) "
            "BUDGET 3 CANDIDATES SEED ?",
            [seed],
        )
    con.execute("EXPLAIN NODE 0 USING MODEL gossip OPTIMIZE fdl+, conc SEED 9")  # another question
    edges = con.execute(
        "SELECT query_id, src, dst FROM explanation_edges JOIN explanations USING "
        "(explanation_id) WHERE target = 0"
    ).fetchall()
    answers = [[[(u, v) for q, u, v in edges if q == query]] for query in (1, 2, 3)]
    view = con.execute("FROM stability ORDER BY target::INT").rows
    assert [row[:3] for row in view] == [(1, 0, 3), (1, 3, 3)] and found.query_id == 3
    assert view[0][3] == pytest.approx(stability(answers).edges)
    assert view[0][4] == pytest.approx(
        min(stability(pair).edges for pair in combinations(answers, 2))
    )
