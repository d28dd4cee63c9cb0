"""The candidates that run together: their masks, their rows, and sums over their edges.

Two layouts, each where it is fast. A *table* [T, C] holds activations, candidate by candidate (field, candidate,
row), so that everything row-wise is one contiguous operation and means what its author meant. *Scalars*, one
number (or one per head) for each row or edge, are [rows, columns] or [edges, columns] per field, flattened: then a
gather copies runs of candidates. A column is one of the two graphs of a candidate: first all G_s, then all G \\ G_s.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.execution.inference.plan import EdgeList, FieldPlan, Incidence, Loops

LOWEST = torch.finfo(torch.float32).min


@dataclass(frozen=True, eq=False)
class Part:
    """Some candidates of one field."""

    plan: FieldPlan
    bits: np.ndarray  # [n, U] bool

    @property
    def columns(self) -> int:
        return 2 * len(self.bits)


class Tile:
    """A batch small enough for the caches: parts of one or several fields."""

    def __init__(self, parts: Sequence[Part], depth: int):
        self.parts, self.depth = parts, depth  # depth: hops within which any row is needed
        self.plans = [part.plan for part in parts]
        self.columns = [part.columns for part in parts]
        self._memory: dict[Hashable, Any] = {}

    def memo(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, made when first asked for: what several layers share."""
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    @cached_property
    def masks(self) -> list[Tensor]:
        """Per part [U + 2, columns]: which units are present; then a row of ones, then whether the halo is there."""
        return [_masks(part) for part in self.parts]

    def rows(self, hop: int) -> list[int]:
        return [plan.rows(hop) for plan in self.plans]

    def edges(self, hop: int, loops: Loops) -> "Edges":
        return self.memo(("edges", hop, loops),
                         lambda: Edges(self, hop, [plan.edges(hop, loops) for plan in self.plans]))

    def degrees(self, incidences: Sequence[Incidence]) -> Tensor:
        """Scalars: the weighted in-degree of every row."""
        return join([bag(mask, i.index, i.start, i.weight).view(-1) for mask, i in zip(self.masks, incidences)])

    def blocks(self, scalars: Tensor, counts: Sequence[int]) -> list[Tensor]:
        """Scalars [sum of counts x columns, ...] as one [count, columns, ...] per part."""
        if len(counts) == 1:
            return [scalars.view(counts[0], self.columns[0], *scalars.shape[1:])]
        sizes = [count * columns for count, columns in zip(counts, self.columns)]
        return [block.view(count, columns, *scalars.shape[1:])
                for block, count, columns in zip(scalars.split(sizes), counts, self.columns)]

    def copies(self, table: Tensor, hop: int) -> list[Tensor]:
        """A table [T, ...] as one [columns, rows, ...] per part."""
        rows = self.rows(hop)
        sizes = [count * columns for count, columns in zip(rows, self.columns)]
        return [block.view(columns, count, *table.shape[1:])
                for block, count, columns in zip(table.split(sizes), rows, self.columns)]


class Rows:
    """A value of the model, one row per node within `hop` steps: a table, or the same for every candidate."""

    def __init__(self, tile: Tile, hop: int, table: Tensor | None, fixed: list[Tensor] | None = None,
                 key: Hashable = None):
        self.tile, self.hop, self._table, self.fixed, self.key = tile, hop, table, fixed, key

    @property
    def varies(self) -> bool:
        return self.fixed is None

    @property
    def channels(self) -> int:
        return (self._table if self.varies else self.fixed[0]).shape[1]

    def apply(self, function: Callable[[Tensor], Tensor], tag: Hashable) -> "Rows":
        """A row-wise map; where the rows are the same for every candidate it is computed once per field."""
        if self.varies:
            return Rows(self.tile, self.hop, function(self._table))
        key = (self.key, self.hop, tag)
        fixed = [plan.memo(key, lambda rows=rows: function(rows)) for plan, rows in zip(self.tile.plans, self.fixed)]
        return Rows(self.tile, self.hop, None, fixed, key)

    def within(self, hop: int) -> "Rows":
        """Only the rows within `hop` steps."""
        if hop == self.hop:
            return self
        counts = self.tile.rows(hop)
        if self.varies:
            copies = self.tile.copies(self._table, self.hop)
            kept = [copy[:, :count].reshape(-1, *copy.shape[2:]) for copy, count in zip(copies, counts)]
            return Rows(self.tile, hop, join(kept))
        return Rows(self.tile, hop, None, [rows[:count] for rows, count in zip(self.fixed, counts)], self.key)

    @cached_property
    def table(self) -> Tensor:
        """[T, ...], repeated for every candidate where it is the same for all."""
        if self.varies:
            return self._table
        return join([rows.expand(columns, *rows.shape).reshape(-1, *rows.shape[1:])
                     for rows, columns in zip(self.fixed, self.tile.columns)])

    @cached_property
    def source(self) -> Tensor:
        """What sums read: the table, or one copy of the rows of each field."""
        return self._table if self.varies else join(self.fixed)


