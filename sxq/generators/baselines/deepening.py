"""Every candidate of one unit, then of two, and so on, as far as the budget goes: the proof of SMALLEST.

Source: iterative deepening (Korf 1985) over the walk of `exhaustive.py`, which makes each connected
set once.

    a level: all candidates of k units            `_Level`, with the units that each will never have
    the next level                                `_Level.children`, the best expected first
    how good a child is expected to be            `_Aim`: what its parent measured, plus the edge gradient of its unit
    a level that is too large for half of the budget: first find any member
        grow a few states by the best units       `_grown`
        leave out what is not needed              `_thinned`
    then go on with levels below that member's size; of one that does not fit, the best children

`until` names the flag that ends the search: factual or counterfactual. When a level without such a
member is complete, `context.proved` is told; the first one found in the next level is then a
smallest one.

Shapes: a field of U units; yields bits [n, U]. Cost: `allowance` candidates at most. Ours.
"""

from collections.abc import Generator

import numpy as np

from sxq.generators.baselines.exhaustive import children_of
from sxq.generators.protocol import NONE, Candidates, Context, Estimate, Scored, Search, gradient
from sxq.generators.search.edge_table import log_odds
from sxq.graph import Field
from sxq.graph.bits import first_of_each, pack, unpack

BATCH = 256  # most candidates verified at once, so that a level can end early
BEAM = 4  # states grown side by side
TRIED = 4  # children of each
Bits = np.ndarray


def deepening(field: Field, context: Context, until: str = "") -> Search:
    """Complete levels of candidates by size, until one has a member with the flag `until`."""
    aim = _Aim(field, context, until, (yield from _weight(field, until)))
    level = _Level.start(field)
    known = field.num_units + 1  # the size of the smallest member known
    searched = not until
    while level.size < field.num_units:
        if known == level.size + 1:
            return True
        count = level.count(field, context.rows)
        if not searched and count > aim.left // 2:
            known = min(known, (yield from _any_member(aim, level)))
            searched = True
            continue
        whole = count <= aim.left
        children = level.children(aim, min(count, max(aim.left, 0)))
        known = min(known, (yield from level.advance(aim, children)))
        if known == level.size + 1:
            return True
        if not whole:
            return False
        level.size += 1
        context.proved(level.size)
    return True


class _Aim:
    """What is searched for, how far a candidate is from it, and the allowance that is left."""

    def __init__(self, field: Field, context: Context, until: str, weight: np.ndarray):
        self.field = field
        self.context = context
        self.until = until
        self.left = context.allowance
        self.weight = weight  # [U] first-order gain by adding each unit

    def of(self, p: np.ndarray) -> np.ndarray:
        """How near [n] candidates with p [n, 2] are to the flag: log-odds of G_s, or the drop without it."""
        odds = log_odds(p)
        return odds[:, 0] if self.until == "factual" else -odds[:, 1]

    def hits(self, scored: Scored) -> np.ndarray:
        """Which candidates [n] end the search."""
        if not self.until:
            return np.zeros(len(scored.ids), bool)
        return getattr(scored, self.until) & scored.explanatory

    def verify(
        self, bits: Bits, parent: int | np.ndarray = NONE
    ) -> Generator[Candidates, Scored, Scored]:
        """Ask for candidates [n, U] and take them off the allowance."""
        scored = yield Candidates.of(bits, parent)
        self.left -= len(bits)
        return scored


def _weight(field: Field, until: str) -> Generator[Estimate, np.ndarray, np.ndarray]:
    """Ask for the first-order gain [U] by adding each unit: to nothing, or to what is removed from the graph."""
    if until != "factual":
        return (yield from gradient(field))
    found = yield Estimate(np.zeros((1, field.num_units), bool), rest=False)
    return found[0]


