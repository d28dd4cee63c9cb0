"""What every kernel has in common: its place in the model, and the sums most of them are made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.aggr import SumAggregation

from sxq.inference.tiles.field import FieldPlan, Loops
from sxq.inference.tiles.tile import Edges, Rows, Tile, Weights
from sxq.inference.tracing.rowwise import Untraceable

SCALARS = 8  # numbers held for a message that is weighed by one number: weights, masks, indices


@dataclass(frozen=True, eq=False)
class LayerContext:
    """Where a layer stands: the candidates at hand and how far around the target its output is needed."""

    tile: Tile
    hop: int
    given: Mapping[str, str]  # argument of the layer -> step that computed its values

    def edges(self, loops: Loops = "keep", further: int = 0) -> Edges:
        """The messages into the rows within `hop + further` steps."""
        return self.tile.edges(self.hop + further, loops)

    def listed(
        self,
        argument: str,
        edges: Edges,
        change: Callable[[Tensor], Tensor],
        added: Callable[[FieldPlan, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """An edge argument of the layer [m, ...], changed row by row, in the order of the edges: [E, ...].

        Loops that the layer adds get `added(plan, values) [n, ...]` of their row, or zeros. Computed once per
        field; `change` is a module, method or function, so that it is known again.
        """
        name = self.given[argument]

        def make(plan: FieldPlan) -> Tensor:
            one, values = plan.edges(edges.hop, edges.loops), plan.values[name]
            changed = change(values)
            nothing = changed.new_zeros(1, *changed.shape[1:])  # for edge -1, a loop that is added
            changed = torch.cat([changed, nothing])[one.edge]
            if added is not None:
                new = one.edge < 0
                changed[new] = added(plan, values)[one.head[new]]
            return changed

        return self.tile.frame.listed((name, change, edges.hop, edges.loops), make)


class Kernel:
    """One message-passing layer. `hops`: how many steps it looks."""

    hops = 1
    takes: tuple[str, ...] = ()  # edge arguments it knows
    sums = (
        False  # whether all it does with messages is to sum them, by what only depends on degrees
    )

    def __init__(self, layer: MessagePassing, given: tuple[str, ...]):
        self.layer, self.name = layer, type(layer).__name__
        if layer.flow != "source_to_target":
            raise Untraceable(f"{self.name} with flow={layer.flow!r}")
        unknown = [name for name in given if name not in self.takes]
        if unknown:
            raise Untraceable(f"{self.name} is given {', '.join(unknown)}")

    def run(self, x: Rows, site: LayerContext) -> Tensor:
        """Rows within `site.hop + hops` steps -> table of the rows within `site.hop` steps."""
        raise NotImplementedError

    def held(self, channels: int) -> int:
        """Numbers that are held for a message at once, where the rows it reads have so many channels."""
        return SCALARS

    def require_sum(self) -> None:
        if type(self.layer.aggr_module) is not SumAggregation:
            raise Untraceable(f"{self.name} with aggr={self.layer.aggr!r}")


def weighted(site: LayerContext, edges: Edges) -> Tensor:
    """[E, W] the weight of every edge that is present, 1 where the layer is given none."""
    if "edge_weight" not in site.given:
        return edges.present
    return edges.present * site.listed("edge_weight", edges, as_column)


def averaged(edges: Edges) -> Tensor | Weights:
    """Scalars [E, W], not to be written to: one over the number of the row's present edges."""
    if edges.near:
        return Weights(
            "count", lambda plan: plan.degrees(None, None), head=lambda n: 1 / np.maximum(n, 1)
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

    Rows that are the same for every candidate are mapped once per field; other rows are summed first, where
    fewer rows receive than send and a row does not get wider by it.
    """
    if x.varies and _sum_first(edges, x.channels, len(weight)):
        return linear(edges.sum(x, weights), weight, bias)
    summed = edges.sum(x.apply(lambda rows: linear(rows, weight), ("linear", id(weight))), weights)
    return summed if bias is None else summed.add_(bias)


def _sum_first(edges: Edges, into: int, out: int) -> bool:
    """Whether E * into + R * into * out multiply-adds are less than R_in * into * out + E * out."""
    one = edges.list
    return one.size * into + one.rows * into * out < one.rows_in * into * out + one.size * out
