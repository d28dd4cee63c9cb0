"""The changes that candidates make to bases, and the sums of the widest layer that differ by them.

A candidate that differs from a base in some units changes the degrees of the ends of these units.
So it changes the messages along all edges of these ends, and the messages along the edges of the
units.
"""

from dataclasses import dataclass

import numpy as np

from sxq.graph.bits import differing
from sxq.inference.delta.bases import Bases
from sxq.inference.delta.index import index_of, true_positions
from sxq.inference.tiles.layout import FieldLayout, Loops


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms to add to the sums of d rows: messages source[start[i]:start[i + 1]] to row i.

    With t senders and e edges that change, number j < t is the new message of sender j minus its
    old one; t + j is the whole message of edge j; t + e is no message.
    """

    keys: np.ndarray  # [d] of the rows, ascending
    source: np.ndarray
    start: np.ndarray  # [d + 1]


class Changes:
    """The changes of W candidates, each compared with a base.

    bits [W, U], also packed [W, words], and slots [W] of their bases. There are 2 W columns, first
    those of G_s; a key is column * R + row.
    """

    def __init__(
        self,
        layout: FieldLayout,
        bases: Bases,
        bits: np.ndarray,
        packed: np.ndarray,
        slots: np.ndarray,
    ):
        self.layout = layout
        self.bases = bases
        self.bits = bits
        self.slots = slots
        self.width = len(bits)
        self.rows = layout.rows(layout.depth)
        self.half = self.width * self.rows  # keys of G_s
        self.places = np.concatenate([2 * slots, 2 * slots + 1])
        index = index_of(layout)
        column, unit = differing(packed, bases.packed[slots])
        first = column * self.rows
        sign = np.where(bases.masks[2 * slots[column], unit], -1.0, 1.0)
        which, edge = index.counted.of(unit)
        touched = first[which] + index.counted_head[edge]  # keys of G_s whose degree changes
        moved = np.bincount(touched, sign[which], self.half)
        self.moved = np.concatenate([moved, -moved])  # by key: the change of each degree
        which, edge = index.sent.of(unit)
        first = first[which]
        sign = sign[which]
        tail = first + index.tail[edge]
        head = first + index.head[edge]
        flags = np.zeros(self.half, bool)
        flags[touched] = flags[tail] = True
        self.one_side = true_positions(flags)
        edge = self.one_side.searchsorted(tail)
        self.senders = self._both(self.one_side, self.half)  # [t] keys
        self.edge = self._both(edge, len(self.one_side))  # [e] the sender of each edge
        self.head = self._both(head, self.half)  # [e] keys
        self.sign = np.concatenate([sign, -sign])  # [e] 1.0 for an added edge, -1.0 for a removed

    @staticmethod
    def _both(values: np.ndarray, further: int) -> np.ndarray:
        """Values for G_s, then for G \\ G_s."""
        return np.concatenate([values, values + further])

    def at(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places and rows of keys."""
        column, row = np.divmod(keys, self.rows)
        return self.places[column], row

    def messages(self) -> np.ndarray:
        """The number [W] of messages from rows whose degree changes."""
        column, row = np.divmod(self.one_side, self.rows)
        return np.bincount(column, np.diff(index_of(self.layout).leaving[0].start)[row], self.width)

    def terms(self, loops: Loops, scaled: bool) -> Terms:
        """The differences of the sums of a layer; `scaled`: whether messages depend on degrees."""
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
        source = keys & ((1 << bits) - 1)
        keys = keys >> bits
        first = np.append(True, keys[1:] != keys[:-1]).nonzero()[0] if len(keys) else keys
        return Terms(keys[first], source, np.append(first, len(keys)))

    def _heard(self, bits: int) -> np.ndarray:
        """(key of the head << bits) + sender, for all edges that the base has, in G_s or G \\ G_s."""
        runs, head, mask = index_of(self.layout).leaving
        masks = self.bases.masks
        senders = self.one_side
        column, row = np.divmod(senders, self.rows)
        which, edge = runs.of(row)
        there = masks.reshape(-1)[(self.places[column] * masks.shape[1])[which] + mask[edge]]
        heard = (((senders - row) << bits) + np.arange(len(senders)))[which] + (head[edge] << bits)
        heard[~there] += (self.half << bits) + len(senders)
        return heard

    def _own(self, bits: int, loops: Loops | None, nothing: int) -> np.ndarray:
        """The same for loops; a row whose degree changes is scaled anew, even if it has no loop."""
        row = self.senders % self.rows
        own = (row < self.layout.rows(self.layout.depth - 1)).nonzero()[0]
        if loops == "replace":
            return (self.senders[own] << bits) + own
        times = index_of(self.layout).loops[row[own]] if loops else np.zeros(len(own), int)
        return np.append(
            (self.senders[own] << bits) + nothing, ((self.senders[own] << bits) + own).repeat(times)
        )
