"""Growth: whether the front's hypervolume still grows, estimated on fixed points.

The share of evenly spread points of the unit cube that the front dominates is the front's hypervolume above 0, up to
about 1 / POINTS. A point that was dominated stays dominated, so only new members and the points that are left are
compared: a front costs O(members * POINTS) altogether, whatever the number of scores.

The points are the additive recurrence of Roberts, "The unreasonable effectiveness of quasirandom sequences" (2018):
multiples of the powers of 1 / phi, where phi is the root of phi^(M + 1) = phi + 1, modulo 1.
"""

from functools import lru_cache

import numpy as np

from sxq.scoring.dominance import GRID

POINTS = 8192
LEAST = 1e-3  # the growth, as a share of the hypervolume, below which a front counts as at rest


class Growth:
    """The hypervolume of a front after every round of its search."""

    def __init__(self, num_scores: int):
        self._left = _points(num_scores)  # [M, p] int16, points that no member dominates
        self._counts = [0]  # candidates verified by the end of each round
        self._volumes = [0]  # points dominated by then

    @property
    def volume(self) -> float:
        """The estimated hypervolume of the front."""
        return self._volumes[-1] / POINTS

    def add(self, count: int, members: np.ndarray) -> None:
        """After a round that ends at `count` candidates: its new members of the front, grid vectors [n, M]."""
        if len(members) and self._left.shape[1]:
            reached = np.ones((len(members), self._left.shape[1]), bool)
            for values, column in zip(members.T, self._left):
                reached &= values[:, None] >= column
            self._left = self._left[:, ~reached.any(axis=0)]
        self._counts.append(count)
        self._volumes.append(POINTS - self._left.shape[1])

    def rests(self, window: int) -> bool:
        """Whether the hypervolume is above 0 and grew by less than LEAST over the last `window` candidates, at least."""
        start = self._counts[-1] - window
        if start < 0:
            return False
        before = self._volumes[int(np.searchsorted(self._counts, start, side="right")) - 1]
        return before > 0 and self._volumes[-1] - before < LEAST * before


@lru_cache
def _points(num_scores: int) -> np.ndarray:
    """Points [M, POINTS] of the grid, evenly spread; read only."""
    phi = 2.0
    for _ in range(64):
        phi = (1 + phi) ** (1 / (num_scores + 1))
    steps = phi ** -np.arange(1.0, num_scores + 1)
    places = (0.5 + steps[:, None] * np.arange(1, POINTS + 1)) % 1
    points = np.ceil(places * GRID).astype(np.int16)
    points.flags.writeable = False
    return points
