"""Rows of whole graphs that are alike: each is computed once, for all candidates of all graphs.

After l layers the row of a node is made of the rows at the tails of its edges after l - 1 layers, so
two nodes have the same row if their rows were the same before and the same rows are sent to them. In a
molecule most atoms have the neighbours that the same atom has in other candidates; of the rows of
2,000 candidates a tenth are different after two layers, and a sixth after three. A number for each
row, made of such numbers one layer before, says which are alike (colour refinement, Weisfeiler and
Leman); two different rows get one number of 64 bits with a probability of 10^-8 in a batch.

An `AlikeTile` has one column, whose rows are the different ones, and as edges those into them.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.graph import EdgeKind
from sxq.inference.tiles.layout import EdgeList, FieldLayout, Incidence, Loops
from sxq.inference.tiles.masks import masks
from sxq.inference.tiles.tile import Edges, Rows, Tile, bag, largest

# Odd numbers without a pattern, of the fractional parts of the golden ratio and of square roots.
_STEPS = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x6A09E667F3BCC909)


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Numbers uint64 whose bits each depend on all bits of the given ones (splitmix64)."""
    _, first, second, _ = map(np.uint64, _STEPS)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * first
    numbers = (numbers ^ (numbers >> np.uint64(27))) * second
    return numbers ^ (numbers >> np.uint64(31))


