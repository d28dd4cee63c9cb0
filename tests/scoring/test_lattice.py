"""The lattice: its front and answers against brute force; batches, order and interrupts do not show."""

import math
import sys
from functools import partial, reduce
from operator import or_

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sxq.scoring import cover as covers
from sxq.scoring import front as fronts
from sxq.scoring.dominance import millionths
from sxq.scoring.lattice import Answer, Lattice
from tests import oracles_scoring as oracle
from tests.scoring_strategies import EPSILONS, FEW_COLUMNS, SCORE


@st.composite
def candidates(draw, max_size=12, columns=FEW_COLUMNS):
    """Distinct candidates; vectors, sizes and bits collide often."""
    score = st.tuples(*[SCORE] * draw(columns))
    pool = draw(st.lists(score, min_size=1, max_size=max_size))
    row = st.tuples(st.sampled_from(pool), st.integers(1, 3), st.binary(min_size=2, max_size=2))
    rows = draw(st.lists(row, min_size=1, max_size=max_size, unique_by=lambda row: row[2]))
    return [oracle.Candidate(i, *row) for i, row in enumerate(rows)]


def add(lattice, batch):
    ids, scores, sizes, bits = zip(*batch)
    packed = np.array([list(row) for row in bits], dtype=np.uint8)
    lattice.add(np.array(ids), np.array(scores) / 10_000, np.array(sizes), packed)


def lattice_of(candidates, epsilon=0.1, batch=5, **options):
    lattice = Lattice(len(candidates[0].scores), epsilon, **options)
    for start in range(0, len(candidates), batch):
        add(lattice, candidates[start : start + batch])
    return lattice


def assert_epsilon_achieved(answer, candidates):
    """In whole millionths, rounded up."""
    exact = oracle.epsilon_achieved([candidates[i] for i in answer.members], candidates)
    assert answer.epsilon_achieved == (
        exact if exact == math.inf else math.ceil(exact * 10**6) / 10**6
    )


def scores_of(ids, candidates):
    by_id = {c.id: c.scores for c in candidates}
    return [by_id[i] for i in ids]


@given(candidates(max_size=30), st.integers(1, 8))
def test_front_is_the_quadratic_filter(candidates, batch):
    lattice, front = lattice_of(candidates, batch=batch), oracle.front(candidates)
    assert lattice.front.tolist() == [c.id for c in front]
    assert (lattice.front_scores * 10_000).round().tolist() == [list(c.scores) for c in front]
    assert lattice.explanatory == len(candidates) and not lattice.thinned


@given(candidates(max_size=20), EPSILONS)
def test_front_epsilon_dominates_everything(candidates, epsilon):
    lattice = lattice_of(candidates, epsilon)
    front = [c for c in candidates if c.id in lattice.front]
    assert oracle.dominance(front, candidates, epsilon) == len(candidates)


@given(candidates(max_size=20), EPSILONS)
def test_dominated_is_B(candidates, epsilon):
    cover = lattice_of(candidates, epsilon).dominated()
    expected = [oracle.dominance([c], candidates, epsilon) for c in oracle.front(candidates)]
    assert [cover.weigh(bits) for bits in cover.bits] == expected


@given(candidates(max_size=9), EPSILONS, st.integers(1, 3), st.integers(1, 4))
def test_answer_after_every_batch(candidates, epsilon, k, batch):
    """DS is what brute force counts, and at least 1 - 1/e of the best k-subset of all candidates so far."""
    lattice = Lattice(len(candidates[0].scores), epsilon)
    for start in range(0, len(candidates), batch):
        add(lattice, candidates[start : start + batch])
        seen = candidates[: start + batch]
        answer = lattice.answer(k)
        members = [seen[i] for i in answer.members]
        assert len(members) == len(set(members)) == min(k, len(lattice.front))
        assert set(answer.members) <= set(lattice.front.tolist())
        assert answer.dominance == oracle.dominance(members, seen, epsilon)
        assert answer.member_dominance == tuple(
            oracle.dominance([m], seen, epsilon) for m in members
        )
        assert answer.dominance >= (1 - 1 / math.e) * oracle.best_dominance(seen, epsilon, k)
        assert answer.coverage == answer.dominance / len(seen) and answer.front == len(
            lattice.front
        )


