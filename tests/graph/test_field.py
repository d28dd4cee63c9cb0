"""The receptive field: against its definition, and against what the full graph computes."""

import numpy as np
import pytest
import torch

from sxq.errors import ModelNotLocal
from sxq.graph import EdgeKind, Graph, extract
from sxq.inference.registration import register
from tests.graphs import make, random_graph
from tests.oracles import hops_by_definition, units_by_definition


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("directed_units", [False, True])
def test_units_and_hops_follow_the_definition(seed, undirected, directed_units):
    graph = random_graph(np.random.default_rng(seed), undirected=undirected)
    for target in (0, 3, 7, graph.num_nodes - 1):
        field = extract(graph, target, 2, 1, directed_units)
        ends = field.nodes[field.ends].T.tolist()
        names = [tuple(end) if field.directed else tuple(sorted(end)) for end in ends]
        assert dict(zip(names, field.unit_hop)) == units_by_definition(
            graph, target, 2, field.directed
        )
        node_hop = hops_by_definition(graph, target)
        assert [node_hop[v] for v in field.nodes.tolist()] == field.node_hop.tolist()
        assert field.nodes[0] == target and (np.diff(field.unit_hop) >= 0).all()


def test_every_edge_of_the_field_is_where_the_graph_has_it():
    graph = random_graph(np.random.default_rng(1))
    field = extract(graph, 0, 2, 1)
    assert (field.nodes[field.edge_index] == graph.edge_index[:, field.edges]).all()
    loops = graph.edge_index[0, field.edges] == graph.edge_index[1, field.edges]
    assert ((field.unit == EdgeKind.LOOP) == loops).all()
    inner = field.node_hop[field.edge_index[1]] < 3  # hops + halo: every in-edge of these is there
    wanted = graph.in_edges(field.nodes[field.node_hop < 3])
    assert sorted(field.edges[inner]) == sorted(wanted) and (field.unit == EdgeKind.HALO).any()


def test_a_unit_holds_both_directions_and_all_parallels():
    graph = Graph([[0, 1, 0, 1, 1, 2], [1, 0, 1, 0, 2, 1]], np.eye(3))
    field = extract(graph, 0, 2, 0)
    assert field.num_units == 2 and field.unit_hop.tolist() == [1, 2]
    assert field.edges_of(np.array([True, False])).tolist() == [0, 1, 2, 3]
    assert extract(graph, 0, 2, 0, directed=True).num_units == 3  # 1 -> 0; then 0 -> 1 and 2 -> 1


def test_an_isolated_target_has_no_unit():
    graph = random_graph(np.random.default_rng(0))
    assert extract(graph, graph.num_nodes - 1, 3, 1).num_units == 0


def test_component_keeps_what_hangs_on_the_target():
    graph = Graph([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]], np.eye(4))  # a path 0-1-2-3
    field = extract(graph, 0, 3, 0)
    bits = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0]], bool)
    assert field.component(bits).tolist() == [
        [True, False, False],
        [False] * 3,
        [True, True, False],
    ]


def test_undirected_means_every_edge_has_its_equal_reverse():
    assert Graph([[0, 1], [1, 0]], np.eye(2)).undirected
    assert not Graph([[0], [1]], np.eye(2)).undirected
    assert not Graph([[0, 0, 1], [1, 1, 0]], np.eye(2)).undirected
    assert not Graph([[0, 1], [1, 0]], np.eye(2), edge_weight=[1.0, 2.0]).undirected


DEPTHS = [("gcn", 1), ("sage", 0), ("sage_max", 0), ("gat", 0), ("gin", 0)]


@pytest.mark.slow
@pytest.mark.sweep(8)
@pytest.mark.parametrize("kind,halo", DEPTHS)
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_depth_and_halo_are_found_by_structure(kind, halo, layers):
    rng = np.random.default_rng(layers)
    ring = np.arange(20)
    edges = np.stack([ring, np.roll(ring, 1)])
    graph = Graph(
        np.concatenate([edges, edges[::-1], np.stack([ring, (ring + 7) % 20])], 1),
        rng.normal(size=(20, 5)),
    )
    model = register(make(kind, layers=layers), graph)
    assert (model.hops, model.halo) == (layers, halo)


class UnusedAndShared(torch.nn.Module):
    """Counting modules would say 3: one layer is never used, one is used twice."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = make("sage", layers=2).layers[0], make("sage").layers[0]
        self.shared = make("sage", inputs=6, classes=6, layers=1).layers[0]

    def forward(self, x, edge_index):
        return self.shared(self.shared(self.used(x, edge_index), edge_index), edge_index)


def test_depth_is_what_messages_travel_not_how_many_layers_there_are():
    rng = np.random.default_rng(0)
    path = np.stack([np.arange(12), np.arange(1, 13)])
    graph = Graph(np.concatenate([path, path[::-1]], 1), rng.normal(size=(13, 5)))
    assert register(UnusedAndShared(), graph).hops == 3


class Mixing(torch.nn.Module):
    def forward(self, x, edge_index):
        return (x - x.mean(0))[:, :3]


def test_a_model_that_mixes_all_nodes_is_refused():
    with pytest.raises(ModelNotLocal, match="mixes all nodes"):
        register(Mixing(), random_graph(np.random.default_rng(0)))


def test_a_wrong_depth_is_noticed():
    graph = random_graph(np.random.default_rng(0))
    model = register(make("gcn"), graph, layers=3)
    assert model.hops == 3


def test_depth_is_found_where_long_ways_are_rare():
    """A hundred short ways and one long one: three layers are three hops, though most nodes see one only."""
    from sxq.inference.depth import find_depth
    from sxq.models.borrow import borrow

    leaves = np.stack([np.arange(10, 210, 2), np.arange(11, 211, 2)])
    chain = np.stack([np.arange(5), np.arange(1, 6)])
    graph = Graph(
        np.concatenate([leaves, chain], axis=1), np.random.default_rng(0).normal(size=(211, 5))
    )
    model = borrow(make("sage"), graph, "logits", torch.device("cpu"))
    for seed in range(5):
        assert find_depth(model, graph, np.random.default_rng(seed)).hops == 3


@pytest.mark.parametrize("seed", range(3))
def test_the_units_at_nodes(seed):
    rng = np.random.default_rng(seed)
    field = extract(random_graph(rng, undirected=seed > 0), 0, 2, 0)
    nodes = rng.choice(np.unique(field.ends), 7)
    units, owner = field.units_at(nodes)
    expected = [
        (place, unit)
        for place, node in enumerate(nodes)
        for unit in range(field.num_units)
        if node in field.ends[:, unit]
    ]
    assert sorted(zip(owner.tolist(), units.tolist())) == expected


def test_the_only_unit_of_a_field_with_a_halo_can_be_left_out():
    edges = np.array([[1, 2, 0], [0, 1, 2]])
    graph = Graph(edges, np.zeros((3, 1)))
    field = extract(graph, 0, 1, 1)
    assert field.num_units == 1 and (field.unit == EdgeKind.HALO).any()
    rest = field.without(np.array([True]))
    assert rest.num_units == 0 and (rest.unit == EdgeKind.HALO).all()
