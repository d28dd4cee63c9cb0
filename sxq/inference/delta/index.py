"""An index of a field's edges by unit and by tail, to look up few of them fast."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sxq.inference.tiles.layout import FieldLayout


@dataclass(frozen=True, eq=False)
class Runs:
    """Numbers in groups: group g has the numbers from start[g] to start[g + 1]."""

    start: np.ndarray
    order: np.ndarray  # the grouped items, in that order

    @staticmethod
    def by(group: np.ndarray, groups: int) -> "Runs":
        order = np.argsort(group, kind="stable")
        return Runs(np.searchsorted(group[order], np.arange(groups + 1)), order)

    def of(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All numbers of some groups [n], group by group: (position of the group in [n], number)."""
        first = self.start[groups]
        count = self.start[groups + 1] - first
        which = np.arange(len(groups)).repeat(count)
        return which, np.arange(len(which)) + (first - count.cumsum() + count)[which]


class FieldIndex:
    """The edges of the widest layer by unit and by tail. Arrays are in the order of their runs."""

    def __init__(self, layout: FieldLayout):
        unit, head = layout.into(layout.rows(layout.depth))
        self.counted = Runs.by(unit, layout.units)  # by unit: edges that count in a degree
        self.counted_head = head[self.counted.order]
        one = layout.edges(layout.depth - 1, "keep")
        self._tail, self._head, self._mask = (
            ends.numpy().astype(np.int64) for ends in (one.tail, one.head, one.mask)
        )
        free = np.flatnonzero(self._mask < layout.units)
        self.sent = Runs.by(self._mask[free], layout.units)  # by unit: edges that carry a message
        self.tail, self.head = (ends[free][self.sent.order] for ends in (self._tail, self._head))
        self._rows = one.rows
        self._rows_in = one.rows_in

    @cached_property
    def leaving(self) -> tuple[Runs, np.ndarray, np.ndarray]:
        """All edges but loops, by tail: runs, heads, mask-table rows."""
        edges = np.flatnonzero(self._head != self._tail)
        runs = Runs.by(self._tail[edges], self._rows_in)
        return runs, self._head[edges][runs.order], self._mask[edges][runs.order]

    @cached_property
    def loops(self) -> np.ndarray:
        """The number of loops of each row."""
        return np.bincount(self._tail[self._tail == self._head], minlength=self._rows_in)


def index_of(layout: FieldLayout) -> FieldIndex:
    """The index of a field, made once."""
    return layout.memo("index_of", lambda: FieldIndex(layout))


def true_positions(flags: np.ndarray) -> np.ndarray:
    """Where a mostly false bool array [n] is true; it reads eight values at a time."""
    whole = len(flags) // 8 * 8
    words = flags[:whole].view(np.uint64).nonzero()[0][:, None] * 8 + np.arange(8)
    return np.concatenate([words[flags[words]], whole + flags[whole:].nonzero()[0]])
