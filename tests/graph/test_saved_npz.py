"""Graphs written to .npz files and read back: equal in everything, or refused with the reason."""

import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import HeteroData
from torch_geometric.datasets import KarateClub

import sxq
from sxq.errors import DataError, GraphError
from sxq.graph import Graph, GraphSet
from sxq.graph.collection_readers import read_graphs
from sxq.graph.generated import ba_3motif, ba_shapes
from sxq.graph.readers import read_npz
from sxq.graph.saved_npz import write_npz
from sxq.models import graph_from_data
from sxq.models.hetero_data import hetero_from_graph, typed_graph
from tests.typed_graphs import heteros
from tests.typed_models import bank, banks, model

FULL = {
    "y": [0, 1, -1],
    "split": ["train", "", "test"],
    "edge_weight": [0.5, 2],
    "edge_attr": [[1, 2], [3, 4]],
    "edge_truth": [True, False],
    "keys": ["a", "b", "c"],
    "attributes": {"city": ["Oslo", "Rome", ""], "pos": [[0.5, 1.0], [2.0, 3.0], [4.0, 5.0]]},
}


def path_graph(x=((1, 0), (0, 1), (1, 1)), **columns) -> Graph:
    return Graph([[0, 1], [1, 2]], x, **columns)


@pytest.mark.parametrize("left_out", [None, *FULL])
def test_a_graph_comes_back_with_all_it_holds(tmp_path, left_out):
    graph = path_graph(**{name: value for name, value in FULL.items() if name != left_out})
    write_npz(graph, tmp_path / "g.npz")
    assert read_npz(tmp_path / "g.npz").content_hash == graph.content_hash


@given(st.lists(st.sampled_from([0, 0, 0, 0, 1, -2.5]), min_size=12, max_size=12))
def test_features_come_back_dense_or_sparse(tmp_path_factory, values):
    file = tmp_path_factory.mktemp("npz") / "g.npz"
    graph = path_graph(np.reshape(values, (3, 4)))
    write_npz(graph, file)
    assert read_npz(file).content_hash == graph.content_hash


def test_sparse_features_take_little_room(tmp_path):
    write_npz(path_graph(np.eye(3, 2000)), tmp_path / "g.npz")
    assert {"x_indptr", "x_indices", "x_shape"} < set(np.load(tmp_path / "g.npz").files)


def test_collections_come_back_with_all_they_hold(tmp_path):
    made = ba_3motif(graphs=6)
    named = GraphSet.join(
        [path_graph(keys=["a", "b", "c"]), path_graph(keys=["c", "b", "a"])], keys=[7, 9]
    )
    for graphs in (made, named):
        write_npz(graphs, tmp_path / "gs.npz")
        found = read_graphs(tmp_path / "gs.npz")
        assert found.content_hash == graphs.content_hash
        assert [g.content_hash for g in found] == [g.content_hash for g in graphs]


def test_a_generated_truth_is_kept(tmp_path):
    write_npz(ba_shapes(), tmp_path / "g.npz")
    assert read_npz(tmp_path / "g.npz").content_hash == ba_shapes().content_hash


@pytest.mark.parametrize(
    "columns, message",
    [
        ({"keys": [uuid.UUID(int=i) for i in range(3)]}, "the keys of the nodes are UUID; an .npz"),
        ({"keys": [1, 2, 2**70]}, "the keys of the nodes are int"),
        ({"attributes": {"city": ["Oslo", None, "Rome"]}}, "attribute 'city' are NULL, str"),
        ({"attributes": {"n": [1, 2.5, 3]}}, "attribute 'n' are float, int"),
        ({"attributes": {"n": [[1], [1, 2], [3]]}}, "attribute 'n' are list"),
    ],
)
def test_what_needs_pickles_is_refused(tmp_path, columns, message):
    with pytest.raises(DataError, match=message):
        write_npz(path_graph(**columns), tmp_path / "g.npz")
    assert not (tmp_path / "g.npz").exists()


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot write .*missing/g.npz: No such file or directory"):
        write_npz(path_graph(), tmp_path / "missing" / "g.npz")


@pytest.mark.parametrize(
    "left_out, message",
    [
        ("edge_index", "missing: edge_index; found x_data, x_indices, x_indptr, x_shape"),
        ("x_indptr", "missing: x_indptr; found edge_index, x_data, x_indices, x_shape"),
        ("x_indices, x_shape", "missing: x_indices, x_shape; found edge_index, x_data, x_indptr"),
        ("x_data, x_indices, x_indptr, x_shape", "missing: x; found edge_index"),
    ],
)
def test_the_reader_names_what_is_missing(tmp_path, left_out, message):
    write_npz(path_graph(2.0 * np.eye(3, 20)), tmp_path / "g.npz")
    arrays = dict(np.load(tmp_path / "g.npz"))
    for name in left_out.split(", "):
        del arrays[name]
    np.savez(tmp_path / "g.npz", **arrays)
    with pytest.raises(GraphError, match=f"g.npz: .*; {message}$"):
        read_npz(tmp_path / "g.npz")


