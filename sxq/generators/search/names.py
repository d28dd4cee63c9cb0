"""A set of names: random 64-bit numbers, in a hash table with open addressing, many at once.

The low bits of a name are as random as the whole, so they say where its search begins; a name lies in the first slot
from there on that was empty when it came. The table is at most a quarter full, hence a search is short.
"""

import numpy as np

SLOTS = 1 << 14  # at first; a power of two
SPARE = 4  # slots for a name, at least
NOTHING = np.uint64(0)  # an empty slot: the name of the empty subgraph, which is never in the set


class Names:
    """Names [n] uint64 other than 0, each once."""

    def __init__(self):
        self._slots, self._count = np.zeros(SLOTS, np.uint64), 0

    def __len__(self) -> int:
        return self._count

    def has(self, names: np.ndarray) -> np.ndarray:
        """Which of the names, an array of any shape, are in the set."""
        flat = names.reshape(-1)
        place = self._first(flat)
        found = self._slots.take(place)
        taken = found != NOTHING
        present = taken & (found == flat)
        open_ = np.flatnonzero(taken & ~present & (flat != NOTHING))
        place = place[open_]
        while len(open_):
            place = self._next(place)
            found = self._slots.take(place)
            present[open_] = here = found == flat[open_]
            on = (found != NOTHING) & ~here
            open_, place = open_[on], place[on]
        return present.reshape(names.shape)

    def add(self, names: np.ndarray) -> int:
        """Put names [n] into the set, repeated ones once; how many are new."""
        names = np.sort(names[names != NOTHING])
        names = names[np.concatenate([names[:1] != NOTHING, names[1:] != names[:-1]])]
        if SPARE * (self._count + len(names)) > len(self._slots):
            self._grow(2 * SPARE * (self._count + len(names)))
        new = self._place(names)
        self._count += new
        return new

    def _place(self, names: np.ndarray) -> int:
        """Find distinct names their slots; how many are new."""
        place, new = self._first(names), 0
        while len(names):
            empty = self._slots.take(place) == NOTHING
            self._slots[place[empty]] = names[empty]  # where several want one slot the last has it
            settled = self._slots.take(place) == names
            new += np.count_nonzero(settled & empty)
            place, names = self._next(place[~settled]), names[~settled]
        return new

    def _grow(self, slots: int) -> None:
        names = self._slots[self._slots != NOTHING]
        self._slots = np.zeros(1 << int(slots).bit_length(), np.uint64)
        self._place(names)

    def _first(self, names: np.ndarray) -> np.ndarray:
        return (names & np.uint64(len(self._slots) - 1)).view(np.int64)

    def _next(self, place: np.ndarray) -> np.ndarray:
        return (place + 1) & (len(self._slots) - 1)
