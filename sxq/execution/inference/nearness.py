"""Which candidates of a batch are near enough to a reference to be computed as differences.

References are the empty field and the whole one, computed once per field, and candidates that others of the
batch resemble: the siblings of one step of peeling or growing differ in two units from each other, and may
differ in thousands from both ends. The last of these are remembered, as the next step differs little.
"""

from collections.abc import Iterator

import numpy as np

from sxq.execution.inference.difference import Reference
from sxq.execution.inference.plan import FieldPlan
from sxq.execution.inference.wiring import wiring

TERM = 10  # what a term of a difference costs, in messages of a sum
WORTH = 2**17  # messages that a tile of its own must save
FAMILY = 6  # candidates that a reference of their own pays for
FAMILIES = 4  # references of candidates tried on one batch, and remembered of those before


def near(plan: FieldPlan, bits: np.ndarray) -> Iterator[tuple[Reference | None, np.ndarray]]:
    """Every candidate [n, U] once: (reference, which are near to it), at last (None, near to none)."""
    furthest, packed, left = reach(plan), np.packbits(bits, axis=1), np.arange(len(bits))
    fewest = -(-WORTH // (2 * plan.edges(plan.depth - 1, "keep").size))
    recent = plan.memo("recent", list)
    for reference in (*ends(plan), *recent):
        if len(left) < fewest:
            break
        close = _distance(packed[left], reference.packed) <= furthest
        if close.sum() >= fewest:
            yield reference, left[close]
            left = left[~close]
    for _ in range(FAMILIES):
        if len(left) < max(fewest, FAMILY):
            break
        close = _distance(packed[left], packed[left[0]]) <= furthest
        if close.sum() >= max(fewest, FAMILY):
            recent.insert(0, Reference(plan, bits[left[0]].copy()))
            yield recent[0], left[close]
            left = left[~close]
        else:
            left = np.roll(left, -1)
    del recent[FAMILIES:]
    yield None, left


def _distance(packed: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """In how many units candidates [n, ceil(U / 8)] differ from one: [n]."""
    return np.bitwise_count(packed ^ centre).sum(axis=1, dtype=np.int64)


def ends(plan: FieldPlan) -> tuple[Reference, Reference]:
    """No unit, and all of them."""
    return plan.memo("ends", lambda: tuple(
        Reference(plan, np.full(plan.units, whole)) for whole in (False, True)))


def reach(plan: FieldPlan) -> int:
    """In how many units a candidate may differ from a reference until sums are as cheap as differences."""
    def make() -> int:
        sent = np.diff(wiring(plan).leaving("keep")[0].start)
        terms = sent[plan.field.ends].sum(axis=0).mean()  # per unit, on one side; a hub counts every time
        return int(plan.edges(plan.depth - 1, "keep").size / (TERM * max(1.0, terms)))
    return plan.memo("reach", make)
