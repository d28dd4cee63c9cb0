"""The types of a heterogeneous graph: the tables `node_types` and `edge_types`, and a column of `nodes` and `edges`."""

from typing import Any

import numpy as np

from sxq.errors import StoreError
from sxq.graph.types import GraphTypes, shown_type
from sxq.storage.checked_graphs import WIDEST
from sxq.storage.rows import Cursor, append, object_array, run


def save(cursor: Cursor, graph_id: int, types: GraphTypes) -> None:
    """Write the rows of a graph in `node_types`, `edge_types` and `features`."""
    widths = zip(types.node_types, types.widths)
    nodes = [(graph_id, number, *one) for number, one in enumerate(widths)]
    append(cursor, "node_types", nodes)
    edges = [
        (graph_id, number, shown_type(name), *name, width)
        for number, (name, width) in enumerate(zip(types.edge_types, types.edge_widths))
    ]
    if edges:
        append(cursor, "edge_types", edges)
    named = [
        (graph_id, feature, name, node_type)
        for node_type, names in zip(types.node_types, types.feature_names)
        for feature, name in enumerate(names or ())
    ]
    if named:
        append(cursor, "features", named)


def of_nodes(types: GraphTypes | None, count: int) -> np.ndarray:
    """The column `node_type` of `nodes`."""
    if types is None:
        return object_array([None] * count)
    return object_array(np.array(types.node_types, object)[types.of_node])


def of_edges(types: GraphTypes | None, count: int) -> np.ndarray:
    """The column `edge_type` of `edges`."""
    if types is None or not types.edge_types:
        return object_array([None] * count)
    return object_array(np.array(list(map(shown_type, types.edge_types)), object)[types.of_edge])


def load(cursor: Cursor, graph_id: int) -> GraphTypes:
    """The types of a graph; raises StoreError, and GraphError for types that fit no graph."""
    nodes = run(
        cursor,
        "SELECT number, node_type, num_features FROM node_types WHERE graph_id = ? ORDER BY number",
        [graph_id],
    )
    edges = run(
        cursor,
        "SELECT number, src_type, relation, dst_type, edge_features FROM edge_types"
        " WHERE graph_id = ? ORDER BY number",
        [graph_id],
    )
    _require_rows("node_types", nodes)
    _require_rows("edge_types", edges)
    return GraphTypes(
        node_types=tuple(name for _, name, _ in nodes),
        edge_types=tuple((source, relation, head) for _, source, relation, head, _ in edges),
        of_node=_numbers(cursor, graph_id, "node"),
        of_edge=_numbers(cursor, graph_id, "edge"),
        widths=tuple(width for *_, width in nodes),
        edge_widths=tuple(width for *_, width in edges),
        feature_names=tuple(_names(cursor, graph_id, name, width) for _, name, width in nodes),
    )


_NUMBERS = {
    "node": """SELECT coalesce(number, -1) AS number FROM nodes LEFT JOIN node_types USING (graph_id, node_type)
               WHERE graph_id = ? ORDER BY position""",
    "edge": """SELECT coalesce(number, -1) AS number FROM edges LEFT JOIN edge_types USING (graph_id, edge_type)
               WHERE graph_id = ? ORDER BY edge""",
}


def _numbers(cursor: Cursor, graph_id: int, what: str) -> np.ndarray:
    """The number of the type of each node or edge; -1: it has none of the graph's."""
    found = cursor.execute(_NUMBERS[what], [graph_id]).fetchnumpy()["number"]
    return np.asarray(found).astype(np.int64)


def _require_rows(table: str, rows: list[Any]) -> None:
    """Numbers count from 0, and widths are widths."""
    numbers = [number for number, *_ in rows]
    if numbers != list(range(len(rows))) or not rows and table == "node_types":
        raise StoreError(f"{table} has rows numbered {numbers[:10]}, expected 0, 1, ...")
    for *_, width in rows:
        if not 0 <= width <= WIDEST:
            raise StoreError(f"{table} has a type with {width} features")


def _names(cursor: Cursor, graph_id: int, node_type: str, width: int) -> tuple[str, ...] | None:
    """The names of the features of a type in order; None where they are not there for every one."""
    rows = run(
        cursor,
        "SELECT feature, name FROM features WHERE graph_id = ? AND node_type = ? ORDER BY feature",
        [graph_id, node_type],
    )
    whole = width and [feature for feature, _ in rows] == list(range(width))
    return tuple(name for _, name in rows) if whole else None
