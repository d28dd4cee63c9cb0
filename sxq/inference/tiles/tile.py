"""The candidates that run together, and the rows that they compute.

A tile is a frame (one field, or the union of several) in W columns: every candidate has one column
for G_s, in the first half, and one for G \\ G_s, in the second. Values have two memory orders, each
where it is fast. A *table* [W * R, C] holds activations column by column, so that a row-wise
operation is one contiguous operation and means what its author meant. *Scalars* (one number, or
one per head, for each row or edge) are [R, W] or [E, W]: there a gather copies runs of candidates.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.inference.tiles.layout import FieldLayout, Incidence, Loops
from sxq.inference.tiles.masks import masks
from sxq.inference.tiles.union import Union
from sxq.models import device as devices

Scale = Callable[[np.ndarray], np.ndarray]  # degrees to factors of messages
LOWEST = torch.finfo(torch.float32).min
# exp of it is 1e-35 and adds nothing to a sum of at least 1. Below it lie numbers that float32 cannot
# hold, or only with fewer digits; exp of those takes 10 to 30 times as long.
FAINTEST = -80.0


@dataclass(frozen=True, eq=False)
class Weights:
    """The weight of the message u -> v in a sum: tail(degree of u) * head(degree of v); None is 1."""

    key: Hashable = None
    incidence: Callable[[FieldLayout], Incidence] | None = None  # gives the degrees
    tail: Scale | None = None
    head: Scale | None = None


class Tile:
    """A batch small enough for the caches: `width` candidates for each slab of the frame."""

    in_context = (
        False  # of features without a pair of sides: whether those that are context are there
    )

    def __init__(self, frame: FieldLayout | Union, bits: Sequence[np.ndarray], width: int):
        self.frame = frame
        self.width = width
        self.columns = 2 * width
        self.bits = bits  # [n, U] for each field
        self.masks = masks(frame.fields, frame.counts, bits, width, frame.device)
        self._memory: dict[Hashable, Any] = {}

    def __enter__(self) -> "Tile":
        return self

    def __exit__(self, *error) -> None:
        """Forget the values that layers share, which refer back to the tile.

        Otherwise its memory stays until Python looks for cycles, and every tile is computed in
        fresh pages, which costs more than the arithmetic.
        """
        self._memory.clear()

    @property
    def shares(self) -> Tensor:
        """Where units are features: the share [n, U] of each that is there, 0 or 1."""
        return devices.to_device(self.bits[0], self.frame.device)

    def sides(self, base: Tensor, whole: Tensor, change: Tensor) -> Tensor:
        """Mapped rows base [R, C] + change [n, R, C], then whole [R, C] - change, as a table [W * R, C]."""
        out = torch.empty(2, *change.shape, device=change.device)
        torch.add(base, change, out=out[0])
        torch.sub(whole, change, out=out[1])
        return out.view(-1, whole.shape[1])

    def repeated(self, rows: "Rows") -> Tensor:
        """Rows that are the same for every candidate, as a table [W * R, ...]."""
        found = self.frame.listed(rows.key, rows.of)
        return found.expand(self.columns, *found.shape).flatten(0, 1)

    def memo(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, which several layers share; made when first asked for."""
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    def edges(self, hop: int, loops: Loops) -> "Edges":
        """The messages into the rows within `hop` steps."""
        return self.memo((hop, loops), lambda: Edges(self, hop, loops))

    def degrees(self, key: Hashable, make: Callable[[FieldLayout], Incidence]) -> Tensor:
        """The degrees [R, W] by the incidence of that key, of all rows that may send."""
        one = self.frame.incidence(key, make)
        return bag(self.masks, one.index, one.start, one.weight)

    def within(self, table: Tensor, outer: int, hop: int) -> Tensor:
        """The rows within `hop` steps from a table of the rows within `outer` steps."""
        if hop == outer or self.frame.rows(hop) == self.frame.rows(outer):
            return table
        blocks = table.unflatten(0, (self.columns, -1))
        if self.frame.nested:
            return blocks[:, : self.frame.rows(hop)].flatten(0, 1)
        return blocks.index_select(1, self.inner(outer, hop)).flatten(0, 1)

    def inner(self, outer: int, hop: int) -> Tensor:
        """The rows within `hop` steps among those of a union within `outer` steps."""
        return self.memo(
            ("inner", outer, hop),
            lambda: _inner(
                self.frame,
                [layout.rows(outer) for layout in self.frame.fields],
                [layout.rows(hop) for layout in self.frame.fields],
            ),
        )


