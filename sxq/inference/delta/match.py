"""Finds the candidates of a batch that are near enough to a base to be computed as its changes.

Candidates that resemble each other far more than any base are a group, and its first one becomes a
base. It does so at once, from scratch, if the group's changes would cost more than that; otherwise
after the batch, because the next batch of a generator differs little from this one. A candidate
that is far from all bases and in no group is computed in full; random candidates all are.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from sxq.graph.bits import distance, pack_words
from sxq.inference.delta.bases import ENDS, SLOTS, Bases
from sxq.inference.delta.changes import Changes, Terms
from sxq.inference.tiles.layout import FieldLayout

TERM = 8  # cost of a changed message, in messages of a sum
UNIT = 40  # cost of a changed unit, in messages of a sum
ANEW = 1.5  # cost of a base from scratch, in candidates computed in full
BESIDE = 8  # units in which candidates of a group may differ, however near a base is
ALIKE = 4  # otherwise they must be this many times nearer to each other than to any base


@dataclass(frozen=True, eq=False)
class DeltaMatch:
    """The candidates of a tile of differences."""

    rows: np.ndarray  # their rows in the batch
    changes: Changes
    moves: Mapping[int, int]  # candidate that becomes a base after the batch -> its slot
    clock: int  # of the bases, when they were looked up
    # By layer: where sums differ, the sums there, and the scaled sums.
    found: dict[Hashable, tuple[Terms, Tensor, Tensor]] = field(default_factory=dict)


def match(layout: FieldLayout, bases: Bases, bits: np.ndarray, moving: bool) -> DeltaMatch | None:
    """The candidates of bits [n, U] that are near bases, or None; `moving`: whether bases may move."""
    packed = pack_words(bits)
    known = bases.known.nonzero()[0]
    apart = distance(packed[:, None], bases.packed[known])  # [n, bases]
    slots = known[apart.argmin(axis=1)]
    least = apart.min(axis=1)
    full = 2 * layout.edges(layout.depth - 1, "keep").size
    cost = float(UNIT) * least
    rows = (cost <= full).nonzero()[0]
    changes = Changes(layout, bases, *_some(rows, bits, packed, slots))
    cost[rows] += TERM * changes.messages()
    taken = set(slots.tolist())
    fresh: dict[int, int] = {}  # slot -> candidate that becomes a base at once
    moves: dict[int, int] = {}  # candidate that becomes a base after the batch -> slot
    for group in _groups(packed, least) if moving else ():
        first = group[0]
        slot = int(slots[first])
        anew = np.minimum(cost[group], full).sum() > ANEW * full
        if not anew and (cost[first] > full or slot < ENDS and least[first] <= BESIDE):
            continue
        if anew or slot < ENDS or slot in moves.values():
            free = bases.free(taken)
            if free is None:
                continue
            slot = free
        taken.add(slot)
        if anew:
            slots[group] = slot
            cost[group] = 0
            fresh[slot] = first
        else:
            moves[int(first)] = slot
    if moving:
        bases.tick(taken)
    if fresh:
        bases.renew(list(fresh), bits[list(fresh.values())])
    rows = (cost <= full).nonzero()[0]
    if not len(rows):
        return None
    if fresh or len(rows) < changes.width:
        changes = Changes(layout, bases, *_some(rows, bits, packed, slots))
    moves = {int(rows.searchsorted(first)): slot for first, slot in moves.items()}
    return DeltaMatch(rows, changes, moves, bases.clock)


def _some(rows: np.ndarray, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Some rows of arrays [n, ...]; no copies are made where these are all rows."""
    return arrays if len(rows) == len(arrays[0]) else tuple(array[rows] for array in arrays)


def _groups(packed: np.ndarray, least: np.ndarray) -> list[np.ndarray]:
    """Candidates that resemble each other, in as many groups as there are slots."""
    groups: list[np.ndarray] = []
    left = np.arange(len(packed))
    reach = np.maximum(BESIDE, least // ALIKE)
    while len(left) and len(groups) < SLOTS - ENDS:
        like = distance(packed[left], packed[left[0]]) <= reach[left]
        groups.append(left[like])
        left = left[~like]
    return groups
