"""Graphs in tables: a graph is written to `graphs`, `nodes`, `edges` and read back bit for bit.

The values are those of `Graph.columns()`, so that this room need not know the class: edge_index [2, E]
int64, x [n, d] float32, y [n] int64, split [n] text, edge_weight [E] and edge_attr [E, D] float32, edge_truth [E]
bool, keys (a list, None: keys are positions), attributes (a dict of lists), types (GraphTypes, or None).
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sxq.errors import StoreError
from sxq.graph.disk import DiskGraph
from sxq.storage import graph_input_rows, type_rows
from sxq.storage.checked_graphs import DISK, PARTS, TYPES, checked_graph
from sxq.storage.key_columns import TO_VARIANT, key_array, key_type, read_keys, text_type
from sxq.storage.named_rows import KINDS, claim, resolve
from sxq.storage.rows import (
    Cursor,
    append,
    insert,
    insert_arrays,
    next_ids,
    object_array,
    run,
    run_named,
    utc_now,
)
from sxq.storage.user_sql import plain

_GRAPH = KINDS["graph"]
NODES_AT_ONCE = 1 << 18  # rows that are written together
_INSERT_NODES = {  # SQL types of keys that are text: of nodes, of graphs
    (
        node,
        graph,
    ): f"""INSERT INTO nodes SELECT $1, position, {to_node.format("node")}, {to_graph.format("graph")},
        label, split, x::FLOAT[], NULL, node_type FROM temp.incoming"""
    for node, to_node in TO_VARIANT.items()
    for graph, to_graph in TO_VARIANT.items()
}


@dataclass(frozen=True, kw_only=True)
class GraphRow:
    """A registered graph, without its arrays."""

    graph_id: int
    name: str
    content_hash: str
    num_nodes: int
    num_edges: int  # directed edges
    num_features: int
    num_classes: int | None  # distinct labels; None without labels
    undirected: bool
    on_disk: bool = False  # in a folder beside the database, not in nodes and edges
    num_graphs: int | None = None  # in a collection; None: a single graph
    version: int | None = None  # of the graph with this name
    node_types: int = 0  # 0: the graph has no types


def save(
    cursor: Cursor,
    name: str,
    content_hash: str,
    columns: Mapping[str, Any],
    *,
    undirected: bool,
    replace: bool,
) -> int:
    """Store a graph under `name` and return its id; see named_rows.py for names in use."""
    version = next_version(cursor, name)
    held = claim(cursor, _GRAPH, name, {"content_hash": content_hash}, replace, part=(DISK, False))
    if held is not None:
        return held
    row = {"name": name, "content_hash": content_hash, "undirected": bool(undirected)}
    return save_parts(cursor, columns, {**row, "version": version})


def save_parts(
    cursor: Cursor,
    columns: Mapping[str, Any],
    row: Mapping[str, Any],
    owner: Sequence[Any] | np.ndarray | None = None,
    local: np.ndarray | None = None,
) -> int:
    """Store the columns of a graph, with further columns of its `row`; return its new id.

    A collection also has the key of every node's graph, `owner`, and the node's position in it,
    `local`.
    """
    (graph_id,) = next_ids(cursor, "graph_ids")
    _save_row(cursor, graph_id, columns, row)
    _save_nodes(cursor, graph_id, columns, owner, local)
    _save_attributes(cursor, graph_id, columns["attributes"] or {})
    _save_edges(cursor, graph_id, columns)
    if graph_input_rows.any_of(columns):
        graph_input_rows.save(cursor, graph_id, columns)
    if columns.get("types") is not None:
        type_rows.save(cursor, graph_id, columns["types"])
    named = enumerate(columns.get("feature_names") or ())
    if rows := [(graph_id, feature, name, None) for feature, name in named]:
        append(cursor, "features", rows)
    return graph_id


def save_on_disk(cursor: Cursor, graph_id: int, graph: DiskGraph, name: str, version: int) -> None:
    """Store what SQL asks of a graph in a folder: its row, and its nodes without their features.

    Edges are in the folder only, but for those of a ground truth.
    """
    columns = graph.columns()
    row = {"name": name, "content_hash": graph.content_hash, "undirected": graph.undirected}
    parts = [DISK, *(part for part in PARTS if part != "split" and columns[part] is not None)]
    row |= {"parts": parts, "num_classes": graph.facts["classes"], "version": version}
    _save_row(cursor, graph_id, {**columns, "split": None}, row)
    for first in range(0, graph.num_nodes, NODES_AT_ONCE):
        end = min(first + NODES_AT_ONCE, graph.num_nodes)
        some = {part: columns[part] and columns[part][first:end] for part in ("keys",)}
        some["x"] = object_array([np.zeros(0, np.float32)] * (end - first))
        some["y"] = None if graph.y is None else graph.y[first:end]
        some["split"] = None if graph.split is None else graph.split[first:end]
        _save_nodes(cursor, graph_id, some, None, None, first=first)
        _save_attributes(
            cursor,
            graph_id,
            {name: values[first:end] for name, values in graph.attributes.items()},
            first,
        )
    if graph.edge_truth is not None:
        _save_edges(cursor, graph_id, columns, np.flatnonzero(graph.edge_truth))


def is_on_disk(cursor: Cursor, graph_id: int) -> bool:
    """Whether a graph lies in a folder beside the database."""
    found = run(
        cursor, "SELECT list_contains(parts, ?) FROM graphs WHERE graph_id = ?", [DISK, graph_id]
    )
    return bool(found and found[0][0])


def load(cursor: Cursor, name_or_id: str | int) -> dict[str, Any]:
    """The columns of a graph, by name or (also when dropped, but referred to) by id."""
    graph_id = resolve(cursor, _GRAPH, name_or_id)
    row = checked_graph(cursor, graph_id)
    parts = row["parts"]
    columns = {
        **_load_nodes(cursor, graph_id, row["num_features"]),
        **_load_edges(cursor, graph_id),
    }
    columns["edge_attr"] = (
        _matrix(columns["edge_attr"], row["edge_features"]) if "edge_attr" in parts else None
    )
    columns |= {part: None for part in PARTS if part not in parts}
    columns["keys"] = read_keys(cursor, graph_id, "key_type", row["key_type"])
    columns["attributes"] = _load_attributes(cursor, graph_id, row["attributes"])
    if graph_input_rows.PART in parts:
        columns = graph_input_rows.load(cursor, graph_id, columns)
    columns["types"] = type_rows.load(cursor, graph_id) if TYPES in parts else None
    columns["feature_names"] = _load_feature_names(cursor, graph_id, row["num_features"])
    return columns


def _load_feature_names(cursor: Cursor, graph_id: int, features: int) -> list[str] | None:
    """The names of the features in order; None where they are not there for every one."""
    rows = run(
        cursor,
        "SELECT feature, name FROM features WHERE graph_id = ? AND node_type IS NULL ORDER BY feature",
        [graph_id],
    )
    whole = features and [feature for feature, _ in rows] == list(range(features))
    return [name for _, name in rows] if whole else None


def content_hash(cursor: Cursor, graph_id: int) -> str:
    """The hash under which a graph or a collection was stored."""
    return run(cursor, "SELECT content_hash FROM graphs WHERE graph_id = ?", [graph_id])[0][0]


def listing(cursor: Cursor) -> list[GraphRow]:
    """Every named graph, by name."""
    rows = run_named(
        cursor,
        "SELECT graph_id, name, content_hash, num_nodes, num_edges, num_features, num_classes,"
        f" undirected, num_graphs, version, list_contains(parts, '{DISK}') AS on_disk,"
        " (SELECT count(*) FROM node_types t WHERE t.graph_id = g.graph_id) AS node_types"
        " FROM graphs g WHERE dropped_at IS NULL ORDER BY name",
    )
    return [GraphRow(**row) for row in rows]


def _save_row(
    cursor: Cursor, graph_id: int, columns: Mapping[str, Any], row: Mapping[str, Any]
) -> None:
    x, y, keys, attr = (columns[part] for part in ("x", "y", "keys", "edge_attr"))
    insert(
        cursor,
        "graphs",
        {
            "graph_id": graph_id,
            "num_nodes": len(x),
            "num_edges": columns["edge_index"].shape[1],
            "num_features": x.shape[1],
            "num_classes": None if y is None else len(np.unique(y)),
            "key_type": None if keys is None else key_type(keys),
            "edge_features": None if attr is None else attr.shape[1],
            "parts": [part for part in PARTS if columns[part] is not None]
            + [graph_input_rows.PART] * graph_input_rows.any_of(columns)
            + [TYPES] * (columns.get("types") is not None),
            "attributes": list(columns["attributes"] or {}),
            "created_at": utc_now(),
            **row,
        },
    )


def next_version(cursor: Cursor, name: str) -> int:
    """The number of the next version of a graph, from 1; asked before the one that it replaces may go."""
    ((last,),) = run(cursor, "SELECT max(version) FROM graphs WHERE name = ?", [name])
    return (last or 0) + 1


def _save_nodes(
    cursor: Cursor,
    graph_id: int,
    columns: Mapping[str, Any],
    owner: Sequence[Any] | np.ndarray | None,
    local: np.ndarray | None,
    *,
    first: int = 0,
) -> None:
    num_nodes = len(columns["x"])
    keys = columns["keys"]
    local = _within_types(columns) if local is None else local
    x = columns["x"]
    arrays = {
        "position": first + np.arange(num_nodes),
        "x": x if x.dtype == object else _vectors(x),
        "node": (first + np.arange(num_nodes) if local is None else local)
        if keys is None
        else key_array(keys),
        "graph": _or_null(owner if owner is None else key_array(owner), num_nodes),
        "label": _or_null(columns["y"], num_nodes),
        "split": _or_null(columns["split"], num_nodes),
        "node_type": type_rows.of_nodes(columns.get("types"), num_nodes),
    }
    insert_arrays(cursor, _INSERT_NODES[text_type(keys), text_type(owner)], arrays, [graph_id])


def _within_types(columns: Mapping[str, Any]) -> np.ndarray | None:
    """The number of each node within its type, which is its key unless it has another."""
    types = columns.get("types")
    return None if types is None else np.arange(len(types.of_node)) - types.starts[types.of_node]


def _save_attributes(
    cursor: Cursor, graph_id: int, attributes: Mapping[str, list], first: int = 0
) -> None:
    if not attributes:
        return
    values = [[_attribute(name, value) for value in column] for name, column in attributes.items()]
    rows = (
        (graph_id, position, dict(zip(attributes, row)))
        for position, row in enumerate(zip(*values), first)
    )
    append(
        cursor,
        "nodes",
        rows,
        columns=["graph_id", "position", "attributes"],
        action="update",
        key=["graph_id", "position"],
    )


def _attribute(name: str, value: Any) -> Any:
    # DuckDB stores a time zone, but Python cannot read it back without pytz
    if isinstance(value, datetime.datetime | datetime.time) and value.tzinfo is not None:
        raise StoreError(
            f"attribute {name!r} holds {value!r} with a time zone; store UTC without one"
        )
    return plain(value)


def _save_edges(
    cursor: Cursor, graph_id: int, columns: Mapping[str, Any], some: np.ndarray | None = None
) -> None:
    """All edges, or some of them by their numbers."""
    if some is not None:
        names = ("edge_index", "edge_weight", "edge_attr", "edge_truth")
        held = {name: columns[name] for name in names if columns[name] is not None}
        columns = {
            **columns,
            **{
                name: array[..., some] if name == "edge_index" else array[some]
                for name, array in held.items()
            },
        }
    src, dst = columns["edge_index"]
    weight = columns["edge_weight"]
    attr = columns["edge_attr"]
    arrays = {
        "edge": np.arange(len(src)) if some is None else some,
        "src": src,
        "dst": dst,
        "weight": _or_null(None if weight is None else weight.astype(np.float32), len(src)),
        "attr": _or_null(None if attr is None else _vectors(attr), len(src)),
        "truth": _or_null(columns["edge_truth"], len(src)),
        "edge_type": type_rows.of_edges(columns.get("types"), len(src)),
    }
    # keys come from `nodes`: text need not pass through Python again for every edge
    insert_arrays(
        cursor,
        "INSERT INTO edges"
        " SELECT $1, edge, s.graph, s.node, d.node, src, dst, weight, attr::FLOAT[], truth, edge_type"
        " FROM temp.incoming"
        " JOIN nodes s ON s.graph_id = $1 AND s.position = src"
        " JOIN nodes d ON d.graph_id = $1 AND d.position = dst",
        arrays,
        [graph_id],
    )


def _load_nodes(cursor: Cursor, graph_id: int, num_features: int) -> dict[str, Any]:
    read = cursor.execute(
        "SELECT label AS y, split, x FROM nodes WHERE graph_id = ? ORDER BY position", [graph_id]
    ).fetchnumpy()
    return {
        "x": _matrix(read["x"], num_features),
        "y": read["y"],
        "split": read["split"].astype(object),
    }


def _load_edges(cursor: Cursor, graph_id: int) -> dict[str, Any]:
    read = cursor.execute(
        "SELECT src_position, dst_position, weight, attr, truth FROM edges WHERE graph_id = ?"
        " ORDER BY edge",
        [graph_id],
    ).fetchnumpy()
    return {
        "edge_index": np.stack([read["src_position"], read["dst_position"]]),
        "edge_weight": read["weight"],
        "edge_attr": read["attr"],
        "edge_truth": read["truth"],
    }


def _load_attributes(cursor: Cursor, graph_id: int, names: list[str]) -> dict[str, list]:
    if not names:
        return {}
    rows = run(
        cursor, "SELECT attributes FROM nodes WHERE graph_id = ? ORDER BY position", [graph_id]
    )
    return {name: [attributes[name] for (attributes,) in rows] for name in names}


def _or_null(values: Any, length: int) -> np.ndarray:
    return object_array([None] * length) if values is None else values


def _vectors(matrix: np.ndarray) -> np.ndarray:
    # One array per row: FLOAT[].
    return object_array(np.ascontiguousarray(matrix, np.float32))


def _matrix(vectors: np.ndarray, width: int) -> np.ndarray:
    matrix = np.empty((len(vectors), width), dtype=np.float32)
    return np.stack(list(vectors), out=matrix) if len(vectors) else matrix
