"""Modules whose message passing is the user's own, in the forms in which people write it."""

import torch
from torch import nn
from torch_geometric import nn as pyg
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import (
    add_remaining_self_loops,
    add_self_loops,
    degree,
    remove_self_loops,
    scatter,
    softmax,
)


class Tutorial(MessagePassing):
    """The layer of PyG's tutorial on message passing."""

    def __init__(self, inputs, outputs):
        super().__init__(aggr="add")
        self.lin = nn.Linear(inputs, outputs, bias=False)
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x, edge_index):
        edge_index, _ = add_self_loops(edge_index, num_nodes=x.size(0))
        x = self.lin(x)
        row, col = edge_index
        deg = degree(col, x.size(0), dtype=x.dtype)
        deg_inv_sqrt = deg.pow(-0.5)
        deg_inv_sqrt[deg_inv_sqrt == float("inf")] = 0
        norm = deg_inv_sqrt[row] * deg_inv_sqrt[col]
        return self.propagate(edge_index, x=x, norm=norm) + self.bias

    def message(self, x_j, norm):
        return norm.view(-1, 1) * x_j


class Normed(Tutorial):
    """The same without an assignment to a part."""

    def forward(self, x, edge_index):
        edge_index, _ = add_self_loops(edge_index, num_nodes=x.size(0))
        x = self.lin(x)
        row, col = edge_index
        deg = degree(col, x.size(0), dtype=x.dtype)
        scale = deg.pow(-0.5)
        scale = scale.masked_fill(scale == float("inf"), 0)
        return self.propagate(edge_index, x=x, norm=scale[row] * scale[col]) + self.bias


class Weighs(MessagePassing):
    """A message of x_j and a weight of the edge, summed as said."""

    def __init__(self, inputs, outputs, aggr="mean"):
        super().__init__(aggr=aggr)
        self.lin = nn.Linear(inputs, outputs)

    def forward(self, x, edge_index, edge_weight=None):
        return self.propagate(edge_index, x=self.lin(x), edge_weight=edge_weight) + self.lin(x)

    def message(self, x_j, edge_weight):
        return x_j if edge_weight is None else x_j * edge_weight.view(-1, 1)

    def update(self, aggr_out):
        return torch.tanh(aggr_out)


class Pairs(MessagePassing):
    """A network of both ends and the attributes; the maximum."""

    def __init__(self, inputs, outputs, attributes=0, aggr="max"):
        super().__init__(aggr=aggr)
        self.net = nn.Sequential(
            nn.Linear(2 * inputs + attributes, 7), nn.ReLU(), nn.Linear(7, outputs)
        )

    def forward(self, x, edge_index, edge_attr=None):
        return self.propagate(edge_index, x=x, edge_attr=edge_attr, size=(x.size(0), x.size(0)))

    def message(self, x_i, x_j, edge_attr):
        parts = [x_i, x_j - x_i] if edge_attr is None else [x_i, x_j, edge_attr]
        return self.net(torch.cat(parts, dim=-1))


class Attends(MessagePassing):
    """Attention by hand, over edges without self-loops."""

    def __init__(self, inputs, outputs, heads=2):
        super().__init__(aggr="add", node_dim=0)
        self.heads = heads
        self.lin = nn.Linear(inputs, heads * outputs)
        self.att = nn.Parameter(torch.empty(1, heads, 2 * outputs))

    def forward(self, x, edge_index):
        edge_index, _ = remove_self_loops(edge_index)
        edge_index, _ = add_self_loops(edge_index, num_nodes=x.shape[0])
        x = self.lin(x).view(x.size(0), self.heads, -1)
        return self.propagate(edge_index, x=x).mean(dim=1)

    def message(self, x_i, x_j, index, size_i):
        alpha = (torch.cat([x_i, x_j], dim=-1) * self.att).sum(dim=-1)
        alpha = softmax(nn.functional.leaky_relu(alpha, 0.2), index, num_nodes=size_i)
        return x_j * alpha.unsqueeze(-1)