@given(candidates(max_size=15), EPSILONS, st.integers(1, 3), st.sampled_from(["coverage", "swap"]))
def test_epsilon_achieved_covers_and_is_smallest(candidates, epsilon, k, rule):
    answer = lattice_of(candidates, epsilon).answer(k, rule)
    assert_epsilon_achieved(answer, candidates)
    again = lattice_of(candidates, answer.epsilon_achieved)
    front, cover = again.front.tolist(), again.dominated()
    bits = [cover.bits[front.index(member)] for member in answer.members]
    assert cover.weigh(reduce(or_, bits)) == len(candidates)


@given(candidates(max_size=20), st.data(), EPSILONS, st.integers(1, 5))
def test_order_and_split_of_batches_do_not_show(candidates, data, epsilon, k):
    shuffled, batch = data.draw(st.permutations(candidates)), data.draw(st.integers(1, 7))
    one, other = (
        lattice_of(candidates, epsilon, len(candidates)),
        lattice_of(shuffled, epsilon, batch),
    )
    assert one.front.tolist() == other.front.tolist()
    first, second = one.answer(k), other.answer(k)
    assert scores_of(first.members, candidates) == scores_of(second.members, candidates)
    assert first == second


@given(candidates(max_size=15), st.integers(1, 7))
def test_repeating_a_batch_changes_no_front(candidates, batch):
    lattice = lattice_of(candidates)
    front = lattice.front.tolist()
    add(lattice, candidates[:batch])
    assert lattice.front.tolist() == front


@given(candidates(max_size=15), st.data())
def test_a_dominated_candidate_changes_no_front(candidates, data):
    lattice = lattice_of(candidates)
    front = lattice.front.tolist()
    above = data.draw(st.sampled_from(candidates))
    worse = tuple(data.draw(st.integers(100, s)) for s in above.scores[:-1]) + (
        above.scores[-1] - 1,
    )
    add(lattice, [oracle.Candidate(99, worse, 1, b"\x00\x00")])
    assert lattice.front.tolist() == front and lattice.explanatory == len(candidates) + 1


@given(candidates(max_size=20), EPSILONS, st.integers(1, 4))
def test_looking_changes_nothing(candidates, epsilon, k):
    looked = Lattice(len(candidates[0].scores), epsilon)
    for start in range(0, len(candidates), 4):
        add(looked, candidates[start : start + 4])
        looked.answer(k), looked.dominated(), looked.answer(k, "swap")
    assert looked.answer(k) == lattice_of(candidates, epsilon).answer(k)


@given(candidates(max_size=40, columns=st.integers(2, 3)), EPSILONS.filter(bool), st.integers(1, 8))
def test_a_thinned_front_still_epsilon_dominates_everything(candidates, epsilon, batch):
    lattice = Lattice(len(candidates[0].scores), epsilon, front_limit=2)
    for start in range(0, len(candidates), batch):
        add(lattice, candidates[start : start + batch])
        seen = candidates[: start + batch]
        front = [c for c in seen if c.id in lattice.front]
        assert len(front) <= 2
        assert oracle.dominance(front, seen, lattice.thinned or epsilon) == len(seen)
        assert not any(oracle.dominates(a.scores, b.scores) for a in front for b in front)
        assert lattice.dominated() is lattice.dominated()
    answer = lattice.answer(3)
    assert answer.thinned == lattice.thinned
    members = [candidates[i] for i in answer.members]
    assert answer.dominance == oracle.dominance(members, candidates, epsilon)
    assert_epsilon_achieved(answer, candidates)


@pytest.mark.parametrize("epsilon", [0.0003, 0.05, 0.1, 3.0])
def test_a_box_ends_where_its_lower_edge_reaches(epsilon):
    edges = fronts.box_edges(millionths(epsilon)).tolist()
    assert edges[0] == 1 and edges[-1] * (1 + epsilon) >= 10_000
    for low, beyond in zip(edges, edges[1:-1]):
        assert oracle.epsilon_dominates((low, 1), (beyond - 1, 1), epsilon)
        assert not oracle.epsilon_dominates((low, 1), (beyond, 1), epsilon)