def distinct_numbers(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places [k] of the different numbers uint64, ascending by number, and which of them each [n] is.

    As `np.unique` has them, in a quarter of its time where most are alike: numbers meet in the slots of a
    table, and only those that lost theirs to a different one try again with other bits.
    """
    bits = max(1, len(numbers).bit_length())
    table = np.empty(1 << bits, np.int64)
    first = np.empty(len(numbers), np.int64)
    left, shift = np.arange(len(numbers)), 0
    while len(left):
        own = numbers[left]
        slot = ((own >> np.uint64(shift)) & np.uint64(len(table) - 1)).astype(np.int64)
        table[slot] = left
        found = table[slot]
        same = numbers[found] == own
        first[left[same]] = found[same]
        left = left[~same]
        shift = (shift + bits) % (64 - bits)
    some = np.flatnonzero(first == np.arange(len(numbers)))
    some = some[np.argsort(numbers[some], kind="stable")]
    number = np.empty(len(numbers), np.int64)
    number[some] = np.arange(len(some))
    return some, number[first]


class AlikeRows:
    """All rows of some candidates of several fields, and at each number of hops those that differ.

    A candidate has two graphs: n columns of G_s, then n of G \\ G_s, of R rows each. Only rows of nodes
    that a graph has are counted.
    """

    nested = False

    def __init__(
        self,
        fields: Sequence[FieldLayout],
        bits: Sequence[np.ndarray],
        depth: int,
        first: str,
        by_degree: bool,
    ):
        self.fields = fields
        self.bits = bits
        self.depth = depth
        self.device = fields[0].device
        self.counts = [2 * len(own) for own in bits]  # graphs of each field
        self.nodes = [layout.rows(0) for layout in fields]
        # For each row its graph, and its place in a table that holds the rows of each field once.
        self._sizes = np.repeat(self.nodes, self.counts)
        starts = np.cumsum([0, *self.nodes[:-1]])
        self.place = np.concatenate(
            [
                np.tile(start + np.arange(r), c)
                for start, r, c in zip(starts, self.nodes, self.counts)
            ]
        )
        self.exists = np.concatenate([_existing(*one).ravel() for one in zip(fields, bits)])
        self._connect()
        self._number(first, by_degree)
        self._memory: dict[Hashable, Any] = {}

    def _connect(self) -> None:
        """The edges [2, E] between rows that are there, sorted by head."""
        found, base = [], 0
        for layout, own in zip(self.fields, self.bits):
            column, edge = np.nonzero(_present(layout, own))
            found.append(np.stack(layout.ends_by_head)[:, edge] + (base + column * layout.rows(0)))
            base += 2 * len(own) * layout.rows(0)
        self.tail, self.head = np.concatenate(found, axis=1)
        counts = np.bincount(self.head, minlength=base)
        self.bounds = np.concatenate([[0], np.cumsum(counts)])

    def _number(self, first: str, by_degree: bool) -> None:
        """At each number of hops: the class of each row, and a row of each class."""
        step = np.uint64(_STEPS[3])
        numbers = np.concatenate([row_numbers(layout, first) for layout in self.fields])[self.place]
        if by_degree:
            loops = np.bincount(self.head[self.tail == self.head], minlength=len(numbers))
            degrees = np.diff(self.bounds) + (loops << 32)
            numbers = mixed(numbers + mixed(degrees.astype(np.uint64) * step))
        self.classes: list[np.ndarray] = [np.empty(0)] * (self.depth + 1)
        self.some: list[np.ndarray] = list(self.classes)
        there = np.flatnonzero(self.exists)
        for hop in range(self.depth, -1, -1):
            if hop < self.depth:
                sums = np.concatenate(
                    [np.zeros(1, np.uint64), np.cumsum(mixed(numbers)[self.tail])]
                )
                sent = sums[self.bounds[1:]] - sums[self.bounds[:-1]]
                numbers = mixed(numbers + mixed(sent + step))
            some, classes = distinct_numbers(numbers[there])
            self.some[hop] = there[some]
            self.classes[hop] = np.full(len(numbers), -1)
            self.classes[hop][there] = classes

    def rows(self, hop: int) -> int:
        """The number of different rows within `hop` steps."""
        return len(self.some[hop])

    def edges(self, hop: int, loops: Loops) -> EdgeList:
        """The in-edges of the different rows."""
        return self.memo((hop, loops), lambda: self._edges(hop, loops))

    def _edges(self, hop: int, loops: Loops) -> EdgeList:
        some = self.some[hop]
        counts = self.bounds[some + 1] - self.bounds[some]
        head = np.repeat(np.arange(len(some)), counts)
        within = np.arange(len(head)) - np.repeat(np.cumsum(counts) - counts, counts)
        tail = self.tail[self.bounds[some][head] + within]
        if loops in ("replace", "drop"):
            other = tail != some[head]
            head, tail = head[other], tail[other]
        if loops in ("replace", "add"):
            head = np.concatenate([head, np.arange(len(some))])
            tail = np.concatenate([tail, some])
        senders = self.classes[hop + 1][tail]
        order = np.lexsort((senders, head))  # in one order, whatever the batch
        head, tail, senders = head[order], tail[order], senders[order]
        ends = np.stack([senders, head, np.zeros_like(head), self.place[tail]])
        start = np.searchsorted(head, np.arange(len(some)))
        last = np.searchsorted(head, np.arange(len(some)), side="right") - 1
        to_device = self.fields[0].to_device
        return EdgeList(
            rows=len(some),
            rows_in=self.rows(hop + 1),
            size=len(head),
            ends=to_device(ends.astype(np.int32)),
            bounds=to_device(np.stack([start, last]).astype(np.int32)),
            edge=None,
        )

    def memo(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, made when first asked for."""
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    def once(self, key: Hashable, make: Callable[[FieldLayout], Tensor]) -> Tensor:
        """Values of rows, one copy per field."""
        return self.memo(
            ("once", key), lambda: torch.cat([one.listed(key, make) for one in self.fields])
        )

    @cached_property
    def pooled(self) -> tuple[np.ndarray, np.ndarray]:
        """The class of every row that is there, graph by graph; the number of each graph's rows."""
        graph = np.repeat(np.arange(len(self._sizes)), self._sizes)[self.exists]
        return self.classes[0][self.exists], np.bincount(graph, minlength=len(self._sizes))


class AlikeTile(Tile):
    """The different rows of some candidates, in one column."""

    def __init__(self, rows: AlikeRows):
        self.frame: Any = rows
        self.width = 1
        self.columns = 1
        self.masks = torch.ones(1, 1, device=rows.device)
        self._memory = {}
        self.memo("slabs", lambda: _Graphs(rows))

    def edges(self, hop: int, loops: Loops) -> Edges:
        return self.memo((hop, loops), lambda: _AlikeEdges(self, hop, loops))

    def degrees(self, key: Hashable, make: Callable[[FieldLayout], Incidence]) -> Tensor:
        """Degrees [R, 1] of the outermost rows."""
        frame = self.frame
        found = []
        for layout, bits in zip(frame.fields, frame.bits):
            one = layout.incidence(key, make)
            table = masks([layout], [1], [bits], len(bits), frame.device)
            found.append(bag(table, one.index, one.start, one.weight).T.reshape(-1))
        some = torch.from_numpy(frame.some[frame.depth]).to(frame.device)
        return torch.cat(found).index_select(0, some).unsqueeze(1)

    def within(self, table: Tensor, outer: int, hop: int) -> Tensor:
        return table if hop == outer else table.index_select(0, self.inner(outer, hop))

    def inner(self, outer: int, hop: int) -> Tensor:
        """What the different rows within `hop` steps are among those within `outer` steps."""
        frame = self.frame
        return self.memo(
            ("inner", outer, hop),
            lambda: torch.from_numpy(frame.classes[outer][frame.some[hop]]).to(frame.device),
        )

    def repeated(self, rows: Rows) -> Tensor:
        frame = self.frame
        table = frame.once(rows.key, rows.of)
        own = self.memo(
            ("own", rows.hop),
            lambda: torch.from_numpy(frame.place[frame.some[rows.hop]]).to(frame.device),
        )
        return table.index_select(0, own)


class _AlikeEdges(Edges):
    """Edges that are all there; each layer has its own."""

    def shared(self, key: Hashable, make: Callable[[Edges], Tensor]) -> Tensor:
        return self.tile.memo((key, self.hop, self.loops), lambda: make(self))


class _Graphs:
    """The sums and maxima over the rows of each graph, for `Pool`."""

    def __init__(self, rows: AlikeRows):
        classes, counts = rows.pooled
        to_device = rows.fields[0].to_device
        self.count = len(counts)
        self.index = to_device(classes.astype(np.int32))
        self.start = to_device((np.cumsum(counts) - counts).astype(np.int32))
        self.owner = to_device(np.repeat(np.arange(len(counts)), counts))
        self.size = to_device(counts.astype(np.float32)).unsqueeze(1)

    def sum(self, table: Tensor) -> Tensor:
        return bag(table, self.index, self.start, None)

    def largest(self, table: Tensor) -> Tensor:
        return largest(table.index_select(0, self.index), self.owner, self.count)


def row_numbers(layout: FieldLayout, first: str) -> np.ndarray:
    """A number [R] uint64 for each node, equal where all its features are."""
    return layout.memo(("row numbers", first), lambda: _row_numbers(layout.values[first]))


def _row_numbers(x: Tensor) -> np.ndarray:
    table = np.ascontiguousarray(x.cpu().numpy()).reshape(len(x), -1)
    found = np.zeros(len(table), np.uint64)
    for column in table.view(np.uint32).T if table.itemsize % 4 == 0 else table.view(np.uint8).T:
        found = mixed(found + mixed(column.astype(np.uint64) + np.uint64(_STEPS[0])))
    return found


def _existing(layout: FieldLayout, bits: np.ndarray) -> np.ndarray:
    """The nodes [2n, R] that each graph has: G \\ G_s has all."""
    there = np.ones((2 * len(bits), layout.rows(0)), bool)
    there[: len(bits)] = layout.field.existing(bits)
    return there


def _present(layout: FieldLayout, bits: np.ndarray) -> np.ndarray:
    """The edges [2n, E] that each graph has, by head."""
    field = layout.field
    parts = np.concatenate([field.kept(bits), field.left(bits)])
    unit = layout.unit_by_head
    there = np.ones((len(parts), len(unit)), bool)
    there[:, unit >= 0] = parts[:, unit[unit >= 0]]
    there[: len(bits), unit == EdgeKind.HALO] = False
    return there
