"""Models that classify graphs, and collections for them."""

import numpy as np
import torch
from torch import nn
from torch_geometric.nn import GATConv, GCNConv, GINConv, global_mean_pool

from sxq.graph import GraphSet
from tests.graphs import random_graph


class Pools(nn.Module):
    """Two layers of one kind, pooled; a global state in the bias makes the number of nodes matter."""

    def __init__(self, kind="gcn", inputs=5, classes=3, scale=2.0, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        make = {
            "gcn": lambda a, b: GCNConv(a, b),
            "gat": lambda a, b: GATConv(a, b),
            "gin": lambda a, b: GINConv(nn.Linear(a, b)),
        }[kind]
        self.first, self.second, self.last = make(inputs, 8), make(8, 8), nn.Linear(8, classes)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(scale)

    def forward(self, x, edge_index, batch):
        x = self.first(x, edge_index).relu()
        return self.last(global_mean_pool(self.second(x, edge_index).tanh(), batch))


class Weighted(Pools):
    def forward(self, x, edge_index, batch, edge_weight):
        x = self.first(x, edge_index, edge_weight).relu()
        return self.last(global_mean_pool(self.second(x, edge_index, edge_weight).tanh(), batch))


def some_graphs(count=4, undirected=True, weighted=False) -> GraphSet:
    """Random graphs with loops, parallels and an isolated node."""
    return GraphSet.join(
        [
            random_graph(np.random.default_rng(seed), 10, 11, undirected, weighted=weighted)
            for seed in range(count)
        ]
    )