@pytest.mark.parametrize("epsilon", [0.0003, 0.05, 0.1, 3.0])
def test_a_coarser_grid_is_made_of_whole_boxes_until_there_is_one(epsilon):
    finer = fronts.coarse_grid(millionths(epsilon), 2, 0)
    assert fronts.epsilon_of(finer) <= epsilon
    for coarseness in range(1, 60):
        grid = fronts.coarse_grid(millionths(epsilon), 2, coarseness)
        assert all(set(edges) <= set(before) for edges, before in zip(grid, finer))
        allowed = fronts.epsilon_of(grid)
        for edges in grid:
            for low, high in zip(edges.tolist(), [*(edges[1:] - 1).tolist(), 10_000]):
                assert oracle.epsilon_dominates((low, 1), (high, 1), allowed)
        finer = grid
    assert [len(edges) for edges in finer] == [1, 1]


def test_the_limit_is_kept_by_coarser_boxes():
    rng = np.random.default_rng(0)
    rows = rng.random((3000, 4))
    rows -= 0.6 * (rows.mean(axis=1, keepdims=True) - 0.5)  # most are incomparable
    rows = np.clip(rows, 0.01, 1)
    lattice = Lattice(4, 0.1, 400)
    for start in range(0, len(rows), 250):
        some = np.arange(start, start + 250)
        lattice.add(some, rows[some], np.ones(250, int), np.zeros((250, 1), np.uint8))
        front = lattice.front_scores
        assert len(front) <= 400
    assert len(front) > 100 and 0.1 < lattice.thinned < 2
    allowed = (1 + lattice.thinned) * front + 2e-4  # scores are rounded to the grid
    assert (rows[:, None] <= allowed[None]).all(axis=2).any(axis=1).all()


def test_a_large_cover_takes_one_vector_in_so_many(monkeypatch):
    """The members are chosen by a part of the bits; what is said of them counts all candidates."""
    rng = np.random.default_rng(1)
    rows = [
        oracle.Candidate(i, tuple(map(int, rng.integers(100, 10_000, 3))), 1, bytes([i % 256]))
        for i in range(400)
    ]
    whole = lattice_of(rows, batch=400).answer(5)
    monkeypatch.setattr(covers, "BITS", 1500)
    lattice = Lattice(3, 0.1)
    for start in range(0, 400, 50):
        add(lattice, rows[start : start + 50])
        cover = lattice.dominated()
        front = [rows[i] for i in lattice.front]
        assert sum(map(len, cover.bits)) <= 1500
        assert len(cover.vectors) == start + 50
        counted = rows[: start + 50 : cover.step]
        expected = [oracle.dominance([c], counted, 0.1) * cover.step for c in front]
        assert [cover.weigh(bits) for bits in cover.bits] == expected
    answer = lattice.answer(5)
    assert whole.sampled == 1 < answer.sampled
    members = [rows[i] for i in answer.members]
    assert answer.dominance == oracle.dominance(members, rows, 0.1)
    assert answer.coverage > 0.8 * whole.coverage
    assert not lattice.answer(5, "optimum").proven


def test_thinning_keeps_one_member_per_box_and_says_so():
    line = [oracle.Candidate(i, (5000 + i, 9000 - i), 1, bytes([i, 0])) for i in range(200)]
    assert len(lattice_of(line).front) == 200
    thinned = lattice_of(line, front_limit=50)
    answer = thinned.answer(10)
    assert thinned.thinned == 0.1 and answer.front == len(thinned.front) < 10
    assert answer.coverage == 1.0
    assert 0 < answer.epsilon_achieved <= 0.1  # what was refused counts
    assert_epsilon_achieved(answer, line)
    exact = lattice_of(line, epsilon=0, front_limit=50)
    assert not exact.thinned and len(exact.front) == 200


def test_of_equal_vectors_the_smaller_then_the_first_in_bits():
    same = (5000, 5000)
    rows = [
        oracle.Candidate(0, same, 2, b"\x01\x00"),
        oracle.Candidate(1, same, 1, b"\xff\x00"),
        oracle.Candidate(2, same, 1, b"\x80\x00"),
        oracle.Candidate(3, same, 1, b"\x80\x01"),
    ]
    for order in (rows, rows[::-1]):
        for batch in (1, 4):
            assert lattice_of(order, batch=batch).front.tolist() == [2]


def test_swap_judges_on_arrival_only():
    """k = 1: a; then b, incomparable and refused; then 100 that only b dominates."""
    a, b = (
        oracle.Candidate(0, (9000, 200), 1, b"\x80\x00"),
        oracle.Candidate(1, (200, 9000), 1, b"\x40\x00"),
    )
    below_b = [oracle.Candidate(2 + i, (150, 5000 + i), 1, bytes([0, i])) for i in range(100)]
    lattice = lattice_of([a, b, *below_b], epsilon=0.0)
    assert (lattice.answer(1, "swap").members, lattice.answer(1, "swap").dominance) == ((0,), 1)
    assert (lattice.answer(1).members, lattice.answer(1).dominance) == ((1,), 101)


