"""The candidates that measures are computed for: verified ones, or those a search considers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np


class MeasuredField(Protocol):
    """The part of a receptive field that a measure may use."""

    num_units: int
    directed: bool  # a unit is a directed edge, else a pair
    # bits [n, num_units] -> [n, nodes] bool, the nodes of candidates
    reached: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class MeasureBatch:
    """n verified candidates of one field; p is always the probability of the predicted class c."""

    field: MeasuredField  # the receptive field: `.num_units` candidate units
    bits: np.ndarray  # [n, E_field] bool, the units of each candidate
    p_full: float  # p of M(v, G)
    p_empty: float  # p of M(v, no candidate unit)
    p_kept: np.ndarray  # [n] float64, p of M(v, G_s)
    p_removed: np.ndarray  # [n] float64, p of M(v, G \ G_s)
    predicted: int = 0  # the class c
    # any units [n, E_field] -> class probabilities [2, n, C] of the target: on these units alone,
    # and on G without them
    infer: Callable[[np.ndarray], np.ndarray] | None = None
    seed: tuple[int, ...] = (0,)  # the start of every random choice: (SEED, target)

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
