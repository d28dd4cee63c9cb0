"""The folder of a graph on disk: it holds what the graph holds, whatever its keys, values and size of blocks."""

import datetime
import pickle
from decimal import Decimal
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from sxq.errors import GraphError, NodeNotFound
from sxq.graph import Graph, extract
from sxq.graph.disk import ArrayColumns, around, open_graph, write
from sxq.graph.key_texts import BitKey
from tests.graphs import random_graph

KEYS = {
    "integers": lambda i: i * 7 - 50,
    "large integers": lambda i: 2**70 + i,
    "text": lambda i: ["", "é", "zebra"][i % 3] + str(i),
    "UUIDs": lambda i: UUID(int=i * 977),
    "dates": lambda i: datetime.date(2020, 1, 1) + datetime.timedelta(days=i * 5 % 31),
    "timestamps": lambda i: datetime.datetime(2020, 1, 1) + datetime.timedelta(seconds=i * 5 % 31),
    "times": lambda i: datetime.time(i, i, i, i),
    "bytes": lambda i: bytes([i, 0, 255 - i]),
    "numbers": lambda i: 1 / (i + 1),
    "decimals": lambda i: Decimal(i).scaleb(-2),
    "bits": lambda i: BitKey(f"{i:08b}"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_type_are_found(kind, tmp_path):
    graph = random_graph(np.random.default_rng(0))
    keys = [KEYS[kind](i) for i in range(graph.num_nodes)]
    graph = Graph(**graph.columns() | {"keys": keys})
    disk = write(tmp_path / "g", graph.columns())
    assert disk.content_hash == graph.content_hash
    assert list(disk.keys) == keys and type(disk.keys[3]) is type(keys[3])
    assert [disk.position(key) for key in keys] == list(range(len(keys)))
    for wrong in ("nobody", 10**9, 1.5):
        with pytest.raises(NodeNotFound) as said:
            disk.position(wrong)
        with pytest.raises(NodeNotFound) as expected:
            graph.position(wrong)
        assert str(said.value) == str(expected.value)


def test_attributes_of_every_type_come_back(tmp_path):
    graph = random_graph(np.random.default_rng(0))
    n = graph.num_nodes
    values = {
        "text": ["", None, "é"] * (n // 3),
        "mixed": [1, "a", None, [1, 2]] * (n // 4),
        "whole": [None, *range(n - 1)],
        "large": [2**65] * n,
        "number": [None, 0.1, float("inf")] * (n // 3),
        "flag": [True, None, False] * (n // 3),
        "day": [datetime.date(2020, 1, 2), None] * (n // 2),
        "nothing": [None] * n,
        "price": [Decimal("1.50"), None] * (n // 2),
    }
    edges = {"note": [None if i % 2 else f"n{i}" for i in range(graph.num_edges)]}
    graph = Graph(**graph.columns() | {"attributes": values, "edge_attributes": edges})
    disk = write(tmp_path / "g", graph.columns())
    assert {name: list(column) for name, column in disk.attributes.items()} == values
    assert disk.edge_attributes["note"] == edges["note"]
    assert disk.attributes["text"][2:5] == values["text"][2:5]
    assert disk.attributes["text"][-1] == "é"
    assert disk.content_hash == graph.content_hash
    assert Graph(**disk.columns()).content_hash == graph.content_hash


def test_features_that_float16_holds_are_stored_so_and_read_as_they_were(tmp_path):
    graph = random_graph(np.random.default_rng(0))
    exact = Graph(**graph.columns() | {"x": np.round(graph.x * 8) / 8})
    for each, kind in ((graph, np.float32), (exact, np.float16)):
        disk = write(tmp_path / kind.__name__, each.columns())
        assert np.load(tmp_path / kind.__name__ / "x.npy").dtype == kind
        assert disk.content_hash == each.content_hash
        assert disk.features(np.array([3, 1])).dtype == np.float32
        assert (np.asarray(disk.x) == each.x).all() and (disk.x[2:4, 1] == each.x[2:4, 1]).all()


def test_no_edges_no_nodes_and_one_node(tmp_path):
    for nodes in (0, 1, 5):
        graph = Graph(np.zeros((2, 0), int), np.ones((nodes, 2)), y=np.zeros(nodes))
        disk = write(tmp_path / str(nodes), graph.columns())
        assert disk.content_hash == graph.content_hash and disk.undirected
        assert disk.num_edges == 0 and disk.num_nodes == nodes
        if nodes:
            assert extract(disk, 0, 2, 1).num_units == 0


@settings(max_examples=12, deadline=None)
@given(seed=some.integers(0, 10**6), undirected=some.booleans(), ordered=some.booleans())
def test_fields_are_those_in_memory(seed, undirected, ordered, tmp_path_factory):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, undirected=undirected, attributed=seed % 2 == 0)
    if ordered:
        order = np.argsort(graph.edge_index[1], kind="stable")
        attr = None if graph.edge_attr is None else graph.edge_attr[order]
        graph = Graph(graph.edge_index[:, order], graph.x, edge_attr=attr)
    folder = tmp_path_factory.mktemp("disk") / "g"
    disk = write(folder, graph.columns())
    assert (folder / "numbers.npy").exists() != ordered
    assert disk.undirected == graph.undirected and disk.content_hash == graph.content_hash
    for target in range(0, graph.num_nodes, 5):
        one = extract(graph, target, 2, 1)
        other = extract(disk, target, 2, 1)
        for name in ("nodes", "edge_index", "edges", "unit", "ends", "unit_hop"):
            a, b = getattr(one, name), getattr(other, name)
            assert a.dtype == b.dtype and (a == b).all()


def test_small_blocks_write_the_same_files(tmp_path, monkeypatch):
    graph = random_graph(np.random.default_rng(0), weighted=True)
    write(tmp_path / "whole", graph.columns())
    for name, size in (("EDGES", 7), ("BYTES", 64)):
        monkeypatch.setattr(f"sxq.graph.disk.write_graph.{name}", size)
    disk = write(tmp_path / "blocks", graph.columns())
    assert disk.undirected and disk.content_hash == graph.content_hash
    for file in (tmp_path / "whole").glob("*.npy"):
        assert file.read_bytes() == (tmp_path / "blocks" / file.name).read_bytes()


def test_arrays_that_are_no_graph_are_refused(tmp_path):
    x = np.ones((3, 2), np.float32)
    ends = np.array([[0, 1], [1, 2]])
    wrong = {
        "edge 1 is 1 -> 3, but nodes are 0 to 2": {"edge_index": np.array([[0, 1], [1, 3]])},
        "expected integers": {"edge_index": ends.astype(float)},
        "x holds NaN or infinite values, the first in row 2": {
            "x": np.array([[0, 0], [0, 0], [0, np.nan]], np.float32)
        },
        "y has 2 rows, expected one for each of 3 nodes": {"y": np.zeros(2, int)},
        "edge_weight has 3 rows": {"edge_weight": np.ones(3, np.float32)},
    }
    for number, (said, change) in enumerate(wrong.items()):
        columns = ArrayColumns({"x": x, "edge_index": ends, **change}).columns()
        with pytest.raises(GraphError, match=said):
            write(tmp_path / str(number), columns)


def test_a_graph_on_disk_is_pickled_as_its_folder(tmp_path):
    disk = write(tmp_path / "g", random_graph(np.random.default_rng(0)).columns())
    content = pickle.dumps(disk)
    assert len(content) < 500
    assert pickle.loads(content).content_hash == open_graph(tmp_path / "g").content_hash


def test_a_part_has_every_edge_among_its_nodes(tmp_path):
    graph = random_graph(np.random.default_rng(0), weighted=True)
    disk = write(tmp_path / "g", graph.columns())
    part, nodes, rings = around(disk, [3], 2, 10**6)
    assert rings == 2 and part.position(3) == np.flatnonzero(nodes == 3)[0]
    inside = np.isin(graph.edge_index, nodes).all(axis=0)
    assert (nodes[part.edge_index] == graph.edge_index[:, inside]).all()
    assert (part.edge_weight == graph.edge_weight[inside]).all()
    assert around(disk, [3], 2, 1)[2] == 1
