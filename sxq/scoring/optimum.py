"""The k members that cover most, by exact search; greedy is within 1 - 1/e of them.

Branch and bound on maximum coverage: each step takes the member of largest gain, or excludes it.
The k largest gains (they only shrink) and everything uncovered bound the coverage that k members
can still reach. The search is exponential in the worst case, so its steps are limited. The best
answer so far covers at least as much as greedy's, and the caller learns whether it is proven to be
the optimum.
"""

from bitarray import bitarray
from bitarray.util import ones, subset

from sxq.scoring import selection
from sxq.scoring.cover import Cover

STEPS = 100_000


def optimum(cover: Cover, k: int, steps: int = STEPS) -> tuple[list[int], bool]:
    """(at most k front positions in rank order, whether no k members cover more); filled up by hypervolume."""
    search = _Search(cover, selection.greedy(cover, k), steps)
    search.branch([], ones(cover.width), 0, _undominated(cover), k)
    members = selection.fill(cover.front, search.best, k)
    return selection.ranked(cover, members), search.steps >= 0


def _undominated(cover: Cover) -> list[int]:
    """Positions of members whose B is not a subset of another's; the first of equals."""
    kept: list[int] = []
    for member in sorted(
        range(len(cover.bits)), key=lambda member: -cover.weigh(cover.bits[member])
    ):
        if not any(subset(cover.bits[member], cover.bits[other]) for other in kept):
            kept.append(member)
    return kept


class _Search:
    """The best found so far, and the steps left."""

    def __init__(self, cover: Cover, start: list[int], steps: int):
        self.cover = cover
        self.best = start
        self.steps = steps
        self.covered = selection.dominance(cover, start)

    def branch(
        self, chosen: list[int], uncovered: bitarray, covered: int, left: list[int], k: int
    ) -> None:
        """Try all ways to choose up to k more of the members `left`."""
        while k and self.steps >= 0:
            self.steps -= 1
            gains = sorted(
                (
                    (self.cover.weigh(self.cover.bits[member] & uncovered), -member)
                    for member in left
                ),
                reverse=True,
            )
            if (
                covered + min(sum(gain for gain, _ in gains[:k]), self.cover.weigh(uncovered))
                <= self.covered
            ):
                return
            gain = gains[0][0]
            member = -gains[0][1]
            left = [-other for _, other in gains[1:]]
            taken = [*chosen, member]
            if covered + gain > self.covered:
                self.best = taken
                self.covered = covered + gain
            self.branch(taken, uncovered & ~self.cover.bits[member], covered + gain, left, k - 1)
