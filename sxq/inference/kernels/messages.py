"""Message passing that the user wrote: rows at the ends of edges, sums over the edges of a row, and the
functions of torch_geometric.utils that such code calls.

Values of edges are tables [W * E, ...], column by column, as values of nodes are; those that are equal
for all candidates are kept once per field, in the order of its edges. Absent edges are left out where
messages are summed. Weighted sums of rows never store a message.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.inference.kernels.base import SCALARS, LayerContext
from sxq.inference.kernels.norm import norm
from sxq.inference.tiles.layout import ADDED_LOOP, FieldLayout, Incidence, Loops, OneLoop, each
from sxq.inference.tiles.tile import LOWEST, Edges, Rows, Tile, bag, by_column, largest

SMALLEST_DEVIATION = 1e-5  # of PyG's StdAggregation: less is 0
REDUCTIONS = {
    "sum": "sum",
    "add": "sum",
    "mean": "mean",
    "max": "max",
    "min": "min",
    "amax": "max",
    "amin": "min",
    "var": "var",
    "std": "std",
}


@dataclass(frozen=True, eq=False)
class Across:
    """The place of an operation between nodes and edges, and its inputs by their names."""

    tile: Tile
    hop: int  # rows within so many steps receive
    look_up: Callable[[str, int], Any]  # the table of a step, for rows within some steps
    rows: Callable[[str, int], Rows]  # the rows of a step of nodes

    def edges(self, loops: OneLoop) -> Edges:
        return self.tile.edges(self.hop, loops)

    def present(self, loops: OneLoop) -> Tensor:
        """One or zero [W * E]."""
        key = ("present by column", self.hop, loops)
        return self.tile.memo(key, lambda: by_column(self.edges(loops).present))

    def count(self, loops: OneLoop) -> Tensor:
        """The number of edges of each row: [W * R]."""
        edges = self.edges(loops)
        key = ("count by column", self.hop, loops)
        return self.tile.memo(key, lambda: by_column(edges.total(edges.present)))


class Crossing:
    """An operation between nodes and edges. `further`: how many steps further out it reads rows."""

    further = 0
    loops: OneLoop = "keep"

    def run(self, names: tuple[str, ...], at: Across) -> Any:
        """The table of the result, from inputs by their names."""
        raise NotImplementedError

    def scalars_per_message(self, channels: int) -> int:
        return SCALARS + 3 * channels


class Gather(Crossing):
    """The rows at one end of every edge."""

    def __init__(self, tails: bool, loops: OneLoop):
        self.tails = tails
        self.loops = loops
        self.further = 1 if tails else 0

    def run(self, names: tuple[str, ...], at: Across) -> Any:
        one = at.edges(self.loops).list
        if self.tails:
            index, _ = one.bags(at.tile.columns, shared=False)
        else:
            index = _heads(at, self.loops)
        found = at.look_up(names[0], at.hop + self.further)
        return each(found, lambda table: table.index_select(0, index))

    def load(self, value: Any, layout: FieldLayout) -> Any:
        """The same for rows that are equal for all candidates, in the order of the field's edges."""
        ends = layout.field.edge_index[0 if self.tails else 1]

        def take(rows: Tensor) -> Tensor:
            # Rows beyond those that layers need are of edges that no layer needs.
            return rows[layout.to_device(np.minimum(ends, max(len(rows) - 1, 0)))]

        return each(value, take)


