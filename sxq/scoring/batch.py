"""The candidates that measures are computed for: verified ones, or those a search considers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from sxq.scoring.question import Question


class MeasuredField(Protocol):
    """The part of a receptive field that a measure may use."""

    @property
    def num_units(self) -> int: ...

    @property
    def all_units(self) -> int:
        """With those that no candidate may hold, because the field is too large to search."""

    @property
    def directed(self) -> bool:
        """Whether a unit is a directed edge, else it is a pair."""

    def reached(self, bits: np.ndarray, /) -> np.ndarray:
        """The nodes [n, nodes] bool of candidates, bits [n, num_units]."""


def _any(bits: np.ndarray) -> np.ndarray:
    """Stands in a batch that does not know which sets of units are candidates."""
    return np.asarray(bits.any(axis=1))


def _nobody(units: np.ndarray) -> np.ndarray:
    """Stands in a batch that has no model to ask."""
    raise AssertionError("no measure that asks the model may see a batch without one")


def _no_nodes() -> np.ndarray:
    """Stands in a batch that knows nothing of the nodes of its field."""
    raise AssertionError("no measure of nodes may see a batch without them")


@dataclass(frozen=True, eq=False)
class MeasureBatch:
    """n verified candidates of one field.

    p is the probability of the model's answer on G, so without clauses that of the predicted class c;
    of a regression it is the number, in spreads.
    """

    field: MeasuredField  # the receptive field: `.num_units` candidate units
    bits: np.ndarray  # [n, E_field] bool, the units of each candidate
    p_full: float  # p of M(v, G)
    p_empty: float  # p of M(v, no candidate unit)
    p_kept: np.ndarray  # [n] float64, p of M(v, G_s)
    p_removed: np.ndarray  # [n] float64, p of M(v, G \ G_s)
    predicted: int = 0  # the class c
    # any units [n, E_field] -> class probabilities (what `question` reads) [2, n, C] of the target: on these units alone,
    # and on G without them
    infer: Callable[[np.ndarray], np.ndarray] = _nobody
    seed: tuple[int, ...] = (0,)  # the start of every random choice: (SEED, target)
    question: Question | None = None  # by default, why c is predicted
    # any units [n, E_field] -> [n]: whether they are candidates
    able: Callable[[np.ndarray], np.ndarray] = _any

    robust_budget: int = 2000  # most removals that robustness tries for a candidate
    # -> [nodes]: how much each node of the field moves the answer, as shares
    influence: Callable[[], np.ndarray] = _no_nodes
    # -> [nodes, anchors]: how like each node of the field is to an even sample of them, from 0 to 1
    likeness: Callable[[], np.ndarray] = _no_nodes

    @property
    def asked(self) -> Question:
        """The question of the target."""
        return self.question or Question(column=self.predicted)

    @property
    def numeric(self) -> bool:
        """Whether p is a number in spreads, which has no bounds."""
        return self.asked.numeric

    @cached_property
    def sizes(self) -> np.ndarray:
        """[n] int64, units per candidate."""
        return np.bitwise_count(np.packbits(self.bits, axis=1)).sum(axis=1, dtype=np.int64)

    @cached_property
    def node_counts(self) -> np.ndarray:
        """[n] int64, nodes per candidate, the target among them."""
        return np.count_nonzero(self.field.reached(self.bits), axis=1)


@dataclass(frozen=True, eq=False)
class Prospect:
    """n candidates not yet verified: their sizes, and the p that a search expects for them."""

    field: MeasuredField
    sizes: np.ndarray  # [n]
    p_full: float
    p_empty: float
    p_kept: np.ndarray  # [n] float64
    p_removed: np.ndarray  # [n] float64
    numeric: bool = False  # as in `MeasureBatch`
