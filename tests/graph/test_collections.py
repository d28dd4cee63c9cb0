"""Collections of graphs: generated sets with their ground truth, files, PyG's data, and the way to the store and back."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from sxq.datasets import load
from sxq.errors import DataError, GraphError, InvalidValue, NodeNotFound
from sxq.graph import Graph, GraphSet
from sxq.graph.generated import ba_3motif, ba_shapes, generate, motif_edges, tree_cycles
from sxq.models import graphs_from_data
from sxq.storage import Store


def small(**columns) -> GraphSet:
    """A path 0 - 1 - 2 and an edge 0 -> 1."""
    union = Graph([[0, 1, 3], [1, 2, 4]], np.arange(10).reshape(5, 2), **columns)
    return GraphSet(union, [0, 3, 5], [0, 2, 3], y=[1, 0])


# generated sets


@pytest.mark.parametrize(
    "make, nodes, motifs, edges", [(ba_shapes, 700, 80, 6), (tree_cycles, 871, 60, 6)]
)
def test_node_sets_have_their_motifs_marked(make, nodes, motifs, edges):
    graph = make()
    assert (
        graph.num_nodes == nodes
        and graph.undirected
        and graph.edge_truth.sum() == 2 * motifs * edges
    )
    inside = graph.y[graph.edge_index[:, graph.edge_truth]]
    assert (inside > 0).all() and (graph.y > 0).sum() == nodes - (300 if make is ba_shapes else 511)
    own = motif_edges(graph, nodes - 1)
    assert len(own) == 2 * edges and graph.edge_truth[own].all() and not len(motif_edges(graph, 0))
    assert nodes - 1 in graph.edge_index[:, own]


def test_ba_3motif_has_motifs_of_one_kind_per_class():
    graphs = ba_3motif(graphs=60)
    assert len(graphs) == 60 and np.bincount(graphs.y).tolist() == [20, 20, 20]
    for graph, label in zip(graphs, graphs.y):
        degree = np.bincount(graph.edge_index[0, graph.edge_truth], minlength=graph.num_nodes)
        per_motif = {0: 6, 1: 12, 2: 5}[int(label)]
        assert graph.undirected and graph.edge_truth.sum() % (2 * per_motif) == 0
        assert degree.max() == {0: 3, 1: 4, 2: 2}[int(label)]  # house, grid, cycle
        assert Graph(**graph.columns()).content_hash == graph.content_hash


@pytest.mark.parametrize("make", [ba_shapes, tree_cycles, ba_3motif])
def test_equal_seeds_give_equal_graphs(make):
    assert make(3).content_hash == make(3).content_hash != make(4).content_hash


def test_generated_sets_are_found_by_name_and_say_what_they_are():
    assert load("bashapes").content_hash == ba_shapes().content_hash
    assert len(generate("BA_3motif", seed=1, graphs=9)) == 9 and generate("Cora") is None
    with pytest.raises(DataError, match="CREATE GRAPHS"):
        load("BA-3motif", collection=False)
    with pytest.raises(DataError, match="CREATE GRAPH reads"):
        load("Tree-Cycles", collection=True)
    for name, count in (("BA-Shapes", 3), ("BA-3motif", 2)):
        with pytest.raises(InvalidValue, match=f"GRAPHS = {count}"):
            generate(name, graphs=count)


# the collection itself


def test_members_are_graphs_of_their_own():
    graphs = small(edge_weight=[1, 2, 3], edge_truth=[True, False, True])
    first, second = graphs
    assert first.edge_index.tolist() == [[0, 1], [1, 2]] and second.edge_index.tolist() == [
        [0],
        [1],
    ]
    assert second.x.tolist() == [[6, 7], [8, 9]] and second.edge_weight.tolist() == [3]
    assert first.edge_truth.tolist() == [True, False]
    assert GraphSet.join([first, second], y=[1, 0]).content_hash == graphs.content_hash


def test_keys_name_graphs_and_their_nodes():
    union = small().union
    graphs = GraphSet(
        union, [0, 3, 5], [0, 2, 3], keys=["a", "b"], node_keys=["x", "y", "z", "x", "y"]
    )
    assert graphs.position("b") == 1 and graphs.key(0) == "a" and graphs.member(1).key(1) == "y"
    with pytest.raises(NodeNotFound, match="no graph 'c'"):
        graphs.position("c")
    with pytest.raises(NodeNotFound, match="no graph 2: keys are the integers 0 to 1"):
        small().position(2)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"node_ptr": [0, 3, 4]}, "node_ptr must rise"),
        ({"edge_ptr": [0, 3]}, "edge_ptr 1"),
        ({"node_ptr": [0, 0, 5]}, "graph 0 has no nodes"),
        ({"edge_ptr": [0, 1, 3]}, "edge 1 leaves its graph 1"),
        ({"y": [1]}, "y has 1 values"),
        ({"split": ["train", "dev"]}, "split holds 'dev'"),
    ],
)
def test_what_is_no_collection_is_refused(change, message):
    with pytest.raises(GraphError, match=message):
        GraphSet(**{"union": small().union, "node_ptr": [0, 3, 5], "edge_ptr": [0, 2, 3], **change})


def test_graphs_that_differ_in_kind_cannot_be_joined():
    with pytest.raises(GraphError, match="differ in x"):
        GraphSet.join([Graph([[0], [1]], np.ones((2, 1))), Graph([[0], [1]], np.ones((2, 3)))])
    with pytest.raises(GraphError, match="differ in edge_weight"):
        GraphSet.join(
            [
                Graph([[0], [1]], np.ones((2, 1))),
                Graph([[0], [1]], np.ones((2, 1)), edge_weight=[1]),
            ]
        )
    with pytest.raises(GraphError, match="one graph or more"):
        GraphSet.join([])


def test_data_sets_of_pyg_become_collections():
    data = [
        Data(x=torch.ones(2, 3), edge_index=torch.tensor([[0], [1]]), y=torch.tensor([[k]]))
        for k in (2, 0)
    ]
    graphs = graphs_from_data(data)
    assert graphs.y.tolist() == [2, 0] and graphs.member(1).num_nodes == 2
    data[1].x = torch.full((2, 3), torch.nan)
    with pytest.raises(GraphError, match="graph 1: x holds NaN"):
        graphs_from_data(data)


# the store

COLLECTIONS = {
    "numbers": lambda: small(edge_weight=[1, 2, 3]),
    "without labels": lambda: GraphSet(small().union, [0, 3, 5], [0, 2, 3]),
    "keys": lambda: GraphSet(
        small().union,
        [0, 3, 5],
        [0, 2, 3],
        y=[-1, 3],
        split=["test", ""],
        keys=["m-1", "m-2"],
        node_keys=[7, 8, 9, 7, 8],
    ),
    "ground truth": lambda: ba_3motif(graphs=6),
}


@pytest.mark.slow
@pytest.mark.parametrize("make", COLLECTIONS.values(), ids=COLLECTIONS)
def test_a_collection_comes_back_bit_for_bit(tmp_path, make):
    saved = make()
    with Store(str(tmp_path / "a.duckdb")) as store:
        number = store.save_graphs("gs", saved.content_hash, saved.columns(), saved.undirected)
        assert [(row.num_graphs, row.num_nodes) for row in store.graphs()] == [
            (len(saved), saved.num_nodes)
        ]
    with Store(str(tmp_path / "a.duckdb"), read_only=True) as store:
        for found in (store.load_graphs("gs"), store.load_graphs(number)):
            assert GraphSet.of(found).content_hash == saved.content_hash
        keys = store.execute(
            "SELECT graph, count(*) FROM sxq.nodes GROUP BY graph ORDER BY min(position)"
        ).rows
        assert keys == [(saved.key(i), graph.num_nodes) for i, graph in enumerate(saved)]


def test_the_ground_truth_of_a_graph_is_a_column(tmp_path):
    graph = tree_cycles()
    with Store(str(tmp_path / "a.duckdb")) as store:
        store.save_graph("t", graph.content_hash, graph.columns(), True)
        assert Graph(**store.load_graph("t")).content_hash == graph.content_hash
        assert store.execute("SELECT count(*) FROM sxq.edges WHERE truth").rows == [(720,)]
        store.drop("graph", "t")
        assert store.execute("SELECT count(*) FROM sxq.edges").rows == [(0,)]


@pytest.mark.parametrize("directed", [False, True])
def test_units_of_some_graphs_are_those_of_each(directed):
    rng = np.random.default_rng(3)
    ends = [
        rng.integers(0, 5, (2, count)) for count in (0, 9, 4, 12)
    ]  # with loops and parallel edges
    graphs = GraphSet.join([Graph(each, np.ones((5, 1), np.float32)) for each in ends])

    def counted(edges):
        pairs = [pair if directed else sorted(pair) for pair in edges.T.tolist()]
        return len({tuple(pair) for pair in pairs if pair[0] != pair[1]})

    found = graphs.units(directed, np.array([3, 0, 1]))
    assert found.tolist() == [counted(ends[number]) for number in (3, 0, 1)]


def of_nodes(count, y):
    ends = torch.zeros(2, 0, dtype=torch.long)
    return Data(x=torch.ones(count, 2), edge_index=ends, y=torch.tensor(y))


def test_the_class_of_a_graph_of_one_node_is_that_of_the_graph():
    graphs = graphs_from_data([of_nodes(1, [1]), of_nodes(3, [0]), of_nodes(1, [1])])
    assert graphs.y.tolist() == [1, 0, 1] and graphs.union.y is None
    classes = graphs_from_data([of_nodes(1, [1]), of_nodes(3, [0, 1, 0])])
    assert classes.union.y.tolist() == [1, 0, 1, 0]
