"""The vectors that each member of the front epsilon-dominates: B(s) of Qiu et al., Procedure 1, as bitvectors.

There is one bit per *distinct* vector, in order of arrival, and beside it the vector's
multiplicity. The cover is updated on demand: earlier members get bits for the new vectors only, new
members for all vectors. Multiplicities are cut into binary planes, so that a weighted count is a
few popcounts: weigh(B) = sum over j of 2^j * |B and plane_j|.

The bits of F members over D vectors are F * D. Where these are more than BITS, only every step-th vector has a bit,
and weighs step times as much; the vectors and their multiplicities are kept whole.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from bitarray import bitarray
from bitarray.util import count_and

from sxq.scoring.dominance import epsilon_dominates, grouped, slices

BITS = 1 << 27  # of all members together: 16 MiB


@dataclass(frozen=True, eq=False)
class Cover:
    """B(s) of every front member, and its weight."""

    front: np.ndarray  # [F, M] int16 grid vectors of the members
    bits: tuple[bitarray, ...]  # [F] of length `width`: the vectors that a member epsilon-dominates
    vectors: np.ndarray  # [D, M] int16, distinct, in order of arrival
    counts: np.ndarray  # [D] int64, how many candidates have that vector
    step: int = 1  # a power of two: one vector in so many has a bit

    @property
    def width(self) -> int:
        """How many vectors have a bit."""
        return -(-len(self.vectors) // self.step)

    @cached_property
    def everything(self) -> int:
        """What the bits of all these vectors weigh."""
        return int(self.counts[:: self.step].sum()) * self.step

    def weigh(self, bits: bitarray) -> int:
        """The number of candidates that a set of distinct vectors represents, if there is a step about."""
        return sum(count_and(bits, plane) << j for j, plane in enumerate(self.planes)) * self.step

    @cached_property
    def weights(self) -> np.ndarray:
        """What the vectors that each member [F] epsilon-dominates weigh, as int64."""
        return np.array([self.weigh(bits) for bits in self.bits], dtype=np.int64)

    @cached_property
    def planes(self) -> tuple[bitarray, ...]:
        """Bit j of every multiplicity; a single plane where all vectors differ."""
        counts = self.counts[:: self.step]
        top = int(counts.max(initial=0)).bit_length()
        return pack(counts >> np.arange(top)[:, None] & 1)


def empty(num_scores: int) -> Cover:
    nothing = np.zeros((0, num_scores), dtype=np.int16)
    return Cover(nothing, (), nothing, np.zeros(0, dtype=np.int64))


def extend(cover: Cover, arrived: np.ndarray, front: np.ndarray, epsilon: int) -> Cover:
    """The cover of a later front [F, M], after more vectors [n, M] arrived; epsilon in millionths."""
    vectors, counts = _count(cover.vectors, cover.counts, arrived)
    step = _step(len(front), len(vectors))
    known = {row.tobytes(): bits for row, bits in zip(cover.front, cover.bits)}
    if step != cover.step:
        known = {}
    heads = [known.get(row.tobytes()) for row in front]
    stayed = np.array([head is not None for head in heads], dtype=bool)
    fresh = vectors[cover.width * step :: step]
    tails = iter(_dominated_bits(front[stayed], fresh, epsilon))
    wholes = iter(_dominated_bits(front[~stayed], vectors[::step], epsilon))
    bits = tuple(next(wholes) if head is None else head + next(tails) for head in heads)
    return Cover(front, bits, vectors, counts, step)


def _step(members: int, vectors: int) -> int:
    """The smallest power of two at which the bits are at most BITS."""
    return 1 << max(0, -(-members * vectors // BITS) - 1).bit_length()


def _dominated_bits(front: np.ndarray, vectors: np.ndarray, epsilon: int) -> list[bitarray]:
    vectors = np.asfortranarray(vectors)  # each slice reads them column by column
    return [
        bits
        for rows in slices(len(front), len(vectors))
        for bits in pack(epsilon_dominates(front[rows], vectors, epsilon))
    ]


def _count(
    known: np.ndarray, counts: np.ndarray, arrived: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distinct vectors and multiplicities after more arrived: known ones first, then new ones."""
    both = np.concatenate([known, arrived])
    weights = np.concatenate([counts, np.ones(len(arrived), dtype=np.int64)])
    order, opens = grouped(both)
    starts = np.flatnonzero(opens)
    first = order[starts]  # the known one of equal vectors, or the first to arrive
    total = np.add.reduceat(weights[order], starts)
    by_arrival = np.argsort(first)
    return both[first[by_arrival]], total[by_arrival]


def pack(table: np.ndarray) -> tuple[bitarray, ...]:
    """Rows of a table [r, c] of truth values as bitvectors of length c."""
    packed = np.packbits(table.astype(bool), axis=1)
    return tuple(bitarray(buffer=row.tobytes())[: table.shape[1]] for row in packed)
