"""The layered backend gives what the plain module gives on the whole graph with the edges really removed.

Every graph here has a hub, self-loops, parallel edges, an isolated node, and comes directed and undirected,
with weights or attributes where layers take them; every batch has the empty candidate and the whole field.
"""

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric import nn as pyg

from sxq.graph import extract
from sxq.inference import CandidateBatch
from sxq.inference.choose import choose, open_backend
from sxq.inference.layered import schedule
from sxq.inference.layered.backend import Layered
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models.borrow import borrow
from tests.graphs import random_graph
from tests.layered_models import (
    CASES,
    CPU,
    MODELS,
    Attributed,
    Weighted,
    assert_equal,
    plain,
    prepared,
    some_bits,
)


@pytest.mark.slow
@pytest.mark.sweep(24)
@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize(
    "kind,name,make", CASES, ids=[f"{kind.__name__} {name}" for kind, name, _ in CASES]
)
def test_a_kernel_is_its_layer(kind, name, make, undirected):
    graph = random_graph(
        np.random.default_rng(len(name)),
        undirected=undirected,
        weighted=kind is Weighted,
        attributed=kind is Attributed,
    )
    model = prepared(kind(make), graph)
    backend = Layered(model)
    fields = [
        extract(graph, target, backend.steps.hops, 1) for target in (0, 4, graph.num_nodes - 1)
    ]
    batches = [
        CandidateBatch(backend.load(graph, field), some_bits(field, size))
        for field, size in zip(fields, (5, 2, 3))
    ]
    for field, batch, found in zip(
        fields, batches, backend.infer(batches)
    ):  # several targets in one batch
        expected = torch.stack([plain(model, graph, field, bits) for bits in batch.bits], dim=1)
        assert_equal(found, expected)
        assert_equal(
            backend.infer([CandidateBatch(batch.field, batch.bits[:1])])[0], expected[:, :1]
        )  # and one alone


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [1, 4, 8])
def test_a_model_is_the_plain_model(name, size):
    """Also for as many candidates, or columns, as a layer has channels."""
    graph = random_graph(np.random.default_rng(size))
    model = prepared(MODELS[name](), graph)
    backend = Layered(model)
    field = extract(graph, 0, 3, 1)
    bits = some_bits(field, size)
    (found,) = backend.infer([CandidateBatch(backend.load(graph, field), bits)])
    assert_equal(found, torch.stack([plain(model, graph, field, row) for row in bits], dim=1))


def test_a_batch_larger_than_a_tile_is_what_its_parts_are(monkeypatch):
    graph = random_graph(np.random.default_rng(3))
    backend = Layered(prepared(pyg.GCN(5, 8, 3, 3), graph))
    batches = [
        CandidateBatch(backend.load(graph, field), some_bits(field, 9))
        for field in (extract(graph, target, 3, 1) for target in (0, 4, 7))
    ]
    whole = backend.infer(batches)
    for largest, alone, slab in ((1, 1, 1), (300, 10**9, 4), (1000, 500, 8), (10**6, 10**9, 1)):
        monkeypatch.setitem(schedule.LARGEST, "cpu", largest)
        monkeypatch.setattr(schedule, "ALONE", alone)
        monkeypatch.setattr(schedule, "SLAB", slab)
        for a, b in zip(whole, backend.infer(batches)):
            assert_equal(a, b, 1e-6)


@pytest.mark.parametrize("make", [pyg.GCN, pyg.GraphSAGE, pyg.GIN, pyg.GAT])
def test_what_shares_a_batch_changes_no_bit(make):
    """Otherwise the answers of workers would depend on how targets are shared out."""
    graph = random_graph(np.random.default_rng(3))
    model = prepared(make(5, 8, 3, 3), graph)
    backend = Layered(model)
    batches = [
        CandidateBatch(backend.load(graph, field), some_bits(field, 9))
        for field in (extract(graph, target, 3, 1) for target in (0, 4, 7))
    ]
    for batch, together in zip(batches, backend.infer(batches)):
        p = model.probabilities(together.flatten(0, 1)).unflatten(0, (2, -1))
        for row in range(len(batch.bits)):
            for end in (row + 1, len(batch.bits)):
                own = CandidateBatch(batch.field, batch.bits[row:end])
                (alone,) = backend.infer([own])
                assert torch.equal(alone, together[:, row:end])
                of_alone = model.probabilities(alone.flatten(0, 1)).unflatten(0, (2, -1))
                assert torch.equal(of_alone, p[:, row:end])


