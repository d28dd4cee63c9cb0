"""Walks: ways from the target to the whole field, side by side, each after a corner of the front of its own.

A walk adds the units that are worth most in its direction: log-odds of the predicted class on G_s, towards those of
the whole field, against log-odds on G \\ G_s, downwards. One unit at a time while it is small, an eighth of its size
later on.

    measured   directions from one end to the other; siblings are verified, the best measured one is taken
    guided     only G \\ G_s counts; between verified states the first-order estimate is taken anew, because the
               effect of removing an edge changes altogether with what was removed before. One walk is free, others
               must leave one of the strongest units of the first hop in the graph: greed would remove it at once,
               and never learn what its messages do when others are removed
    steady     a second free one, in a field too large to measure every unit, that believes what it measured rather
               than a new estimate: where hubs or their degrees make estimates misleading, only measuring leads on

In a field too large to measure every unit these two verify siblings at large steps, too, so that a unit that harms
does not come with the others because its estimate is high. On 20 targets of FacebookPage this alone took the mean of
the fronts from 0.84 to 0.94 of the best known, and the least from 0.50 to 0.79.

The table of a walk is its own while it lasts: worth depends on where one stands. Quick walks go by the table as it
is: they verify only where they stand, no siblings, and take no new estimates.
"""

from dataclasses import dataclass

import numpy as np

from sxq.generators.protocol import NONE, Search
from sxq.generators.search.edge_table import best_of
from sxq.generators.search.run import SearchRun

DIRECTIONS = np.radians([0, 30, 60, 90])  # of the measured walks, from G_s to G \\ G_s
# units of the first hop, each spared by a guided walk: of the quick ones, of the thorough ones
SPARED = (3, 8)
SIBLINGS = 6  # verified at a step of a small walk
HALF = 30  # size at which it is half as many
LATE = (8, 4)  # verified at a step of a large walk, the steady and the free one
EVERY = 1.6  # guided walks estimate anew when they have grown by this factor
MEASURED = 8  # share of the budget, one of so many, that measuring units may take