class _Level:
    """All candidates of one size, in packed rows, and the units barred to each."""

    def __init__(self, size: int, bits: Bits, barred: Bits, worth: np.ndarray, ids: np.ndarray):
        self.size = size
        self.bits = bits  # [n, ceil(U / 8)]
        self.barred = barred  # the same
        self.worth = worth  # [n] as measured, of the empty set 0
        self.ids = ids  # [n] candidate numbers

    @staticmethod
    def start(field: Field) -> "_Level":
        """The level of the empty set."""
        nothing = pack(np.zeros((1, field.num_units), bool))
        return _Level(0, nothing, nothing, np.zeros(1), np.array([NONE]))

    def count(self, field: Field, rows: int) -> int:
        """The number of candidates of the next level."""
        return sum(int(open_.sum()) for _, open_ in self._open(field, rows))

    def children(self, aim: _Aim, most: int) -> tuple[np.ndarray, np.ndarray]:
        """The parents' rows and the units of the `most` children of this level expected to be best, in order."""
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for start, open_ in self._open(aim.field, aim.context.rows):
            row, unit = np.nonzero(open_)
            worth = self.worth[start + row] + aim.weight[unit]
            found.append((start + row, unit, worth))
            row, unit, worth = map(np.concatenate, zip(*found))
            best = np.argsort(-worth, kind="stable")[:most]
            found = [(row[best], unit[best], worth[best])]
        row, unit, _ = found[0]
        return row, unit

    def advance(
        self, aim: _Aim, children: tuple[np.ndarray, np.ndarray]
    ) -> Generator[Candidates, Scored, int]:
        """Verify children, which take the place of the level; returns the size of the smallest hit.

        Ends as soon as there is a hit of the children's own size: candidates that must hold further
        units may be larger.
        """
        units = aim.field.num_units
        parts = []
        known = units + 1
        for start in range(0, len(children[0]), step := min(BATCH, aim.context.rows)):
            row, unit = (each[start : start + step] for each in children)
            parents, place = np.unique(row, return_inverse=True)
            bits = unpack(self.bits[parents], units)
            barred = unpack(self.barred[parents], units)
            frontier = aim.field.frontiers(bits) & ~barred
            made, closed = children_of(bits, barred, frontier, place.reshape(-1), unit)
            scored = yield from aim.verify(made, self.ids[row])
            parts.append((pack(made), pack(closed), aim.of(scored.p), scored.ids))
            hits = scored.sizes[aim.hits(scored)] - aim.context.included
            if (known := min(known, hits.min(initial=known))) == self.size + 1:
                return known
        empty = (self.bits[:0], self.bits[:0], self.worth[:0], self.ids[:0])
        columns = map(np.concatenate, zip(empty, *parts))
        self.bits, self.barred, self.worth, self.ids = columns
        return known

    def best(self, units: int, most: int) -> Bits:
        """The best states of the level, bits [n, U]."""
        order = np.argsort(-self.worth, kind="stable")[:most]
        return unpack(self.bits[order], units)

    def _open(self, field: Field, rows: int):
        """Blocks of the level: where each begins, and the units [n, U] bool that may be added."""
        step = max(1, rows // 4)
        for start in range(0, len(self.bits), step):
            block = slice(start, start + step)
            bits = unpack(self.bits[block], field.num_units)
            yield start, field.frontiers(bits) & ~unpack(self.barred[block], field.num_units)


def _any_member(aim: _Aim, level: _Level) -> Generator[Candidates, Scored, int]:
    """The size of some member with the flag, made small; more than all units if none is found."""
    reserve = aim.left // 3
    member = yield from _grown(aim, level, reserve)
    if member is None:
        return aim.field.num_units + 1
    member = yield from _thinned(aim, member, reserve)
    scored = yield from aim.verify(member[None])
    return int(scored.sizes[0]) - aim.context.included


def _grown(aim: _Aim, level: _Level, reserve: int) -> Generator[Candidates, Scored, Bits | None]:
    """Grow the best states of a level by the best units until one is a member; None if none is."""
    states = level.best(aim.field.num_units, BEAM)
    while aim.left > reserve:
        step = 1 + int(states[0].sum()) // 8
        open_ = aim.field.frontiers(states)
        gain = np.where(open_, aim.weight, -np.inf)
        order = np.argsort(-gain, axis=1, kind="stable")[:, : step + TRIED]
        children = []
        for state, own, able in zip(states, order, np.take_along_axis(open_, order, axis=1)):
            own = own[able]
            for first in range(min(TRIED, len(own))):
                child = state.copy()
                child[own[first : first + step]] = True
                children.append(child)
        if not children:
            return None
        bits = np.stack(children)
        bits = bits[first_of_each(bits)]
        scored = yield from aim.verify(bits)
        if (hits := np.flatnonzero(aim.hits(scored))).size:
            return bits[hits[bits[hits].sum(axis=1).argmin()]]
        best = np.argsort(-aim.of(scored.p), kind="stable")[:BEAM]
        states = bits[best]
    return None


def _thinned(aim: _Aim, member: Bits, reserve: int) -> Generator[Candidates, Scored, Bits]:
    """Leave units of a member out, one or many at once, as long as a smaller one is found."""
    while aim.left > reserve and (size := int(member.sum())) > 1:
        units = np.flatnonzero(member)
        weakest = units[np.argsort(aim.weight[units], kind="stable")]
        dropped = [weakest[place : place + 1] for place in range(min(size, BATCH))]
        dropped += [weakest[: 2**power] for power in range(1, size.bit_length())]
        smaller = np.repeat(member[None], len(dropped), axis=0)
        for row, lost in enumerate(dropped):
            smaller[row, lost] = False
        smaller = aim.field.component(smaller)
        smaller = smaller[smaller.any(axis=1)]
        smaller = smaller[first_of_each(smaller)] if len(smaller) else smaller
        if not len(smaller):
            break
        scored = yield from aim.verify(smaller)
        hits = np.flatnonzero(aim.hits(scored))
        if not hits.size:
            break
        sizes = smaller[hits].sum(axis=1)
        near = aim.of(scored.p)[hits]
        member = smaller[hits[np.lexsort((-near, sizes))[0]]]
    return member
