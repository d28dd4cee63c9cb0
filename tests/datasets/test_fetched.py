"""PyG's data sets, read from tiny files in the published formats; downloads are stubbed."""

import io
import pickle
import urllib.error

import numpy as np
import pytest
from torch_geometric.data import Data
from torch_geometric.datasets import Amazon, FacebookPagePage, Planetoid

from sxq.datasets import fetched, load
from sxq.errors import DataError


def unreachable(self):
    raise urllib.error.URLError("no route to host")


def npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def planetoid(sparse) -> dict[str, bytes]:
    """A path of 503 nodes: one for training, 500 for validation, the last two for tests."""
    x = np.eye(501, 3, dtype=np.float32)
    y = np.eye(2, dtype=np.int32)[np.arange(501) % 2]
    graph = {v: [u for u in (v - 1, v + 1) if 0 <= u < 503] for v in range(503)}
    parts = {
        "x": sparse(x[:1]),
        "tx": sparse(2 * x[:2]),
        "allx": sparse(x),
        "y": y[:1],
        "ty": y[:2],
        "ally": y,
        "graph": graph,
    }
    files = {f"ind.cora.{name}": pickle.dumps(part) for name, part in parts.items()}
    return {**files, "ind.cora.test.index": b"502\n501\n"}


def amazon(sparse) -> dict[str, bytes]:
    links = {"adj_data": [1.0, 1.0], "adj_indices": [1, 2], "adj_indptr": [0, 1, 2, 2]}
    words = {"attr_data": [1.0, 3.0, 1.0], "attr_indices": [0, 1, 1], "attr_indptr": [0, 1, 2, 3]}
    shapes = {"adj_shape": [3, 3], "attr_shape": [3, 2]}
    return {"amazon_electronics_computers.npz": npz(**links, **words, **shapes, labels=[0, 1, 1])}


def facebook(sparse) -> dict[str, bytes]:
    edges = [[0, 1], [1, 0], [1, 2], [2, 1]]
    return {"facebook.npz": npz(features=np.eye(3, 4), target=[2, 0, 1], edges=edges)}


CASES = {  # kind of PyG's, its folder, its files, (nodes, features), edges, labels
    "Cora": (Planetoid, "Planetoid/Cora/raw", planetoid, (503, 3), 1004, [0, 1] * 250 + [0, 1, 0]),
    "AmazonComputer": (Amazon, "Amazon/Computers/raw", amazon, (3, 2), 4, [0, 1, 1]),
    "FacebookPage": (FacebookPagePage, "FacebookPagePage/raw", facebook, (3, 4), 4, [2, 0, 1]),
}
PYG = {"AmazonComputer": "Computers", "FacebookPage": "FacebookPagePage"}


@pytest.fixture(params=CASES)
def case(request, monkeypatch):
    """The name and the facts of a data set whose files would have to be fetched."""
    kind, folder, files, size, edges, labels = CASES[request.param]
    sparse = np.asarray
    if request.param != "FacebookPage":  # its readers need scipy
        sparse = pytest.importorskip("scipy.sparse").csr_matrix
    monkeypatch.setitem(fetched.SIZES, PYG.get(request.param, request.param), size)
    return request.param, kind, folder, files(sparse), size, edges, labels


def put(root, folder, files) -> None:
    (root / folder).mkdir(parents=True)
    for name, content in files.items():
        (root / folder / name).write_bytes(content)


def test_files_that_are_there_are_read(case, tmp_path, monkeypatch):
    name, kind, folder, files, size, edges, labels = case
    monkeypatch.setattr(kind, "download", unreachable)
    put(tmp_path, folder, files)
    graph = load(name, folder=tmp_path)
    assert (graph.num_nodes, graph.num_features) == size and graph.num_edges == edges
    assert graph.undirected and graph.y.tolist() == labels
    if name == "Cora":
        assert graph.x[501:].tolist() == [[0, 2, 0], [2, 0, 0]]  # in the order of the index
        assert graph.split.tolist() == ["train"] + ["val"] * 500 + ["test"] * 2


def test_a_download_is_made_once(case, tmp_path, monkeypatch):
    name, kind, folder, files, size, *_ = case
    made = []

    def download(self):
        made.append(self.raw_dir)
        for file, content in files.items():
            (tmp_path / folder / file).write_bytes(content)

    monkeypatch.setattr(kind, "download", download)
    monkeypatch.setenv("SXQ_DATASETS", str(tmp_path))
    first, second = load(name), load(name)
    assert len(made) == 1 and first.content_hash == second.content_hash


def test_a_failing_download_names_the_files_and_their_folder(case, tmp_path, monkeypatch):
    name, kind, folder, files, *_ = case
    monkeypatch.setattr(kind, "download", unreachable)
    with pytest.raises(DataError) as caught:
        load(name, folder=tmp_path)
    said = str(caught.value)
    assert f"could not be fetched into {tmp_path}" in said and "no route to host" in said
    assert all(file in said for file in files) and f"into {tmp_path / folder}" in said


def test_a_truncated_file_is_told_with_its_folder(case, tmp_path):
    name, _, folder, files, *_ = case
    short = {file: content[: len(content) // 2] for file, content in files.items()}
    put(tmp_path, folder, {**files, **short})
    with pytest.raises(DataError) as caught:
        load(name, folder=tmp_path)
    assert f"could not be read from {tmp_path / folder}: " in str(caught.value)
    assert all(file in str(caught.value) for file in files)


def test_files_of_another_version_are_refused(case, tmp_path, monkeypatch):
    name, _, folder, files, size, *_ = case
    monkeypatch.setitem(fetched.SIZES, PYG.get(name, name), (2_708, 1_433))
    put(tmp_path, folder, files)
    with pytest.raises(DataError, match=f"{size[0]} nodes with {size[1]} features, expected 2,708"):
        load(name, folder=tmp_path)


def test_collections_are_refused_where_one_graph_is_expected(monkeypatch):
    monkeypatch.setattr(fetched.pyg, "KarateClub", lambda: [Data(), Data()])
    with pytest.raises(DataError, match="'KarateClub' holds 2 graphs, expected one"):
        load("KarateClub", collection=False)
