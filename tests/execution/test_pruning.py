"""What is not verified could not have entered the front: every pruned candidate is verified after all."""

import numpy as np
import pytest

import sxq
from sxq.execution.target import Target
from sxq.execution.target.pruning import within_epsilon
from sxq.graph import Graph, extract
from sxq.graph.bits import from_keys, unpack
from sxq.scoring.dominance import epsilon_dominates, millionths, to_grid
from sxq.scoring.measures import MEASURES, MeasureBatch, ceilings, evaluate
from tests.graphs import random_graph
from tests.toys import Votes


@pytest.fixture
def searched(monkeypatch):
    """Runs an EXPLAIN on a random graph and gives what was found for its targets."""
    everything = []
    close = Target.close

    def keep(self, stopped=""):
        everything.append(close(self, stopped))
        return everything[-1]

    def explain(seed, query, pruning="sound"):
        rng = np.random.default_rng(seed)
        edges = random_graph(rng, nodes=16, edges=22).edge_index
        graph = Graph(
            edges, rng.choice([0, 0.5, 20], (16, 2))
        )  # large votes: p = 1 to the last digit
        with sxq.connect() as con:
            con.register_graph("g", graph)
            con.register_model("m", Votes(2), "g")
            con.execute(f"SET sxq_pruning = '{pruning}'")
            result = con.execute(f"EXPLAIN NODES 0, 1, 2, 3 USING MODEL m {query}")
        return result, everything

    monkeypatch.setattr(Target, "close", keep)
    return explain


@pytest.mark.sweep(3)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "clauses",
    [
        "OPTIMIZE fdl-, conc BY growing",
        "OPTIMIZE fdl-, conc BY onion, growing",
        "OPTIMIZE fdl+, fdl-, conc BY onion",
        "OPTIMIZE conc, lift BY growing",
        "OPTIMIZE density, fdl- BY growing WHERE factual",
        "OPTIMIZE size BY growing",
    ],
)
def test_no_pruned_candidate_would_have_entered_the_front(searched, seed, clauses):
    result, everything = searched(seed, clauses)
    reported = sum(report.pruned for report in result.targets)
    assert sum(len(found.pruned) for found in everything) == reported
    for found in filter(lambda found: found.pruned, everything):
        loaded = found.loaded
        packed = from_keys(list(found.pruned), loaded.field.num_units)
        bits = unpack(packed, loaded.field.num_units)
        kept, removed = loaded.on_field.infer(bits)[:, :, loaded.predicted]
        scores = evaluate(found.measures, loaded.batch(bits, kept, removed))[1]
        assert found.lattice.dominates(scores[:, : found.objectives]).all()
        assert not any(found.table.knows(row) for row in packed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("by", ["growing", "onion"])
def test_what_a_parent_epsilon_dominates_at_best_is_lost_by_epsilon_only(searched, seed, by):
    """Every pruned candidate is verified after all: some member of the front epsilon-dominates it."""
    asked = f"OPTIMIZE fdl-, conc BY {by} EPSILON 0.3"
    _, everything = searched(seed, asked, "epsilon")
    assert any(found.pruned for found in everything)
    for found in filter(lambda found: found.pruned, everything):
        loaded = found.loaded
        packed = from_keys(list(found.pruned), loaded.field.num_units)
        bits = unpack(packed, loaded.field.num_units)
        kept, removed = loaded.on_field.infer(bits)[:, :, loaded.predicted]
        scores = evaluate(found.measures, loaded.batch(bits, kept, removed))[1]
        grid = to_grid(scores[:, : found.objectives])
        front = to_grid(found.lattice.front_scores)
        assert epsilon_dominates(front, grid, millionths(0.3)).any(axis=0).all()


@pytest.mark.slow
def test_the_rule_as_printed_skips_more_and_says_so_in_the_plan(searched):
    asked = "OPTIMIZE fdl+, fdl-, conc BY growing"
    counts = {}
    for rule in ("sound", "epsilon", "paper"):
        result, _ = searched(0, asked, rule)
        counts[rule] = sum(report.pruned for report in result.targets)
        assert (f"pruning by {rule}" in result.plan) == (rule != "sound")
    assert counts["sound"] <= counts["epsilon"] < counts["paper"]


def test_one_bounded_measure_is_enough_for_the_rule_as_printed():
    parents = np.array([[0.5, 0.5], [0.5, np.nan], [np.nan, np.nan], [0.1, 0.1]])
    best = np.array([[0.9, 0.55], [0.55, 1.0], [0.1, 0.1], [0.2, 0.2]])
    bounded = np.array([False, True])
    found = {
        rule: within_epsilon(rule, best, parents, bounded, 0.1).tolist()
        for rule in ("epsilon", "paper")
    }
    assert found == {"epsilon": [False] * 4, "paper": [True, False, False, False]}


def test_pruning_spares_a_search_whose_first_edge_is_perfect(searched):
    result, _ = searched(0, "OPTIMIZE size BY growing")
    assert sum(report.pruned for report in result.targets) > 10 * result.candidates / len(
        result.targets
    )


def test_generators_that_cannot_go_on_from_bounds_meet_none(searched):
    _, everything = searched(0, "OPTIMIZE size BY growing, random BUDGET 90 CANDIDATES")
    assert not any(found.pruned for found in everything)


@pytest.mark.sweep(6)
@pytest.mark.parametrize("name", MEASURES)
def test_no_score_is_above_its_ceiling(name):
    rng = np.random.default_rng(0)
    field = extract(random_graph(rng, nodes=12, edges=16, undirected=True), 0, 2, 0)
    bits = field.component(rng.random((200, field.num_units)) < 0.6)
    bits = bits[bits.any(axis=1)]
    influence = rng.dirichlet(np.ones(field.num_nodes))
    likeness = rng.random((field.num_nodes, 3))
    for p_full, p_empty in rng.random((20, 2)):
        batch = MeasureBatch(
            field,
            bits,
            p_full,
            p_empty,
            *rng.random((2, len(bits))),
            infer=lambda bits: rng.dirichlet(np.ones(3), (2, len(bits))),
            influence=lambda: influence,
            likeness=lambda: likeness,
        )
        scores = evaluate([MEASURES[name]], batch)[1]
        assert (scores <= ceilings([MEASURES[name]], batch)).all()
