"""What every kernel has in common: its place in the model, and the sums most of them are made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.aggr import SumAggregation

from sxq.execution.inference.plan import EdgeList, Loops
from sxq.execution.inference.rowwise import Untraceable
from sxq.execution.inference.tile import Edges, Rows, Tile


@dataclass(frozen=True, eq=False)
class Site:
    """Where a layer stands: the candidates at hand and how far around the target its output is needed."""

    tile: Tile
    hop: int
    given: Mapping[str, str]  # argument of the layer -> step that computed its values

    def edges(self, loops: Loops = "keep", further: int = 0) -> Edges:
        """The messages into the rows within `hop + further` steps."""
        return self.tile.edges(self.hop + further, loops)

    def values(self, argument: str) -> list[Tensor] | None:
        """An edge argument of the layer, [m, ...] per part, or None where it is not given."""
        name = self.given.get(argument)
        return None if name is None else [plan.values[name] for plan in self.tile.plans]

    def listed(self, argument: str, edges: Edges, change: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """The same, changed row by row, in the order of an edge list, zeros for the loops that the layer adds;
        computed once per field. `change` is a module or a method, so that it is known again."""
        def make(values: Tensor, one: EdgeList) -> Tensor:
            changed = change(values)
            return torch.cat([changed, changed.new_zeros(1, *changed.shape[1:])])[one.edge]  # -1: the zeros

        return [one.memo((self.given[argument], change), lambda values=values, one=one: make(values, one))
                for values, one in zip(self.values(argument), edges.lists)]


class Kernel:
    """One message-passing layer. `hops`: how many steps it looks."""

    hops = 1
    takes: tuple[str, ...] = ()  # edge arguments it knows

    def __init__(self, layer: MessagePassing, given: tuple[str, ...]):
        self.layer, self.name = layer, type(layer).__name__
        if layer.flow != "source_to_target":
            raise Untraceable(f"{self.name} with flow={layer.flow!r}")
        unknown = [name for name in given if name not in self.takes]
        if unknown:
            raise Untraceable(f"{self.name} is given {', '.join(unknown)}")

    def run(self, x: Rows, site: Site) -> Tensor:
        """Rows within `site.hop + hops` steps -> table of the rows within `site.hop` steps."""
        raise NotImplementedError

    def require_sum(self) -> None:
        if type(self.layer.aggr_module) is not SumAggregation:
            raise Untraceable(f"{self.name} with aggr={self.layer.aggr!r}")


def weighted(site: Site, edges: Edges, argument: str = "edge_weight") -> Tensor:
    """[M] the weight of every message that is present, 1 where the layer is given none."""
    if argument not in site.given:
        return edges.present
    return edges.present * edges.constant(site.listed(argument, edges, as_column)).view(-1)


def as_column(values: Tensor) -> Tensor:
    """Edge weights [m] or [m, 1] as [m, 1]."""
    return values.unsqueeze(-1) if values.ndim == 1 else values


def linear_sum(edges: Edges, x: Rows, weights: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """sum(weights * (x @ weight.T)) + bias, in the cheaper order.

    Rows that are the same for every candidate are mapped once per field; other rows are summed first, where fewer
    rows receive than send and a row does not get wider by it.
    """
    out, into = weight.shape
    if x.varies and _sum_first(edges.lists, into, out):
        return linear(edges.sum(x, weights), weight, bias)
    summed = edges.sum(x.apply(lambda rows: linear(rows, weight), ("linear", id(weight))), weights)
    return summed if bias is None else summed.add_(bias)


def _sum_first(lists: Sequence[EdgeList], into: int, out: int) -> bool:
    """Whether E * into + R * into * out multiply-adds are less than R_in * into * out + E * out."""
    messages, rows, rows_in = (sum(map(size, lists)) for size in (len, lambda e: e.rows, lambda e: e.rows_in))
    return messages * into + rows * into * out < rows_in * into * out + messages * out
