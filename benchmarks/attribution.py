"""Metrics of explainers that rank edges, against the model and against a ground truth (Wang et al. 2021, section 4.1).

    ACC@rho      share of targets whose rho |E| edges alone keep the prediction    `accuracy`
    ACC-AUC      its mean over rho = 0.1, 0.2, ..., 1.0                            `accuracy(...).mean()`
    Recall@N     |top N and truth| / |truth|                                       `recall`
    Precision@N  |top N and truth| / N                                             `precision`
    AUC          of the ranking as a classifier of truth                           `auc`

A skyline has no ranking: of its members that are no larger than allowed, one that keeps the prediction is enough
(`kept_within`), and its top N is the smallest loss of fidelity among those of at most N units (`best_within`).
"""

import numpy as np


def accuracy(kept: np.ndarray) -> np.ndarray:
    """ACC@rho, [ratios]: the share of targets [targets, ratios] whose prediction was kept."""
    return np.asarray(kept, float).mean(axis=0)


def recall(ranking: np.ndarray, truth: np.ndarray, n: int) -> float:
    """Recall@N of a ranking [U] (larger is more important, of equals the first) against truth [U] bool; NaN without."""
    return _hits(ranking, truth, n) / truth.sum() if truth.any() else np.nan


def precision(ranking: np.ndarray, truth: np.ndarray, n: int) -> float:
    """Precision@N; of fewer than N units, of all."""
    return _hits(ranking, truth, n) / min(n, len(truth)) if len(truth) else np.nan


def auc(ranking: np.ndarray, truth: np.ndarray) -> float:
    """How often a unit of the truth ranks above another, ties as one half; NaN where there is only one kind."""
    inside, outside = ranking[truth], np.sort(ranking[~truth])
    if not len(inside) or not len(outside):
        return np.nan
    below, up_to = (np.searchsorted(outside, inside, side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(outside))


def kept_within(member_sizes: np.ndarray, factual: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Whether some member [n] of at most `allowed` [ratios] units keeps the prediction: [ratios]."""
    least = member_sizes[factual].min(initial=np.iinfo(np.int64).max)
    return least <= allowed


def best_within(member_sizes: np.ndarray, loss: np.ndarray, allowed: int) -> int:
    """The member of at most `allowed` units with the least loss, of equals the larger; -1 where there is none."""
    fits = np.flatnonzero(member_sizes <= allowed)
    return int(fits[np.lexsort((-member_sizes[fits], loss[fits]))[0]]) if len(fits) else -1


def _hits(ranking: np.ndarray, truth: np.ndarray, n: int) -> int:
    return int(truth[np.argsort(-ranking, kind="stable")[:n]].sum())
