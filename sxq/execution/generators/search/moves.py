"""Moves: from members of the front to their neighbours, those first that promise most hypervolume.

A move toggles one or two units; a unit one step off comes with the link that joins it, and what a drop leaves
unconnected goes with it. What a move promises is read off the edge table: log-odds add up, sizes are known, and
`Memory.values` says what scores that makes. Promises are kept to different degrees, by drops more often than by
additions, so a move of each kind is trusted as far as those of its kind were right lately.

Where moves are caught in a local optimum, crossings go on: children of two survivors, each unit from either parent,
one toggled on average (NSGA-II's variation; Deb et al. 2002).
"""

from dataclasses import dataclass

import numpy as np

from sxq.execution.conversation import Search
from sxq.execution.generators.search.archive import States
from sxq.execution.generators.search.memory import Memory

MEMBERS = 16  # whose neighbours compete for a batch
SINGLES, PAIRED = 10, 4  # additions, and as many drops, considered for each member: alone, in pairs
NOISE = 1e-3  # of a score, so that equal promises take turns
PRIOR = 3e-3  # hypervolume for which a kind is trusted before it is known
FORGET = 0.8  # of what was promised and kept, from batch to batch
UNLIKELY = 0.3  # trust in a neighbour that is not expected to be explanatory, of a member that is not
CROSSED = 3  # share of a batch, one of so many, that is children at least
NOTHING = np.uint64(0)


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
    """One batch of at most so many: promising neighbours of some members, and children; table and trust corrected."""
    members = memory.archive.draw(MEMBERS, memory.rng)
    moves = _neighbours(memory, members)
    promised = _promised(memory, members, moves)
    trust = (memory.kept + PRIOR) / (memory.promised + PRIOR)
    best = np.argsort(-promised * trust[moves.kind], kind="stable")[: most - most // CROSSED]
    moves, promised = moves[best], promised[best]
    memory.note(moves.names)
    bits = moves.applied(members.bits)
    cut = moves.kind % 2 + moves.kind // 4 > 0  # something was dropped
    bits[cut] = memory.field.component(bits[cut])
    children, parents = _children(memory, most - len(bits))
    fresh = memory.unseen(np.concatenate([bits, children]), most)
    if not len(fresh):
        return
    before = memory.archive.free
    found = yield from memory.verify(np.concatenate([bits, children])[fresh],
                                     np.concatenate([members.ids[moves.member], parents])[fresh])
    moved = fresh[fresh < len(bits)]
    moves, promised, bits, found = moves[moved], promised[moved], bits[moved], found[:len(moved)]
    kept = before.gains(found.values) * found.explanatory
    memory.promised = FORGET * memory.promised + np.bincount(moves.kind, promised, minlength=5)
    memory.kept = FORGET * memory.kept + np.bincount(moves.kind, kept, minlength=5)
    memory.learn(bits.astype(np.int8) - members.bits[moves.member], found.odds - members.odds[moves.member])


def _children(memory: Memory, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Children of the survivors, bits [n, U], and the candidate number [n] of one parent each."""
    parents, units = memory.archive.survivors(), memory.field.num_units
    one, two = memory.rng.integers(len(parents), size=(2, count))
    bits = np.where(memory.rng.random((count, units)) < 0.5, parents.bits[one], parents.bits[two])
    return memory.field.component(bits ^ (memory.rng.random(bits.shape) < 1 / units)), parents.ids[one]


def _neighbours(memory: Memory, members: States) -> Moves:
    """The most promising single moves of c members, by a random weighting of the scores each, and their pairs.

    Nothing that was tried before: among the single moves others take its place.
    """
    change, growth, link, able = _toggles(memory, members.bits)
    sizes = np.count_nonzero(members.bits, axis=1)
    expected = _values(memory, np.maximum(sizes[:, None] + growth, 1), members.odds[:, None] + change, members.values)
    weights = memory.rng.dirichlet(np.ones(members.values.shape[1]), len(members))
    gain = np.einsum("cum,cm->cu", expected - members.values[:, None], weights)
    gain = np.where(able, gain + NOISE * memory.rng.random(gain.shape), -np.inf)
    names = memory.named(members.bits)
    renamed = np.where(members.bits, -memory.names, memory.names) + np.where(link >= 0, memory.names[link], NOTHING)
    untried = np.where(memory.tried(names[:, None] + renamed), -np.inf, gain)
    single = np.concatenate([_best(untried, ~members.bits, SINGLES), _best(untried, members.bits, SINGLES)], axis=1)
    paired = np.concatenate([_best(gain, ~members.bits, PAIRED), _best(gain, members.bits, PAIRED)], axis=1)
    left, right = np.triu_indices(paired.shape[1], 1)
    pairs = np.stack([paired[:, left], paired[:, right]], axis=2)
    units = np.concatenate([np.stack([single, np.full_like(single, -1)], axis=2), pairs], axis=1)
    alone = np.arange(units.shape[1]) < single.shape[1]
    member, place = np.nonzero((units[:, :, 0] >= 0) & ((units[:, :, 1] >= 0) | alone))
    units = units[member, place]
    real, rows = units >= 0, member[:, None]
    moves = Moves(member, units, np.where(real, link[rows, units], -1),
                  (~members.bits[rows, units] & real).sum(axis=1),
                  members.odds[member] + (change[rows, units] * real[:, :, None]).sum(axis=1),
                  sizes[member] + (growth[rows, units] * real).sum(axis=1),
                  names[member] + np.where(real, renamed[rows, units], NOTHING).sum(axis=1))
    return moves[(moves.sizes > 0) & ~memory.tried(moves.names)]


def _toggles(memory: Memory, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What toggling each unit does to subgraphs bits [c, U].

    Expected change of the log-odds [c, U, 2], of the size [c, U], the link that comes with it [c, U], -1 for none;
    and whether it can be done: it is there, touches the subgraph, or its link does.
    """
    touching = memory.field.frontiers(bits)
    joined = memory.link >= 0
    far = ~bits & ~touching & joined & (touching[:, memory.link] & joined)
    change = np.where(bits, -1, 1)[:, :, None] * memory.worth + far[:, :, None] * memory.worth[memory.link]
    return change, np.where(bits, -1, 1) + far, np.where(far, memory.link, -1), bits | touching | far


def _promised(memory: Memory, members: States, moves: Moves) -> np.ndarray:
    """[n] hypervolume that moves are expected to add."""
    values = memory.values(moves.sizes, moves.odds, members.values[moves.member])
    likely = (moves.odds[:, 0] > 0) | (moves.odds[:, 1] < 0) | members.explanatory[moves.member]
    gains = memory.archive.free.gains(values) * np.where(likely, 1, UNLIKELY)
    return gains + 1e-9 * memory.rng.random(len(gains))


def _values(memory: Memory, sizes: np.ndarray, odds: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """`Memory.values` of every toggle: sizes [c, U], odds [c, U, 2], otherwise [c, M] -> [c, U, M]."""
    every = np.repeat(otherwise, sizes.shape[1], axis=0)
    return memory.values(sizes.reshape(-1), odds.reshape(-1, 2), every).reshape(*sizes.shape, -1)


def _best(gain: np.ndarray, among: np.ndarray, most: int) -> np.ndarray:
    """[c, most] of the units `among` [c, U] those of the largest gains [c, U], best first; -1 for minus infinity."""
    most = min(most, gain.shape[1])
    gain = np.where(among, gain, -np.inf)
    best = np.argpartition(-gain, most - 1, axis=1)[:, :most]
    value = np.take_along_axis(gain, best, axis=1)
    order = np.argsort(-value, axis=1, kind="stable")
    return np.where(np.take_along_axis(value, order, axis=1) > -np.inf, np.take_along_axis(best, order, axis=1), -1)
