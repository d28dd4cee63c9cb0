"""From what is asked to what runs together: batches cut and merged into tiles of a good size.

Too large a tile leaves the caches, too small a one is all overhead. A large batch is cut into tiles of its
own; the small batches of several fields share tiles, in slabs of a few candidates each. On a CPU every tile
runs on one thread, and tiles run side by side: an operation this small gains nothing from a second thread,
and loses much where that thread has to be waited for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from sxq.inference import CandidateBatch
from sxq.inference.delta.bases import states_of
from sxq.inference.delta.match import Near, near
from sxq.inference.delta.tile import NearTile
from sxq.inference.tiles.field import FieldPlan
from sxq.inference.tiles.tile import Tile
from sxq.inference.tiles.union import Union

LARGEST = {
    "cpu": 2**18,
    "cuda": 2**25,
}  # messages of a tile's widest layer: caches hold them, a GPU is full
NARROW = 16  # candidates side by side in a tile at least, however large their field: shorter runs are slow
FEWEST = 4  # that are cut from a batch for another thread: two take as long as four
SMALLEST = 2**19  # messages below which a tile is not cut for the sake of another thread
ALONE = 2**13  # messages from which the batch of one field is worth operations of its own
WIDE = 2**15  # messages of the widest layer from which differences pay
NEAR = 2**15  # rows that receive in a tile of differences
SLAB = 8  # candidates of one field side by side where several fields share a tile


@dataclass(frozen=True, eq=False)
class TileJob:
    """What becomes one tile."""

    slab: int  # candidates side by side, where there are several fields
    owners: list[int] = field(default_factory=list)  # which batch each part is from
    fields: list[FieldPlan] = field(default_factory=list)
    bits: list[np.ndarray] = field(default_factory=list)  # [n, U] bool per part
    rows: list[np.ndarray | slice] = field(
        default_factory=list
    )  # which candidates of its batch a part holds
    near: Near | None = None  # where they are computed as differences

    def add(
        self, owner: int, plan: FieldPlan, bits: np.ndarray, rows: np.ndarray | slice = slice(None)
    ) -> "TileJob":
        self.owners.append(owner)
        self.fields.append(plan)
        self.bits.append(bits)
        self.rows.append(rows)
        return self

    @property
    def width(self) -> int:
        return len(self.bits[0]) if len(self.fields) == 1 else self.slab

    @property
    def slabs(self) -> list[int]:
        """How many of each field."""
        return [-(-len(bits) // self.width) for bits in self.bits]

    def tile(self) -> Tile:
        if self.near:
            return NearTile(self.near)
        frame = self.fields[0] if len(self.fields) == 1 else Union(self.fields, self.slabs)
        return Tile(frame, self.bits, self.width)


def pack(
    cuts: Sequence[CandidateBatch],
    messages: Callable[[FieldPlan], int],
    device: str,
    threads: int,
    differences: bool = False,
) -> list[TileJob]:
    """Loads of all candidates; `messages(plan)` says how many a candidate's graph has in its widest layer.
    `differences`: whether the first layers can be computed that way."""
    sizes = [2 * messages(cut.field) for cut in cuts]
    total = sum(size * len(cut.bits) for size, cut in zip(sizes, cuts))
    limit = (
        LARGEST[device]
        if device != "cpu"
        else min(LARGEST[device], max(SMALLEST, -(-total // threads)))
    )
    widths = [
        max(limit // size, min(NARROW, max(FEWEST, -(-len(cut.bits) // threads))))
        for size, cut in zip(sizes, cuts)
    ]
    if len(cuts) == 1:
        return list(_cut(0, cuts[0], widths[0], differences and sizes[0] >= WIDE))
    small = [size * len(cut.bits) < ALONE for size, cut in zip(sizes, cuts)]
    loads = [
        load
        for owner, (cut, size) in enumerate(zip(cuts, sizes))
        if not small[owner]
        for load in _cut(owner, cut, widths[owner], differences and size >= WIDE)
    ]
    shared = [(owner, cut, sizes[owner]) for owner, cut in enumerate(cuts) if small[owner]]
    return loads + list(_merge(shared, limit))


def _cut(owner: int, cut: CandidateBatch, width: int, differences: bool) -> Iterator[TileJob]:
    """A batch in equal pieces of at most `width` candidates, apart those that are near to a state."""
    if len(cut.bits) <= width and not differences:
        yield TileJob(width).add(owner, cut.field, cut.bits)
        return
    rest = np.arange(len(cut.bits))
    if differences:
        left, depth = [], cut.field.depth
        largest = max(
            cut.field.rows(depth - 1), cut.field.rows(depth) // 16
        )  # these are only flags and degrees
        for number, rows in enumerate(_pieces(rest, max(1, NEAR // largest))):
            found = near(cut.field, states_of(cut.field), cut.bits[rows], moving=number == 0)
            if found:
                yield TileJob(width, near=found).add(
                    owner, cut.field, found.changes.bits, rows[found.rows]
                )
                rows = np.delete(rows, found.rows)
            left.append(rows)
        rest = np.concatenate(left)
    for rows in _pieces(rest, width):
        yield TileJob(width).add(owner, cut.field, cut.bits[rows], rows)


def _pieces(rows: np.ndarray, width: int) -> list[np.ndarray]:
    return np.array_split(rows, -(-len(rows) // width)) if len(rows) else []


def _merge(small: Sequence[tuple[int, CandidateBatch, int]], limit: int) -> Iterator[TileJob]:
    """Batches of several fields, one behind the other, as many as a tile holds."""
    slab = min(SLAB, max((len(cut.bits) for _, cut, _ in small), default=1))
    load, free = TileJob(slab), limit
    for owner, cut, size in small:
        cost = size * slab * -(-len(cut.bits) // slab)
        if load.owners and cost > free:
            yield load
            load, free = TileJob(slab), limit
        load.add(owner, cut.field, cut.bits)
        free -= cost
    if load.owners:
        yield load
