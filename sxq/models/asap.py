"""ASAP (Ranjan et al. 2020): a classifier of graphs that pools clusters between its convolutions.

As in PyG's example of it: convolutions (GraphConv, mean) with `ASAPooling` between each two of
them, and a readout after every convolution. The readouts are summed, as in the paper.

Two departures from PyG's `ASAPooling`, in the choice of the clusters that stay. PyG draws the sign
by which it orders them; here the highest fitness stays, as in the paper. And clusters of equal
fitness, up to TIE, stay in the order of their nodes: many nodes of a graph are symmetric, and a
choice by rounding would make the prediction depend on what else is in the batch.
"""

import torch
from torch import Tensor, nn
from torch_geometric.nn import ASAPooling, GraphConv
from torch_geometric.nn.pool.select import SelectOutput, SelectTopK
from torch_geometric.utils import cumsum

TIE = 1e-5  # of scores in [0, 1]; rounding moves them by about 1e-7


class AsapStack(nn.Module):
    """x [n, width], edge_index [2, E], batch [n] to the sum of all readouts [graphs, width]."""

    def __init__(self, width: int, layers: int, ratio: float):
        super().__init__()
        self.convs = nn.ModuleList(GraphConv(width, width, aggr="mean") for _ in range(layers))
        self.pools = nn.ModuleList(ASAPooling(width, ratio) for _ in range(layers - 1))
        for pool in self.pools:
            pool.select = SteadyTopK(1, ratio)
        # After a pooling the edges are others, which a mask of the graph's edges does not fit.
        for layer in [*self.convs[1:], *(pool.gnn_score for pool in self.pools[1:])]:
            layer.explain = False

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor, readout) -> Tensor:
        total: Tensor | float = 0.0
        for number, conv in enumerate(self.convs):
            if number:
                # PyG makes sparse matrices; torch warns unless the checks of them are chosen.
                with torch.sparse.check_sparse_tensor_invariants(False):
                    x, edge_index, _, batch, _ = self.pools[number - 1](x, edge_index, batch=batch)
            x = conv(x, edge_index).relu()
            total = total + readout(x, batch)
        assert isinstance(total, Tensor), "there is a layer, so there is a readout"
        return total


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
