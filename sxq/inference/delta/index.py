"""The edges of a field as runs of numbers, for whoever walks along few of them: by unit and by tail."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sxq.inference.tiles.field import FieldPlan


@dataclass(frozen=True, eq=False)
class Runs:
    """Numbers in groups: group g has those from start[g] to start[g + 1]."""

    start: np.ndarray
    order: np.ndarray  # what was grouped, in that order

    @staticmethod
    def by(group: np.ndarray, groups: int) -> "Runs":
        order = np.argsort(group, kind="stable")
        return Runs(np.searchsorted(group[order], np.arange(groups + 1)), order)

    def of(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All numbers of some groups [n], one group after the other: (which of the n it is from, number)."""
        first = self.start[groups]
        count = self.start[groups + 1] - first
        which = np.arange(len(groups)).repeat(count)
        return which, np.arange(len(which)) + (first - count.cumsum() + count)[which]


class Wiring:
    """Which edges are whose unit's, and which leave which row, of those that the widest layer sends along. Arrays lie
    in the order of their runs."""

    def __init__(self, plan: FieldPlan):
        unit, head = plan.into(plan.rows(plan.depth))
        self.counted = Runs.by(unit, plan.units)  # by unit, wherever a degree matters
        self.counted_head = head[self.counted.order]
        one = plan.edges(plan.depth - 1, "keep")
        self._tail, self._head, self._mask = (
            ends.numpy().astype(np.int64) for ends in (one.tail, one.head, one.mask)
        )
        free = np.flatnonzero(self._mask < plan.units)
        self.sent = Runs.by(self._mask[free], plan.units)  # by unit
        self.tail, self.head = (ends[free][self.sent.order] for ends in (self._tail, self._head))
        self._rows, self._rows_in = one.rows, one.rows_in

    @cached_property
    def leaving(self) -> tuple[Runs, np.ndarray, np.ndarray]:
        """By tail, all but loops: runs, heads, rows of the mask table."""
        edges = np.flatnonzero(self._head != self._tail)
        runs = Runs.by(self._tail[edges], self._rows_in)
        return runs, self._head[edges][runs.order], self._mask[edges][runs.order]

    @cached_property
    def loops(self) -> np.ndarray:
        """How many each row has."""
        return np.bincount(self._tail[self._tail == self._head], minlength=self._rows_in)


def wiring(plan: FieldPlan) -> Wiring:
    """The wiring of a field, worked out once."""
    return plan.memo("wiring", lambda: Wiring(plan))


def set_in(flags: np.ndarray) -> np.ndarray:
    """Where a bool array [n] that is mostly false is true: eight are looked at together."""
    whole = len(flags) // 8 * 8
    words = flags[:whole].view(np.uint64).nonzero()[0][:, None] * 8 + np.arange(8)
    return np.concatenate([words[flags[words]], whole + flags[whole:].nonzero()[0]])
