"""Random score vectors for the tests of scoring: few distinct values, so that they collide and tie often."""

import numpy as np
from hypothesis import strategies as st

from sxq.scoring import cover as covers
from sxq.scoring.dominance import millionths
from tests import oracles_scoring as oracle

EPSILONS = st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0, 1e6])
TIED_SCORE = st.sampled_from([100, 105, 110, 111, 500, 550, 551, 5000, 10_000])
SCORE = TIED_SCORE | st.integers(100, 10_000)
FEW_COLUMNS = st.integers(1, 4)


@st.composite
def vectors(draw, max_size=12, columns=FEW_COLUMNS):
    """Grid vectors, all of one width."""
    return draw(st.lists(st.tuples(*[SCORE] * draw(columns)), min_size=1, max_size=max_size))


def grid(rows):
    return np.array(rows, dtype=np.int16)


def as_candidates(rows):
    return [oracle.Candidate(i, row, 1, b"\x80") for i, row in enumerate(rows)]


def ranked(rows, epsilon):
    """Candidates, their front, and its cover."""
    candidates = as_candidates(rows)
    front = oracle.front(candidates)
    members = grid([c.scores for c in front])
    nothing = covers.empty(len(rows[0]))
    return candidates, front, covers.extend(nothing, grid(rows), members, millionths(epsilon))
