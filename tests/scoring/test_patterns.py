"""Patterns of members against a twin that looks at every connected set of edges."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from sxq.scoring import patterns
from sxq.scoring.patterns import Member, Relation, mine
from tests.oracles_scoring import (
    every_pattern,
    every_typed_pattern,
    graph_of,
    same,
    same_typed,
    typed_graph_of,
)

HOUSE = ((0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (1, 4))


def drawn(seed, directed, count=6):
    """Random small members of three targets, with two labels."""
    rng = np.random.default_rng(seed)
    members = []
    for number in range(count):
        nodes = int(rng.integers(2, 6))
        possible = [
            (u, v) for u in range(nodes) for v in range(nodes) if (u < v or directed) and u != v
        ]
        chosen = rng.choice(
            len(possible), min(len(possible), int(rng.integers(1, 7))), replace=False
        )
        members.append(
            Member(
                target=number % 3,
                labels=tuple(rng.integers(0, 2, nodes).tolist()),
                edges=tuple(possible[i] for i in chosen),
                fidelity=float(rng.random()),
            )
        )
    return members


@settings(deadline=None)
@example(300, True)
@given(some.integers(0, 2**32 - 1), some.booleans())
def test_the_skyline_of_all_patterns(seed, directed):
    members = drawn(seed, directed)
    targets = len({member.target for member in members})
    enough = [  # means that differ in the order of their sum are equal
        (
            len(held) / targets,
            round(float(np.mean(list(held.values()))), 9),
            graph.number_of_edges(),
            graph,
        )
        for graph, held in every_pattern(members, directed, 4)
        if len(held) >= 2
    ]
    best = [
        one
        for one in enough
        if not any(
            all(a >= b for a, b in zip(other[:3], one[:3])) and other[:3] != one[:3]
            for other in enough
        )
    ]
    mined = mine(members, directed, largest=4)
    assert mined.complete and mined.frequent == len(enough)
    values = {(support, fidelity, size) for support, fidelity, size, _ in best}
    assert len(mined.patterns) == len(values)
    assert sum(pattern.alike for pattern in mined.patterns) == len(best)
    for pattern in mined.patterns:
        graph = graph_of(pattern.labels, pattern.edges, directed)
        assert any(
            (support, size) == (pattern.support, pattern.size)
            and fidelity == pytest.approx(pattern.fidelity)
            and same(other, graph)
            for support, fidelity, size, other in best
        )
        for m, place in pattern.places.items():
            member = members[m]
            held = set(member.edges) | (set() if directed else {(v, u) for u, v in member.edges})
            assert all((place[u], place[v]) in held for u, v in pattern.edges)
            assert tuple(member.labels[node] for node in place) == pattern.labels
            assert len(set(place)) == len(place)


KINDS = (Relation("pays", True), Relation("refunds", True), Relation("knows", False))


def drawn_typed(seed, count=5):
    """Random small members, some of whose edges are parallel."""
    rng = np.random.default_rng(seed)
    members = []
    for number in range(count):
        nodes = int(rng.integers(2, 5))
        edges = {}
        for _ in range(int(rng.integers(1, 6))):
            u, v = rng.choice(nodes, 2, replace=False).tolist()
            kind = KINDS[int(rng.integers(0, 3))]
            edges[(u, v, kind) if kind.one_way else (*sorted((u, v)), kind)] = None
        members.append(
            Member(
                target=number % 3,
                labels=tuple(rng.integers(0, 2, nodes).tolist()),
                edges=tuple((u, v) for u, v, _ in edges),
                relations=tuple(kind for *_, kind in edges),
                fidelity=float(rng.random()),
            )
        )
    return members


@settings(deadline=None, max_examples=40)
@given(some.integers(0, 2**32 - 1))
def test_relations_tell_patterns_apart(seed):
    """Against a twin with multigraphs: parallel edges, directions and relations all count."""
    members = drawn_typed(seed)
    targets = len({member.target for member in members})
    enough = [one for one in every_typed_pattern(members, 3) if len(one[2]) >= min(2, targets)]
    mined = mine(members, directed=False, largest=3)
    assert mined.frequent == len(enough)
    for pattern in mined.patterns:
        graph = typed_graph_of(pattern.labels, pattern.edges, pattern.relations)
        (held,) = [held for other, _, held in enough if same_typed(other, graph)]
        assert pattern.support == len(held) / targets
        assert pattern.fidelity == pytest.approx(float(np.mean(list(held.values()))))
        for m, place in pattern.places.items():
            own = set(zip(members[m].edges, members[m].relations))
            for (u, v), kind in zip(pattern.edges, pattern.relations):
                ways = [(place[u], place[v])] + [(place[v], place[u])] * (not kind.one_way)
                assert own & {(way, kind) for way in ways}


def test_the_motif_that_all_members_share_is_found_whole():
    rng = np.random.default_rng(0)
    members = []
    for target in range(5):
        order = rng.permutation(7)
        more = [(4, 5), (2, 6)][: target % 3]
        edges = tuple((int(order[u]), int(order[v])) for u, v in (*HOUSE, *more))
        members.append(Member(target=target, labels=(0,) * 7, edges=edges, fidelity=0.5))
    top = mine(members, directed=False).patterns[0]
    assert top.support == 1 and top.size == 6
    assert same(graph_of(top.labels, top.edges, False), graph_of((0,) * 5, HOUSE, False))


def test_of_one_target_everything_is_frequent_and_of_none_nothing():
    alone = Member(target="a", labels=("x", "y"), edges=((0, 1),), fidelity=0.2)
    (only,) = mine([alone], directed=True).patterns
    assert (only.labels, only.edges, only.support) in [
        (("x", "y"), ((0, 1),), 1),
        (("y", "x"), ((1, 0),), 1),
    ]
    assert mine([], directed=True).patterns == ()


def test_what_is_left_out_is_said(monkeypatch):
    monkeypatch.setattr(patterns, "OCCURRENCES", 3)
    star = tuple((0, leaf) for leaf in range(1, 6))
    member = Member(target=0, labels=(0,) * 6, edges=star, fidelity=0.1)
    assert not mine([member], directed=False).complete