def test_data_and_sequences_of_data_are_saved_as_they_would_be_registered(tmp_path):
    data = KarateClub()[0]
    sxq.save_npz(data, tmp_path / "g.npz")
    assert read_npz(tmp_path / "g.npz").content_hash == graph_from_data(data).content_hash
    for several in ([data, data], KarateClub()):
        sxq.save_npz(several, tmp_path / "gs.npz")
        assert len(read_graphs(tmp_path / "gs.npz")) == len(several)
    with pytest.raises(GraphError, match="the HeteroData has no node type"):
        sxq.save_npz(HeteroData(), tmp_path / "h.npz")


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"key": ["a", "b"]}, "key has 2 values, expected 3"),
        ({"attribute_city": ["a", "b"]}, "attribute_city has 2 values, expected 3"),
        (
            {"attribute_city": np.zeros((3, 1, 1))},
            r"attribute_city is float64 of shape \[3, 1, 1\]",
        ),
        ({"key": ["a", "b", "\ud800"]}, "key holds text that is not Unicode"),
        ({"key": np.full(3, -1, np.int32).view("<U1")}, "key holds text that is not Unicode"),
        ({"y": ["a", "b", "c"]}, "y is <U1 of shape"),
    ],
)
def test_names_that_are_none_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "g.npz", edge_index=[[0, 1], [1, 2]], x=np.eye(3), **arrays)
    with pytest.raises(GraphError, match=f"g.npz: {message}"):
        read_npz(tmp_path / "g.npz")


@settings(deadline=None, max_examples=20)
@given(data=heteros)
def test_a_graph_with_types_comes_back(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "g.npz"
    graph = typed_graph(data)
    write_npz(graph, path)
    found = read_npz(path)
    assert found.content_hash == graph.content_hash
    assert hetero_from_graph(found).metadata() == data.metadata()


@pytest.mark.slow
def test_a_file_with_types_is_explained_and_named(tmp_path):
    data = bank()
    data["account"].feature_names = [f"column {i}" for i in range(5)]
    sxq.save_npz(data, tmp_path / "bank.npz")
    with sxq.connect() as con:
        con.execute(f"CREATE GRAPH bank FROM FILE '{tmp_path / 'bank.npz'}'")
        con.register_model("m", model("sage", data), "bank", output="logits", node_type="account")
        ask = (
            "EXPLAIN NODE 3 OF TYPE account USING MODEL m OPTIMIZE fdl+, conc BUDGET 30 CANDIDATES"
        )
        assert len(con.execute(ask)) > 0
        named = con.sql("SELECT name FROM features WHERE node_type = 'account'").fetchall()
        assert ("column 3",) in named


def test_a_collection_with_types_comes_back(tmp_path):
    sxq.save_npz(banks(), tmp_path / "gs.npz")
    found = read_graphs(tmp_path / "gs.npz")
    for graph, data in zip(found, banks(), strict=True):
        again = hetero_from_graph(graph)
        assert again.metadata() == data.metadata()
        for name in data.edge_types:
            assert again[name].edge_index.tolist() == data[name].edge_index.tolist()


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"edge_type_name": None}, "node_type_name without edge_type_name"),
        ({"node_type": None}, "node_type_name without node_type"),
        ({"node_type_name": [1, 2, 3]}, "node_type_name is int64 of shape"),
        ({"edge_type_name": [["account", "pays"]]}, "expected \\[edge types, 3\\]"),
        ({"edge_type": [0.5]}, "edge_type is float64"),
        ({"node_type": [7] * 24}, "numbers of node types are 0 to 2, found 7"),
        ({"node_type_width": [5, 3, 99]}, "expected 3 numbers of columns, from 0 to 5"),
    ],
)
def test_wrong_types_in_a_file_are_named(arrays, message, tmp_path):
    sxq.save_npz(bank(), tmp_path / "bank.npz")
    held = dict(np.load(tmp_path / "bank.npz")) | arrays
    held = {name: value for name, value in held.items() if value is not None}
    np.savez(tmp_path / "wrong.npz", **held)
    with pytest.raises(GraphError, match=message):
        read_npz(tmp_path / "wrong.npz")


def test_inputs_that_a_file_does_not_hold_are_named(tmp_path):
    data = KarateClub()[0]
    data.height = data.y.float()
    with pytest.warns(sxq.InputWarning, match="does not hold height"):
        sxq.save_npz(data, tmp_path / "k.npz")
