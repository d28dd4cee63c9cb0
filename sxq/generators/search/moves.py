"""Moves: from members of the front to the neighbours that promise most hypervolume.

A move toggles one or two units. An added unit that does not touch the subgraph brings the link that
joins it; a dropped unit takes along the units that only it connected. The promise of a move is read
from the edge table: log-odds add up, sizes are known, and `SearchRun.values` turns them into
scores. Drops keep their promises more often than additions do, so each kind of move is trusted as
far as recent moves of that kind were right (`trust.py`).

Where moves are caught in a local optimum, crossings help: children of two survivors take each
branch of the field from either parent, so that units that work together stay together, and toggle
one unit on average. Apart from the branches this is NSGA-II's variation (Deb et al. 2002). Where
one or two units at a time lead nowhere, leaps help (`leaps.py`).
"""

from dataclasses import dataclass

import numpy as np

from sxq.generators.protocol import NONE, Search
from sxq.generators.search.archive import Members
from sxq.generators.search.edge_table import best_of
from sxq.generators.search.hashes import NOTHING
from sxq.generators.search.leaps import leaps
from sxq.generators.search.run import SearchRun
from sxq.graph.bits import unpack

MEMBERS = 16  # members whose neighbours compete for a batch
SINGLES = 10  # additions, and as many drops, considered for each member alone
PAIRED = 4  # additions, and as many drops, considered for each member in pairs
NOISE = 1e-3  # of a score, so that equal promises take turns
# trust in a neighbour if neither it nor its member is expected to be explanatory
UNLIKELY = 0.3
LEAPS = 4  # one candidate in this many of a batch is a leap
CROSSED = 3  # at least one candidate in this many of a batch is a child


@dataclass(frozen=True, eq=False, kw_only=True)
class Moves:
    """n moves, each from one of c members."""

    member: np.ndarray  # [n] 0 .. c - 1
    units: np.ndarray  # [n, 2] toggled; the second may be NONE
    links: np.ndarray  # [n, 2] added with them, or NONE
    adds: np.ndarray  # [n] how many of the units are added
    odds: np.ndarray  # [n, 2] expected
    sizes: np.ndarray  # [n] expected
    hashes: np.ndarray  # [n] of the neighbours before units fall off; see `Visited`

    @property
    def kind(self) -> np.ndarray:
        """[n]: 0 one added, 1 one dropped, 2 two added, 3 one of each, 4 two dropped."""
        return np.where(self.units[:, 1] < 0, 1, 4) - self.adds

    @property
    def drops(self) -> np.ndarray:
        """[n] whether a unit is dropped."""
        return self.kind % 2 + self.kind // 4 > 0

    def __len__(self) -> int:
        return len(self.member)

    def __getitem__(self, rows: np.ndarray) -> "Moves":
        return Moves(**{name: values[rows] for name, values in vars(self).items()})

    def applied(self, bits: np.ndarray) -> np.ndarray:
        """The neighbours [n, U] of members bits [c, U], not all of them connected."""
        new = bits[self.member]
        for units in self.units.T:
            rows = np.flatnonzero(units >= 0)
            new[rows, units[rows]] ^= True
        for links in self.links.T:
            rows = np.flatnonzero(links >= 0)
            new[rows, links[rows]] = True
        return new


def improve(run: SearchRun, most: int) -> Search:
    """One batch of about `most` candidates, never more than are left: promising neighbours, leaps and children.

    The outcome corrects the edge table and the trust in moves.
    """
    members = run.archive.draw(MEMBERS, run.rng)
    moves, promised = _most_promising(run, members, most)
    leapt = most // LEAPS
    children, parents = _children(run, int((most - len(moves) - leapt) / run.trust.novel))
    leapers, origins = leaps(run, leapt)
    bits = np.concatenate([moves.applied(members.bits), leapers, children])
    apart = np.ones(len(bits), bool)
    apart[: len(moves)] = moves.drops
    bits[apart] = run.field.component(bits[apart])
    hashes = run.visited.hashes_of(bits)
    fresh = run.visited.unseen(hashes)
    # A neighbour that fell apart is asked for in part, never as a whole.
    run.visited.mark(moves.hashes[moves.hashes != hashes[: len(moves)]])
    if len(children):
        new = np.count_nonzero(fresh >= len(bits) - len(children)) / len(children)
        run.trust.learn_novelty(new)
    fresh = fresh[: min(most, run.left)]
    if not len(fresh):
        return
    free = run.archive.free
    ids = np.concatenate([members.ids[moves.member], origins, parents])
    found = yield from run.verify(bits[fresh], ids[fresh], hashes[fresh])
    moved = fresh[fresh < len(moves)]
    moves = moves[moved]
    found = found[: len(moved)]
    kept = free.gains(found.values) * found.explanatory
    run.trust.learn(moves.kind, promised[moved], kept)
    changes = bits[moved].astype(np.int8) - members.bits[moves.member]
    run.table.learn(changes, found.odds - members.odds[moves.member])


