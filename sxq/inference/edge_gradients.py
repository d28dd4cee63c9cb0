"""First-order estimates of the worth of every unit: backward passes through message weights.

The estimate of a node is the sum over its edges; that of a feature goes through the features.

Masking is not removal (it acts after normalisation or softmax), so gradients rank candidates and
never score them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

from sxq.graph import EdgeKind, FeatureField, Field, Graph
from sxq.inference import Backend
from sxq.inference.disjoint import Disjoint, Side
from sxq.inference.layered.backend import Layered
from sxq.inference.tiles.layout import EXTRA_ROWS, ROW_HALO
from sxq.inference.tiles.threads import one_thread
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models import device as devices
from sxq.models.forward import edge_tensors, node_tensor
from sxq.models.model import Model
from sxq.models.odds import answer_odds
from sxq.scoring.question import Question

COPIES = 64 * 2**20  # bytes of features and messages that one backward pass may copy

# Errors that a layer or a model may raise under a mask that it was not written for.
MASK_ERRORS = (
    Untraceable,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
)


class EdgeGradients:
    """The log-odds of the answer to one target's question, as a function of message weights of its field.

    The gradients are computed layer by layer if the backend is layered and its layers can be
    differentiated, otherwise on copies of the field.
    """

    def __init__(
        self,
        model: Model,
        graph: Graph,
        field: Field,
        question: Question,
        backend: Backend | None = None,
    ):
        self.model = model
        self.graph = graph
        self.field = field
        self.question = question
        self._ways: list[Callable[..., _Way]] = [_ByCopies]
        if isinstance(field, FeatureField):
            self._ways = [_ByFeatures]
        if isinstance(backend, Layered) and not model.pools:
            self._ways.insert(0, partial(_ByLayers, backend))
        self._made: _Way | None = None  # by the first of the ways
        self.unavailable = ""  # the reason why estimates are not available; empty if they are

    @property
    def by_layers(self) -> bool:
        """Whether the layered backend gives the gradients, as far as known before a call."""
        return len(self._ways) > 1

    @property
    def cost(self) -> int:
        """Bytes that one weighted copy of the field takes."""
        return self._way.cost

    @property
    def _way(self) -> "_Way":
        if self._made is None:
            self._made = self._ways[0](self.model, self.graph, self.field, self.question)
        return self._made

    def __call__(self, bits: np.ndarray, context: bool) -> np.ndarray:
        """The derivatives [c, U] of the log-odds with respect to the weight of each unit's messages, or of its column.

        They are taken at the weights `bits` [c, U], 0 or 1; the halo has weight 1 if `context`,
        otherwise 0. They are zero for models whose layers take no mask (because they do not derive
        from PyG's MessagePassing).
        """
        while True:
            try:
                step = max(1, COPIES // self.cost)
                return np.concatenate(
                    [
                        self._of_units(bits[start : start + step], context)
                        for start in range(0, len(bits), step)
                    ]
                )
            except MASK_ERRORS as error:  # a layer that cannot be masked must not end a query
                if len(self._ways) == 1:
                    self.unavailable = f"{type(error).__name__}: {error}".splitlines()[0]
                    return np.zeros(bits.shape)
                self._ways = self._ways[1:]
                self._made = None

    def _of_units(self, bits: np.ndarray, context: bool) -> np.ndarray:
        if isinstance(self.field, FeatureField):
            return self._way(bits, context)
        values = self._way(self.field.weights(bits, context), context)
        return self.field.by_unit(values, bits, context)


class _ByLayers:
    """Every copy is a column of the layered backend's tables."""

    def __init__(
        self, backend: Layered, model: Model, graph: Graph, field: Field, question: Question
    ):
        self.backend = backend
        self.layout = backend.load(graph, field, differentiable=True)
        self.odds = partial(answer_odds, model, question=question)
        self.cost = backend.cost(self.layout)  # of two columns: forward and backward

    def __call__(self, bits: np.ndarray, context: bool) -> np.ndarray:
        if self.layout.field.over == "features":
            return self._of_shares(bits, context)
        copies, units = bits.shape
        weights = np.ones((units + EXTRA_ROWS, copies), np.float32)
        weights[:units] = bits.T
        weights[units + ROW_HALO] = context
        mask = self.layout.to_device(weights)
        with one_thread():
            found = self.backend.mask_gradient(self.layout, mask, self.odds)
        return found[:units].T.nan_to_num().double().cpu().numpy()

    def _of_shares(self, bits: np.ndarray, context: bool) -> np.ndarray:
        shares = self.layout.to_device(bits.astype(np.float32))
        with one_thread():
            found = self.backend.share_gradient(self.layout, shares, self.odds, context)
        return found.nan_to_num().double().cpu().numpy()


class _ByCopies:
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
        self._copies = self.x
        self._maps: dict[Any, Any] = {}
        self.cost = self.x.nbytes + 64 * len(self.unit)

    def __call__(self, bits: np.ndarray, context: bool) -> np.ndarray:
        copies, units = bits.shape
        padded = np.pad(bits.astype(np.float32), ((0, 0), (0, 1)), constant_values=float(context))
        weights = devices.to_device(padded, self.model.device)
        unit = torch.where(self.unit < 0, units, self.unit)
        mask = weights[:, unit].flatten().requires_grad_()
        found = self._gradient(mask, copies)
        found = torch.zeros_like(mask) if found is None else found.nan_to_num()
        summed = torch.zeros(copies, units + 1, dtype=found.dtype, device=found.device)
        return summed.index_add_(1, unit, found.view(copies, -1))[:, :-1].double().cpu().numpy()

    def _copied(self, copies: int) -> Tensor:
        if len(self._copies) != copies * len(self.x):
            self._copies = self.x.repeat(copies, 1)
        return self._copies

    def _gradient(self, mask: Tensor, copies: int) -> Tensor | None:
        nodes = len(self.x)
        shift = nodes * torch.arange(copies, device=self.model.device)
        edge_index = (self.edge_index[:, None] + shift[:, None]).flatten(1)
        weight, attr = (
            value if value is None else value.repeat(copies, *[1] * (value.dim() - 1))
            for value in (self.weight, self.attr)
        )
        try:
            copied = self._copied(copies)
            with torch.enable_grad(), _MappedOnce(self.x, copied, self._maps):
                set_masks(self.model.module, mask, edge_index, apply_sigmoid=False)
                owner = torch.arange(copies, device=self.model.device).repeat_interleave(nodes)
                output = self.model.at_targets(
                    copied, edge_index, weight, attr, starts=shift, owner=owner
                )
                odds = answer_odds(self.model, output, self.question)
                if not odds.requires_grad:
                    return None
                return torch.autograd.grad(odds.sum(), mask, allow_unused=True)[0]
        finally:
            clear_masks(self.model.module)


class _ByFeatures:
    """The model itself on disjoint copies of the field, whose features differ."""

    def __init__(self, model: Model, graph: Graph, field: FeatureField, question: Question):
        self.model = model
        self.question = question
        self.loaded = Disjoint(model).load(graph, field)
        x = self.loaded.x
        columns = np.zeros(len(field.columns), np.int64)
        self.change = x.new_zeros(len(x), len(columns))  # [n, U] by which a unit differs
        for rows, own, places in field.places(field.columns):
            columns[places] = own
            baseline = devices.to_device(field.baseline[places], x.device).to(x)
            where = (rows, places) if isinstance(rows, slice) else np.ix_(rows, places)
            self.change[where] = x[rows][:, devices.to_device(own, x.device)] - baseline
        self.columns = devices.to_device(columns, model.device)
        self.cost = 4 * self.loaded.x.nbytes + 64 * len(field.unit)

    def __call__(self, bits: np.ndarray, context: bool) -> np.ndarray:
        """The derivatives [c, U] with respect to the share of each unit that is there."""
        nodes = len(self.loaded.x)
        x = Side(self.loaded, bits, bits[:, :0], None, context).rows.clone()
        shift = nodes * torch.arange(len(bits), device=x.device)
        edge_index = (self.loaded.edge_index[:, None] + shift[:, None]).flatten(1)
        weight, attr = (
            value if value is None else value.repeat(len(bits), *[1] * (value.dim() - 1))
            for value in (self.loaded.edge_weight, self.loaded.edge_attr)
        )
        owner = torch.arange(len(bits), device=x.device).repeat_interleave(nodes)
        with torch.enable_grad():
            x = x.flatten(0, 1).requires_grad_()
            output = self.model.at_targets(x, edge_index, weight, attr, starts=shift, owner=owner)
            odds = answer_odds(self.model, output, self.question)
            found = torch.autograd.grad(odds.sum(), x, allow_unused=True)[0]
        if found is None:
            return np.zeros(bits.shape)
        moved = found.view(len(bits), nodes, -1)[..., self.columns] * self.change
        return moved.sum(dim=1).nan_to_num().double().cpu().numpy()


_Way = _ByLayers | _ByCopies | _ByFeatures


class _MappedOnce(TorchFunctionMode):
    """Computes a linear map of the features once: it is the same in every copy and every pass."""

    def __init__(self, x: Tensor, copied: Tensor, maps: dict):
        super().__init__()
        self.x = x
        self.copied = copied
        self.maps = maps

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not linear or args[0] is not self.copied or kwargs:
            return func(*args, **(kwargs or {}))
        weight = args[1]
        bias = (*args, None)[2]
        key = (id(weight), id(bias))  # the engine's own copy of the model keeps its weights
        if key not in self.maps:
            with torch.no_grad():
                self.maps[key] = linear(self.x, weight, bias)
        return self.maps[key].repeat(len(self.copied) // len(self.x), 1)
