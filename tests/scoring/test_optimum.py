"""The exact answer against all k-subsets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sxq.scoring import selection
from sxq.scoring.optimum import optimum
from tests import oracles_scoring as oracle
from tests.scoring_strategies import EPSILONS, ranked, vectors


@settings(deadline=None)
@given(vectors(columns=st.integers(1, 3)), EPSILONS, st.integers(1, 4))
def test_no_k_members_cover_more(rows, epsilon, k):
    candidates, front, cover = ranked(rows, epsilon)
    chosen, proven = optimum(cover, k)
    assert proven and len(set(chosen)) == min(k, len(front))
    assert selection.dominance(cover, chosen) == oracle.best_dominance(candidates, epsilon, k)


@settings(deadline=None)
@given(vectors(max_size=20, columns=st.just(3)), st.integers(1, 4))
def test_out_of_steps_it_is_greedy_at_least_and_says_so(rows, k):
    _, _, cover = ranked(rows, 0.1)
    chosen, proven = optimum(cover, k, steps=-1)
    assert not proven
    assert selection.dominance(cover, chosen) >= selection.dominance(
        cover, selection.greedy(cover, k)
    )
