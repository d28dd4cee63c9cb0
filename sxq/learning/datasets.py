"""Graphs from PyG: a `torch_geometric.data.Data`, or a data set by name: PyG's, or one generated here.

Data sets are kept under SXQ_DATASETS, by default ~/.cache/sxq; KarateClub comes without a download, and so do
BAShapes and TreeCycles, which are always the same graphs and know their ground truth (`sxq/graph/generated.py`).
"""

import inspect
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_geometric.datasets as pyg
from torch import Tensor
from torch_geometric.data import Data

from sxq.errors import DataError, GraphError, UnknownName
from sxq.graph import Graph
from sxq.graph.generated import ba_shapes, tree_cycles
from sxq.graph.readers import from_arrays

# Data sets that PyG names by a class and a name; those of a class alone are found by themselves.
NAMED = {
    "Cora": "Planetoid", "CiteSeer": "Planetoid", "PubMed": "Planetoid",
    "Computers": "Amazon", "Photo": "Amazon", "CS": "Coauthor", "Physics": "Coauthor",
    "Cornell": "WebKB", "Texas": "WebKB", "Wisconsin": "WebKB",
    "Chameleon": "WikipediaNetwork", "Squirrel": "WikipediaNetwork",
    "Cora_ML": "CitationFull", "DBLP": "CitationFull",
}
GENERATED = {"BAShapes": ba_shapes, "TreeCycles": tree_cycles}
ARRAYS = ("edge_index", "x", "y", "train_mask", "val_mask", "test_mask", "edge_weight", "edge_attr")


def load_dataset(name: str, root: str | Path | None = None) -> Graph:
    """The graph of a data set, by name in any case.

    Raises UnknownName; DataError where it cannot be fetched, or is not one homogeneous graph.
    """
    known = {plain.lower(): plain for plain in (*NAMED, *GENERATED, *_plain_datasets())}
    if name.lower() not in known:
        raise UnknownName("data set", name, known.values())
    name = known[name.lower()]
    if name in GENERATED:
        return GENERATED[name]()
    root = Path(root or os.environ.get("SXQ_DATASETS") or Path.home() / ".cache" / "sxq")
    try:
        dataset = _constructor(name, root)()
    except Exception as error:  # PyG raises what its downloaders, parsers and optional packages raise
        raise DataError(f"data set {name!r} could not be fetched into {root}: "
                        f"{type(error).__name__}: {error}") from error
    return graph_from_data(_only(name, dataset))


def graph_from_data(data: Data) -> Graph:
    """A copy of a PyG graph; `data` is not changed, and keys are positions.

    Without x, the features are one column of ones. y is taken where it is one class for each node (integers,
    or floats with integral values) and left aside elsewhere; of masks [n, splits] the first split is taken.
    Raises DataError for heterogeneous data, GraphError for tensors that are no graph.
    """
    if not isinstance(data, Data):
        raise DataError(f"expected a torch_geometric.data.Data, found {type(data).__name__}; "
                        "only homogeneous graphs are supported")
    arrays = {name: _array(data[name]) for name in ARRAYS if isinstance(data.get(name), Tensor)}
    if "edge_index" not in arrays:
        raise GraphError(f"the data has no edge_index [2, E]; found {', '.join(data.keys()) or 'nothing'}")
    if "x" not in arrays:
        arrays["x"] = np.ones((data.num_nodes or 0, 1), np.float32)
    if "y" in arrays and not _is_class_per_node(arrays["y"], len(arrays["x"])):
        del arrays["y"]
    return from_arrays(arrays)


def _plain_datasets() -> list[str]:
    """Names of PyG's homogeneous data sets that need nothing but a folder."""
    return [name for name in (*pyg.homo_datasets, *pyg.synthetic_datasets) if _required(name) <= {"root"}]


def _required(name: str) -> set[str]:
    parameters = inspect.signature(getattr(pyg, name)).parameters.values()
    return {p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}


def _constructor(name: str, root: Path) -> Callable[[], Sequence[Any]]:
    if name in NAMED:
        return partial(getattr(pyg, NAMED[name]), root=str(root / NAMED[name]), name=name)
    folder = {"root": str(root / name)} if "root" in _required(name) else {}
    return partial(getattr(pyg, name), **folder)


def _only(name: str, dataset: Sequence[Any]) -> Any:
    if len(dataset) != 1:
        raise DataError(f"data set {name!r} holds {len(dataset)} graphs, expected one; "
                        "collections are not supported by CREATE GRAPH yet")
    return dataset[0]


def _array(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    tensor = tensor.to_dense() if tensor.layout is not torch.strided else tensor
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


def _is_class_per_node(y: np.ndarray, num_nodes: int) -> bool:
    return y.size == num_nodes and y.ndim > 0 and len(y) == num_nodes and bool((y == np.floor(y)).all())
