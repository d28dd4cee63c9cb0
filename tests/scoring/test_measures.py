"""The measures against values worked out by hand, and what a user's own measure may be."""

from types import SimpleNamespace

import numpy as np
import pytest

from sxq.errors import InvalidValue, UnknownName
from sxq.scoring import MEASURES, MeasureBatch, evaluate, resolve, user_measure

# A field of 4 units; three candidates of 1, 2 and 4 units.
BATCH = MeasureBatch(
    field=SimpleNamespace(
        num_units=4,
        all_units=4,
        directed=False,
        reached=lambda bits: np.array(  # 0-1, 0-2, 1-2, 2-3
            [[True, b[0] | b[2], b[1] | b[2] | b[3], b[3]] for b in bits], dtype=bool
        ).reshape(-1, 4),
    ),
    bits=np.array([[1, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]], dtype=bool),
    p_full=0.9,
    p_empty=0.1,
    p_kept=np.array([0.9, 0.95, 0.2]),
    p_removed=np.array([0.9, 0.3, 0.05]),
    influence=lambda: np.array([0.5, 0.25, 0.15, 0.1]),
    likeness=lambda: np.array([[1, 0], [0.5, 0.2], [0, 1], [0, 0.4]]),
)

BY_HAND = {  # name: (raw, score); 1 - log(2)/log(5) = 0.5693, 1 - log(4)/log(5) = 0.1386
    "fdl+": ([0.0, 0.6, 0.85], [0.01, 0.6, 0.85]),
    "fdl-": ([0.0, -0.05, 0.7], [1.0, 0.95, 0.3]),
    "conc": ([0.75, 0.5, 0.0], [1.0, 0.5693, 0.1386]),
    "size": ([1.0, 2.0, 4.0], [1.0, 0.5693, 0.1386]),
    "lift": ([0.8, 0.85, 0.1], [0.8, 0.85, 0.1]),
    "density": ([1.0, 2 / 3, 4 / 6], [1.0, 0.6667, 0.6667]),
    "influence": ([0.75, 0.9, 1.0], [0.75, 0.9, 1.0]),
    "variety": ([0.6, 1.0, 1.0], [0.6, 1.0, 1.0]),
}


def test_every_measure_has_a_golden():
    others = {name for name, measure in MEASURES.items() if measure.samples or measure.reported}
    assert set(BY_HAND) == set(MEASURES) - others


@pytest.mark.parametrize("name", BY_HAND)
def test_measures_by_hand(name):
    raw, scores = evaluate([MEASURES[name]], BATCH)
    assert raw.shape == scores.shape == (3, 1) and raw.dtype == scores.dtype == np.float64
    np.testing.assert_allclose(raw[:, 0], BY_HAND[name][0], atol=1e-12)
    np.testing.assert_array_equal(scores[:, 0], BY_HAND[name][1])


@pytest.mark.parametrize("name", BY_HAND)
def test_the_declared_direction_is_that_of_the_score(name):
    measure, (raw, scores) = MEASURES[name], BY_HAND[name]
    better = np.abs(raw) if name == "fdl-" else np.array(raw)  # nearer to 0
    assert (np.diff(better) * (1 if measure.larger_is_better else -1) * np.diff(scores) >= 0).all()


def test_columns_are_those_of_evaluate():
    raw, scores = evaluate([MEASURES["conc"], MEASURES["fdl+"]], BATCH)
    np.testing.assert_allclose(raw.T, [BY_HAND["conc"][0], BY_HAND["fdl+"][0]], atol=1e-12)
    np.testing.assert_array_equal(scores.T, [BY_HAND["conc"][1], BY_HAND["fdl+"][1]])


def test_a_field_of_one_unit():
    batch = MeasureBatch(
        SimpleNamespace(num_units=1, all_units=1),
        np.ones((1, 1), bool),
        0.9,
        0.1,
        np.array([0.9]),
        np.array([0.1]),
    )
    raw, scores = evaluate([MEASURES["conc"], MEASURES["size"]], batch)
    assert raw.tolist() == [[0.0, 1.0]] and scores.tolist() == [[1.0, 1.0]]


