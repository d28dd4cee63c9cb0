"""Registration on a large graph: depth and halo found on a part are those of the whole, for few forward passes."""

import numpy as np
import pytest
import torch

from sxq.errors import ModelNotLocal
from sxq.graph import Graph
from sxq.inference import locality, probe_part, registration
from tests.graphs import make


def power_law(nodes=1500, seed=0, undirected=True, weighted=False):
    rng = np.random.default_rng(seed)
    source = rng.integers(0, nodes, 3 * nodes)
    head = (source + rng.zipf(1.5, 3 * nodes)) % nodes
    ends = np.unique(np.stack([source, head]), axis=1)
    if undirected:
        ends = np.unique(np.concatenate([ends, ends[::-1]], axis=1), axis=1)
    weight = rng.random(ends.shape[1]).astype(np.float32) if weighted else None
    x = rng.normal(size=(nodes, 6)).astype(np.float32)
    return Graph(ends, x, edge_weight=weight)


@pytest.fixture
def small(monkeypatch):
    """Graphs of a thousand edges count as large."""
    monkeypatch.setattr(probe_part, "LARGE", 1000)
    monkeypatch.setattr(probe_part, "WALKS", 12)


def on_whole(monkeypatch):
    monkeypatch.setattr(locality, "probe_part", lambda graph: None)


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("kind", ["gcn", "sage", "gin"])
def test_a_part_tells_the_same_depth_and_halo(small, monkeypatch, kind, undirected):
    graph = power_law(undirected=undirected)
    module = make(kind, inputs=6)
    found = registration.register(module, graph, "logits")
    on_whole(monkeypatch)
    whole = registration.register(module, graph, "logits")
    facts = [(model.hops, model.halo, model.backend, model.depth) for model in (found, whole)]
    assert facts[0] == facts[1] and torch.equal(found.full, whole.full)


@pytest.mark.slow
def test_few_forward_passes_run_on_the_whole_graph(small, monkeypatch):
    graph = power_law()
    ran = []
    module = make("gcn", inputs=6)
    module.register_forward_pre_hook(lambda module, given: ran.append(len(given[0])))
    registration.register(module, graph, "logits")
    assert ran.count(graph.num_nodes) <= 5 and len(ran) > 20
    on_whole(monkeypatch)
    ran.clear()
    registration.register(module, graph, "logits")
    assert ran.count(graph.num_nodes) > 20


class Mean(torch.nn.Module):
    """Mixes all nodes."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(6, 3)

    def forward(self, x, edge_index):
        return self.layer(x - x.mean(dim=0))


def test_a_model_that_mixes_all_nodes_is_refused_as_ever(small, monkeypatch):
    graph = power_law()
    said = []
    module = Mean()
    for _ in range(2):
        with pytest.raises(ModelNotLocal) as found:
            registration.register(module, graph, "logits")
        said.append(str(found.value))
        on_whole(monkeypatch)
    assert said[0] == said[1]


class Far(torch.nn.Module):
    """Looks further than walks on the part are long."""

    def __init__(self, steps):
        super().__init__()
        self.layer = torch.nn.Linear(6, 3)
        self.steps = steps

    def forward(self, x, edge_index):
        for _ in range(self.steps):
            x = x + 0.5 * torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]])
            x = x / 2
        return self.layer(x)


@pytest.mark.slow
def test_a_model_that_looks_far_is_examined_on_the_whole_graph(small, monkeypatch):
    ring = np.arange(1200)
    graph = Graph(
        np.stack([ring, (ring + 1) % 1200]), np.random.default_rng(0).normal(size=(1200, 6))
    )
    for steps in (9, 13):
        assert registration.register(Far(steps), graph, "logits").hops == steps


def test_small_graphs_and_graphs_with_types_have_no_part():
    assert probe_part.probe_part(power_law()) is None


@pytest.mark.parametrize("seed", range(4))
def test_a_part_is_a_graph_of_its_own(small, seed):
    graph = power_law(seed=seed, weighted=True)
    part = probe_part.probe_part(graph)
    assert 100 < part.num_nodes < graph.num_nodes and part.undirected == graph.undirected
    rows = {tuple(row) for row in graph.x.tolist()}
    assert {tuple(row) for row in part.x.tolist()} <= rows
