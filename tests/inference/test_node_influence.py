"""The measures of nodes: influence against differences of the model's output, variety against its definition."""

import copy

import numpy as np
import pytest
import torch

import sxq
from sxq.execution.target import Target
from sxq.graph import Graph
from sxq.scoring.measures import MEASURES, ceilings, evaluate
from tests.graphs import make, random_graph

NODES = 12


@pytest.fixture
def found(monkeypatch):
    """A target of a GCN after its search, the graph and the module."""
    kept = []
    close = Target.close
    monkeypatch.setattr(
        Target, "close", lambda self, stopped="": kept.append(close(self, stopped)) or kept[-1]
    )
    rng = np.random.default_rng(0)
    plain = random_graph(rng, nodes=NODES, edges=16, undirected=True)
    graph = Graph(plain.edge_index, rng.normal(size=(NODES, 3)))
    module = make("gcn", inputs=3).eval()
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", module, "g", layers=3)
        con.execute(
            "EXPLAIN NODE 0 USING MODEL m OPTIMIZE influence, variety, conc BUDGET 200 CANDIDATES"
        )
    return kept[0], graph, module


def test_influence_is_the_gradient_of_the_answer_by_every_nodes_features(found):
    target, graph, module = found
    x = torch.tensor(graph.x, dtype=torch.double)
    edges = torch.from_numpy(graph.edge_index.copy())
    module = copy.deepcopy(module).double()

    def answer(features):
        with torch.no_grad():
            log_p = module(features, edges)[0].log_softmax(dim=0)
        return float(log_p[target.loaded.predicted])

    step, total = 1e-5, np.zeros(NODES)
    for node in range(NODES):
        for column in range(x.shape[1]):
            up, down = x.clone(), x.clone()
            up[node, column] += step
            down[node, column] -= step
            total[node] += abs(answer(up) - answer(down)) / (2 * step)
    own = target.loaded.batch(np.zeros((1, 1), bool), *np.zeros((2, 1))).influence()
    np.testing.assert_allclose(own, (total / total.sum())[target.loaded.field.nodes], atol=1e-4)


def test_variety_is_the_mean_likeness_to_the_nearest_node(found):
    target, graph, _ = found
    field = target.loaded.field
    bits = target.bits_of(np.arange(target.table.count))
    raw, _ = evaluate([MEASURES["variety"]], target.loaded.batch(bits, *np.zeros((2, len(bits)))))
    x = graph.x[field.nodes] / np.linalg.norm(graph.x[field.nodes], axis=1, keepdims=True)
    for value, nodes in zip(raw[:, 0], field.reached(bits)):
        like = [max(0.0, *(float(a @ b) for b in x[nodes])) for a in x]
        assert value == pytest.approx(np.mean(like), abs=1e-6)


@pytest.mark.parametrize("name", ["influence", "variety"])
def test_a_larger_subgraph_never_has_less_and_the_bound_is_exact(found, name):
    field = found[0].loaded.field
    grown = np.tril(np.ones((field.num_units, field.num_units), bool))
    batch = found[0].loaded.batch(grown, *np.zeros((2, len(grown))))
    scores = evaluate([MEASURES[name]], batch)[1][:, 0]
    assert (np.diff(scores) >= 0).all() and scores[-1] > scores[0]
    assert scores.tolist() == ceilings([MEASURES[name]], batch)[:, 0].tolist()
