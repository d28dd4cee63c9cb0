"""Metrics of explainers that rank edges, against the model and against a ground truth (Wang et al. 2021, section 4.1).

    ACC@rho      share of targets whose rho |E| edges alone keep the prediction    `accuracy`
    ACC-AUC      its mean over rho = 0.1, 0.2, ..., 1.0                            `accuracy(...).mean()`
    Recall@N     |top N and truth| / |truth|                                       `recall`
    Precision@N  |top N and truth| / N                                             `precision`
    AUC          of the ranking as a classifier of truth                           `auc`

A skyline has no ranking. It keeps the prediction within a size if one of its members of at most
that size does (`kept_within`). Its top N is the member of at most N units that loses least fidelity
(`best_within`).
"""

import numpy as np


def accuracy(kept: np.ndarray) -> np.ndarray:
    """ACC@rho, [ratios]: the share of targets [targets, ratios] whose prediction was kept."""
    return np.asarray(kept, float).mean(axis=0)


def recall(ranking: np.ndarray, truth: np.ndarray, n: int) -> float:
    """Recall@N of a ranking [U] against truth [U] bool; NaN without truth.

    Larger is more important; of equals, the first ranks higher.
    """
    return _hits(ranking, truth, n) / truth.sum() if truth.any() else np.nan


def precision(ranking: np.ndarray, truth: np.ndarray, n: int) -> float:
    """Precision@N; if there are fewer than N units, of all of them."""
    return _hits(ranking, truth, n) / min(n, len(truth)) if len(truth) else np.nan


def auc(ranking: np.ndarray, truth: np.ndarray) -> float:
    """How often a true unit ranks above a false one, ties count half; NaN without both."""
    inside = ranking[truth]
    outside = np.sort(ranking[~truth])
    if not len(inside) or not len(outside):
        return np.nan
    below, up_to = (np.searchsorted(outside, inside, side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(outside))


def kept_within(member_sizes: np.ndarray, factual: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Whether some member [n] of at most `allowed` [ratios] units keeps the prediction: [ratios]."""
    least = member_sizes[factual].min(initial=np.iinfo(np.int64).max)
    return least <= allowed


def best_within(member_sizes: np.ndarray, loss: np.ndarray, allowed: int) -> int:
    """The member of at most `allowed` units with least loss, the larger of equals; -1 if none."""
    fits = np.flatnonzero(member_sizes <= allowed)
    return int(fits[np.lexsort((-member_sizes[fits], loss[fits]))[0]]) if len(fits) else -1


def of_members(bits: np.ndarray, truth: np.ndarray, n: int) -> tuple[float, float]:
    """Recall at equal counts of units, of members bits [k, U] against truth [U]: (the best, the union).

    The best member of at most n units, 0 if none is so small; and the n units that most members hold,
    of equals the first. NaN without truth.
    """
    if not truth.any():
        return np.nan, np.nan
    small = bits[bits.sum(axis=1) <= n]
    best = (small & truth).sum(axis=1).max(initial=0) / truth.sum()
    held = bits.sum(axis=0).astype(float)
    held[held == 0] = -np.inf
    return float(best), float(
        _hits(np.where(held > 0, held, 0), truth & (held > 0), n) / truth.sum()
    )


def _hits(ranking: np.ndarray, truth: np.ndarray, n: int) -> int:
    return int(truth[np.argsort(-ranking, kind="stable")[:n]].sum())
