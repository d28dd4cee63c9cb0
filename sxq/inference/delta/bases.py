"""What is remembered of some ways to cut a field, so that candidates near to one are computed as its changes.

A *state* is a candidate whose sums in the first layers are kept, on both sides, G_s and G \\ G_s. The first two are
the ends, no unit and all units; the others follow a generator from batch to batch, each a group of candidates that
resemble each other: the siblings of a peel differ in two units from each other, and little from those of the step
before.
"""

import warnings
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sxq.inference.tiles.field import EXTRA, HALO, ONES, FieldPlan, Incidence, Loops
from sxq.inference.tiles.threads import one_thread, side_by_side
from sxq.inference.tiles.tile import Weights, bag

SLOTS = 8  # states of a field at most
ENDS = 2  # that never move


@dataclass(frozen=True, eq=False)
class Layer:
    """What is kept of a layer."""

    source: Tensor  # [R_in, C] double: the rows that are read
    weights: Weights
    loops: Loops
    sums: Tensor  # [places, R, C] double: of the rows that receive
    table: Tensor  # [places, R, C] what is left of these when they are scaled


class States:
    """The states of one field, by slot. A *place* is a side of a state: 2 * slot, or 2 * slot + 1 for G \\ G_s."""

    def __init__(self, plan: FieldPlan):
        self.plan, self.known = plan, np.zeros(SLOTS, bool)  # which slots hold a state
        self.masks = np.zeros(
            (2 * SLOTS, plan.units + EXTRA), bool
        )  # units; what is always there; the halo
        self.masks[:, plan.units + ONES], self.masks[1::2, plan.units + HALO] = True, True
        self.packed = np.zeros((SLOTS, -(-plan.units // 64)), np.uint64)
        self.used, self.clock = np.zeros(SLOTS, np.int64), 0
        self.degrees: dict[
            Hashable, tuple[Incidence, np.ndarray]
        ] = {}  # [places, R] double, by what counts as degree
        self.layers: dict[Hashable, Layer] = {}
        with self.setting(range(ENDS), np.array([[False], [True]]).repeat(plan.units, axis=1)):
            pass

    @contextmanager
    def setting(self, slots: Sequence[int], bits: np.ndarray) -> Iterator[None]:
        """Candidates [n, U] become states: within, their values are to be written; if that fails, they are none."""
        slots = np.array(slots, np.int64)
        self.known[slots] = False
        self.masks[2 * slots, : self.plan.units], self.masks[2 * slots + 1, : self.plan.units] = (
            bits,
            ~bits,
        )
        self.packed[slots] = pack_bits(bits)
        yield
        self.known[slots] = True

    def copy(self, source: int, slot: int) -> None:
        """Give one state the values of another."""
        if source == slot:
            return
        kept = [one for layer in self.layers.values() for one in (layer.sums, layer.table)]
        for values in (*(degrees for _, degrees in self.degrees.values()), *kept):
            values[2 * slot : 2 * slot + 2] = values[2 * source : 2 * source + 2]

    def renew(self, slots: Sequence[int], bits: np.ndarray) -> None:
        """Make candidates [n, U] states, from scratch."""
        places = [2 * slot + side for slot in slots for side in (0, 1)]
        with self.setting(slots, bits):
            for one, degrees in self.degrees.values():
                degrees[places] = self._count(one, places)
            self._fill(self.layers.values(), places)

    def _fill(self, layers: Iterable[Layer], places: Iterable[int]) -> None:
        side_by_side(
            self._fill_one,
            [(layer, place) for layer in layers for place in places],
            self.plan.device,
        )

    def counted(self, weights: Weights) -> np.ndarray:
        """[places, R] double: degrees of the rows that may send."""
        if weights.key not in self.degrees:
            one = self.plan.incidence(weights.key, weights.incidence)
            self.degrees[weights.key] = one, self._count(one, range(2 * SLOTS))
        return self.degrees[weights.key][1]

    def _count(self, one: Incidence, places: Sequence[int]) -> np.ndarray:
        """[places, R]: of some places."""
        masks = torch.from_numpy(self.masks[list(places)].T.astype(np.float32, order="C"))
        with one_thread():
            return bag(masks, one.index, one.start, one.weight).T.double().contiguous().numpy()

    def layer(self, key: Hashable, source: Tensor, weights: Weights, loops: Loops) -> Layer:
        """What is kept of a layer, under a key that says what it reads and how."""
        if key not in self.layers:
            sums = source.new_empty(2 * SLOTS, self.plan.rows(self.plan.depth - 1), source.shape[1])
            layer = Layer(source, weights, loops, sums, torch.empty_like(sums, dtype=torch.float32))
            self._fill([layer], self.known.repeat(2).nonzero()[0].tolist())
            self.layers[key] = layer
        return self.layers[key]

    @torch.inference_mode()
    def _fill_one(self, item: tuple[Layer, int]) -> None:
        """The sums of a state on one side, from scratch."""
        (layer, place), rows = item, self.plan.rows(self.plan.depth - 1)
        tail, mask, start = self.plan.memo(
            ("outermost", layer.loops), lambda: self._outermost(layer.loops)
        )
        there = self.masks[place].take(mask).nonzero()[0]
        tail, weights = tail.take(there), layer.weights
        factor = weights.tail(self.counted(weights)[place]).take(tail) if weights.tail else None
        sums = sparse(there.searchsorted(start), tail, len(layer.source), factor) @ layer.source
        layer.sums[place] = sums
        if weights.head:
            sums *= torch.from_numpy(weights.head(self.counted(weights)[place, :rows]))[:, None]
        layer.table[place] = sums

    def _outermost(self, loops: Loops) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tails and rows of the mask table of all edges; where those of each row start [R + 1]."""
        one = self.plan.edges(self.plan.depth - 1, loops)
        return (
            one.tail.numpy().astype(np.int64),
            one.mask.numpy().astype(np.int64),
            np.append(one.start.numpy(), one.size),
        )

    def tick(self, slots: Collection[int]) -> None:
        """Some slots are used now."""
        self.clock += 1
        self.used[list(slots)] = self.clock

    def free(self, taken: Collection[int]) -> int | None:
        """A slot for a new state: one that was never used, or the one that was left alone for longest."""
        slots = [slot for slot in range(ENDS, SLOTS) if slot not in taken]
        return min(slots, key=self.used.__getitem__, default=None)


def states_of(plan: FieldPlan) -> States:
    """The states of a field, at first its ends."""
    return plan.memo("states", lambda: States(plan))


with warnings.catch_warnings():  # once in a process torch says that these are in beta
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 0], [], [], size=(1, 1), check_invariants=False)


def sparse(
    start: np.ndarray, column: np.ndarray, columns: int, values: np.ndarray | None = None
) -> Tensor:
    """A matrix in double precision, row by row from `start` [rows + 1] on; of ones where nothing else is said."""
    values = np.ones(len(column)) if values is None else values
    arrays, shape = map(torch.from_numpy, (start, column, values)), (len(start) - 1, columns)
    return torch.sparse_csr_tensor(*arrays, size=shape, check_invariants=False)


def pack_bits(bits: np.ndarray) -> np.ndarray:
    """Bits [n, U] as [n, ceil(U / 64)] numbers."""
    units = bits.shape[1]
    packed = np.zeros((len(bits), -(-units // 64) * 8), np.uint8)
    packed[:, : -(-units // 8)] = np.packbits(bits, axis=1, bitorder="little")
    return packed.view(np.uint64)


def differing(packed: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(candidate, unit) of all bits in which candidates [n, words] differ from others."""
    apart = (packed ^ other).reshape(-1)
    words = apart.nonzero()[0]
    which, bit = np.unpackbits(
        apart[words, None].view(np.uint8), axis=1, bitorder="little"
    ).nonzero()
    candidate, word = np.divmod(words[which], packed.shape[1])
    return candidate, 64 * word + bit


def distance(packed: np.ndarray, other: np.ndarray) -> np.ndarray:
    """In how many units candidates [..., words] differ from others."""
    return np.bitwise_count(packed ^ other).sum(axis=-1, dtype=np.int64)
