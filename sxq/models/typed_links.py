"""Models of links of a heterogeneous graph, which score the links of one edge type.

    forward(x_dict, edge_index_dict, edge_label_index)       or edge_label_index_dict
    encode(x_dict, edge_index_dict) -> z_dict, decode(z_dict, edge_label_index)
    decode(z_source, z_head, edge_label_index)               the same with the tables of both types
    forward(data)                                            data[edge_type].edge_label_index

The pairs hold the numbers of nodes within their types, as PyG's `edge_label_index` does.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from sxq.errors import ModelOutputError
from sxq.graph import EdgeType, Graph, GraphSet, shown_type
from sxq.models.call import PAIRS
from sxq.models.links import encodes, link_way, signature_of_encode, takes_pairs, with_pairs
from sxq.models.part_masks import Parts, masks_by_type
from sxq.models.typed_call import BY_TYPE, ByTypes, ways

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class LinksByTypes(ByTypes):
    """Calls a module with dictionaries by type and with pairs; it scores the links of `edge_type`."""

    def __init__(
        self,
        module: nn.Module,
        graph: Graph,
        edge_type: EdgeType,
        inputs: Mapping[str, str] | None = None,
    ):
        self_encodes = not takes_pairs(module, inputs) and encodes(module)
        signature = None
        if self_encodes:
            pairs = inspect.Parameter(PAIRS[0], inspect.Parameter.KEYWORD_ONLY)
            signature = with_pairs(signature_of_encode(module), pairs)
        super().__init__(module, graph, None, signature, inputs=inputs, made=PAIRS)
        self.edge_type = edge_type
        self.encodes = self_encodes
        self.parted = self_encodes and _required(module.decode) > 2  # decode takes two tables
        # The argument that takes the pairs, as the engine names it.
        self.pairs = next((name for name in PAIRS if name in self.names), PAIRS[0])

    def forward(
        self, x: Tensor, edge_index: Tensor, *, node_type: Tensor, edge_type: Tensor, **given: Any
    ) -> Any:
        nodes = Parts(node_type, len(self.types.node_types))
        edges = Parts(edge_type, len(self.types.edge_types))
        pairs = nodes.number[given.pop(self.pairs)]
        inputs: dict[str, Any] = self._by_types(x, edge_index, nodes, edges, given)
        with masks_by_type(self.module, inputs["edge_index"], edges):
            return self.scored(inputs, pairs, nodes)

    def scored(self, inputs: dict[str, Any], pairs: Any, nodes: Parts | None) -> Any:
        """The scores of pairs, given the inputs by type; only a HeteroData needs the `nodes`."""
        if self.whole:
            assert nodes is not None
            data = self._data(inputs, nodes)
            data[self.edge_type].edge_label_index = pairs
            return self._own(self.module(data))
        if self.encodes:
            return self._own(self._decoded(self._encoded(inputs), pairs))
        by_type = self.names.get(self.pairs, self.pairs).endswith(BY_TYPE)
        given = {self.edge_type: pairs} if by_type else pairs
        return self._own(self.called({**inputs, self.pairs: given}, nodes))

    def _encoded(self, inputs: dict[str, Any]) -> Any:
        encode: Any = self.module.encode
        named = {self.names.get(name, name): value for name, value in inputs.items()}
        if self.by_name:
            return encode(**named)
        return encode(named.pop("x"), named.pop("edge_index"), **named)

    def _decoded(self, z: Any, pairs: Any) -> Any:
        decode: Any = self.module.decode
        if not self.parted:
            return decode(z, pairs)
        source, _, head = self.edge_type
        return decode(z[source], z[head], pairs)

    def _own(self, found: Any) -> Any:
        """The output for the links of the type, where there is one for each of several types."""
        if not isinstance(found, Mapping):
            return found
        if self.edge_type not in found:
            kinds = ", ".join(str(kind) for kind in found) or "nothing"
            raise ModelOutputError(
                f"the model returned a dictionary with {kinds}; expected the scores of "
                f"{shown_type(self.edge_type)}"
            )
        return found[self.edge_type]


def _required(function: Any) -> int:
    """How many arguments without defaults a function takes by position."""
    parameters = inspect.signature(function).parameters.values()
    return sum(p.kind in _POSITIONAL and p.default is p.empty for p in parameters)


def link_ways(
    module: nn.Module,
    graph: Graph | GraphSet,
    edge_type: EdgeType | None,
    inputs: Mapping[str, str] | None = None,
) -> Sequence[nn.Module]:
    """The module as one that takes pairs, in the ways in which the graph may have it called."""
    if edge_type is None or isinstance(graph, GraphSet):
        return [link_way(module, inputs)]
    found: list[nn.Module] = []
    for way in ways(link_way(module, inputs), graph, None, inputs, PAIRS):
        typed = isinstance(way, ByTypes)
        found.append(LinksByTypes(module, graph, edge_type, inputs) if typed else way)
    return found


def typed_links(module: Any) -> "LinksByTypes | None":
    """The part of an engine's module that scores links by type; None where it has none."""
    while isinstance(module, nn.Module) and not isinstance(module, LinksByTypes):
        module = getattr(module, "module", None)
    return module if isinstance(module, LinksByTypes) else None
