"""A field as the layered backend sees it: which edges end in which rows, sorted so that sums are runs.

Everything here is computed once per target. Rows are nodes sorted by hop, so "the rows within h hops" is a
prefix, and so are the edges into them: the edges of the outermost layer serve every layer.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sxq.graph import LOOP, Field

Loops = Literal["keep", "replace"]  # self-loops as the graph has them, or exactly one for every row
REMEMBERED = 2**20  # longest list of table rows that is kept
ONES, HALO, EXTRA = (
    0,
    1,
    2,
)  # mask rows behind the units: always one; one where the halo is; their number


@dataclass(frozen=True, eq=False)
class EdgeList:
    """The in-edges of R rows, sorted by head: the messages of one layer, for one candidate."""

    rows: int  # R: rows that receive
    rows_in: int  # rows that may send
    size: int  # E
    ends: Tensor  # [4, E]: tail row; head row; row of the mask table; tail row in a table all columns share
    bounds: Tensor  # [2, R]: first edge of each row; last one: its loop, where loops were replaced
    edge: Tensor  # [E] local edge number, -1 for a loop the layer adds
    memory: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self):
        tail, head, mask, shared = self.ends
        start, last = self.bounds
        self.__dict__.update(tail=tail, head=head, mask=mask, shared=shared, start=start, last=last)

    def bags(self, columns: int, shared: bool) -> tuple[Tensor, Tensor]:
        """Which table rows each bag sums, column by column [columns * E]; where bags start [columns * R].

        `shared`: the table holds one copy of the rows for all columns. A longer answer begins with every
        shorter one, so for a field that is asked again it is built once; unless it takes megabytes, for many
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
    """For each row, the rows of the mask table to be summed: the degrees of every candidate in one sum."""

    index: Tensor  # [K] rows of the mask table
    weight: Tensor  # [K]
    start: Tensor  # [R] first entry of each row


class FieldPlan:
    """What does not depend on the candidate, of one field on one device. As a frame: one slab of it."""

    nested = True  # rows and edges within fewer hops are prefixes

    def __init__(
        self,
        field: Field,
        depth: int,
        device: torch.device,
        units: int | None = None,
        whole: bool = False,
    ):
        self.field, self.depth, self.device = field, depth, device
        self.units = field.num_units if units is None else units  # a prefix of the field's
        self.fields, self.counts = [self], [1]
        self.values: dict[
            str, Any
        ] = {}  # results of the steps that are the same for all candidates
        self._memory: dict[Hashable, Any] = {}
        by_hop = np.cumsum(np.bincount(field.node_hop, minlength=field.hops + 1)).tolist()
        self._rows = by_hop[-1:] if whole else by_hop  # `whole`: every row is needed to the end
        tail, head = field.edge_index
        order = np.argsort(head, kind="stable")
        self._edge, self._tail, self._head = order, tail[order], head[order]
        unit = field.unit[order]
        self._mask = np.where(unit >= 0, unit, self.units + np.where(unit == LOOP, ONES, HALO))

    def memo(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, made when first asked for."""
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    @property
    def inner(self) -> "FieldPlan":
        """The plan of all layers but the outermost, with the units that those can see."""
        return self.memo("inner", self._inner)

    def _inner(self) -> "FieldPlan":
        units, _ = self.into(self.rows(self.depth - 2))
        plan = FieldPlan(self.field, self.depth - 1, self.device, int(units.max(initial=-1)) + 1)
        plan.values = self.values
        return plan

    def into(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """(unit, head) of all edges of units into the first rows."""
        chosen = (self._head < rows) & (self._mask < self.units)
        return self._mask[chosen], self._head[chosen]

    def rows(self, hop: int) -> int:
        """Number of rows within `hop` steps of the target."""
        return self._rows[hop] if hop < len(self._rows) else self._rows[-1]

    def edges(self, hop: int, loops: Loops) -> EdgeList:
        """The in-edges of the rows within `hop` steps."""
        return self.memo(("edges", hop, loops), lambda: self._edges(hop, loops))

    def _edges(self, hop: int, loops: Loops) -> EdgeList:
        rows = self.rows(hop)
        chosen = self._head < rows
        if loops == "replace":
            chosen &= self._tail != self._head
        table = np.stack([self._tail, self._head, self._mask, self._tail, self._edge])[:, chosen]
        if loops == "replace":
            own = np.arange(rows)
            added = np.stack([own, own, np.full(rows, self.units + ONES), own, np.full(rows, -1)])
            table = np.concatenate([table, added], axis=1)
            table = table[:, np.argsort(table[1], kind="stable")]
        start = np.searchsorted(table[1], np.arange(rows))
        last = np.searchsorted(table[1], np.arange(rows), side="right") - 1
        arrays = table[:4], np.stack([start, last])
        ends, bounds = (self.to_device(array.astype(np.int32)) for array in arrays)
        return EdgeList(
            rows, self.rows(hop + 1), table.shape[1], ends, bounds, self.to_device(table[4])
        )

    def incidence(self, key: Hashable, make: Callable[["FieldPlan"], Incidence]) -> Incidence:
        """What `degrees` made, remembered by its key."""
        return self.memo(("incidence", key), lambda: make(self))

    def listed(self, key: Hashable, make: Callable[["FieldPlan"], Tensor]) -> Tensor:
        """Values of rows or edges [n, ...] that `make` computes for a field, remembered, for each slab."""
        return self.memo(("listed", key), lambda: make(self))

    once = listed  # the same, once for each field

    def degrees(self, weight: np.ndarray | None, loop: np.ndarray | None) -> Incidence:
        """In-degrees of all rows needed: edges weigh `weight` [m], and `loop` [n], where it is given, stands
        for the loops of the graph. Loops and halo are one entry each, however many edges they are."""
        rows = self.rows(self.depth)
        weight = np.ones(len(self._head)) if weight is None else weight[self._edge]
        inside = self._head < rows
        free = inside & (self._mask < self.units)
        ones, halo = (
            np.bincount(self._head[fixed], weight[fixed], minlength=rows)
            for fixed in (inside & (self._mask == self.units + kind) for kind in (ONES, HALO))
        )
        row = np.concatenate([self._head[free], np.arange(rows), np.arange(rows)])
        order = np.argsort(row, kind="stable")
        index = np.concatenate(
            [self._mask[free], np.repeat([self.units + ONES, self.units + HALO], rows)]
        )
        weight = np.concatenate([weight[free], ones if loop is None else loop[:rows], halo])
        start = np.searchsorted(row[order], np.arange(rows))
        arrays = (
            index[order].astype(np.int32),
            weight[order].astype(np.float32),
            start.astype(np.int32),
        )
        return Incidence(*map(self.to_device, arrays))

    def loop_weights(self, weight: np.ndarray, fill: float) -> np.ndarray:
        """[n]: the weight of each row's (last) own loop, `fill` where it has none."""
        loops = np.full(self.field.num_nodes, fill, np.float32)
        tail, head = self.field.edge_index
        loops[head[tail == head]] = weight[tail == head]
        return loops

    def fixed(self, name: str, hop: int) -> Any:
        """The value of a step that is the same for all candidates: the rows within `hop` steps."""
        return each(self.values[name], lambda rows: rows[: self.rows(hop)])

    def to_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change a tensor, or each of the several results of an operation."""
    return tuple(map(change, value)) if isinstance(value, (tuple, list)) else change(value)
