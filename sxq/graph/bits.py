"""The codings of candidates' bits; no other module packs, unpacks or hashes candidates.

A candidate of a field with U units is a set of units, and has five codings, in rows of n
candidates:

    bits     [n, U] bool                    for reading and changing single units
    packed   [n, ceil(U / 8)] uint8         one bit per unit, the first in the highest bit: stored,
                                            compared and sorted as the rows of a table
    key      bytes                          a packed row, as a key of dicts and sets
    words    [n, ceil(U / 64)] uint64       one bit per unit, the first in the lowest bit: for counts
                                            of differing units
    hash     [n] uint64                     the sum of its units' random numbers modulo 2^64, so that
                                            adding or removing a unit adds or subtracts one number

and one in columns: *columns* [U, ceil(n / 64)] uint64, where a word holds one unit of 64
candidates. Bits beyond the last unit (of columns: beyond the last candidate) are zero in every
coding. All but hashes can be decoded.
"""

from collections.abc import Sequence

import numpy as np

CELLS = 1 << 22  # numbers that are added up at once, at most
TABLED = 1 << 15  # most units whose sums are kept in a table, of 256 bytes a unit


def pack(bits: np.ndarray) -> np.ndarray:
    """Bits [n, U] as packed rows [n, ceil(U / 8)]."""
    return np.packbits(bits, axis=1)


def unpack(packed: np.ndarray, units: int) -> np.ndarray:
    """Packed rows as bits [n, units]."""
    return np.unpackbits(packed, axis=1, count=units).view(bool)


def sizes(packed: np.ndarray) -> np.ndarray:
    """The number of units [n] of each row, packed or words."""
    return np.bitwise_count(packed).sum(axis=-1, dtype=np.int64)


def row_keys(packed: np.ndarray) -> list[bytes]:
    """Packed rows as keys."""
    whole = np.ascontiguousarray(packed)
    return whole.view(f"V{whole.shape[1]}").ravel().tolist()


def from_keys(keys: Sequence[bytes], units: int) -> np.ndarray:
    """Keys as packed rows."""
    return np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -(-units // 8))


def first_of_each(bits: np.ndarray) -> np.ndarray:
    """The rows [k] at which the distinct ones of bits [n, U] appear first, sorted by packed row."""
    return np.unique(pack(bits), axis=0, return_index=True)[1]


def pack_words(bits: np.ndarray) -> np.ndarray:
    """Bits [n, U] as words [n, ceil(U / 64)]."""
    units = bits.shape[1]
    words = np.zeros((len(bits), -(-units // 64) * 8), np.uint8)
    words[:, : -(-units // 8)] = np.packbits(bits, axis=1, bitorder="little")
    return words.view(np.uint64)


def unpack_words(words: np.ndarray, units: int) -> np.ndarray:
    """Words as bits [n, units]."""
    by_byte = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(by_byte, axis=1, count=units, bitorder="little").view(bool)


def differing(words: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(candidate, unit) of all bits in which candidates, as words, differ from others."""
    apart = (words ^ others).reshape(-1)
    places = apart.nonzero()[0]
    which, bit = unpack_words(apart[places, None], 64).nonzero()
    candidate, word = np.divmod(places[which], words.shape[1])
    return candidate, 64 * word + bit


def distance(words: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The number of units in which candidates [..., words] differ from others."""
    return sizes(words ^ others)


def pack_columns(bits: np.ndarray) -> np.ndarray:
    """Bits [n, U] as columns [U, ceil(n / 64)]."""
    packed = pack(np.ascontiguousarray(bits.T))
    columns = np.zeros((len(packed), -(-packed.shape[1] // 8)), np.uint64)
    columns.view(np.uint8)[:, : packed.shape[1]] = packed
    return columns


def unpack_columns(columns: np.ndarray, candidates: int) -> np.ndarray:
    """Columns as bits [candidates, U]."""
    return np.ascontiguousarray(unpack(columns.view(np.uint8), candidates).T)


class Hashes:
    """Hashes candidates of U units, given the random uint64 `numbers` [U] of the units.

    A table holds the sum of each set of eight units in a row, so that a packed byte is one look-up;
    of more than TABLED units it would take too much memory. Two of a million candidates have the
    same hash with probability 3e-8.
    """

    def __init__(self, numbers: np.ndarray):
        self._numbers = numbers
        self._sums: np.ndarray | None = None
        if len(numbers) <= TABLED:
            self._tabulate(numbers)

    def _tabulate(self, numbers: np.ndarray) -> None:
        eights = np.zeros((-(-len(numbers) // 8), 8), np.uint64)
        eights.reshape(-1)[: len(numbers)] = numbers
        sums = np.zeros((len(eights), 1), np.uint64)
        for place in range(7, -1, -1):  # the first unit is the highest bit
            sums = np.concatenate([sums, sums + eights[:, place, None]], axis=1)
        self._sums = sums.reshape(-1)
        self._starts = 256 * np.arange(len(eights))

    def of(self, bits: np.ndarray) -> np.ndarray:
        """The hashes [n] uint64 of bits [n, U]."""
        step = max(1, CELLS // max(1, len(self._numbers)))
        parts = (self._of(bits[start : start + step]) for start in range(0, len(bits), step))
        return np.concatenate([np.zeros(0, np.uint64), *parts])

    def _of(self, bits: np.ndarray) -> np.ndarray:
        if self._sums is None:
            return np.where(bits, self._numbers, np.uint64(0)).sum(axis=1)
        return self._sums.take(pack(bits) + self._starts).sum(axis=1)
