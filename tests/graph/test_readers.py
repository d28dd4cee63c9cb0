"""Graphs from .npz files and from SQL tables: what is read, and what each mistake is told."""

import datetime
import os
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from sxq.errors import DataError, GraphError
from sxq.graph import Graph
from sxq.graph.readers import add_reverse, from_arrays, from_tables, read_npz

PATH = {"edge_index": np.array([[0, 1], [1, 2]], np.int16), "x": np.eye(3, dtype=np.float16)}
CSR = {
    "edge_index": PATH["edge_index"],
    "x_indptr": [0, 1, 1, 3],
    "x_indices": [1, 0, 1],
    "x_shape": [3, 2],
}

needs_data = pytest.mark.skipif(not os.environ.get("SXQ_DATA"), reason="SXQ_DATA names no folder")


def npz(folder, **arrays) -> Path:
    np.savez(folder / "graph.npz", **arrays)
    return folder / "graph.npz"


def tables(nodes, edges, node_names=("id", "f"), edge_names=("src", "dst"), **options):
    return from_tables((list(node_names), nodes), (list(edge_names), edges), **options)


# files


def test_dense_features_labels_and_masks(tmp_path):
    masks = {"train_mask": [True, False, False], "test_mask": [True, True, False]}
    graph = read_npz(
        npz(tmp_path, **PATH, **masks, y=[0, 1, -1], edge_weight=[0.5, 2], edge_attr=[1, 2])
    )
    assert graph.x.tolist() == np.eye(3).tolist() and graph.edge_index.tolist() == [[0, 1], [1, 2]]
    assert graph.y.tolist() == [0, 1, -1]
    assert graph.split.tolist() == ["train", "test", ""]  # a node trained on is no test
    assert graph.edge_weight.tolist() == [0.5, 2] and graph.edge_attr.tolist() == [[1], [2]]


def test_sparse_features_are_ones_unless_data_says_otherwise():
    assert from_arrays(CSR).x.tolist() == [[0, 1], [0, 0], [1, 1]]
    assert from_arrays({**CSR, "x_data": [2, 3, 4]}).x.tolist() == [[0, 2], [0, 0], [3, 4]]


def test_of_several_splits_the_first_is_taken():
    assert from_arrays({**PATH, "val_mask": [[1, 0], [0, 1], [1, 1]]}).split.tolist() == [
        "val",
        "",
        "val",
    ]


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"x": np.eye(3)}, "needs edge_index, .*; found x$"),
        (
            {"edge_index": [[0], [0]], "x_indptr": [0, 0]},
            "or x_indices, .*; found edge_index, x_indptr$",
        ),
        ({**PATH, "x": np.full((3, 2), np.nan)}, "x holds NaN or infinite values in 3 of 3 rows"),
        ({**PATH, "x": np.array(["a", "b", "c"])}, "x is <U1 of shape"),
        ({**PATH, "x": 3.0}, "x is float64 of shape"),
        ({**PATH, "edge_index": [[0], [7]]}, "edge 0 is 0 -> 7, but nodes are 0 to 2"),
        ({**PATH, "edge_index": [[0.5], [1]]}, "edge_index has type float64"),
        ({**PATH, "edge_index": [0, 1]}, r"edge_index has shape \[2\]"),
        ({**PATH, "y": [0, 1]}, "y has 2 values, expected one for each of 3 nodes"),
        ({**PATH, "y": [0, 1, 0.5]}, "y holds 0.5; classes are integers from 0"),
        ({**PATH, "y": [0, 1, np.nan]}, "y holds nan"),
        ({**PATH, "y": [0, -2, 1]}, "y holds -2"),
        ({**PATH, "y": np.eye(3)}, r"y has shape \[3, 3\], expected one class"),
        ({**PATH, "train_mask": [True]}, "train_mask has 1 values for 3 nodes"),
        (
            {**PATH, "edge_weight": [1.0]},
            "edge_weight has 1 rows, expected one for each of 2 edges",
        ),
        ({**PATH, "edge_weight": [1.0, np.nan]}, "edge_weight holds NaN"),
        ({**CSR, "x_indices": [1, 0, 2]}, "x_indices are 0 to 2, x has columns 0 to 1"),
        (
            {**CSR, "x_indptr": [0, 1, 3]},
            "x_indptr must rise from 0 to 3 in 4 values, found 3 values",
        ),
        ({**CSR, "x_indptr": [0, 2, 1, 3]}, "x_indptr must rise"),
        ({**CSR, "x_shape": [3]}, r"x_shape is \[3\]"),
        ({**CSR, "x_data": [1.0]}, "x_data has 1 values, x_indices has 3"),
    ],
)
def test_arrays_that_are_no_graph(arrays, message):
    with pytest.raises(GraphError, match=message):
        from_arrays(arrays)