class Edges:
    """The messages into the rows within `hop` steps, for every part and column: M in all."""

    def __init__(self, tile: Tile, hop: int, lists: Sequence[EdgeList]):
        self.tile, self.hop, self.lists = tile, hop, lists
        self.counts = [len(edges) for edges in lists]

    @cached_property
    def present(self) -> Tensor:
        """[M] one or zero. Owned by the edges: not to be written to."""
        return join([mask.index_select(0, edges.unit).view(-1) for mask, edges in zip(self.tile.masks, self.lists)])

    def tails(self, scalars: Tensor, hop: int) -> Tensor:
        """Scalars of the rows within `hop` steps, at the tail of every message: [M, ...]."""
        return self._gather(scalars, hop, [edges.tail for edges in self.lists])

    def heads(self, scalars: Tensor, hop: int) -> Tensor:
        """Scalars of the rows within `hop` steps, at the head of every message: [M, ...]."""
        return self._gather(scalars, hop, [edges.head for edges in self.lists])

    def _gather(self, scalars: Tensor, hop: int, ends: list[Tensor]) -> Tensor:
        blocks = self.tile.blocks(scalars, self.tile.rows(hop))
        return join([block.flatten(1).index_select(0, end).view(-1, *scalars.shape[1:])
                     for block, end in zip(blocks, ends)])

    def scalars(self, rows: Rows) -> Tensor:
        """Rows [T, H] as scalars [S, H], for `tails` and `heads`."""
        copies = self.tile.copies(rows.table, rows.hop)
        return join([copy.transpose(0, 1).reshape(-1, *copy.shape[2:]) for copy in copies])

    def constant(self, values: Sequence[Tensor]) -> Tensor:
        """Values [E, ...] per part, the same for every candidate: [M, ...]."""
        return join([value[:, None].expand(-1, columns, *value.shape[1:]).reshape(-1, *value.shape[1:])
                     for value, columns in zip(values, self.tile.columns)])

    def total(self, values: Tensor) -> Tensor:
        """Sums over the messages of each row: [M, ...] -> scalars of the receiving rows."""
        blocks = self.tile.blocks(values, self.counts)
        return join([bag(block.flatten(1), edges.all,
                         edges.start, None).view(-1, *values.shape[1:])
                     for block, edges in zip(blocks, self.lists)])

    def largest(self, values: Tensor) -> Tensor:
        """Maxima over the messages of each row: [M, ...] -> scalars; the lowest float for a row without any."""
        return join([_segment_max(block.flatten(1), edges.head, edges.rows).view(-1, *values.shape[1:])
                     for block, edges in zip(self.tile.blocks(values, self.counts), self.lists)])

    def softmax(self, logits: Tensor) -> Tensor:
        """Attention [M, H] over the present messages of each row; zeros where there is none."""
        present = self.present[:, None]
        logits = torch.where(present > 0, logits, LOWEST)
        weights = (logits - self.heads(self.largest(logits), self.hop)).exp_().mul_(present)
        return weights / self.heads(self.total(weights) + 1e-16, self.hop)

    def sum(self, rows: Rows, weights: Tensor) -> Tensor:
        """Weighted sums of the tails' rows: weights [M] -> table [T, C]; weights [M, H] -> [T, H, C / H]."""
        index, start = self._bags(shared=not rows.varies)
        source = rows.source
        if weights.ndim == 1:
            return bag(source, index, start, self._by_column(weights))
        heads = weights.shape[1]
        split = source.view(len(source), heads, -1).unbind(1)
        return torch.stack([bag(part.contiguous(), index, start, self._by_column(weight))
                            for part, weight in zip(split, weights.unbind(1))], dim=1)

    def gather(self, rows: Rows) -> Tensor:
        """The tails' rows, candidate by candidate: [M, C]."""
        return rows.source.index_select(0, self._bags(shared=not rows.varies)[0])

    def gather_heads(self, rows: Rows) -> Tensor:
        """The heads' rows, candidate by candidate: [M, C]."""
        return rows.table.index_select(0, self._receivers)

    def add_constant(self, messages: Tensor, values: Sequence[Tensor]) -> Tensor:
        """messages [M, C] + values [E, C] per part, in place."""
        for block, value in zip(self._columns(messages), values):
            block += value
        return messages

    def sum_messages(self, messages: Tensor, weights: Tensor) -> Tensor:
        """Weighted sums of messages [M, C] themselves: table [T, C]."""
        start = self._bags(shared=False)[1]
        index = torch.arange(len(messages), dtype=start.dtype, device=messages.device)
        return bag(messages, index, start, self._by_column(weights))

    def sum_constant(self, values: Sequence[Tensor], weights: Tensor) -> Tensor:
        """Weighted sums of values [E, C] per part that are the same for every candidate: table [T, C]."""
        start, base, index = self._bags(shared=False)[1], 0, []
        for edges, columns in zip(self.lists, self.tile.columns):
            index.append((edges.all + base).repeat(columns))
            base += len(edges)
        return bag(join(values), join(index).to(start.dtype), start, self._by_column(weights))

    def add_at_loops(self, values: Tensor, scalars: Tensor) -> None:
        """Add scalars of the receiving rows to the values [M, ...] of their loops, in place."""
        blocks = self.tile.blocks(values, self.counts)
        owned = self.tile.blocks(scalars, [edges.rows for edges in self.lists])
        for block, own, edges in zip(blocks, owned, self.lists):
            block.index_add_(0, edges.last, own)

    def add_at_loops_by_column(self, messages: Tensor, table: Tensor) -> None:
        """Add the rows of a table [T, C] to the messages [M, C] of their loops, in place."""
        for block, own, edges in zip(self._columns(messages), self.tile.copies(table, self.hop), self.lists):
            block.index_add_(1, edges.last, own)

    def as_table(self, scalars: Tensor) -> Tensor:
        """Scalars of the receiving rows, in the order of a table: [T]."""
        blocks = self.tile.blocks(scalars, [edges.rows for edges in self.lists])
        return join([block.T.reshape(-1) for block in blocks])

    def by_edge(self, values: Tensor) -> Tensor:
        """Values [M, H], candidate by candidate, in the order of scalars."""
        return join([block.transpose(0, 1).reshape(-1, values.shape[1]) for block in self._columns(values)])

    def maximum(self, rows: Rows) -> Tensor:
        """The largest of the tails' rows in every channel, 0 for a row that has none: table [T, C]."""
        messages = self.gather(rows)
        messages.masked_fill_(self._by_column(self.present)[:, None] == 0, LOWEST)
        largest = _segment_max(messages, self._receivers, sum(e.rows * c for e, c in zip(self.lists, self.tile.columns)))
        return largest.masked_fill_(largest == LOWEST, 0.0)

    @cached_property
    def _receivers(self) -> Tensor:
        """[M] the table row every message goes to, candidate by candidate."""
        parts, base = [], 0
        for edges, columns in zip(self.lists, self.tile.columns):
            copy = torch.arange(columns, device=edges.head.device)[:, None]
            parts.append((edges.head + (copy * edges.rows + base)).view(-1))
            base += columns * edges.rows
        return join(parts)

    def _columns(self, messages: Tensor) -> list[Tensor]:
        """[M, C], candidate by candidate, as one [columns, E, C] per part."""
        sizes = [count * columns for count, columns in zip(self.counts, self.tile.columns)]
        return [block.view(columns, count, *messages.shape[1:])
                for block, count, columns in zip(messages.split(sizes), self.counts, self.tile.columns)]

    def _by_column(self, values: Tensor) -> Tensor:
        """[M] candidate by candidate, the order in which bags are filled."""
        return join([block.T.reshape(-1) for block in self.tile.blocks(values, self.counts)])

    def _bags(self, shared: bool) -> tuple[Tensor, Tensor]:
        pairs = [edges.bags(columns, shared) for edges, columns in zip(self.lists, self.tile.columns)]
        if len(pairs) == 1:
            return pairs[0]
        base = np.cumsum([0] + [edges.rows_in * (1 if shared else columns)
                                for edges, columns in zip(self.lists, self.tile.columns)])
        first = np.cumsum([0] + [len(index) for index, _ in pairs])
        return (torch.cat([index + int(offset) for (index, _), offset in zip(pairs, base)]),
                torch.cat([start + int(offset) for (_, start), offset in zip(pairs, first)]))


def bag(table: Tensor, index: Tensor, start: Tensor, weight: Tensor | None) -> Tensor:
    """Row i of the answer is the weighted sum of table[index[start[i]:start[i + 1]]]: no message is ever stored."""
    return torch.embedding_bag(table, index, start, False, 0, False, weight, False)[0]


def join(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _segment_max(values: Tensor, head: Tensor, rows: int) -> Tensor:
    """[E, K] -> [rows, K]"""
    lowest = values.new_full((rows, values.shape[1]), LOWEST)
    return lowest.scatter_reduce_(0, head[:, None].expand(-1, values.shape[1]), values, "amax")


def _masks(part: Part) -> Tensor:
    device, units, n = part.plan.device, part.plan.units, len(part.bits)
    table = torch.empty(units + 2, 2 * n, device=device)
    table[:units, :n] = torch.from_numpy(part.bits).to(device).T
    torch.sub(1.0, table[:units, :n], out=table[:units, n:])
    table[units:] = 1.0
    table[units + 1, :n] = 0.0
    return table
