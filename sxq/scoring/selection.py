"""Chooses k members of the front.

`coverage` is the engine's rule: the largest hypervolume among k members that cover nearly as much as any k
members could. If a <= b then B(a) is a subset of B(b), so some optimal k-set of *all* candidates lies on an exact
front, and `greedy` is within 1 - 1/e of it (Nemhauser, Wolsey, Fisher 1978; lazy evaluation: Minoux 1978). The
answer covers at least ENOUGH of a proven upper bound of the optimum. If greedy is not known to
reach that, it covers as much as greedy, so never less than 1 - 1/e of the optimum. `swap` is the
streaming rule of Qiu et al., Procedure 1 (updateSX), kept for comparison.
"""

from dataclasses import replace
from heapq import heapify, heappop, heappush

import numpy as np
from bitarray import bitarray
from bitarray.util import ones, zeros

from sxq.scoring.cover import Cover
from sxq.scoring.dominance import GRID, at_least, epsilon_dominates, records
from sxq.scoring.hypervolume import Free

ENOUGH = 0.95  # share of the possible coverage that is required; beyond it, hypervolume decides
SWAPPED = 16  # largest answer whose members are exchanged one by one, at a cost of k^2 cuts of the free space


def coverage(cover: Cover, k: int) -> list[int]:
    """At most k front positions, in rank order."""
    order = greedy(cover, k)
    return ranked(cover, _widest(cover, order, least(cover, order, k), k))


def ranked(cover: Cover, members: list[int]) -> list[int]:
    """The members in rank order: the largest gains in coverage first, then in hypervolume."""
    chosen = sorted(members)
    own = replace(
        cover, front=cover.front[chosen], bits=tuple(cover.bits[member] for member in chosen)
    )
    return [chosen[place] for place in ordered(own, len(chosen))]


def ordered(cover: Cover, k: int) -> list[int]:
    """At most k front positions, each prefix the best known for its length: greedy, then by hypervolume."""
    return fill(cover.front, greedy(cover, k), k)


def least(cover: Cover, order: list[int], k: int) -> float:
    """The least DS that an answer of k members must have, given greedy's order."""
    covered = dominance(cover, order)
    everything = cover.everything
    return min(covered, ENOUGH * (everything if covered == everything else bound(cover, order, k)))


def dominance(cover: Cover, members: list[int]) -> int:
    """DS: how many candidates the members cover together."""
    return cover.weigh(_union(cover, members))


def bound(cover: Cover, order: list[int], k: int) -> int:
    """An upper bound of DS for k members: the DS of any set plus the k largest gains over it.

    The smallest such bound over the prefixes of greedy's order (Nemhauser, Wolsey, Fisher 1978, for
    monotone submodular functions).
    """
    best = cover.everything
    gains = cover.weights.copy()
    for prefix in range(len(order) + 1):
        union = _union(cover, order[:prefix])
        best = min(best, cover.weigh(union) + _largest(cover, gains, ~union, k))
    return best


def _largest(cover: Cover, gains: np.ndarray, uncovered: bitarray, k: int) -> int:
    """The sum of the k largest gains over what is covered. Lazy: `gains` [F] are earlier ones, renewed from the top."""
    renewed = np.zeros(len(gains), bool)
    while True:
        top = np.argsort(-gains, kind="stable")[:k]
        old = top[~renewed[top]]
        if not len(old):
            return int(gains[top].sum())
        gains[old] = [cover.weigh(cover.bits[member] & uncovered) for member in old]
        renewed[old] = True


def _union(cover: Cover, members: list[int]):
    union = zeros(cover.width)
    for member in members:
        union |= cover.bits[member]
    return union


def _widest(cover: Cover, order: list[int], floor: float, k: int) -> list[int]:
    """The members of large hypervolume that cover at least `floor`.

    They start with as few of greedy's first members as possible (0, 1, 2, 4, ...), are filled up by
    hypervolume, and are then exchanged one by one.
    """
    for kept in [0, *(1 << i for i in range(len(order).bit_length())), len(order)]:
        chosen = fill(cover.front, order[:kept], k)
        if dominance(cover, chosen) >= floor:
            return _exchanged(cover, chosen, floor) if len(chosen) <= SWAPPED else chosen
    raise AssertionError("greedy covers less than itself")


def _exchanged(cover: Cover, chosen: list[int], floor: float) -> list[int]:
    """The members, each in turn replaced by one that adds more hypervolume, until none does.

    Newcomers that add most to all of them are tried; these are the same for every place until one is exchanged.
    """
    if len(chosen) == len(cover.front):
        return chosen
    front = cover.front.astype(np.float64)
    place = 0
    settled = 0
    whole = _free(front, [])
    before = whole  # what the members before `place` leave free
    hopeful = None
    while settled < len(chosen):
        others = chosen[:place] + chosen[place + 1 :]
        rest = _cut(before, front, others[place:])
        if hopeful is None:
            free = rest.without(front[chosen[place]])
            hopeful = np.argsort(-free.gains(front), kind="stable")[:64]
        gains = rest.gains(front[hopeful])
        own = rest.gains(front[[chosen[place]]])[0]
        larger = (
            int(hopeful[i])
            for i in np.argsort(-gains, kind="stable")
            if gains[i] > own * (1 + 1e-9)
        )
        better = next(
            (member for member in larger if dominance(cover, [*others, member]) >= floor), None
        )
        settled = settled + 1 if better is None else 0
        if better is not None:
            chosen = [*chosen[:place], better, *chosen[place + 1 :]]
            hopeful = None
        before = before.without(front[chosen[place]]) if place + 1 < len(chosen) else whole
        place = (place + 1) % len(chosen)
    return chosen


