"""The rows of a graph, checked against what its row in `graphs` says before any array is made of them."""

from collections.abc import Sequence
from typing import Any

from sxq.errors import StoreError
from sxq.storage.checked import CheckedRow, short
from sxq.storage.rows import Cursor, run_named

PARTS = ("y", "split", "edge_weight", "edge_attr", "edge_truth")  # the parts that a graph may lack
INPUTS = "inputs"  # in `parts` of a graph that has rows in graph_inputs
TYPES = "types"  # in `parts` of a heterogeneous graph
DISK = "disk"  # in `parts` of a graph that lies in a folder beside the database
WIDEST = 2**31 - 1  # features of a node or of an edge

_GRAPH = """
    SELECT name, num_nodes, num_edges, num_features, edge_features, num_graphs, key_type, parts, attributes
    FROM graphs WHERE graph_id = ?"""

# Each column is compared with a number of _node_facts or _edge_facts.
_NODES = """
    SELECT count(*) AS rows, count(DISTINCT position) AS "different positions",
           coalesce(min(position), 0) AS "first position",
           coalesce(max(position) + 1::HUGEINT, 0) AS "end of the positions",
           count(label) AS labels,
           count(*) FILTER (split IN ('train', 'val', 'test', '')) AS splits,
           coalesce(min(len(x)), $width) AS "least length of x",
           coalesce(max(len(x)), $width) AS "largest length of x",
           count(*) FILTER (list_has_all(map_keys(attributes), $names)) AS "rows with all attributes"
    FROM nodes WHERE graph_id = $id"""
_EDGES = """
    SELECT count(*) AS rows, count(DISTINCT edge) AS "different edges",
           coalesce(min(edge), 0) AS "first edge", coalesce(max(edge) + 1::HUGEINT, 0) AS "end of the edges",
           count(*) FILTER (src_position BETWEEN 0 AND $nodes - 1) AS "src_position among the nodes",
           count(*) FILTER (dst_position BETWEEN 0 AND $nodes - 1) AS "dst_position among the nodes",
           count(weight) AS weights, count(truth) AS truths,
           coalesce(min(len(attr)), $width) AS "least length of attr",
           coalesce(max(len(attr)), $width) AS "largest length of attr"
    FROM edges WHERE graph_id = $id"""
_MEMBERS = """
    SELECT count(*) AS rows, count(DISTINCT number) AS "different numbers",
           coalesce(min(number), 0) AS "first number", coalesce(max(number) + 1::HUGEINT, 0) AS "end of the numbers",
           count(*) FILTER (num_nodes BETWEEN 1 AND $nodes) AS "num_nodes in range",
           count(*) FILTER (num_edges BETWEEN 0 AND $edges) AS "num_edges in range",
           sum(num_nodes) AS "nodes in all", sum(num_edges) AS "edges in all"
    FROM graph_members WHERE graph_id = $id"""


def checked_graph(cursor: Cursor, graph_id: int) -> dict[str, Any]:
    """The row of a graph, whose nodes and edges are as it says; raises StoreError."""
    (columns,) = run_named(cursor, _GRAPH, [graph_id])
    row = CheckedRow("graphs", "graph_id", graph_id, columns["name"])
    for column in ("num_nodes", "num_edges"):
        row.whole(column, columns[column])
    row.whole("num_features", columns["num_features"], WIDEST)
    row.names("parts", columns["parts"], (*PARTS, INPUTS, TYPES))
    row.names("attributes", columns["attributes"])
    if "edge_attr" in columns["parts"]:
        row.whole("edge_features", columns["edge_features"], WIDEST)
    _require_nodes(cursor, row, columns)
    _require_edges(cursor, row, columns)
    return columns


def require_members(cursor: Cursor, graph_id: int) -> None:
    """Raise StoreError unless the members of a collection are as its row in `graphs` says."""
    (columns,) = run_named(cursor, _GRAPH, [graph_id])
    row = CheckedRow("graphs", "graph_id", graph_id, columns["name"])
    count = row.whole("num_graphs", columns["num_graphs"], least=1)
    nodes = columns["num_nodes"]
    edges = columns["num_edges"]
    given = {"id": graph_id, "nodes": nodes, "edges": edges}
    expected = [count, count, 0, count, count, count, nodes, edges]
    _compare(cursor, _MEMBERS, given, row, ("graph_members", "num_graphs", expected))


def _require_nodes(cursor: Cursor, row: CheckedRow, columns: dict[str, Any]) -> None:
    count = columns["num_nodes"]
    width = columns["num_features"]
    names = columns["attributes"]
    labels = count if "y" in columns["parts"] else None
    splits = count if "split" in columns["parts"] else None
    expected = [count, count, 0, count, labels, splits, width, width, count if names else None]
    given = {"id": row.id, "width": width, "names": names}
    _compare(cursor, _NODES, given, row, ("nodes", "num_nodes, num_features, parts", expected))


def _require_edges(cursor: Cursor, row: CheckedRow, columns: dict[str, Any]) -> None:
    count = columns["num_edges"]
    parts = columns["parts"]
    width = columns["edge_features"] if "edge_attr" in parts else None
    weights = count if "edge_weight" in parts else None
    truths = count if "edge_truth" in parts else None
    expected = [count, count, 0, count, count, count, weights, truths, width, width]
    given = {"id": row.id, "width": width or 0, "nodes": columns["num_nodes"]}
    _compare(cursor, _EDGES, given, row, ("edges", "num_edges, edge_features, parts", expected))


def _compare(
    cursor: Cursor,
    sql: str,
    given: dict[str, Any],
    row: CheckedRow,
    against: tuple[str, str, Sequence[int | None]],
) -> None:
    """Raise StoreError where a fact about the rows of a table is not as expected; None: anything goes."""
    table, columns, expected = against
    (facts,) = run_named(cursor, sql, given)
    for (fact, found), wanted in zip(facts.items(), expected):
        if wanted is not None and found != wanted:
            named = f" ({short(row.name)})" if row.name else ""
            raise StoreError(
                f"table sxq.{table}, rows with {row.key} {row.id}{named}: {fact}: found {found},"
                f" expected {wanted} by columns {columns} of sxq.graphs; the file was changed by"
                " hand or by another program"
            )
