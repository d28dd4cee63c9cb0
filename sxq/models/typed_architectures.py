"""The named architectures for a heterogeneous graph: forward(x_dict, edge_index_dict) to logits of one type.

A linear map with relu brings the features of each node type to HIDDEN channels; then come LAYERS
layers with relu and dropout after each, and a linear map for the nodes of the target type. A node
type that no edge enters keeps its values.

    sage  a SAGEConv for each edge type, summed
    gat   a GATConv for each edge type, with the receiving node added, summed; heads are averaged
    rgcn  Schlichtkrull et al. 2018: a mean for each edge type, and one map of the node itself
    hgt   HGTConv, Hu et al. 2020
"""

from typing import Any

from torch import Tensor, nn
from torch_geometric.nn import GATConv, HeteroConv, HGTConv, SAGEConv
from torch_geometric.nn.module_dict import ModuleDict

from sxq.errors import InvalidValue

EdgeType = tuple[str, str, str]


class TypedEncoder(nn.Module):
    """Rows [n, hidden] of the nodes of every type."""

    def __init__(self, spec: Any):  # an ArchitectureSpec with types
        super().__init__()
        self.spec = spec
        widths: dict[str, int] = spec.types["nodes"]
        edge_types = [tuple(kind) for kind in spec.types["edges"]]
        self.inputs = ModuleDict({name: nn.Linear(w, spec.hidden) for name, w in widths.items()})
        kinds = {"hgt": _hgt, "rgcn": _Relational}
        make = kinds.get(spec.architecture, _by_edge_type)
        self.layers = nn.ModuleList(
            make(spec, list(widths), edge_types) for _ in range(spec.layers)
        )
        self.dropout = nn.Dropout(spec.dropout)

    def forward(
        self, x_dict: dict[str, Tensor], edge_index_dict: dict[EdgeType, Tensor]
    ) -> dict[str, Tensor]:
        x = {name: self.inputs[name](own).relu() for name, own in x_dict.items()}
        for layer in self.layers:
            found = layer(x, edge_index_dict)
            x |= {name: self.dropout(own.relu()) for name, own in found.items() if own is not None}
        return x


class TypedNodeClassifier(TypedEncoder):
    """Logits [n, out_channels] of the nodes of the target type."""

    def __init__(self, spec: Any):
        super().__init__(spec)
        self.target: str = spec.types["target"]
        self.output = nn.Linear(spec.hidden, spec.out_channels)

    def forward(
        self, x_dict: dict[str, Tensor], edge_index_dict: dict[EdgeType, Tensor]
    ) -> dict[str, Tensor]:
        x = super().forward(x_dict, edge_index_dict)
        return {self.target: self.output(x[self.target])}


class _Relational(nn.Module):
    """One layer of rgcn."""

    def __init__(self, spec: Any, node_types: list[str], edge_types: list[EdgeType]):
        super().__init__()
        size = spec.hidden
        self.own = ModuleDict({name: nn.Linear(size, size) for name in node_types})
        self.relations = HeteroConv(
            {
                kind: SAGEConv((size, size), size, root_weight=False, bias=False)
                for kind in edge_types
            }
        )

    def forward(
        self, x: dict[str, Tensor], edge_index: dict[EdgeType, Tensor]
    ) -> dict[str, Tensor]:
        found = self.relations(x, edge_index)
        return {name: own + self.own[name](x[name]) for name, own in found.items()}


def _hgt(spec: Any, node_types: list[str], edge_types: list[EdgeType]) -> nn.Module:
    for name in node_types:  # PyG's HGTConv keeps a linear map for each in a ModuleDict of torch
        try:
            nn.ModuleDict({name: nn.Identity()})
        except KeyError as error:
            raise InvalidValue(
                f"hgt cannot have a node type {name!r}: torch names a part of the model after it, and says "
                f"{error.args[0]!r}; rename the node type, or choose sage, gat or rgcn"
            ) from None
    return HGTConv(spec.hidden, spec.hidden, (node_types, edge_types), spec.heads)


def _by_edge_type(spec: Any, node_types: list[str], edge_types: list[EdgeType]) -> nn.Module:
    size = spec.hidden
    both = (size, size)
    return HeteroConv(
        {
            kind: SAGEConv(both, size)
            if spec.architecture == "sage"
            else GATConv(both, size, spec.heads, concat=False, add_self_loops=False, residual=True)
            for kind in edge_types
        }
    )
