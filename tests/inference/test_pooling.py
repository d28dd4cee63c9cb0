"""Models of graphs, layer by layer: what the plain module gives on the graph that is really cut.

G_s is edge-induced: only the nodes of its edges are pooled; the empty candidate has all nodes and no edge.
"""

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric import nn as pyg
from torch_geometric.utils import scatter

from sxq.graph import EdgeKind, Graph
from sxq.graph.node_field import over_nodes
from sxq.graph.whole import WholeGraph
from sxq.inference import CandidateBatch
from sxq.inference.layered import schedule
from sxq.inference.layered.backend import Layered
from sxq.inference.tiles.alike import AlikeRows, distinct_numbers
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models.model import Model
from tests.graphs import random_graph
from tests.layered_models import CPU, assert_equal, some_bits

POOLINGS = {"sum": pyg.global_add_pool, "mean": pyg.global_mean_pool, "max": pyg.global_max_pool}


class Classifier(nn.Module):
    """Two layers, a pooling, two row-wise maps; `pool(x, batch)` may be a module."""

    def __init__(self, make, pool, width=6):
        super().__init__()
        self.first, self.second, self.pool = make(5, 6), make(6, 6), pool
        self.head = nn.Sequential(
            nn.Linear(width, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)
        )

    def forward(self, x, edge_index, batch):
        x = self.first(x, edge_index).relu()
        return self.head(self.pool(self.second(x, edge_index), batch))


class Weighted(Classifier):
    def forward(self, x, edge_index, edge_weight=None, batch=None):
        x = self.first(x, edge_index, edge_weight).relu()
        return self.head(self.pool(self.second(x, edge_index, edge_weight), batch))


class Skipping(Classifier):
    """Reads every layer, the features themselves included, by two poolings."""

    def forward(self, x, edge_index, batch):
        one = self.first(x, edge_index).tanh()
        two = self.second(one, edge_index) + one
        return self.head(
            torch.cat(
                [
                    pyg.global_max_pool(two, batch),
                    pyg.global_mean_pool(x, batch),
                    scatter(one, batch, dim=0, reduce="sum"),
                ],
                dim=-1,
            )
        ).log_softmax(dim=-1)


class Featured(Classifier):
    """No message at all."""

    def forward(self, x, edge_index, batch):
        return self.head(self.pool(x, batch))


MODELS = {
    **{
        f"gcn {name}": (lambda pool=pool: Classifier(pyg.GCNConv, pool))
        for name, pool in POOLINGS.items()
    },
    "gcn weighted": lambda: Weighted(pyg.GCNConv, pyg.global_mean_pool),
    "gat": lambda: Classifier(pyg.GATConv, pyg.global_mean_pool),
    "sage max": lambda: Classifier(
        lambda i, o: pyg.SAGEConv(i, o, aggr="max"), pyg.global_max_pool
    ),
    "gin": lambda: Classifier(lambda i, o: pyg.GINConv(nn.Linear(i, o)), pyg.global_add_pool),
    "le": lambda: Classifier(pyg.LEConv, pyg.global_mean_pool),
    "tag": lambda: Classifier(lambda i, o: pyg.TAGConv(i, o, K=2), pyg.global_mean_pool),
    "sum module": lambda: Classifier(pyg.GCNConv, pyg.SumAggregation()),
    "mean module": lambda: Classifier(pyg.GCNConv, pyg.MeanAggregation()),
    "max module": lambda: Classifier(pyg.GCNConv, pyg.MaxAggregation()),
    "skips": lambda: Skipping(pyg.GCNConv, None, width=17),
    "features alone": lambda: Featured(pyg.GCNConv, pyg.global_max_pool, width=5),
}


def prepared(module):
    generator = torch.Generator().manual_seed(0)
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if value.is_floating_point():
            value.data = torch.randn(value.shape, generator=generator) * 0.5
            value.data = value.data.abs() + 0.5 if "var" in name else value.data
    arguments = ("edge_weight", "batch") if isinstance(module, Weighted) else ("batch",)
    return Model(module.eval().requires_grad_(False), "logits", arguments, CPU, torch.empty(0))


def whole(graph):
    """All of a graph as a field: units are pairs, or edges where it is directed."""
    ends = graph.edge_index if not graph.undirected else np.sort(graph.edge_index, axis=0)
    real = ends[0] != ends[1]
    units, owner = np.unique(ends[:, real], axis=1, return_inverse=True)
    unit = np.full(graph.num_edges, EdgeKind.LOOP)
    unit[real] = owner.reshape(-1)
    layer = np.arange(graph.num_nodes) // 7  # hops mean nothing here
    return WholeGraph(
        target=-1,
        hops=4,
        halo=0,
        directed=not graph.undirected,
        nodes=np.arange(graph.num_nodes),
        node_hop=layer,
        edge_index=graph.edge_index,
        edges=np.arange(graph.num_edges),
        unit=unit,
        ends=units,
        unit_hop=np.ones(units.shape[1], int),
    )


def plain(model, graph, field, bits):
    """[2, C]: the module on the edge-induced graph of the candidate, and on all nodes without its edges."""
    loops = field.unit == EdgeKind.LOOP
    kept = ~loops
    kept[~loops] = bits[field.unit[~loops]]
    alive = np.isin(np.arange(graph.num_nodes), graph.edge_index[:, kept]) | (not bits.any())
    outputs = []
    for edges, nodes in ((kept | loops, alive), (~kept, np.ones_like(alive))):
        edges = edges & nodes[graph.edge_index[0]]
        edge_index = torch.from_numpy((np.cumsum(nodes) - 1)[graph.edge_index[:, edges]])
        given = {"batch": torch.zeros(nodes.sum(), dtype=torch.long)}
        if "edge_weight" in model.arguments:
            given["edge_weight"] = torch.from_numpy(graph.edge_weight[edges])
        outputs.append(model.module(torch.from_numpy(graph.x[nodes]), edge_index, **given)[0])
    return torch.stack(outputs)


