"""Models of links of the bank of `tests.typed_models`: account -pays-> merchant, account -knows-> account."""

import torch
from torch import nn
from torch_geometric.nn import GATConv, HeteroConv, HGTConv, SAGEConv

from tests.typed_models import WIDTHS

PAYS = ("account", "pays", "merchant")
KNOWS = ("account", "knows", "account")


class Encoder(nn.Module):
    """Two layers for every edge type; of HGTConv, behind a linear layer for each node type."""

    def __init__(self, data, conv="sage"):
        super().__init__()
        torch.manual_seed(4)
        self.inputs = nn.ModuleDict({name: nn.Linear(WIDTHS[name], 8) for name in data.node_types})

        def layer():
            if conv == "hgt":
                return HGTConv(8, 8, data.metadata(), heads=2)
            if conv == "gat":
                return HeteroConv(
                    {name: GATConv((8, 8), 8, add_self_loops=False) for name in data.edge_types}
                )
            return HeteroConv({name: SAGEConv((8, 8), 8) for name in data.edge_types})

        self.first = layer()
        self.second = layer()

    def forward(self, x_dict, edge_index_dict):
        x = {name: self.inputs[name](own).relu() for name, own in x_dict.items()}
        x = {name: own.tanh() for name, own in self.first(x, edge_index_dict).items()}
        return self.second(x, edge_index_dict)


class Scores(nn.Module):
    """forward with the pairs, and an MLP on both ends."""

    def __init__(self, data, conv="sage", kind=PAYS):
        super().__init__()
        self.encoder = Encoder(data, conv)
        self.mlp = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1))
        self.kind = kind

    def forward(self, x_dict, edge_index_dict, edge_label_index):
        z = self.encoder(x_dict, edge_index_dict)
        u, v = edge_label_index
        return 4 * self.mlp(torch.cat([z[self.kind[0]][u], z[self.kind[2]][v]], dim=-1)).view(-1)


class TwoSteps(nn.Module):
    """encode, and decode of a dictionary."""

    def __init__(self, data, conv="sage", kind=PAYS):
        super().__init__()
        self.encoder = Encoder(data, conv)
        self.kind = kind

    def encode(self, x_dict, edge_index_dict):
        return self.encoder(x_dict, edge_index_dict)

    def decode(self, z_dict, edge_label_index):
        source, head = z_dict[self.kind[0]], z_dict[self.kind[2]]
        return (source[edge_label_index[0]] * head[edge_label_index[1]]).sum(dim=-1)


class TwoTables(TwoSteps):
    """decode of the tables of both types."""

    def decode(self, z_source, z_head, edge_label_index):
        return (z_source[edge_label_index[0]] * z_head[edge_label_index[1]]).sum(dim=-1)


class EveryType(TwoSteps):
    """Scores of each edge type that it gets pairs of."""

    def forward(self, x_dict, edge_index_dict, edge_label_index_dict):
        z = self.encoder(x_dict, edge_index_dict)
        return {
            kind: (z[kind[0]][pairs[0]] * z[kind[2]][pairs[1]]).sum(dim=-1)
            for kind, pairs in edge_label_index_dict.items()
        }


class OfData(nn.Module):
    """Takes a HeteroData, in which the pairs are."""

    def __init__(self, data):
        super().__init__()
        self.inner = TwoSteps(data)

    def forward(self, data):
        z = self.inner.encode(data.x_dict, data.edge_index_dict)
        return self.inner.decode(z, data[PAYS].edge_label_index)


WAYS = (Scores, TwoSteps, TwoTables, EveryType, OfData)


def plainly(module, data, pair):
    """The score of a pair of numbers within their types: a plain forward."""
    pairs = torch.tensor(pair)[:, None]
    with torch.no_grad():
        if isinstance(module, Scores):
            return module(data.x_dict, data.edge_index_dict, pairs).double().item()
        module = getattr(module, "inner", module)
        z = module.encode(data.x_dict, data.edge_index_dict)
        return TwoSteps.decode(module, z, pairs).double().item()
