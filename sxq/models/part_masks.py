"""PyG's edge masks on layers that are called with some of the edges: those of one type.

PyG puts one mask of all edges on every layer. A layer of a heterogeneous model sees the edges of one
type, or those of all, type by type; a layer such as RGCNConv passes messages along one type after the
other. Loops that a layer adds come behind its edges.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from sxq.errors import ModelError

Known = list[tuple[Tensor, Tensor]]  # ends [2, k] of some edges, and their numbers [k] among all


def masked_layers(module: nn.Module) -> list[Any]:
    """The layers that bear an edge mask."""
    return [
        part
        for part in module.modules()
        if isinstance(part, MessagePassing) and part.explain and part._edge_mask is not None
    ]


@contextmanager
def masks_of_parts(
    module: nn.Module, parts: Callable[[], tuple[Known, Tensor | None]]
) -> Iterator[None]:
    """Within, a mask of all edges that a layer bears is, at each use, that of the edges it is called with.

    `parts` gives the known parts, and the order in which a layer may have all edges behind one another;
    without an order, a layer that is called with other edges keeps the mask as it is.
    """
    handles = []
    if layers := masked_layers(module):
        known, order = parts()
        for layer in layers:
            held = _Held(layer, known, order)
            handles.append(layer.register_propagate_forward_pre_hook(held.before))
            handles.append(layer.register_propagate_forward_hook(held.after))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def masks_by_type(
    module: nn.Module, edge_index: Mapping[Any, Tensor], edges: "Parts"
) -> AbstractContextManager[None]:
    """`masks_of_parts` of the edges of each type."""
    return masks_of_parts(module, lambda: (list(zip(edge_index.values(), edges.rows)), edges.order))


class _Held:
    """The mask of all edges of a layer, while the layer bears that of some."""

    def __init__(self, layer: Any, known: Sequence[tuple[Tensor, Tensor]], order: Tensor | None):
        self.mask = layer._edge_mask
        self.loops = layer._loop_mask
        self.known = known
        self.order = order

    def before(self, layer: Any, inputs: tuple) -> None:
        rows = self._rows(inputs[0])
        if rows is not None:
            _put(layer, self.mask[rows], self.loops[rows])

    def after(self, layer: Any, *_: Any) -> None:
        _put(layer, self.mask, self.loops)

    def _rows(self, given: Any) -> Tensor | None:
        """The numbers of the edges that a layer is called with; None: it may have all. Raises ModelError."""
        if isinstance(given, Tensor):
            if not given.shape[1]:
                return torch.zeros(0, dtype=torch.long, device=given.device)
            fitting = [rows for ends, rows in self.known if _begins(given, ends)]
            if fitting:
                return max(fitting, key=len)
            if self.order is not None and given.shape[1] == len(self.order):
                return self.order  # of all types, one behind another
        if self.order is None:
            return None
        raise ModelError(
            "a layer is called with edges of several types, or others than the graph's, so that no "
            "mask can be put on them"
        )


def _begins(given: Tensor, ends: Tensor) -> bool:
    """Whether the edges that are given are these, perhaps with loops behind them."""
    if given is ends:
        return True
    size = ends.shape[1]
    if given.shape[1] < size:
        return False
    loops = given[:, size:]
    return torch.equal(given[:, :size], ends) and torch.equal(loops[0], loops[1])


def _put(layer: Any, mask: Tensor, loops: Tensor) -> None:
    """Put a mask on a layer; torch keeps a parameter elsewhere than another tensor."""
    layer._parameters.pop("_edge_mask", None)
    layer.__dict__.pop("_edge_mask", None)
    layer._edge_mask = mask
    layer._loop_mask = loops


class Parts:
    """The rows of a table by their type; those of one type keep their order."""

    def __init__(self, types: Tensor, count: int):
        self.order = torch.argsort(types, stable=True)
        counts = torch.bincount(types, minlength=count)
        self.sizes: list[int] = counts.tolist()
        self.rows = self.order.split(self.sizes)
        starts = (counts.cumsum(0) - counts).repeat_interleave(counts)
        self.number = torch.empty_like(self.order)  # of each row, among those of its type
        self.number[self.order] = torch.arange(len(types), device=types.device) - starts

    def split(self, table: Tensor) -> Sequence[Tensor]:
        """The rows of each type."""
        return table[self.order].split(self.sizes)
