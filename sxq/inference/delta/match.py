"""Which candidates of a batch are near enough to a state to be computed as its changes, and which become states.

Candidates that resemble each other far more than any state are a group. Its first one becomes a state: where the
group's changes would cost more than that, at once, from scratch; else after the batch, since the next batch of a
generator differs little from this one. What is far from all states, and has no group, is computed in full: of random
candidates all are.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from sxq.inference.delta.bases import ENDS, SLOTS, States, distance, pack_bits
from sxq.inference.delta.changes import Changes, Terms
from sxq.inference.tiles.field import FieldPlan

TERM = 8  # what a message that changes costs, in messages of a sum
UNIT = 40  # what a unit that changes does
ANEW = 1.5  # what a state costs from scratch, in candidates that are computed in full
BESIDE = 8  # units that candidates of a group may differ in, however near a state is
ALIKE = 4  # how many times nearer to each other than to any state they are otherwise


@dataclass(frozen=True, eq=False)
class Near:
    """What becomes a tile of differences."""

    rows: np.ndarray  # which of the candidates
    changes: Changes
    moves: Mapping[int, int]  # which of these -> slot in which it is remembered
    clock: int  # of the states, when they were looked up
    found: dict[Hashable, tuple[Terms, Tensor, Tensor]] = field(
        default_factory=dict
    )  # by layer: where sums differ,
    # the sums there, and what they are scaled


def near(plan: FieldPlan, states: States, bits: np.ndarray, moving: bool) -> Near | None:
    """The candidates [n, U] that are near to states, if there are any; `moving`: whether states may follow them."""
    packed, known = pack_bits(bits), states.known.nonzero()[0]
    apart = distance(packed[:, None], states.packed[known])  # [n, states]
    slots, least = known[apart.argmin(axis=1)], apart.min(axis=1)
    full = 2 * plan.edges(plan.depth - 1, "keep").size
    cost = float(UNIT) * least
    rows = (cost <= full).nonzero()[0]
    changes = Changes(plan, states, bits, packed, slots, rows)
    cost[rows] += TERM * changes.messages()
    taken, fresh, moves = set(slots.tolist()), {}, {}
    for group in _groups(packed, least) if moving else ():
        first, slot = group[0], int(slots[group[0]])
        anew = np.minimum(cost[group], full).sum() > ANEW * full
        if not anew and (cost[first] > full or slot < ENDS and least[first] <= BESIDE):
            continue
        if anew or slot < ENDS or slot in moves.values():
            slot = states.free(taken)
        if slot is None:
            continue
        taken.add(slot)
        if anew:
            slots[group], cost[group], fresh[slot] = slot, 0, first
        else:
            moves[int(first)] = slot
    if moving:
        states.tick(taken)
    if fresh:
        states.renew(list(fresh), bits[list(fresh.values())])
    rows = (cost <= full).nonzero()[0]
    if not len(rows):
        return None
    if fresh or len(rows) < changes.width:
        changes = Changes(plan, states, bits, packed, slots, rows)
    return Near(
        rows,
        changes,
        {int(rows.searchsorted(first)): slot for first, slot in moves.items()},
        states.clock,
    )


def _groups(packed: np.ndarray, least: np.ndarray) -> list[np.ndarray]:
    """Candidates that are alike, for as many groups as there are slots."""
    groups, left, reach = [], np.arange(len(packed)), np.maximum(BESIDE, least // ALIKE)
    while len(left) and len(groups) < SLOTS - ENDS:
        like = distance(packed[left], packed[left[0]]) <= reach[left]
        groups.append(left[like])
        left = left[~like]
    return groups
