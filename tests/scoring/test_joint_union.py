"""Joint answers compared across targets, against brute force."""

from math import e

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sxq
from sxq.execution.across import across_targets, union_units
from sxq.execution.target import Target
from sxq.graph import Graph, extract
from sxq.scoring.dominance import millionths
from sxq.scoring.joint_union import choose_of_union, union_dominance
from sxq.scoring.measures import MEASURES, against
from tests import oracles_scoring as oracle
from tests.toys import Votes

SCORE = st.sampled_from([100, 105, 110, 111, 500, 550, 5000, 10_000])
ROWS = st.lists(st.tuples(SCORE, SCORE), max_size=6)


def grid(rows):
    return np.array(rows, np.int16).reshape(-1, 2)


def fronts_of(targets):
    """By target, the distinct score vectors that no other of the same target dominates."""
    return [
        sorted({a for a in rows if not any(oracle.dominates(b, a) for b in rows)}, reverse=True)
        for rows in targets
    ]


@given(st.lists(ROWS, min_size=1, max_size=3), st.integers(0, 3), st.sampled_from([0.0, 0.1, 1.0]))
def test_members_are_the_unions_front_one_of_each_and_keep_the_bound(targets, more, epsilon):
    fronts = fronts_of(targets)
    k = sum(map(bool, fronts)) + more
    everything = grid([row for rows in targets for row in rows])
    chosen = choose_of_union([grid(own) for own in fronts], everything, k, millionths(epsilon))
    members = [(target, fronts[target][place]) for target, place in chosen]
    assert len(set(chosen)) == len(chosen) <= k
    assert {target for target, _ in chosen} == {t for t, own in enumerate(fronts) if own}
    best = oracle.union_members(targets)
    elsewhere = {target for target, _ in best}
    assert all(one in best for one in members if one[0] in elsewhere)
    vectors = [scores for _, scores in members]
    found = oracle.union_dominance(vectors, targets, epsilon)
    assert found == union_dominance(grid(vectors), everything, millionths(epsilon))
    assert found >= (1 - 1 / e) * oracle.best_union_dominance(targets, epsilon, more) - 1e-9


def test_a_target_whose_members_others_dominate_still_has_one():
    fronts = [[(5000, 5000)], [(100, 100), (50, 110)]]
    everything = grid([row for rows in fronts for row in rows])
    chosen = choose_of_union([grid(own) for own in fronts], everything, 3, millionths(0.1))
    assert chosen[0] == (0, 0) and [target for target, _ in chosen] == [0, 1]


def test_conciseness_is_relative_to_the_units_of_all_fields(monkeypatch):
    """Two targets whose fields share edges: shared units count once, and scores are those of one large field."""
    found = []
    close = Target.close
    monkeypatch.setattr(
        Target, "close", lambda self, stopped="": found.append(close(self, stopped)) or found[-1]
    )
    path = np.array([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
    graph = Graph(np.concatenate([path, path[::-1]], axis=1), np.eye(6)[:, :2])
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", Votes(2), "g")
        con.execute("SET sxq_jointly = 'union'")
        con.execute("EXPLAIN NODES 1, 3 USING MODEL m OPTIMIZE fdl-, conc JOINTLY TOP 4")
    units = [set(map(tuple, np.sort(_ends(graph, v), axis=1).tolist())) for v in (1, 3)]
    assert union_units(found) == len(units[0] | units[1]) < len(units[0]) + len(units[1])
    chosen, said = across_targets(found, 4)
    assert len(chosen) <= 4 and f"on {len(units[0] | units[1])} units" in said
    scores = against([MEASURES["conc"]], np.full((2, 1), 0.5), np.array([1, 2]), 3, 0.01)
    assert scores[:, 0].tolist() == pytest.approx([1, 1 - np.log(2) / np.log(4)], abs=1e-4)


def _ends(graph, target):
    field = extract(graph, target, 2, 0)
    return field.nodes[field.ends].T


def test_what_joint_answers_refuse(con):
    asked = "EXPLAIN NODES 0, 1 USING MODEL gossip OPTIMIZE fdl+, conc JOINTLY"
    with pytest.raises(sxq.Error, match="members of different targets differ anyway"):
        con.execute(f"{asked} DIVERSIFY")
    with pytest.raises(sxq.Error, match="expected 'targets' or 'union'"):
        con.execute("SET sxq_jointly = 'all'")
    with pytest.raises(sxq.Error, match="expected 'sound', 'epsilon' or 'paper'"):
        con.execute("SET sxq_pruning = 'printed'")
    con.execute("SET sxq_answer = 'divsx_first'")
    with pytest.raises(sxq.Error, match="JOINTLY with sxq_answer = 'divsx_first'"):
        con.execute(asked)
