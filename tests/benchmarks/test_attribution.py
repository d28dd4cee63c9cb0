"""Metrics of rankings against their definitions."""

import attribution as metrics
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sxq.scoring.ratios import sizes

RANKINGS = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=12)


@given(RANKINGS)
def test_auc_counts_pairs(pairs):
    ranking, truth = np.array([r for r, _ in pairs], float), np.array([t for _, t in pairs])
    won = [
        1.0 if a > b else 0.5 if a == b else 0.0 for a in ranking[truth] for b in ranking[~truth]
    ]
    found = metrics.auc(ranking, truth)
    assert np.isnan(found) if not won else found == pytest.approx(np.mean(won))


@given(RANKINGS, st.integers(1, 12))
def test_recall_and_precision_count_hits(pairs, n):
    ranking, truth = np.array([r for r, _ in pairs], float), np.array([t for _, t in pairs])
    order = sorted(range(len(pairs)), key=lambda i: (-ranking[i], i))[:n]
    hits = sum(truth[i] for i in order)
    assert metrics.precision(ranking, truth, n) == hits / len(order)
    assert not truth.any() or metrics.recall(ranking, truth, n) == hits / truth.sum()


def test_accuracy_and_skylines_within_a_size():
    assert metrics.accuracy([[True, True], [False, True]]).tolist() == [0.5, 1]
    assert sizes(27).tolist() == [3, 6, 9, 11, 14, 17, 19, 22, 25, 27] and sizes(3)[0] == 1
    member_sizes, factual, loss = (
        np.array([2, 5, 5, 9]),
        np.array([False, True, True, True]),
        np.array([0.9, 0.2, 0.1, 0]),
    )
    assert metrics.kept_within(member_sizes, factual, np.array([4, 5, 10])).tolist() == [
        False,
        True,
        True,
    ]
    assert not metrics.kept_within(member_sizes, np.zeros(4, bool), np.array([100])).any()
    assert [metrics.best_within(member_sizes, loss, n) for n in (1, 3, 6, 9)] == [-1, 0, 2, 3]
