"""First-order estimates of the worth of every unit: backward passes through message weights.

The estimate of a node is the sum over its edges; that of a feature goes through the features.

Masking is not removal (it acts after normalisation or softmax), so gradients rank candidates and
never score them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from sxq.graph import FeatureField, Field, Graph
from sxq.inference import Backend
from sxq.inference.batches import batches
from sxq.inference.disjoint import Disjoint, Side
from sxq.inference.layered.backend import Layered
from sxq.inference.masked_copies import ByCopies, Copies, of_copies
from sxq.inference.tiles.layout import EXTRA_ROWS, ROW_HALO
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models import device as devices
from sxq.models.model import Model
from sxq.models.odds import answer_odds
from sxq.models.thread_count import one_thread
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
    differentiated, otherwise on copies of the field. Copies of a field that must run `alone` share no
    pass with copies of others.
    """

    def __init__(
        self,
        model: Model,
        graph: Graph,
        field: Field,
        question: Question,
        backend: Backend | None = None,
        *,
        alone: bool = False,
    ):
        self.model = model
        self.graph = graph
        self.field = field
        self.question = question
        self.alone = alone
        self._ways: list[Callable[..., _Way]] = [ByCopies]
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
    def shares(self) -> bool:
        """Whether it can share a pass with others: on copies of fields, as far as known before a call."""
        separate = self.alone or self.unavailable or isinstance(self.field, FeatureField)
        return not (separate or self.by_layers)

    @property
    def cost(self) -> int:
        """Bytes that one weighted copy of the field takes."""
        return self._way.cost

    @property
    def _way(self) -> "_Way":
        if self._made is None:
            self._made = self._ways[0](self.model, self.graph, self.field, self.question)
        return self._made

    @one_thread()
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

    def copies(self, bits: np.ndarray, context: bool) -> Copies:
        """Copies of the field for a pass that is shared."""
        way = self._way
        assert isinstance(way, ByCopies), "it shares a pass"
        return Copies(way, self.field.weights(bits, context), context)


@dataclass(frozen=True, eq=False)
class GradientRequest:
    """Sets of units of one field at which its gradients are wanted."""

    of: EdgeGradients
    bits: np.ndarray  # [c, U] bool
    context: bool  # whether the halo is there

    def alone(self) -> np.ndarray:
        """The answer [c, U], in passes of its own."""
        return self.of(self.bits, self.context)

    def rows(self, start: int, stop: int) -> "GradientRequest":
        """Some rows of the request."""
        return GradientRequest(self.of, self.bits[start:stop], self.context)


def gradients_together(requests: Sequence[GradientRequest]) -> list[np.ndarray]:
    """The answers [c, U] to all requests: copies of many fields share a pass, wherever fields allow it."""
    sharing = [number for number, request in enumerate(requests) if request.of.shares]
    found: dict[int, np.ndarray] = {}
    if len(sharing) > 1:
        try:
            found = dict(zip(sharing, _shared([requests[number] for number in sharing])))
        except MASK_ERRORS:
            pass  # which of them it was, and the reason, is known when each is asked alone
    return [
        found[number] if number in found else request.alone()
        for number, request in enumerate(requests)
    ]


@one_thread()
def _shared(requests: Sequence[GradientRequest]) -> list[np.ndarray]:
    """The answers to requests about copies of fields, in as few passes as the memory for copies allows."""
    answers: list[list[np.ndarray]] = [[] for _ in requests]
    rows = [len(request.bits) for request in requests]
    costs = [request.of.cost for request in requests]
    for batch in batches(rows, costs, COPIES):
        parts = [requests[number].rows(start, stop) for number, start, stop in batch]
        copies = [part.of.copies(part.bits, part.context) for part in parts]
        values = of_copies(parts[0].of.model, copies)
        for (number, *_), part, own in zip(batch, parts, values):
            answers[number].append(part.of.field.by_unit(own, part.bits, part.context))
    return [np.concatenate(own) for own in answers]


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
        found = self.backend.mask_gradient(self.layout, mask, self.odds)
        return found[:units].T.nan_to_num().double().cpu().numpy()

    def _of_shares(self, bits: np.ndarray, context: bool) -> np.ndarray:
        shares = self.layout.to_device(bits.astype(np.float32))
        found = self.backend.share_gradient(self.layout, shares, self.odds, context)
        return found.nan_to_num().double().cpu().numpy()


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


_Way = _ByLayers | ByCopies | _ByFeatures
