"""A small heterogeneous bank, models of it, and the plain way to cut it: what tests of typed graphs share."""

import numpy as np
import torch
from torch import nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import (
    GATConv,
    GraphConv,
    HANConv,
    HeteroConv,
    HGTConv,
    RGCNConv,
    SAGEConv,
    global_add_pool,
    global_mean_pool,
    to_hetero,
)

WIDTHS = {"account": 5, "merchant": 3, "device": 4}


def ends(generator, sources, heads, count):
    rows = [torch.randint(0, size, (count,), generator=generator) for size in (sources, heads)]
    return torch.stack(rows)


def bank(seed=0, *, both_ways=True, accounts=14, merchants=6, devices=4, edges=18):
    """Accounts pay merchants, know accounts and use devices; `both_ways`: each edge has its mirror."""
    generator = torch.Generator().manual_seed(seed)
    sizes = {"account": accounts, "merchant": merchants, "device": devices}
    data = HeteroData()
    for name, size in sizes.items():
        data[name].x = torch.randn(size, WIDTHS[name], generator=generator)
    data["account"].y = torch.randint(0, 2, (accounts,), generator=generator)
    for source, relation, head in [
        ("account", "pays", "merchant"),
        ("account", "knows", "account"),
        ("device", "used_by", "account"),
    ]:
        found = torch.unique(ends(generator, sizes[source], sizes[head], edges), dim=1)
        if source == head:
            found = found[:, found[0] != found[1]]
            found = (
                torch.unique(torch.cat([found, found.flip(0)], 1), dim=1) if both_ways else found
            )
        data[source, relation, head].edge_index = found
        if source != head:
            back = found.flip(0) if both_ways else torch.roll(found.flip(0), 1, 1)
            data[head, f"rev_{relation}", source].edge_index = back
    return data


def cut(data, graph, keep):
    """The data with the edges keep [E] of its graph only; edges of the graph are those of the data, type by type."""
    other = HeteroData()
    for name in data.node_types:
        other[name].x = data[name].x
    for number, name in enumerate(data.edge_types):
        own = torch.from_numpy(keep[graph.types.of_edge == number])
        for field, values in data[name].items():
            other[name][field] = values[..., own] if field == "edge_index" else values[own]
    return other


class Sage(nn.Module):
    """For `to_hetero`."""

    def __init__(self, activation=torch.relu):
        super().__init__()
        self.a = SAGEConv((-1, -1), 8)
        self.b = SAGEConv((-1, -1), 2)
        self.activation = activation

    def forward(self, x, edge_index):
        return self.b(self.activation(self.a(x, edge_index)), edge_index)


class Layered(nn.Module):
    """Two `HeteroConv`: attention between types, then weighted sums; one output."""

    def __init__(self, edge_types):
        super().__init__()
        self.a = HeteroConv(
            {
                name: GATConv((-1, -1), 8, add_self_loops=False)
                if name[0] != name[2]
                else SAGEConv(-1, 8)
                for name in edge_types
            }
        )
        self.b = HeteroConv({name: GraphConv((-1, -1), 8) for name in edge_types})
        self.out = nn.Linear(8, 2)

    def forward(self, x_dict, edge_index_dict):
        x = {name: own.relu() for name, own in self.a(x_dict, edge_index_dict).items()}
        return self.out(self.b(x, edge_index_dict)["account"])


class Attention(nn.Module):
    """Two layers of `HGTConv` or `HANConv` behind a linear layer for each type; a dictionary of outputs."""

    def __init__(self, metadata, conv=HGTConv, widths=WIDTHS):
        super().__init__()
        self.inputs = nn.ModuleDict({name: nn.Linear(widths[name], 8) for name in metadata[0]})
        self.a = conv(8, 8, metadata, heads=2)
        self.b = conv(8, 2, metadata)

    def forward(self, x_dict, edge_index_dict):
        x = {name: self.inputs[name](own).relu() for name, own in x_dict.items()}
        x |= {name: o for name, o in self.a(x, edge_index_dict).items() if o is not None}
        return self.b(x, edge_index_dict)


