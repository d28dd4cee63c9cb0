"""Every connected subgraph of a small field: the oracle for users and tests.

Source: reverse search over connected edge sets by inclusion and exclusion (Avis and Fukuda 1996).
If a field is too large, random descents estimate the count (Knuth 1975, "Estimating the efficiency
of backtrack programs").

    a state: its units, and units it will never have   `bits`, `barred`
    its children: one more unit of the frontier each   `children_of`
    a child may not have its elder siblings' units     `barred` grows by the units before its own in the frontier

So each connected set is reached once: each step adds the first unit of the frontier that is in the
set. Blocks of states are expanded in turn, so memory is bounded; while a level fits in one block,
smaller subgraphs come first.

Shapes: a field of U units; yields bits [n, U]. Cost: one candidate for each connected set of units that holds the
target, exponential in U; with the option `size`, for each of at most so many units, however large
the field is. If these exceed the budget, FieldTooLarge is raised before anything is verified. That
takes a fraction of a second: a bound that needs no counting, then a count and an estimate of
limited work.
"""

import math

import numpy as np

from sxq.errors import FieldTooLarge
from sxq.generators.protocol import NONE, Candidates, Context, Search
from sxq.graph import Field

DESCENTS = 256  # most descents of an estimate
STEPS = 64  # least steps of a descent before it is cut off
COUNTED = 100_000  # most subgraphs counted one by one; beyond, the estimate decides
CELLS = (
    2**25
)  # truth values that count and estimate may each write: on larger fields they do less work


def exhaustive(field: Field, context: Context, size: int = 0) -> Search:
    """Verify every connected subgraph, or those of at most `size` units if that is not 0.

    Raises FieldTooLarge if the allowance is too small for all of them.
    """
    most = context.allowance + 1  # the whole field was verified before
    deep = min(size - context.included, field.num_units) if size else field.num_units
    if count := _too_many(field, context, most, deep):
        sizes = f" of at most {size} units" if size else ""
        raise FieldTooLarge(
            f"exhaustive: a field of {field.num_units} units has {count} {_kind(field)}{sizes}, more "
            f"than its share of the budget, {most:,}; raise BUDGET, or let another generator search"
        )
    yield from _walk(field, context, deep)
    context.proved(deep)
    return True


def _kind(field: Field) -> str:
    """What the candidates of a field are called."""
    if field.over != "edges":
        return f"{'' if field.free else 'connected '}sets of {field.over}"
    return "subgraphs" if field.free else "connected subgraphs"


