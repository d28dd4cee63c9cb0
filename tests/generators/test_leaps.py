"""Leaps: what they change of a survivor, and that they take the best units, against a slow twin."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from sxq.generators.baselines.random import any_sizes, grow
from sxq.generators.search.archive import Members
from sxq.generators.search.leaps import chosen, leaps
from sxq.graph import extract
from tests.graphs import random_graph


@given(some.integers(0, 2**32 - 1), some.integers(1, 6), some.integers(1, 9))
def test_the_best_units_are_those_of_a_sorted_row(seed, count, units):
    rng = np.random.default_rng(seed)
    worth = rng.permutation(count * units).reshape(count, units).astype(float)
    worth[rng.random(worth.shape) < 0.3] = -np.inf
    many = rng.integers(0, units + 2, count)
    for row, most, got in zip(worth, many, chosen(worth, many)):
        order = [
            unit
            for unit in sorted(range(units), key=lambda unit: -row[unit])
            if row[unit] > -np.inf
        ]
        assert set(np.flatnonzero(got)) == set(order[:most])


@pytest.mark.parametrize("undirected", [True, False])
def test_a_leap_adds_what_touches_and_drops_no_more_than_half(undirected):
    rng = np.random.default_rng(0)
    field = extract(random_graph(rng, nodes=40, edges=90, undirected=undirected), 0, 3, 0)
    bits = grow(field, any_sizes(field, 30, rng), rng)
    survivors = Members(
        bits, np.zeros((30, 2)), np.zeros((30, 2)), np.ones(30, bool), 100 + np.arange(30)
    )
    table = SimpleNamespace(
        worth=rng.normal(size=(field.num_units, 2)),
        directions=lambda angles: np.stack([np.cos(angles), -np.sin(angles)], axis=1),
    )
    archive = SimpleNamespace(survivors=lambda: survivors)
    run = SimpleNamespace(archive=archive, field=field, rng=rng, table=table)
    made, origin = leaps(run, 400)
    before = bits[origin - 100]
    added, dropped = made & ~before, before & ~made
    assert not (added & ~field.frontiers(before)).any()
    assert (dropped.sum(axis=1) <= before.sum(axis=1) // 2).all()
    grows, shrinks = added.any(axis=1), dropped.any(axis=1)
    assert (grows & ~shrinks).any() and (shrinks & ~grows).any() and (grows & shrinks).any()
    assert (added.sum(axis=1) > 2).any() and (dropped.sum(axis=1) > 2).any()
