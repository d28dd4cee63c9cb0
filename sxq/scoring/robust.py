"""Robustness of an answer: does G_s still explain when single units or pairs outside of it are gone?

In G' = G \\ R, with R one unit or two of the field outside of G_s, G_s explains the class c' that the
model predicts on G' if it is factual, argmax M(v, G_s) = c', or counterfactual, argmax
M(v, G' \\ G_s) != c'. Every R is tried where their number fits the budget, which makes the share
exact, with standard error 0; else `budget` of them are drawn, and the error is above 0.
"""

from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from sxq.scoring.batch import MeasureBatch

CELLS = 2**25  # bits of the candidates that are made at once
SEEDED = 2  # of the draws of removals


def robust(batch: MeasureBatch) -> tuple[np.ndarray, np.ndarray]:
    """[n] shares of single units outside G_s whose removal leaves it explanatory; errors [n]."""
    return _shares(batch, 1)


def robust_pairs(batch: MeasureBatch) -> tuple[np.ndarray, np.ndarray]:
    """[n] shares of pairs of units outside G_s whose removal leaves it explanatory; errors [n]."""
    return _shares(batch, 2)


def _shares(batch: MeasureBatch, count: int) -> tuple[np.ndarray, np.ndarray]:
    alone = batch.asked.said(batch.infer(batch.bits)[0])
    found = np.zeros((len(batch.bits), 2))
    for row, (own, kept) in enumerate(zip(batch.bits, alone)):
        found[row] = _share(batch, own, kept, count)
    return found[:, 0], found[:, 1]


def _share(batch: MeasureBatch, own: np.ndarray, alone: Any, count: int) -> tuple[float, float]:
    """The share for one member [U], for which the model says `alone`, and its standard error."""
    outside = np.flatnonzero(~own)
    removals = _removals(batch, outside, count)
    total = len(removals)
    if not total:
        return 1.0, 0.0  # nothing can be removed
    holds = sum(
        int(_explains(batch, own, alone, removals[start : start + _step(own)]).sum())
        for start in range(0, total, _step(own))
    )
    if total == comb(len(outside), count):
        return holds / total, 0.0
    near = (holds + 1) / (total + 2)  # so that the error of a draw is never 0
    return holds / total, float(np.sqrt(near * (1 - near) / total))


def _step(own: np.ndarray) -> int:
    return max(1, CELLS // len(own))


def _removals(batch: MeasureBatch, outside: np.ndarray, count: int) -> np.ndarray:
    """The sets [m, count] of units outside: all, or as many different ones as the budget allows."""
    if comb(len(outside), count) <= batch.robust_budget:
        return np.array(list(combinations(outside.tolist(), count)), np.int64).reshape(-1, count)
    rng = np.random.default_rng([*batch.seed, SEEDED, count])
    drawn: set[tuple[int, ...]] = set()
    while len(drawn) < batch.robust_budget:
        drawn.add(tuple(sorted(rng.choice(len(outside), count, replace=False).tolist())))
    return outside[np.array(sorted(drawn), np.int64)]


def _explains(batch: MeasureBatch, own: np.ndarray, alone: Any, removals: np.ndarray) -> np.ndarray:
    """[m] bool: whether G_s explains in each graph that lacks these units [m, count]."""
    lacking = np.zeros((len(removals), len(own)), bool)
    lacking[np.arange(len(removals))[:, None], removals] = True
    asked = batch.asked
    intact, cut = (asked.said(batch.infer(units)[1]) for units in (lacking, lacking | own))
    return asked.same(intact, alone) | ~asked.same(cut, intact)
