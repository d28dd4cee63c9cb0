"""What a change of one unit does to a subgraph, and the leading things of groups, against slow twins."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from sxq.generators.baselines.random import any_sizes, grow
from sxq.generators.protocol import NONE
from sxq.generators.search.moves import _leading
from sxq.generators.search.unit_changes import UnitChanges
from sxq.graph import extract
from tests.graphs import random_graph


def test_changes_are_those_of_units_one_by_one():
    rng = np.random.default_rng(0)
    field = extract(random_graph(rng, nodes=30, edges=70), 0, 3, 0)
    links = field.links(rng.random(field.num_units))
    hashes = rng.integers(2**63, size=field.num_units, dtype=np.uint64)
    worth = rng.normal(size=(field.num_units, 2))
    bits = grow(field, any_sizes(field, 6, rng), rng)
    changes = UnitChanges(links, hashes)
    odds = changes.odds(worth)
    found = list(zip(*changes.possible(bits, field.frontiers(bits))))
    expected = [one for row, own in enumerate(bits) for one in slowly(field, links, row, own)]
    assert [row for row, _ in found] == [row for row, _, _ in expected]
    for (row, number), (_, unit, change) in zip(found, expected):
        sign = np.where(bits[row, change], -1, 1)
        pair = np.array([[number, changes.nothing]])
        assert changes.unit[number] == unit
        assert changes.growth[number] == sign.sum()
        assert changes.drops[number] == bits[row, unit]
        assert np.allclose(odds[number], sign @ worth[change])
        after = changes.applied(bits[[row]], pair)[0]
        assert set(np.flatnonzero(after ^ bits[row])) == set(change)
        before = hashes[bits[row]].sum(keepdims=True)
        assert before + changes.hashes[number : number + 1] == hashes[after].sum()


def slowly(field, links, row, bits):
    """The row, the unit that a change is about, and all units that it changes, of one subgraph."""
    touching = set(field.frontier(bits))
    for unit in range(field.num_units):
        if bits[unit] or unit in touching:
            yield row, unit, [unit]
        elif links[unit] != NONE and links[unit] in touching:
            yield row, unit, [unit, links[unit]]


@given(some.lists(some.integers(0, 3), max_size=30), some.integers(1, 4))
def test_the_leading_things_of_a_group_are_its_first_in_order(group, most):
    group = np.array(group, int)
    order = np.argsort(group, kind="stable")[: len(group) * 2 // 3]
    table = _leading(order, group, (4, most))
    for number, row in enumerate(table):
        own = [thing for thing in order if group[thing] == number][:most]
        assert row.tolist() == own + [NONE] * (most - len(own))
