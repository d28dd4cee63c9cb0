"""The archive of a search: the candidates that nothing dominates, and the free space above them.

A candidate that is not explanatory can lead to one that is, so the archive keeps both kinds; being
explanatory counts as one more value. Only explanatory members fill the space whose volume the
search wants to grow. The archive is coarse. Among members that differ by less than `GRAIN`, one is
enough to continue from. A member that would add almost no volume does not cut the free space, which
therefore stays at a few hundred boxes. The exact front is in the lattice.
"""

from dataclasses import dataclass

import numpy as np

from sxq.scoring.dominance import GRID, grouped, leaders, ranked, reached
from sxq.scoring.hypervolume import Free

GRAIN = 0.003  # least difference between two values that counts, at first
NOTICEABLE = 1e-3  # least volume for which a member cuts the free space, at first
FINER = 3  # `refine` divides both by this
FINEST = 2e-4  # grain at which refining ends
SURVIVORS = 100
RANKED = 2048  # members ranked at once
BOXES = 250  # most boxes of free space
BITS_MEMORY = 64 * 2**20  # bytes of members' bits


@dataclass(frozen=True, eq=False)
class Members:
    """Verified candidates to continue from."""

    bits: np.ndarray  # [n, U] bool
    odds: np.ndarray  # [n, 2] log-odds of the predicted class on G_s and on G \\ G_s
    values: np.ndarray  # [n, M] scores, below the resolution too
    explanatory: np.ndarray  # [n] bool
    ids: np.ndarray  # [n] candidate numbers

    def __getitem__(self, rows: np.ndarray | slice) -> "Members":
        return Members(*(values[rows] for values in vars(self).values()))

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def join(*parts: "Members") -> "Members":
        """All of them, in order."""
        return Members(*map(np.concatenate, zip(*(vars(part).values() for part in parts))))

    @staticmethod
    def none(units: int, measures: int) -> "Members":
        """No member, in the shapes of a field and a query."""
        return Members(
            np.zeros((0, units), bool),
            np.zeros((0, 2)),
            np.zeros((0, measures)),
            np.zeros(0, bool),
            np.zeros(0, np.int64),
        )


class Archive:
    """The coarse front of everything verified, and the free space above it."""

    def __init__(self, units: int, measures: int):
        self.members = Members.none(units, measures)
        self.free = Free.below(np.ones(measures, np.float32))
        self._survived = self.members
        self._joined: list[Members] = []  # added since `survivors` was last called
        self._grain = GRAIN
        self._noticeable = NOTICEABLE
        self._grains = np.zeros((0, measures + 1), np.int16)
        self._visits = np.zeros(0)
        self._room = max(64, BITS_MEMORY // max(units, 1))

    def __len__(self) -> int:
        return len(self.members)

    def add(self, members: Members) -> None:
        """Keep those that nothing dominates, one per cell; drop members that they dominate."""
        self._joined.append(members)
        if sum(map(len, self._joined)) > self._room:
            self.survivors()
        grains = self._grained(members)
        fresh = np.flatnonzero(~reached(grains, self._grains))
        fresh = fresh[leaders(grains[fresh])]
        if not len(fresh):
            return
        kept = np.flatnonzero(~reached(self._grains, grains[fresh]))[-self._room :]
        self.members = Members.join(self.members[kept], members[fresh])
        self._grains = np.concatenate([self._grains[kept], grains[fresh]])
        self._visits = np.concatenate([self._visits[kept], np.zeros(len(fresh))])
        self._fill(members.values[fresh[members.explanatory[fresh]]])

    def refine(self) -> bool:
        """Use a finer grain from here on; False if that would be finer than scores are stored."""
        if self._grain <= FINEST:
            return False
        self._grain /= FINER
        self._noticeable /= FINER
        self._grains = self._grained(self.members)
        self._visits = np.zeros(len(self))
        return True

    def _grained(self, members: Members) -> np.ndarray:
        return _whole_values(np.ceil(members.values / self._grain), members.explanatory)

    def _fill(self, values: np.ndarray) -> None:
        """Cut explanatory members with values [n, M] out of the free space, largest gain first."""
        gains = self.free.gains(values)
        noticed = np.count_nonzero(gains > self._noticeable)
        for point in values[np.argsort(-gains, kind="stable")][:noticed]:
            if len(self.free) < BOXES:
                left, gain = self.free.split(point)
                self.free = left if gain > self._noticeable else self.free

    def survivors(self) -> Members:
        """The first SURVIVORS of all verified candidates by non-dominated rank; one of equals."""
        if not self._joined:
            return self._survived
        every = Members.join(self._survived, *self._joined)
        kept = np.zeros(0, np.intp)
        values = _whole_values(np.rint(every.values * GRID), every.explanatory)
        for start in range(0, len(every), RANKED):
            rows = np.concatenate([kept, np.arange(start, min(start + RANKED, len(every)))])
            order, opens = grouped(values[rows])
            rows = rows[np.sort(order[opens])]
            kept = rows[ranked(values[rows], SURVIVORS)]
        self._survived = every[kept]
        self._joined = []
        return self._survived

    def draw(self, count: int, rng: np.random.Generator) -> Members:
        """At most `count` members at random; those that were drawn less often are preferred."""
        # those with the smallest `turn` are drawn
        turn = rng.standard_exponential(len(self)) * (1 + self._visits) ** 2
        chosen = np.argpartition(turn, count)[:count] if count < len(self) else np.arange(len(self))
        self._visits[chosen] += 1
        return self.members[chosen]


def _whole_values(values: np.ndarray, explanatory: np.ndarray) -> np.ndarray:
    """Whole values [n, M] of at most GRID, and a last column for being explanatory: int16."""
    table = np.empty((len(values), values.shape[1] + 1), np.int16)
    table[:, :-1] = values
    table[:, -1] = explanatory
    return table
