"""The layout of a field for the layered backend: rows, and the edges into them, sorted for sums.

Everything here is computed once per target. Rows are nodes sorted by hop, so "the rows within h
hops" are a prefix, and so are the edges into them: the edges of the outermost layer serve every
layer.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sxq.graph import EdgeKind, Field
from sxq.models import device as devices

# Self-loops as the graph has them, exactly one for every row, one more for every row, or none.
OneLoop = Literal["keep", "replace", "add", "drop"]


class OfType(NamedTuple):
    """Only the edges of one type."""

    loops: OneLoop
    number: int
    by: str = (
        ""  # the step whose values are the types; empty: the types that the graph's edges have
    )


Loops = OneLoop | OfType
REMEMBERED = 2**20  # longest list of table rows that is kept
# The rows of the mask table behind those of the units, and their number.
ROW_ONES = 0  # always one
ROW_HALO = 1  # one in the graphs that have the halo
EXTRA_ROWS = 2
ADDED_LOOP = -1  # in `EdgeList.edge`: a loop that the layer adds


@dataclass(frozen=True, eq=False, kw_only=True)
class EdgeList:
    """The in-edges of R rows, sorted by head: the messages of one layer, for one candidate."""

    rows: int  # R: rows that receive
    rows_in: int  # rows that may send
    size: int  # E
    # [4, E]: tail row; head row; mask-table row; tail row in a table that all columns share
    ends: Tensor
    bounds: Tensor  # [2, R]: first edge of each row; last one: its loop, if loops were replaced
    edge: Tensor | None  # [E] local edge number, or ADDED_LOOP; None for a union
    memory: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    # The rows of `ends` and of `bounds`.
    tail: Tensor = field(init=False, repr=False)
    head: Tensor = field(init=False, repr=False)
    mask: Tensor = field(init=False, repr=False)
    shared: Tensor = field(init=False, repr=False)
    start: Tensor = field(init=False, repr=False)
    last: Tensor = field(init=False, repr=False)

    def __post_init__(self):
        tail, head, mask, shared = self.ends
        start, last = self.bounds
        self.__dict__.update(tail=tail, head=head, mask=mask, shared=shared, start=start, last=last)

    def bags(self, columns: int, shared: bool) -> tuple[Tensor, Tensor]:
        """The table rows that each bag sums [columns * E]; where bags start [columns * R].

        `shared`: the table holds one copy of the rows for all columns. A longer answer starts with
        every shorter one, so it is built once per field; except if it takes megabytes, because many
        fields may be loaded.
        """
        size, index, start, parts = self.memory.get(shared, (0, None, None, {}))
        if columns > size:
            index, start = self._bags(columns, shared)
            if len(index) <= REMEMBERED:
                self.memory[shared] = columns, index, start, {}
            return index, start
        if columns not in parts:
            parts[columns] = index[: columns * self.size], start[: columns * self.rows]
        return parts[columns]

    def _bags(self, columns: int, shared: bool) -> tuple[Tensor, Tensor]:
        column = torch.arange(columns, dtype=torch.int32, device=self.ends.device)[:, None]
        index = self.shared.expand(columns, -1) if shared else self.tail + column * self.rows_in
        return index.reshape(-1), (self.start + column * self.size).view(-1)


@dataclass(frozen=True, eq=False)
class Incidence:
    """The mask-table rows to sum for each row: gives the degrees of every candidate in one sum."""

    index: Tensor  # [K] rows of the mask table
    weight: Tensor  # [K]
    start: Tensor  # [R] first entry of each row


class FieldLayout:
    """The part of one field, on one device, that no candidate changes. As a frame it is one slab."""

    nested = True  # rows and edges within fewer hops are prefixes

    def __init__(
        self,
        field: Field,
        depth: int,
        device: torch.device,
        units: int | None = None,
        *,
        whole: bool = False,
        edge_type: np.ndarray | None = None,
        node_type: int = 0,
    ):
        self.field = field
        self.edge_type = edge_type  # [m] of each edge, where layers are of types
        self.node_type = node_type  # of the target
        self.depth = depth
        self.device = device
        self.units = field.num_parts if units is None else units  # a prefix of the field's parts
        self.fields = [self]
        self.counts = [1]
        self.values: dict[str, Any] = {}  # results of the steps that are equal for all candidates
        self._memory: dict[Hashable, Any] = {}
        by_hop = np.cumsum(np.bincount(field.node_hop, minlength=field.hops + 1)).tolist()
        self._rows = by_hop[-1:] if whole else by_hop  # `whole`: every layer needs all rows
        tail, head = field.edge_index
        order = np.argsort(head, kind="stable")
        self._edge = order
        self._tail = tail[order]
        self._head = head[order]
        unit = field.unit[order]
        kind = np.where(unit == EdgeKind.LOOP, ROW_ONES, ROW_HALO)
        self._mask = np.where(unit >= 0, unit, self.units + kind)

    def memo(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, made when first asked for."""
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    @property
    def inner(self) -> "FieldLayout":
        """The layout of all layers but the outermost, with the units that these can see."""
        return self.memo("inner", self._inner)

    def _inner(self) -> "FieldLayout":
        units, _ = self.into(self.rows(self.depth - 2))
        layout = FieldLayout(
            self.field,
            self.depth - 1,
            self.device,
            int(units.max(initial=-1)) + 1,
            edge_type=self.edge_type,
            node_type=self.node_type,
        )
        layout.values = self.values
        return layout

    def into(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """(unit, head) of all edges of units into the first rows."""
        chosen = (self._head < rows) & (self._mask < self.units)
        return self._mask[chosen], self._head[chosen]

    @property
    def ends_by_head(self) -> tuple[np.ndarray, np.ndarray]:
        """Tails and heads [m] of all edges, sorted by head."""
        return self._tail, self._head

    @property
    def unit_by_head(self) -> np.ndarray:
        """The part of each of these edges, or its `EdgeKind`."""
        return self.field.unit[self._edge]

    def rows(self, hop: int) -> int:
        """Number of rows within `hop` steps of the target."""
        return self._rows[hop] if hop < len(self._rows) else self._rows[-1]

    def edges(self, hop: int, loops: Loops) -> EdgeList:
        """The in-edges of the rows within `hop` steps."""
        return self.memo(("edges", hop, loops), lambda: self._edges(hop, loops))

    def _edges(self, hop: int, loops: Loops) -> EdgeList:
        rows = self.rows(hop)
        chosen = self._head < rows
        if isinstance(loops, OfType):
            chosen &= self.kinds(loops.by)[self._edge] == loops.number
            loops = loops.loops
        if loops in ("replace", "drop"):
            chosen &= self._tail != self._head
        table = np.stack([self._tail, self._head, self._mask, self._tail, self._edge])[:, chosen]
        if loops in ("replace", "add"):
            own = np.arange(rows)
            ones = np.full(rows, self.units + ROW_ONES)
            added = np.stack([own, own, ones, own, np.full(rows, ADDED_LOOP)])
            table = np.concatenate([table, added], axis=1)
            table = table[:, np.argsort(table[1], kind="stable")]
        start = np.searchsorted(table[1], np.arange(rows))
        last = np.searchsorted(table[1], np.arange(rows), side="right") - 1
        arrays = table[:4], np.stack([start, last])
        ends, bounds = (self.to_device(array.astype(np.int32)) for array in arrays)
        return EdgeList(
            rows=rows,
            rows_in=self.rows(hop + 1),
            size=table.shape[1],
            ends=ends,
            bounds=bounds,
            edge=self.to_device(table[4]),
        )

    def kinds(self, by: str = "") -> np.ndarray:
        """[m] the type of each edge, as the graph has it or as a step gives it."""
        if not by:
            assert self.edge_type is not None, "layers are of types"
            return self.edge_type
        return self.memo(("kinds", by), lambda: self.values[by].reshape(-1).cpu().numpy())

    def present_kinds(self, by: str) -> list[int]:
        """The types that some edge has, ascending."""
        return self.memo(("present", by), lambda: np.unique(self.kinds(by)).tolist())

    def incidence(self, key: Hashable, make: Callable[["FieldLayout"], Incidence]) -> Incidence:
        """An incidence that `make` computes, remembered by its key."""
        return self.memo(("incidence", key), lambda: make(self))

    def listed(self, key: Hashable, make: Callable[["FieldLayout"], Tensor]) -> Tensor:
        """Values of rows or edges [n, ...] of each slab; `make` computes them once per field."""
        return self.memo(("listed", key), lambda: make(self))

    once = listed  # the same, one copy per field

    def degrees(self, weight: np.ndarray | None, loop: np.ndarray | None) -> Incidence:
        """The in-degrees of all rows that are needed.

        Edges have the weights `weight` [m]; `loop` [n], if given, replaces the loops of the graph.
        Loops and halo are one entry each, however many edges they have.
        """
        rows = self.rows(self.depth)
        weight = np.ones(len(self._head)) if weight is None else weight[self._edge]
        inside = self._head < rows
        free = inside & (self._mask < self.units)
        own = self._tail == self._head
        always = inside & (self._mask == self.units + ROW_ONES)
        loops, others, halo = (
            np.bincount(self._head[fixed], weight[fixed], minlength=rows)
            for fixed in (
                always & own,
                always & ~own,
                inside & (self._mask == self.units + ROW_HALO),
            )
        )
        ones = others + (loops if loop is None else loop[:rows])
        row = np.concatenate([self._head[free], np.arange(rows), np.arange(rows)])
        order = np.argsort(row, kind="stable")
        index = np.concatenate(
            [self._mask[free], np.repeat([self.units + ROW_ONES, self.units + ROW_HALO], rows)]
        )
        weight = np.concatenate([weight[free], ones, halo])
        start = np.searchsorted(row[order], np.arange(rows))
        arrays = (
            index[order].astype(np.int32),
            weight[order].astype(np.float32),
            start.astype(np.int32),
        )
        return Incidence(*map(self.to_device, arrays))

    def loop_weights(self, weight: np.ndarray, fill: float) -> np.ndarray:
        """The weight [n] of each row's (last) loop, `fill` where it has none."""
        loops = np.full(self.field.num_nodes, fill, np.float32)
        tail, head = self.field.edge_index
        loops[head[tail == head]] = weight[tail == head]
        return loops

    def fixed(self, name: str, hop: int) -> Any:
        """The value of a step that is the same for all candidates: the rows within `hop` steps."""
        return each(self.values[name], lambda rows: rows[: self.rows(hop)])

    def to_device(self, array: np.ndarray) -> Tensor:
        return devices.to_device(array, self.device)


def each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change a tensor, or each of the several results of an operation."""
    return tuple(map(change, value)) if isinstance(value, (tuple, list)) else change(value)
