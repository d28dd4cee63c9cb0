"""What candidates change in states, and which sums of the widest layer differ for it.

A candidate that differs from a state in some units changes the degrees of their ends, with them what those send along
all their edges, and what is sent along the edges of the units.
"""

from dataclasses import dataclass

import numpy as np

from sxq.inference.delta.bases import States, differing
from sxq.inference.delta.index import set_in, wiring
from sxq.inference.tiles.field import FieldPlan, Loops


@dataclass(frozen=True, eq=False)
class Terms:
    """What is added to the sums of d rows: messages source[start[i]:start[i + 1]] to row i.

    Of t senders and e edges that change, number j < t stands for what sender j sends now less what it did; t + j for
    all that edge j carries; t + e for nothing.
    """

    keys: np.ndarray  # [d] of the rows, ascending
    source: np.ndarray
    start: np.ndarray  # [d + 1]


class Changes:
    """W of n candidates, each compared with a state: bits [n, U], also packed, slots [n], rows [W]. There are 2 W
    columns, first those of G_s; a key is column * R + row."""

    def __init__(
        self,
        plan: FieldPlan,
        states: States,
        bits: np.ndarray,
        packed: np.ndarray,
        slots: np.ndarray,
        rows: np.ndarray,
    ):
        if len(rows) < len(bits):
            bits, packed, slots = bits[rows], packed[rows], slots[rows]
        self.plan, self.states, self.bits, self.slots = plan, states, bits, slots
        self.width, self.rows, wires = len(bits), plan.rows(plan.depth), wiring(plan)
        self.places, self.half = np.concatenate([2 * slots, 2 * slots + 1]), self.width * self.rows
        column, unit = differing(packed, states.packed[slots])
        first, sign = column * self.rows, np.where(states.masks[2 * slots[column], unit], -1.0, 1.0)
        which, edge = wires.counted.of(unit)
        touched = (
            first[which] + wires.counted_head[edge]
        )  # wherever a degree changes, on the side of G_s
        moved = np.bincount(touched, sign[which], self.half)
        self.moved = np.concatenate([moved, -moved])  # by how much degrees change, by key
        which, edge = wires.sent.of(unit)
        first, sign = first[which], sign[which]
        tail, head = first + wires.tail[edge], first + wires.head[edge]
        flags = np.zeros(self.half, bool)
        flags[touched] = flags[tail] = True
        self.one_side = set_in(flags)
        edge = self.one_side.searchsorted(tail)
        self.senders = self._both(self.one_side, self.half)  # [t] keys
        self.edge = self._both(edge, len(self.one_side))  # [e] which of the senders it leaves
        self.head = self._both(head, self.half)  # [e] keys
        self.sign = np.concatenate(
            [sign, -sign]
        )  # [e] 1.0 where an edge is added, -1.0 where it is taken away

    @staticmethod
    def _both(values: np.ndarray, further: int) -> np.ndarray:
        """Of G_s, then of G \\ G_s."""
        return np.concatenate([values, values + further])

    def at(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places and rows of keys."""
        column, row = np.divmod(keys, self.rows)
        return self.places[column], row

    def messages(self) -> np.ndarray:
        """[W] how many messages come from rows whose degree changes."""
        column, row = np.divmod(self.one_side, self.rows)
        return np.bincount(column, np.diff(wiring(self.plan).leaving[0].start)[row], self.width)

    def terms(self, loops: Loops, scaled: bool) -> Terms:
        """How the sums of a layer differ; `scaled`: whether what a row sends depends on its degree."""
        nothing = len(self.senders) + len(self.edge)
        bits = nothing.bit_length()
        keys = np.concatenate(
            [
                (self.head << bits) + np.arange(len(self.senders), nothing),
                self._own(bits, loops if scaled else None, nothing),
                *([self._heard(bits)] if scaled else []),
            ]
        )
        keys.sort()
        source, keys = keys & ((1 << bits) - 1), keys >> bits
        first = np.append(True, keys[1:] != keys[:-1]).nonzero()[0] if len(keys) else keys
        return Terms(keys[first], source, np.append(first, len(keys)))

    def _heard(self, bits: int) -> np.ndarray:
        """(key of the head << bits) + sender along all edges that are there in the state: on one side or the other."""
        (runs, head, mask), masks, senders = (
            wiring(self.plan).leaving,
            self.states.masks,
            self.one_side,
        )
        column, row = np.divmod(senders, self.rows)
        which, edge = runs.of(row)
        there = masks.reshape(-1)[(self.places[column] * masks.shape[1])[which] + mask[edge]]
        heard = (((senders - row) << bits) + np.arange(len(senders)))[which] + (head[edge] << bits)
        heard[~there] += (self.half << bits) + len(senders)
        return heard

    def _own(self, bits: int, loops: Loops | None, nothing: int) -> np.ndarray:
        """The same of loops; a row whose degree changes is scaled anew, even if it hears nothing of itself."""
        row = self.senders % self.rows
        own = (row < self.plan.rows(self.plan.depth - 1)).nonzero()[0]
        if loops == "replace":
            return (self.senders[own] << bits) + own
        times = wiring(self.plan).loops[row[own]] if loops else np.zeros(len(own), int)
        return np.append(
            (self.senders[own] << bits) + nothing, ((self.senders[own] << bits) + own).repeat(times)
        )
