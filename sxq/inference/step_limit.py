"""A limit on the steps of a forward pass: a loop that waits for equal numbers never ends on NaN."""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from sxq.errors import ModelError
from sxq.graph import Graph
from sxq.models.forward import forward_full
from sxq.models.model import Model

TIMES = 20  # the steps of a probe, at most, as a multiple of those on the registered graph
MORE = 1000  # and beyond


class Steps(TorchDispatchMode):
    """Counts the operations on tensors, and raises ModelError at one more than `most`."""

    def __init__(self, most: float = float("inf")):
        super().__init__()
        self.most = most
        self.count = 0

    def __torch_dispatch__(self, operation: Any, types: Any, arguments=(), options=None) -> Any:
        self.count += 1
        if self.count > self.most:
            raise ModelError(f"forward did not end within {self.most} steps")
        return operation(*arguments, **(options or {}))


def most_steps(model: Model, graph: Graph) -> float:
    """As many steps as a probe may take; without a limit for a model whose steps cannot be counted."""
    try:
        with Steps() as counted:
            forward_full(model, graph)
    except ModelError:
        return float("inf")
    return TIMES * counted.count + MORE
