"""Diversified and joint answers against brute force, their bounds, and slow twins."""

from itertools import combinations
from math import e

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sxq
from sxq.graph import embed, extract
from sxq.scoring import cover as covers
from sxq.scoring import diversify, joint
from sxq.scoring.dominance import millionths, records
from tests import graphs
from tests import oracles_scoring as oracle

NODES = 6
SCORE = st.sampled_from([100, 105, 110, 111, 500, 550, 551, 5000, 10_000])
ALPHA = st.sampled_from([0.0, 0.3, 0.5, 1.0])


@st.composite
def subgraphs(draw, max_size=8):
    """(nodes [n, 6] bool, embeddings [n, 3], some of them zero or parallel)."""
    sets = draw(st.lists(st.sets(st.integers(1, NODES - 1)), min_size=1, max_size=max_size))
    nodes = np.array([[i == 0 or i in own for i in range(NODES)] for own in sets])
    vector = st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, 2.0])] * 3)
    return nodes, np.array(draw(st.lists(vector, min_size=len(sets), max_size=len(sets))))


def front_of(draw_rows):
    candidates = [oracle.Candidate(i, row, 1, b"\x80") for i, row in enumerate(draw_rows)]
    return oracle.front(candidates), candidates


@given(subgraphs())
def test_angles_are_a_metric(drawn):
    distance = diversify.angular(drawn[1])
    n = len(distance)
    assert np.array_equal(distance, distance.T) and (distance >= 0).all() and (distance <= 1).all()
    assert (np.diag(distance) == 0).all()
    assert all(
        distance[a, b] <= distance[a, c] + distance[c, b] + 1e-5
        for a in range(n)
        for b in range(n)
        for c in range(n)
    )


def test_angles_by_hand():
    distance = diversify.angular(np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, 0.0]]))
    np.testing.assert_allclose(
        distance, [[0, 0.5, 1, 0.5], [0.5, 0, 0.5, 0.5], [1, 0.5, 0, 0.5], [0.5, 0.5, 0.5, 0]]
    )


@given(subgraphs(), st.integers(1, 5), ALPHA)
def test_greedy_is_at_least_half_of_the_best(drawn, k, alpha):
    nodes, distance = drawn[0], diversify.angular(drawn[1])
    chosen = diversify.greedy(nodes, distance, k, alpha)
    size = min(k, len(nodes))
    assert len(set(chosen)) == len(chosen) == size
    best = max(
        diversify.value(nodes, distance, list(rows), alpha)
        for rows in combinations(range(len(nodes)), size)
    )
    assert diversify.value(nodes, distance, chosen, alpha) >= best / 2 - 1e-9


def test_value_by_hand():
    nodes = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0]], bool)
    distance = np.array([[0, 0.5, 0.25], [0.5, 0, 0.75], [0.25, 0.75, 0]])
    assert diversify.value(nodes, distance, [0, 1, 2], 0.4) == pytest.approx(0.4 * 0.75 + 0.6 * 0.5)
    assert diversify.value(nodes, distance, [2], 0.4) == pytest.approx(0.4 * 0.5)


@given(
    subgraphs(),
    st.integers(1, 5),
    ALPHA,
    st.sampled_from([0.0, 0.1, 1.0]),
    st.booleans(),
    st.data(),
)
def test_stream_is_procedure_4(drawn, k, alpha, epsilon, first, data):
    nodes, embeddings = drawn
    rows = data.draw(st.lists(st.tuples(SCORE, SCORE), min_size=len(nodes), max_size=len(nodes)))
    new = records(np.array(rows, dtype=np.int16))
    arrived, nodes = [rows[i] for i in new], nodes[new]
    distance = 1 - diversify.cosine(embeddings[new])
    sets = [set(np.flatnonzero(own).tolist()) for own in nodes]
    expected = oracle.divsx(arrived, (sets, NODES), distance.tolist(), k, alpha, epsilon, first)
    vectors = np.array(arrived, dtype=np.int16)
    found = diversify.stream(
        vectors, nodes, distance, k=k, alpha=alpha, epsilon=epsilon, first=first
    )
    assert found == expected


@pytest.mark.parametrize("directed", [False, True])
def test_embeddings_are_propagated_features(directed):
    rng = np.random.default_rng(0)
    graph = graphs.random_graph(rng, undirected=not directed)
    field = extract(graph, 0, 3, 1)
    bits = field.component(rng.random((5, field.num_units)) < 0.4)
    x = graph.features(field.nodes)
    for found, row in zip(embed(field, bits, x), bits):
        adjacent = np.eye(field.num_nodes)
        for tail, head in field.ends[:, row].T:
            adjacent[head, tail] = 1
            adjacent[tail, head] = 1 if not directed else adjacent[tail, head]
        walk = adjacent / adjacent.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(
            found, (np.linalg.matrix_power(walk, 3) @ x)[field.touched(row)].mean(axis=0)
        )
    assert embed(field, bits[:0], x).shape == (0, x.shape[1])


