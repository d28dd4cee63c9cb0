"""Moves: from members of the front to their neighbours, those first that promise most hypervolume.

A move toggles one or two units; a unit one step off comes with the link that joins it, and what a drop leaves
unconnected goes with it. What a move promises is read off the edge table: log-odds add up, sizes are known, and
`Memory.values` says what scores that makes. Promises are kept to different degrees, by drops more often than by
additions, so a move of each kind is trusted as far as those of its kind were right lately.

Where moves are caught in a local optimum, crossings go on: children of two survivors, each branch of the field from
either parent, so that units which work together stay together, and one unit toggled on average (but for the branches
NSGA-II's variation; Deb et al. 2002). Where one or two units at a time lead nowhere, leaps do
(`leaps.py`).
"""

from dataclasses import dataclass

import numpy as np

from sxq.generators.protocol import Search
from sxq.generators.search.archive import States
from sxq.generators.search.leaps import leaps
from sxq.generators.search.memory import Memory, best_of
from sxq.generators.search.names import NOTHING
from sxq.graph.bits import unpack

MEMBERS = 16  # whose neighbours compete for a batch
SINGLES, PAIRED = 10, 4  # additions, and as many drops, considered for each member: alone, in pairs
NOISE = 1e-3  # of a score, so that equal promises take turns
PRIOR = 3e-3  # hypervolume for which a kind is trusted before it is known
FORGET = 0.8  # of what was promised and kept, from batch to batch
UNLIKELY = (
    0.3  # trust in a neighbour that is not expected to be explanatory, of a member that is not
)
LEAPS = 4  # share of a batch, one of so many, that is leaps
CROSSED = 3  # share of a batch, one of so many, that is children at least
SELDOM = 0.25  # share of children that are new, at least, by which their number is chosen


@dataclass(frozen=True, eq=False)
class Moves:
    """n moves, each from one of c members."""

    member: np.ndarray  # [n] 0 .. c - 1
    units: np.ndarray  # [n, 2] toggled; -1 is none
    links: np.ndarray  # [n, 2] added with them; -1 is none
    adds: np.ndarray  # [n] how many of the units are added
    odds: np.ndarray  # [n, 2] expected
    sizes: np.ndarray  # [n] expected
    names: np.ndarray  # [n] of what is made before anything falls off; see `Memory.named`

    @property
    def kind(self) -> np.ndarray:
        """[n]: 0 one added, 1 one dropped, 2 two added, 3 one of each, 4 two dropped."""
        return np.where(self.units[:, 1] < 0, 1, 4) - self.adds

    def __getitem__(self, rows: np.ndarray) -> "Moves":
        return Moves(*(values[rows] for values in vars(self).values()))

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


def improve(memory: Memory, most: int) -> Search:
    """One batch of about so many, and no more than are left: promising neighbours of some members, and children; table
    and trust corrected."""
    members = memory.archive.draw(MEMBERS, memory.rng)
    moves = _neighbours(memory, members)
    promised = _promised(memory, members, moves)
    trust = (memory.kept + PRIOR) / (memory.promised + PRIOR)
    leapt = most // LEAPS
    best = np.argsort(-promised * trust[moves.kind], kind="stable")[
        : most - most // CROSSED - leapt
    ]
    moves, promised = moves[best], promised[best]
    children, parents = _children(memory, int((most - len(moves.member) - leapt) / memory.novel))
    leapers, origins = leaps(memory, leapt)
    bits = np.concatenate([moves.applied(members.bits), leapers, children])
    apart = np.ones(len(bits), bool)
    apart[: len(moves.member)] = moves.kind % 2 + moves.kind // 4 > 0  # something was dropped
    bits[apart] = memory.field.component(bits[apart])
    names = memory.named(bits)
    fresh = memory.unseen(names)
    memory.tried.add(moves.names[moves.names != names[: len(moves.names)]])  # of what fell apart
    if len(children):
        new = np.count_nonzero(fresh >= len(bits) - len(children)) / len(children)
        memory.novel = max((memory.novel + new) / 2, SELDOM)
    fresh = fresh[: min(most, memory.left)]
    if not len(fresh):
        return
    before = memory.archive.free
    found = yield from memory.verify(
        bits[fresh],
        np.concatenate([members.ids[moves.member], origins, parents])[fresh],
        names[fresh],
    )
    moved = fresh[fresh < len(moves.member)]
    moves, promised, bits, found = moves[moved], promised[moved], bits[moved], found[: len(moved)]
    kept = before.gains(found.values) * found.explanatory
    memory.promised = FORGET * memory.promised + np.bincount(moves.kind, promised, minlength=5)
    memory.kept = FORGET * memory.kept + np.bincount(moves.kind, kept, minlength=5)
    memory.learn(
        bits.astype(np.int8) - members.bits[moves.member], found.odds - members.odds[moves.member]
    )