class Odd(nn.Module):
    """A model whose forward is what a test says it is."""

    def __init__(self, forward):
        super().__init__()
        self.conv, self.say = pyg.GCNConv(5, 3), forward

    def forward(self, x, edge_index):
        return self.say(self.conv, x, edge_index)


OVERWRITING = {
    "read twice": lambda conv, x, e: (lambda out: out.relu() + out)(conv(x, e)),
    "named argument": lambda conv, x, e: nn.functional.relu(input=conv(x, e)),
    "in place": lambda conv, x, e: nn.functional.relu(conv(x, e), inplace=True),
    "of the features": lambda conv, x, e: conv(x.relu(), e) + conv(x, e),
}


@pytest.mark.parametrize("way", OVERWRITING)
def test_a_relu_overwrites_only_what_nobody_else_reads(way):
    graph = random_graph(np.random.default_rng(1))
    model = prepared(Odd(OVERWRITING[way]), graph)
    backend, field = Layered(model), extract(graph, 0, 1, 1)
    layout, bits = backend.load(graph, field), some_bits(field, 6)
    for _ in range(2):  # the features are what they were
        found = backend.infer([CandidateBatch(layout, bits)])[0]
        assert_equal(found, torch.stack([plain(model, graph, field, row) for row in bits], dim=1))


REFUSED = {
    "sum over dim=0 may mix nodes": lambda conv, x, e: conv(x, e) + x.sum(dim=0).mean(),
    "mean over dim=None may mix nodes": lambda conv, x, e: conv(x, e) - x.mean(),
    "softmax over dim=0 may mix nodes": lambda conv, x, e: conv(x, e).softmax(dim=0),
    "no layered form of the operation flip": lambda conv, x, e: conv(x, e.flip(0)),
    "picks single nodes": lambda conv, x, e: conv(x, e) + x[0, :3],
    "may mix nodes: its first size is not -1": lambda conv, x, e: conv(x.view(5, -1).T, e),
    "active in evaluation": lambda conv, x, e: nn.functional.dropout(conv(x, e), 0.0),
    "looks at values that the graph decides": lambda conv, x, e: conv(x, e) if x.sum() > 0 else x,
    "computes with the number of nodes": lambda conv, x, e: conv(x, e) * x.size(0),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_mixes_rows_is_refused_with_its_reason(reason):
    graph = random_graph(np.random.default_rng(1))
    with pytest.raises(Untraceable, match=reason):
        Layered(borrow(Odd(REFUSED[reason]), graph, "logits", CPU))


@pytest.mark.parametrize(
    "layer,reason",
    [
        (lambda: pyg.SAGEConv(5, 3, aggr="median"), "aggr=.median."),
        (lambda: pyg.GCNConv(5, 3, flow="target_to_source"), "target_to_source"),
        (lambda: pyg.ClusterGCNConv(5, 3), "ClusterGCNConv"),
        (lambda: pyg.GATConv(5, 3, fill_value="max"), "fill_value='max'"),
        (
            lambda: pyg.GINConv(
                nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3, track_running_stats=False))
            ),
            "running",
        ),
    ],
)
def test_what_no_kernel_does_is_refused_with_its_reason(layer, reason):
    graph = random_graph(np.random.default_rng(1))
    with pytest.raises(Untraceable, match=reason):
        module = pyg.Sequential("x, edge_index", [(layer(), "x, edge_index -> x")])
        Layered(borrow(module, graph, "logits", CPU))


def test_the_check_finds_a_kernel_that_is_wrong(monkeypatch):
    from dataclasses import replace

    from sxq.inference.tiles.tile import Edges

    graph = random_graph(np.random.default_rng(1))
    model = replace(prepared(pyg.GCN(5, 8, 2, 3), graph), hops=2, halo=1)
    assert choose(model, graph) == ("layered", "")
    assert choose(model, graph, "disjoint") == ("disjoint", "as set")
    assert open_backend("layered", model).name == "layered"
    right = Edges.sum
    monkeypatch.setattr(
        Edges, "sum", lambda self, rows, weights: right(self, rows, weights * 1.001)
    )
    name, reason = choose(model, graph)
    assert name == "disjoint" and "differs by" in reason
