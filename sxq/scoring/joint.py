"""JOINTLY: k members from the fronts of several targets, at least one of each.

Dominance is judged per target, so the dominance of an answer is the sum over targets of the coverage by its members
there, and a member adds nothing at another target. Greedy over the union of the fronts therefore takes, for
every target, the first members of that target's own greedy order; only the merging of the orders is joint.
Gains fall along each order. So taking the first of each, and then always the largest next gain,
gives the largest total coverage of the greedy orders over all ways to share k places. As each order
is within 1 - 1/e of the best for any number of places (selection.py), the total is within 1 - 1/e
of the best k members with one of each target.
"""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

import numpy as np
from bitarray.util import zeros

from sxq.scoring import selection
from sxq.scoring.cover import Cover
from sxq.scoring.hypervolume import hypervolume

Member = tuple[int, int]  # (target, position in its front)


def choose(covers: Sequence[Cover], k: int) -> list[Member]:
    """At most k members in rank order; k is at least the number of covers with a front.

    The best member of each target comes first, then the largest gains: in coverage, then in
    hypervolume; of equal gains, that of the earlier target.
    """
    if len(covers) == 1:
        return [(0, place) for place in selection.coverage(covers[0], k)]
    places = k - sum(len(cover.front) > 0 for cover in covers)
    orders = [selection.ordered(cover, places + 1) for cover in covers]
    gains = [_gains(cover, order) for cover, order in zip(covers, orders)]
    first = sorted((gains[target][0], target, 0) for target, order in enumerate(orders) if order)
    chosen = [(target, place) for _, target, place in first]
    heap = [follower for target, _ in chosen if (follower := _next(gains, target, 1))]
    heapify(heap)
    while heap and len(chosen) < k:
        _, target, place = heappop(heap)
        chosen.append((target, place))
        if follower := _next(gains, target, place + 1):
            heappush(heap, follower)
    return [(target, orders[target][place]) for target, place in chosen]


def _next(gains: list[list[tuple[int, float]]], target: int, place: int):
    """The next member of a target, to be sorted by the largest gain; None at the end of its order."""
    return (gains[target][place], target, place) if place < len(gains[target]) else None


def _gains(cover: Cover, order: list[int]) -> list[tuple[int, float]]:
    """The gains in coverage and hypervolume of each member of an order, both negated so that the best sorts first."""
    gains = []
    covered = zeros(cover.width)
    vectors = cover.front.astype(np.float64)
    reached = (0, 0.0)
    for place, member in enumerate(order, start=1):
        covered |= cover.bits[member]
        now = cover.weigh(covered), hypervolume(vectors[order[:place]])
        gains.append((reached[0] - now[0], reached[1] - now[1]))
        reached = now
    return gains
