"""The common part of all kernels: their place in the model, and the sums that most are made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.aggr import SumAggregation

from sxq.inference.tiles.layout import ADDED_LOOP, FieldLayout, OfType, OneLoop
from sxq.inference.tiles.tile import Edges, Rows, Tile, Weights
from sxq.inference.tracing.rowwise import Untraceable

SCALARS = 8  # numbers in memory for a message with one scalar weight: weights, masks, indices


@dataclass(frozen=True, eq=False)
class LayerContext:
    """The place of a layer: its candidates, and the hops within which its output is needed."""

    tile: Tile
    hop: int
    given: Mapping[str, str]  # argument of the layer -> step that computed its values
    only: int | None = None  # the edge type whose edges the layer has; None: all edges
    receivers: Rows | None = None  # the rows that receive, where they are not those that send
    tables: tuple[Rows, ...] = ()  # of a layer of all types: the rows that send, one table for each

    def edges(self, loops: OneLoop = "keep", further: int = 0) -> Edges:
        """The messages into the rows within `hop + further` steps."""
        which = loops if self.only is None else OfType(loops, self.only)
        return self.tile.edges(self.hop + further, which)

    def edges_of(self, number: int, by: str = "") -> Edges:
        """The messages along edges of one type, which the graph has or the step `by` gives."""
        return self.tile.edges(self.hop, OfType("keep", number, by))

    def own(self, x: Rows) -> Rows:
        """The receiving rows themselves, of a layer to which the rows x are sent."""
        return (x if self.receivers is None else self.receivers).within(self.hop)

    def listed(
        self,
        argument: str,
        edges: Edges,
        change: Callable[[Tensor], Tensor],
        added: Callable[[FieldLayout, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """An edge argument of the layer [m, ...], mapped row by row, in the order of the edges: [E, ...].

        A loop that the layer adds gets the row `added(layout, values) [n, ...]` of its node, or
        zeros. Computed once per field; `change` is a module, method or function, so that it is
        recognised the next time.
        """
        name = self.given[argument]

        def make(layout: FieldLayout) -> Tensor:
            one = layout.edges(edges.hop, edges.loops)
            values = layout.values[name]
            changed = change(values)
            nothing = changed.new_zeros(1, *changed.shape[1:])  # the last row is for ADDED_LOOP
            changed = torch.cat([changed, nothing])[one.edge]
            if added is not None:
                new = one.edge == ADDED_LOOP
                changed[new] = added(layout, values)[one.head[new]]
            return changed

        return self.tile.frame.listed((name, change, edges.hop, edges.loops), make)


class Kernel:
    """One message-passing layer. `hops`: how many steps it sees."""

    hops = 1
    takes: tuple[str, ...] = ()  # edge arguments it supports
    tables = 1  # of rows that send; further ones have the rows that receive
    between_types = False  # whether it can have the edges of one type, from one table to another
    width = 1  # columns of its widest table, where no parameter has as many rows
    # Whether what it makes of a row depends only on that row and on those that are sent to it; and whether
    # degrees matter, too.
    of_rows = False
    by_degree = False
    sums = False  # whether it only sums messages, with weights that depend only on degrees

    def __init__(self, layer: MessagePassing, given: tuple[str, ...]):
        self.layer = layer
        self.name = type(layer).__name__
        if layer.flow != "source_to_target":
            raise Untraceable(f"{self.name} with flow={layer.flow!r}")
        unknown = [name for name in given if name not in self.takes]
        if unknown:
            raise Untraceable(f"{self.name} is given {', '.join(unknown)}")

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        """Rows within `context.hop + hops` steps -> table of the rows within `context.hop` steps."""
        raise NotImplementedError

    def scalars_per_message(self, channels: int) -> int:
        """Numbers in memory for one message, if the rows that it reads have `channels` columns."""
        return SCALARS

    def require_sum(self) -> None:
        if type(self.layer.aggr_module) is not SumAggregation:
            raise Untraceable(f"{self.name} with aggr={self.layer.aggr!r}")


def edge_weights(context: LayerContext, edges: Edges) -> Tensor:
    """[E, W] the weight of every present edge, 1 where the layer is given no weights."""
    if "edge_weight" not in context.given:
        return edges.present
    return edges.present * context.listed("edge_weight", edges, as_column)


def mean_weights(edges: Edges) -> Tensor | Weights:
    """Scalars [E, W], read-only: one over the number of the row's present edges."""
    if edges.as_delta:
        return Weights(
            "count", lambda layout: layout.degrees(None, None), head=lambda n: 1 / np.maximum(n, 1)
        )
    return edges.shared(
        "mean",
        lambda outermost: (
            outermost.present / outermost.heads(outermost.total(outermost.present).clamp_(min=1))
        ),
    )


def as_column(values: Tensor) -> Tensor:
    """Edge values [m] as [m, 1]; a matrix as it is."""
    return values.unsqueeze(-1) if values.ndim == 1 else values


def linear_sum(
    edges: Edges, x: Rows, weights: Tensor | Weights, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """sum(weights * (x @ weight.T)) + bias, in the cheaper order.

    Rows that are the same for every candidate are mapped once per field; other rows are summed
    first if that takes fewer multiply-adds as a rule.
    """
    if not x.maps_first and _sum_first(edges, x.channels, len(weight)):
        return linear(edges.sum(x, weights), weight, bias)
    summed = edges.sum(x.apply(lambda rows: linear(rows, weight), ("linear", id(weight))), weights)
    return summed if bias is None else summed.add_(bias)


def _sum_first(edges: Edges, into: int, out: int) -> bool:
    """Whether summing first takes fewer multiply-adds, as a rule: a layer asks nothing of its batch.

    The two orders round differently, and a candidate must have the same output whatever shares its batch. Only
    at the target, at hop 0, many rows are summed into one; elsewhere about as many rows receive as send.
    """
    return edges.hop == 0 or into <= out
