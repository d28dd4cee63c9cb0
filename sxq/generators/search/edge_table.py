"""The edge table: the change that each unit is expected to make to the log-odds of the class."""

import numpy as np

from sxq.generators.protocol import NONE, Context
from sxq.graph import Field

SURE = 1e-7  # float32 cannot tell a probability nearer to 0 or 1 from it
DECIMALS = 6  # to which log-odds are rounded
LEARN = 0.5  # share of the error of a prediction that is learned at once


class EdgeTable:
    """Expected changes by unit, and how units join each other to the target.

    `worth` [U, 2] is the change of the log-odds, on G_s and on G \\ G_s, that adding a unit is
    expected to make. It begins with first-order estimates; measuring units, moves and walks correct
    it.
    """

    def __init__(self, field: Field, context: Context, estimates: np.ndarray):
        self._field = field
        self.empty = log_odds(np.array([context.p_empty, context.p_full]))  # [2] without any unit
        self.whole = self.empty[::-1]  # [2] with all units
        self.estimates = estimates  # [U] first-order rise with each unit
        self.worth = np.outer(self.estimates, (1.0, -1.0))
        self.unmeasured = np.arange(field.num_units)  # units that have estimates only
        # [U] the unit that joins each to the hop below, by first-order estimate; NONE at the first hop
        self.link = field.links(np.abs(self.worth[:, 1]))
        self.branches = self._branches()

    def _branches(self) -> list[np.ndarray]:
        """For every hop but the last, the branch of each unit [U]: the unit of that hop that joins it to the target.

        Units of that hop and nearer ones are branches of their own; in a whole graph every unit is.
        """
        hop = self._field.unit_hop
        branches: list[np.ndarray] = []
        branch = np.arange(self._field.num_units)
        for last in range(int(hop.max(initial=0)) - 1, 0, -1):
            beyond = (hop[branch] > last) & (self.link[branch] >= 0)
            branch = np.where(beyond, self.link[branch], branch)
            branches.append(branch)
        return branches or [branch]

    def directions(self, angles: np.ndarray) -> np.ndarray:
        """Directions [n, 2] in the table, per unit of its scale.

        Angle 0 points along G_s, towards the log-odds of the whole field; a right angle points along G \\ G_s,
        downwards.
        """
        upwards = 1 if self.whole[0] >= self.empty[0] else -1
        scale = np.abs(self.worth).mean(axis=0) + 1e-9
        return np.stack([upwards * np.cos(angles), -np.sin(angles)], axis=1) / scale

    def paths(self, units: np.ndarray) -> np.ndarray:
        """Units [n] as subgraphs [n, U]: each with the links that join it to the target."""
        bits = np.zeros((len(units), self._field.num_units), bool)
        rows = np.arange(len(units))
        while len(rows):
            bits[rows, units] = True
            joined = self.link[units] >= 0
            rows = rows[joined]
            units = self.link[units[joined]]
        return bits

    def measured(self, units: np.ndarray, worth: np.ndarray) -> None:
        """Replace the worth of units [n] with the measured one [n, 2]."""
        self.unmeasured = np.setdiff1d(self.unmeasured, units)
        self.worth[units] = worth

    def replace(self, worth: np.ndarray) -> None:
        """Replace the worth [U, 2] of every unit."""
        self.worth = worth

    def learn(self, changes: np.ndarray, odds: np.ndarray) -> None:
        """Correct the table: subgraphs changed by `changes` [n, U] (1 added, -1 dropped) gained `odds` [n, 2].

        The units of a change share the error of the table. A unit learns the mean over its changes;
        changes of many units count less, and a unit in a single change learns less than its share.
        """
        row, unit = np.nonzero(changes != 0)  # of truth values it is several times faster
        sign = changes[row, unit]
        count = np.maximum(np.bincount(row, minlength=len(changes)), 1)
        weight = np.bincount(unit, 1 / count[row], minlength=len(self.worth))
        for side, worth in enumerate(self.worth.T):
            expected = np.bincount(row, sign * worth[unit], minlength=len(changes))
            missed = (odds[:, side] - expected) / count
            error = np.bincount(unit, sign * missed[row] / count[row], minlength=len(worth))
            worth += LEARN * error / np.maximum(weight, 1)


def best_of(gain: np.ndarray, most: int) -> np.ndarray:
    """Positions of the `most` largest gains [..., U], best first; NONE for minus infinity."""
    most = min(most, gain.shape[-1])
    rows = gain.reshape(-1, gain.shape[-1])
    row = np.arange(len(rows))[:, None]
    best = np.argpartition(-rows, most - 1, axis=1)[:, :most]
    best = best[row, np.argsort(-rows[row, best], axis=1, kind="stable")]
    return np.where(rows[row, best] > -np.inf, best, NONE).reshape(*gain.shape[:-1], most)


def log_odds(p: np.ndarray) -> np.ndarray:
    """log p - log (1 - p), finite; rounded, so that the search does not depend on batch sizes."""
    p = np.clip(p, SURE, 1 - SURE)
    return np.round(np.log(p / (1 - p)), DECIMALS)
