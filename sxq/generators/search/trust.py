"""The trust in the promises of moves: the share that recent moves of each kind kept."""

import numpy as np

KINDS = 5  # of moves; see `moves.Moves.kind`
PRIOR = 3e-3  # hypervolume for which a kind is trusted before it has a record
FORGET = 0.8  # weight of earlier promises in the next batch
SELDOM = 0.25  # least share of new children that is assumed when their number is chosen


class Trust:
    """Promised and kept hypervolume by kind of move, and the share of children that were new lately."""

    def __init__(self):
        self._promised = np.zeros(KINDS)
        self._kept = np.zeros(KINDS)
        self.novel = 1.0

    def of(self, kinds: np.ndarray) -> np.ndarray:
        """The share of their promises [n] that moves of these kinds kept."""
        return ((self._kept + PRIOR) / (self._promised + PRIOR))[kinds]

    def learn(self, kinds: np.ndarray, promised: np.ndarray, kept: np.ndarray) -> None:
        """Note what moves [n] of these kinds promised and kept."""
        self._promised = FORGET * self._promised + np.bincount(kinds, promised, minlength=KINDS)
        self._kept = FORGET * self._kept + np.bincount(kinds, kept, minlength=KINDS)

    def learn_novelty(self, new: float) -> None:
        """Note the share of the latest children that were new."""
        self.novel = max((self.novel + new) / 2, SELDOM)
