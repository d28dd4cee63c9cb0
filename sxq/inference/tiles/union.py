"""Several fields as one graph, so that the small batches of many targets share every operation.

A slab is one field with as many candidates as the tile is wide. A union consists of slabs, those of
one field side by side. It gives the same answers as a `FieldLayout` gives for one field, with every
row and edge number moved to where its slab starts. Nothing is padded to the largest field. A union
is built for every batch, by a few operations.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.inference.tiles.layout import EXTRA_ROWS, EdgeList, FieldLayout, Incidence, Loops
from sxq.models import device as devices


class Union:
    """`counts[i]` slabs of `fields[i]`."""

    nested = False

    def __init__(self, fields: Sequence[FieldLayout], counts: Sequence[int]):
        self.fields = fields
        self.counts = counts
        self.device = fields[0].device
        self.depth = fields[0].depth
        self._memory: dict[Hashable, Any] = {}

    def memo(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    def rows(self, hop: int) -> int:
        return self.memo(
            ("rows", hop), lambda: self._total([layout.rows(hop) for layout in self.fields])
        )

    def edges(self, hop: int, loops: Loops) -> EdgeList:
        return self.memo(
            ("edges", hop, loops),
            lambda: self._edges([layout.edges(hop, loops) for layout in self.fields]),
        )

    def _edges(self, lists: list[EdgeList]) -> EdgeList:
        rows = [one.rows for one in lists]
        sizes = [one.size for one in lists]
        rows_in = [one.rows_in for one in lists]
        edges = self._starts(sizes)
        shared = np.repeat(_starts(rows_in), self.counts)
        ends = self._moved(
            [one.ends for one in lists],
            sizes,
            [self._starts(rows_in), self._starts(rows), self._masks, shared],
        )
        bounds = self._moved([one.bounds for one in lists], rows, [edges, edges])
        return EdgeList(
            rows=self._total(rows),
            rows_in=self._total(rows_in),
            size=self._total(sizes),
            ends=ends,
            bounds=bounds,
            edge=None,
        )

    def incidence(self, key: Hashable, make: Callable[[FieldLayout], Incidence]) -> Incidence:
        each = [layout.incidence(key, make) for layout in self.fields]
        sizes = [len(one.index) for one in each]
        rows = [len(one.start) for one in each]
        index = self._moved([one.index[None] for one in each], sizes, [self._masks])
        start = self._moved([one.start[None] for one in each], rows, [self._starts(sizes)])
        return Incidence(index[0], self._side_by_side([one.weight for one in each]), start[0])

    def listed(self, key: Hashable, make: Callable[[FieldLayout], Tensor]) -> Tensor:
        return self.memo(
            ("listed", key),
            lambda: self._side_by_side([layout.listed(key, make) for layout in self.fields]),
        )

    def once(self, key: Hashable, make: Callable[[FieldLayout], Tensor]) -> Tensor:
        return self.memo(
            ("once", key), lambda: torch.cat([layout.listed(key, make) for layout in self.fields])
        )

    def inner(self, outer: Sequence[int], sizes: Sequence[int]) -> Tensor:
        """Positions of the first `sizes[i]` of `outer[i]` numbers in every slab."""
        first = [torch.arange(size, device=self.device, dtype=torch.int32)[None] for size in sizes]
        return self._moved(first, sizes, [self._starts(outer)])[0]

    def _side_by_side(self, values: Sequence[Tensor]) -> Tensor:
        """Values [n_i, ...] per field, repeated for every slab, one after the other."""
        return torch.cat(
            [
                value.repeat(count, *[1] * (value.ndim - 1))
                for value, count in zip(values, self.counts)
            ]
        )

    def _moved(
        self, numbers: Sequence[Tensor], sizes: Sequence[int], base: Sequence[np.ndarray]
    ) -> Tensor:
        """Numbers [k, size_i] per field -> those of all slabs [k, total], each plus base [k, slabs]."""
        starts = devices.to_device(np.array(base, np.int32), self.device)
        moved = [
            (one[:, None] + own[:, :, None]).flatten(1)
            for one, own in zip(numbers, starts.split(list(self.counts), dim=1))
        ]
        return torch.cat(moved, dim=1)

    @cached_property
    def _masks(self) -> np.ndarray:
        return self._starts([layout.units + EXTRA_ROWS for layout in self.fields])

    def _starts(self, sizes: Sequence[int]) -> np.ndarray:
        """Where each slab starts, given the size of a slab of each field."""
        return _starts(np.repeat(sizes, self.counts))

    def _total(self, sizes: Sequence[int]) -> int:
        return sum(size * count for size, count in zip(sizes, self.counts))


def _starts(sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.cumsum([0, *sizes[:-1]])
