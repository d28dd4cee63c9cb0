"""The field of a link: the union of two fields, in which both ends are one node."""

from itertools import product

import numpy as np
import pytest

from sxq.graph import between, extract, extract_link, over_nodes
from tests.graphs import random_graph
from tests.oracles import hops_by_definition

DIRECTED = pytest.mark.parametrize("undirected", [True, False])


def link_field(graph, u, v, hops=2, **options):
    return extract_link(graph, u * graph.num_nodes + v, hops, 1, **options)


@DIRECTED
def test_the_units_are_those_of_both_ends(undirected):
    graph = random_graph(np.random.default_rng(0), undirected=undirected)
    for u, v in [(0, 3), (5, 7), tuple(graph.edge_index[:, 0].tolist()), (2, 23)]:
        if u == v:
            continue
        field = link_field(graph, u, v)
        assert field.nodes[:2].tolist() == [u, v]
        found = {frozenset(graph.edge_index[:, e].tolist()) for e in field.edges[field.unit >= 0]}
        both = [extract(graph, end, 2, 1) for end in (u, v)]
        expected = {
            frozenset(graph.edge_index[:, e].tolist())
            for own in both
            for e in own.edges[own.unit >= 0]
        }
        assert found == expected
        hops = [hops_by_definition(graph, end) for end in (u, v)]
        for node, hop in zip(field.nodes.tolist(), field.node_hop.tolist()):
            assert hop == min(own.get(node, 99) for own in hops)


@DIRECTED
def test_without_itself_only_the_edges_between_the_ends_are_gone(undirected):
    graph = random_graph(np.random.default_rng(1), undirected=undirected)
    u, v = next(edge for edge in graph.edge_index.T.tolist() if edge[0] != edge[1])
    whole = link_field(graph, u, v)
    rest = link_field(graph, u, v, itself=False)
    gone = between(graph, u, v)
    assert len(gone) and set(rest.edges) == set(whole.edges) - set(gone)
    assert rest.num_units == whole.num_units - len({whole.unit[whole.edges == e][0] for e in gone})
    assert np.bincount(rest.unit[rest.unit >= 0], minlength=rest.num_units).all()


def joined(pairs, roots):
    """Whether edges are one part with the roots, by brute force."""
    reached = set(roots)
    while more := {b for a, b in [*pairs, *(p[::-1] for p in pairs)] if a in reached} - reached:
        reached |= more
    return all(a in reached for a, _ in pairs), reached


def test_candidates_are_connected_to_one_of_the_ends():
    graph = random_graph(np.random.default_rng(2), nodes=14, edges=12)
    field = link_field(graph, 1, 4, hops=1)
    assert 3 <= field.num_units <= 14
    bits = np.array(list(product([False, True], repeat=field.num_units)))
    component = field.component(bits)
    connects = field.connects(bits)
    frontiers = field.frontiers(component)
    for row in np.random.default_rng(0).choice(len(bits), 300):
        pairs = field.ends[:, bits[row]].T.tolist()
        whole, reached = joined(pairs, (0, 1))
        assert (component[row] == bits[row]).all() == whole
        held = field.ends[:, component[row]].T.tolist()
        assert set(np.flatnonzero(field.touched(component[row]))) == {0, 1, *sum(held, [])}
        assert connects[row] == (1 in joined(pairs, (0,))[1])
        near = {0, 1, *sum(held, [])}
        outside = np.flatnonzero(~component[row])
        expected = [unit for unit in outside if set(field.ends[:, unit].tolist()) & near]
        assert np.flatnonzero(frontiers[row]).tolist() == expected


def test_over_nodes_both_ends_are_always_there():
    graph = random_graph(np.random.default_rng(3), nodes=12, edges=14)
    u, v = next(edge for edge in graph.edge_index.T.tolist() if edge[0] != edge[1])
    field = over_nodes(link_field(graph, u, v, hops=1))
    nodes = field.nodes[field.unit_nodes]
    assert not {u, v} & set(nodes.tolist())
    for bits in np.random.default_rng(0).random((20, field.num_units)) < 0.5:
        own = {u, v, *nodes[bits].tolist()}
        kept = field.kept(bits[None])[0]
        there = {
            int(e)
            for e, unit in zip(field.edges, field.unit)
            if unit == -1 or unit >= 0 and kept[unit]
        }
        for e in field.edges.tolist():
            a, b = graph.edge_index[:, e].tolist()
            assert (e in there) == (a == b or {a, b} <= own)
        assert (field.component(bits[None])[0] <= bits).all()
