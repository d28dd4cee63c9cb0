"""Restricted fields: their slow twin filters all sets of units by what INCLUDE, EXCLUDE and ANYWHERE say."""

from itertools import product

import numpy as np
import pytest

from sxq.graph import (
    EdgeKind,
    extract,
    kept_out,
    over_features,
    over_nodes,
    restrict,
    unjoined,
    whole,
)
from sxq.graph.whole import components
from tests.driving import SEARCHES, drive
from tests.graphs import random_graph

BY_HOPS = ("onion",)  # their candidates are connected


def admitted(field, include, exclude, anywhere):
    """All sets of units that a restriction admits, as tuples of bools, by looking at every set."""
    found = set()
    for bits in product([False, True], repeat=field.num_units):
        chosen = np.array(bits, bool)
        if not chosen.any() or not chosen[include].all() or chosen[exclude].any():
            continue
        label = components(field.num_nodes, *field.ends[:, chosen])
        touched = np.unique(label[field.ends[:, chosen]])
        roots = {label[0]} if field.rooted else set(touched[:1])
        if anywhere or set(touched) == roots:
            found.add(bits)
    return found


def fields(seed):
    """Small fields: of pairs, of directed edges, and a whole graph."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, nodes=8, edges=10, undirected=True)
    directed = random_graph(rng, nodes=8, edges=14, undirected=False)
    every = [extract(graph, 0, 2, 1), extract(directed, 0, 3, 0), whole(graph)]
    return [field for field in every if 3 <= field.num_units <= 11]


def restricted(field, include, exclude, anywhere):
    """The whole field without what is excluded, its restriction, and where its units were before."""
    chosen = np.zeros(field.num_units, bool)
    chosen[exclude] = True
    rest = kept_out(field, chosen, anywhere)
    known = {int(old): int(new) for old, new in zip(field.unit, rest.unit) if old >= 0 and new >= 0}
    if any(unit not in known for unit in include):
        return None
    included = np.zeros(rest.num_units, bool)
    included[[known[unit] for unit in include]] = True
    if included.any() and not anywhere and len(unjoined(rest, included)):
        return None
    return rest, restrict(rest, included, anywhere), {new: old for old, new in known.items()}


def cases():
    for seed in range(6):
        for place, field in enumerate(fields(seed)):
            rng = np.random.default_rng([seed, place])
            for include, exclude in ((0, 0), (0, 2), (1, 0), (2, 0), (2, 1), (1, 2)):
                units = rng.permutation(field.num_units)
                chosen = units[:include], units[include : include + exclude]
                for anywhere in (False, True):
                    yield pytest.param(
                        field,
                        *chosen,
                        anywhere,
                        id=f"{seed}-{place}-{include}-{exclude}-{anywhere}",
                    )


def proposed(name, restriction, old, units, **options):
    """What a generator proposes, as sets of the units of the field before anything was excluded."""
    bits = np.zeros((0, restriction.field.num_units), bool)
    if restriction.field.num_units:
        bits, _ = drive(name, restriction.field, **options)
    ends = np.array([[True], [False]]) * np.ones(restriction.field.num_units, bool)
    bits = np.concatenate([bits, restriction.field.component(ends)])
    widened = restriction.widened(bits)
    found = np.zeros((len(widened), units), bool)
    found[:, [old[unit] for unit in range(widened.shape[1])]] = widened
    return {tuple(row) for row in found.tolist() if any(row)}


@pytest.mark.sweep(30)
@pytest.mark.parametrize("field,include,exclude,anywhere", cases())
def test_exhaustive_proposes_all_that_is_admitted_and_nothing_else(
    field, include, exclude, anywhere
):
    expected = admitted(field, include, exclude, anywhere)
    made = restricted(field, include, exclude, anywhere)
    if made is None:  # what is included cannot be joined
        assert not expected
        return
    assert proposed("exhaustive", made[1], made[2], field.num_units) == expected
    if len(include) or anywhere or not len(exclude):
        assert expected


@pytest.mark.slow
@pytest.mark.sweep(4)
@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("anywhere", [False, True])
def test_every_generator_proposes_only_what_is_admitted(name, anywhere):
    if anywhere and name in BY_HOPS:
        return
    seen = 0
    for seed in range(4):
        for field in fields(seed):
            include, exclude = np.array([0]), np.array([field.num_units - 1])
            expected = admitted(field, include, exclude, anywhere)
            made = restricted(field, include, exclude, anywhere)
            if made is not None:
                found = proposed(name, made[1], made[2], field.num_units, allowance=60)
                assert found <= expected
                seen += len(found) > 1
    assert seen > 2


def test_what_only_excluded_units_join_to_the_target_is_no_candidate():
    field = next(field for field in fields(1) if field.rooted)
    first = field.unit_hop == 1
    assert kept_out(field, first, anywhere=False).num_units == 0
    rest = kept_out(field, first, anywhere=True)
    assert rest.num_units == np.count_nonzero(~first)
    assert rest.all_units == field.all_units
    assert (rest.unit == EdgeKind.HALO).sum() >= np.isin(field.unit, np.flatnonzero(first)).sum()


@pytest.mark.slow
@pytest.mark.sweep(3)
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("anywhere", [False, True])
def test_exhaustive_with_a_size_proposes_all_of_at_most_that_size(size, anywhere):
    for seed in range(4):
        for field in fields(seed):
            nothing = np.zeros(field.num_units, bool)
            seen = restrict(field, nothing, anywhere).field if anywhere else field
            bits, _ = drive("exhaustive", seen, size=size)
            every = admitted(field, [], [], anywhere)
            assert {tuple(row) for row in bits.tolist()} == {
                row for row in every if sum(row) <= size
            }


def test_deepening_goes_by_size():
    for field in fields(0) + fields(1):
        bits, _ = drive("deepening", field)
        sizes = bits.sum(axis=1)
        assert (np.diff(sizes) >= 0).all()
        assert {tuple(row) for row in bits.tolist()} == admitted(field, [], [], False)


def node_fields(seed, anywhere=False):
    """Small fields whose units are nodes: of a node by pairs and by directed edges, and of a whole graph."""
    found = [over_nodes(base, free=anywhere) for base in fields(seed)]
    return [field for field in found if 3 <= field.num_units <= 9]


def joined_sets(field, include, exclude, anywhere):
    """All sets of nodes that a restriction admits, by looking at every set."""
    found = set()
    for bits in product([False, True], repeat=field.num_units):
        chosen = np.array(bits, bool)
        if not chosen.any() or not chosen[include].all() or chosen[exclude].any():
            continue
        nodes = set(field.unit_nodes[chosen].tolist()) | ({0} if field.rooted else set())
        inside = [edge for edge in field.base.ends.T.tolist() if nodes >= set(edge)]
        label = components(field.num_nodes, *np.array(inside, np.int64).reshape(-1, 2).T)
        if anywhere or len(set(label[list(nodes)])) == 1:
            found.add(bits)
    return found


def restricted_nodes(field, include, exclude, anywhere):
    """The field without what is excluded, its restriction, and where its units were before."""
    chosen = np.zeros(field.num_units, bool)
    chosen[exclude] = True
    rest = kept_out(field, chosen, anywhere)
    before = np.searchsorted(field.unit_nodes, rest.unit_nodes)
    if not set(include) <= set(before):
        return None
    included = np.isin(before, include)
    if included.any() and not anywhere and len(unjoined(rest, included)):
        return None
    return rest, restrict(rest, included, anywhere), dict(enumerate(before.tolist()))


def node_cases():
    for seed in range(8):
        for place in range(3):
            rng = np.random.default_rng([seed, place])
            for include, exclude in ((0, 2), (1, 0), (2, 0), (3, 0), (2, 1), (1, 2)):
                for anywhere in (False, True):
                    every = node_fields(seed, anywhere)
                    if place < len(every):
                        units = rng.permutation(every[place].num_units)
                        chosen = units[:include], units[include : include + exclude]
                        case = f"{seed}-{place}-{include}-{exclude}-{anywhere}"
                        yield pytest.param(every[place], *chosen, anywhere, id=case)


@pytest.mark.sweep(30)
@pytest.mark.parametrize("field,include,exclude,anywhere", node_cases())
def test_exhaustive_proposes_all_sets_of_nodes_that_are_admitted(field, include, exclude, anywhere):
    expected = joined_sets(field, include, exclude, anywhere)
    made = restricted_nodes(field, include, exclude, anywhere)
    if made is None:
        assert not expected
        return
    assert proposed("exhaustive", made[1], made[2], field.num_units) == expected
    assert made[0].all_units == field.num_units


@pytest.mark.parametrize("name", ["search", "growing", "onion", "random", "deepening", "moexp"])
@pytest.mark.parametrize("anywhere", [False, True])
def test_every_generator_proposes_only_sets_of_nodes_that_are_admitted(name, anywhere):
    if anywhere and name in BY_HOPS:
        return
    seen = 0
    for seed in range(4):
        for field in node_fields(seed, anywhere):
            include, exclude = np.array([1, field.num_units - 1]), np.array([field.num_units - 2])
            made = restricted_nodes(field, include, exclude, anywhere)
            if made is not None:
                found = proposed(name, made[1], made[2], field.num_units, allowance=60)
                assert found <= joined_sets(field, include, exclude, anywhere)
                seen += len(found)
    assert seen > 2


def test_a_large_field_of_nodes_grows_through_what_is_included():
    """On more nodes than can be enumerated: what is proposed is joined, and no unit is out of reach."""
    rng = np.random.default_rng(0)
    for base in (
        extract(random_graph(rng, nodes=60, edges=60, undirected=True), 0, 3, 1),
        whole(random_graph(rng, nodes=60, edges=60, undirected=True)),
    ):
        field = over_nodes(base)
        large = np.flatnonzero(field.component(np.ones((1, field.num_units), bool))[0])
        included = np.zeros(field.num_units, bool)
        included[rng.permutation(large)[:6]] = True
        assert not len(unjoined(field, included))
        made = restrict(field, included, False)
        bits, _ = drive("random", made.field, allowance=200)
        every = made.widened(bits)
        assert every[:, included].all()
        assert (field.component(every) == every).all()
        assert (made.field.component(bits) == bits).all()
        ones = np.ones((1, made.field.num_units), bool)
        assert made.field.component(ones).all()
        deep = made.field.unit_hop > 1
        assert (made.field.links(rng.random(made.field.num_units))[deep] >= 0).all()


def test_features_that_are_restricted():
    graph = random_graph(np.random.default_rng(1), nodes=8, edges=10, undirected=True)
    field = over_features(extract(graph, 0, 2, 1), graph, "mean")
    rest = kept_out(field, np.arange(field.num_units) == 1, anywhere=False)
    assert rest.context_columns.tolist() == [1] and rest.all_units == field.num_units
    assert rest.context_baseline == field.baseline[1]
    included = np.arange(rest.num_units) == 0
    made = restrict(rest, included, anywhere=False)
    bits = made.widened(drive("exhaustive", made.field)[0])
    expected = {(True, *rest) for rest in product([False, True], repeat=rest.num_units - 1)}
    assert {tuple(row) for row in bits.tolist()} == expected - {
        (True,) + (False,) * (rest.num_units - 1)
    }
