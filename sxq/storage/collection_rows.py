"""Collections of graphs in tables: their union as a graph, and one row of `graph_members` for each graph.

The values are those of `GraphSet.columns()`: the columns of the union, node_ptr and edge_ptr [n + 1], y [n] int64,
split [n] text, keys [n] and node_keys [num_nodes] (lists; None: numbers, positions).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sxq.storage import graph_rows
from sxq.storage.checked_graphs import require_members
from sxq.storage.key_columns import TO_VARIANT, key_array, key_type, read_keys, text_type
from sxq.storage.named_rows import KINDS, claim, resolve
from sxq.storage.rows import Cursor, insert_arrays, object_array, run

_COLLECTION = KINDS["graphs"]
_INSERT_MEMBERS = {  # SQL type of keys that are text
    graph: f"""INSERT INTO graph_members SELECT $1, number, {to_graph.format("graph")}, label, split, nodes, edges
        FROM temp.incoming"""
    for graph, to_graph in TO_VARIANT.items()
}


def save(
    cursor: Cursor,
    name: str,
    content_hash: str,
    columns: Mapping[str, Any],
    *,
    undirected: bool,
    replace: bool,
) -> int:
    """Store a collection under `name` and return its id; see named_rows.py for names in use."""
    version = graph_rows.next_version(cursor, name)
    held = claim(cursor, _COLLECTION, name, {"content_hash": content_hash}, replace)
    if held is not None:
        return held
    sizes = np.diff(columns["node_ptr"])
    number = np.arange(len(sizes))
    keys = number.tolist() if columns["keys"] is None else columns["keys"]
    classes = None if columns["y"] is None else len(np.unique(columns["y"]))
    row = {
        "name": name,
        "version": version,
        "content_hash": content_hash,
        "undirected": bool(undirected),
        "num_graphs": len(number),
        "num_classes": classes,
        "graph_key_type": None if columns["keys"] is None else key_type(columns["keys"]),
    }
    owner = np.repeat(number, sizes)
    local = _numbers(columns, owner)
    graph_id = graph_rows.save_parts(
        cursor,
        {**columns["union"], "keys": columns["node_keys"]},
        row,
        [keys[i] for i in owner],
        local,
    )
    arrays = {
        "number": number,
        "graph": key_array(keys),
        "label": _or_null(columns["y"], number),
        "split": _or_null(columns["split"], number),
        "nodes": sizes,
        "edges": np.diff(columns["edge_ptr"]),
    }
    insert_arrays(cursor, _INSERT_MEMBERS[text_type(keys)], arrays, [graph_id])
    return graph_id


def load(cursor: Cursor, name_or_id: str | int) -> dict[str, Any]:
    """The columns of a collection, by name or (also when dropped, but referred to) by id."""
    graph_id = resolve(cursor, _COLLECTION, name_or_id)
    require_members(cursor, graph_id)
    ((key_kind,),) = run(cursor, "SELECT graph_key_type FROM graphs WHERE graph_id = ?", [graph_id])
    read = cursor.execute(
        "SELECT label, split, num_nodes, num_edges FROM graph_members WHERE graph_id = ?"
        " ORDER BY number",
        [graph_id],
    ).fetchnumpy()
    union = graph_rows.load(cursor, graph_id)
    node_keys = union["keys"]
    union["keys"] = None
    if union["types"] is not None:
        union["types"] = replace(union["types"], scattered=True)
    label, split = (
        None if np.ma.getmaskarray(read[name]).all() else read[name] for name in ("label", "split")
    )
    return {
        "union": union,
        "node_ptr": _pointer(read["num_nodes"]),
        "edge_ptr": _pointer(read["num_edges"]),
        "y": label,
        "split": None if split is None else split.astype(object),
        "keys": read_keys(cursor, graph_id, "graph_key_type", key_kind),
        "node_keys": node_keys,
    }


def is_collection(cursor: Cursor, graph_id: int) -> bool:
    """Whether a row of `graphs` is a collection; raises InvalidValue for an unknown id."""
    resolve(cursor, _COLLECTION, graph_id)
    return run(cursor, "SELECT num_graphs IS NOT NULL FROM graphs WHERE graph_id = ?", [graph_id])[
        0
    ][0]


def _numbers(columns: Mapping[str, Any], owner: np.ndarray) -> np.ndarray:
    """The number of each node in its graph; in a heterogeneous graph within its type."""
    types = columns["union"].get("types")
    if types is None:
        return np.arange(len(owner)) - columns["node_ptr"][owner]
    group = owner * len(types.node_types) + types.of_node
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], group)
    numbers = np.empty(len(owner), np.int64)
    numbers[order] = np.arange(len(owner))
    return numbers - first


def _pointer(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)])


def _or_null(values: Any, like: np.ndarray) -> np.ndarray:
    return object_array([None] * len(like)) if values is None else values
