"""The messages of one layer, for all candidates of a tile: what kernels are written with.

Messages weighed by a number are never stored: `sum` reads the rows where they lie. Where a message is a
vector of its own (`gather`), it is: those layers cost memory.
"""

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sxq.execution.inference.plan import Loops

if TYPE_CHECKING:
    from sxq.execution.inference.tile import Rows, Tile

LOWEST = torch.finfo(torch.float32).min


class Edges:
    """E edges into the R rows within `hop` steps, in W columns. Scalars are [E, W] or [E, W, H]."""

    near = False  # whether sums are computed as differences from a reference

    def __init__(self, tile: "Tile", hop: int, loops: Loops):
        self.tile, self.hop, self.loops, self.columns = tile, hop, loops, tile.columns
        self.list = tile.frame.edges(hop, loops)

    @property
    def present(self) -> Tensor:
        """[E, W] one or zero; not to be written to."""
        return self.shared("present", lambda edges: edges.tile.masks.index_select(0, edges.list.mask))

    def shared(self, key: Hashable, make: Callable[["Edges"], Tensor]) -> Tensor:
        """Scalars [E, W] that all layers share, not to be written to: made for the outermost edges, of which
        those of the others are some."""
        tile, outermost = self.tile, self.tile.frame.depth - 1
        if self.hop == outermost:
            return tile.memo((key, self.loops), lambda: make(self))
        outer = tile.edges(outermost, self.loops)
        values = outer.shared(key, make)
        if tile.frame.nested:
            return values[: self.list.size]
        return values.index_select(0, tile.memo(("inner", self.hop, self.loops), lambda: tile.frame.inner(
            [plan.edges(outermost, self.loops).size for plan in tile.frame.fields],
            [plan.edges(self.hop, self.loops).size for plan in tile.frame.fields])))

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
        """What the messages into each row weigh in all: [E, W] -> [R, W]."""
        return self.total(weights)

    def largest(self, values: Tensor) -> Tensor:
        """Maxima over the edges of each row, [E, W, ...] -> [R, W, ...]; LOWEST for a row without any."""
        return largest(values.flatten(1), self.list.head, self.list.rows).view(-1, *values.shape[1:])

    def softmax(self, logits: Tensor) -> Tensor:
        """Attention [E, W, H] over the present edges of each row; zeros where there is none."""
        present = self.present.unsqueeze(-1)
        logits = logits.masked_fill_(present == 0, LOWEST)
        weights = logits.sub_(self.heads(self.largest(logits))).exp_().mul_(present)
        return weights.div_(self.heads(self.total(weights).add_(1e-16)))

    def sum(self, rows: "Rows", weights: Tensor) -> Tensor:
        """Weighted sums of the tails' rows: weights [E, W] -> table [T, C]; [E, W, H] -> [T, H, C / H]."""
        index, start = self.list.bags(self.columns, shared=not rows.varies)
        source = rows.source
        if weights.ndim == 2:
            return bag(source, index, start, by_column(weights))
        split = source.unflatten(1, (weights.shape[2], -1)).unbind(1)
        return torch.stack([bag(part.contiguous(), index, start, by_column(weight))
                            for part, weight in zip(split, weights.unbind(2))], dim=1)

    def gather(self, rows: "Rows") -> Tensor:
        """The tails' rows: messages [W, E, C]."""
        index, _ = self.list.bags(self.columns, shared=not rows.varies)
        return rows.source.index_select(0, index).unflatten(0, (self.columns, self.list.size))

    def gather_heads(self, rows: "Rows") -> Tensor:
        """The heads' rows: messages [W, E, C]."""
        return rows.table.unflatten(0, (self.columns, self.list.rows)).index_select(1, self.list.head)

    def sum_messages(self, messages: Tensor, weights: Tensor) -> Tensor:
        """Weighted sums of messages [W, E, C] themselves, weights [E, W]: table [T, C]."""
        _, start = self.list.bags(self.columns, shared=False)
        index = torch.arange(weights.numel(), dtype=start.dtype, device=start.device)
        return bag(messages.flatten(0, 1), index, start, by_column(weights))

    def sum_constant(self, values: Tensor, weights: Tensor) -> Tensor:
        """Weighted sums of values [E, C] that are the same in all columns: table [T, C]."""
        _, start = self.list.bags(self.columns, shared=False)
        index = torch.arange(self.list.size, dtype=start.dtype, device=start.device).repeat(self.columns)
        return bag(values, index, start, by_column(weights))

    def maximum(self, rows: "Rows") -> Tensor:
        """The largest of the tails' rows in every channel, 0 for a row that has none: table [T, C]."""
        messages = self.gather(rows).masked_fill_(self.present.T.unsqueeze(-1) == 0, LOWEST).flatten(0, 1)
        column = torch.arange(self.columns, device=messages.device)[:, None]
        row = (self.list.head + column * self.list.rows).view(-1)
        most = largest(messages, row, self.columns * self.list.rows)
        return most.masked_fill_(most == LOWEST, 0.0)


def bag(table: Tensor, index: Tensor, start: Tensor, weight: Tensor | None) -> Tensor:
    """Row i is the weighted sum of table[index[start[i]:start[i + 1]]]: no message is ever stored."""
    return torch.embedding_bag(table, index, start, False, 0, False, weight, False)[0]


def by_column(weights: Tensor) -> Tensor:
    """Weights [E, W] in the order in which bags are filled: [W * E].

    Numpy transposes in two thirds of torch's time, a quarter where W is small; but not at strides that caches dislike.
    """
    if weights.device.type == "cpu" and weights.shape[1] % 64 and not weights.requires_grad:
        return torch.from_numpy(weights.numpy().T.ravel())
    return weights.T.reshape(-1)


def largest(values: Tensor, row: Tensor, rows: int) -> Tensor:
    """Maxima of values [n, k] by row [n]: [rows, k]."""
    lowest = values.new_full((rows, values.shape[1]), LOWEST)
    return lowest.scatter_reduce_(0, row.long()[:, None].expand(-1, values.shape[1]), values, "amax")
