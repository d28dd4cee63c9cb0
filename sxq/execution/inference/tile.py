"""The candidates that run together, and the rows they compute.

A tile is a frame (one field, or the union of several) in W columns: every candidate has one for G_s, in the
first half, and one for G \\ G_s, in the second. Two layouts, each where it is fast. A *table* [W * R, C]
holds activations column by column, so that everything row-wise is one contiguous operation and means what its
author meant. *Scalars* (one number, or one per head, for each row or edge) are [R, W] or [E, W]: there a
gather copies runs of candidates.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.execution.inference.edges import Edges, bag
from sxq.execution.inference.masks import masks
from sxq.execution.inference.plan import FieldPlan, Incidence, Loops
from sxq.execution.inference.union import Union


class Tile:
    """A batch small enough for the caches: `width` candidates for each slab of the frame."""

    def __init__(self, frame: FieldPlan | Union, bits: Sequence[np.ndarray], width: int):
        self.frame, self.width, self.columns = frame, width, 2 * width
        self.masks = masks([plan.units for plan in frame.fields], frame.counts, bits, width, frame.device)
        self._memory: dict[Hashable, Any] = {}

    def __enter__(self) -> "Tile":
        return self

    def __exit__(self, *error) -> None:
        """What layers share refers back to the tile: without this its memory stays until Python looks for
        cycles, and every tile is computed in fresh pages, which costs more than the arithmetic."""
        self._memory.clear()

    def memo(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, made when first asked for: what several layers share."""
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    def edges(self, hop: int, loops: Loops) -> Edges:
        """The messages into the rows within `hop` steps."""
        return self.memo((hop, loops), lambda: Edges(self, hop, loops))

    def degrees(self, key: Hashable, make: Callable[[FieldPlan], Incidence]) -> Tensor:
        """[R, W]: what the incidence of that key counts, for all rows that may send."""
        one = self.frame.incidence(key, make)
        return bag(self.masks, one.index, one.start, one.weight)

    def within(self, table: Tensor, outer: int, hop: int) -> Tensor:
        """From a table of the rows within `outer` steps, those within `hop`."""
        if hop == outer or self.frame.rows(hop) == self.frame.rows(outer):
            return table
        blocks = table.unflatten(0, (self.columns, -1))
        if self.frame.nested:
            return blocks[:, : self.frame.rows(hop)].flatten(0, 1)
        return blocks.index_select(1, self.inner(outer, hop)).flatten(0, 1)

    def inner(self, outer: int, hop: int) -> Tensor:
        """Which rows of a union within `outer` steps are within `hop`."""
        return self.memo(("inner", outer, hop), lambda: self.frame.inner(
            [plan.rows(outer) for plan in self.frame.fields], [plan.rows(hop) for plan in self.frame.fields]))


class Rows:
    """A value of the model, one row per node within `hop` steps: a table, or the same for every candidate."""

    def __init__(self, tile: Tile, hop: int, table: Tensor | None, key: Hashable = None,
                 make: Callable[[FieldPlan], Tensor] | None = None):
        self.tile, self.hop, self._table, self.key, self._make = tile, hop, table, key, make
        self.varies = make is None

    @property
    def channels(self) -> int:
        return self.source.shape[1]

    def apply(self, function: Callable[[Tensor], Tensor], tag: Hashable) -> "Rows":
        """A row-wise map; where the rows are the same for every candidate it is computed once per field.

        `tag` tells this map from others of the same rows."""
        if self.varies:
            return Rows(self.tile, self.hop, function(self._table))
        make = lambda plan: function(plan.listed(self.key, self._make))  # noqa: E731
        return Rows(self.tile, self.hop, None, (self.key, tag), make)

    def within(self, hop: int) -> "Rows":
        """Only the rows within `hop` steps."""
        if hop == self.hop:
            return self
        if self.varies:
            return Rows(self.tile, hop, self.tile.within(self._table, self.hop, hop))
        return Rows(self.tile, hop, None, (self.key, hop), lambda plan: self._make(plan)[: plan.rows(hop)])

    @property
    def table(self) -> Tensor:
        """[W * R, ...], repeated for every column where it is the same for all."""
        if self.varies:
            return self._table
        rows = self.tile.frame.listed(self.key, self._make)
        return rows.expand(self.tile.columns, *rows.shape).flatten(0, 1)

    @property
    def source(self) -> Tensor:
        """What sums read: the table, or one copy of the rows of each field."""
        return self._table if self.varies else self.tile.frame.once(self.key, self._make)

    @property
    def scalars(self) -> Tensor:
        """The table [W * R, H] as scalars [R, W, H]."""
        return self.table.unflatten(0, (self.tile.columns, -1)).transpose(0, 1).contiguous()
