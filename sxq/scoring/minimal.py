"""Whether a member is minimal: no unit of it can be left out.

A unit can be left out if the rest is a candidate too (connected, unless ANYWHERE, and with the units
of INCLUDE), and is factual and counterfactual where the member is. This is checked unit by unit, by
two inferences each; it may still be possible to leave out several units at once.
"""

import numpy as np

from sxq.scoring.batch import MeasureBatch


def minimal(batch: MeasureBatch) -> np.ndarray:
    """[n] 1.0 where no unit can be left out of the candidate, else 0.0."""
    return np.array([_is_minimal(batch, own) for own in batch.bits], np.float64)


def _is_minimal(batch: MeasureBatch, bits: np.ndarray) -> bool:
    units = np.flatnonzero(bits)
    smaller = np.repeat(bits[None], len(units), axis=0)
    smaller[np.arange(len(units)), units] = False
    smaller = smaller[batch.able(smaller)]
    if not len(smaller):
        return True
    own = _flags(batch, bits[None])
    kept = _flags(batch, smaller) >= own  # [2, n]: each flag that the whole has
    return not kept.all(axis=0).any()


def _flags(batch: MeasureBatch, bits: np.ndarray) -> np.ndarray:
    """[2, n] bool: factual, counterfactual."""
    alone, without = map(batch.asked.kept, batch.infer(bits))
    return np.stack([alone, ~without])
