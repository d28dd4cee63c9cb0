"""Hypervolume, Pareto masks, and the two ways to choose k members, against brute force."""

import moocore
import numpy as np
import pytest
from bitarray import bitarray
from hypothesis import given, settings
from hypothesis import strategies as st

from sxq.scoring import cover as covers
from sxq.scoring import dominance, selection
from sxq.scoring.dominance import millionths, pareto
from sxq.scoring.hypervolume import Free, hypervolume
from tests import oracles_scoring as oracle
from tests.scoring_strategies import EPSILONS, as_candidates, grid, ranked, vectors


@given(vectors(), EPSILONS)
def test_dominance_is_the_definition(rows, epsilon):
    exact = [[oracle.epsilon_dominates(b, a, epsilon) for a in rows] for b in rows]
    table = dominance.epsilon_dominates(grid(rows), grid(rows), millionths(epsilon))
    assert table.tolist() == exact
    assert dominance.dominated(grid(rows), grid(rows)).tolist() == [
        any(oracle.dominates(b, a) for b in rows) for a in rows
    ]


def test_epsilon_is_decided_without_rounding():
    # 0.1 * 1.1 = 0.11000000000000001, 0.3 * 1.1 = 0.33, 0.7 * 1.1 = 0.7700000000000001 in floats
    for low, high in ((1000, 1100), (3000, 3300), (7000, 7700)):
        pair = grid([[low, 1]]), grid([[high, 1], [high + 1, 1]])
        assert dominance.epsilon_dominates(*pair, millionths(0.1)).tolist() == [[True, False]]


def test_above_in_every_score_is_never_epsilon_dominated():
    assert not dominance.epsilon_dominates(
        grid([[5000, 5000]]), grid([[5001, 5001]]), millionths(1e6)
    ).any()


def test_epsilon_needed():
    needed = dominance.epsilon_needed
    assert needed(grid([[1000, 500]]), grid([[1000, 500], [10, 500]])) == 0.0
    assert needed(grid([[3000, 500]]), grid([[4000, 500]])) == 0.333334  # in millionths, rounded up
    assert needed(grid([[3000, 500], [4000, 100]]), grid([[4000, 200], [3000, 500]])) == 0.333334
    assert needed(grid([[3000, 500]]), grid([[3001, 501]])) == np.inf  # above it in every score


@given(vectors(max_size=40))
def test_records_are_the_front_of_their_day(rows):
    news = [
        t
        for t, row in enumerate(rows)
        if not any(row == old or oracle.dominates(old, row) for old in rows[:t])
    ]
    assert dominance.records(grid(rows)).tolist() == news


@given(vectors(max_size=40))
def test_pareto_is_the_quadratic_filter(rows):
    exact = [not any(oracle.dominates(b, a) for b in rows) for a in rows]
    assert pareto(np.array(rows) / 7).tolist() == exact


@given(vectors(max_size=40))
def test_leaders_are_the_quadratic_filter_and_of_equal_ones_the_first(rows):
    exact = [
        t
        for t, a in enumerate(rows)
        if a not in rows[:t] and not any(oracle.dominates(b, a) for b in rows)
    ]
    assert dominance.leaders(np.array(rows) / 7).tolist() == exact


def test_leaders_across_slices():
    points = np.random.default_rng(0).integers(0, 40, (3000, 3)) / 3
    exact = [
        t
        for t, p in enumerate(points)
        if not ((points >= p).all(1) & (points > p).any(1)).any()
        and not (points[:t] == p).all(1).any()
    ]
    assert dominance.leaders(points).tolist() == exact


def test_pareto_across_slices():
    points = np.random.default_rng(0).integers(0, 40, (3000, 3)) / 3
    exact = [not ((points >= p).all(1) & (points > p).any(1)).any() for p in points]
    assert pareto(points).tolist() == exact


