"""robust and robust2 by enumeration: every removal outside of G_s, one plain forward pass at a time."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import sxq
from tests import graphs, oracles


def slow(module, graph, target, e, count):
    """The share of removals after which the explanation still explains, and how many there are."""
    ends = [frozenset(edge) for edge in graph.edge_index.T.tolist()]
    hop = oracles.hops_by_definition(graph, target)
    real = {edge for edge in ends if len(edge) == 2 and min(hop.get(n, 9) for n in edge) < 3}
    own = {ends[number] for number in e.edge_numbers}

    def says(absent=(), only=None):
        keep = [
            edge not in absent and (only is None or edge in only or len(edge) == 1) for edge in ends
        ]
        return oracles.plain_probabilities(module, graph, np.array(keep))[target].argmax()

    alone = says(only=own)
    removals = list(combinations(sorted(real - own, key=sorted), count))
    held = [alone == says(gone) or says({*gone, *own}) != says(gone) for gone in map(set, removals)]
    return np.mean(held), len(removals)


@pytest.fixture(scope="module")
def case():
    graph = graphs.random_graph(np.random.default_rng(5), 7, 4)
    module = graphs.make("gcn", scale=4.0)
    with sxq.connect() as con:
        data = Data(x=torch.tensor(graph.x), edge_index=torch.tensor(graph.edge_index))
        con.register_graph("g", data)
        con.register_model("m", module, "g")
        con.execute("SET sxq_report = 'robust, robust2'")
        yield con, module, graph


def explained(con):
    return con.execute("EXPLAIN NODE 1 USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 4")


def test_both_are_exact_where_all_removals_fit(case):
    con, module, graph = case
    found = explained(con)
    assert len(found) > 1
    for e in found:
        for name, count in (("robust", 1), ("robust2", 2)):
            share, _ = slow(module, graph, 1, e, count)
            assert e.raw[name] == pytest.approx(share, abs=1e-9) and e.raw[f"{name} se"] == 0
    assert {"robust", "robust_se", "robust2", "robust2_se"} <= set(found.columns)


def test_a_draw_is_marked_by_its_error(case):
    con, module, graph = case
    con.execute("SET sxq_robust_budget = 3")
    drawn = explained(con)
    con.execute("RESET sxq_robust_budget")
    for e in drawn:
        share, total = slow(module, graph, 1, e, 2)
        assert (e.raw["robust2 se"] > 0) == (total > 3)
        assert abs(e.raw["robust2"] - share) <= 1
    assert any(e.raw["robust2 se"] > 0 for e in drawn)
