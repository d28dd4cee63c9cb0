"""Several fields as one graph, so that the small batches of many targets share every operation.

A slab is one field with as many candidates as the tile is wide. A union is slabs, those of one field side by
side: the same answers as a `FieldPlan` gives for one, with every row and edge number moved to where its slab
starts. Nothing is padded to the largest field. It is put together for every batch, by a few operations.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.inference.tiles.field import EXTRA, EdgeList, FieldPlan, Incidence, Loops


class Union:
    """`counts[i]` slabs of `fields[i]`."""

    nested = False

    def __init__(self, fields: Sequence[FieldPlan], counts: Sequence[int]):
        self.fields, self.counts = fields, counts
        self.device, self.depth = fields[0].device, fields[0].depth
        self._memory: dict[Hashable, Any] = {}

    def memo(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    def rows(self, hop: int) -> int:
        return self.memo(
            ("rows", hop), lambda: self._total([plan.rows(hop) for plan in self.fields])
        )

    def edges(self, hop: int, loops: Loops) -> EdgeList:
        return self.memo(
            ("edges", hop, loops),
            lambda: self._edges([plan.edges(hop, loops) for plan in self.fields]),
        )

    def _edges(self, lists: list[EdgeList]) -> EdgeList:
        rows, sizes = [one.rows for one in lists], [one.size for one in lists]
        rows_in, edges = [one.rows_in for one in lists], self._starts(sizes)
        shared = np.repeat(_starts(rows_in), self.counts)
        ends = self._moved(
            [one.ends for one in lists],
            sizes,
            [self._starts(rows_in), self._starts(rows), self._masks, shared],
        )
        bounds = self._moved([one.bounds for one in lists], rows, [edges, edges])
        return EdgeList(
            self._total(rows), self._total(rows_in), self._total(sizes), ends, bounds, None
        )

    def incidence(self, key: Hashable, make: Callable[[FieldPlan], Incidence]) -> Incidence:
        each = [plan.incidence(key, make) for plan in self.fields]
        sizes, rows = [len(one.index) for one in each], [len(one.start) for one in each]
        index = self._moved([one.index[None] for one in each], sizes, [self._masks])
        start = self._moved([one.start[None] for one in each], rows, [self._starts(sizes)])
        return Incidence(index[0], self._side_by_side([one.weight for one in each]), start[0])

    def listed(self, key: Hashable, make: Callable[[FieldPlan], Tensor]) -> Tensor:
        return self.memo(
            ("listed", key),
            lambda: self._side_by_side([plan.listed(key, make) for plan in self.fields]),
        )

    def once(self, key: Hashable, make: Callable[[FieldPlan], Tensor]) -> Tensor:
        return self.memo(
            ("once", key), lambda: torch.cat([plan.listed(key, make) for plan in self.fields])
        )

    def inner(self, outer: Sequence[int], sizes: Sequence[int]) -> Tensor:
        """Which of `outer[i]` numbers per slab are the first `sizes[i]`."""
        first = [torch.arange(size, device=self.device, dtype=torch.int32)[None] for size in sizes]
        return self._moved(first, sizes, [self._starts(outer)])[0]

    def _side_by_side(self, values: Sequence[Tensor]) -> Tensor:
        """[n_i, ...] per field -> the same for every slab, one behind the other."""
        return torch.cat(
            [
                value.repeat(count, *[1] * (value.ndim - 1))
                for value, count in zip(values, self.counts)
            ]
        )

    def _moved(
        self, numbers: Sequence[Tensor], sizes: Sequence[int], base: Sequence[np.ndarray]
    ) -> Tensor:
        """Numbers [k, size_i] per field -> those of every slab [k, total], plus base [k, slabs]."""
        base = torch.from_numpy(np.array(base, np.int32)).to(self.device)
        moved = [
            (one[:, None] + own[:, :, None]).flatten(1)
            for one, own in zip(numbers, base.split(list(self.counts), dim=1))
        ]
        return torch.cat(moved, dim=1)

    @cached_property
    def _masks(self) -> np.ndarray:
        return self._starts([plan.units + EXTRA for plan in self.fields])

    def _starts(self, sizes: Sequence[int]) -> np.ndarray:
        """Where each slab starts, given the size of a slab of each field."""
        return _starts(np.repeat(sizes, self.counts))

    def _total(self, sizes: Sequence[int]) -> int:
        return sum(size * count for size, count in zip(sizes, self.counts))


def _starts(sizes: Sequence[int]) -> np.ndarray:
    return np.cumsum([0, *sizes[:-1]])
