"""Walks: ways from the target to the whole field, abreast, each after a corner of the front of its own.

A walk adds the units that are worth most in its direction: log-odds of the predicted class on G_s, towards those of
the whole field, against log-odds on G \\ G_s, downwards. One unit at a time while it is small, an eighth of its size
later on.

    measured   directions from one end to the other; siblings are verified, the best measured one is taken
    guided     only G \\ G_s counts; between verified states the first-order estimate is taken anew, because what
               removing an edge does changes altogether with what was removed before. One walk is free, others
               must leave one of the strongest units of the first hop in the graph: greed would remove it at once,
               and never learn what its messages do when others are removed
    steady     a second free one, in a field too large to probe, that believes what it measured rather than a new
               estimate: where hubs or their degrees make estimates misleading, only measuring leads on

In a field too large to probe these two verify siblings at large steps, too, so that a unit that harms does not come
with the others because its estimate is high. On 20 targets of FacebookPage this alone took the mean of the fronts
from 0.84 to 0.94 of the best known, and the least from 0.50 to 0.79.

The table of a walk is its own while it lasts: worth depends on where one stands. Quick walks go by the table as it
is: neither siblings nor estimates, only where they stand is verified.
"""

from dataclasses import dataclass

import numpy as np

from sxq.generators.protocol import Search
from sxq.generators.search.memory import Memory, best_of

DIRECTIONS = np.radians([0, 30, 60, 90])  # of the measured walks, from G_s to G \\ G_s
SPARED = (
    3,
    8,
)  # units of the first hop, each spared by a guided walk: of the quick ones, of the thorough ones
SIBLINGS = 6  # verified at a step of a small walk
HALF = 30  # size at which it is half as many
LATE = (8, 4)  # verified at a step of a large walk, the steady and the free one
EVERY = 1.6  # guided walks estimate anew when they have grown by this factor
PROBED = 8  # share of the budget, one of so many, that probing may take