@given(
    st.integers(1, 6).flatmap(
        lambda m: st.lists(st.tuples(*[st.floats(-1, 1, width=16)] * m), min_size=1, max_size=12)
    )
)
def test_hypervolume_is_moocores(rows):
    points = np.array(rows)
    expected = moocore.hypervolume(-points, ref=np.full(points.shape[1], 0.25))
    assert hypervolume(points, -0.25) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("n, m", [(1000, 1), (1000, 2), (1000, 3), (150, 4), (40, 5), (30, 6)])
def test_hypervolume_of_spheres(n, m):
    points = np.abs(np.random.default_rng(m).normal(size=(n, m)))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    assert hypervolume(points) == pytest.approx(
        moocore.hypervolume(-points, ref=np.zeros(m)), rel=1e-12
    )


def test_hypervolume_by_hand():
    assert hypervolume(np.zeros((0, 3))) == 0.0
    assert hypervolume(np.array([[2.0, 3.0]])) == 6.0
    assert hypervolume(np.array([[2.0, 1.0], [1.0, 2.0]])) == 3.0
    assert hypervolume(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([1.0, 0.0])) == 1.0


@given(vectors(max_size=8))
def test_free_boxes_hold_what_a_point_would_add(rows):
    points = np.array(rows, dtype=np.float64)
    half = len(points) // 2
    free, taken = Free.below(np.full(points.shape[1], 10_000.0)), 0.0
    for point in points[:half]:
        free, gain = free.split(point)
        taken += gain
    base = oracle.volume(rows[:half])
    assert taken == pytest.approx(base, rel=1e-12)
    added = [oracle.volume([*rows[:half], row]) - base for row in rows]
    np.testing.assert_allclose(free.gains(points), added, rtol=1e-12, atol=1e-3)


@given(vectors(columns=st.integers(1, 3)), EPSILONS, st.integers(1, 6))
def test_the_order_is_greedy_with_ties_in_front_order(rows, epsilon, k):
    candidates, front, cover = ranked(rows, epsilon)
    expected = oracle.greedy(front, candidates, epsilon, k)
    assert [front[i].scores for i in selection.ordered(cover, k)] == [c.scores for c in expected]


@settings(deadline=None)
@given(vectors(columns=st.integers(1, 3)), EPSILONS, st.integers(1, 4))
def test_the_answer_covers_nearly_what_the_best_k_could(rows, epsilon, k):
    candidates, front, cover = ranked(rows, epsilon)
    chosen = selection.coverage(cover, k)
    covered, best = (
        selection.dominance(cover, chosen),
        oracle.best_dominance(candidates, epsilon, k),
    )
    order = selection.greedy(cover, k)
    assert len(set(chosen)) == min(k, len(front))
    assert covered == oracle.dominance([front[i] for i in chosen], candidates, epsilon)
    assert covered >= (1 - 1 / np.e) * best and selection.bound(cover, order, k) >= best
    assert covered >= min(selection.ENOUGH * best, selection.dominance(cover, order))


def plain_bound(cover, order, k):
    """The gains of all members over every prefix, in full."""
    bounds = [cover.everything]
    for prefix in range(len(order) + 1):
        chosen = order[:prefix]
        covered = selection.dominance(cover, chosen)
        gains = [
            selection.dominance(cover, [*chosen, member]) - covered
            for member in range(len(cover.front))
        ]
        bounds.append(covered + sum(sorted(gains)[-k:]))
    return min(bounds)


@given(vectors(columns=st.integers(1, 4)), EPSILONS, st.integers(1, 6))
def test_the_bound_renews_gains_until_the_largest_are_certain(rows, epsilon, k):
    _, _, cover = ranked(rows, epsilon)
    order = selection.greedy(cover, k)
    assert selection.bound(cover, order, k) == plain_bound(cover, order, k)


