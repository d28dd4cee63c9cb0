"""Models of links that the tests share, and plain forwards of them."""

import copy

import numpy as np
import torch
from torch import nn
from torch_geometric.nn import GCNConv, SAGEConv


class DotGCN(nn.Module):
    """Two layers of GCN, and the dot product of the two ends: encode and decode."""

    def __init__(self, features=5, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.first = GCNConv(features, 8)
        self.second = GCNConv(8, 8)

    def encode(self, x, edge_index):
        return self.second(self.first(x, edge_index).tanh(), edge_index)

    def decode(self, z, edge_label_index):
        u, v = z[edge_label_index]
        return 2 * (u * v).sum(dim=-1)


class SageMLP(nn.Module):
    """Two layers of SAGE, and an MLP on both ends: forward with the pairs."""

    def __init__(self, features=5, columns=1, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.first = SAGEConv(features, 8)
        self.second = SAGEConv(8, 8)
        self.score = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, columns))

    def forward(self, x, edge_index, edge_label_index):
        z = self.second(self.first(x, edge_index).relu(), edge_index)
        return 4 * self.score(torch.cat([z[edge_label_index[0]], z[edge_label_index[1]]], dim=-1))


def plain_score(module, graph, pair, keep=None):
    """The output [C] of a plain forward on the edges `keep` [E] bool of a graph."""
    keep = np.ones(graph.num_edges, bool) if keep is None else keep
    module = copy.deepcopy(module).eval()
    x = torch.tensor(graph.x)
    edge_index = torch.tensor(graph.edge_index[:, keep])
    pairs = torch.tensor(pair)[:, None]
    with torch.no_grad():
        if isinstance(module, DotGCN):
            return module.decode(module.encode(x, edge_index), pairs).double().reshape(-1)
        return module(x, edge_index, pairs).double().reshape(-1)


def plain_p(module, graph, pair, keep=None):
    """The probabilities of the classes of a pair."""
    out = plain_score(module, graph, pair, keep)
    if len(out) == 1:
        return np.array([1 - out.sigmoid().item(), out.sigmoid().item()])
    return out.softmax(0).numpy()