class Aggregate(Crossing):
    """Sums, means and the like of messages over the edges of each row, side by side."""

    def __init__(
        self,
        reductions: tuple[str, ...],
        loops: OneLoop,
        scale: Callable[[Tensor, Tensor], Tensor] | None = None,
    ):
        self.reductions = reductions
        self.loops = loops
        self.scale = scale  # what degrees make of the result

    def run(self, names: tuple[str, ...], at: Across) -> Tensor:
        messages = at.look_up(names[0], at.hop)
        flat = messages.reshape(len(messages), prod(messages.shape[1:])).float()
        parts = [self._reduced(kind, flat, at) for kind in self.reductions]
        parts = [part.view(len(part), *messages.shape[1:]) for part in parts]
        out = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        return self.scale(out, at.count(self.loops)) if self.scale else out

    def _reduced(self, kind: str, messages: Tensor, at: Across) -> Tensor:
        if kind in ("max", "min"):
            sign = 1 if kind == "max" else -1
            return sign * self._largest(sign * messages, at)
        if kind == "sum":
            return self._sum(messages, at)
        count = at.count(self.loops).clamp(min=1)[:, None]
        mean = self._sum(messages, at) / count
        if kind == "mean":
            return mean
        variance = self._sum(messages * messages, at) / count - mean * mean
        if kind == "var":
            return variance
        out = variance.clamp(min=SMALLEST_DEVIATION).sqrt()
        return out.masked_fill(out <= SMALLEST_DEVIATION**0.5, 0.0)

    def _sum(self, messages: Tensor, at: Across) -> Tensor:
        one = at.edges(self.loops).list
        present = at.present(self.loops)
        _, start = one.bags(at.tile.columns, shared=False)
        index = torch.arange(len(messages), dtype=start.dtype, device=start.device)
        out = bag(messages, index, start, present)
        if out.isnan().any():  # a message of an absent edge may be infinite
            known = messages.masked_fill(present[:, None] == 0, 0.0)
            out = bag(known, index, start, None)
        return out

    def _largest(self, messages: Tensor, at: Across) -> Tensor:
        """Maxima, 0 for a row without any."""
        known = messages.masked_fill(at.present(self.loops)[:, None] == 0, LOWEST)
        rows = at.tile.columns * at.edges(self.loops).list.rows
        most = largest(known, _heads(at, self.loops), rows)
        return most.masked_fill(most == LOWEST, 0.0)


class WeightedSum(Crossing):
    """Sums or means of rows at the tails times a weight of each edge; no message is stored."""

    further = 1

    def __init__(self, mean: bool, loops: OneLoop):
        self.mean = mean
        self.loops = loops

    def run(self, names: tuple[str, ...], at: Across) -> Tensor:
        rows = at.rows(names[0], at.hop + 1)
        one = at.edges(self.loops).list
        index, start = one.bags(at.tile.columns, shared=not rows.varies)
        weights = present = at.present(self.loops)
        if len(names) > 1:
            weights = at.look_up(names[1], at.hop).reshape(-1).float()
            weights = weights.masked_fill(present == 0, 0.0)
        out = bag(rows.source, index, start, weights)
        return out / at.count(self.loops).clamp(min=1)[:, None] if self.mean else out

    def scalars_per_message(self, channels: int) -> int:
        return SCALARS


class Degrees(Crossing):
    """The sum of the weights of a row's edges, 1 without weights: [W * R]. Edges are never listed."""

    def __init__(self, loops: OneLoop, column: bool = False):
        self.loops = loops
        self.column = column

    def run(self, names: tuple[str, ...], at: Across) -> Tensor:
        name = names[0] if names else None
        tile = at.tile
        found = tile.degrees(("degrees", self.loops, name), lambda own: self._incidence(own, name))
        depth = tile.frame.depth
        if tile.frame.rows(at.hop) != tile.frame.rows(depth):
            nested = tile.frame.nested
            rows = tile.frame.rows(at.hop)
            inner = None if nested else tile.inner(depth, at.hop)
            found = found[:rows] if inner is None else found.index_select(0, inner)
        table = by_column(found)
        return table[:, None] if self.column else table

    def _incidence(self, layout: FieldLayout, name: str | None) -> Incidence:
        field = layout.field
        tail, head = field.edge_index
        weight = np.ones(len(tail)) if name is None else _numbers(layout.values[name])
        loops = None
        if self.loops != "keep":
            own = np.bincount(head[tail == head], weight[tail == head], field.num_nodes)
            loops = {"drop": 0 * own, "add": own + 1, "replace": 0 * own + 1}[self.loops]
        return layout.degrees(None if name is None else weight, loops)

    def scalars_per_message(self, channels: int) -> int:
        return 1


