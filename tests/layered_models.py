"""Models of every layer and option that the layered backend knows, and the plain answers to compare with."""

import numpy as np
import torch
from torch import nn
from torch_geometric import nn as pyg

from sxq.models.borrow import borrow
from sxq.models.forward import forward_full

CPU = torch.device("cpu")
SMALL = 6  # hidden channels


class Stack(nn.Module):
    """Two layers made by `make(inputs, outputs)`, elu between; `edge` names the edge argument they take."""

    def __init__(self, make, widths=(5, SMALL, 3), edge=None):
        super().__init__()
        self.first, self.second, self.edge = (
            make(widths[0], widths[1]),
            make(widths[1], widths[2]),
            edge,
        )

    def forward(self, x, edge_index):
        return self.second(nn.functional.elu(self.first(x, edge_index)), edge_index)


class Weighted(Stack):
    def forward(self, x, edge_index, edge_weight=None):
        return self.second(
            nn.functional.elu(self.first(x, edge_index, edge_weight)), edge_index, edge_weight
        )


class Attributed(Stack):
    def forward(self, x, edge_index, edge_attr=None):
        return self.second(
            nn.functional.elu(self.first(x, edge_index, edge_attr)), edge_index, edge_attr
        )


class Propagated(nn.Module):
    """A linear map, then APPNP without normalisation."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.map, self.spread = (
            nn.Linear(inputs, outputs),
            pyg.APPNP(K=2, alpha=0.3, normalize=False),
        )

    def forward(self, x, edge_index, edge_weight=None):
        return self.spread(self.map(x), edge_index, edge_weight)


class Initial(nn.Module):
    """GCN2Conv, which takes the first rows, too."""

    def __init__(self, inputs, outputs, **options):
        super().__init__()
        self.map = nn.Linear(inputs, outputs)
        self.conv = pyg.GCN2Conv(outputs, 0.3, **options)

    def forward(self, x, edge_index, edge_weight=None):
        start = self.map(x)
        return self.conv(start.relu(), start, edge_index, edge_weight)


class Narrowed(nn.Module):
    """A layer whose output is mapped to fewer columns."""

    def __init__(self, layer, inputs, outputs):
        super().__init__()
        self.layer = layer
        self.map = nn.Linear(inputs, outputs)

    def forward(self, x, edge_index, edge_weight=None):
        return self.map(self.layer(x, edge_index, edge_weight))


def degrees_of(*aggregators):
    return lambda i, o: pyg.PNAConv(
        i, o, list(aggregators), ["identity", "attenuation"], torch.tensor([1, 2, 3, 4]), towers=1
    )


def network(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 7), nn.ReLU(), nn.BatchNorm1d(7), nn.Linear(7, outputs))


PLAIN = {
    "gcn": pyg.GCNConv,
    "gcn without loops": lambda i, o: pyg.GCNConv(i, o, add_self_loops=False),
    "gcn not normalised": lambda i, o: pyg.GCNConv(i, o, normalize=False),
    "gcn improved": lambda i, o: pyg.GCNConv(i, o, improved=True, bias=False),
    "gcn widening": lambda i, o: pyg.GCNConv(i, 4 * o) if o == SMALL else pyg.GCNConv(4 * i, o),
    "sage": pyg.SAGEConv,
    "sage max": lambda i, o: pyg.SAGEConv(i, o, aggr="max", project=True),
    "sage add": lambda i, o: pyg.SAGEConv(
        i, o, aggr="add", root_weight=False, normalize=True, bias=False
    ),
    "gin": lambda i, o: pyg.GINConv(network(i, o), eps=0.3, train_eps=True),
    "gin mlp": lambda i, o: pyg.GINConv(pyg.MLP([i, 8, o])),
    "gin without a linear map": lambda i, o: pyg.GINConv(nn.Sequential(nn.Tanh(), nn.Linear(i, o))),
    "gat": pyg.GATConv,
    "gat heads": lambda i, o: pyg.GATConv(i, o, heads=3, concat=False, residual=True),
    "gat without loops": lambda i, o: pyg.GATConv(
        i, o, heads=2, concat=False, add_self_loops=False
    ),
    "gatv2": lambda i, o: pyg.GATv2Conv(i, o, heads=2, concat=False, share_weights=True),
    "gatv2 without loops": lambda i, o: pyg.GATv2Conv(
        i, o, add_self_loops=False, residual=True, bias=False
    ),
    "graph": pyg.GraphConv,
    "graph mean": lambda i, o: pyg.GraphConv(i, o, aggr="mean"),
    "graph max": lambda i, o: pyg.GraphConv(i, o, aggr="max"),
    "le": pyg.LEConv,
    "sg": lambda i, o: pyg.SGConv(i, o, K=2, cached=True),
    "sg without loops": lambda i, o: pyg.SGConv(i, o, K=1, add_self_loops=False, bias=False),
    "tag": lambda i, o: pyg.TAGConv(i, o, K=2),
    "tag not normalised": lambda i, o: pyg.TAGConv(i, o, K=1, normalize=False, bias=False),
    "appnp": lambda i, o: pyg.Sequential(
        "x, e", [(nn.Linear(i, o), "x -> x"), (pyg.APPNP(2, 0.2), "x, e -> x")]
    ),
    "arma": lambda i, o: pyg.ARMAConv(i, o, num_stacks=2, num_layers=2),
    "arma shared": lambda i, o: pyg.ARMAConv(i, o, 3, 2, shared_weights=True, bias=False, act=None),
    "gcn2": lambda i, o: Initial(i, o, theta=0.5, layer=1),
    "gcn2 of two maps": lambda i, o: Initial(i, o, shared_weights=False, add_self_loops=False),
    "mixhop": lambda i, o: Narrowed(pyg.MixHopConv(i, o, [0, 1, 2]), 3 * o, o),
    "simple": lambda i, o: Narrowed(pyg.SimpleConv("mean", combine_root="cat"), 2 * i, o),
    "film": pyg.FiLMConv,
    "edge": lambda i, o: pyg.EdgeConv(network(2 * i, o)),
    "pna": degrees_of("mean", "max", "std"),
    "ssg": lambda i, o: pyg.SSGConv(i, o, 0.1, K=2),
    "supergat": pyg.SuperGATConv,
    "transformer": lambda i, o: pyg.TransformerConv(i, o, heads=2, concat=False, beta=True),
    "transformer without root": lambda i, o: pyg.TransformerConv(
        i, o, root_weight=False, bias=False
    ),
}
WEIGHTED = {
    "gcn": pyg.GCNConv,
    "gcn improved": lambda i, o: pyg.GCNConv(i, o, improved=True),
    "gcn without loops": lambda i, o: pyg.GCNConv(i, o, add_self_loops=False),
    "gcn not normalised": lambda i, o: pyg.GCNConv(i, o, normalize=False),
    "gat of weights": lambda i, o: pyg.GATConv(i, o, edge_dim=1),
    "graph": pyg.GraphConv,
    "graph mean": lambda i, o: pyg.GraphConv(i, o, aggr="mean"),
    "le": lambda i, o: pyg.LEConv(i, o, bias=False),
    "sg": lambda i, o: pyg.SGConv(i, o, K=2),
    "tag": lambda i, o: pyg.TAGConv(i, o, K=2),
    "tag not normalised": lambda i, o: pyg.TAGConv(i, o, K=1, normalize=False),
    "appnp": lambda i, o: Propagated(i, o),
    "arma": lambda i, o: pyg.ARMAConv(i, o, num_layers=2),
    "gcn2": Initial,
    "mixhop": lambda i, o: Narrowed(pyg.MixHopConv(i, o, [0, 1, 3]), 3 * o, o),
    "simple": lambda i, o: Narrowed(pyg.SimpleConv("sum", combine_root="self_loop"), i, o),
}
ATTRIBUTED = {
    "gine": lambda i, o: pyg.GINEConv(network(i, o), edge_dim=2),
    "gat mean": lambda i, o: pyg.GATConv(i, o, heads=2, concat=False, edge_dim=2),
    "gat add": lambda i, o: pyg.GATConv(i, o, edge_dim=2, fill_value="add"),
    "gat constant": lambda i, o: pyg.GATConv(i, o, edge_dim=2, fill_value=0.5),
    "gat vector": lambda i, o: pyg.GATConv(i, o, edge_dim=2, fill_value=torch.tensor([0.1, 2.0])),
    "gat without loops": lambda i, o: pyg.GATConv(i, o, edge_dim=2, add_self_loops=False),
    "gatv2 mean": lambda i, o: pyg.GATv2Conv(i, o, heads=2, concat=False, edge_dim=2),
    "gatv2 constant": lambda i, o: pyg.GATv2Conv(i, o, edge_dim=2, fill_value=2.0),
    "transformer": lambda i, o: pyg.TransformerConv(i, o, heads=2, edge_dim=2, concat=False),
}
# Degrees of ChebConv are those of edges that leave a node, so on a directed graph no field is right.
UNDIRECTED = {
    "cheb": lambda i, o: pyg.ChebConv(i, o, 3),
    "cheb of two": lambda i, o: pyg.ChebConv(i, o, 2, bias=False),
}
CASES = (
    [(Stack, name, make) for name, make in PLAIN.items()]
    + [(Weighted, name, make) for name, make in WEIGHTED.items()]
    + [(Attributed, name, make) for name, make in ATTRIBUTED.items()]
)


def prepared(module, graph, seed=0):
    """The module with parameters and running statistics that are nowhere trivial, borrowed for a graph."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if value.is_floating_point():
            value.data = torch.randn(value.shape, generator=generator) * 0.5
            value.data = value.data.abs() + 0.5 if "var" in name else value.data
    return borrow(module, graph, "logits", CPU)