class Rows:
    """A value of the model, a row per node within `hop` steps: a table, or one for all columns."""

    def __init__(
        self,
        tile: Tile,
        hop: int,
        table: Tensor | None,
        key: Hashable = None,
        make: Callable[[FieldLayout], Tensor] | None = None,
    ):
        self.tile = tile
        self.hop = hop
        self._table: Any = table  # a Tensor if the rows vary, otherwise None
        self.key = key
        self._make: Any = make  # a function if they do not vary, otherwise None
        self.varies = make is None

    @property
    def maps_first(self) -> bool:
        """Whether a linear map costs least before any sum."""
        return not self.varies

    @property
    def channels(self) -> int:
        return self.source.shape[1]

    def apply(
        self, function: Callable[[Tensor], Tensor], tag: Hashable, affine: bool = True
    ) -> "Rows":
        """A row-wise map; computed once per field if the rows are the same for every candidate.

        `tag` distinguishes this map from others of the same rows; `affine` says that it is a linear
        map, and perhaps a constant.
        """
        if self.varies:
            return Rows(self.tile, self.hop, function(self._table))
        make = lambda layout: function(layout.listed(self.key, self._make))
        return Rows(self.tile, self.hop, None, (self.key, tag), make)

    def within(self, hop: int) -> "Rows":
        """Only the rows within `hop` steps."""
        if hop == self.hop:
            return self
        if self.varies:
            return Rows(self.tile, hop, self.tile.within(self._table, self.hop, hop))
        return Rows(
            self.tile,
            hop,
            None,
            (self.key, hop),
            lambda layout: self._make(layout)[: layout.rows(hop)],
        )

    @property
    def table(self) -> Tensor:
        """The table [W * R, ...]; rows that are the same for every candidate are repeated."""
        if self.varies:
            return self._table
        return self.tile.repeated(self)

    @property
    def source(self) -> Tensor:
        """The rows that sums read: the table, or one copy of the rows of each field."""
        return self._table if self.varies else self.tile.frame.once(self.key, self._make)

    def of(self, layout: FieldLayout) -> Tensor:
        """The rows of one field, where they are the same for every candidate."""
        return layout.listed(self.key, self._make)

    @property
    def scalars(self) -> Tensor:
        """The table [W * R, H] as scalars [R, W, H]."""
        return self.table.unflatten(0, (self.tile.columns, -1)).transpose(0, 1).contiguous()


