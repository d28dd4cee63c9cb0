"""Rows of x whose columns depend on the candidate: what a first linear map makes of them, fast.

Units are columns of x. Let f be an affine map of rows, V its linear part (a row for each column of
x), and S the units of a candidate. With B the rows in which all units have their baseline b, and the context its own,

    f(rows of G_s)       = f(B) + D        f(rows of G \\ G_s) = f(X) - D
    D = sum over c in S of (X[:, c] - b[c]) V[c]

f(B), f(X) and V are the same for all candidates. The rows of X are sparse, so D is one sum over
their entries, whose weights are those in S; what b adds is the same for every row.
"""

from collections.abc import Callable, Hashable

import numpy as np
import torch
from torch import Tensor

from sxq.graph import FeatureField
from sxq.inference.tiles.layout import FieldLayout
from sxq.inference.tiles.tile import Rows, Tile, bag
from sxq.inference.tracing.rowwise import Untraceable

WIDE = 64  # most columns of rows that are made for every candidate, where no linear map comes first
CHUNK = 1024  # columns of x mapped at once


class FeatureRows(Rows):
    """The rows of x within `hop` steps; they vary, but maps of them are computed as above."""

    maps_first = True

    def __init__(self, tile: Tile, hop: int, name: str):
        super().__init__(tile, hop, None, ("features", name))
        self.name = name
        self.layout: FieldLayout = tile.frame.fields[0]

    @property
    def channels(self) -> int:
        return self.layout.values[self.name].shape[1]

    @property
    def table(self) -> Tensor:
        """The rows themselves; refused where they are many columns wide."""
        if self.channels > WIDE:
            raise Untraceable(
                f"it does not begin with a linear map of x, which has {self.channels} columns"
            )
        return self.tile.memo((self.key, self.hop), self._made)

    source = table

    def _made(self) -> Tensor:
        identity = torch.eye(self.channels, device=self.layout.device)
        return self.apply(lambda rows: rows @ identity, "identity").table

    def within(self, hop: int) -> "FeatureRows":
        return self if hop == self.hop else FeatureRows(self.tile, hop, self.name)

    def apply(
        self, function: Callable[[Tensor], Tensor], tag: Hashable, affine: bool = True
    ) -> Rows:
        """A row-wise map; of an affine one the rows themselves are never made."""
        if not affine:
            return Rows(self.tile, self.hop, function(self.table))
        key = (self.key, tag)
        mapped = self.tile.memo((key, self.hop), lambda: self._mapped(function, tag))
        return Rows(self.tile, self.hop, mapped)

    def _mapped(self, function: Callable[[Tensor], Tensor], tag: Hashable) -> Tensor:
        layout = self.layout
        rows = layout.rows(self.hop)
        constants = layout.memo(("mapped", self.name, tag), lambda: self._constants(function))
        whole, base, in_context, weights = constants
        base = in_context if self.tile.in_context else base
        change = self._change(weights, rows)  # [n, R, C]
        return self.tile.sides(base[:rows], whole[:rows], change)

    @torch.no_grad()
    def _constants(self, function: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        """f(X) [R, C], f(B) [R, C] without and with the context, and the rows of V that are those of the units [U, C]."""
        field = _field(self.layout)
        x = self.layout.values[self.name]
        columns = self.layout.to_device(field.columns)
        changed = x.clone()
        changed[:, columns] = self.layout.to_device(field.baseline)
        in_context = base = function(changed)
        if len(field.context_columns):
            context = self.layout.to_device(field.context_columns)
            changed[:, context] = self.layout.to_device(field.context_baseline)
            base = function(changed)
        zero = function(x.new_zeros(1, x.shape[1]))
        parts = []
        for some in columns.split(CHUNK):
            one = x.new_zeros(len(some), x.shape[1])
            one[torch.arange(len(some), device=x.device), some] = 1
            parts.append(function(one) - zero)
        weights = torch.cat(parts) if parts else zero[:0]
        return function(x), base, in_context, weights

    def _change(self, weights: Tensor, rows: int) -> Tensor:
        """D [n, R, C] of every candidate."""
        unit, value, start, baseline = self.layout.memo(
            ("entries", self.name), lambda: _entries(self.layout, self.name)
        )
        shares = self.tile.shares  # [n, U]
        count = len(shares)
        size = int(start[rows])
        if size:
            held = shares.index_select(1, unit[:size]) * value[:size]
            index = unit[:size].expand(count, -1).reshape(-1)
            offsets = start[:rows] + size * torch.arange(count, device=start.device)[:, None]
            found = bag(weights, index, offsets.reshape(-1), held.view(-1))
        else:
            found = weights.new_zeros(count * rows, weights.shape[1])
        found = found.view(count, rows, -1)
        if baseline is not None:
            found = found - ((shares * baseline) @ weights)[:, None]
        return found


def entries(layout: FieldLayout) -> int:
    """The number of entries of x that a map of its rows reads for a candidate."""
    name = next(iter(layout.values))
    unit, *_ = layout.memo(("entries", name), lambda: _entries(layout, name))
    return len(unit)


def _entries(layout: FieldLayout, name: str) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The entries of x in columns of units, row by row: unit, value, where rows start; the baseline unless it is 0."""
    field = _field(layout)
    x = layout.values[name].cpu().numpy()[:, field.columns]
    row, unit = np.nonzero(x)
    start = np.searchsorted(row, np.arange(len(x) + 1))
    baseline = layout.to_device(field.baseline) if field.baseline.any() else None
    values = layout.to_device(x[row, unit])
    return layout.to_device(unit), values, layout.to_device(start), baseline


def _field(layout: FieldLayout) -> FeatureField:
    assert isinstance(layout.field, FeatureField)
    return layout.field