def _too_many(field: Field, context: Context, most: int, deep: int) -> str:
    """The number of candidates of at most `deep` units, in words, if it is known to exceed `most`; else empty."""
    if field.free:
        count = sum(math.comb(field.num_units, size) for size in range(1, deep + 1))
        return _number(log_of(count)) if count > most else ""
    least = least_count(field, deep)
    counted = min(COUNTED, CELLS // field.num_units)
    if least > max(most, counted):
        return f"more than {_number(log_of(least - 1))}"
    if (count := _count(field, context, counted, deep)) <= counted:
        return f"{count:,}" if count > most else ""
    if (about := estimated_count(field, context, deep)) > math.log(max(most, counted)):
        return f"about {_number(about)}"
    return f"more than {counted:,}" if counted >= most else ""


def log_of(number: int) -> float:
    """The logarithm of a whole number, however large."""
    return math.log(number) if number > 0 else -math.inf


def _number(log: float) -> str:
    """The text of a number that is given by its logarithm: 1,234 or 3e+45."""
    power = log / math.log(10)
    return f"{math.exp(log):,.0f}" if power < 7 else f"{int(10 ** (power % 1))}e+{int(power)}"


def least_count(field: Field, deep: int | None = None) -> int:
    """A lower bound of the number of connected subgraphs of at most `deep` units, without counting.

    Every unit gives one: a shortest path to it, or the unit alone. Also, any choice of some units
    may be added to one candidate (`Field.independent`).
    """
    if deep is not None and deep < field.num_units:
        near = int(field.frontiers(np.zeros((1, field.num_units), bool)).sum())
        fixed, free = field.independent() if field.alone else (0, near)
        sizes = range(max(fixed, 1) - fixed, deep - fixed + 1)
        return sum(math.comb(free, size) for size in sizes)
    _, free = field.independent()
    return max(field.num_units, 2**free - 1)  # except the empty choice, which may be no subgraph


def has_at_most(field: Field, context: Context, most: int) -> bool:
    """Whether a field has at most `most` connected subgraphs; they are counted where a bound does not decide."""
    if field.free:
        return 2**field.num_units - 1 <= most
    return least_count(field) <= most and _count(field, context, most, field.num_units) <= most


def every(field: Field, context: Context) -> np.ndarray:
    """All connected subgraphs of a field that has few of them, bits [n, U]; smaller ones come first."""
    walked = [candidates.bits for candidates in _walk(field, context, field.num_units)]
    return np.concatenate([np.zeros((0, field.num_units), bool), *walked])


def _walk(field: Field, context: Context, deep: int) -> Search:
    """Every candidate of at most `deep` units once; without answers it counts and lists them."""
    nothing = np.zeros((1, field.num_units), bool)
    step = max(1, context.rows // field.num_units)
    states = [(0, nothing, nothing, np.array([NONE]))]
    while states:
        size, bits, barred, ids = states.pop()
        frontier = field.frontiers(bits) & ~barred
        children = np.argwhere(frontier)
        for start in range(0, len(children) if size < deep else 0, step):
            row, unit = children[start : start + step].T
            made, closed = children_of(bits, barred, frontier, row, unit)
            scored = yield Candidates(made, ids[row], unit)
            states.append((size + 1, made, closed, scored.ids if scored else row))


def _count(field: Field, context: Context, most: int, deep: int) -> int:
    """The number of candidates of at most `deep` units, or one above `most` as soon as that is passed."""
    count = 0
    for candidates in _walk(field, context, deep):
        count += len(candidates.bits)
        if count > most:
            break
    return count


def children_of(
    bits: np.ndarray, barred: np.ndarray, frontier: np.ndarray, row: np.ndarray, unit: np.ndarray
):
    """Bits and barred units of states with one unit more, from rows [n'] of tables [n, U]."""
    elder = np.arange(bits.shape[1]) < unit[:, None]
    closed = barred[row] | (frontier[row] & elder)
    made = bits[row]
    made[np.arange(len(row)), unit] = True
    return made, closed


def estimated_count(field: Field, context: Context, deep: int | None = None) -> float:
    """The log of the estimated number of connected subgraphs of at most `deep` units.

    It is at most that of all sets of units.

    The estimate is the mean, over random descents, of the product of the numbers of choices. It is
    unbiased if no descent is cut off, but skewed: on large fields it is nearly always too small.
    """
    descents = max(1, min(DESCENTS, CELLS // (STEPS * field.num_units)))
    total = -math.inf
    bits, barred = np.zeros((2, descents, field.num_units), bool)
    weight = np.zeros(descents)  # logarithms: products of thousands of choices are beyond any float
    steps = max(STEPS, CELLS // (descents * field.num_units))
    for _ in range(steps if deep is None else min(steps, deep)):
        frontier = field.frontiers(bits) & ~barred
        if not (alive := frontier.any(axis=1)).any():
            break
        bits = bits[alive]
        barred = barred[alive]
        frontier = frontier[alive]
        weight = weight[alive]
        weight = weight + np.log(frontier.sum(axis=1))
        total = np.logaddexp.reduce(weight, initial=total)
        row = np.arange(len(bits))
        unit = np.where(frontier, context.rng.random(frontier.shape), -1.0).argmax(axis=1)
        bits, barred = children_of(bits, barred, frontier, row, unit)
    return min(total - math.log(descents), math.log(2**field.num_units - 1))
