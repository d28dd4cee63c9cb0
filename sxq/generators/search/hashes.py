"""A set of hashes: random 64-bit numbers in a table with open addressing, many at once.

The low bits of a hash are as random as the whole, so they name the slot where its search begins. A
hash is stored in the first slot from there on that was empty. The table is at most a quarter full,
so searches are short.
"""

import numpy as np

SLOTS = 1 << 14  # at first; a power of two
SPARE = 4  # slots for each hash, at least
NOTHING = np.uint64(0)  # an empty slot: the hash of the empty subgraph, which is never in the set


class HashSet:
    """Hashes [n] uint64 other than 0, each once."""

    def __init__(self):
        self._slots = np.zeros(SLOTS, np.uint64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def has(self, hashes: np.ndarray) -> np.ndarray:
        """Which of the hashes, an array of any shape, are in the set."""
        flat = hashes.reshape(-1)
        place = self._first(flat)
        found = self._slots.take(place)
        present = found == flat
        open_ = np.flatnonzero((found != NOTHING) > present)  # other hashes stand there
        place = place[open_]
        while len(open_):
            place = self._next(place)
            found = self._slots.take(place)
            here = found == flat[open_]
            present[open_] = here
            on = (found != NOTHING) & ~here
            open_ = open_[on]
            place = place[on]
        return (present & (flat != NOTHING)).reshape(hashes.shape)

    def add(self, hashes: np.ndarray) -> int:
        """Add hashes [n], which may repeat, to the set; returns how many are new."""
        hashes = np.sort(hashes[hashes != NOTHING])
        hashes = hashes[np.concatenate([hashes[:1] != NOTHING, hashes[1:] != hashes[:-1]])]
        if SPARE * (self._count + len(hashes)) > len(self._slots):
            self._grow(2 * SPARE * (self._count + len(hashes)))
        new = self._place(hashes)
        self._count += new
        return new

    def _place(self, hashes: np.ndarray) -> int:
        """Give distinct hashes their slots; returns how many are new."""
        place = self._first(hashes)
        new = 0
        while len(hashes):
            empty = self._slots.take(place) == NOTHING
            self._slots[place[empty]] = hashes[empty]  # if several want one slot, the last gets it
            settled = self._slots.take(place) == hashes
            new += int(np.count_nonzero(settled & empty))
            place = self._next(place[~settled])
            hashes = hashes[~settled]
        return new

    def _grow(self, slots: int) -> None:
        hashes = self._slots[self._slots != NOTHING]
        self._slots = np.zeros(1 << int(slots).bit_length(), np.uint64)
        self._place(hashes)

    def _first(self, hashes: np.ndarray) -> np.ndarray:
        return (hashes & np.uint64(len(self._slots) - 1)).view(np.int64)

    def _next(self, place: np.ndarray) -> np.ndarray:
        return (place + 1) & (len(self._slots) - 1)
