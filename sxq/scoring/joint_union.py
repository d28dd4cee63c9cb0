"""JOINTLY with sxq_jointly = 'union': k members for several targets, compared with each other across targets.

Qiu et al. explain all of V_T as one: a candidate of any target can dominate those of all others, DS counts the union
of what is dominated, and every target has a member. Conciseness is relative to the union of the fields.

A candidate of the union field that explains v does no better than its part in the field of v: the prediction of v is
the same, and the part is smaller. So candidates of the single fields suffice; sxq does not search larger ones.

A target whose every member is dominated by members of others still gets one, as the paper's definition of an
explanation asks, though its definition of a skyline forbids it. One member of each target comes first, by the largest
gain; then greedy takes members of the union's front. With t targets the answer covers at least 1 - 1/e of what the best
k - t members of that front cover.
"""

from collections.abc import Sequence

import numpy as np
from bitarray import bitarray
from bitarray.util import zeros

from sxq.scoring import cover as covers
from sxq.scoring import selection
from sxq.scoring.cover import Cover
from sxq.scoring.dominance import dominated, frontier


def choose_of_union(
    members: Sequence[np.ndarray], everything: np.ndarray, k: int, epsilon: int
) -> list[tuple[int, int]]:
    """At most k members in rank order, as (target, position in its front); k is at least the number of targets.

    Members [f, M] of each target's front and all explanatory candidates [n, M] of all targets are
    grid vectors on one scale; epsilon in millionths.
    """
    owner = np.repeat(np.arange(len(members)), [len(own) for own in members])
    place = np.concatenate([np.zeros(0, int), *(np.arange(len(own)) for own in members)])
    vectors = np.concatenate([everything[:0], *members])
    cover = covers.extend(covers.empty(everything.shape[1]), everything, vectors, epsilon)
    best = ~dominated(vectors, frontier(everything))
    chosen, covered = _one_of_each(cover, owner, best)
    rest = [row for row in _greedy(cover, np.flatnonzero(best), covered) if row not in chosen]
    chosen += rest[: k - len(chosen)]
    front = np.flatnonzero(best)
    if len(chosen) < k:
        chosen = _filled(vectors, chosen, front, k)
    return [(int(owner[row]), int(place[row])) for row in chosen]


def union_dominance(chosen: np.ndarray, everything: np.ndarray, epsilon: int) -> int:
    """DS: how many of all candidates [n, M] the chosen [k, M] epsilon-dominate together."""
    cover = covers.extend(covers.empty(everything.shape[1]), everything, chosen, epsilon)
    return selection.dominance(cover, list(range(len(chosen))))


def _one_of_each(cover: Cover, owner: np.ndarray, best: np.ndarray) -> tuple[list[int], bitarray]:
    """A row for every target, each of largest gain; of the union's front where a target has some there."""
    chosen: list[int] = []
    covered = zeros(cover.width)
    left = {
        target: np.flatnonzero((owner == target) & best)
        if best[owner == target].any()
        else np.flatnonzero(owner == target)
        for target in np.unique(owner).tolist()
    }
    while left:
        gains = [
            (-_gain(cover, row, covered), row) for rows in left.values() for row in map(int, rows)
        ]
        _, row = min(gains)
        chosen.append(int(row))
        covered |= cover.bits[row]
        del left[int(owner[row])]
    return chosen, covered


def _greedy(cover: Cover, rows: np.ndarray, covered: bitarray) -> list[int]:
    """Rows of largest gain over what is covered, until none gains anything."""
    chosen: list[int] = []
    covered = covered.copy()
    while len(rows):
        gain, row = max((_gain(cover, row, covered), -int(row)) for row in rows)
        if not gain:
            break
        chosen.append(-row)
        covered |= cover.bits[-row]
    return chosen


def _gain(cover: Cover, row: int, covered: bitarray) -> int:
    return cover.weigh(cover.bits[row] & ~covered)


def _filled(vectors: np.ndarray, chosen: list[int], front: np.ndarray, k: int) -> list[int]:
    """The chosen rows and more of the front, by hypervolume; nothing that equals a row already there."""
    own = {vectors[row].tobytes() for row in chosen}
    others = {vectors[row].tobytes(): row for row in reversed(front.tolist())}
    rows = [*chosen, *sorted(row for key, row in others.items() if key not in own)]
    places = selection.fill(vectors[rows], list(range(len(chosen))), k)
    return [rows[place] for place in places]