class Edges:
    """E edges into the R rows within `hop` steps, in W columns. Scalars are [E, W] or [E, W, H]."""

    as_delta = False  # whether sums are computed as differences from a base

    def __init__(self, tile: Tile, hop: int, loops: Loops):
        self.tile = tile
        self.hop = hop
        self.loops = loops
        self.columns = tile.columns
        self.list = tile.frame.edges(hop, loops)

    @property
    def present(self) -> Tensor:
        """One or zero [E, W]; read-only."""
        return self.shared(
            "present", lambda edges: edges.tile.masks.index_select(0, edges.list.mask)
        )

    def shared(self, key: Hashable, make: Callable[["Edges"], Tensor]) -> Tensor:
        """Read-only scalars [E, W] that all layers share.

        They are made for the outermost edges, which include those of the other layers.
        """
        tile = self.tile
        outermost = self.tile.frame.depth - 1
        if self.hop == outermost:
            return tile.memo((key, self.loops), lambda: make(self))
        outer = tile.edges(outermost, self.loops)
        values = outer.shared(key, make)
        some = self.among(outermost)
        return values[some] if isinstance(some, slice) else values.index_select(0, some)

    def among(self, outer: int) -> "slice | Tensor":
        """The positions of these edges among those into the rows within `outer` steps."""
        tile = self.tile
        if tile.frame.nested:
            return slice(self.list.size)
        return tile.memo(
            ("inner", outer, self.hop, self.loops),
            lambda: _inner(
                tile.frame,
                [layout.edges(outer, self.loops).size for layout in tile.frame.fields],
                [layout.edges(self.hop, self.loops).size for layout in tile.frame.fields],
            ),
        )

    def tails(self, scalars: Tensor) -> Tensor:
        """Scalars of the rows one hop further out, at the tail of every edge."""
        return scalars.index_select(0, self.list.tail)

    def heads(self, scalars: Tensor) -> Tensor:
        """Scalars of the receiving rows, at the head of every edge."""
        return scalars.index_select(0, self.list.head)

    def total(self, values: Tensor) -> Tensor:
        """Sums over the edges of each row: [E, W, ...] -> [R, W, ...]."""
        everything = torch.arange(self.list.size, dtype=torch.int32, device=values.device)
        return bag(values.flatten(1), everything, self.list.start, None).view(-1, *values.shape[1:])

    def weight(self, weights: Tensor) -> Tensor:
        """The total weight of the messages into each row: [E, W] -> [R, W]."""
        return self.total(weights)

    def largest(self, values: Tensor) -> Tensor:
        """Maxima over the edges of each row, [E, W, ...] -> [R, W, ...]; LOWEST for a row without any."""
        return largest(values.flatten(1), self.list.head, self.list.rows).view(
            -1, *values.shape[1:]
        )

    def softmax(self, logits: Tensor) -> Tensor:
        """Attention [E, W, H] over the present edges of each row; zeros in rows without any."""
        present = self.present.unsqueeze(-1)
        logits = logits.masked_fill_(present == 0, LOWEST)
        below = logits.sub_(self.heads(self.largest(logits)))
        weights = below.clamp_(min=FAINTEST).exp_().mul_(present)
        return weights.div_(self.heads(self.total(weights).add_(1e-16)))

    # Any: a Tensor here, `Weights` in DeltaEdges; kernels pass on what they were given.
    def sum(self, rows: Rows, weights: Any) -> Tensor:
        """Weighted sums of the tails' rows: weights [E, W] -> table [T, C]; [E, W, H] -> [T, H, C / H]."""
        index, start = self.list.bags(self.columns, shared=not rows.varies)
        source = rows.source
        if weights.ndim == 2:
            return bag(source, index, start, by_column(weights))
        split = source.unflatten(1, (weights.shape[2], -1)).unbind(1)
        return torch.stack(
            [
                bag(part.contiguous(), index, start, by_column(weight))
                for part, weight in zip(split, weights.unbind(2))
            ],
            dim=1,
        )

    def gather(self, rows: Rows) -> Tensor:
        """The tails' rows: messages [W, E, C]."""
        index, _ = self.list.bags(self.columns, shared=not rows.varies)
        return rows.source.index_select(0, index).unflatten(0, (self.columns, self.list.size))

    def gather_heads(self, rows: Rows) -> Tensor:
        """The heads' rows: messages [W, E, C]."""
        return rows.table.unflatten(0, (self.columns, self.list.rows)).index_select(
            1, self.list.head
        )

    def products(self, tails: Rows, heads: Rows, parts: int) -> Tensor:
        """The tails' rows times the heads', summed over each of equal parts of their columns: [E, W, parts].

        Where both are the same for every candidate they are computed once per field, and W is 1.
        """
        if tails.varies or heads.varies:
            found = self.gather(tails)
            found = found * self.gather_heads(heads)
            return found.unflatten(-1, (parts, -1)).sum(dim=-1).transpose(0, 1)

        def make(layout: FieldLayout) -> Tensor:
            one = layout.edges(self.hop, self.loops)
            ends = tails.of(layout)[one.tail], heads.of(layout)[one.head]
            return (ends[0] * ends[1]).unflatten(-1, (parts, -1)).sum(dim=-1)

        key = ("products", tails.key, heads.key, self.hop, self.loops)
        return self.tile.frame.listed(key, make)[:, None]

    def sum_messages(self, messages: Tensor, weights: Tensor) -> Tensor:
        """Weighted sums of messages [W, E, C], weights [E, W]: table [T, C]."""
        _, start = self.list.bags(self.columns, shared=False)
        index = torch.arange(weights.numel(), dtype=start.dtype, device=start.device)
        return bag(messages.flatten(0, 1), index, start, by_column(weights))

    def sum_constant(self, values: Tensor, weights: Tensor) -> Tensor:
        """Weighted sums of values [E, C] that are the same in all columns: table [T, C]."""
        _, start = self.list.bags(self.columns, shared=False)
        index = torch.arange(self.list.size, dtype=start.dtype, device=start.device).repeat(
            self.columns
        )
        return bag(values, index, start, by_column(weights))

    def maximum(self, rows: Rows) -> Tensor:
        """The maximum of the tails' rows in every channel, 0 for a row without any: table [T, C]."""
        messages = (
            self.gather(rows).masked_fill_(self.present.T.unsqueeze(-1) == 0, LOWEST).flatten(0, 1)
        )
        column = torch.arange(self.columns, device=messages.device)[:, None]
        row = (self.list.head + column * self.list.rows).view(-1)
        most = largest(messages, row, self.columns * self.list.rows)
        return most.masked_fill_(most == LOWEST, 0.0)