def measure_units(run: SearchRun) -> Search:
    """Verify units with their paths; the difference to the path alone is a unit's worth to a small candidate.

    All units, or those of the largest estimates where that is more than a share of the budget and more than 64.
    On G \\ G_s the first-order estimate stands where it is larger: there the path hides what is behind it.
    """
    table = run.table
    units = _strongest(run, max(64, run.context.allowance // MEASURED))
    # the last row is the target alone
    odds = np.concatenate([np.zeros_like(table.worth), [table.empty]])
    for start in range(0, len(units), run.context.rows):
        part = units[start : start + run.context.rows]
        odds[part] = (yield from run.verify(table.paths(part))).odds
    kept, removed = (odds[units] - odds[table.link[units]]).T
    estimate = -table.estimates[units]
    removed = np.where(np.abs(estimate) > np.abs(removed), estimate, removed)
    table.measured(units, np.stack([kept, removed], axis=1))


def _strongest(run: SearchRun, most: int) -> np.ndarray:
    """The units of the `most` largest estimates and the links on their paths, in ascending order."""
    link = run.table.link
    wanted = np.zeros(len(link), bool)
    units = np.argsort(-np.abs(run.table.estimates), kind="stable")[:most]
    while len(units):
        wanted[units] = True
        units = link[units[link[units] >= 0]]
    return np.flatnonzero(wanted)


@dataclass(eq=False, kw_only=True)
class Walks:
    """Where w walks stand, and what they hold to be worth most; all have as many units, but for stuck ones."""

    thorough: bool  # whether siblings are verified and estimates taken anew
    direction: np.ndarray  # [w, 2] of the worth that counts, per unit of its scale
    spared: np.ndarray  # [w, U] bool, units that stay in the graph
    guided: np.ndarray  # [w] bool
    siblings: np.ndarray  # [w] verified at the first steps, while that is a choice
    late: np.ndarray  # [w] and later on
    steady: np.ndarray  # [w] bool
    trusted: np.ndarray  # [w, U] bool, whose worth was measured and is not estimated anew
    table: np.ndarray  # [w, U, 2]
    bits: np.ndarray  # [w, U] bool
    odds: np.ndarray  # [w, 2], of what was verified last
    ids: np.ndarray  # [w] candidate numbers
    passed: list[np.ndarray]  # bits [<= w, U] where they stood since anything was verified

    @staticmethod
    def start(run: SearchRun, thorough: bool) -> "Walks":
        """At the target alone, with the edge table as it is."""
        units = run.field.num_units
        first = _first_hop(run, SPARED[thorough])
        steady = thorough and len(run.table.unmeasured) > 0
        late = np.array(LATE if steady else (0,))  # of the free walks
        measured = len(DIRECTIONS)
        count = measured + len(late) + len(first)
        walks = np.arange(count)
        spared = np.zeros((count, units), bool)
        spared[count - len(first) + np.arange(len(first)), first] = True
        angles = np.concatenate([DIRECTIONS, np.full(count - measured, np.pi / 2)])
        return Walks(
            thorough=thorough,
            direction=run.table.directions(angles),
            spared=spared,
            guided=walks >= measured,
            siblings=np.full(count, thorough * SIBLINGS),
            late=np.pad(late, (measured, len(first))),
            steady=steady & (walks == measured),
            trusted=np.zeros((count, units), bool),
            table=np.repeat(run.table.worth[None], count, axis=0),
            bits=np.zeros((count, units), bool),
            odds=np.repeat(run.table.empty[None], count, axis=0),
            ids=np.full(count, NONE),
            passed=[],
        )

    def go(self, run: SearchRun) -> Search:
        """Take all walks to the whole field or the end of the allowance; verify states on the way, not the end."""
        size, estimated = 0, 0.0
        while size < run.field.num_units and run.left > 0:
            if self.thorough and size >= estimated:
                self._estimate(run)
                estimated = max(size + 1, size * EVERY)
            step = 1 + size // 8
            if not (yield from self._advance(run, size, step)):
                break
            size += step
        if self.passed:
            yield from run.verify(np.concatenate(self.passed))

    def _estimate(self, run: SearchRun) -> None:
        """New estimates from where the walks stand: for guided walks, and of unmeasured units for the others."""
        rise = run.context.edge_gradients(~self.bits[self.guided], True)
        known = self.table[self.guided, :, 1]
        self.table[self.guided, :, 1] = np.where(self.trusted[self.guided], known, -rise)
        unmeasured = run.table.unmeasured
        if len(unmeasured):
            others = np.flatnonzero(~self.guided)
            rise = run.context.edge_gradients(self.bits[others], False)
            self.table[np.ix_(others, unmeasured, np.zeros(1, int))] = rise[:, unmeasured, None]

    def _advance(self, run: SearchRun, size: int, step: int) -> Search:
        """Verify the walks' best siblings, and add `step` units to each; False at the end."""
        open_ = run.field.frontiers(self.bits) & ~self.spared
        worth = np.where(open_, _along(self.table, self.direction), -np.inf)
        width = (self.siblings / (1 + size / HALF)).astype(int)
        many = width < 1.5 * step  # units come at once: of those verified there is hardly a choice
        width = np.where(many, self.late, width)
        most = min(step + width.max(), worth.shape[1])
        best = best_of(worth, most)
        row = np.arange(len(worth))[:, None]
        able = best >= 0
        verified = np.arange(most) < width[:, None]
        walk, place = np.nonzero(able & verified)
        self.passed.append(self.bits[self.bits.any(axis=1)])
        if len(walk):
            yield from self._measure(run, walk, best[walk, place])
            verified |= many[:, None]
            now = np.where(able & verified, _along(self.table[row, best], self.direction), -np.inf)
            again = best_of(now, min(step, most))
            best = best[row, again]
            able = again >= 0
        walk, place = np.nonzero(able[:, :step])
        self.bits[walk, best[walk, place]] = True
        return len(walk) > 0

    def _measure(self, run: SearchRun, row: np.ndarray, unit: np.ndarray) -> Search:
        """Verify passed states and siblings `unit` [n] of walks `row` [n] in one batch; note the units' worth."""
        siblings = self.bits[row]
        siblings[np.arange(len(row)), unit] = True
        passed = np.concatenate(self.passed)
        parents = np.concatenate([np.full(len(passed), NONE), self.ids[row]])
        found = yield from run.verify(np.concatenate([passed, siblings]), parents)
        standing = self.bits.any(axis=1)
        last = slice(len(passed) - len(self.passed[-1]), len(passed))
        self.odds[standing] = found.odds[last]
        self.ids[standing] = found.ids[last]
        self.passed = []
        self.trusted[row, unit] = self.steady[row]
        self.table[row, unit] = found.odds[len(passed) :] - self.odds[row]


def _first_hop(run: SearchRun, most: int) -> np.ndarray:
    """The units of the first hop that are worth most on G \\ G_s, at most so many; none where there is only one."""
    first = np.flatnonzero(run.field.unit_hop == 1)
    first = first[np.argsort(-np.abs(run.table.worth[first, 1]), kind="stable")]
    return first[:most] if len(first) > 1 else first[:0]


def _along(table: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """[w, n] the worth of n units each, table [w, n, 2], in the direction [w, 2] of each walk."""
    return np.einsum("wns,ws->wn", table, direction)
