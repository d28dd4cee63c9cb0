"""Collections of graphs from files and tables: `read_graphs`, `graphs_from_tables`."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sxq.errors import DataError, GraphError
from sxq.graph.collection import GraphSet
from sxq.graph.csr import SPLITS, Graph
from sxq.graph.keys import kind_word, shown
from sxq.graph.named_columns import ATTRIBUTE, FEATURE_NAMES, TYPE_NAMES, key_column
from sxq.graph.npz_files import NpzArrays, require_dense
from sxq.graph.readers import ARRAYS, MOST_CLASSES, UNKNOWN_CLASS, from_arrays, from_tables
from sxq.graph.table_problems import SqlRows

PER_GRAPH = ("key", "graph_label", "is_test", *(f"{name}_mask" for name in SPLITS))


def read_graphs(path: str | Path, most: int | None = None) -> GraphSet:
    """The collection in an .npz file; nothing in the file is executed.

    The arrays are node_ptr and edge_ptr [n + 1]; edge_index [2, E], with nodes numbered within
    their graph; x [nodes, d] (dense or CSR) or node_label [nodes], which is one-hot encoded;
    edge_attr [E, D] or edge_label [E]; edge_gt [E], a ground truth; graph_label [n]; and the split
    of the graphs as train_mask, val_mask, test_mask [n], or as is_test [n], whose other graphs are
    for training; key [n] of the graphs, node_key [nodes], attribute_NAME [nodes]. `most` is as in
    `read_npz`. Raises DataError, GraphError.
    """
    arrays = NpzArrays(path, most)
    missing = [name for name in ("node_ptr", "edge_ptr", "edge_index") if name not in arrays]
    if missing:
        advice = "; CREATE GRAPH reads single graphs" if "node_ptr" in missing else ""
        raise DataError(
            f"{path} has no {', '.join(missing)}, so it is no collection of graphs{advice}"
        )
    try:
        return _from_arrays(arrays)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from None


def graphs_from_tables(graphs: SqlRows, nodes: SqlRows, edges: SqlRows) -> GraphSet:
    """The collection of three SQL results.

    graphs: the first column is the key; `label` (an integer or NULL) and `split` are found by name.
    nodes, edges: the first column is the key of the graph; the others are as in `from_tables`.
    """
    keys, label, split = members_of(*graphs)
    node_names, own_nodes = by_graph("NODES", nodes, keys)
    edge_names, own_edges = by_graph("EDGES", edges, keys)
    members = []
    for key in keys:
        try:
            members.append(from_tables((node_names, own_nodes[key]), (edge_names, own_edges[key])))
        except DataError as error:
            raise type(error)(f"graph {shown(key)}: {error}") from None
        if texts := list(members[-1].edge_attributes):
            raise GraphError(
                f"edge column {texts[0]!r} holds no numbers; edges of a collection keep numbers only: leave it out"
            )
    return GraphSet.join(members, label, split, keys)


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> GraphSet:
    node_ptr = _pointer("node_ptr", arrays["node_ptr"])
    edge_ptr = _pointer("edge_ptr", arrays["edge_ptr"])
    named = (FEATURE_NAMES, *(name for name in arrays if name.startswith(ATTRIBUTE)))
    typed = TYPE_NAMES[0] in arrays
    kept = [name for name in arrays if name in ARRAYS or name in named or typed and _of_types(name)]
    held = {name: arrays[name] for name in kept if name not in PER_GRAPH}
    held |= {"node_ptr": node_ptr} if typed else {}
    edges = arrays["edge_index"].shape[-1] if arrays["edge_index"].ndim else 0
    if edge_ptr[-1] > edges:  # before memory is taken for so many
        raise GraphError(f"edge_ptr describes {edge_ptr[-1]} edges, and edge_index holds {edges}")
    owner = np.repeat(np.arange(len(edge_ptr) - 1), np.diff(edge_ptr).clip(min=0))
    if arrays["edge_index"].shape != (2, len(owner)) or len(node_ptr) != len(edge_ptr):
        found = f"edge_index has shape {list(arrays['edge_index'].shape)} and node_ptr {len(node_ptr)} values"
        raise GraphError(
            f"{found}, but edge_ptr describes {len(edge_ptr) - 1} graphs and {len(owner)} edges"
        )
    held["edge_index"] = arrays["edge_index"].astype(np.int64) + node_ptr[owner]
    for label, array in (("node_label", "x"), ("edge_label", "edge_attr")):
        if label in arrays and array not in arrays:
            held[array] = _one_hot(label, arrays[label])
    union = Graph(**{**from_arrays(held).columns(), "split": None})
    return GraphSet(
        union,
        node_ptr,
        edge_ptr,
        y=arrays.get("graph_label"),
        split=_split(arrays, len(node_ptr) - 1),
        keys=key_column(arrays, "key", len(node_ptr) - 1),
        node_keys=key_column(arrays, "node_key", union.num_nodes),
    )


def _of_types(name: str) -> bool:
    return name.startswith(("node_type", "edge_type", f"{FEATURE_NAMES}_"))


def _pointer(name: str, values: np.ndarray) -> np.ndarray:
    if values.ndim != 1 or values.dtype.kind not in "iu" or not len(values):
        raise GraphError(
            f"{name} is {values.dtype} of shape {list(values.shape)}, expected integers that rise from 0"
        )
    pointer = values.astype(np.int64)
    if pointer[0] != 0 or (np.diff(pointer) < 0).any():
        raise GraphError(
            f"{name} begins with {pointer[:4].tolist()}, expected integers that rise from 0"
        )
    return pointer


def _one_hot(name: str, labels: np.ndarray) -> np.ndarray:
    if (
        labels.ndim != 1
        or labels.dtype.kind not in "iu"
        or labels.min(initial=0) < 0
        or labels.max(initial=0) > 4096
    ):
        raise GraphError(
            f"{name} is {labels.dtype} of shape {list(labels.shape)}, expected integers from 0 to 4096"
        )
    require_dense(name, (len(labels), int(labels.max(initial=0)) + 1), labels.nbytes)
    return np.eye(int(labels.max(initial=0)) + 1, dtype=np.float32)[labels]


def _split(arrays: Mapping[str, np.ndarray], count: int) -> np.ndarray | None:
    split = np.full(count, "", object)
    known = False
    for name in reversed(SPLITS):
        if (mask := arrays.get(f"{name}_mask")) is not None and mask.shape == (count,):
            split[mask.astype(bool)] = name
            known = True
    if not known and "is_test" in arrays:
        return np.where(arrays["is_test"].astype(bool), "test", "train").astype(object)
    return split if known else None


def members_of(names: Sequence[str], rows: Sequence[Sequence[Any]]):
    """Keys, labels and splits of the graphs."""
    columns = {name.lower(): [row[i] for row in rows] for i, name in enumerate(names)}
    keys = [row[0] for row in rows]
    _require_keys(names[0], keys)
    label = columns.get("label")
    for key, value in zip(keys, label or []):
        whole = isinstance(value, int) and UNKNOWN_CLASS <= value < MOST_CLASSES
        if value is not None and not whole:
            raise GraphError(
                f"label of graph {shown(key)} is {value!r:.80}; the label of a graph is an integer "
                f"from 0, and {UNKNOWN_CLASS} or NULL is unknown"
            )
    split = columns.get("split")
    classes = label and [UNKNOWN_CLASS if value is None else value for value in label]
    return keys, classes, split and [value or "" for value in split]


def _require_keys(name: str, keys: Sequence[Any]) -> None:
    """Raise GraphError unless the keys of graphs tell them apart."""
    for row, key in enumerate(keys, start=1):
        if key is None:
            raise GraphError(
                f"the key {name!r} is NULL in row {row} of GRAPHS; a key is never NULL"
            )
        if isinstance(key, list | dict):
            raise GraphError(
                f"the key {name!r} is {kind_word(type(key))} in row {row} of GRAPHS; make it text by a cast"
            )
    twice = next((key for key, count in Counter(keys).items() if count > 1), None)
    if twice is not None:
        raise GraphError(
            f"the key {shown(twice)} stands in more than one row of GRAPHS; keys must be unique"
        )


def by_graph(what: str, table: SqlRows, keys: Sequence[Any]):
    """The names of a table's columns but the first, and its rows by the first, the key of a graph."""
    names, rows = table
    own = defaultdict(list)
    known = set(keys)
    for number, (key, *values) in enumerate(rows, start=1):
        if key is None:
            raise GraphError(
                f"{names[0]!r}, the key of the graph, is NULL in row {number} of {what}"
            )
        if isinstance(key, list | dict) or key not in known:
            raise GraphError(
                f"row {number} of {what} is of graph {shown(key)}, which GRAPHS does not name"
            )
        own[key].append(values)
    return names[1:], own