class Relations(nn.Module):
    """RGCN on one table of nodes."""

    def __init__(self, count):
        super().__init__()
        self.a = RGCNConv(5, 8, count)
        self.b = RGCNConv(8, 2, count)

    def forward(self, x, edge_index, edge_type):
        return self.b(self.a(x, edge_index, edge_type).relu(), edge_index, edge_type)


KINDS = ("sage", "layered", "hgt", "rgcn")


def model(kind, data, seed=0):
    """A model of the data, after one forward, which gives lazy layers their sizes."""
    torch.manual_seed(seed)
    made = {
        "sage": lambda: to_hetero(Sage(), data.metadata()),
        "linear": lambda: to_hetero(Sage(nn.Identity()), data.metadata()),
        "layered": lambda: Layered(data.edge_types),
        "hgt": lambda: Attention(data.metadata()),
        "han": lambda: Attention(data.metadata(), HANConv),
        "rgcn": lambda: Relations(len(data.edge_types)),
    }[kind]().eval()
    if kind != "rgcn":
        with torch.no_grad():
            made(data.x_dict, data.edge_index_dict)
    return made


def plainly(module, data):
    """Logits [accounts, 2] of a plain forward pass on heterogeneous data."""
    with torch.no_grad():
        if isinstance(module, Relations):
            x = [nn.functional.pad(own, (0, 5 - own.shape[1])) for own in data.x_dict.values()]
            starts = dict(zip(data.node_types, np.cumsum([0, *map(len, x)]).tolist()))
            shifted = [
                own + torch.tensor([[starts[name[0]]], [starts[name[2]]]])
                for name, own in data.edge_index_dict.items()
            ]
            kinds = [torch.full((e.shape[1],), n) for n, e in enumerate(shifted)]
            found = module(torch.cat(x), torch.cat(shifted, 1), torch.cat(kinds))
            return found[: len(data["account"].x)]
        found = module(data.x_dict, data.edge_index_dict)
    return found["account"] if isinstance(found, dict) else found


class OfGraphs(nn.Module):
    """A graph classifier: two `HeteroConv`, then the means of accounts and the sums of merchants."""

    def __init__(self, edge_types, other=()):
        super().__init__()
        self.a = HeteroConv({name: SAGEConv((-1, -1), 6) for name in edge_types})
        self.b = HeteroConv({name: GraphConv((-1, -1), 6) for name in edge_types})
        self.out = nn.Linear(12, 2)

    def forward(self, x_dict, edge_index_dict, batch_dict):
        x = {name: own.relu() for name, own in self.a(x_dict, edge_index_dict).items()}
        x = self.b(x, edge_index_dict)
        accounts = global_mean_pool(x["account"], batch_dict["account"])
        merchants = global_add_pool(x["merchant"], batch_dict["merchant"])
        return self.out(torch.cat([accounts, merchants], 1).relu())


def banks(count=6, **options):
    """Small banks, each with a class; the last has no devices and no edges of theirs."""
    found = []
    for number in range(count):
        data = bank(number, accounts=5 + number % 3, merchants=3, devices=2, edges=6, **options)
        data.y = torch.tensor(number % 2)
        if number == count - 1:
            data["device"].x = data["device"].x[:0]
            for name in [n for n in data.edge_types if "device" in n]:
                data[name].edge_index = torch.zeros(2, 0, dtype=torch.long)
        found.append(data)
    return found


def of_graphs(graphs, seed=0):
    """A classifier of graphs, after one forward."""
    torch.manual_seed(seed)
    module = OfGraphs(graphs[0].edge_types).eval()
    with torch.no_grad():
        one = graphs[0]
        module(
            one.x_dict,
            one.edge_index_dict,
            {n: torch.zeros(len(x), dtype=torch.long) for n, x in one.x_dict.items()},
        )
    return module
