"""The edges of a field as runs of numbers, for whoever walks along few of them: by unit and by tail."""

from dataclasses import dataclass

import numpy as np

from sxq.execution.inference.plan import FieldPlan, Loops


@dataclass(frozen=True, eq=False)
class Runs:
    """Numbers in groups: group g has values[start[g]:start[g + 1]]."""

    values: np.ndarray
    start: np.ndarray

    @staticmethod
    def by(group: np.ndarray, groups: int, values: np.ndarray | None = None) -> "Runs":
        """Values by their group [n]; without values their places 0 .. n - 1."""
        order = np.argsort(group, kind="stable")
        start = np.searchsorted(group[order], np.arange(groups + 1))
        return Runs(order if values is None else values[order], start)

    def only(self, chosen: np.ndarray) -> "Runs":
        """Without the values that are not chosen, [n] bool."""
        return Runs(self.values[chosen], np.concatenate([[0], np.cumsum(chosen)])[self.start])

    def of(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All numbers of some groups [n], one group after the other: (which of the n it is from, number)."""
        first, count = self.start[groups], self.start[groups + 1] - self.start[groups]
        which = np.repeat(np.arange(len(groups)), count)
        return which, self.values[np.arange(len(which)) + np.repeat(first - np.cumsum(count) + count, count)]


class Wiring:
    """Which edges leave which row, and which are whose unit's; the widest layer's rows receive."""

    def __init__(self, plan: FieldPlan):
        self.plan = plan
        unit, head = plan.into(plan.rows(plan.depth))
        self.heads = Runs.by(unit, plan.units, head)  # unit -> heads of its edges, wherever a degree matters
        one = plan.edges(plan.depth - 1, "keep")
        self.tail, self.head, units = (
            ends.numpy().astype(np.int64) for ends in (one.tail, one.head, one.mask))
        free = np.flatnonzero(units < plan.units)
        self.edges = Runs.by(units[free], plan.units, free)  # unit -> places of its edges in `tail`, `head`

    def leaving(self, loops: Loops) -> tuple[Runs, np.ndarray]:
        """Row -> heads of all edges that leave it, and the row of the mask table of each."""
        return self.plan.memo(("leaving", loops), lambda: self._leaving(loops))

    def _leaving(self, loops: Loops) -> tuple[Runs, np.ndarray]:
        one = self.plan.edges(self.plan.depth - 1, loops)
        order = Runs.by(one.tail.numpy(), one.rows_in)
        return Runs(one.head.numpy()[order.values], order.start), one.mask.numpy()[order.values]


def wiring(plan: FieldPlan) -> Wiring:
    """The wiring of a field, worked out once."""
    return plan.memo("wiring", lambda: Wiring(plan))


def set_in(flags: np.ndarray) -> tuple[np.ndarray, ...]:
    """`np.nonzero` of a bool array that is mostly false: eight are looked at together."""
    flat = np.ascontiguousarray(flags).reshape(-1)
    whole = len(flat) // 8 * 8
    words = np.flatnonzero(flat[:whole].view(np.uint64))[:, None] * 8 + np.arange(8)
    places = np.concatenate([words[flat[words]], whole + np.flatnonzero(flat[whole:])])
    return np.unravel_index(places, flags.shape) if flags.ndim > 1 else (places,)


def compact(places: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct places [d] below `size`, and of each place [n] which of them it is."""
    seen = np.zeros(size, bool)
    seen[places] = True
    (distinct,), number = set_in(seen), np.empty(size, np.int64)
    number[distinct] = np.arange(len(distinct))
    return distinct, number[places]
