"""Robustness of an answer: does G_s still explain when single units or pairs outside of it are gone?

In G' = G \\ R, with R one unit or two of the field outside of G_s, G_s explains the class c' that the
model predicts on G' if it is factual, argmax M(v, G_s) = c', or counterfactual, argmax
M(v, G' \\ G_s) != c'. Every R is tried where their number fits the budget, which makes the share
exact, with standard error 0; else `budget` of them are drawn, and the error is above 0.

What the model says on G' is asked once for all members, so that each R costs a member one inference.
"""

from itertools import combinations
from math import comb

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
    if not len(batch.bits):
        return np.zeros(0), np.zeros(0)
    removals = [_removals(batch, np.flatnonzero(~own), count) for own in batch.bits]
    every, places = np.unique(np.concatenate(removals), axis=0, return_inverse=True)
    intact = _said_without(batch, every)
    ends = np.cumsum([len(own) for own in removals])[:-1]
    found = np.zeros((len(batch.bits), 2))
    for row, place in enumerate(np.split(places.reshape(-1), ends)):
        cut = _said_without(batch, every[place], batch.bits[row])
        holds = batch.asked.same(intact[place], alone[row]) | ~batch.asked.same(cut, intact[place])
        found[row] = _share(int(holds.sum()), len(holds), comb((~batch.bits[row]).sum(), count))
    return found[:, 0], found[:, 1]


def _share(holds: int, total: int, possible: int) -> tuple[float, float]:
    """The share of the removals after which an answer holds, and its standard error."""
    if not total:
        return 1.0, 0.0  # nothing can be removed
    if total == possible:
        return holds / total, 0.0
    near = (holds + 1) / (total + 2)  # so that the error of a draw is never 0
    return holds / total, float(np.sqrt(near * (1 - near) / total))


def _said_without(
    batch: MeasureBatch, removals: np.ndarray, own: np.ndarray | bool = False
) -> np.ndarray:
    """What the model says on each graph that lacks these units [m, count], and a member [U]."""
    said = []
    step = max(1, CELLS // batch.bits.shape[1])
    for start in range(0, len(removals), step):
        some = removals[start : start + step]
        lacking = np.zeros((len(some), batch.bits.shape[1]), bool)
        lacking[np.arange(len(some))[:, None], some] = True
        said.append(batch.asked.said(batch.infer(lacking | own)[1]))
    return np.concatenate(said) if said else np.zeros(0)


def _removals(batch: MeasureBatch, outside: np.ndarray, count: int) -> np.ndarray:
    """The sets [m, count] of units outside: all, or as many different ones as the budget allows."""
    if comb(len(outside), count) <= batch.robust_budget:
        return np.array(list(combinations(outside.tolist(), count)), np.int64).reshape(-1, count)
    rng = np.random.default_rng([*batch.seed, SEEDED, count])
    drawn: set[tuple[int, ...]] = set()
    while len(drawn) < batch.robust_budget:
        drawn.add(tuple(sorted(rng.choice(len(outside), count, replace=False).tolist())))
    return outside[np.array(sorted(drawn), np.int64)]