def _inner(frame: FieldLayout | Union, outer: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """`Union.inner`; a nested frame has prefixes instead."""
    assert isinstance(frame, Union)
    return frame.inner(outer, sizes)


def softmax_together(lists: Sequence[Edges], logits: Sequence[Tensor]) -> list[Tensor]:
    """Attention [E_i, W, H] over the present edges of each row, in all lists; zeros in rows without any.

    Logits [E_i, W, H], or one column for all; in steps that can be differentiated.
    """
    present = [edges.present.unsqueeze(-1) for edges in lists]
    masked = [torch.where(there == 0, LOWEST, own) for there, own in zip(present, logits)]
    most = [edges.largest(own.detach()) for edges, own in zip(lists, masked)]
    top = reduce(torch.maximum, most)
    weights = [
        (own - edges.heads(top)).clamp(min=FAINTEST).exp() * there
        for edges, own, there in zip(lists, masked, present)
    ]
    total = reduce(torch.add, [edges.total(own) for edges, own in zip(lists, weights)])
    return [own / (edges.heads(total) + 1e-16) for edges, own in zip(lists, weights)]


def bag(table: Tensor, index: Tensor, start: Tensor, weight: Tensor | None) -> Tensor:
    """Row i is the weighted sum of table[index[start[i]:start[i + 1]]]; no message is stored."""
    return torch.embedding_bag(table, index, start, False, 0, False, weight, False)[0]


def by_column(weights: Tensor) -> Tensor:
    """Weights [E, W] in the order in which bags are filled: [W * E].

    Numpy transposes in two thirds of torch's time, or a quarter if W is small; but it is slower at
    strides that are bad for caches.
    """
    if weights.device.type == "cpu" and weights.shape[1] % 64 and not weights.requires_grad:
        return torch.from_numpy(weights.numpy().T.ravel())
    return weights.T.reshape(-1)


def largest(values: Tensor, row: Tensor, rows: int) -> Tensor:
    """Maxima of values [n, k] by row [n]: [rows, k]."""
    lowest = values.new_full((rows, values.shape[1]), LOWEST)
    return lowest.scatter_reduce_(
        0, row.long()[:, None].expand(-1, values.shape[1]), values, "amax"
    )
