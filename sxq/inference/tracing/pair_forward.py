"""A model of links in the form in which the layered backend records it.

The rows of both ends of a link are the first two of its field. A model may look at the pairs only to
pick the rows of their ends: what it makes of these is one row for each link.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, fx, nn

from sxq.inference.tracing.rowwise import Untraceable
from sxq.models.call import PAIRS, WEIGHTS, Call
from sxq.models.links import EncodeDecode
from sxq.models.model import Model
from sxq.models.wrappers import Adapted

FORM = "its inputs are not passed as float32 x, edge_index, edge_weight, edge_attr and pairs"


class PairForward(nn.Module):
    """forward(x, edge_index, ..., edge_label_index) of a model of links, whatever its arguments are called."""

    def __init__(self, module: nn.Module, call: Call):
        super().__init__()
        self.module = module
        self.call = call

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        edge_attr: Tensor | None = None,
        edge_label_index: Tensor | None = None,
    ) -> Any:
        given = {"edge_weight": edge_weight, "edge_attr": edge_attr, PAIRS[0]: edge_label_index}
        named: dict[str, Any] = {
            argument: given[source] for argument, source in self.call.named if source in given
        }
        if not isinstance(self.module, EncodeDecode):
            return self._called(self.module, x, edge_index, named)
        inner: Any = self.module.module
        pairs = named.pop(PAIRS[0])
        return inner.decode(self._called(inner.encode, x, edge_index, named), pairs)

    def _called(self, take: Any, x: Any, edge_index: Any, named: dict[str, Any]) -> Any:
        if self.call.order == "by name":
            return take(**dict(zip(self.call.ends, (x, edge_index))), **named)
        first = (edge_index, x) if self.call.order == "edge_index, x" else (x, edge_index)
        return take(*first, **named)


def pair_forward(model: Model) -> PairForward:
    """The forward of a model of links; raises Untraceable for inputs of other forms."""
    call = model.call
    module = model.module
    if isinstance(module, Adapted):
        module = module.module
        _require_known_inputs(call)
    return PairForward(module, call)


def _require_known_inputs(call: Call) -> None:
    sources = {source for _, source in call.named}
    parts = [*call.node_parts, *(call.edge_parts if "edge_attr" in sources else ())]
    if call.order == "data" or call.positional or call.carries:
        raise Untraceable(FORM)
    if any(part.kind != "float32" or len(part.shape) != 1 for part in parts):
        raise Untraceable(FORM)
    weight = call.weight if "edge_weight" in sources else None
    if weight is not None and (weight.kind != "float32" or weight.shape):
        raise Untraceable(FORM)
    if any(source == "edge_attr" and argument in WEIGHTS for argument, source in call.named):
        raise Untraceable("its weights are the graph's attributes")


@contextmanager
def attributes_kept(module: nn.Module) -> Iterator[None]:
    """Within, what a forward notes on its modules is undone: while it is recorded, these are no tensors."""
    before = [(part, dict(part.__dict__)) for part in module.modules()]
    try:
        yield
    finally:
        for part, known in before:
            for name, value in list(part.__dict__.items()):
                if isinstance(value, fx.Proxy):
                    part.__dict__.pop(name)
                    part.__dict__.update({name: known[name]} if name in known else {})