@pytest.mark.slow
@pytest.mark.sweep(14)
@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_graphs_is_what_the_module_gives(name, undirected, monkeypatch):
    rng = np.random.default_rng(len(name))
    graphs = [
        random_graph(rng, nodes, 2 * nodes, undirected, weighted=name == "gcn weighted")
        for nodes in (12, 24)
    ]
    backend = Layered(prepared(MODELS[name]()))
    fields = [whole(graph) for graph in graphs]
    batches = [
        CandidateBatch(backend.load(graph, field), some_bits(field, size))
        for graph, field, size in zip(graphs, fields, (5, 9))
    ]
    for alone in (1, 10**9):  # by themselves, and packed together
        monkeypatch.setattr(schedule, "ALONE", alone)
        for graph, field, batch, found in zip(graphs, fields, batches, backend.infer(batches)):
            expected = [plain(backend.model, graph, field, bits) for bits in batch.bits]
            assert_equal(found, torch.stack(expected, dim=1))


ALIKE = {
    "gcn": lambda: Net(pyg.GCNConv(5, 8), pyg.GCNConv(8, 3)),
    "sage": lambda: Net(pyg.SAGEConv(5, 8), pyg.SAGEConv(8, 3, aggr="max")),
    "graphconv": lambda: Net(pyg.GraphConv(5, 8, aggr="mean"), pyg.GraphConv(8, 3)),
    "leconv": lambda: Net(pyg.LEConv(5, 8), pyg.LEConv(8, 3)),
    "gin": lambda: Net(
        pyg.GINConv(nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 8)), eps=0.1),
        pyg.GINConv(nn.Linear(8, 3)),
    ),
}


class Net(nn.Module):
    """Two layers with a skip connection, and two poolings."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x, edge_index, batch):
        h = self.first(x, edge_index).relu()
        out = self.second(h, edge_index) + h[:, :3] + x[:, :3]
        return pyg.global_add_pool(out, batch) + pyg.global_max_pool(out, batch)


def test_numbers_that_are_alike_are_found_whatever_their_bits():
    rng = np.random.default_rng(0)
    some = rng.integers(0, 2**63, 50, dtype=np.uint64)
    for own in (some, some & np.uint64(7), some << np.uint64(40), np.zeros(3, np.uint64), some[:0]):
        numbers = own[rng.integers(0, len(own), 300)] if len(own) else own
        known, first, classes = np.unique(numbers, return_index=True, return_inverse=True)
        places, found = distinct_numbers(numbers)
        assert (numbers[places] == known).all() and (found == classes).all()


@pytest.mark.parametrize("name", ALIKE)
def test_rows_that_are_alike_are_computed_once(name):
    """With few kinds of nodes most rows are alike; the values are those of every row by itself."""
    rng = np.random.default_rng(5)
    backend = Layered(prepared(ALIKE[name]()))
    assert backend.alike
    batches = []
    for nodes, undirected in ((9, True), (14, True), (11, False)):
        graph = random_graph(rng, nodes, 2 * nodes, undirected)
        kinds = np.eye(5, dtype=np.float32)[rng.integers(0, 2, nodes)]
        graph = Graph(np.concatenate([graph.edge_index, [[0], [0]]], axis=1), kinds)
        for field in (whole(graph), over_nodes(whole(graph))):
            bits = some_bits(field, 7)
            batches.append(CandidateBatch(backend.load(graph, field), bits))
    found = backend.infer(batches)
    frame = AlikeRows([b.field for b in batches], [b.bits for b in batches], 2, "x", name == "gcn")
    assert frame.rows(0) < frame.exists.sum() / 2
    backend.alike = False
    for one, other in zip(found, backend.infer(batches), strict=True):
        assert_equal(one, other)


@pytest.mark.parametrize("edges", [[], [(0, 0), (2, 2)]])
def test_a_graph_without_units_has_its_nodes(edges):
    graph = Graph(
        np.array(edges, int).reshape(-1, 2).T, np.random.default_rng(0).normal(size=(4, 5))
    )
    backend, field = Layered(prepared(MODELS["gcn sum"]())), whole(graph)
    bits = np.zeros((1, 0), bool)
    found = backend.infer([CandidateBatch(backend.load(graph, field), bits)])[0]
    assert_equal(found, plain(backend.model, graph, field, bits[0])[:, None])


REFUSED = {
    "looks at batch": lambda x, batch: torch.where(batch > 0, x, 0.0),
    "picks single nodes": lambda x, batch: pyg.global_add_pool(x, batch)[batch],
    "pooling by 'mul'": lambda x, batch: scatter(x, batch, reduce="mul"),
    "graphs and nodes together": lambda x, batch: pyg.global_add_pool(x, batch) + x,
    "not one row per graph": lambda x, batch: x,
    "does not pool nodes by graph": lambda x, batch: scatter(scatter(x, batch), batch),
    "no layered form of MedianAggregation": pyg.MedianAggregation(),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_no_pooling_of_nodes_is_refused_with_its_reason(reason):
    with pytest.raises(Untraceable, match=reason):
        Layered(prepared(Classifier(pyg.GCNConv, REFUSED[reason])))


def test_recording_leaves_the_poolings_as_they_were():
    call = pyg.Aggregation.__call__
    Layered(prepared(MODELS["gcn sum"]()))
    with pytest.raises(Untraceable):
        Layered(prepared(Classifier(pyg.GCNConv, lambda x, batch: x if x.sum() > 0 else batch)))
    assert pyg.pool.glob.scatter is scatter and pyg.Aggregation.__call__ is call
