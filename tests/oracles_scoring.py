"""Slow twins of sxq/scoring: quadratic or exponential, in whole numbers and fractions, obviously right.

A candidate is (id, scores, size, bits): scores a tuple of whole steps of 1e-4, bits packed bytes.
Larger scores are better; `epsilon` is a float of at most six decimals.
"""

from fractions import Fraction
from itertools import combinations
from math import inf, prod
from typing import NamedTuple


class Candidate(NamedTuple):
    id: int
    scores: tuple[int, ...]
    size: int
    bits: bytes


def dominates(b, a):
    """b dominates a: no score of a is larger and one is smaller."""
    return all(x <= y for x, y in zip(a, b)) and any(x < y for x, y in zip(a, b))


def epsilon_dominates(b, a, epsilon):
    """Every score of a is <= (1 + epsilon) x b's and at least one is <= b's."""
    factor = 1 + Fraction(str(epsilon))
    return all(x <= factor * y for x, y in zip(a, b)) and any(x <= y for x, y in zip(a, b))


def front(candidates):
    """Nobody dominates them; of equal vectors the smaller, then the lexicographically smallest bits."""
    best = {}
    for c in sorted(candidates, key=lambda c: (c.size, c.bits), reverse=True):
        best[c.scores] = c
    members = [c for c in best.values() if not any(dominates(other.scores, c.scores) for other in candidates)]
    return sorted(members, key=lambda c: c.scores, reverse=True)


def dominance(members, candidates, epsilon):
    """DS: how many candidates the members epsilon-dominate together."""
    return sum(any(epsilon_dominates(m.scores, c.scores, epsilon) for m in members) for c in candidates)


def best_dominance(candidates, epsilon, k):
    """The largest DS of at most k candidates, by trying all."""
    k = min(k, len(candidates))
    return max((dominance(chosen, candidates, epsilon) for chosen in combinations(candidates, k)), default=0)


def epsilon_achieved(members, candidates):
    """The smallest epsilon at which the members epsilon-dominate every candidate: a fraction, or infinity."""
    def needed(b, a):
        if all(x > y for x, y in zip(a, b)):
            return inf
        return max(0, *(Fraction(x, y) - 1 for x, y in zip(a, b)))

    return max(min(needed(m.scores, c.scores) for m in members) for c in candidates)


def volume(points):
    """Hypervolume above 0 by inclusion and exclusion over all subsets."""
    return sum((-1) ** (r + 1) * prod(map(min, zip(*subset)))
               for r in range(1, len(points) + 1) for subset in combinations(points, r))


def greedy(members, candidates, epsilon, k):
    """Largest gain in DS until it is 0, then largest gain in hypervolume; the first of equals."""
    chosen = []
    while len(chosen) < min(k, len(members)):
        covered = dominance(chosen, candidates, epsilon)
        gains = [(dominance([*chosen, m], candidates, epsilon) - covered, 0) for m in members]
        if max(gains)[0] == 0:
            gains = [(0, volume([c.scores for c in [*chosen, m]])) for m in members]
        left = [i for i, m in enumerate(members) if m not in chosen]
        chosen.append(members[max(left, key=lambda i: (gains[i], -i))])
    return chosen


def swap(arrived, epsilon, k):
    """Procedure 1 of Qiu et al., one candidate at a time."""
    answer = []
    for t, new in enumerate(arrived):
        seen = arrived[:t + 1]
        if any(c.scores == new.scores or dominates(c.scores, new.scores) for c in arrived[:t]):
            continue
        answer = [m for m in answer if not dominates(new.scores, m.scores)]
        if len(answer) < k:
            answer.append(new)
            continue
        weakest = min(answer, key=lambda m: dominance([m], seen, epsilon))
        swapped = [*(m for m in answer if m is not weakest), new]
        if k * dominance(swapped, seen, epsilon) >= (k + 1) * dominance(answer, seen, epsilon):
            answer = swapped
    return answer
