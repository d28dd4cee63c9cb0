"""OGB's raw folder: tiny ones as OGB writes them, and what each mistake is told."""

import gzip
import re
import sys
from types import ModuleType

import numpy as np
import pytest

from sxq.datasets import load
from sxq.errors import DataError

FILES = {
    "raw/edge.csv.gz": "0,1\n2,1\n3,0\n",
    "raw/node-feat.csv.gz": "0.5,-1.25\n1,0\n2,0.125\n-3,4\n",
    "raw/node-label.csv.gz": "1\n0\n3\n1\n",
    "raw/num-node-list.csv.gz": "4\n",
    "raw/num-edge-list.csv.gz": "3\n",
    "split/time/train.csv.gz": "0\n3\n",
    "split/time/valid.csv.gz": "2\n",
    "split/time/test.csv.gz": "1\n",
}


def lay(root, **changes) -> None:
    """The folder of OGB; a change is the text of a file by its stem, or None for no such file."""
    for name, text in FILES.items():
        file = root / "ogbn_arxiv" / name
        text = changes.get(file.name.removesuffix(".csv.gz").replace("-", "_"), text)
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            file.write_bytes(gzip.compress(text.encode()))
    (root / "ogbn_arxiv" / "RELEASE_v1.txt").touch()


def test_the_raw_folder_is_read(tmp_path):
    lay(tmp_path)
    graph = load("ogbn-arxiv", folder=tmp_path)
    assert graph.edge_index.tolist() == [[0, 2, 3], [1, 1, 0]] and not graph.undirected
    assert graph.x.tolist() == [[0.5, -1.25], [1, 0], [2, 0.125], [-3, 4]]
    assert graph.y.tolist() == [1, 0, 3, 1]
    assert graph.split.tolist() == ["train", "test", "val", "train"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"edge": None}, "raw/edge.csv.gz is missing; it is part of http"),
        ({"test": None}, "split/time/test.csv.gz is missing"),
        ({"edge": "0,1\n2,1\n"}, "edge.csv.gz has 2 rows, but num-edge-list.csv.gz says 3"),
        ({"edge": "0,1,1\n2,1,1\n3,0,1\n"}, "edge.csv.gz has 3 columns, expected 2"),
        ({"edge": "0,1\n2,9\n3,0\n"}, "raw: edge 1 is 2 -> 9, but nodes are 0 to 3"),
        ({"edge": "0,1\n2,x\n3,0\n"}, "edge.csv.gz cannot be read, expected rows of whole numbers"),
        (
            {"node_feat": "1,2\n3\n4,5\n6,7\n"},
            "node-feat.csv.gz cannot be read, expected rows of n",
        ),
        (
            {"node_feat": "1,2\n3,4\n"},
            "node-feat.csv.gz has 2 rows, but num-node-list.csv.gz says 4",
        ),
        (
            {"node_label": "1\n0\n"},
            "node-label.csv.gz has 2 rows of 1, expected one class for each",
        ),
        ({"train": "0\n7\n"}, "train.csv.gz holds 0 to 7, but nodes are 0 to 3"),
        ({"test": "0\n1\n"}, "test.csv.gz holds node 0, which is in train.csv.gz already"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, changes, message):
    lay(tmp_path, **changes)
    with pytest.raises(DataError, match=re.escape(message)):
        load("OGBN-arxiv", folder=tmp_path)


def test_a_truncated_download_is_named(tmp_path):
    lay(tmp_path)
    file = tmp_path / "ogbn_arxiv" / "raw" / "node-feat.csv.gz"
    file.write_bytes(gzip.compress(np.random.default_rng(0).bytes(4000).hex().encode())[:2000])
    with pytest.raises(
        DataError, match=f"{file} cannot be read, expected rows of numbers, gzipped"
    ):
        load("arxiv", folder=tmp_path)


def test_another_release_is_refused(tmp_path):
    lay(tmp_path)
    (tmp_path / "ogbn_arxiv" / "RELEASE_v2.txt").touch()
    with pytest.raises(DataError, match="of another version: found RELEASE_v2.txt, expected REL"):
        load("arxiv", folder=tmp_path)


def test_without_ogb_the_error_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ogb", None)
    with pytest.raises(DataError) as caught:
        load("OGBN-arxiv", folder=tmp_path)
    for word in ("edge.csv.gz", str(tmp_path / "ogbn_arxiv" / "raw"), "pip install 'sxq[ogb]'"):
        assert word in str(caught.value)


def stub_ogb(monkeypatch, fetch) -> None:
    module = ModuleType("ogb.nodeproppred")
    module.NodePropPredDataset = fetch
    monkeypatch.setitem(sys.modules, "ogb", ModuleType("ogb"))
    monkeypatch.setitem(sys.modules, "ogb.nodeproppred", module)


def test_ogb_fetches_what_is_not_there(tmp_path, monkeypatch):
    asked = []

    def fetch(name, root):
        asked.append((name, root))
        lay(tmp_path)

    stub_ogb(monkeypatch, fetch)
    assert load("arxiv", folder=tmp_path).num_nodes == load("arxiv", folder=tmp_path).num_nodes == 4
    assert asked == [("ogbn-arxiv", str(tmp_path))]


def test_a_failing_fetch_says_so(tmp_path, monkeypatch):
    def fetch(name, root):
        raise OSError("no route to host")

    stub_ogb(monkeypatch, fetch)
    with pytest.raises(
        DataError, match="could not be fetched into .*ogbn_arxiv: OSError: no route"
    ):
        load("arxiv", folder=tmp_path)
