"""ASAP (Ranjan et al. 2020): a classifier of graphs that pools clusters between its convolutions.

As in PyG's example of it: convolutions (GraphConv, mean) with `ASAPooling` between each two of
them, and a readout after every convolution. The readouts are summed, as in the paper.

Two departures from PyG's `ASAPooling`, in the choice of the clusters that stay. PyG draws the sign
by which it orders them; here the highest fitness stays, as in the paper. And clusters of equal
fitness, up to TIE, stay in the order of their nodes: many nodes of a graph are symmetric, and a
choice by rounding would make the prediction depend on what else is in the batch.

`ClusterPooling` computes what PyG's does without its products of sparse CSR matrices: on the CPU, torch 2.13 keeps about
36 KB of memory with each of them, 9 GB after a hundred thousand candidates.
"""

import torch
from torch import Tensor, nn
from torch_geometric.nn import ASAPooling, GraphConv
from torch_geometric.nn.pool.select import SelectOutput, SelectTopK
from torch_geometric.utils import (
    add_remaining_self_loops,
    cumsum,
    remove_self_loops,
    scatter,
    softmax,
)

TIE = 1e-5  # of scores in [0, 1]; rounding moves them by about 1e-7


class AsapStack(nn.Module):
    """x [n, width], edge_index [2, E], batch [n] to the sum of all readouts [graphs, width]."""

    def __init__(self, width: int, layers: int, ratio: float):
        super().__init__()
        self.convs = nn.ModuleList(GraphConv(width, width, aggr="mean") for _ in range(layers))
        self.pools = nn.ModuleList(ClusterPooling(width, ratio) for _ in range(layers - 1))
        for pool in self.pools:
            pool.select = SteadyTopK(1, ratio)
        # After a pooling the edges are others, which a mask of the graph's edges does not fit.
        for layer in [*self.convs[1:], *(pool.gnn_score for pool in self.pools[1:])]:
            layer.explain = False

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor, readout) -> Tensor:
        total: Tensor | float = 0.0
        for number, conv in enumerate(self.convs):
            if number:
                x, edge_index, batch = self.pools[number - 1](x, edge_index, batch)
            x = conv(x, edge_index).relu()
            total = total + readout(x, batch)
        assert isinstance(total, Tensor), "there is a layer, so there is a readout"
        return total


class ClusterPooling(ASAPooling):
    """PyG's ASAPooling of unweighted edges, without dropout: the same clusters, features and edges."""

    def forward(
        self, x: Tensor, edge_index: Tensor, batch: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x [n, width], edge_index [2, E] and batch [n] of the clusters that stay; E without loops."""
        size = len(x)
        edge_index, _ = add_remaining_self_loops(edge_index, num_nodes=size)
        members, clusters = edge_index  # the cluster of a node has all nodes with an edge to it
        query = self.lin(scatter(x[members], clusters, dim=0, reduce="max"))
        score = self.att(torch.cat([query[clusters], x[members]], dim=-1)).view(-1)
        score = nn.functional.leaky_relu(score, self.negative_slope)
        score = softmax(score, clusters, num_nodes=size)
        x = scatter(x[members] * score.view(-1, 1), clusters, dim=0, reduce="sum")
        fitness = self.gnn_score(x, edge_index).sigmoid().view(-1)
        kept = self.select(fitness, batch).node_index
        return x[kept] * fitness[kept].view(-1, 1), joined(edge_index, kept, size), batch[kept]


def joined(edge_index: Tensor, kept: Tensor, size: int) -> Tensor:
    """[2, e]: clusters are joined where an edge joins a node of one to a node of the other; in order, without loops."""
    # torch warns unless the checks of sparse matrices are chosen
    with torch.sparse.check_sparse_tensor_invariants(False):
        ones = edge_index.new_ones(edge_index.shape[1], dtype=torch.float32)
        adjacency = torch.sparse_coo_tensor(edge_index, ones, (size, size)).coalesce()
        member = adjacency.index_select(1, kept)
        edges = torch.sparse.mm(torch.sparse.mm(member.t(), adjacency), member)
        return remove_self_loops(edges.coalesce().indices())[0]


class SteadyTopK(SelectTopK):
    """The share `ratio` of each graph's clusters that have the highest fitness; ties by node."""

    def reset_parameters(self):
        nn.init.ones_(self.weight)

    def forward(self, x: Tensor, batch: Tensor) -> SelectOutput:
        chosen = highest(x.flatten(), batch, self.ratio)
        return SelectOutput(
            node_index=chosen,
            num_nodes=len(x),
            cluster_index=torch.arange(len(chosen), device=x.device),
            num_clusters=len(chosen),
        )


def highest(score: Tensor, batch: Tensor, ratio: float) -> Tensor:
    """The numbers of the nodes with the highest scores [n] of each graph, by graph."""
    size = torch.bincount(batch)
    kept = (ratio * size.to(score.dtype)).ceil().long()
    order = score.argsort(descending=True, stable=True)
    order = order[batch[order].argsort(stable=True)]
    falls = (score[order].diff() < -TIE) | (batch[order].diff() > 0)
    rank = torch.zeros_like(batch)  # of each node, equal for ties, rising from graph to graph
    rank[order[1:]] = falls.cumsum(0)
    order = rank.argsort(stable=True)
    place = torch.arange(len(order), device=order.device) - cumsum(size)[batch[order]]
    return order[place < kept[batch[order]]]