class Scatters(nn.Module):
    """Sums by torch's own functions."""

    def __init__(self, inputs, outputs, way="index_add"):
        super().__init__()
        self.lin = nn.Linear(inputs, outputs)
        self.way = way

    def forward(self, x, edge_index, edge_weight=None):
        n = len(x)
        row, col = edge_index[0], edge_index[1]
        h = self.lin(x)
        messages = h[row]
        if edge_weight is not None:
            messages = messages * edge_weight.unsqueeze(-1)
        if self.way == "index_add":
            out = torch.zeros(n, h.shape[1], device=x.device, dtype=x.dtype)
            out.index_add_(0, col, messages)
        elif self.way == "scatter_add":
            out = torch.zeros_like(h).scatter_add(0, col.view(-1, 1).expand_as(messages), messages)
        elif self.way == "new_zeros":
            out = x.new_zeros((n, h.size(-1))).index_add(0, col, messages)
        else:
            out = scatter(messages, col, dim=0, dim_size=n, reduce=self.way)
        count = torch.zeros(n).index_add_(0, col, torch.ones(edge_index.size(1)))
        return out / count.clamp(min=1).view(-1, 1) + h


class Remaining(MessagePassing):
    """Weights with loops for nodes that have none."""

    def __init__(self, inputs, outputs):
        super().__init__(aggr="sum")
        self.lin = nn.Linear(inputs, outputs)

    def forward(self, x, edge_index, edge_weight):
        edge_index, edge_weight = add_remaining_self_loops(
            edge_index, edge_weight, fill_value=2.0, num_nodes=x.size(0)
        )
        return self.propagate(edge_index, x=self.lin(x), w=edge_weight)

    def message(self, x_j, w):
        return w[:, None] * x_j


class ByNorm(MessagePassing):
    """PyG's own normalisation, called by hand."""

    def __init__(self, inputs, outputs, loops=True):
        super().__init__(aggr="add")
        self.lin = nn.Linear(inputs, outputs)
        self.loops = loops

    def forward(self, x, edge_index, edge_weight=None):
        index, weight = gcn_norm(edge_index, edge_weight, x.size(0), add_self_loops=self.loops)
        return self.propagate(index, x=self.lin(x), weight=weight) + x.new_zeros(x.size(0), 1)

    def message(self, x_j, weight):
        return weight.view(-1, 1) * x_j


class Reads(nn.Module):
    """A layer of PyG after reading shapes in every way."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = pyg.GCNConv(inputs + 2, outputs)
        self.token = nn.Parameter(torch.empty(1, 1))

    def forward(self, x, edge_index):
        n, width = x.shape
        assert x.dim() == 2 and isinstance(x, torch.Tensor) and width == x.size(-1)
        ones = torch.ones(n, 1, device=x.device, dtype=x.dtype)
        x = torch.cat([x, ones, self.token.expand(len(x), -1)], dim=1)
        out = self.conv(x, edge_index)
        return out.view(x.shape[0], -1) + torch.zeros(x.size()[0], 1) + x.new_full((n, 1), 0.5)


OWN = {
    "tutorial": Tutorial,
    "normed": Normed,
    "weighs mean": Weighs,
    "weighs sum": lambda i, o: Weighs(i, o, "sum"),
    "weighs max": lambda i, o: Weighs(i, o, "max"),
    "pairs max": Pairs,
    "pairs mean": lambda i, o: Pairs(i, o, aggr="mean"),
    "attends": Attends,
    "index_add": Scatters,
    "scatter_add": lambda i, o: Scatters(i, o, "scatter_add"),
    "new_zeros": lambda i, o: Scatters(i, o, "new_zeros"),
    "scatter mean": lambda i, o: Scatters(i, o, "mean"),
    "scatter max": lambda i, o: Scatters(i, o, "max"),
    "by norm": ByNorm,
    "by norm without loops": lambda i, o: ByNorm(i, o, loops=False),
    "reads": Reads,
}
OWN_WEIGHTED = {
    "weighs mean": Weighs,
    "weighs sum": lambda i, o: Weighs(i, o, "sum"),
    "weighs max": lambda i, o: Weighs(i, o, "max"),
    "index_add": Scatters,
    "scatter max": lambda i, o: Scatters(i, o, "max"),
    "remaining": Remaining,
    "by norm": ByNorm,
    "by norm without loops": lambda i, o: ByNorm(i, o, loops=False),
}
OWN_ATTRIBUTED = {
    "pairs max": lambda i, o: Pairs(i, o, 2),
    "pairs sum": lambda i, o: Pairs(i, o, 2, "sum"),
}
