"""A module that is called in its own way, in the form in which the layered backend records it.

Its inputs beside x and edge_index, such as edge_type, become inputs of the recorded graph by their
names in the data. They are given in their own form: a weight of one column is passed flat, integers
stay integers.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, fx, nn

from sxq.inference.tracing.example import EDGES_OF, NODES_OF, Example
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models.call import WEIGHTS, Part
from sxq.models.wrappers import Adapted


class NamedForward(nn.Module):
    """forward(x, edge_index) that calls the module of an `Adapted`; what else it takes it asks for by name."""

    def __init__(self, adapted: Adapted):
        super().__init__()
        self.module = adapted.module
        self.adapted = [adapted]  # in a list: the tracer sees the module once
        self.parts = {part.name: part for part in parts_of(adapted)}

    def forward(self, x: Tensor, edge_index: Tensor) -> Any:
        (adapted,) = self.adapted
        named = {argument: self._input(x, argument, name) for argument, name in adapted.call.named}
        return adapted.called(x, edge_index, named)

    def _input(self, x: Any, argument: str, name: str) -> Any:
        if not isinstance(x, fx.Proxy):
            raise Untraceable("its inputs are not recorded")
        made = {node.target: node for node in x.tracer.graph.nodes if node.op == "placeholder"}
        if name in made:
            value = x.tracer.proxy(made[name])
        else:
            value = x.tracer.create_proxy("placeholder", name, (), {})
        part = self.parts.get(name)
        flat = argument in WEIGHTS and argument != name and part is not None and part.shape == (1,)
        return value[:, 0] if flat else value


def parts_of(adapted: Adapted) -> list[Part]:
    """The inputs that the engine's tables hold."""
    call = adapted.call
    weight = [] if call.weight is None else [call.weight]
    return [*call.node_parts, *call.edge_parts, *weight]


def by_name(
    adapted: Adapted, examples: Sequence[Example]
) -> tuple[NamedForward, tuple[Example, ...], dict[str, str]]:
    """The forward that is recorded, its examples, and whether further inputs are of nodes or of edges."""
    require_float32(adapted)
    call = adapted.call
    if once := [part.name for part in call.node_parts if part.once is not None]:
        raise Untraceable(f"the graph has its input {once[0]} once, not for each node")
    kinds = dict.fromkeys(call.node_inputs, NODES_OF) | dict.fromkeys(call.edge_inputs, EDGES_OF)
    return NamedForward(adapted), tuple(_by_name(adapted, one) for one in examples), kinds


def _by_name(adapted: Adapted, example: Example) -> Example:
    """An example of the engine's tables as one of the inputs by name."""
    given = example.inputs
    tables = {
        "edge_weight": given["edge_weight"] if adapted.call.weight is not None else None,
        "edge_attr": given["edge_attr"] if adapted.call.edge_parts else None,
    }
    own = adapted.inputs(given["x"], tables)
    first = {"x": own.pop("x"), "edge_index": given["edge_index"]}
    return replace(example, inputs=first | own | {"batch": given["batch"]})


def require_float32(adapted: Adapted) -> None:
    """Raise Untraceable where an input is of another float: tables of the layered backend are float32."""
    for part in parts_of(adapted):
        taken = part.name == "x" or part.name in dict(adapted.call.named).values()
        if taken and "float" in part.kind and part.kind != "float32":
            raise Untraceable(f"its input {part.name} is {part.kind}, not float32")
