"""Small graphs and models that the tests share."""

import numpy as np
import torch
from torch import nn
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv

from sxq.graph import Graph


def random_graph(
    rng, nodes=24, edges=40, undirected=True, features=5, weighted=False, attributed=False
):
    """A random graph with a hub, self-loops, parallel edges and an isolated node (the last one)."""
    u, v = rng.integers(0, nodes - 1, (2, edges))
    hub = rng.integers(1, nodes - 1, nodes // 3)
    pairs = np.concatenate([np.stack([u, v]), np.stack([np.zeros_like(hub), hub])], axis=1)
    pairs = pairs[:, pairs[0] != pairs[1]]
    pairs = np.concatenate([pairs, pairs[:, :3]], axis=1)  # parallels
    weight = rng.random(pairs.shape[1]) + 0.5
    if undirected:
        pairs, weight = (
            np.concatenate([pairs, pairs[::-1]], axis=1),
            np.concatenate([weight, weight]),
        )
    loops = rng.choice(nodes - 1, 3, replace=False)
    edge_index = np.concatenate([pairs, np.stack([loops, loops])], axis=1)
    weight = np.concatenate([weight, rng.random(3) + 0.5]).astype(np.float32)
    order = rng.permutation(edge_index.shape[1])
    return Graph(
        edge_index[:, order],
        rng.normal(size=(nodes, features)),
        y=rng.integers(0, 3, nodes),
        edge_weight=weight[order] if weighted else None,
        edge_attr=np.stack([weight, weight**2], 1)[order] if attributed else None,
    )


class Net(nn.Module):
    """Three layers of one kind with relu between; weights or attributes where the layer takes them."""

    def __init__(self, kind, inputs=5, hidden=6, classes=3, layers=3):
        super().__init__()
        sizes = [inputs] + [hidden] * (layers - 1) + [classes]
        self.layers = nn.ModuleList(_layer(kind, a, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x, edge_index):
        for layer in self.layers[:-1]:
            x = layer(x, edge_index).relu()
        return self.layers[-1](x, edge_index)


class WeightedNet(Net):
    def forward(self, x, edge_index, edge_weight=None):
        for layer in self.layers[:-1]:
            x = layer(x, edge_index, edge_weight).relu()
        return self.layers[-1](x, edge_index, edge_weight)


class AttributedNet(Net):
    def forward(self, x, edge_index, edge_attr):
        for layer in self.layers[:-1]:
            x = layer(x, edge_index, edge_attr).relu()
        return self.layers[-1](x, edge_index, edge_attr)


def _layer(kind, inputs, outputs):
    return {
        "gcn": lambda: GCNConv(inputs, outputs),
        "sage": lambda: SAGEConv(inputs, outputs),
        "sage_max": lambda: SAGEConv(inputs, outputs, aggr="max"),
        "gat": lambda: GATConv(inputs, outputs, heads=2, concat=False),
        "gat_attr": lambda: GATConv(inputs, outputs, edge_dim=2),
        "gin": lambda: GINConv(
            nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Linear(outputs, outputs))
        ),
        "gcn_cached": lambda: GCNConv(inputs, outputs, cached=True),
    }[kind]()


def make(kind, seed=0, scale=2.0, **sizes):
    """A seeded random model whose outputs are spread enough to flip."""
    torch.manual_seed(seed)
    net = {"weighted": WeightedNet, "attr": AttributedNet}.get(kind.split("_")[-1], Net)
    model = net(kind.removesuffix("_weighted"), **sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    return model
