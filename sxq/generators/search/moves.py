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
DROPPING = np.array([False, True, False, True, True])  # by kind of move: whether it drops a unit
PAIRS = np.triu_indices(2 * PAIRED, 1)  # of the changes considered in pairs for each member


@dataclass(frozen=True, eq=False)
class Moves:
    """n moves, each from one of c members."""

    member: np.ndarray  # [n] 0 .. c - 1
    changes: np.ndarray  # [n, 2] by number; the second may be the one that changes nothing
    kind: np.ndarray  # [n] 0 one added, 1 one dropped, 2 two added, 3 one of each, 4 two dropped
    odds: np.ndarray  # [n, 2] expected
    sizes: np.ndarray  # [n] expected
    hashes: np.ndarray  # [n] of the neighbours before units fall off; see `Visited`

    @property
    def drops(self) -> np.ndarray:
        """[n] whether a unit is dropped."""
        return DROPPING[self.kind]

    def __len__(self) -> int:
        return len(self.member)

    def __getitem__(self, rows: np.ndarray) -> "Moves":
        return Moves(*(values[rows] for values in vars(self).values()))


def improve(run: SearchRun, most: int) -> Search:
    """One batch of about `most` candidates, never more than are left: promising neighbours, leaps and children.

    The outcome corrects the edge table and the trust in moves.
    """
    members = run.archive.draw(MEMBERS, run.rng)
    moves, promised = _most_promising(run, members, most)
    leapt = most // LEAPS
    children, parents = _children(run, int((most - len(moves) - leapt) / run.trust.novel))
    leapers, origins = leaps(run, leapt)
    moved_to = run.changes.applied(members.bits[moves.member], moves.changes)
    bits = np.concatenate([moved_to, leapers, children])
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
    changed = bits[moved].astype(np.int8) - members.bits[moves.member]
    run.table.learn(changed, found.odds - members.odds[moves.member])


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


def _neighbours(run: SearchRun, members: Members) -> Moves:
    """The most promising single moves of c members, and their pairs.

    Each member weights the scores at random. Visited subgraphs are left out; among the single
    moves, others take their place.
    """
    changes = run.changes
    odds = changes.odds(run.table.worth)
    own_hashes = run.visited.hashes_of(members.bits)
    member, pair = _pairs(run, members, odds, own_hashes)
    one, other = pair.T
    sizes = np.count_nonzero(members.bits, axis=1)[member]
    sizes += changes.growth[one] + changes.growth[other]
    hashes = own_hashes[member] + changes.hashes[one] + changes.hashes[other]
    open_ = np.flatnonzero((sizes > 0) & ~run.visited.has(hashes))
    member = member[open_]
    pair = pair[open_]
    one, other = pair.T
    return Moves(
        member=member,
        changes=pair,
        kind=2 + changes.drops[one] + changes.drops[other],
        odds=members.odds[member] + (odds[one] + odds[other]),
        sizes=sizes[open_],
        hashes=hashes[open_],
    )


def _pairs(
    run: SearchRun, members: Members, odds: np.ndarray, own_hashes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The moves that are considered: the member [n] of each, and its changes [n, 2] by number.

    The second change may be the one that changes nothing. `odds` are those of changes, `own_hashes`
    the members' [c].
    """
    count = len(members)
    changes = run.changes
    member, change = changes.possible(members.bits, run.field.frontiers(members.bits))
    visited = run.visited.has(own_hashes[member] + changes.hashes[change])
    # Two groups for each member: what adds to it, and what is dropped.
    group = 2 * member + changes.drops[change]
    # Gains are below 2, so groups stay apart.
    order = np.argsort(4.0 * group - _gains(run, members, odds, member, change))
    alone = _leading(order[~visited[order]], group, (2 * count, SINGLES)).reshape(count, -1)
    paired = _leading(order, group, (2 * count, PAIRED)).reshape(count, -1)
    left, right = PAIRS
    one = np.concatenate([alone, paired[:, left]], axis=1)
    other = np.concatenate([np.full_like(alone, len(change)), paired[:, right]], axis=1)
    found = np.nonzero((one >= 0) & (other >= 0))
    change = np.append(change, changes.nothing)
    return found[0], change[np.stack([one[found], other[found]], axis=1)]


def _leading(order: np.ndarray, group: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The first few of each group, of things in `order` by group: a table of that shape, ended by NONE."""
    table = np.full(shape, NONE)
    group = group[order]
    count = np.bincount(group, minlength=shape[0])
    place = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    first = place < shape[1]
    table[group[first], place[first]] = order[first]
    return table


def _gains(
    run: SearchRun, members: Members, odds: np.ndarray, member: np.ndarray, change: np.ndarray
) -> np.ndarray:
    """[k] the expected scores of members [k] after a change [k] of each, weighted at random; within -1 and 2."""
    sizes = np.count_nonzero(members.bits, axis=1)[member] + run.changes.growth[change]
    odds = members.odds[member] + odds[change]
    expected = run.values(np.maximum(sizes, 1), odds, members.values, member)
    weights = run.rng.dirichlet(np.ones(expected.shape[1]), len(members))
    noise = run.rng.random(members.bits.shape)[member, run.changes.unit[change]]
    return np.einsum("km,km->k", expected, weights[member]) + NOISE * noise


def _promised(run: SearchRun, members: Members, moves: Moves) -> np.ndarray:
    """[n] the hypervolume that moves are expected to add."""
    values = run.values(moves.sizes, moves.odds, members.values, moves.member)
    likely = (moves.odds[:, 0] > 0) | (moves.odds[:, 1] < 0) | members.explanatory[moves.member]
    gains = run.archive.free.gains(values) * np.where(likely, 1, UNLIKELY)
    return gains + 1e-9 * run.rng.random(len(gains))