def _children(memory: Memory, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Children of the survivors, bits [n, U], that may fall apart, and the candidate number [n] of one parent each."""
    parents, units = memory.archive.survivors(), memory.field.num_units
    one, two = memory.rng.integers(len(parents), size=(2, count))
    coins = memory.rng.integers(256, size=(count, -(-units // 8)), dtype=np.uint8)
    first = unpack(coins, units)
    for rows, branch in zip(
        np.array_split(np.arange(count), len(memory.branches)), memory.branches
    ):
        first[rows] = first[rows].take(branch, axis=1)
    bits = np.where(first, parents.bits[one], parents.bits[two])
    toggled = memory.rng.integers(bits.size, size=memory.rng.binomial(bits.size, 1 / units))
    bits.reshape(-1)[toggled] ^= True
    return bits, parents.ids[one]


@dataclass(frozen=True, eq=False)
class Toggles:
    """k ways to change one unit of c subgraphs: what is there may go, what touches the subgraph, or its link does, may
    come. Behind them a last row, which changes nothing."""

    place: np.ndarray  # [k + 1] in a table [c, U]
    member: np.ndarray  # [k + 1] 0 .. c - 1
    unit: np.ndarray  # [k + 1]
    link: np.ndarray  # [k + 1] that comes with the unit, -1 for none
    adds: np.ndarray  # [k + 1] bool
    odds: np.ndarray  # [k + 1, 2] by which the log-odds are expected to change
    growth: np.ndarray  # [k + 1] in size
    names: np.ndarray  # [k + 1] by which the name changes

    @staticmethod
    def of(memory: Memory, bits: np.ndarray) -> "Toggles":
        """All of them, for subgraphs bits [c, U]."""
        touching, joined = memory.field.frontiers(bits), memory.link >= 0
        far = touching.take(memory.link, axis=1)
        far &= joined & ~(bits | touching)
        place = np.flatnonzero(bits | touching | far)
        member, unit = np.divmod(place, bits.shape[1])
        adds, far = ~bits.ravel()[place], far.ravel()[place]
        link, sign = np.where(far, memory.link[unit], -1), np.where(adds, 1, -1)
        odds = sign[:, None] * memory.worth[unit] + far[:, None] * memory.worth[link]
        names = np.where(adds, memory.names[unit], -memory.names[unit]) + np.where(
            far, memory.names[link], NOTHING
        )
        every = (
            (place, -1),
            (member, 0),
            (unit, -1),
            (link, -1),
            (adds, False),
            (odds, 0.0),
            (sign + far, 0),
            (names, NOTHING),
        )
        return Toggles(
            *(
                np.concatenate([own, np.full((1, *own.shape[1:]), last, own.dtype)])
                for own, last in every
            )
        )


def _neighbours(memory: Memory, members: States) -> Moves:
    """The most promising single moves of c members, by a random weighting of the scores each, and their pairs.

    Nothing that was tried before: among the single moves others take its place.
    """
    toggles = Toggles.of(memory, members.bits)
    names, sizes = memory.named(members.bits), np.count_nonzero(members.bits, axis=1)
    member, (one, other) = _pairs(memory, members, toggles, names, sizes)
    names, sizes = (
        own[member] + by[one] + by[other]
        for own, by in ((names, toggles.names), (sizes, toggles.growth))
    )
    open_ = np.flatnonzero((sizes > 0) & ~memory.tried.has(names))
    member, one, other = member[open_], one[open_], other[open_]
    return Moves(
        member,
        *(np.stack([own[one], own[other]], axis=1) for own in (toggles.unit, toggles.link)),
        toggles.adds[one].astype(int) + toggles.adds[other],
        members.odds[member] + (toggles.odds[one] + toggles.odds[other]),
        sizes[open_],
        names[open_],
    )


def _pairs(memory: Memory, members: States, toggles: Toggles, names: np.ndarray, sizes: np.ndarray):
    """The toggles that moves consist of: the member [n] of each, and its two toggles [2, n], of which one may be none.

    `names` and `sizes` are the members' [c].
    """
    place, member, none = toggles.place[:-1], toggles.member[:-1], len(toggles.unit) - 1
    own, bits = members.values[member], members.bits
    expected = memory.values(
        np.maximum(sizes[member] + toggles.growth[:-1], 1),
        members.odds[member] + toggles.odds[:-1],
        own,
    )
    weights = memory.rng.dirichlet(np.ones(own.shape[1]), len(members))
    gain = np.einsum("km,km->k", expected - own, weights[member])
    gain += NOISE * memory.rng.random(bits.shape).ravel()[place]
    tables = np.full((2, 2, bits.size), -np.inf)  # untried or all, added or dropped
    dropped = place + np.where(toggles.adds[:-1], 0, bits.size)
    tables[1].ravel()[dropped] = gain
    tables[0].ravel()[dropped] = np.where(
        memory.tried.has(names[member] + toggles.names[:-1]), -np.inf, gain
    )
    number = np.empty(bits.size, np.int64)  # of the toggle of a unit
    number[place] = np.arange(none)
    best = best_of(tables.reshape(2, 2, *bits.shape), SINGLES)
    best = np.where(best < 0, -1, number[best + bits.shape[1] * np.arange(len(members))[:, None]])
    alone, paired = (
        np.concatenate([*own[:, :, :most]], axis=1) for own, most in zip(best, (SINGLES, PAIRED))
    )
    left, right = np.triu_indices(paired.shape[1], 1)
    one = np.concatenate([alone, paired[:, left]], axis=1)
    other = np.concatenate([np.full_like(alone, none), paired[:, right]], axis=1)
    member, place = np.nonzero((one >= 0) & (other >= 0))
    return member, (one[member, place], other[member, place])


def _promised(memory: Memory, members: States, moves: Moves) -> np.ndarray:
    """[n] hypervolume that moves are expected to add."""
    values = memory.values(moves.sizes, moves.odds, members.values[moves.member])
    likely = (moves.odds[:, 0] > 0) | (moves.odds[:, 1] < 0) | members.explanatory[moves.member]
    gains = memory.archive.free.gains(values) * np.where(likely, 1, UNLIKELY)
    return gains + 1e-9 * memory.rng.random(len(gains))
