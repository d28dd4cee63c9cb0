"""The bases of a field: candidates whose sums are remembered, so that others are computed as changes.

A *base* is a candidate whose sums in the first layers are kept for both of its graphs, G_s and
G \\ G_s. The first two bases are the ends: no unit, and all units. The others follow a generator
from batch to batch, each for a group of candidates that resemble each other: the siblings of a peel
differ from each other in two units, and little from those of the step before.
"""

import warnings
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.graph.bits import pack_words
from sxq.inference.tiles.layout import EXTRA_ROWS, ROW_HALO, ROW_ONES, FieldLayout, Incidence, Loops
from sxq.inference.tiles.threads import side_by_side
from sxq.inference.tiles.tile import Weights, bag
from sxq.models.thread_count import one_thread

SLOTS = 8  # most bases of a field
ENDS = 2  # bases that never move


@dataclass(frozen=True, eq=False)
class LayerSums:
    """The remembered sums of a layer, for all bases."""

    source: Tensor  # [R_in, C] double: the rows that are read
    weights: Weights
    loops: Loops
    sums: Tensor  # [places, R, C] double: of the rows that receive
    table: Tensor  # [places, R, C] float32: the same, scaled by the head's weight


class Bases:
    """The bases of one field, by slot.

    A *place* is one graph of a base: 2 * slot for G_s, 2 * slot + 1 for G \\ G_s.
    """

    def __init__(self, layout: FieldLayout):
        self.layout = layout
        self.known = np.zeros(SLOTS, bool)  # which slots hold a base
        self.masks = np.zeros((2 * SLOTS, layout.units + EXTRA_ROWS), bool)  # as in tiles/masks.py
        self.masks[:, layout.units + ROW_ONES] = True
        self.masks[1::2, layout.units + ROW_HALO] = True
        self.packed = pack_words(np.zeros((SLOTS, layout.units), bool))
        self.used = np.zeros(SLOTS, np.int64)
        self.clock = 0
        # [places, R] double, by the key of their incidence
        self.degrees: dict[Hashable, tuple[Incidence, np.ndarray]] = {}
        self.layers: dict[Hashable, LayerSums] = {}
        with self.setting(range(ENDS), np.array([[False], [True]]).repeat(layout.units, axis=1)):
            pass

    @contextmanager
    def setting(self, slots: Sequence[int], bits: np.ndarray) -> Iterator[None]:
        """Make candidates [n, U] bases; the caller writes their values within.

        If that fails, the slots hold no bases.
        """
        chosen = np.array(slots, np.int64)
        self.known[chosen] = False
        self.masks[2 * chosen, : self.layout.units] = bits
        self.masks[2 * chosen + 1, : self.layout.units] = ~bits
        self.packed[chosen] = pack_words(bits)
        yield
        self.known[chosen] = True

    def copy(self, source: int, slot: int) -> None:
        """Give one base the values of another."""
        if source == slot:
            return
        kept: list[Any] = [degrees for _, degrees in self.degrees.values()]
        kept += [one for layer in self.layers.values() for one in (layer.sums, layer.table)]
        for values in kept:
            values[2 * slot : 2 * slot + 2] = values[2 * source : 2 * source + 2]

    def renew(self, slots: Sequence[int], bits: np.ndarray) -> None:
        """Make candidates [n, U] bases, whose values are computed from scratch."""
        places = [2 * slot + side for slot in slots for side in (0, 1)]
        with self.setting(slots, bits):
            for one, degrees in self.degrees.values():
                degrees[places] = self._count(one, places)
            self._fill(self.layers.values(), places)

    def _fill(self, layers: Iterable[LayerSums], places: Iterable[int]) -> None:
        side_by_side(
            self._fill_one,
            [(layer, place) for layer in layers for place in places],
            self.layout.device,
        )

    def counted(self, weights: Weights) -> np.ndarray:
        """Degrees [places, R] double of the rows that may send."""
        if weights.key not in self.degrees:
            assert weights.incidence is not None, "factors by degree come with an incidence"
            one = self.layout.incidence(weights.key, weights.incidence)
            self.degrees[weights.key] = one, self._count(one, range(2 * SLOTS))
        return self.degrees[weights.key][1]

    def _count(self, one: Incidence, places: Sequence[int]) -> np.ndarray:
        """The same [places, R] of some places."""
        masks = torch.from_numpy(self.masks[list(places)].T.astype(np.float32, order="C"))
        with one_thread():
            return bag(masks, one.index, one.start, one.weight).T.double().contiguous().numpy()

    def layer(self, key: Hashable, source: Tensor, weights: Weights, loops: Loops) -> LayerSums:
        """The sums of a layer; the key identifies its rows, weights and loops."""
        if key not in self.layers:
            sums = source.new_empty(
                2 * SLOTS, self.layout.rows(self.layout.depth - 1), source.shape[1]
            )
            table = torch.empty_like(sums, dtype=torch.float32)
            layer = LayerSums(source, weights, loops, sums, table)
            self._fill([layer], self.known.repeat(2).nonzero()[0].tolist())
            self.layers[key] = layer
        return self.layers[key]

    @torch.inference_mode()
    def _fill_one(self, item: tuple[LayerSums, int]) -> None:
        """Compute the sums of one graph of a base from scratch."""
        layer, place = item
        rows = self.layout.rows(self.layout.depth - 1)
        tail, mask, start = self.layout.memo(
            ("outermost", layer.loops), lambda: self._outermost(layer.loops)
        )
        there = self.masks[place].take(mask).nonzero()[0]
        tail = tail.take(there)
        weights = layer.weights
        factor = weights.tail(self.counted(weights)[place]).take(tail) if weights.tail else None
        sums = sparse(there.searchsorted(start), tail, len(layer.source), factor) @ layer.source
        layer.sums[place] = sums
        if weights.head:
            sums *= torch.from_numpy(weights.head(self.counted(weights)[place, :rows]))[:, None]
        layer.table[place] = sums

    def _outermost(self, loops: Loops) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tails and mask-table rows of all edges; where the edges of each row start [R + 1]."""
        one = self.layout.edges(self.layout.depth - 1, loops)
        return (
            one.tail.numpy().astype(np.int64),
            one.mask.numpy().astype(np.int64),
            np.append(one.start.numpy(), one.size),
        )

    def tick(self, slots: Collection[int]) -> None:
        """Note that some slots are used now."""
        self.clock += 1
        self.used[list(slots)] = self.clock

    def free(self, taken: Collection[int]) -> int | None:
        """A slot for a new base: one that was never used, or the least recently used one."""
        slots = [slot for slot in range(ENDS, SLOTS) if slot not in taken]
        return min(slots, key=self.used.__getitem__, default=None)


def bases_of(layout: FieldLayout) -> Bases:
    """The bases of a field; at first only its ends."""
    return layout.memo("bases", lambda: Bases(layout))


with warnings.catch_warnings():  # torch warns once in a process that these are in beta
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 0], [], [], size=(1, 1), check_invariants=False)


def sparse(
    start: np.ndarray, column: np.ndarray, columns: int, values: np.ndarray | None = None
) -> Tensor:
    """A double-precision matrix whose row i has the columns from start[i] to start[i + 1].

    `values` are ones by default.
    """
    values = np.ones(len(column)) if values is None else values
    crow, col, kept = map(torch.from_numpy, (start, column, values))
    shape = (len(start) - 1, columns)
    return torch.sparse_csr_tensor(crow, col, kept, size=shape, check_invariants=False)
