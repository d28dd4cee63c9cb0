"""The subgraphs that a search has visited, by hash, and the candidates it may still ask for."""

import numpy as np

from sxq.generators.search.hashes import NOTHING, HashSet
from sxq.graph.bits import Hashes


class Visited:
    """The subgraphs that were asked for or are known to fall apart, and the allowance that is left.

    The hash of a subgraph is the sum of its units' random numbers `unit_hashes` [U], so toggling a
    unit adds or subtracts one number. Among a million subgraphs, two share a hash with probability
    3e-8; the second would not be asked for.
    """

    def __init__(self, units: int, allowance: int, rng: np.random.Generator):
        self.unit_hashes = rng.integers(2**63, size=units, dtype=np.uint64)
        self._coding = Hashes(self.unit_hashes)
        self._hashes = HashSet()
        self._left = allowance
        self.mark(self.unit_hashes.sum(keepdims=True))  # the whole field was verified before

    @property
    def left(self) -> int:
        """Candidates that may still be asked for."""
        return self._left

    def hashes_of(self, bits: np.ndarray) -> np.ndarray:
        """The hashes [n] uint64 of subgraphs [n, U]."""
        return self._coding.of(bits)

    def has(self, hashes: np.ndarray) -> np.ndarray:
        """Which hashes, an array of any shape, are of subgraphs visited before."""
        return self._hashes.has(hashes)

    def unseen(self, hashes: np.ndarray) -> np.ndarray:
        """Positions, ascending, of hashes [n] of non-empty subgraphs not visited before; of equal hashes the first."""
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        first = order[np.concatenate([np.ones(len(hashes[:1]), bool), ordered[1:] != ordered[:-1]])]
        return np.sort(first[(hashes[first] != NOTHING) & ~self.has(hashes[first])])

    def ask(self, hashes: np.ndarray) -> None:
        """Note subgraphs [n] that are asked for; new ones are taken off the allowance."""
        self._left -= self._hashes.add(hashes)

    def mark(self, hashes: np.ndarray) -> None:
        """Note subgraphs [n] that will never be asked for: they fall apart, or were verified before."""
        self._hashes.add(hashes)