def probe(memory: Memory) -> Search:
    """Verify units with their paths; the difference to the path alone is a unit's worth to a small candidate.

    All units, or those of the largest estimates where that is more than a share of the budget and more than 64.
    On G \\ G_s the first-order estimate stands where it is larger: there the path hides what is behind it.
    """
    most = max(64, memory.context.allowance // PROBED)
    wanted, units = (
        np.zeros(len(memory.link), bool),
        np.argsort(-np.abs(memory.slopes), kind="stable")[:most],
    )
    while len(units):  # and the links on their paths
        wanted[units] = True
        units = memory.link[units[memory.link[units] >= 0]]
    units = np.flatnonzero(wanted)
    odds = np.concatenate(
        [np.zeros_like(memory.worth), [memory.empty]]
    )  # the last row is the target alone
    for start in range(0, len(units), memory.context.rows):
        part = units[start : start + memory.context.rows]
        odds[part] = (yield from memory.verify(memory.paths(part))).odds
    kept, removed = (odds[units] - odds[memory.link[units]]).T
    estimate = -memory.slopes[units]
    memory.unprobed = np.setdiff1d(memory.unprobed, units)
    memory.worth[units] = np.stack(
        [kept, np.where(np.abs(estimate) > np.abs(removed), estimate, removed)], axis=1
    )


@dataclass(eq=False)
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
    def start(memory: Memory, thorough: bool) -> "Walks":
        """At the target alone, with the memory's table."""
        units, unprobed = memory.field.num_units, thorough and len(memory.unprobed) > 0
        first = np.flatnonzero(memory.field.unit_hop == 1)
        first = first[np.argsort(-np.abs(memory.worth[first, 1]), kind="stable")]
        first = first[: SPARED[thorough]] if len(first) > 1 else first[:0]
        late = np.array(LATE if unprobed else (0,))  # of the free walks
        measured, count = len(DIRECTIONS), len(DIRECTIONS) + len(late) + len(first)
        walks = np.arange(count)
        spared = np.zeros((count, units), bool)
        spared[count - len(first) + np.arange(len(first)), first] = True
        angles = np.concatenate([DIRECTIONS, np.full(count - measured, np.pi / 2)])
        return Walks(
            thorough,
            memory.directions(angles),
            spared,
            walks >= measured,
            np.full(count, thorough * SIBLINGS),
            np.pad(late, (measured, len(first))),
            unprobed & (walks == measured),
            np.zeros((count, units), bool),
            np.repeat(memory.worth[None], count, axis=0),
            np.zeros((count, units), bool),
            np.repeat(memory.empty[None], count, axis=0),
            np.full(count, -1),
            [],
        )

    def go(self, memory: Memory) -> Search:
        """All walks, towards the whole field or the end of the allowance; verified is where they pass, not the end."""
        size, estimated = 0, 0.0
        while size < memory.field.num_units and memory.left > 0:
            if self.thorough and size >= estimated:
                self.estimate(memory)
                estimated = max(size + 1, size * EVERY)
            step = 1 + size // 8
            if not (yield from self.advance(memory, size, step)):
                break
            size += step
        if self.passed:
            yield from memory.verify(np.concatenate(self.passed))

    def estimate(self, memory: Memory) -> None:
        """First-order estimates anew from where they stand, for the guided walks, and of what was not probed for the
        measured ones."""
        slopes = memory.context.slopes(~self.bits[self.guided], True)
        self.table[self.guided, :, 1] = np.where(
            self.trusted[self.guided], self.table[self.guided, :, 1], -slopes
        )
        if len(memory.unprobed):
            measured = np.flatnonzero(~self.guided)
            slopes = memory.context.slopes(self.bits[measured], False)
            self.table[np.ix_(measured, memory.unprobed, [0])] = slopes[:, memory.unprobed, None]

    def advance(self, memory: Memory, size: int, step: int) -> Search:
        """Verify the walks' best siblings, and add `step` units to each; False at the end."""
        worth = np.where(
            memory.field.frontiers(self.bits) & ~self.spared,
            _along(self.table, self.direction),
            -np.inf,
        )
        width = (self.siblings / (1 + size / HALF)).astype(int)
        many = width < 1.5 * step  # units come at once: of those verified there is hardly a choice
        width = np.where(many, self.late, width)
        most = min(step + width.max(), worth.shape[1])
        best, row = best_of(worth, most), np.arange(len(worth))[:, None]
        able = best >= 0
        tried = np.arange(most) < width[:, None]
        walk, place = np.nonzero(able & tried)
        self.passed.append(self.bits[self.bits.any(axis=1)])
        if len(walk):
            yield from self._measure(memory, walk, best[walk, place])
            tried |= many[:, None]
            now = np.where(able & tried, _along(self.table[row, best], self.direction), -np.inf)
            again = best_of(now, min(step, most))
            best, able = best[row, again], again >= 0
        walk, place = np.nonzero(able[:, :step])
        self.bits[walk, best[walk, place]] = True
        return len(walk) > 0

    def _measure(self, memory: Memory, row: np.ndarray, unit: np.ndarray) -> Search:
        """Verify what was passed and siblings `unit` [n] of walks `row` [n] in one batch; note what they are worth."""
        siblings = self.bits[row]
        siblings[np.arange(len(row)), unit] = True
        passed = np.concatenate(self.passed)
        said = yield from memory.verify(
            np.concatenate([passed, siblings]),
            np.concatenate([np.full(len(passed), -1), self.ids[row]]),
        )
        standing, last = (
            self.bits.any(axis=1),
            slice(len(passed) - len(self.passed[-1]), len(passed)),
        )
        self.odds[standing], self.ids[standing], self.passed = said.odds[last], said.ids[last], []
        self.trusted[row, unit] = self.steady[row]
        self.table[row, unit] = said.odds[len(passed) :] - self.odds[row]


def _along(table: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """[w, n] the worth of n units each, table [w, n, 2], in the direction [w, 2] of each walk."""
    return np.einsum("wns,ws->wn", table, direction)