@given(
    st.lists(st.lists(st.tuples(SCORE, SCORE), max_size=6), min_size=1, max_size=3),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.1, 1.0]),
)
def test_joint_answers_have_one_of_each_and_keep_the_bound(targets, more, epsilon):
    fronts, candidates = zip(*(front_of(rows) for rows in targets))
    held = [
        covers.extend(
            covers.empty(2),
            np.array(rows, dtype=np.int16).reshape(-1, 2),
            np.array([c.scores for c in front], dtype=np.int16).reshape(-1, 2),
            millionths(epsilon),
        )
        for rows, front in zip(targets, fronts)
    ]
    k = sum(bool(front) for front in fronts) + more
    chosen = joint.choose(held, k)
    assert len(set(chosen)) == len(chosen) == min(k, sum(map(len, fronts)))
    members = [
        [front[place] for t, place in chosen if t == target] for target, front in enumerate(fronts)
    ]
    assert all(own or not front for own, front in zip(members, fronts))
    found = sum(oracle.dominance(own, all_, epsilon) for own, all_ in zip(members, candidates))
    assert found >= (1 - 1 / e) * oracle.best_joint_dominance(fronts, candidates, epsilon, k)


def test_one_target_jointly_is_the_plain_answer(con):
    plain, jointly = (
        con.execute(f"EXPLAIN NODE 0 USING MODEL gossip OPTIMIZE fdl+, fdl-, conc {clause} TOP 4")
        for clause in ("", "JOINTLY")
    )
    assert plain.rows == jointly.rows and plain.coverage == jointly.coverage


def test_a_joint_answer_counts_its_ranks_through(con):
    found = con.execute(
        "EXPLAIN NODES 0, 1, 2, 6 USING MODEL gossip OPTIMIZE fdl+, fdl-, conc JOINTLY TOP 7"
    )
    assert sorted(e.rank for e in found) == list(range(1, 8)) and {e.target for e in found} == {
        0,
        1,
        2,
        6,
    }
    stored = con.execute("SELECT target, rank FROM explanations ORDER BY explanation_id").rows
    assert stored == [(e.target, e.rank) for e in found]


def test_a_joint_answer_that_was_cut_short_is_an_answer(con):
    found = con.execute(
        "EXPLAIN NODES 0, 1, 2 USING MODEL gossip OPTIMIZE fdl+, conc JOINTLY WITHIN 1e-9 SECONDS"
    )
    assert len(found) == 3 and not found.complete
    assert [report.status for report in found.targets] == ["stopped"] * 3


def test_the_early_stop_of_divsx_ends_the_search_with_the_first_k(con):
    """Of the same candidates in the same order, a prefix is verified, and its answer is the first k."""
    asked = "EXPLAIN NODE 0 USING MODEL gossip OPTIMIZE fdl+, fdl-, conc BY onion TOP 1 EPSILON 0"
    con.execute("SET sxq_keep_candidates = true")
    runs = {}
    for rule in ("divsx", "divsx_first"):
        con.execute(f"SET sxq_answer = '{rule}'")
        runs[rule] = con.execute(asked)
    whole, first = (run.targets[0] for run in runs.values())
    assert first.candidates < whole.candidates and not first.complete
    assert "ended with the first 1 members (DivSX)" in first.note and whole.note == ""
    assert "by DivSX, until there are k members" in runs["divsx_first"].plan
    begun = [row.scores for row in whole.kept[: first.candidates]]
    assert [row.scores for row in first.kept] == begun and len(first.explanations) == 1


def test_candidates_are_compared_across_targets_if_asked(con):
    asked = "EXPLAIN NODES 0, 1, 2, 6 USING MODEL gossip OPTIMIZE fdl+, fdl-, conc JOINTLY TOP 7"
    plain = con.execute(asked)
    con.execute("SET sxq_jointly = 'union'")
    across = con.execute(asked)
    assert {e.target for e in across} == {0, 1, 2, 6}
    assert sorted(e.rank for e in across) == list(range(1, len(across) + 1))
    assert "of all targets jointly, compared across targets," in across.plan
    assert all("the joint answer covers" in report.note for report in across.targets)
    assert not any("covers" in report.note for report in plain.targets)
    assert "0 findings" in str(con.execute("AUDIT"))


def test_diversity_of_nodes_alone_covers_the_nodes(con):
    found = con.execute(
        "EXPLAIN NODE 0 USING MODEL gossip OPTIMIZE fdl-, conc DIVERSIFY ALPHA 1 TOP 2"
    )
    assert len(set().union(*(e.nodes.tolist() for e in found))) == 6  # the field of node 0


@pytest.mark.slow
@pytest.mark.parametrize("budget", [60, 400])
def test_diversified_answers_differ_more_than_plain_ones(budget):
    graph = graphs.random_graph(np.random.default_rng(4))
    torch.manual_seed(0)
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", graphs.Net("gcn").eval(), "g")
        query = f"EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 4 BUDGET {budget} CANDIDATES"
        values = [spread(graph, con.execute(query + clause)) for clause in ("", " DIVERSIFY")]
        assert values[1] >= values[0] - 1e-9
        con.execute("SET sxq_answer = 'divsx'")
        plain, diverse, unlike = (
            con.execute(query + clause).rows for clause in ("", " DIVERSIFY", " DIVERSIFY ALPHA 0")
        )
        assert len(plain) == 4 and plain == diverse != unlike  # as the manual says


def spread(graph, found):
    """F of an answer for alpha = 0.5."""
    field = extract(graph, 0, 3, 1)
    bits = np.array([[e_ in set(e.edge_numbers.tolist()) for e_ in field.edges] for e in found])
    units = np.array([[row[field.unit == u].any() for u in range(field.num_units)] for row in bits])
    nodes = field.reached(units)[:, field.node_hop <= field.hops]
    distance = diversify.angular(embed(field, units, graph.features(field.nodes)))
    return diversify.value(nodes, distance, list(range(len(units))), 0.5)
