"""Cuts and merges batches into jobs, each of which becomes one tile of a good size.

A tile that is too large leaves the caches; one that is too small is mostly overhead. A large batch
is cut into tiles of its own; small batches of several fields share tiles, in slabs of a few
candidates each. On a CPU every tile runs on one thread, and tiles run side by side: an operation
this small gains nothing from a second thread, and loses much by waiting for it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from sxq.inference import CandidateBatch
from sxq.inference.delta.bases import bases_of
from sxq.inference.delta.delta_tile import DeltaTile
from sxq.inference.delta.match import DeltaMatch, match
from sxq.inference.tiles.layout import FieldLayout
from sxq.inference.tiles.tile import Tile
from sxq.inference.tiles.union import Union

# Messages of a tile's widest layer: they fit the caches of a CPU, and fill a GPU.
LARGEST = {"cpu": 2**18, "cuda": 2**25}
NARROW = 16  # least candidates in a tile, even of a large field: shorter runs are slow
FEWEST = 4  # least candidates for a tile of another thread: two take as long as four
SMALLEST = 2**19  # messages below which a tile is not cut for the sake of another thread
ALONE = 2**13  # messages from which the batch of one field gets operations of its own
WIDE = 2**15  # messages of the widest layer from which differences pay
NEAR = 2**15  # rows that receive in a tile of differences
SLAB = 8  # candidates of one field side by side in a tile that several fields share


@dataclass(frozen=True, eq=False, kw_only=True)
class TileJob:
    """The parts of one or more batches that run in one tile."""

    slab: int  # candidates side by side, if there are several fields
    owners: list[int] = field(default_factory=list)  # number of the batch of each part
    fields: list[FieldLayout] = field(default_factory=list)
    bits: list[np.ndarray] = field(default_factory=list)  # [n, U] bool per part
    # The candidates of its batch that each part holds.
    rows: list[np.ndarray | slice] = field(default_factory=list)
    match: DeltaMatch | None = None  # set if the candidates are computed as differences from bases

    def add(
        self,
        owner: int,
        layout: FieldLayout,
        bits: np.ndarray,
        rows: np.ndarray | slice = slice(None),
    ) -> "TileJob":
        self.owners.append(owner)
        self.fields.append(layout)
        self.bits.append(bits)
        self.rows.append(rows)
        return self

    @property
    def width(self) -> int:
        return len(self.bits[0]) if len(self.fields) == 1 else self.slab

    @property
    def slabs(self) -> list[int]:
        """The number of slabs of each field."""
        return [-(-len(bits) // self.width) for bits in self.bits]

    def tile(self) -> Tile:
        if self.match:
            return DeltaTile(self.match)
        frame = self.fields[0] if len(self.fields) == 1 else Union(self.fields, self.slabs)
        return Tile(frame, self.bits, self.width)


def pack(
    batches: Sequence[CandidateBatch],
    messages: Callable[[FieldLayout], int],
    device: str,
    threads: int,
    as_delta: bool = False,
) -> list[TileJob]:
    """The jobs of all candidates.

    `messages(layout)` is the number of messages that a candidate's graph has in its widest layer;
    `as_delta` allows the first layers to be computed as differences.
    """
    sizes = [2 * messages(batch.field) for batch in batches]
    total = sum(size * len(batch.bits) for size, batch in zip(sizes, batches))
    limit = LARGEST[device]
    if device == "cpu":
        limit = min(limit, max(SMALLEST, -(-total // threads)))
    widths = [
        max(limit // size, min(NARROW, max(FEWEST, -(-len(batch.bits) // threads))))
        for size, batch in zip(sizes, batches)
    ]
    if len(batches) == 1:
        return list(_cut(0, batches[0], widths[0], as_delta and sizes[0] >= WIDE))
    small = [
        size * len(batch.bits) < ALONE and batch.field.field.over != "features"  # a tile has one x
        for size, batch in zip(sizes, batches)
    ]
    jobs = [
        job
        for owner, (batch, size) in enumerate(zip(batches, sizes))
        if not small[owner]
        for job in _cut(owner, batch, widths[owner], as_delta and size >= WIDE)
    ]
    shared = [(owner, batch, sizes[owner]) for owner, batch in enumerate(batches) if small[owner]]
    return jobs + list(_merge(shared, limit))


def _cut(owner: int, batch: CandidateBatch, width: int, as_delta: bool) -> Iterator[TileJob]:
    """A batch in equal pieces of at most `width` candidates; those near a base are jobs of their own."""
    if len(batch.bits) <= width and not as_delta:
        yield TileJob(slab=width).add(owner, batch.field, batch.bits)
        return
    rest = np.arange(len(batch.bits))
    if as_delta:
        left = []
        depth = batch.field.depth
        # The outermost rows have only flags and degrees, so they count less.
        largest = max(batch.field.rows(depth - 1), batch.field.rows(depth) // 16)
        for number, rows in enumerate(_pieces(rest, max(1, NEAR // largest))):
            found = match(batch.field, bases_of(batch.field), batch.bits[rows], moving=number == 0)
            if found:
                yield TileJob(slab=width, match=found).add(
                    owner, batch.field, found.changes.bits, rows[found.rows]
                )
                rows = np.delete(rows, found.rows)
            left.append(rows)
        rest = np.concatenate(left)
    for rows in _pieces(rest, width):
        yield TileJob(slab=width).add(owner, batch.field, batch.bits[rows], rows)


def _pieces(rows: np.ndarray, width: int) -> list[np.ndarray]:
    return np.array_split(rows, -(-len(rows) // width)) if len(rows) else []


def _merge(small: Sequence[tuple[int, CandidateBatch, int]], limit: int) -> Iterator[TileJob]:
    """Jobs of the batches of several fields, each with as many as a tile holds."""
    slab = min(SLAB, max((len(batch.bits) for _, batch, _ in small), default=1))
    job = TileJob(slab=slab)
    free = limit
    for owner, batch, size in small:
        cost = size * slab * -(-len(batch.bits) // slab)
        if job.owners and cost > free:
            yield job
            job = TileJob(slab=slab)
            free = limit
        job.add(owner, batch.field, batch.bits)
        free -= cost
    if job.owners:
        yield job
