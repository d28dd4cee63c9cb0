"""Measures by sampling: the worth of a candidate in many random surroundings. They run the model.

Every function maps a `MeasureBatch` of n candidates to samples [n, R]; the measure is their mean, and their
spread gives its standard error. The random surroundings depend only on the seed and the target, so
all candidates are judged by the same ones, however they are batched.

`batch.infer` always runs both graphs, the units alone and G without them, so a sample that needs one of them
costs two inferences; p is the probability of the predicted class c, or of what else is asked
(`question.py`).

    shapley                  Shapley 1953; for subgraphs as one player: SubgraphX, Yuan et al. 2021
    robust_fidelity_plus     "Towards Robust Fidelity for Evaluating Explainability of Graph Neural Networks",
    robust_fidelity_minus    Zheng et al. 2024: what remains stays nearer to the graphs the model was trained
                             on; with the authors' alphas and number of samples
    stability                ours
"""

from collections.abc import Iterator
from zlib import crc32

import numpy as np

from sxq.scoring.batch import MeasureBatch

ORDERS = 8  # random orders of a Shapley value
REMOVALS = 50  # random removals of a robust fidelity
ALPHA_PLUS = 0.1  # share of G_s that a removal takes
ALPHA_MINUS = 0.9  # share of the other units that a removal takes
CONTEXTS = 50  # random contexts of a stability
SHARE = 0.05  # of the units outside G_s that a context lacks


def shapley(batch: MeasureBatch) -> np.ndarray:
    """[n, ORDERS] marginal gains p(S + G_s) - p(S), S being before G_s in a random order.

    Players are G_s and the field's units outside it. A random order is a random time for each: S are the
    units whose time is before that of G_s. The times of G_s are stratified: less variance, the same mean.
    """
    rng = _rng(batch, "shapley")
    time = (np.arange(ORDERS) + rng.random(ORDERS)) / ORDERS
    early = rng.random((ORDERS, batch.field.num_units)) < time[:, None]
    gains = [
        _alone(batch, before | batch.bits) - _alone(batch, before & ~batch.bits) for before in early
    ]
    return np.stack(gains, axis=1)


def robust_fidelity_plus(batch: MeasureBatch) -> np.ndarray:
    """[n, REMOVALS] falls p(G) - p(G \\ R): R has each unit of G_s with chance ALPHA_PLUS."""
    removals = _chosen(batch, "rfdl+", REMOVALS, ALPHA_PLUS)
    return np.stack(
        [batch.p_full - _without(batch, taken & batch.bits) for taken in removals], axis=1
    )


def robust_fidelity_minus(batch: MeasureBatch) -> np.ndarray:
    """[n, REMOVALS] falls p(G) - p(G \\ R): R has each other unit of the field with chance ALPHA_MINUS."""
    removals = _chosen(batch, "rfdl-", REMOVALS, ALPHA_MINUS)
    return np.stack(
        [batch.p_full - _without(batch, taken & ~batch.bits) for taken in removals], axis=1
    )


def stability(batch: MeasureBatch) -> np.ndarray:
    """[n, CONTEXTS] 1 where G_s still explains in G' = G \\ R, else 0.

    R has each unit of the field outside G_s with chance SHARE, and at least one. G_s explains the answer c'
    that the model gives on G' (without clauses, the predicted class) if it is factual, argmax M(v, G_s) = c',
    or counterfactual, argmax M(v, G' \\ G_s) != c'.
    """
    alone = batch.asked.said(batch.infer(batch.bits)[0])
    rng = _rng(batch, "stability")
    lots = rng.random((CONTEXTS, batch.field.num_units))
    return np.stack([_explains(batch, alone, _drawn(lot, ~batch.bits)) for lot in lots], axis=1)


def _drawn(lot: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Units [n, U] whose lot [U] is below SHARE, or the lowest, among those allowed [n, U]."""
    lots = np.where(among, lot, np.inf)
    return among & (lots <= np.maximum(SHARE, lots.min(axis=1, keepdims=True)))


def _explains(batch: MeasureBatch, alone: np.ndarray, lacking: np.ndarray) -> np.ndarray:
    """[n] 1.0 or 0.0, in contexts that lack units [n, U]; `alone` [n] is the answer on G_s."""
    intact, cut = (
        batch.asked.said(batch.infer(units)[1]) for units in (lacking, lacking | batch.bits)
    )
    same = batch.asked.same
    return (same(alone, intact) | ~same(cut, intact)).astype(np.float64)


def _alone(batch: MeasureBatch, units: np.ndarray) -> np.ndarray:
    """p [n] on exactly these units [n, U]."""
    return batch.asked.p(batch.infer(units)[0])


def _without(batch: MeasureBatch, units: np.ndarray) -> np.ndarray:
    """p [n] on the graph without these units [n, U]."""
    return batch.asked.p(batch.infer(units)[1])


def _chosen(batch: MeasureBatch, name: str, count: int, chance: float) -> Iterator[np.ndarray]:
    """`count` random sets of the field's units [U]: each unit with that chance."""
    rng = _rng(batch, name)
    return (rng.random(batch.field.num_units) < chance for _ in range(count))


def _rng(batch: MeasureBatch, name: str) -> np.random.Generator:
    return np.random.default_rng([*batch.seed, crc32(name.encode())])
