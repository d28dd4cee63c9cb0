"""First-order estimates of many fields in one pass are those of one field at a time."""

from contextlib import contextmanager

import numpy as np
import pytest
from torch_geometric.nn import GCNConv

import sxq
from sxq.execution import executor
from sxq.graph import GraphSet, extract, whole
from sxq.inference import edge_gradients
from sxq.inference.edge_gradients import EdgeGradients, GradientRequest, gradients_together
from sxq.inference.masked_copies import of_copies
from sxq.inference.registration import register
from sxq.models.pyg_data import graphs_from_data
from sxq.scoring.question import Question
from tests.graphs import random_graph
from tests.layered_models import Stack, prepared
from tests.pooled_models import Pools, Weighted
from tests.typed_models import banks, of_graphs

SIZES = (4, 9, 6, 15, 5, 7)  # nodes of the graphs of a collection


def collection(weighted=False):
    graphs = []
    for size in SIZES:
        rng = np.random.default_rng(size)
        graphs.append(random_graph(rng, size, 2 * size, weighted=weighted))
    return GraphSet.join(graphs)


def made(kind):
    """A model of graphs, registered on a collection."""
    if kind == "typed":
        graphs = banks()
        return register(of_graphs(graphs), graphs_from_data(graphs)), graphs_from_data(graphs)
    weighted = kind == "weighted"
    # small weights: where tanh saturates, float32 itself is no better than 1e-5
    module = Weighted(scale=1.0) if weighted else Pools(kind, scale=1.0)
    graphs = collection(weighted)
    return register(module, graphs), graphs


def about(model, graph, field, number, alone=False):
    """Some sets of units: one class or the other, with the context or without."""
    gradients = EdgeGradients(model, graph, field, Question(column=number % 2), alone=alone)
    bits = np.random.default_rng(number).random((1 + number % 3, field.num_units)) < 0.6
    return GradientRequest(gradients, bits, context=bool(number % 2))


def requests_about(model, graphs, alone=False):
    members = [graphs.member(number) for number in range(len(graphs))]
    return [
        about(model, graph, whole(graph), number, alone) for number, graph in enumerate(members)
    ]


@contextmanager
def counted_passes(model):
    """Within, the list of the number of nodes in each forward pass."""
    sizes = []
    hook = model.module.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    try:
        yield sizes
    finally:
        hook.remove()


def assert_as_alone(requests, together):
    for request, found in zip(requests, together, strict=True):
        expected = request.alone()
        assert not request.of.unavailable
        assert np.abs(expected).max() > 0
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.sweep(5)
@pytest.mark.parametrize("kind", ["gcn", "gat", "gin", "weighted", "typed"])
def test_graphs_share_a_pass(kind):
    model, graphs = made(kind)
    requests = requests_about(model, graphs)
    with counted_passes(model) as passes:
        together = gradients_together(requests)
    assert len(passes) == 1
    assert_as_alone(requests, together)


def test_a_pass_copies_no_more_than_the_memory_for_copies(monkeypatch):
    model, graphs = made("gcn")
    requests = requests_about(model, graphs)
    most = max(request.of.cost for request in requests)
    monkeypatch.setattr(edge_gradients, "COPIES", most)
    with counted_passes(model) as passes:
        together = gradients_together(requests)
    copied = sum(request.of.cost * len(request.bits) for request in requests)
    assert copied / most < len(passes) < sum(len(request.bits) for request in requests)
    assert_as_alone(requests, together)


def test_a_graph_that_must_run_alone_shares_no_pass():
    model, graphs = made("gcn")
    requests = requests_about(model, graphs)
    requests[2:4] = requests_about(model, graphs, alone=True)[2:4]
    with counted_passes(model) as passes:
        together = gradients_together(requests)
    assert len(passes) == 1 + 2
    assert_as_alone(requests, together)


def test_nodes_of_one_graph_share_a_pass_where_their_model_runs_on_copies():
    graph = random_graph(np.random.default_rng(1))
    model = prepared(Stack(GCNConv), graph)
    requests = [
        about(model, graph, extract(graph, node, 2, 1), number)
        for number, node in enumerate((0, 3, 5))
    ]
    with counted_passes(model) as passes:
        together = gradients_together(requests)
    assert len(passes) == 1
    assert_as_alone(requests, together)


def test_where_a_shared_pass_fails_each_says_why_alone(monkeypatch):
    """A field that takes no mask costs the others nothing but the pass that failed."""
    model, graphs = made("gcn")
    requests = requests_about(model, graphs)
    broken = requests[1].of.field

    def fail(own_model, each):
        if any(len(own.way.x) == len(broken.nodes) for own in each):
            raise ValueError("no mask here")
        return of_copies(own_model, each)

    monkeypatch.setattr(edge_gradients, "of_copies", fail)
    monkeypatch.setattr("sxq.inference.masked_copies.of_copies", fail)
    together = gradients_together(requests)
    assert requests[1].of.unavailable == "ValueError: no mask here"
    assert not together.pop(1).any()
    del requests[1]
    assert_as_alone(requests, together)


def explained(con, graphs):
    result = con.execute(
        "EXPLAIN GRAPHS ? USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 400 CANDIDATES", [graphs]
    )
    return [(e.target, e.rank, e.edges, e.dominance) for e in result]


def test_graphs_that_are_searched_together_share_their_passes(monkeypatch):
    """One pass for every estimate that a search takes; the answers are those of each graph alone."""
    passes = []

    def count(model, each):
        passes.append(len(each))
        return of_copies(model, each)

    monkeypatch.setattr(edge_gradients, "of_copies", count)
    monkeypatch.setattr("sxq.inference.masked_copies.of_copies", count)
    graphs = [random_graph(np.random.default_rng(seed), 12, 16) for seed in range(6)]
    with sxq.connect() as con:
        con.register_graphs("gs", GraphSet.join(graphs))
        con.register_model("m", Pools("gin"), graphs="gs")
        one_by_one = []
        most = 0
        for number in range(len(graphs)):
            del passes[:]
            one_by_one += explained(con, [number])
            most = max(most, len(passes))
        del passes[:]
        assert explained(con, list(range(len(graphs)))) == one_by_one
    assert most > 2
    assert len(passes) <= most + 1
    assert passes[0] == len(graphs) <= executor.TOGETHER["cpu"]
