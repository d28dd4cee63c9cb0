"""A field as the layered backend sees it: which edges end in which rows, sorted so that sums are runs.

Everything here is computed once per target. Rows are nodes sorted by hop, so "the rows within h hops" is a prefix,
and an edge list for h hops serves every layer whose output is needed that far out.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sxq.graph import LOOP, Field

Loops = Literal["keep", "replace"]  # self-loops as the graph has them, or exactly one for every row


@dataclass(frozen=True, eq=False)
class EdgeList:
    """The in-edges of the first `rows` rows, sorted by head: the messages of one layer for one candidate."""

    rows: int  # R: rows that receive
    rows_in: int  # rows that may send
    tail: Tensor  # [E] row each edge leaves
    head: Tensor  # [E] row each edge enters, ascending
    unit: Tensor  # [E] row of the mask table: a unit, or the constant rows behind the units
    edge: Tensor  # [E] local edge number, -1 for a loop the layer adds
    start: Tensor  # [R] first edge of each row
    last: Tensor  # [R] last edge of each row: its loop, where loops were replaced
    memory: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.tail)

    @cached_property
    def all(self) -> Tensor:
        """[E] every edge, in order."""
        return torch.arange(len(self), device=self.tail.device)

    def memo(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, made when first asked for."""
        if key not in self.memory:
            self.memory[key] = make()
        return self.memory[key]

    def bags(self, columns: int, shared: bool) -> tuple[Tensor, Tensor]:
        """Which table rows each bag sums, for `columns` candidates, candidate by candidate: [columns * E], starts
        [columns * R]. `shared`: the table holds one copy of the rows, else one copy per candidate.

        A longer answer begins with every shorter one, so it is built once for the largest batch seen.
        """
        size, index, start = self.memory.get(shared, (0, None, None))
        if columns > size:
            size = columns if columns == 1 else max(8, 1 << (columns - 1).bit_length())
            copy = torch.arange(size, device=self.tail.device)[:, None]
            index = (self.tail if shared else self.tail + copy * self.rows_in).expand(size, -1).reshape(-1).int()
            start = (self.start + copy * len(self)).view(-1).int()
            self.memory[shared] = size, index, start
        return index[: columns * len(self)], start[: columns * self.rows]


@dataclass(frozen=True, eq=False)
class Incidence:
    """For each row, the rows of the mask table to be summed: the degrees of every candidate in one sum."""

    index: Tensor  # [K] rows of the mask table
    start: Tensor  # [R] first entry of each row
    weight: Tensor  # [K]


class FieldPlan:
    """What does not depend on the candidate, for one field on one device."""

    def __init__(self, field: Field, device: torch.device):
        self.field, self.device = field, device
        self.units = field.num_units
        self.values: dict[str, Any] = {}  # results of the trace's candidate-independent steps
        self._memory: dict[Hashable, Any] = {}
        tail, head = field.edge_index
        order = np.argsort(head, kind="stable")
        self._order, self._tail, self._head, self._loop = order, tail[order], head[order], (tail == head)[order]
        unit = field.unit[order]
        self._unit = np.where(unit >= 0, unit, self.units + (unit != LOOP))

    def rows(self, hop: int) -> int:
        """Number of rows within `hop` steps of the target."""
        return int(np.searchsorted(self.field.node_hop, hop, side="right"))

    def memo(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, made when first asked for."""
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    def edges(self, hop: int, loops: Loops) -> EdgeList:
        """The in-edges of the rows within `hop` steps."""
        return self.memo(("edges", hop, loops), lambda: self._edges(hop, loops))

    def _edges(self, hop: int, loops: Loops) -> EdgeList:
        rows = self.rows(hop)
        chosen = self._head < rows
        if loops == "replace":
            chosen &= ~self._loop
        tail, head, unit, edge = (a[chosen] for a in (self._tail, self._head, self._unit, self._order))
        if loops == "replace":
            own = np.arange(rows)
            tail, head = np.concatenate([tail, own]), np.concatenate([head, own])
            unit = np.concatenate([unit, np.full(rows, self.units)])
            edge = np.concatenate([edge, np.full(rows, -1)])
            order = np.argsort(head, kind="stable")
            tail, head, unit, edge = tail[order], head[order], unit[order], edge[order]
        start = np.searchsorted(head, np.arange(rows))
        last = np.searchsorted(head, np.arange(rows), side="right") - 1
        return EdgeList(rows, self.rows(hop + 1), *map(self.to_device, (tail, head, unit, edge, start, last)))

    def incidence(self, hop: int, weight: np.ndarray | None, loop: np.ndarray | None) -> Incidence:
        """In-degrees of the rows within `hop` steps: edges weigh `weight` [m], and `loop` [n], where it is given,
        stands for the loops of the graph. Loops and halo are two entries per row, however many edges they are."""
        rows, weight = self.rows(hop), np.ones(len(self._head)) if weight is None else weight[self._order]
        inside = self._head < rows
        free = inside & (self._unit < self.units)
        sums = [np.bincount(self._head[fixed], weight[fixed], minlength=rows) for fixed in
                (inside & (self._unit == self.units + kind) for kind in (0, 1))]
        sums[0] = sums[0] if loop is None else loop[:rows]
        row = np.concatenate([self._head[free], np.arange(rows), np.arange(rows)])
        index = np.concatenate([self._unit[free], np.repeat([self.units, self.units + 1], rows)])
        order = np.argsort(row, kind="stable")
        weight = np.concatenate([weight[free], *sums]).astype(np.float32)[order]
        start = np.searchsorted(row[order], np.arange(rows))
        return Incidence(self.to_device(index[order]), self.to_device(start), self.to_device(weight))

    def loop_weights(self, weight: np.ndarray, fill: float) -> np.ndarray:
        """[n]: the weight of each row's (last) own loop, `fill` where it has none."""
        loops = np.full(self.field.num_nodes, fill, np.float32)
        tail, head = self.field.edge_index
        loops[head[tail == head]] = weight[tail == head]
        return loops

    def to_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
