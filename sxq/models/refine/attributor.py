"""The class-wise attributors of ReFine (Wang et al. 2021, section 3.1): edges that matter to class c.

    Z = GNN(G, X)                    eq. 3   `encode`: a linear map and LAYERS of GraphConv, both directions of an edge
    alpha_ij = MLP([z_i, z_j])       eq. 5   `forward`: with the edge's attributes, where there are any
    M = sigmoid((log(u / (1-u)) + alpha) / beta)     `concrete`: u uniform; without noise where nothing is learned
    h = mean of GNN(A * M, X)        eq. 8   `represent`, for the contrastive loss as published

`CommonView` represents attentive graphs for the supervised contrastive loss, by their masks alone.

Departures. alpha is a mean over the edges of a unit. For a node's field the MLP also sees the
target's z, as PGExplainer's does. And alpha is centred in every instance and bounded: without that,
the decoder's bias alone moves the loss to where all edges of a class are kept or all are dropped
(on BA-3motif within 30 epochs, whatever the weight of the size loss); there gradients vanish and
nothing is ranked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import GraphConv, global_mean_pool

from sxq.models.refine.instances import Batch

LARGEST = 5.0  # of |alpha|: sigmoid(5) is 0.993


@dataclass(frozen=True, kw_only=True)
class AttributorSpec:
    """Everything about a set of attributors but their weights."""

    in_channels: int  # features of a node
    classes: int  # of the explained model
    edge_features: int = 0  # width of edge_attr
    rooted: bool = False  # for nodes as targets
    classwise: bool = True  # one attributor for each class, otherwise one for all
    hidden: int = 32
    layers: int = 2
    temperature: float = 1.0  # beta


class Attributor(nn.Module):
    """GNN encoder and MLP decoder of one class."""

    def __init__(self, spec: AttributorSpec):
        super().__init__()
        self.spec = spec
        self.first = nn.Linear(spec.in_channels, spec.hidden)
        self.convs = nn.ModuleList(
            GraphConv(spec.hidden, spec.hidden, aggr="mean") for _ in range(spec.layers)
        )
        ends = 3 if spec.rooted else 2
        self.decoder = nn.Sequential(
            nn.Linear(ends * spec.hidden + spec.edge_features, spec.hidden),
            nn.ReLU(),
            nn.Linear(spec.hidden, 1, bias=False),
        )  # its output is centred, so a bias would have no effect

    def encode(self, batch: Batch, mask: Tensor | None = None) -> Tensor:
        """Node embeddings [N, hidden], with edges multiplied by mask [E]."""
        edge_index = torch.cat([batch.edge_index, batch.edge_index.flip(0)], dim=1)
        weight = None if mask is None else mask.repeat(2)
        z = self.first(batch.x).relu()
        for conv in self.convs:
            z = conv(z, edge_index, weight).relu() + z
        return z

    def forward(self, batch: Batch) -> Tensor:
        """alpha [U]: the importance of every unit, as a logit."""
        z = self.encode(batch)
        tail, head = batch.edge_index
        parts: list[Any] = [z[tail], z[head]]
        parts += [z[batch.root][batch.owner[tail]]] if self.spec.rooted else []
        parts += [batch.edge_attr] if self.spec.edge_features else []
        alpha = batch.gather(self.decoder(torch.cat(parts, dim=1)))
        alpha = alpha - global_mean_pool(alpha, batch.unit_owner, batch.size)[batch.unit_owner]
        return LARGEST * torch.tanh(alpha / LARGEST).squeeze(1)

    def represent(self, batch: Batch, mask: Tensor) -> Tensor:
        """Graph representations [B, hidden] of the attentive graphs with edges mask [E]."""
        return global_mean_pool(self.encode(batch, mask), batch.owner, batch.size)


class CommonView(nn.Module):
    """One fixed random encoder for the attentive graphs of all classes.

    With equation 8's `represent`, graphs of different classes differ in the encoder that represents
    them: random weights alone hold them apart, so the loss is at its floor before anything is
    learned, whatever the masks are. Here all graphs are seen by one encoder that learns nothing,
    and a graph is the mean of its edges, weighted by the mask: only a mask can move it.
    """

    def __init__(self, spec: AttributorSpec):
        super().__init__()
        self.encoder = Attributor(spec).requires_grad_(False)

    def represent(self, batch: Batch, mask: Tensor) -> Tensor:
        """Representations [B, hidden] of the graphs whose units have the mask [U]."""
        z = self.encoder.encode(batch, batch.spread(mask))
        tail, head = batch.edge_index
        edges = batch.gather(z[tail] + z[head]) * mask[:, None]
        total = edges.new_zeros(batch.size, edges.shape[1]).index_add(0, batch.unit_owner, edges)
        weight = mask.new_zeros(batch.size).index_add(0, batch.unit_owner, mask)
        return total / weight.clamp(min=1e-6)[:, None]


class Attributors(nn.ModuleList):
    """One attributor for each class, or one for all."""

    def __init__(self, spec: AttributorSpec):
        super().__init__(Attributor(spec) for _ in range(spec.classes if spec.classwise else 1))
        self.spec = spec

    def of(self, label: int) -> Attributor:
        """The attributor for a predicted class."""
        own = self[label if self.spec.classwise else 0]
        assert isinstance(own, Attributor)
        return own


def concrete(alpha: Tensor, temperature: float, noise: Tensor | None = None) -> Tensor:
    """Edge probabilities in (0, 1) by the concrete distribution (eq. 5); `noise` uniform in (0, 1), like alpha."""
    logit = 0 if noise is None else torch.logit(noise, eps=1e-6)
    return torch.sigmoid((logit + alpha) / temperature)


def check_fits(spec: AttributorSpec, found: Mapping[str, int | bool]) -> list[str]:
    """The differences between a spec and the values that a model and its graph have, in words."""
    return [
        f"{name} is {getattr(spec, name)}, expected {value}"
        for name, value in found.items()
        if getattr(spec, name) != value
    ]
