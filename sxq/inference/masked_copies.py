"""First-order estimates by copies: the model itself on disjoint copies of fields, under PyG's edge masks.

Copies of many fields share a pass forward and back: copies do not reach each other, so the derivatives of
the sum of their log-odds are those of each.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

from sxq.graph import EdgeKind, Field, Graph
from sxq.inference.disjoint import join
from sxq.models import device as devices
from sxq.models.forward import edge_tensors, node_tensor
from sxq.models.model import Model
from sxq.models.odds import answer_odds
from sxq.scoring.question import Question

MANY = (
    2**18
)  # numbers in the features of all copies, from which on their linear map is computed once


class ByCopies:
    """The model itself on disjoint copies of the field, with PyG's masks."""

    def __init__(self, model: Model, graph: Graph, field: Field, question: Question):
        self.model = model
        self.question = question
        # No loops: PyG puts masks on the wrong edges if every node has a loop.
        edges = np.flatnonzero(field.unit != EdgeKind.LOOP)
        self.unit = devices.to_device(field.unit[edges], model.device)
        self.x = node_tensor(model, graph, field.nodes)
        _, self.weight, self.attr = edge_tensors(
            graph, field.edges[edges], model.device, model.call.edge_inputs
        )
        self.edge_index = devices.to_device(field.edge_index[:, edges], model.device)
        self._maps: dict[Any, Tensor] = {}
        self.cost = self.x.nbytes + 64 * len(self.unit)

    def __call__(self, bits: np.ndarray, context: bool) -> np.ndarray:
        return of_copies(self.model, [Copies(self, bits, context)])[0]

    def mapped(self, weight: Tensor, bias: Tensor | None) -> Tensor:
        """A linear map of the features, computed once: it is the same in every copy and every pass."""
        key = (id(weight), id(bias))  # the engine's own copy of the model keeps its weights
        if key not in self._maps:
            with torch.no_grad():
                self._maps[key] = linear(self.x, weight, bias)
        return self._maps[key]


class Copies:
    """Copies of a field, one for each row of bits [c, P], and the weights of their messages."""

    def __init__(self, way: ByCopies, bits: np.ndarray, context: bool):
        self.way = way
        self.copies, self.parts = bits.shape
        padded = np.pad(bits.astype(np.float32), ((0, 0), (0, 1)), constant_values=float(context))
        weights = devices.to_device(padded, way.model.device)
        self.unit = torch.where(way.unit < 0, self.parts, way.unit)
        self.mask = weights[:, self.unit].flatten()
        self.x = self.repeated(way.x)
        self.weight = self.repeated(way.weight)
        self.attr = self.repeated(way.attr)

    def repeated(self, rows: Any) -> Any:
        """Rows of the field, for every copy; or None."""
        return rows if rows is None else rows.repeat(self.copies, *[1] * (rows.dim() - 1))

    def starts(self, first: int) -> Tensor:
        """The number of node 0 of each copy [c], if that of the first copy is `first`."""
        nodes = len(self.way.x)
        return first + nodes * torch.arange(self.copies, device=self.x.device)

    def by_part(self, of_edges: Tensor) -> np.ndarray:
        """Values of all edges, summed by the parts that they belong to: [c, P]."""
        values = of_edges.view(self.copies, -1)
        summed = values.new_zeros(self.copies, self.parts + 1)
        return summed.index_add_(1, self.unit, values)[:, :-1].double().cpu().numpy()


def of_copies(model: Model, each: Sequence[Copies]) -> list[np.ndarray]:
    """The derivatives [c, P] of copies of several fields, in one pass forward and back."""
    firsts = np.cumsum([0, *(len(own.x) for own in each)]).tolist()
    starts = [own.starts(first) for own, first in zip(each, firsts)]
    edge_index = torch.cat(
        [(own.way.edge_index[:, None] + of[:, None]).flatten(1) for own, of in zip(each, starts)], 1
    )
    begins = torch.cat(starts)
    sizes = torch.diff(begins, append=begins.new_tensor(firsts[-1:]))
    owner = torch.repeat_interleave(sizes)
    x = torch.cat([own.x for own in each])
    weight = join([own.weight for own in each])
    attr = join([own.attr for own in each])
    mask = torch.cat([own.mask for own in each]).requires_grad_()
    try:
        with torch.enable_grad(), _mapped_once(x, each):
            set_masks(model.module, mask, edge_index, apply_sigmoid=False)
            output = model.at_targets(x, edge_index, weight, attr, starts=begins, owner=owner)
            odds = _odds(model, output, each)
            found = _derivative(odds, mask)
    finally:
        clear_masks(model.module)
    found = torch.zeros_like(mask) if found is None else found.nan_to_num()
    pieces = found.split([len(own.mask) for own in each])
    return [own.by_part(piece) for own, piece in zip(each, pieces)]


def _odds(model: Model, output: Tensor, each: Sequence[Copies]) -> Tensor:
    """The sum over all copies of the log-odds of the answer to the question about their field."""
    rows = output.split([own.copies for own in each])
    odds = [answer_odds(model, own, of.way.question).sum() for own, of in zip(rows, each)]
    return torch.stack(odds).sum()


def _derivative(value: Tensor, of: Tensor) -> Tensor | None:
    """The derivatives of a value; None where it does not depend on them."""
    if not value.requires_grad:
        return None
    return torch.autograd.grad(value, of, allow_unused=True)[0]


def _mapped_once(x: Tensor, each: Sequence[Copies]) -> AbstractContextManager:
    """Within, a linear map of many features is computed once; of few, it costs less than looking for it."""
    return _MappedOnce(x, each) if x.numel() >= MANY else nullcontext()


class _MappedOnce(TorchFunctionMode):
    """Computes a linear map of the features of copies once for each field."""

    def __init__(self, x: Tensor, each: Sequence[Copies]):
        super().__init__()
        self.x = x
        self.each = each

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not linear or args[0] is not self.x or kwargs:
            return func(*args, **(kwargs or {}))
        weight = args[1]
        bias = (*args, None)[2]
        return torch.cat([own.repeated(own.way.mapped(weight, bias)) for own in self.each])
