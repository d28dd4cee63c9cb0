"""Graphs and collections as .npz files: `write_npz`, whose files `read_npz` and `read_graphs` read back.

docs/files.md describes the arrays. What a file cannot hold without pickles is refused: keys and
attributes must be integers, numbers or text, and never missing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np

from sxq.errors import DataError, InputWarning
from sxq.graph.collection import GraphSet
from sxq.graph.csr import SPLITS, Graph
from sxq.graph.key_texts import KeyText, kind_of
from sxq.graph.named_columns import ATTRIBUTE, FEATURE_NAMES
from sxq.graph.typed_npz import type_arrays

SPARSE_BELOW = 0.25  # share of entries above 0; a value of a sparse matrix costs two numbers


def write_npz(graph: Graph | GraphSet, path: str | Path) -> None:
    """Write a graph or a collection; raises DataError for content or a path that does not allow it."""
    arrays = _of_collection(graph) if isinstance(graph, GraphSet) else _of_graph(graph)
    try:
        with open(path, "wb") as file:  # numpy adds an ending to a name, but not to a file
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None


def _of_graph(graph: Graph) -> dict[str, np.ndarray]:
    _require_known(graph)
    arrays = {"edge_index": _narrow(graph.edge_index), **_features(graph.x)}
    if graph.types is not None:
        arrays |= type_arrays(graph.types)
    optional = {
        "y": graph.y,
        "edge_weight": graph.edge_weight,
        "edge_attr": graph.edge_attr,
        "edge_gt": graph.edge_truth,
    }
    arrays |= {name: array for name, array in optional.items() if array is not None}
    arrays |= _masks(graph.split)
    if graph.keys is not None:
        arrays["key"] = _plain_array("the keys of the nodes", graph.keys)
    if graph.feature_names:
        arrays[FEATURE_NAMES] = _plain_array("the names of the features", graph.feature_names)
    for name, values in graph.attributes.items():
        arrays[ATTRIBUTE + name] = _plain_array(f"attribute {name!r}", values)
    return arrays


def _require_known(graph: Graph) -> None:
    """Warn of inputs of models that the arrays of a file do not hold."""
    more = [*graph.node_inputs, *graph.edge_inputs]
    if more:
        said = f"the file does not hold {', '.join(more)}, which only a database keeps"
        warn(said, InputWarning, stacklevel=5)  # the call of save_npz


def _of_collection(graphs: GraphSet) -> dict[str, np.ndarray]:
    arrays = _of_graph(graphs.union)
    owner = np.repeat(np.arange(len(graphs)), np.diff(graphs.edge_ptr))
    arrays["edge_index"] = _narrow(graphs.union.edge_index - graphs.node_ptr[owner])
    arrays |= {"node_ptr": graphs.node_ptr, "edge_ptr": graphs.edge_ptr} | _masks(graphs.split)
    if graphs.y is not None:
        arrays["graph_label"] = graphs.y
    if graphs.keys is not None:
        arrays["key"] = _plain_array("the keys of the graphs", graphs.keys)
    if graphs.node_keys is not None:
        arrays["node_key"] = _plain_array("the keys of the nodes", graphs.node_keys)
    return arrays


def _narrow(edge_index: np.ndarray) -> np.ndarray:
    small = edge_index.max(initial=0) <= np.iinfo(np.int32).max
    return edge_index.astype(np.int32) if small else edge_index


def _features(x: np.ndarray) -> dict[str, np.ndarray]:
    """Dense, or as CSR where most entries are 0; without x_data where all others are 1."""
    rows, columns = np.nonzero(x)
    if len(rows) >= SPARSE_BELOW * x.size:
        return {"x": x}
    data = x[rows, columns]
    arrays: dict[str, np.ndarray] = {
        "x_indptr": np.searchsorted(rows, np.arange(len(x) + 1)),
        "x_indices": columns.astype(np.int32),
        "x_shape": np.array(x.shape),
    }
    return arrays if (data == 1).all() else arrays | {"x_data": data}


def _masks(split: np.ndarray | None) -> dict[str, np.ndarray]:
    return {} if split is None else {f"{name}_mask": split == name for name in SPLITS}


def _plain_array(what: str, values: Sequence[Any]) -> np.ndarray:
    """Values as an array that gives back the same values; raises DataError where there is none."""
    try:
        array = np.array(values)
        same = array.dtype.kind in "biufU" and array.tolist() == list(values)
        same = same and len({type(value) for value in values}) == 1 and not kind_of(values)
    except (ValueError, OverflowError):  # lists of different lengths
        same = False
    if not same:
        kinds = sorted({"NULL" if v is None else _type_of(v) for v in values})
        raise DataError(
            f"{what} are {', '.join(kinds)}; an .npz file holds integers, numbers or text, "
            "all of one type and none missing"
        )
    return array


def _type_of(value: Any) -> str:
    return value.sql_type if isinstance(value, KeyText) else type(value).__name__