def greedy(cover: Cover, k: int) -> list[int]:
    """At most k front positions of largest gain in weighted coverage, until all is covered.

    Lazy: gains only shrink, so an old gain is a bound, and a new gain that beats all bounds is the largest.
    Of equal gains the first in the front's order wins.
    """
    chosen: list[int] = []
    uncovered = ones(cover.width)
    heap = [(-weight, member) for member, weight in enumerate(cover.weights.tolist())]
    heapify(heap)
    while heap and heap[0][0] < 0 and len(chosen) < k:
        _, member = heappop(heap)
        fresh = (-cover.weigh(cover.bits[member] & uncovered), member)
        if heap and heap[0] < fresh:
            heappush(heap, fresh)
        elif fresh[0] < 0:
            chosen.append(member)
            uncovered &= ~cover.bits[member]
    return chosen


def fill(front: np.ndarray, chosen: list[int], k: int) -> list[int]:
    """`chosen` and further positions of the front [F, M], each of largest gain in hypervolume.

    Of equal gains the first wins; grid volumes are whole, so up to three measures no rounding decides.
    """
    front = front.astype(np.float64)
    chosen = list(chosen)
    free = _free(front, chosen)
    bounds = front.prod(axis=1)  # its own volume is the most that a member can add
    while len(chosen) < min(k, len(front)):
        chosen.append(_best(free, front, bounds))
        free = free.without(front[chosen[-1]])
    return chosen


def central(bits: np.ndarray, weights: np.ndarray) -> int:
    """The member that is most like all members bits [n, U]: the largest weighted sum of Jaccard similarities.

    What many good members hold is what the model uses; of equal sums the first wins.
    """
    sizes = bits.sum(axis=1)
    shared = bits.astype(np.int64) @ bits.T.astype(np.int64)
    jaccard = shared / np.maximum(sizes[:, None] + sizes[None] - shared, 1)
    return int((jaccard @ weights).round(9).argmax())


def _free(front: np.ndarray, chosen: list[int]) -> Free:
    """The part of the cube that the chosen members of a front [F, M] float64 leave free."""
    return _cut(Free.below(np.full(front.shape[1], float(GRID))), front, chosen)


def _cut(free: Free, front: np.ndarray, members: list[int]) -> Free:
    """What is left of a free space once members of the front [F, M] are chosen, too."""
    for member in members:
        free = free.without(front[member])
    return free


def _best(free: Free, front: np.ndarray, bounds: np.ndarray) -> int:
    """The position of largest gain. Lazy: `bounds` [F] are gains of earlier rounds, renewed from the top.

    Chosen members gain nothing, and all other members of a front gain something.
    """
    while True:
        top = np.argsort(-bounds, kind="stable")[:64]
        bounds[top] = free.gains(front[top])
        best = int(bounds.argmax())
        if best in top:
            return best


def swap(arrived: np.ndarray, epsilon: int, k: int) -> list[int]:
    """Positions in `arrived` [n, M], grid vectors in order of arrival, that the paper's rule ends with.

    A vector is judged once, when it arrives. If nothing before it equals or dominates it, it is a new skyline
    member: the members that it dominates leave; it takes a free place if there is one; otherwise it replaces
    the member of smallest D if DS grows by the factor 1 + 1/k. A place that was freed waits for the next new
    member.

    The paper claims 1/4 of the optimum (online maximum k-coverage, Ausiello et al. 2012). As printed there is
    no constant bound: B(s) goes on growing after s was refused, and later arrivals change what the refusal
    cost.
    """
    # position -> [n] bool, the arrivals that it epsilon-dominates
    members: dict[int, np.ndarray] = {}
    for new in records(arrived).tolist():
        beaten = at_least(arrived[[new]], arrived[list(members)])[0]
        members = {
            old: covered for (old, covered), leaves in zip(members.items(), beaten) if not leaves
        }
        members[new] = epsilon_dominates(arrived[[new]], arrived, epsilon)[0]
        if len(members) > k:
            del members[_loser(members, new + 1)]
    return list(members)


def _loser(members: dict[int, np.ndarray], seen: int) -> int:
    """Which of k members and a newcomer (last) leaves, after `seen` vectors (lines 8 and 9)."""
    covered = np.stack(list(members.values()))[:, :seen]
    weakest = int(np.count_nonzero(covered[:-1], axis=1).argmin())
    before = np.count_nonzero(covered[:-1].any(axis=0))
    after = np.count_nonzero(np.delete(covered, weakest, axis=0).any(axis=0))
    k = len(members) - 1
    return list(members)[weakest if k * after >= (k + 1) * before else k]
