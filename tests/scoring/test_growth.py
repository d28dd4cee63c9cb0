"""The growth of a front: fixed points estimate its hypervolume, round by round."""

import numpy as np
import pytest

from sxq.scoring.dominance import GRID, to_grid
from sxq.scoring.growth import LEAST, POINTS, Growth
from sxq.scoring.hypervolume import hypervolume


@pytest.mark.parametrize("scores", [1, 2, 3, 4, 5])
def test_the_share_of_the_points_is_the_hypervolume(scores):
    rng = np.random.default_rng(scores)
    for count in (1, 5, 60):
        members = rng.uniform(0.01, 1, (count, scores))
        growth = Growth(scores)
        growth.add(count, to_grid(members))
        assert growth.volume == pytest.approx(hypervolume(members), abs=0.01)


def test_the_perfect_candidate_reaches_every_point_and_nothing_is_left():
    growth = Growth(3)
    growth.add(1, np.full((1, 3), GRID, np.int16))
    growth.add(2, np.full((1, 3), GRID, np.int16))
    assert growth.volume == 1
    assert growth.rests(1)


def test_how_members_come_in_rounds_does_not_matter():
    members = to_grid(np.random.default_rng(0).uniform(0.01, 1, (50, 3)))
    whole = Growth(3)
    whole.add(50, members)
    split = Growth(3)
    for count in range(0, 50, 10):
        split.add(count + 10, members[count : count + 10][::-1])
    assert split.volume == whole.volume


def test_a_front_rests_when_it_grew_too_little_over_the_window():
    growth = Growth(1)
    growth.add(100, _reaching(0.5))
    assert not growth.rests(100)  # it grew from nothing
    growth.add(150, _reaching(0.5 + LEAST / 4))
    assert not growth.rests(100)  # the window reaches back to before the first member
    growth.add(200, _reaching(0.5 + LEAST / 3))
    assert growth.rests(100)
    assert not growth.rests(150)
    growth.add(250, _reaching(0.5 + 4 * LEAST))
    assert not growth.rests(100)
    growth.add(300, _reaching(0.5))
    assert not growth.rests(100)
    assert growth.rests(50)


def test_an_empty_front_never_rests():
    growth = Growth(2)
    for count in range(100, 1000, 100):
        growth.add(count, np.zeros((0, 2), np.int16))
    assert not growth.rests(100)


def _reaching(score: float) -> np.ndarray:
    """One member with one score."""
    assert POINTS > 1 / LEAST
    return to_grid(np.array([[score]]))