@settings(deadline=None)
@given(
    vectors(max_size=20, columns=st.integers(2, 3)), st.sampled_from([0.0, 0.1]), st.integers(1, 4)
)
def test_no_exchange_of_one_member_would_show_more(rows, epsilon, k):
    _, _, cover = ranked(rows, epsilon)
    chosen = selection.coverage(cover, k)
    floor = selection.least(cover, selection.greedy(cover, k), k)
    shown = hypervolume(cover.front[chosen].astype(float))
    for out in chosen:
        for new in set(range(len(cover.front))) - set(chosen):
            other = [new if member == out else member for member in chosen]
            if selection.dominance(cover, other) >= floor:
                assert hypervolume(cover.front[other].astype(float)) <= shown * (1 + 1e-8)


@settings(deadline=None)
@given(vectors(max_size=20, columns=st.integers(1, 3)), st.integers(1, 4))
def test_the_answer_ranks_what_covers_most_first(rows, k):
    _, _, cover = ranked(rows, 0.1)
    chosen = selection.coverage(cover, k)
    covered = [selection.dominance(cover, chosen[:rank]) for rank in range(len(chosen) + 1)]
    gains = np.diff(covered)
    assert (np.diff(gains) <= 0).all() and gains[0] == max(
        selection.dominance(cover, [member]) for member in chosen
    )


def test_coverage_stays_where_hypervolume_alone_would_lose_it():
    # 100 candidates below a corner of little volume, one below each of three in the middle
    corner, crowd = (10_000, 100), [(9900, 100)] * 100
    middle = [(5000 + i, 5000 - i) for i in (0, 1, 2)]
    rows = [corner, *crowd, *middle]
    _, front, cover = ranked(rows, 0.0)
    assert 0 not in selection.fill(cover.front, [], 1)
    assert [front[i].scores for i in selection.coverage(cover, 1)] == [corner]


def test_greedy_gives_ties_to_the_first():
    sets = [bitarray("000001100"), bitarray("111110000"), bitarray("110000011")]
    nine = grid([[i + 1] for i in range(9)])
    cover = covers.Cover(nine[:3], tuple(sets), nine, np.ones(9, dtype=np.int64))
    assert selection.greedy(cover, 3) == [1, 0, 2]  # after 1, the gain of 2 falls to that of 0


def test_fill_looks_past_many_members_of_large_volume():
    crowd = [(7000 + i, 7000 - i) for i in range(200)]
    front = grid([(9900, 1000), *crowd[::-1]])
    first, second = selection.fill(front, [], 2)
    assert front[first].tolist() == [7000, 7000] and second == 0


def test_fill_renews_bounds_until_the_best_is_certain():
    # 300 members of a trade-off: more than one round of lazy bounds holds
    points = np.random.default_rng(1).integers(100, 10_000, (4000, 3)).astype(np.int16)
    front = dominance.frontier(points)[:300]
    chosen = selection.fill(front, [], 12)
    for rank, member in enumerate(chosen):
        gains = [hypervolume(front[[*chosen[:rank], i]].astype(float)) for i in range(len(front))]
        assert gains[member] == pytest.approx(max(gains), rel=1e-12)


@given(vectors(max_size=25, columns=st.integers(1, 3)), EPSILONS, st.integers(1, 4))
def test_swap_is_procedure_1(rows, epsilon, k):
    expected = oracle.swap(as_candidates(rows), epsilon, k)
    assert selection.swap(grid(rows), millionths(epsilon), k) == [c.id for c in expected]


@given(st.lists(vectors(max_size=10, columns=st.just(2)), min_size=1, max_size=4), EPSILONS)
def test_cover_is_extended_as_if_computed_once(batches, epsilon):
    cover, seen = covers.empty(2), []
    for rows in batches:
        seen += rows
        cover = covers.extend(
            cover, grid(rows), dominance.frontier(grid(seen)), millionths(epsilon)
        )
        for member, bits in zip(cover.front.tolist(), cover.bits):
            assert cover.weigh(bits) == sum(
                oracle.epsilon_dominates(member, row, epsilon) for row in seen
            )
    assert cover.vectors.tolist() == [list(row) for row in dict.fromkeys(seen)]
    assert cover.counts.tolist() == [seen.count(row) for row in dict.fromkeys(seen)]
