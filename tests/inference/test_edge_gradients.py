"""First-order estimates layer by layer are those of autograd on the plain module under PyG's masks."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric import nn as pyg

from sxq.graph import Graph, extract
from sxq.inference.edge_gradients import EdgeGradients
from sxq.inference.layered.backend import Layered
from sxq.scoring.question import Question
from tests.graphs import random_graph
from tests.layered_models import CASES, MODELS, Attributed, Stack, Weighted, prepared, some_bits

C1 = Question(column=1)

BY_COPIES = {
    "Stack sage max",
    "Stack graph max",
    "Attributed gatv2 mean",
    "Attributed transformer",
    "GraphSAGE",
    # layers that are read as their own operations
    "Stack gcn2",
    "Stack gcn2 of two maps",
    "Stack mixhop",
    "Stack simple",
    "Stack film",
    "Stack edge",
    "Stack pna",
    "Stack ssg",
    "Stack supergat",
    "Weighted gcn2",
    "Weighted mixhop",
    "Weighted simple",
}


def without_loops(graph):
    """PyG masks the wrong edges where there are loops."""
    keep = graph.edge_index[0] != graph.edge_index[1]
    edge_values = {
        name: getattr(graph, name) if getattr(graph, name) is None else getattr(graph, name)[keep]
        for name in ("edge_weight", "edge_attr")
    }
    return Graph(graph.edge_index[:, keep], graph.x, y=graph.y, **edge_values)


def assert_same_gradients(module, graph, by_layers):
    model = prepared(module, graph)
    backend = Layered(model)
    for directed in (False, True) if graph.undirected else (True,):
        field = extract(graph, 0, backend.steps.hops, 1, directed)
        bits = some_bits(field, 5)
        layered = EdgeGradients(model, graph, field, C1, backend)
        copies = EdgeGradients(dataclasses.replace(model), graph, field, C1)
        for context in (True, False):
            expected = copies(bits, context)
            assert np.abs(expected).max() > 0
            for count in (1, len(bits)):
                close = 1e-4 * np.abs(expected).max()
                assert np.allclose(
                    layered(bits[:count], context), expected[:count], rtol=1e-3, atol=close
                )
        assert layered.by_layers == by_layers


@pytest.mark.slow
@pytest.mark.sweep(24)
@pytest.mark.parametrize(
    "kind,name,make", CASES, ids=[f"{kind.__name__} {name}" for kind, name, _ in CASES]
)
def test_gradients_of_a_layer(kind, name, make):
    graph = random_graph(
        np.random.default_rng(2), weighted=kind is Weighted, attributed=kind is Attributed
    )
    assert_same_gradients(
        kind(make), without_loops(graph), f"{kind.__name__} {name}" not in BY_COPIES
    )


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_a_model(name):
    graph = random_graph(np.random.default_rng(3), undirected=False)
    assert_same_gradients(MODELS[name](), without_loops(graph), name not in BY_COPIES)


def test_gradients_of_many_sets_are_worked_out_in_parts(monkeypatch):
    graph = without_loops(random_graph(np.random.default_rng(4)))
    model = prepared(Stack(pyg.GCNConv), graph)
    field = extract(graph, 0, 2, 1)
    gradients, bits = EdgeGradients(model, graph, field, C1, Layered(model)), some_bits(field, 9)
    whole = gradients(bits, True)
    monkeypatch.setattr("sxq.inference.edge_gradients.COPIES", 2 * gradients.cost)
    assert np.allclose(gradients(bits, True), whole, atol=1e-6)


class Failing(nn.Module):
    """A model that raises an error where its output is to be differentiated."""

    def __init__(self, error):
        super().__init__()
        self.conv, self.error = pyg.GCNConv(5, 3), error

    def forward(self, x, edge_index):
        if torch.is_grad_enabled():
            raise self.error("no gradients here")
        return self.conv(x, edge_index)


def test_a_model_that_fails_under_a_mask_gets_zeros_and_a_reason():
    graph = without_loops(random_graph(np.random.default_rng(4)))
    field = extract(graph, 0, 1, 1)
    bits = some_bits(field, 3)
    gradients = EdgeGradients(prepared(Failing(TypeError), graph), graph, field, C1)
    assert not gradients(bits, True).any()
    assert gradients.unavailable == "TypeError: no gradients here"
    gradients = EdgeGradients(prepared(Failing(MemoryError), graph), graph, field, C1)
    with pytest.raises(MemoryError):  # no fault of the mask
        gradients(bits, True)
