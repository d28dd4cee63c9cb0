"""OGBN-arxiv (Hu et al. 2020, "Open Graph Benchmark"), read from OGB's own raw folder.

    ogbn_arxiv/RELEASE_v1.txt
    ogbn_arxiv/raw/edge.csv.gz              source,target of every citation
    ogbn_arxiv/raw/node-feat.csv.gz         128 numbers for each paper
    ogbn_arxiv/raw/node-label.csv.gz        its class, 0 .. 39
    ogbn_arxiv/raw/num-node-list.csv.gz     the number of papers; num-edge-list.csv.gz, of citations
    ogbn_arxiv/split/time/train.csv.gz      numbers of papers; valid.csv.gz and test.csv.gz likewise

Edges are directed, as in the files: (UNDIRECTED = true) adds the reverse ones. The package `ogb`,
where it is installed, fetches the folder.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np

from sxq.errors import DataError, GraphError
from sxq.graph import Graph

FOLDER = "ogbn_arxiv"
RELEASE = "RELEASE_v1.txt"
SPLIT_FILES = {"train": "train", "val": "valid", "test": "test"}
URL = "http://snap.stanford.edu/ogb/data/nodeproppred/arxiv.zip"


def arxiv(root: Path) -> Graph:
    """The graph of the folder `ogbn_arxiv`, which is fetched if it is not there."""
    folder = root / FOLDER
    if not (folder / "raw").is_dir():
        _fetch(root)
    return read_ogb(folder)


def read_ogb(folder: Path) -> Graph:
    """The graph in a folder of OGB; raises DataError, which names the file that is wrong."""
    _require_release(folder)
    raw = folder / "raw"
    x = _table(raw / "node-feat.csv.gz", np.float32)
    edges = _table(raw / "edge.csv.gz", np.int64)
    if edges.shape[1] != 2:
        raise DataError(f"{raw / 'edge.csv.gz'} has {edges.shape[1]} columns, expected 2")
    labels = _table(raw / "node-label.csv.gz", np.int64)
    _require_rows(raw / "node-feat.csv.gz", len(x), raw / "num-node-list.csv.gz")
    _require_rows(raw / "edge.csv.gz", len(edges), raw / "num-edge-list.csv.gz")
    if labels.shape != (len(x), 1):
        raise DataError(
            f"{raw / 'node-label.csv.gz'} has {len(labels)} rows of {labels.shape[1]}, "
            f"expected one class for each of {len(x)} nodes"
        )
    split = _split(folder / "split" / "time", len(x))
    try:
        return Graph(edges.T, x, y=labels, split=split)
    except GraphError as error:
        raise DataError(f"{raw}: {error}") from None


def _require_release(folder: Path) -> None:
    others = sorted(path.name for path in folder.glob("RELEASE_v*.txt") if path.name != RELEASE)
    if others:
        raise DataError(f"{folder} is of another version: found {others[0]}, expected {RELEASE}")


def _table(path: Path, dtype: type) -> np.ndarray:
    """The numbers of a .csv.gz file, as [rows, columns]."""
    what = "whole numbers" if dtype is np.int64 else "numbers"
    try:
        with gzip.open(path, "rt") as file:
            return np.loadtxt(file, dtype, delimiter=",", ndmin=2)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {_advice(path)}") from None
    except (OSError, EOFError, ValueError, zlib.error) as error:  # a truncated file, or text in it
        raise DataError(
            f"{path} cannot be read, expected rows of {what}, gzipped: {error}"
        ) from None


def _advice(path: Path) -> str:
    return f"it is part of {URL}, which unpacks to the folder arxiv: rename that to {FOLDER}"


def _require_rows(path: Path, rows: int, listed: Path) -> None:
    """Refuse a file whose rows are not as many as a list beside it says."""
    expected = int(_table(listed, np.int64).sum())
    if rows != expected:
        raise DataError(f"{path} has {rows} rows, but {listed.name} says {expected}")


def _split(folder: Path, num_nodes: int) -> np.ndarray:
    split = np.full(num_nodes, "", object)
    for name, file in SPLIT_FILES.items():
        path = folder / f"{file}.csv.gz"
        numbers = _table(path, np.int64).reshape(-1)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < num_nodes:
            raise DataError(
                f"{path} holds {numbers.min()} to {numbers.max()}, but nodes are 0 to {num_nodes - 1}"
            )
        if (twice := numbers[split[numbers] != ""]).size:
            raise DataError(
                f"{path} holds node {twice[0]}, which is in {split[twice[0]]}.csv.gz already"
            )
        split[numbers] = name
    return split


def _fetch(root: Path) -> None:
    folder = root / FOLDER
    try:
        from ogb.nodeproppred import NodePropPredDataset
    except ImportError:
        raise DataError(
            f"data set 'OGBN-arxiv' is not in {folder}: put edge.csv.gz, node-feat.csv.gz, "
            f"node-label.csv.gz and the lists of {URL} into {folder / 'raw'} and its split files "
            f"into {folder / 'split' / 'time'}, or pip install 'sxq[ogb]', which fetches them"
        ) from None
    try:
        NodePropPredDataset(name="ogbn-arxiv", root=str(root))
    except Exception as error:  # its downloader raises anything
        raise DataError(
            f"data set 'OGBN-arxiv' could not be fetched into {folder}: {type(error).__name__}: "
            f"{error}; unpack {URL} there: raw/edge.csv.gz and so on"
        ) from error
