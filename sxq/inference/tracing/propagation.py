"""Message passing of a user's own layer, as plain operations: rows at both ends of edges, and sums.

While a forward pass is recorded, `propagate` of a layer without a kernel calls the layer's own
`message`, `aggregate` and `update`, in PyG's order. What they are given is recorded: `x_j` is
x[edge_index[0]], `x_i` is x[edge_index[1]].
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn
from torch_geometric.nn import MessagePassing

from sxq.inference.tracing.rowwise import Untraceable

HOOKS = (
    *("_propagate_forward_pre_hooks", "_propagate_forward_hooks"),
    *("_message_forward_pre_hooks", "_message_forward_hooks"),
    *("_aggregate_forward_pre_hooks", "_aggregate_forward_hooks"),
    *("_edge_update_forward_pre_hooks", "_edge_update_forward_hooks"),
)


@contextmanager
def opened(module: nn.Module, known: Callable[[nn.Module], bool]) -> Iterator[None]:
    """Within, the message passing of layers that are not `known` consists of plain operations."""
    own = [part for part in module.modules() if isinstance(part, MessagePassing)]
    own = [part for part in own if not known(part)]
    for layer in own:
        layer.__dict__["propagate"] = partial(_propagate, layer)
        layer.__dict__["edge_updater"] = partial(_edge_updater, layer)
    try:
        yield
    finally:
        for layer in own:
            del layer.__dict__["propagate"], layer.__dict__["edge_updater"]


def _propagate(layer: MessagePassing, edge_index: Any, size: Any = None, **given: Any) -> Any:
    _require_usual(layer)
    source = _Given(layer, edge_index, size, given)
    messages = layer.message(**source.arguments(layer.message))
    further = source.arguments(layer.aggregate, skip=1)
    found = layer.aggregate(messages, **further)
    return layer.update(found, **source.arguments(layer.update, skip=1))


def _edge_updater(layer: MessagePassing, edge_index: Any, size: Any = None, **given: Any) -> Any:
    _require_usual(layer)
    return layer.edge_update(**_Given(layer, edge_index, size, given).arguments(layer.edge_update))


def _require_usual(layer: MessagePassing) -> None:
    name = type(layer).__name__
    if layer.flow != "source_to_target":
        raise Untraceable(f"{name} with flow={layer.flow!r}")
    if layer.decomposed_layers > 1 or any(getattr(layer, hooks, None) for hooks in HOOKS):
        raise Untraceable(f"{name} has hooks or decomposed layers")


class _Given:
    """What the methods of a layer may ask for, by the names of their arguments."""

    def __init__(self, layer: MessagePassing, edge_index: Any, size: Any, given: Mapping[str, Any]):
        self.layer = layer
        self.edge_index = edge_index
        self.given = given
        self.size = size
        self.tails = edge_index[0]
        self.heads = edge_index[1]

    def arguments(self, method: Callable, skip: int = 0) -> dict[str, Any]:
        """The arguments of a method, without the first ones."""
        found = {}
        for parameter in list(inspect.signature(method).parameters.values())[skip:]:
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                raise Untraceable(f"{type(self.layer).__name__} takes *args or **kwargs")
            found[parameter.name] = self._argument(parameter)
        return found

    def _argument(self, parameter: inspect.Parameter) -> Any:
        name = parameter.name
        special = {"index": self.heads, "edge_index": self.edge_index, "ptr": None}
        special |= {"edge_index_i": self.heads, "edge_index_j": self.tails}
        if name in special:
            return special[name]
        if name in ("dim_size", "size_i", "size_j", "size"):
            count = self._num_nodes()
            return (count, count) if name == "size" else count
        if name[-2:] in ("_i", "_j") and name[:-2] in self.given:
            return self._at_end(self.given[name[:-2]], name[-1])
        if name in self.given:
            return self.given[name]
        if parameter.default is not parameter.empty:
            return parameter.default
        raise Untraceable(f"{type(self.layer).__name__} is not given {name}")

    def _at_end(self, value: Any, end: str) -> Any:
        if isinstance(value, tuple | list):
            value = value[0 if end == "j" else 1]
        if value is None:
            return None
        dim = self.layer.node_dim
        if dim % value.dim():
            raise Untraceable(f"{type(self.layer).__name__} with node_dim={dim}")
        return value.index_select(0, self.tails if end == "j" else self.heads)

    def _lifted(self) -> list[str]:
        """The names of what has a row for each node."""
        layer = self.layer
        methods = (layer.message, layer.aggregate, layer.update, layer.edge_update)
        asked = [name for method in methods for name in inspect.signature(method).parameters]
        return [
            name[:-2] for name in asked if name[-2:] in ("_i", "_j") and name[:-2] in self.given
        ]

    def _num_nodes(self) -> Any:
        if self.size is not None:
            return self.size[1] if self.size[1] is not None else self.size[0]
        for value in map(self.given.get, self._lifted()):
            for one in value if isinstance(value, tuple | list) else (value,):
                if one is not None:
                    return one.size(self.layer.node_dim)
        raise Untraceable(f"{type(self.layer).__name__} is given no rows of nodes")
