"""The worth of every unit of an answer: what p loses without it on G_s, and regains with it on G \\ G_s.

A unit u of a member is left out and put back by one inference: on G_s without u, and on G without
the rest of G_s. So a member of n units costs n candidates more. Members are measured from the
smallest up, as long as the sum of their sizes fits `sxq_worth_budget`; of a target that was stopped,
as many as take about a second.
"""

from collections.abc import Sequence

import numpy as np

from sxq.errors import ModelError
from sxq.execution.target import Found
from sxq.values.explanation import Worth

CELLS = 2**25  # bits of the candidates that are made at once
AFTER_STOP = 1.0  # seconds for the worths of a target that was stopped


def measure(found: Found, members: Sequence[int], bits: np.ndarray) -> list[Worth | None]:
    """The worth of what each member consists of, given its bits [n, U]: its directed edges, nodes or features.

    It is None beyond the budget, and where the model fails: the answer itself is not lost then.
    """
    chosen = _affordable(bits.sum(axis=1), _budget(found))
    owner, unit = np.nonzero(bits & chosen[:, None])
    try:
        p, flags = _without_each(found, bits, owner, unit)
    except ModelError:  # the note says that nothing was measured
        return [None] * len(bits)
    table = found.table.rows(list(members))
    own_flags = np.stack([table.factual, table.counterfactual], axis=1)[owner]
    lost = table.p[owner, 0] - p[0]
    regained = p[1] - table.p[owner, 1]
    needed = (own_flags & ~flags).any(axis=1)
    columns = np.zeros((3, *bits.shape))
    columns[:, owner, unit] = lost, regained, needed
    field = found.loaded.field
    return [
        _listed(columns[:, row], field.units_of(bits[row])) if chosen[row] else None
        for row in range(len(bits))
    ]


def _budget(found: Found) -> float:
    """The number of candidates that may be verified for worths."""
    budget = found.choice.worth_budget
    if not found.stopped or not found.seconds:
        return budget
    return min(budget, AFTER_STOP * found.table.count / found.seconds)


def _affordable(sizes: np.ndarray, budget: float) -> np.ndarray:
    """Which members [n] bool are measured: the smallest, as many as fit the budget."""
    order = np.argsort(sizes, kind="stable")
    chosen = np.zeros(len(sizes), bool)
    chosen[order] = np.cumsum(sizes[order]) <= budget
    return chosen


def _without_each(
    found: Found, bits: np.ndarray, owner: np.ndarray, unit: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """p [2, m] and whether factual and counterfactual [m, 2], of members [m] without one unit [m]."""
    loaded = found.loaded
    step = max(1, CELLS // max(1, bits.shape[1]))
    p = np.zeros((2, len(owner)))
    same = np.zeros((2, len(owner)), bool)
    for start in range(0, len(owner), step):
        part = slice(start, start + step)
        fewer = bits[owner[part]]
        fewer[np.arange(len(fewer)), unit[part]] = False
        outputs = loaded.on_field.infer(fewer)
        for end in range(2):
            p[end, part] = loaded.question.p(outputs[end])
            same[end, part] = loaded.question.kept(outputs[end])
    return p, np.stack([same[0], ~same[1]], axis=1)


def _listed(columns: np.ndarray, units: np.ndarray) -> Worth:
    """The worth of what a member lists [m], given that of all units as columns [3, U] and the unit of each."""
    kept, removed, needed = columns[:, units]
    return Worth(kept=kept, removed=removed, needed=needed.astype(bool))