def test_no_candidates():
    none = np.zeros(0)
    batch = MeasureBatch(
        BATCH.field,
        np.ones((0, 4), bool),
        0.9,
        0.1,
        none,
        none,
        infer=lambda bits: np.zeros((2, len(bits), 2)),
        influence=BATCH.influence,
        likeness=BATCH.likeness,
    )
    raw, scores = evaluate(list(MEASURES.values()), batch)
    assert raw.shape == scores.shape == (0, len(MEASURES))


def test_resolution_is_the_lowest_score():
    assert evaluate([MEASURES["fdl+"]], BATCH, resolution=0.2)[1][:, 0].tolist() == [0.2, 0.6, 0.85]
    for wrong in (0, -1, 1.5, float("nan")):
        with pytest.raises(InvalidValue, match="sxq_resolution"):
            evaluate([MEASURES["fdl+"]], BATCH, resolution=wrong)


@pytest.mark.parametrize(
    "text, name", [("fdl+", "fdl+"), ("FDL_PLUS", "fdl+"), ("Fdl_Minus", "fdl-"), ("size", "size")]
)
def test_resolve_by_name_or_column(text, name):
    assert resolve(text) is MEASURES[name]


def test_resolve_lists_what_is_known():
    with pytest.raises(UnknownName, match="no measure named 'conk', did you mean 'conc'.*fdl"):
        resolve("conk")


def test_resolve_among_the_users():
    mine = user_measure("mine", lambda batch: batch.p_kept, True)
    assert resolve("MINE", {**MEASURES, "mine": mine}) is mine


def values(fn, larger_is_better=True, score=None):
    raw, scores = evaluate([user_measure("mine", fn, larger_is_better, score)], BATCH)
    return raw[:, 0].tolist(), scores[:, 0].tolist()


def test_user_measure_scales():
    assert values(lambda batch: [0.2, 0.4, 1]) == ([0.2, 0.4, 1.0], [0.2, 0.4, 1.0])
    assert values(lambda batch: [0.2, 0.4, 1], False) == ([0.2, 0.4, 1.0], [0.8, 0.6, 0.01])
    assert values(lambda batch: batch.sizes, False, lambda raw: 1 / raw) == (
        [1, 2, 4],
        [1.0, 0.5, 0.25],
    )
    assert values(lambda batch: batch.bits[:, 0]) == ([1.0, 0.0, 1.0], [1.0, 0.01, 1.0])


def test_nan_means_incomparable_and_passes():
    raw, scores = values(lambda batch: np.array([np.nan, 0.5, 0.5]))
    assert np.isnan([raw[0], scores[0]]).all() and scores[1:] == [0.5, 0.5]


@pytest.mark.parametrize(
    "name", ["", "two words", "1st", "a-b", "select", "TABLE", "naïve", None, "x\n"]
)
def test_user_measure_must_be_a_column(name):
    with pytest.raises(InvalidValue, match="cannot be an SQL column"):
        user_measure(name, lambda batch: batch.p_kept, True)


@pytest.mark.parametrize(
    "fn, message",
    [
        (lambda batch: 0.5, r"shape \(\), it must be \(3,\)"),
        (lambda batch: batch.p_kept[:2], r"shape \(2,\)"),
        (lambda batch: batch.p_kept[:, None], r"shape \(3, 1\)"),
        (lambda batch: ["a", "b", "c"], "real numbers"),
        (lambda batch: batch.p_kept + 1j, "complex128"),
        (lambda batch: None, "real numbers"),
        (lambda batch: [[1], [1, 2], 3], "no array"),
        (lambda batch: [0.5, 3.7, 0.5], r"3.7, outside \[0, 1\]; register it with score="),
        (lambda batch: [0.5, -0.1, 0.5], r"-0.1, outside"),
    ],
)
def test_user_measure_results_are_checked(fn, message):
    with pytest.raises(InvalidValue, match="measure 'mine' gave.*" + message):
        values(fn)


def test_user_scores_are_checked():
    with pytest.raises(InvalidValue, match="score of measure 'mine' gave shape"):
        values(lambda batch: batch.p_kept, score=lambda raw: raw[:1])