def some_bits(field, size, seed=0):
    rng = np.random.default_rng(seed)
    bits = rng.random((size, field.num_units)) < rng.random((size, 1))
    bits[0] = False
    bits[-1] = True
    return bits


def plain(model, graph, field, bits):
    """[2, C]: the whole graph with nothing but the candidate and the loops, and without the candidate."""
    inside = np.zeros(graph.num_edges, bool)
    inside[field.edges_of(bits)] = True
    loops = graph.edge_index[0] == graph.edge_index[1]
    return torch.stack(
        [forward_full(model, graph, keep)[field.target] for keep in (inside | loops, ~inside)]
    )


def assert_equal(found, expected, tolerance=1e-5):
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1)


MODELS = {
    "GCN": lambda: pyg.GCN(5, 8, 3, 3),
    "GCN jumping, batch norm": lambda: pyg.GCN(
        5, 8, 3, 3, jk="cat", norm="batch_norm", act="elu", act_first=True
    ),
    "GCN maximum, layer norm": lambda: pyg.GCN(
        5, 8, 2, 3, jk="max", norm="layer_norm", norm_kwargs={"mode": "node"}
    ),
    "GraphSAGE": lambda: pyg.GraphSAGE(5, 8, 2, 3, aggr="max", project=True, jk="last"),
    "GAT": lambda: pyg.GAT(5, 8, 2, 3, heads=4),
    "GAT v2": lambda: pyg.GAT(5, 8, 2, 3, heads=2, v2=True, dropout=0.5),
    "GIN": lambda: pyg.GIN(5, 8, 3, 3, train_eps=True),
    "skips": lambda: Skips(),
}


class Skips(nn.Module):
    """All that a model may do between layers: encoders, residuals, concatenation, slices, a shared layer."""

    def __init__(self):
        super().__init__()
        self.encoder, self.norm = nn.Linear(5, 8), nn.LayerNorm(8)
        self.shared, self.last = pyg.GCNConv(8, 8), pyg.SAGEConv(24, 8)
        self.scale = nn.Parameter(torch.ones(8))
        self.head = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 3))

    def forward(self, x, edge_index):
        start = torch.tanh(self.encoder(x))
        one = self.norm(self.shared(start, edge_index) + start)
        two = nn.functional.dropout(self.shared(one, edge_index), 0.5, self.training) * self.scale
        both = torch.cat([one, start, two.view(-1, 2, 4).max(dim=1)[0], two[:, 4:]], dim=1)
        return self.head(self.last(both, edge_index)).log_softmax(dim=1)