def test_swap_leaves_a_freed_place_to_the_next():
    a = oracle.Candidate(0, (5000, 6000), 1, b"\x01\x00")
    b = oracle.Candidate(1, (6000, 5000), 1, b"\x02\x00")
    above = oracle.Candidate(2, (7000, 7000), 1, b"\x03\x00")
    assert lattice_of([a, b, above], epsilon=0.0).answer(2, "swap").members == (2,)


def test_swap_shows_the_smaller_of_equal_vectors():
    large, small = (oracle.Candidate(i, (5000, 5000), 2 - i, bytes([i, 0])) for i in range(2))
    assert lattice_of([large, small]).answer(1, "swap").members == (1,)


def test_empty():
    lattice = Lattice(3, 0.1)
    lattice.add(np.zeros(0, int), np.zeros((0, 3)), np.zeros(0, int), np.zeros((0, 2), np.uint8))
    for rule in ("coverage", "swap"):
        assert lattice.answer(10, rule) == Answer(
            members=(),
            member_dominance=(),
            dominance=0,
            coverage=None,
            epsilon_achieved=None,
            hypervolume=0.0,
            front=0,
        )
    assert lattice.front.tolist() == [] and lattice.front_scores.shape == (0, 3)
    assert lattice.dominated().bits == ()


def test_one_and_all_equal():
    one = [oracle.Candidate(7, (5000,) * 6, 1, b"\x80\x00")]
    equal = [oracle.Candidate(7 + i, (5000,) * 6, 1, bytes([128, i])) for i in range(20)]
    for rows in (one, equal):
        assert lattice_of(rows).answer(10) == Answer(
            members=(7,),
            member_dominance=(len(rows),),
            dominance=len(rows),
            coverage=1.0,
            epsilon_achieved=0.0,
            hypervolume=0.5**6,
            front=1,
        )


def test_many():
    """10^5 candidates of a trade-off: still exact, still counted."""
    rng = np.random.default_rng(0)
    scores = rng.integers(100, 10_001, (100_000, 3)) / 10_000
    lattice, ids = Lattice(3, 0.1), np.arange(100_000)
    for rows in np.split(ids, 50):
        lattice.add(
            rows, scores[rows], np.ones(2000, int), rng.integers(0, 256, (2000, 8), dtype=np.uint8)
        )
    reached = [
        (scores <= member + 0.1 * member + 1e-9).all(1) & (scores <= member).any(1)
        for member in lattice.front_scores
    ]
    assert np.any(reached, axis=0).all()
    answer = lattice.answer(10)
    chosen = [lattice.front.tolist().index(member) for member in answer.members]
    assert answer.dominance == np.any([reached[i] for i in chosen], axis=0).sum()


@pytest.mark.slow
@pytest.mark.parametrize("limit", [4096, 2])
def test_interruption_at_any_line_of_add_leaves_before_or_after(limit):
    rng = np.random.default_rng(0)
    scores = rng.integers(4000, 6000, (40, 2)).tolist()
    rows = [oracle.Candidate(i, tuple(row), 1, bytes([i, 1])) for i, row in enumerate(scores)]
    after = lattice_of(rows, batch=20, front_limit=limit).answer(4)
    before = lattice_of(rows[:20], batch=20, front_limit=limit).answer(4)
    assert before != after
    line = 0
    interrupted = True
    while interrupted:
        line += 1
        lattice = lattice_of(rows[:20], batch=20, front_limit=limit)
        interrupted = _interrupted_at(line, partial(add, lattice, rows[20:]))
        assert lattice.answer(4) in (before, after)
    assert line > 20 and lattice.answer(4) == after


def _interrupted_at(line, call):
    """Run `call` with a KeyboardInterrupt before its n-th line in sxq/scoring; whether it got that far."""
    left = line

    def trace(frame, event, arg):
        nonlocal left
        if "scoring" not in frame.f_code.co_filename:
            return None
        left -= event == "line"
        if event == "line" and left == 0:
            raise KeyboardInterrupt
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(previous)
    return False
