"""Which candidates of a batch are near enough to a reference to be computed as differences.

References are the empty field and the whole one, computed once per field, and candidates that many others of
the batch resemble: the siblings of one step of peeling or growing differ in two units from each other, and
may differ in thousands from both ends.
"""

from collections.abc import Iterator

import numpy as np

from sxq.execution.inference.difference import Reference
from sxq.execution.inference.plan import FieldPlan
from sxq.execution.inference.wiring import wiring

TERM = 10  # what a term of a difference costs, in messages of a sum
WORTH = 2**17  # messages that a tile of its own must save
FAMILY = 16  # candidates that a reference of their own pays for
FAMILIES = 4  # references tried on one batch


def near(plan: FieldPlan, bits: np.ndarray) -> Iterator[tuple[Reference | None, np.ndarray]]:
    """Every candidate [n, U] once: (reference, which are near to it), at last (None, near to none)."""
    furthest, packed, left = reach(plan), np.packbits(bits, axis=1), np.arange(len(bits))
    fewest = -(-WORTH // (2 * plan.edges(plan.depth - 1, "keep").size))
    for attempt in range(len(ends(plan)) + FAMILIES):
        own = attempt >= len(ends(plan))  # a candidate of the batch, in the hope of siblings
        enough = max(fewest, FAMILY) if own else fewest
        if len(left) < enough:
            break
        centre = bits[left[0]] if own else ends(plan)[attempt].bits
        close = np.bitwise_count(packed[left] ^ np.packbits(centre)).sum(axis=1, dtype=np.int64) <= furthest
        if close.sum() >= enough:
            yield Reference(plan, centre) if own else ends(plan)[attempt], left[close]
            left = left[~close]
        elif own:
            left = np.roll(left, -1)
    yield None, left


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
