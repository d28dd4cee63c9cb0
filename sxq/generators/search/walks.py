"""Walks from the target to the whole field, side by side, each to its own corner of the front.

A walk adds the units that are worth most in its direction. Directions weigh two aims: on G_s the
log-odds of the predicted class rise to those of the whole field; on G \\ G_s they fall. A walk adds
one unit at a time while it is small, and an eighth of its size later on.

    measured   several directions from one aim to the other; verifies siblings and takes the best
    guided     only G \\ G_s counts. Between verified states the first-order estimate is taken anew,
               because the effect of removing an edge depends on what was removed before. One guided
               walk is free; each of the others must leave one of the strongest units of the first
               hop in the graph. A greedy walk would remove it at once, and never learn what its
               messages do when others are removed
    steady     a second free walk, in a field too large to measure every unit, that trusts what it
               measured over a new estimate: where hubs or their degrees make estimates misleading,
               only measuring helps

In a field too large to measure every unit, the free and the steady walk also verify siblings at
large steps, so that a harmful unit with a high estimate is not added with the others. On 20 targets
of FacebookPage this alone took the mean of the fronts from 0.84 to 0.94 of the best known, and the
least from 0.50 to 0.79.

The table of a walk is its own while it lasts, because worth depends on the current subgraph. Quick
walks use the table as it is: they verify only their own states, no siblings, and take no new
estimates.
"""

from dataclasses import dataclass

import numpy as np

from sxq.generators.protocol import NONE, Estimate, Search
from sxq.generators.search.edge_table import best_of
from sxq.generators.search.run import SearchRun

DIRECTIONS = np.radians([0, 30, 60, 90])  # of the measured walks, from G_s to G \\ G_s
# Units of the first hop that are each spared by a guided walk: (quick, thorough).
SPARED = (3, 8)
SIBLINGS = 6  # siblings verified at a step of a small walk
HALF = 30  # size at which a walk verifies half as many
LATE = (8, 4)  # siblings verified at a step of a large walk: (steady, free)
EVERY = 1.6  # guided walks take new estimates when they have grown by this factor
MEASURED = 8  # measuring units may take one part in this many of the budget


def measure_units(run: SearchRun) -> Search:
    """Verify units with their paths; the gain over the path alone is the worth of the unit.

    If all units are more than a share of the budget and more than 64, only those of the largest
    estimates are measured. On G \\ G_s a larger first-order estimate stands: the path hides what is
    behind it.
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
    """The states of w walks, and their tables; all have equally many units, except stuck ones."""

    thorough: bool  # whether siblings are verified and estimates taken anew
    direction: np.ndarray  # [w, 2] the weights of the two columns of worth, per unit of its scale
    spared: np.ndarray  # [w, U] bool, units that stay in the graph
    guided: np.ndarray  # [w] bool
    siblings: np.ndarray  # [w] siblings verified at small steps
    late: np.ndarray  # [w] siblings verified at large steps
    steady: np.ndarray  # [w] bool
    trusted: np.ndarray  # [w, U] bool, units whose measured worth is not replaced by estimates
    table: np.ndarray  # [w, U, 2]
    bits: np.ndarray  # [w, U] bool
    odds: np.ndarray  # [w, 2] of the state that was verified last
    ids: np.ndarray  # [w] candidate numbers
    passed: list[np.ndarray]  # bits [<= w, U] of states passed since the last verification

    @staticmethod
    def start(run: SearchRun, thorough: bool) -> "Walks":
        """Walks that stand at the target alone, with the edge table as it is."""
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
        """Take all walks to the whole field, or as far as allowed; verify states on the way."""
        size = 0
        estimated = 0.0
        while size < run.field.num_units and run.left > 0:
            if self.thorough and size >= estimated:
                yield from self._estimate(run)
                estimated = max(size + 1, size * EVERY)
            step = 1 + size // 8
            if not (yield from self._advance(run, size, step)):
                break
            size += step
        if self.passed:
            yield from run.verify(np.concatenate(self.passed))

    def _estimate(self, run: SearchRun) -> Search:
        """Take new estimates at the walks' states: for guided walks, and for unmeasured units."""
        rise = yield Estimate(~self.bits[self.guided], rest=True)
        known = self.table[self.guided, :, 1]
        self.table[self.guided, :, 1] = np.where(self.trusted[self.guided], known, -rise)
        unmeasured = run.table.unmeasured
        if len(unmeasured):
            others = np.flatnonzero(~self.guided)
            rise = yield Estimate(self.bits[others], rest=False)
            self.table[np.ix_(others, unmeasured, np.zeros(1, int))] = rise[:, unmeasured, None]

    def _advance(self, run: SearchRun, size: int, step: int) -> Search:
        """Verify the walks' best siblings, and add `step` units to each; False at the end."""
        open_ = run.field.frontiers(self.bits) & ~self.spared
        worth = np.where(open_, _along(self.table, self.direction), -np.inf)
        width = (self.siblings / (1 + size / HALF)).astype(int)
        many = width < 1.5 * step  # so many units at once leave hardly a choice among siblings
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
    """The `most` units of the first hop worth most on G \\ G_s; none if there is only one."""
    first = np.flatnonzero(run.field.unit_hop == 1)
    first = first[np.argsort(-np.abs(run.table.worth[first, 1]), kind="stable")]
    return first[:most] if len(first) > 1 else first[:0]


def _along(table: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """[w, n] the worth of n units each, table [w, n, 2], in the direction [w, 2] of each walk."""
    kept, removed = direction.T
    return table[:, :, 0] * kept[:, None] + table[:, :, 1] * removed[:, None]