def _numbers(values: Tensor) -> np.ndarray:
    return values.reshape(-1).double().cpu().numpy()


class Attention(Crossing):
    """A softmax over the edges of each row."""

    def __init__(self, loops: OneLoop):
        self.loops = loops

    def run(self, names: tuple[str, ...], at: Across) -> Tensor:
        edges = at.edges(self.loops)
        table = at.look_up(names[0], at.hop)
        shape = at.tile.columns, edges.list.size, prod(table.shape[1:])
        logits = table.reshape(shape).transpose(0, 1).contiguous()
        return edges.softmax(logits.float()).transpose(0, 1).reshape(table.shape)


class WithLoops(Crossing):
    """Values of edges that are equal for all candidates, where loops were added or dropped."""

    def __init__(self, loops: OneLoop, fill: float, own: bool):
        self.loops = loops
        self.fill = fill
        self.own = own  # whether a loop of the graph gives its value to the one that is added

    def run(self, names: tuple[str, ...], at: Across) -> Tensor:
        name = names[0]
        key = ("with loops", name, self.fill, self.own, at.hop, self.loops)
        frame = at.tile.frame
        values = frame.listed(key, lambda layout: self._listed(layout, name, at.hop))
        return _in_columns(values, at.tile)

    def _listed(self, layout: FieldLayout, name: str, hop: int) -> Tensor:
        one = layout.edges(hop, self.loops)
        assert one.edge is not None, "a layout lists its own edges"
        values = layout.values[name]
        new = one.edge == ADDED_LOOP
        found = values.new_zeros(len(new), *values.shape[1:])
        found[~new] = values[one.edge[~new].long()]
        loops = values.new_full((layout.field.num_nodes, *values.shape[1:]), self.fill)
        if self.own:
            tail, head = layout.field.edge_index
            own = np.flatnonzero(tail == head)
            loops[layout.to_device(head[own])] = values[layout.to_device(own)]
        found[new] = loops[one.head[new].long()]
        return found


class Constant(Crossing):
    """One row for every edge, where loops were added or dropped."""

    def __init__(self, make: Callable[[int], Tensor], loops: OneLoop):
        self.make = make
        self.loops = loops

    def run(self, names: tuple[str, ...], at: Across) -> Tensor:
        row = self.make(1)
        return row.expand(at.tile.columns * at.edges(self.loops).list.size, *row.shape[1:])


class GCNWeights(Crossing):
    """The weights of `gcn_norm`."""

    def __init__(self, add_loops: bool, improved: bool):
        self.norm = norm(add_loops, 2.0 if improved else 1.0)
        self.loops = self.norm.loops

    def run(self, names: tuple[str, ...], at: Across) -> Tensor:
        given: Mapping[str, str] = {"edge_weight": names[0]} if names else {}
        context = LayerContext(at.tile, at.hop, given)
        weights = self.norm.weights(context, self.norm.edges(context))
        assert isinstance(weights, Tensor), (
            "tiles with operations between nodes and edges hold tables"
        )
        return by_column(weights)


def listed(name: str, tile: Tile, hop: int, loops: Loops, part: int | None = None) -> Tensor:
    """Values of edges that are equal for all candidates, or one of several results: a table [W * E, ...]."""

    def make(layout: FieldLayout) -> Tensor:
        value = layout.values[name]
        return (value if part is None else value[part])[layout.edges(hop, loops).edge]

    return _in_columns(tile.frame.listed(("of edges", name, part, hop, loops), make), tile)


def _in_columns(values: Tensor, tile: Tile) -> Tensor:
    return values.expand(tile.columns, *values.shape).flatten(0, 1)


def _heads(at: Across, loops: OneLoop) -> Tensor:
    """The receiving row of every edge, column by column: [W * E]."""
    one = at.edges(loops).list

    def make() -> Tensor:
        column = torch.arange(at.tile.columns, dtype=torch.int32, device=one.head.device)[:, None]
        return (one.head + column * one.rows).view(-1)

    return at.tile.memo(("heads by column", at.hop, loops), make)
