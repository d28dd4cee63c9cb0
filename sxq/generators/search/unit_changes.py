"""Unit changes: the ways to change one unit of a subgraph, by number, and what each does."""

import numpy as np

from sxq.generators.protocol import NONE
from sxq.generators.search.hashes import NOTHING


class UnitChanges:
    """The ways to change one of U units, by number; a last one changes nothing.

    Change u adds unit u, U + u adds it with its link, and 2 U + u drops it.

    unit [3 U + 1]; link [3 U + 1] added with the unit, or NONE; drops [3 U + 1] 1 where the unit is
    dropped, -2 where nothing is changed; growth [3 U + 1] in size; hashes [3 U + 1] by which the
    hash of a subgraph changes. `possible` says which changes a subgraph allows.
    """

    def __init__(self, links: np.ndarray, unit_hashes: np.ndarray):
        units = np.arange(len(links))
        alone = np.full(len(links), NONE)
        counts = [len(links)] * 3 + [1]
        joined = unit_hashes + np.where(links >= 0, unit_hashes[links], NOTHING)
        self._links = links
        self.nothing = 3 * len(links)
        self.unit = np.concatenate([units, units, units, [NONE]])
        self.link = np.concatenate([alone, links, alone, [NONE]])
        self.drops = np.repeat([0, 0, 1, -2], counts)
        self.growth = np.repeat([1, 2, -1, 0], counts)
        self.hashes = np.concatenate([unit_hashes, joined, -unit_hashes, [NOTHING]])

    def odds(self, worth: np.ndarray) -> np.ndarray:
        """[3 U + 1, 2] by which the log-odds are expected to change, given the worth [U, 2] of units."""
        joined = worth + worth[self._links]
        return np.concatenate([worth, joined, -worth, np.zeros((1, 2))])

    def possible(self, bits: np.ndarray, touching: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The changes of subgraphs bits [c, U], given what touches them [c, U]: 0 .. c - 1 [k], ascending; numbers [k].

        Units in a subgraph can be dropped; units that touch it, directly or through their link, can be added.
        """
        far = touching.take(self._links, axis=1)
        far &= self._links >= 0
        member, unit = np.nonzero(bits | touching | far)
        # What touches needs no link, and what is in the subgraph is dropped.
        kind = np.where(touching, 0, np.where(bits, 2, 1))
        return member, kind[member, unit] * len(self._links) + unit

    def applied(self, bits: np.ndarray, changes: np.ndarray) -> np.ndarray:
        """Subgraphs [n, U], each after its changes [n, 2] of different units; not all of them are connected."""
        new = bits.copy()
        units = self.unit[changes]
        row, column = np.nonzero(units >= 0)
        new[row, units[row, column]] ^= True
        links = self.link[changes]
        row, column = np.nonzero(links >= 0)
        new[row, links[row, column]] = True
        return new