def test_an_error_in_a_file_names_the_file(tmp_path):
    with pytest.raises(GraphError, match="graph.npz: a graph needs edge_index"):
        read_npz(npz(tmp_path, x=np.eye(2)))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot read .*none.npz: No such file"):
        read_npz(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no arrays in here")
    with pytest.raises(DataError, match="text.npz is not an .npz file"):
        read_npz(tmp_path / "text.npz")
    (tmp_path / "empty.npz").touch()
    with pytest.raises(DataError, match="empty.npz is not an .npz file"):
        read_npz(tmp_path / "empty.npz")
    np.save(tmp_path / "one.npy", np.eye(2))
    with pytest.raises(DataError, match="one.npy is not an .npz file"):
        read_npz(tmp_path / "one.npy")
    cut = npz(tmp_path, **PATH)
    cut.write_bytes(cut.read_bytes()[:-40])
    with pytest.raises(DataError, match="is not an .npz file"):
        read_npz(cut)


def test_nothing_in_a_file_is_executed(tmp_path):
    with pytest.raises(DataError, match="not an .npz file of plain arrays"):
        read_npz(npz(tmp_path, **PATH, y=np.array([{}, [], None], object)))


def test_collections_of_graphs_are_refused(tmp_path):
    with pytest.raises(DataError, match="a collection of 2 graphs; CREATE GRAPHS reads it"):
        read_npz(npz(tmp_path, **PATH, node_ptr=[0, 1, 3]))


@needs_data
@pytest.mark.parametrize(
    "name, nodes, edges, features, classes",
    [("cora", 2708, 10556, 1433, 7), ("facebook", 22470, 342004, 128, 4)],
)
def test_benchmark_graphs(name, nodes, edges, features, classes):
    graph = read_npz(Path(os.environ["SXQ_DATA"]) / f"{name}.npz")
    assert (graph.num_nodes, graph.num_edges, graph.num_features) == (nodes, edges, features)
    assert graph.y.max() + 1 == classes and graph.undirected


# tables


def test_columns_by_position_name_and_type():
    nodes = [
        ("a", 1, [0.5, 2.0], True, "red", "train", 1, date(2024, 1, 1)),
        ("b", Decimal("2.5"), [1.0, 3.0], False, None, None, 0, None),
    ]
    names = ("name", "amount", "vector", "flag", "colour", "Split", "LABEL", "day")
    graph = tables(nodes, [("b", "a", 3, 0.5)], names, ("s", "t", "kind", "Weight"))
    assert graph.keys == ["a", "b"] and graph.edge_index.tolist() == [[1], [0]]
    assert graph.x.tolist() == [[1, 0.5, 2, 1], [2.5, 1, 3, 0]]
    assert graph.y.tolist() == [1, 0] and graph.split.tolist() == ["train", ""]
    assert graph.attributes == {"colour": ["red", None], "day": [date(2024, 1, 1), None]}
    assert graph.edge_weight.tolist() == [0.5] and graph.edge_attr.tolist() == [[3]]


def test_text_labels_are_numbered_in_sorted_order():
    graph = tables([(1, "spam"), (2, None), (3, "ham")], [], ("id", "label"))
    assert graph.y.tolist() == [1, -1, 0]
    assert graph.attributes == {"label_name": ["spam", None, "ham"]}
    assert tables([(1, True), (2, Decimal(3))], [], ("id", "label")).y.tolist() == [1, 3]


def test_labels_that_are_all_null_are_no_labels():
    assert tables([(1, None), (2, None)], [], ("id", "label")).y is None


def test_without_features_x_is_one_column_of_ones():
    assert tables([(1, None), (2, None)], [], ("id", "note")).x.tolist() == [[1], [1]]


def test_no_edges_and_no_reverse_edges_unless_asked():
    assert (
        tables([(1, 0.5)], [], edge_names=("s", "t", "weight", "kind"), undirected=True).num_edges
        == 0
    )
    assert tables([(1, 0.5), (2, 1)], [(1, 2)]).edge_index.tolist() == [[0], [1]]


@pytest.mark.parametrize(
    "edges, added",
    [
        ([(1, 2)], [(2, 1)]),
        ([(1, 2), (2, 1)], []),  # both directions listed
        ([(1, 1)], []),  # a loop is its own reverse
        ([(1, 2), (1, 2), (2, 1)], [(2, 1)]),  # parallel edges: one of the two has its partner
    ],
)
def test_undirected_adds_the_missing_reverses(edges, added):
    graph = tables([(1, 0), (2, 0)], edges, undirected=True)
    assert [(graph.key(u), graph.key(v)) for u, v in graph.edge_index.T] == edges + added
    assert graph.undirected


def test_undirected_compares_weights_and_attributes():
    edges = [(1, 2, 0.1, 7), (2, 1, 0.1, 7), (2, 3, 0.5, 8), (3, 2, 0.6, 8)]
    graph = tables(
        [(1, 0), (2, 0), (3, 0)], edges, edge_names=("s", "t", "weight", "kind"), undirected=True
    )
    assert graph.edge_index[:, 4:].tolist() == [[2, 1], [1, 2]]
    assert graph.edge_weight[4:].tolist() == pytest.approx([0.5, 0.6])
    assert graph.edge_attr[4:].tolist() == [[8], [8]] and graph.undirected


@pytest.mark.parametrize(
    "nodes, names, message",
    [
        ([], ("id", "f"), "NODES gave no rows"),
        ([(1, 0), (None, 0)], ("id", "f"), "the key 'id' is NULL in row 2"),
        ([(1, 0), (1, 0)], ("id", "f"), "key 1 stands for more than one node"),
        (
            [(1, 0), ("1", 0)],
            ("id", "f"),
            "keys are of several types .an integer, text.; expected all of one type",
        ),
        ([(True, 0)], ("id", "f"), "key True is a BOOLEAN"),
        ([(1, 0.5), (2, None)], ("id", "amount"), "feature 'amount' is NULL at key 2"),
        (
            [(1, 0.5), (2, float("nan"))],
            ("id", "amount"),
            "feature 'amount' holds .*NaN or infinity at key 2",
        ),
        ([(1, [1, 2]), (2, [1])], ("id", "v"), "feature 'v' has 1 values at key 2, 2 at key 1"),
        (
            [(1, [1, 2]), (2, [1, None])],
            ("id", "v"),
            "feature 'v' holds NULL, NaN or infinity at key 2",
        ),
        ([(1, 0.5)], ("id", "label"), "label of key 1 is 0.5; classes are integers"),
        ([(1, -3)], ("id", "label"), "label of key 1 is -3; classes"),
        (
            [(1, "a"), (2, 1)],
            ("id", "label"),
            "label of key .* is .*; labels here are an integer, text: expected all integers or all text",
        ),
        ([(1, [1])], ("id", "label"), r"label of key 1 is \[1\]; labels here are a list"),
        (
            [(1, "dev")],
            ("id", "split"),
            "split of key 1 is 'dev', expected train, val, test or NULL",
        ),
        ([(1, 2, 3)], ("id", "f", "F"), "NODES has more than one column 'f'"),
    ],
)
def test_nodes_that_are_no_nodes(nodes, names, message):
    with pytest.raises(GraphError, match=message):
        tables(nodes, [], names)


@pytest.mark.parametrize(
    "edges, names, message",
    [
        ([(1,)], ("src",), "EDGES has 1 column, expected a source key and a target key"),
        ([(1, 2), (1, 42)], ("s", "t"), "row 2 of EDGES: no node 42"),
        (
            [("1", 2)],
            ("s", "t"),
            "row 1 of EDGES: no node '1': keys are integers such as 1, '1' is text",
        ),
        ([(1, None)], ("s", "t"), "the key 't' is NULL in row 1 of EDGES"),
        (
            [(1, 2, None), (2, 1, 0.5)],
            ("s", "t", "weight"),
            "edge column 'weight' is NULL at row 1 of EDGES",
        ),
        (
            [(1, 2, "much")],
            ("s", "t", "weight"),
            "edge column 'weight' is text in row 1 of EDGES; make it numbers, or give it another name",
        ),
    ],
)
def test_edges_that_are_no_edges(edges, names, message):
    with pytest.raises(GraphError, match=message):
        tables([(1, 0), (2, 0)], edges, edge_names=names)


def test_reverses_are_added_to_any_graph():
    graph = add_reverse(from_arrays({**PATH, "y": [0, 1, 2], "edge_weight": [0.5, 2]}))
    assert graph.edge_index.tolist() == [[0, 1, 1, 2], [1, 2, 0, 1]]
    assert graph.edge_weight.tolist() == [0.5, 2, 0.5, 2] and graph.y.tolist() == [0, 1, 2]
    assert add_reverse(graph).content_hash == graph.content_hash


def test_text_keys_get_a_suggestion():
    with pytest.raises(GraphError, match="row 1 of EDGES: no node 'alcie', did you mean 'alice'"):
        tables([("alice", 0), ("bob", 0)], [("alcie", "bob")])


def test_edge_columns_that_are_no_numbers_are_attributes():
    day = datetime.date(2024, 1, 2)
    rows = [(1, 2, 5, "pays", day, [1.0, 2.0]), (2, 1, 6, None, None, [3.0, 4.0])]
    graph = tables([(1, 0), (2, 0)], rows, edge_names=("s", "t", "amount", "kind", "at", "pair"))
    assert graph.edge_attributes == {"kind": ["pays", None], "at": ["2024-01-02", None]}
    assert graph.edge_names == ["amount", "pair[0]", "pair[1]"]
    assert graph.edge_attr.tolist() == [[5, 1, 2], [6, 3, 4]]
    both = add_reverse(graph)
    assert both.edge_attributes["kind"] == ["pays", None, "pays", None]
    assert Graph(**both.columns()).content_hash == both.content_hash
    plain = tables([(1, 0), (2, 0)], [row[:3] for row in rows], edge_names=("s", "t", "amount"))
    assert plain.edge_attributes == {} and plain.content_hash != graph.content_hash