def _most_promising(run: SearchRun, members: Members, most: int) -> tuple[Moves, np.ndarray]:
    """The most promising neighbours of the members, `most` at most, and what they promise [n]."""
    moves = _neighbours(run, members)
    promised = _promised(run, members, moves)
    order = np.argsort(-promised * run.trust.of(moves.kind), kind="stable")
    best = order[: most - most // CROSSED - most // LEAPS]
    return moves[best], promised[best]


def _children(run: SearchRun, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Children of the survivors, bits [n, U], that may fall apart, and the candidate number [n] of one parent each."""
    parents = run.archive.survivors()
    units = run.field.num_units
    branches = run.table.branches
    one, two = run.rng.integers(len(parents), size=(2, count))
    coins = run.rng.integers(256, size=(count, -(-units // 8)), dtype=np.uint8)
    first = unpack(coins, units)
    for rows, branch in zip(np.array_split(np.arange(count), len(branches)), branches):
        first[rows] = first[rows].take(branch, axis=1)
    bits = np.where(first, parents.bits[one], parents.bits[two])
    toggled = run.rng.integers(bits.size, size=run.rng.binomial(bits.size, 1 / units))
    bits.reshape(-1)[toggled] ^= True
    return bits, parents.ids[one]


@dataclass(frozen=True, eq=False, kw_only=True)
class Toggles:
    """k ways to change one unit of c subgraphs, then a last row that changes nothing.

    Units in a subgraph can be dropped; units that touch it, directly or through their link, can be added.
    """

    place: np.ndarray  # [k + 1] in a table [c, U]
    member: np.ndarray  # [k + 1] 0 .. c - 1
    unit: np.ndarray  # [k + 1]
    link: np.ndarray  # [k + 1] that comes with the unit, or NONE
    adds: np.ndarray  # [k + 1] bool
    odds: np.ndarray  # [k + 1, 2] by which the log-odds are expected to change
    growth: np.ndarray  # [k + 1] in size
    hashes: np.ndarray  # [k + 1] by which the hash changes

    @staticmethod
    def of(run: SearchRun, bits: np.ndarray) -> "Toggles":
        """Every toggle of the subgraphs bits [c, U]."""
        links = run.table.link
        worth = run.table.worth
        unit_hashes = run.visited.unit_hashes
        touching = run.field.frontiers(bits)
        far = touching.take(links, axis=1)
        far &= (links >= 0) & ~(bits | touching)
        place = np.flatnonzero(bits | touching | far)
        member, unit = np.divmod(place, bits.shape[1])
        adds = ~bits.ravel()[place]
        far = far.ravel()[place]
        link = np.where(far, links[unit], NONE)
        sign = np.where(adds, 1, -1)
        own_hashes = np.where(adds, unit_hashes[unit], -unit_hashes[unit])
        return Toggles(
            place=_ended(place, NONE),
            member=_ended(member, 0),
            unit=_ended(unit, NONE),
            link=_ended(link, NONE),
            adds=_ended(adds, False),
            odds=_ended(sign[:, None] * worth[unit] + far[:, None] * worth[link], 0.0),
            growth=_ended(sign + far, 0),
            hashes=_ended(own_hashes + np.where(far, unit_hashes[link], NOTHING), NOTHING),
        )


def _ended(rows: np.ndarray, last) -> np.ndarray:
    """The rows [k, ...] and one more row, filled with `last`."""
    return np.concatenate([rows, np.full((1, *rows.shape[1:]), last, rows.dtype)])


def _neighbours(run: SearchRun, members: Members) -> Moves:
    """The most promising single moves of c members, and their pairs.

    Each member weights the scores at random. Visited subgraphs are left out; among the single
    moves, others take their place.
    """
    toggles = Toggles.of(run, members.bits)
    hashes = run.visited.hashes_of(members.bits)
    member, one, other = _pairs(run, members, toggles, hashes)
    sizes = np.count_nonzero(members.bits, axis=1)
    sizes = sizes[member] + toggles.growth[one] + toggles.growth[other]
    hashes = hashes[member] + toggles.hashes[one] + toggles.hashes[other]
    open_ = np.flatnonzero((sizes > 0) & ~run.visited.has(hashes))
    member = member[open_]
    one = one[open_]
    other = other[open_]
    return Moves(
        member=member,
        units=np.stack([toggles.unit[one], toggles.unit[other]], axis=1),
        links=np.stack([toggles.link[one], toggles.link[other]], axis=1),
        adds=toggles.adds[one].astype(int) + toggles.adds[other],
        odds=members.odds[member] + (toggles.odds[one] + toggles.odds[other]),
        sizes=sizes[open_],
        hashes=hashes[open_],
    )


def _pairs(
    run: SearchRun, members: Members, toggles: Toggles, hashes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The toggles that moves consist of: the member [n] of each, its first toggle [n] and its second [n].

    The second may be the one that changes nothing. `hashes` are the members' [c].
    """
    nothing = len(toggles.unit) - 1
    place = toggles.place[:-1]
    bits = members.bits
    gain = _gains(run, members, toggles)
    visited = run.visited.has(hashes[toggles.member[:-1]] + toggles.hashes[:-1])
    tables = np.full((2, 2, bits.size), -np.inf)  # unvisited or all, added or dropped
    dropped = place + np.where(toggles.adds[:-1], 0, bits.size)
    tables[1].ravel()[dropped] = gain
    tables[0].ravel()[dropped] = np.where(visited, -np.inf, gain)
    number = np.empty(bits.size, np.int64)  # of the toggle of a unit
    number[place] = np.arange(nothing)
    best = best_of(tables.reshape(2, 2, *bits.shape), SINGLES)
    row = bits.shape[1] * np.arange(len(members))[:, None]
    best = np.where(best < 0, NONE, number[best + row])
    alone = np.concatenate([*best[0, :, :, :SINGLES]], axis=1)
    paired = np.concatenate([*best[1, :, :, :PAIRED]], axis=1)
    left, right = np.triu_indices(paired.shape[1], 1)
    one = np.concatenate([alone, paired[:, left]], axis=1)
    other = np.concatenate([np.full_like(alone, nothing), paired[:, right]], axis=1)
    member, column = np.nonzero((one >= 0) & (other >= 0))
    return member, one[member, column], other[member, column]


def _gains(run: SearchRun, members: Members, toggles: Toggles) -> np.ndarray:
    """[k] the expected rise of the member's scores by each toggle, weighted at random."""
    member = toggles.member[:-1]
    own = members.values[member]
    sizes = np.count_nonzero(members.bits, axis=1)[member] + toggles.growth[:-1]
    odds = members.odds[member] + toggles.odds[:-1]
    expected = run.values(np.maximum(sizes, 1), odds, own)
    weights = run.rng.dirichlet(np.ones(own.shape[1]), len(members))
    gain = np.einsum("km,km->k", expected - own, weights[member])
    noise = run.rng.random(members.bits.shape).ravel()[toggles.place[:-1]]
    return gain + NOISE * noise


def _promised(run: SearchRun, members: Members, moves: Moves) -> np.ndarray:
    """[n] the hypervolume that moves are expected to add."""
    values = run.values(moves.sizes, moves.odds, members.values[moves.member])
    likely = (moves.odds[:, 0] > 0) | (moves.odds[:, 1] < 0) | members.explanatory[moves.member]
    gains = run.archive.free.gains(values) * np.where(likely, 1, UNLIKELY)
    return gains + 1e-9 * run.rng.random(len(gains))
