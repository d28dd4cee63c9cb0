"""Heterogeneous graphs: one `Graph` whose nodes and edges have types; keys, pairs and fields by type."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import HeteroData

import sxq
from sxq.graph import EdgeKind, Graph, TypedKey, extract, whole
from sxq.graph.types import LACKING
from sxq.models import graph_from_data, hetero_from_graph
from tests.typed_graphs import heteros, random_hetero


def fields_of(data: HeteroData) -> dict:
    """Every tensor of a HeteroData, by its place."""
    return {
        (kind, name): value
        for kind, store in zip([*data.node_types, *data.edge_types], data.stores[1:])
        for name, value in store.items()
        if isinstance(value, torch.Tensor)
    }


@settings(deadline=None)
@given(heteros)
def test_a_graph_has_what_the_data_has(data):
    back = fields_of(hetero_from_graph(graph_from_data(data)))
    given_ = fields_of(data)
    assert set(given_) <= set(back)
    for place, value in given_.items():
        assert value.dtype == back[place].dtype and torch.equal(value, back[place]), place
    again = graph_from_data(hetero_from_graph(graph_from_data(data)))
    assert again.content_hash == graph_from_data(data).content_hash


def test_rows_are_padded_and_what_a_type_lacks_is_unknown():
    data = HeteroData()
    data["a"].x = torch.ones(2, 3)
    data["b"].num_nodes = 2
    data["b"].y = torch.tensor([1, 0])
    data["b"].test_mask = torch.tensor([False, True])
    data["b", "of", "a"].edge_index = torch.tensor([[1], [0]])
    data["a"].time = torch.tensor([5, 6])
    data["b"].time = torch.tensor([7, 8])
    data["a"].name = ["x", "y"]
    data["a"].pos = torch.ones(2, 2)
    graph = graph_from_data(data)
    assert graph.x.tolist() == [[1, 1, 1], [1, 1, 1], [1, 0, 0], [1, 0, 0]]
    assert graph.y.tolist() == [-1, -1, 1, 0] and graph.split.tolist() == ["", "", "", "test"]
    assert graph.edge_index.tolist() == [[3], [0]]
    assert graph.types.widths == (3, 1) and graph.types.edge_types == (("b", "of", "a"),)
    assert graph.node_inputs["time"].tolist() == [5, 6, 7, 8]
    assert set(graph.left_out) == {"a.name", "b.pos"} and graph.left_out["b.pos"] == LACKING
    assert graph.node_inputs["pos"].tolist() == [[1, 1], [1, 1], [0, 0], [0, 0]]


def test_integers_stay_integers():
    data = HeteroData()
    data["a"].x = torch.tensor([3, 2**40])
    data["b"].num_nodes = 1
    data["a", "of", "b"].edge_index = torch.tensor([[0], [0]])
    data["a", "of", "b"].edge_attr = torch.tensor([2])
    back = hetero_from_graph(graph_from_data(data))
    assert back["a"].x.tolist() == [3, 2**40] and back["b"].x.tolist() == [1]
    assert back["a", "of", "b"].edge_attr.tolist() == [2]


def changed(place, **fields):
    def change(data):
        for name, value in fields.items():
            data[place][name] = value

    return change


@pytest.mark.parametrize(
    "change, said",
    [
        (changed("merchant", x=torch.ones(3, 2).double()), "x differs between types: account"),
        (changed("merchant", x=torch.ones(3, 2, 2)), "x differs between types"),
        (changed("merchant", x="what"), "x is of type str"),
        (changed("merchant", x=torch.tensor(1.0)), "x of merchant is a single number"),
        (changed("account", y=torch.full((6,), -2)), "y holds -2"),
        (changed("other", z=torch.tensor(1)), "node type other has neither x nor num_nodes"),
        (
            changed(("account", "pays", "merchant"), edge_index=torch.tensor([[0], [9]])),
            "edge 0 of account -pays-> merchant has the merchant 9 at an end.* are 0 to 2",
        ),
        (
            changed(("account", "pays", "shop"), edge_index=torch.tensor([[0], [0]])),
            "edges have ends of type shop; node types are account, merchant, device",
        ),
        (changed(("account", "sees", "account"), z=1), "account -sees-> account has no edge_index"),
        (
            changed(("account", "pays", "merchant"), edge_weight=torch.ones(4)),
            "edges account -pays-> merchant have edge_weight, .* have none",
        ),
        (
            changed(("account", "pays", "merchant"), edge_attr=torch.ones(3, 1)),
            "edge_attr of account -pays-> merchant has 3 rows, expected 4",
        ),
        (changed("account", feature_names=["a"]), "1 feature names of account"),
    ],
)
def test_what_is_no_graph_is_refused(change, said):
    data = random_hetero(0, mirrored=False)
    change(data)
    with pytest.raises(sxq.GraphError, match=said):
        graph_from_data(data)


def test_an_empty_graph_is_refused():
    with sxq.connect() as con:
        with pytest.raises(sxq.GraphError, match="no node type"):
            con.register_graph("g", HeteroData())


# -- keys ----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(heteros)
def test_a_name_leads_back_to_its_node(data):
    graph = graph_from_data(data)
    for position in range(graph.num_nodes):
        name = graph.name(position)
        assert graph.position(name) == position
        assert graph.position(graph.key(position), name.node_type) == position


def test_a_key_without_type_must_be_of_one_type():
    plain = graph_from_data(random_hetero(0))
    assert plain.name(7) == ("merchant", 1) and str(plain.name(7)) == "merchant 1"
    assert plain.position(5) == 5  # only accounts have so many
    with pytest.raises(sxq.NodeNotFound, match="1: it is a key of account and of merchant and of"):
        plain.position(1)
    with pytest.raises(sxq.NodeNotFound, match="no node merchant 9 of type merchant: .* 0 to 2"):
        plain.position(TypedKey("merchant", 9))
    with pytest.raises(sxq.GraphError, match="no node type 'shop'; node types are account"):
        plain.position(1, "shop")
    names = [*"abcdef", *"xyz", "a", "d0"]
    named = Graph(**{**plain.columns(), "keys": names})
    assert named.position("x") == 6 and named.key(9) == "a" and named.position("a", "device") == 9
    with pytest.raises(sxq.NodeNotFound, match="'a': it is a key of account and of device; say"):
        named.position("a")
    with pytest.raises(sxq.GraphError, match="'a' stands for more than one node"):
        Graph(**{**plain.columns(), "keys": [*"aacdef", *"xyz", "a", "d0"]})
    with pytest.raises(sxq.GraphError, match="of account text, of merchant an integer, of device"):
        Graph(**{**plain.columns(), "keys": [*"abcdef", 1, 2, 3, 4, 5]})
    with pytest.raises(sxq.GraphError, match="no types"):
        Graph([[0], [1]], np.ones((2, 1))).position(1, "account")


def test_types_must_fit():
    graph = graph_from_data(random_hetero(0))
    types = graph.types
    for wrong, said in (
        (replace(types, of_node=types.of_node[1:]), "types of 10 nodes and .* but there are 11"),
        (replace(types, of_node=types.of_node[::-1]), "must lie together"),
        (replace(types, of_node=types.of_node + 1), "numbers of node types are 0 to 2, found 3"),
        (
            replace(types, of_edge=types.of_edge * 0),
            "edge 8 of type account -pays-> merchant joins",
        ),
    ):
        with pytest.raises(sxq.GraphError, match=said):
            Graph(**{**graph.columns(), "types": wrong})
    with pytest.raises(sxq.GraphError, match="two of the node types are called 'a'"):
        replace(types, node_types=("a", "a"), edge_types=())


# -- pairs and fields ----------------------------------------------------------------------------


def unit_name(graph: Graph, edge: int, directed: bool) -> tuple:
    """What edges of one unit have in common, by definition."""
    ends = tuple(graph.edge_index[:, edge].tolist())
    source, relation, head = graph.types.edge_types[graph.types.of_edge[edge]]
    if directed:
        return (*ends, source, relation, head)
    base = relation.removeprefix("rev_")
    return (*sorted(ends), base, frozenset((source, head)))


def units_by_definition(graph: Graph, target: int, hops: int, directed: bool) -> dict:
    """The hop of each unit: 1 + the fewest steps from the head of one of its edges to the target."""
    distance = {target: 0}
    for step in range(1, hops + 1):
        for u, v in graph.edge_index.T.tolist():
            if distance.get(v) == step - 1:
                distance.setdefault(u, step)
    found: dict = {}
    for edge, (u, v) in enumerate(graph.edge_index.T.tolist()):
        hop = 1 + distance.get(v, hops)
        name = unit_name(graph, edge, directed)
        if u != v and hop <= hops:
            found[name] = min(hop, found.get(name, hop))
    return found


@settings(deadline=None)
@given(heteros, st.integers(0, 30), st.integers(1, 3), st.booleans())
def test_units_follow_the_definition(data, target, hops, directed):
    graph = graph_from_data(data)
    target %= graph.num_nodes
    assert graph.undirected == any("rev_pays" in name for name in data.edge_types)
    field = extract(graph, target, hops, 1, directed)
    units: dict = {}
    for edge, unit in zip(field.edges.tolist(), field.unit.tolist()):
        if unit >= 0:
            units.setdefault(unit, set()).add(unit_name(graph, edge, field.directed))
    assert all(len(names) == 1 for names in units.values())
    found = {names.pop(): field.unit_hop[unit] for unit, names in units.items()}
    assert found == units_by_definition(graph, target, hops, field.directed)
    every = whole(graph, field.directed)
    loops = graph.edge_index[0] == graph.edge_index[1]
    names = {unit_name(graph, e, field.directed) for e in np.flatnonzero(~loops).tolist()}
    assert every.num_units == len(names) and (every.unit[loops] == EdgeKind.LOOP).all()


def test_a_type_of_one_node_type_mirrors_itself_if_its_edges_do():
    data = HeteroData()
    data["a"].x = torch.ones(3, 1)
    data["a", "knows", "a"].edge_index = torch.tensor([[0, 1], [1, 0]])
    assert graph_from_data(data).undirected
    data["a", "likes", "a"].edge_index = torch.tensor([[0, 1], [1, 0]])
    graph = graph_from_data(data)
    assert graph.undirected and extract(graph, 0, 1, 0).num_units == 2
    data["a", "likes", "a"].edge_index = torch.tensor([[0], [1]])
    assert not graph_from_data(data).undirected
    data["a", "rev_likes", "a"].edge_index = torch.tensor([[1], [0]])
    assert graph_from_data(data).undirected
    data["a", "rev_likes", "a"].edge_attr = torch.tensor([[1.0]])
    assert not graph_from_data(data).undirected
