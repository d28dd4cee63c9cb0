"""What a search knows: an edge table of expectations, an archive of what was found, and what was asked before."""

from collections.abc import Generator

import numpy as np

from sxq.generators.protocol import Candidates, Context, Scored
from sxq.generators.search.archive import Archive, States
from sxq.generators.search.names import NOTHING, Names
from sxq.graph import Field
from sxq.graph.bits import hashes

SURE = 1e-7  # float32 tells no probability nearer to 0 or 1 apart
DECIMALS = 6  # of log-odds
SMALLEST = 1e-6  # of a score, where it counts as progress
LEARN = 0.5  # of what a prediction missed, learned at once


class Memory:
    """The state that the parts of one search share.

    `worth` [U, 2] is the edge table: what adding a unit is expected to change in the log-odds of the predicted class,
    on G_s and on G \\ G_s. First-order estimates to begin with, corrected by the probe, by moves and by walks.
    """

    def __init__(self, field: Field, context: Context):
        self.field, self.context, self.rng = field, context, context.rng
        self.archive = Archive(field.num_units, len(context.full))
        self.empty = log_odds(np.array([context.p_empty, context.p_full]))
        self.whole = self.empty[::-1]
        self.slopes = context.edge_gradient()
        self.worth = np.outer(self.slopes, (1.0, -1.0))
        self.unprobed = np.arange(field.num_units)
        self.near, self.far = _ends_by_hop(field)
        self.link = self._links()
        self.branches = self._branches()
        self.batch = min(256, context.rows)
        self.promised, self.kept = (
            np.zeros(5),
            np.zeros(5),
        )  # hypervolume, by kind of move; see moves.py
        self.novel = 1.0  # share of children that were new, lately
        self.names = self.rng.integers(2**63, size=field.num_units, dtype=np.uint64)
        self.tried, self._asked = (
            Names(),
            0,
        )  # subgraphs asked for, how many; among their names also those of what
        # fell apart, in whose place a part was asked for, and the whole field's, which was verified before
        self.tried.add(self.names.sum(keepdims=True))

    @property
    def left(self) -> int:
        """Candidates that may still be asked for."""
        return self.context.allowance - self._asked

    def _links(self) -> np.ndarray:
        """For each unit [U] the one that joins it to the hop below, by first-order estimate; -1 at the first hop."""
        field, by_node = self.field, np.full(self.field.num_nodes, -1)
        if not field.rooted:
            return np.full(field.num_units, -1)  # of a whole graph any unit may stand alone
        first = np.flatnonzero(
            field.node_hop[self.far] == field.unit_hop
        )  # units by which a node is first reached
        first = first[np.argsort(np.abs(self.worth[first, 1]), kind="stable")]
        by_node[self.far[first]] = first  # of equal nodes the last, hence the best
        return by_node[self.near]

    def _branches(self) -> list[np.ndarray]:
        """For every hop but the last, the branch that each unit [U] is on: the unit of that hop that joins it to the
        target. Units of the hop and those nearer are branches of their own; so is, of a whole graph, every unit."""
        branches, branch, hop = [], np.arange(self.field.num_units), self.field.unit_hop
        for last in range(int(hop.max(initial=0)) - 1, 0, -1):
            branch = np.where(
                (hop[branch] > last) & (self.link[branch] >= 0), self.link[branch], branch
            )
            branches.append(branch)
        return branches or [branch]

    def directions(self, angles: np.ndarray) -> np.ndarray:
        """Directions [n, 2] of the edge table, per unit of its scale, at angles [n] from G_s, towards what the model
        says of the whole field, to G \\ G_s, downwards."""
        upwards = 1 if self.whole[0] >= self.empty[0] else -1
        return np.stack([upwards * np.cos(angles), -np.sin(angles)], axis=1) / (
            np.abs(self.worth).mean(axis=0) + 1e-9
        )

    def paths(self, units: np.ndarray) -> np.ndarray:
        """Units [n] as subgraphs [n, U]: each with the links that join it to the target."""
        bits = np.zeros((len(units), self.field.num_units), bool)
        rows = np.arange(len(units))
        while len(rows):
            bits[rows, units] = True
            joined = self.link[units] >= 0
            rows, units = rows[joined], self.link[units[joined]]
        return bits

    def named(self, bits: np.ndarray) -> np.ndarray:
        """Subgraphs [n, U] by name [n] uint64: the sum of their units' random ones, so that a toggle adds or takes one.

        Two of a million subgraphs share a name with probability 3e-8; the second would not be asked for.
        """
        return hashes(bits, self.names)

    def unseen(self, names: np.ndarray) -> np.ndarray:
        """Positions, ascending, of names [n] of non-empty subgraphs that were not asked for before, each once."""
        order = np.argsort(names, kind="stable")
        ordered = names[order]
        first = order[np.concatenate([np.ones(len(names[:1]), bool), ordered[1:] != ordered[:-1]])]
        return np.sort(first[(names[first] != NOTHING) & ~self.tried.has(names[first])])

    def verify(
        self, bits: np.ndarray, parent: int | np.ndarray = -1, names: np.ndarray | None = None
    ) -> Generator[Candidates, Scored, States]:
        """Ask for subgraphs [n, U], repeated ones too, and keep what is good; their states, row by row."""
        names, parent = (
            self.named(bits) if names is None else names,
            np.broadcast_to(parent, len(bits)),
        )
        found = []
        for start in range(0, max(len(bits), 1), self.context.rows):
            rows = slice(start, start + self.context.rows)
            scored = yield Candidates.of(bits[rows], parent[rows])
            self._asked += self.tried.add(names[rows])
            odds, sizes = log_odds(scored.p), np.count_nonzero(bits[rows], axis=1)
            values = self.values(sizes, odds, np.nan_to_num(scored.scores))
            found.append(States(bits[rows], odds, values, scored.explanatory, scored.ids))
            self.archive.add(found[-1])
        return found[0] if len(found) == 1 else States.join(*found)

    def values(self, sizes: np.ndarray, odds: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
        """Scores [n, M] at sizes [n] and log-odds [n, 2], below the resolution too; `otherwise` where none is known."""
        values = self.context.predict(sizes, 1 / (1 + np.exp(-odds)))
        np.copyto(values, otherwise, where=np.isnan(values))
        return np.minimum(np.maximum(values, SMALLEST, out=values), 1, out=values)

    def learn(self, changes: np.ndarray, odds: np.ndarray) -> None:
        """Correct the table: states changed by `changes` [n, U] (1 added, -1 dropped) gained `odds` [n, 2].

        What the table missed is shared by the units of a change; a unit learns the mean over its changes, those of many
        units counting less, and less than its share where it was in a single one of these.
        """
        row, unit = np.nonzero(changes)
        sign, count = changes[row, unit], np.maximum(np.count_nonzero(changes, axis=1), 1)
        weight = np.bincount(unit, 1 / count[row], minlength=len(self.worth))
        for side, worth in enumerate(self.worth.T):
            missed = (
                odds[:, side] - np.bincount(row, sign * worth[unit], minlength=len(changes))
            ) / count
            error = np.bincount(unit, sign * missed[row] / count[row], minlength=len(worth))
            worth += LEARN * error / np.maximum(weight, 1)


def best_of(gain: np.ndarray, most: int) -> np.ndarray:
    """Positions of the largest gains [..., U], at most so many, best first; -1 for minus infinity."""
    most = min(most, gain.shape[-1])
    rows = gain.reshape(-1, gain.shape[-1])
    row = np.arange(len(rows))[:, None]
    best = np.argpartition(-rows, most - 1, axis=1)[:, :most]
    best = best[row, np.argsort(-rows[row, best], axis=1, kind="stable")]
    return np.where(rows[row, best] > -np.inf, best, -1).reshape(*gain.shape[:-1], most)


def log_odds(p: np.ndarray) -> np.ndarray:
    """log p - log (1 - p), finite; rounded, so that the batch a candidate came in does not decide where to go on."""
    p = np.clip(p, SURE, 1 - SURE)
    return np.round(np.log(p / (1 - p)), DECIMALS)


def _ends_by_hop(field: Field) -> tuple[np.ndarray, np.ndarray]:
    """The end of each unit that is nearer to the target, and the other: [U] local nodes each."""
    tail, head = field.ends
    nearer = (
        field.node_hop[tail] < field.node_hop[head]
        if not field.directed
        else np.zeros(len(tail), bool)
    )
    return np.where(nearer, tail, head), np.where(nearer, head, tail)
