"""The named architectures for links: an encoder of nodes, and a decoder of the two ends.

The encoder is a named architecture with HIDDEN channels of output, and DECODER says what is made of
the rows of both ends:

    dot        their scalar product; the score is the same in both directions
    mlp        two linear maps with relu between, of the two rows side by side
    distance   a number that is learned, minus the square of their distance; the same in both directions
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn.module_dict import ModuleDict

DECODERS = ("dot", "mlp", "distance")


class Decoder(nn.Module):
    """Scores [k] of k links from the rows [k, size] of their ends: log-odds."""

    def __init__(self, kind: str, size: int):
        super().__init__()
        self.kind = kind
        if kind == "mlp":
            self.lin1 = nn.Linear(2 * size, size)
            self.lin2 = nn.Linear(size, 1)
        if kind == "distance":
            self.reach = nn.Parameter(torch.ones(1))

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        if self.kind == "mlp":
            return self.lin2(self.lin1(torch.cat([u, v], dim=-1)).relu()).view(-1)
        if self.kind == "distance":
            return self.reach - (u - v).square().sum(dim=-1)
        return (u * v).sum(dim=-1)


class LinkScorer(nn.Module):
    """x [n, in_channels], edge_index [2, E] to rows [n, hidden], and pairs [2, k] of these to log-odds [k]."""

    def __init__(self, spec: Any, encoder: nn.Module):  # an ArchitectureSpec with a decoder
        super().__init__()
        self.spec = spec
        self.encoder = encoder
        self.decoder = Decoder(spec.decoder, spec.hidden)

    def encode(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.encoder(x, edge_index)

    def decode(self, z: Tensor, edge_label_index: Tensor) -> Tensor:
        return self.decoder(z[edge_label_index[0]], z[edge_label_index[1]])


class WeightedLinkScorer(LinkScorer):
    """A `LinkScorer` whose layers take edge weights [E]."""

    def encode(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        return self.encoder(x, edge_index, edge_weight)


class AttributedLinkScorer(LinkScorer):
    """A `LinkScorer` whose layers take edge attributes [E, D]."""

    def encode(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        return self.encoder(x, edge_index, edge_attr)


class TypedLinkScorer(nn.Module):
    """The same by types: rows of the nodes of the two types of its links, and pairs within these types."""

    def __init__(self, spec: Any, encoder: nn.Module):
        super().__init__()
        self.spec = spec
        self.encoder = encoder
        source, _, head = spec.types["link"]
        self.outputs = ModuleDict(
            {name: nn.Linear(spec.hidden, spec.hidden) for name in dict.fromkeys((source, head))}
        )
        self.decoder = Decoder(spec.decoder, spec.hidden)

    def encode(self, x_dict: dict[str, Tensor], edge_index_dict: dict[Any, Tensor]) -> Any:
        z = self.encoder(x_dict, edge_index_dict)
        return {name: output(z[name]) for name, output in self.outputs.items()}

    def decode(self, z_source: Tensor, z_head: Tensor, edge_label_index: Tensor) -> Tensor:
        return self.decoder(z_source[edge_label_index[0]], z_head[edge_label_index[1]])


KINDS: dict[str, type[LinkScorer]] = {  # by what the layers take of the edges
    "": LinkScorer,
    "edge_weight": WeightedLinkScorer,
    "edge_attr": AttributedLinkScorer,
}
