"""Graphs from PyG: from a `torch_geometric.data.Data`, a sequence of them, or a data set by name.

Data sets are kept under SXQ_DATASETS, by default ~/.cache/sxq. KarateClub and the generated data
sets (`sxq.graph.generated`: BA-Shapes, Tree-Cycles, BA-3motif) need no download.
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
from sxq.graph import Graph, GraphSet
from sxq.graph.generated import GENERATORS, generate
from sxq.graph.readers import UNKNOWN_CLASS, from_arrays

# Data sets that PyG names by a class and a name; those with a class of their own need no entry.
NAMED = {
    "Cora": "Planetoid",
    "CiteSeer": "Planetoid",
    "PubMed": "Planetoid",
    "Computers": "Amazon",
    "Photo": "Amazon",
    "CS": "Coauthor",
    "Physics": "Coauthor",
    "Cornell": "WebKB",
    "Texas": "WebKB",
    "Wisconsin": "WebKB",
    "Chameleon": "WikipediaNetwork",
    "Squirrel": "WikipediaNetwork",
    "Cora_ML": "CitationFull",
    "DBLP": "CitationFull",
}
COLLECTIONS = {  # data sets of many graphs, by name
    **dict.fromkeys(
        (
            "AIDS",
            "BZR",
            "COX2",
            "DD",
            "DHFR",
            "ENZYMES",
            "MUTAG",
            "Mutagenicity",
            "NCI1",
            "NCI109",
            "PROTEINS",
            "PTC_MR",
            "IMDB-BINARY",
            "REDDIT-BINARY",
        ),
        "TUDataset",
    )
}
ARRAYS = ("edge_index", "x", "y", "train_mask", "val_mask", "test_mask", "edge_weight", "edge_attr")


def load_dataset(name: str, root: str | Path | None = None) -> Graph:
    """The graph of a PyG data set, by name in any case.

    Raises UnknownName, and DataError if it cannot be fetched or is not one homogeneous graph.
    """
    if (made := generate(name)) is not None:
        if isinstance(made, GraphSet):
            raise DataError(f"data set {name!r} is a collection of graphs: CREATE GRAPHS reads it")
        return made
    name = _known(name, [*NAMED, *_plain_datasets()])
    return graph_from_data(_only(name, _fetch(name, root)))


def load_graphs(name: str, root: str | Path | None = None) -> GraphSet:
    """The collection of a PyG data set, by name in any case; raises the errors of `load_dataset`."""
    if (made := generate(name)) is not None:
        if isinstance(made, Graph):
            raise DataError(f"data set {name!r} is a single graph: CREATE GRAPH reads it")
        return made
    name = _known(name, [*COLLECTIONS, *_plain_datasets()])
    return graphs_from_data(_fetch(name, root))


def graphs_from_data(dataset: Sequence[Data]) -> GraphSet:
    """A copy of a sequence of PyG graphs, each with its class `y` if it has one.

    Raises DataError or GraphError, whose message names the graph that is wrong.
    """
    graphs = []
    classes = []
    for number, data in enumerate(dataset):
        try:
            graphs.append(graph_from_data(data))
        except (DataError, GraphError) as error:
            raise type(error)(f"graph {number}: {error}") from None
        classes.append(_class_of(data.get("y")))
    return GraphSet.join(graphs, y=classes if any(label >= 0 for label in classes) else None)


def _class_of(y: Any) -> int:
    """The class of a graph if its `y` is one whole number, otherwise UNKNOWN_CLASS."""
    if not isinstance(y, Tensor) or y.numel() != 1 or not y.isfinite().all() or float(y) != int(y):
        return UNKNOWN_CLASS
    return max(int(y), UNKNOWN_CLASS)


def _known(name: str, names: Sequence[str]) -> str:
    known = {plain.lower(): plain for plain in names}
    if name.lower() not in known:
        raise UnknownName("data set", name, [*known.values(), *GENERATORS])
    return known[name.lower()]


def _fetch(name: str, root: str | Path | None) -> Sequence[Any]:
    root = Path(root or os.environ.get("SXQ_DATASETS") or Path.home() / ".cache" / "sxq")
    try:
        return _constructor(name, root)()
    except Exception as error:  # PyG's downloaders, parsers and optional packages raise anything
        raise DataError(
            f"data set {name!r} could not be fetched into {root}: {type(error).__name__}: {error}"
        ) from error


def graph_from_data(data: Data) -> Graph:
    """A copy of a PyG graph; `data` is not changed, and keys are positions.

    Without x, the features are one column of ones. y is used if it is one class for each node
    (integers, or floats with integral values) and ignored otherwise; of masks [n, splits] the first
    split is used. Raises DataError for heterogeneous data, GraphError for tensors that are no
    graph.
    """
    if not isinstance(data, Data):
        raise DataError(
            f"expected a torch_geometric.data.Data, found {type(data).__name__}; "
            "only homogeneous graphs are supported"
        )
    arrays = {name: _array(data[name]) for name in ARRAYS if isinstance(data.get(name), Tensor)}
    if "edge_index" not in arrays:
        raise GraphError(
            f"the data has no edge_index [2, E]; found {', '.join(data.keys()) or 'nothing'}"
        )
    if "x" not in arrays:
        arrays["x"] = np.ones((data.num_nodes or 0, 1), np.float32)
    if "y" in arrays and not _is_class_per_node(arrays["y"], len(arrays["x"])):
        del arrays["y"]
    if (
        isinstance(data.get("edge_mask"), Tensor)
        and data.edge_mask.numel() == arrays["edge_index"].shape[1]
    ):
        # PyG's name for the ground truth of a generated graph.
        arrays["edge_gt"] = _array(data.edge_mask) > 0.5
    return from_arrays(arrays)


def _plain_datasets() -> list[str]:
    """Names of PyG's homogeneous data sets that need no argument but a folder."""
    return [
        name
        for name in (*pyg.homo_datasets, *pyg.synthetic_datasets)
        if _required(name) <= {"root"}
    ]


def _required(name: str) -> set[str]:
    parameters = inspect.signature(getattr(pyg, name)).parameters.values()
    return {p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}


def _constructor(name: str, root: Path) -> Callable[[], Sequence[Any]]:
    if kind := {**NAMED, **COLLECTIONS}.get(name):
        return partial(getattr(pyg, kind), root=str(root / kind), name=name)
    folder = {"root": str(root / name)} if "root" in _required(name) else {}
    return partial(getattr(pyg, name), **folder)


def _only(name: str, dataset: Sequence[Any]) -> Any:
    if len(dataset) != 1:
        raise DataError(
            f"data set {name!r} holds {len(dataset)} graphs, expected one; "
            "CREATE GRAPHS reads collections"
        )
    return dataset[0]


def _array(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    tensor = tensor.to_dense() if tensor.layout is not torch.strided else tensor
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


def _is_class_per_node(y: np.ndarray, num_nodes: int) -> bool:
    return (
        y.size == num_nodes
        and y.ndim > 0
        and len(y) == num_nodes
        and bool((y == np.floor(y)).all())
    )
