"""Layers that know the types of edges, layer by layer, equal the plain module on the graph with the edges removed."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric import nn as pyg
from torch_geometric.data import Data

from sxq.graph import extract
from sxq.inference import CandidateBatch
from sxq.inference.layered.backend import Layered
from sxq.inference.registration import register
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models.hetero_data import typed_graph
from sxq.models.pyg_data import graph_from_data
from tests.layered_models import assert_equal, plain, some_bits
from tests.typed_models import Attention, bank, model

KINDS = 4


def one_table(seed=0, **more):
    """Nodes with loops, parallel edges of several types, types without edges, and a node without any edge."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, 11, (2, 34), generator=generator)
    edges = torch.cat([edges, edges[:, :3], torch.tensor([[4], [4]])], 1)
    kinds = torch.randint(0, KINDS - 1, (38,), generator=generator)
    data = Data(x=torch.randn(12, 5, generator=generator), edge_index=edges, edge_type=kinds)
    for name, value in more.items():
        data[name] = value(data, generator)
    return data


class Stack(nn.Module):
    """Two layers that take edge_type."""

    def __init__(self, make):
        super().__init__()
        self.a = make(5, 6)
        self.b = make(6, 4)

    def forward(self, x, edge_index, edge_type):
        return self.b(self.a(x, edge_index, edge_type).relu(), edge_index, edge_type)


def rgcn(conv=pyg.RGCNConv, **options):
    return lambda i, o: conv(i, o, KINDS, **options)


RELATIONAL = {
    "mean": rgcn(),
    "sum": rgcn(aggr="sum", root_weight=False),
    "max": rgcn(aggr="max", bias=False),
    "bases": rgcn(num_bases=2),
    "blocks": lambda i, o: pyg.RGCNConv(i, o, KINDS, num_blocks=1 if i == 5 else 2),
    "fast": rgcn(pyg.FastRGCNConv, aggr="sum"),
    "fast bases": rgcn(pyg.FastRGCNConv, num_bases=3),
}


def require_equal(module, data, targets=(0, 4, 11)):
    """Candidates of several targets in one batch, and of one alone."""
    found = register(module.eval(), graph := graph_from_data(data), output="logits")
    assert found.backend == "layered", found.reason
    backend = Layered(found)
    fields = [extract(graph, target, found.hops, found.halo) for target in targets]
    batches = [
        CandidateBatch(backend.load(graph, field), some_bits(field, size))
        for field, size in zip(fields, (5, 2, 3))
    ]
    for field, batch, outputs in zip(fields, batches, backend.infer(batches)):
        expected = torch.stack([plain(found, graph, field, bits) for bits in batch.bits], dim=1)
        assert_equal(outputs, expected)
    alone = CandidateBatch(batches[0].field, batches[0].bits[:1])
    expected = plain(found, graph, fields[0], alone.bits[0])[:, None]
    assert_equal(backend.infer([alone])[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", RELATIONAL)
def test_relational_layers_are_their_kernel(name):
    torch.manual_seed(0)
    require_equal(Stack(RELATIONAL[name]), one_table())


class Embedded(nn.Module):
    """Types of nodes and edges as embeddings, for a layer that knows no types."""

    def __init__(self):
        super().__init__()
        self.of_node = nn.Embedding(3, 5)
        self.of_edge = nn.Embedding(KINDS, 2)
        self.a = pyg.GATConv(5, 6, edge_dim=2)
        self.b = pyg.GATv2Conv(6, 3, edge_dim=2)

    def forward(self, x, edge_index, edge_type, node_type):
        x = x + self.of_node(node_type)
        attr = self.of_edge(edge_type)
        return self.b(self.a(x, edge_index, attr).tanh(), edge_index, attr)


def test_types_may_be_embedded():
    torch.manual_seed(0)
    data = one_table(node_type=lambda own, g: torch.randint(0, 3, (len(own.x),), generator=g))
    require_equal(Embedded(), data)


class OtherWay(nn.Module):
    """Its own order and names, whole numbers for x, and a weight in edge_attr."""

    def __init__(self):
        super().__init__()
        self.names = nn.Embedding(20, 6)
        self.a = pyg.GraphConv(6, 3)

    def forward(self, edge_index, x, weight=None):
        return self.a(self.names(x), edge_index, weight)


def test_a_forward_of_another_order_with_whole_numbers_runs_layered():
    torch.manual_seed(0)
    data = one_table()
    data.x = torch.arange(12)
    del data.edge_type
    data.edge_attr = torch.rand(38, 1)
    require_equal(OtherWay(), data)


@pytest.mark.slow
def test_several_targets_of_a_typed_graph_share_a_tile():
    """Fields in which other edge types are present, of all kinds of typed models."""
    for kind in ("hgt", "rgcn", "layered"):
        data = bank(6, both_ways=False)
        graph = typed_graph(data)
        found = register(model(kind, data), graph, output="logits")
        assert found.backend == "layered", found.reason
        backend = Layered(found)
        fields = [extract(graph, target, found.hops, found.halo) for target in range(5)]
        batches = [
            CandidateBatch(backend.load(graph, field), some_bits(field, 3)) for field in fields
        ]
        together = backend.infer(batches)
        for batch, outputs in zip(batches, together):
            assert_equal(outputs, backend.infer([batch])[0], 1e-6)


def test_han_runs_layered_where_one_edge_type_enters_each_node_type():
    data = bank(2)
    for name in [("account", "knows", "account"), ("device", "used_by", "account")]:
        del data[name]
    torch.manual_seed(0)
    found = register(
        Attention(data.metadata(), pyg.HANConv).eval(), typed_graph(data), output="logits"
    )
    assert found.backend == "layered", found.reason


class Flipped(nn.Module):
    """Edges against their direction: no longer those of a type of the graph."""

    def __init__(self, metadata):
        super().__init__()
        self.a = Attention(metadata)

    def forward(self, x_dict, edge_index_dict):
        return self.a(x_dict, {k: e.flip(1) for k, e in edge_index_dict.items()})


def test_other_edges_than_those_of_the_graph_are_not_recorded():
    data = bank(2)
    found = register(Flipped(data.metadata()).eval(), typed_graph(data), output="logits")
    assert found.backend == "disjoint"
    with pytest.raises(Untraceable, match="flip"):
        Layered(found)


def test_max_norm_changes_an_embedding():
    class Normed(Embedded):
        def __init__(self):
            super().__init__()
            self.of_edge = nn.Embedding(KINDS, 2, max_norm=1.0)

    torch.manual_seed(0)
    data = one_table(node_type=lambda own, g: torch.randint(0, 3, (len(own.x),), generator=g))
    found = register(Normed().eval(), graph_from_data(data), output="logits")
    assert found.backend == "disjoint"
    assert "max_norm" in found.reason
    assert np.isfinite(found.full.numpy()).all()
