"""Every connected subgraph of a small field: the oracle for users and tests.

Source: reverse search over connected edge sets by inclusion and exclusion (Avis and Fukuda 1996); the count of a
field too large is estimated by random descents (Knuth 1975, "Estimating the efficiency of backtrack programs").

    a state: its units, and units it will never have   `bits`, `barred`
    its children: one more unit of the frontier each   `_children`
    a child may not have its elder siblings' units     `barred` grows by the frontier's units before its own

A connected set is thereby reached once: at each step by the first unit, in order, of those that its frontier offers
and that it has. Blocks of states are expanded in turn, so memory is bounded; while a level fits in one block, the
smaller subgraphs come first.

Shapes: a field of U units; yields bits [n, U]. Cost: one candidate for each connected set of units that holds the
target, exponential in U: nothing is verified, and FieldTooLarge raised, where they are more than the budget.
"""

import numpy as np

from sxq.errors import FieldTooLarge
from sxq.execution.conversation import Candidates, Context, Search
from sxq.graph import Field

PROBES = 256  # random descents of an estimate
COUNTED = 100_000  # subgraphs counted one by one; beyond, the estimate decides


def exhaustive(field: Field, context: Context) -> Search:
    """Verify every connected subgraph; raises FieldTooLarge where the allowance does not pay for all."""
    most = context.allowance + 1  # the whole field was verified before
    count, about = _count(field, context), ""
    if count > COUNTED:
        count, about = max(count, _estimate(field, context)), "about "
    if count > most:
        shown = f"{about}{count:,.0f}" if count < 1e7 else f"{about}{count:.0e}"
        raise FieldTooLarge(f"exhaustive: a field of {field.num_units} units has {shown} connected subgraphs, more "
                            f"than its share of the budget, {most:,}; raise BUDGET, or let another generator search")
    yield from _walk(field, context)
    return True


def _walk(field: Field, context: Context) -> Search:
    """Every connected subgraph once; where nobody answers, they are only counted."""
    nothing, step = np.zeros((1, field.num_units), bool), max(1, context.rows // field.num_units)
    states = [(nothing, nothing, np.array([-1]))]
    while states:
        bits, barred, ids = states.pop()
        made, closed, row, unit = _children(field, bits, barred)
        for start in range(0, len(made), step):
            part = slice(start, start + step)
            scored = yield Candidates(made[part], ids[row[part]], unit[part])
            states.append((made[part], closed[part], scored.ids if scored else row[part]))


def _count(field: Field, context: Context) -> int:
    """How many connected subgraphs there are, or a number above COUNTED as soon as that is passed."""
    count = 0
    for candidates in _walk(field, context):
        count += len(candidates.bits)
        if count > COUNTED:
            break
    return count


def _children(field: Field, bits: np.ndarray, barred: np.ndarray):
    """The states with one unit more: bits and barred [n', U], the row and the unit that each was made from [n']."""
    frontier = field.frontiers(bits) & ~barred
    row, unit = np.nonzero(frontier)
    elder = np.arange(field.num_units) < unit[:, None]
    made, closed = bits[row], barred[row] | (frontier[row] & elder)
    made[np.arange(len(row)), unit] = True
    return made, closed, row, unit


def _estimate(field: Field, context: Context) -> float:
    """How many connected subgraphs there are: the mean over random descents of the products of their choices.

    Unbiased, but skewed: on large fields nearly always too small.
    """
    bits, barred = (np.repeat(np.zeros((1, field.num_units), bool), PROBES, axis=0) for _ in range(2))
    weight, total = np.ones(PROBES), 0.0
    while len(bits):
        frontier = field.frontiers(bits) & ~barred
        choices = frontier.sum(axis=1)
        weight = weight * choices
        total += weight.sum()
        alive = choices > 0
        bits, barred, frontier, weight = bits[alive], barred[alive], frontier[alive], weight[alive]
        lottery = np.where(frontier, context.rng.random(frontier.shape), -1.0)
        unit = lottery.argmax(axis=1) if len(bits) else np.zeros(0, int)
        barred |= frontier & (np.arange(field.num_units) < unit[:, None])
        bits[np.arange(len(bits)), unit] = True
    return total / PROBES

