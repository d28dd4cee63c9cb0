"""A module of a heterogeneous graph in the form in which the layered backend records it.

Every table has a row for each node, of whatever type: x of a type is the columns of that type, and
its rows of other types are never read, because a layer between two types only has edges from one
to the other. So a layer of one edge type is a layer of the graph without the edges of other types.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.functional import gelu
from torch_geometric.nn import HANConv, HGTConv
from torch_geometric.nn.conv import hetero_conv

from sxq.inference.tracing.rowwise import Untraceable
from sxq.models.call import EDGE_ARGUMENTS, EDGE_TYPE, NODE_TYPE
from sxq.models.model import Model
from sxq.models.typed_call import ByTypes
from sxq.models.typed_links import LinksByTypes

OF_ALL_TYPES = (HGTConv, HANConv)  # layers that take and return dictionaries of all types
PAIRWISE: Mapping[str, Callable[[Any, Any], Any]] = {
    "sum": operator.add,
    "mean": operator.add,
    "min": torch.minimum,
    "max": torch.maximum,
    "mul": operator.mul,
}


def of_type(edge_index: Any, number: int) -> Any:
    """The edges of one type; recorded as one call, which tells a layer its edges."""
    if not isinstance(edge_index, fx.Proxy):
        raise Untraceable("its layers by type are not recorded")
    return edge_index.tracer.create_proxy("call_function", of_type, (edge_index, number), {})


class OneTypeForward(nn.Module):
    """forward(x, edge_index, ...) to the outputs for nodes of one type: [n, C], of which their rows count.

    Of a model of links, forward(..., edge_label_index) to the scores of its links, whose ends are picked
    from tables of all nodes.
    """

    def __init__(self, typed: ByTypes, node_type: int, named: Mapping[str, str]):
        super().__init__()
        self.typed = typed
        self.node_type = node_type
        self.named = named  # argument of the module -> edge_weight or edge_attr

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        edge_attr: Tensor | None = None,
        edge_label_index: Tensor | None = None,
    ) -> Any:
        types = self.typed.types
        widths = dict(zip(types.node_types, types.widths))
        inputs: dict[str, dict[Any, Any]] = {
            "x": {name: _columns(x, width, max(types.widths)) for name, width in widths.items()},
            "edge_index": {name: of_type(edge_index, n) for n, name in enumerate(types.edge_types)},
        }
        for argument, source in self.named.items():
            values = {"edge_weight": edge_weight, "edge_attr": edge_attr}[source]
            inputs[argument] = {
                name: values
                if source == "edge_weight"
                else _columns(values, width, max(types.edge_widths))
                for name, width in zip(types.edge_types, types.edge_widths)
                if width or source == "edge_weight"
            }
        if isinstance(self.typed, LinksByTypes):
            return self.typed.scored(inputs, edge_label_index, None)
        found = self.typed.called(inputs, None)
        if isinstance(found, Mapping):
            return found[types.node_types[self.node_type]]
        return found


def _columns(table: Any, width: int, all_columns: int) -> Any:
    return table if width == all_columns else table[:, :width]


def one_type_forwards(model: Model, typed: ByTypes) -> dict[int, OneTypeForward]:
    """The forward to the outputs of each type of nodes that the model judges. Raises Untraceable."""
    if typed.pools:
        raise Untraceable("it pools nodes by their types")
    if typed.whole or typed.joined:
        raise Untraceable("it takes or returns the nodes of all types as one")
    x = model.call.node_parts[0]
    others = [name for name in model.call.carries if name not in (NODE_TYPE, EDGE_TYPE)]
    if others or x.kind != "float32" or len(x.shape) != 1:
        raise Untraceable(
            "its inputs are not float32 x, edge_index, edge_weight, edge_attr by type"
        )
    named = {a: source for a, source in model.call.named if source in EDGE_ARGUMENTS}
    judged = typed.judged
    if isinstance(typed, LinksByTypes):
        judged = (typed.types.number_of(typed.edge_type[0]),)
    return {number: OneTypeForward(typed, number, named) for number in judged}


def in_parts(layer: Any, call: Callable[..., fx.Proxy], x: Any, edge_index: Any) -> dict:
    """A layer of all types as it is recorded: a table by type goes into one call of its sums; a dictionary by type.

    `call` records the layer with a dictionary of tables and one of edges.
    """
    if not (isinstance(x, Mapping) and isinstance(edge_index, Mapping)):
        raise Untraceable(f"{type(layer).__name__} is not given dictionaries by type")
    given = dict(edge_index)
    if type(layer) is HGTConv:
        sums = call(_mapped(layer.kqv_lin.lins, x), given)
        return {
            kind: _with_skip(layer, kind, sums, x[kind])
            for kind in x
            if kind in layer.dst_node_types
        }
    sums = call(_mapped(layer.proj, x), given)
    entered = {name[-1] for name in given}
    return {kind: sums if kind in entered else None for kind in x}


def _mapped(maps: Any, x: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: maps[kind](own) for kind, own in x.items()}


def _with_skip(layer: Any, kind: str, sums: Any, own: Any) -> Any:
    """What HGTConv makes of the sums of messages into the nodes of a type."""
    out = layer.out_lin.lins[kind](gelu(sums))
    if layer.kqv_lin.lins[kind].in_channels != layer.out_channels:
        return out
    share = layer.skip[kind].sigmoid()
    return share * out + (1 - share) * own


@contextmanager
def grouped_in_pairs() -> Iterator[None]:
    """Within, `HeteroConv` joins the outputs of edge types two by two, which each row can by itself."""
    before = hetero_conv.group

    def group(values: Sequence[Any], aggr: str | None) -> Any:
        if len(values) < 2 or aggr is None or aggr not in PAIRWISE:
            return before(values, aggr)
        joined = reduce(PAIRWISE[aggr], values)
        return joined / len(values) if aggr == "mean" else joined

    hetero_conv.group = group
    try:
        yield
    finally:
        hetero_conv.group = before
