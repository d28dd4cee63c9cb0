"""The candidate table of a target: every distinct candidate, verified once, by number.

A candidate is identified by its bits. Arrays grow by doubling, so that a large budget takes only
the memory that it uses.
"""

from dataclasses import dataclass

import numpy as np

from sxq.generators.protocol import NONE, Scored
from sxq.graph.bits import row_keys, sizes


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """The rows of n candidates, with an array for each column of the table."""

    bits: np.ndarray  # [n, ceil(U / 8)] uint8, packed
    parent: np.ndarray  # [n] candidate number, or NONE
    edited: np.ndarray  # [n] unit, or NONE
    generator: np.ndarray  # [n] number of the generator that proposed it first, or OPENING
    raw: np.ndarray  # [n, M]
    scores: np.ndarray  # [n, M]
    factual: np.ndarray  # [n] bool
    counterfactual: np.ndarray  # [n] bool
    explanatory: np.ndarray  # [n] bool
    tie: np.ndarray  # [n] bool
    p: np.ndarray  # [n, 2] probability of the predicted class on G_s and on G \ G_s


class CandidateTable:
    """All verified candidates of one target."""

    def __init__(self):
        self._number: dict[bytes, int] = {}
        self._rows: Entry | None = None
        self.count = 0

    def look_up(self, packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers [n] of packed candidates, new ones included, and the rows of the new ones."""
        keys = row_keys(packed)
        found = list(map(self._number.get, keys))
        fresh: dict[bytes, int] = {}
        first: list[int] = []
        for row, number in enumerate(found):
            if number is None:
                found[row] = fresh.setdefault(keys[row], self.count + len(first))
                if len(fresh) > len(first):
                    first.append(row)
        return np.array(found, np.int64), np.array(first, np.int64)

    def knows(self, packed: np.ndarray) -> bool:
        """Whether a packed candidate was verified."""
        return bytes(packed) in self._number

    def number(self, packed: np.ndarray) -> int:
        """The number of a packed candidate; NONE if it was not verified."""
        return self._number.get(bytes(packed), NONE)

    def append(self, entry: Entry) -> np.ndarray:
        """Add new candidates in order; returns their numbers."""
        n = len(entry.bits)
        self._reserve(self.count + n, entry)
        for name, values in vars(entry).items():
            getattr(self._rows, name)[self.count : self.count + n] = values
        numbers = np.arange(self.count, self.count + n)
        self._number.update(zip(row_keys(entry.bits), numbers.tolist()))
        self.count += n
        return numbers

    def rows(self, numbers) -> Entry:
        """The entries of some candidates, by number or slice."""
        return Entry(
            **{name: values[: self.count][numbers] for name, values in vars(self._rows).items()}
        )

    def scored(self, numbers: np.ndarray, measures: int) -> Scored:
        """Candidates as generators see them; the first `measures` columns are the objectives."""
        rows = self.rows(numbers)
        return Scored(
            ids=numbers,
            sizes=sizes(rows.bits),
            scores=rows.scores[:, :measures],
            factual=rows.factual,
            counterfactual=rows.counterfactual,
            explanatory=rows.explanatory,
            p=rows.p,
        )

    def _reserve(self, size: int, like: Entry) -> None:
        if self._rows is not None and size <= len(self._rows.bits):
            return
        capacity = max(256, 2 * size)
        grown = {
            name: np.empty((capacity, *values.shape[1:]), values.dtype)
            for name, values in vars(like).items()
        }
        if self._rows is not None:
            for name, values in vars(self._rows).items():
                grown[name][: self.count] = values[: self.count]
        self._rows = Entry(**grown)
