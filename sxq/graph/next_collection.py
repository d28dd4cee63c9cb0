"""The next version of a collection: graphs added or removed; those that stay keep their keys and their order.

New graphs come behind the others. From tables they are read with the columns that the collection has.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from sxq.errors import DataError, GraphError, NodeNotFound
from sxq.graph.collection import GraphSet
from sxq.graph.collection_readers import by_graph, members_of
from sxq.graph.csr import Graph
from sxq.graph.keys import plain, shown
from sxq.graph.next_columns import problem
from sxq.graph.next_edges import ENDS, NewEdges, lacking, names_by_order, read_edges, with_edges
from sxq.graph.next_nodes import add_nodes, part_of, require_kind
from sxq.graph.readers import UNKNOWN_CLASS, table_columns
from sxq.graph.table_problems import SqlRows


def with_graphs(graphs: GraphSet, new: GraphSet, keys: Sequence[Any] | None = None) -> GraphSet:
    """The collection with those of another behind its own.

    keys  of the new graphs; None: those that they have, where these are numbers the next ones

    Raises GraphError for keys in use, and for graphs that differ from the others in their arrays.
    """
    own = _keys(graphs)
    added = list(map(plain, _next_keys(graphs, new) if keys is None else keys))
    if len(added) != len(new):
        raise GraphError(f"ADD GRAPHS has {len(added)} keys for {len(new)} graphs")
    _require_new(own, added)
    both = GraphSet.join([graphs.union, new.union])  # each stands for many graphs
    return GraphSet(
        both.union,
        np.append(graphs.node_ptr, new.node_ptr[1:] + graphs.num_nodes),
        np.append(graphs.edge_ptr, new.edge_ptr[1:] + graphs.num_edges),
        y=_joined(graphs.y, new.y, graphs, new, UNKNOWN_CLASS),
        split=_joined(graphs.split, new.split, graphs, new, ""),
        keys=_as_held(graphs, [*own, *added]),
        node_keys=_node_keys(graphs, new),
    )


def without_graphs(graphs: GraphSet, keys: Sequence[Any]) -> GraphSet:
    """The collection without some graphs, by key. Raises GraphError for keys of none, and if none would be left."""
    gone = []
    strange = []
    for row, key in enumerate(keys, 1):
        try:
            gone.append(graphs.position(key))
        except NodeNotFound:
            strange.append(f"{'NULL' if key is None else shown(plain(key))} in row {row}")
    if strange:
        raise problem(
            "REMOVE GRAPHS", strange, "a key of no graph of the collection", "leave it out"
        )
    stay = np.setdiff1d(np.arange(len(graphs)), gone)
    if not len(stay):
        raise GraphError(
            "REMOVE GRAPHS names every graph, of which one must stay: DROP the collection, or CREATE OR REPLACE it"
        )
    nodes, edges, edge_index, _ = graphs.gather(stay)
    own = _keys(graphs)
    node_keys = graphs.node_keys
    return GraphSet(
        part_of(graphs.union, nodes, edges, edge_index),
        np.append(0, np.cumsum(np.diff(graphs.node_ptr)[stay])),
        np.append(0, np.cumsum(np.diff(graphs.edge_ptr)[stay])),
        y=None if graphs.y is None else graphs.y[stay],
        split=None if graphs.split is None else graphs.split[stay],
        keys=_as_held(graphs, [own[number] for number in stay.tolist()]),
        node_keys=None if node_keys is None else [node_keys[node] for node in nodes.tolist()],
    )


def graphs_like(
    graphs: GraphSet, members: SqlRows, nodes: SqlRows, edges: SqlRows, *, pairs: bool
) -> GraphSet:
    """New graphs from the three results of ADD GRAPHS, with the columns of those in a collection.

    The first column is the key of the graph in each; nodes then have a key, edges two. Columns of nodes are matched
    by name, numeric columns of edges stand in the order of CREATE GRAPHS. With `pairs`, missing reverses are
    added. Raises GraphError, which names the graph.
    """
    _require_readable(graphs)
    if not members[1]:
        raise GraphError("GRAPHS of ADD GRAPHS gave no rows, expected one for each graph")
    keys, label, split = members_of(*members)
    for name, held, found in (("label", graphs.y, label), ("split", graphs.split, split)):
        if held is not None and found is None:
            raise GraphError(
                f"GRAPHS of ADD GRAPHS has no column {name!r}, which the collection has: SELECT NULL AS {name} "
                "where it is unknown"
            )
    if len(nodes[0]) < 2 or len(edges[0]) < 3:
        raise GraphError(
            "ADD GRAPHS: NODES begins with the keys of the graph and of the node, EDGES with those of the graph, the "
            f"source and the target; found {', '.join(nodes[0])} and {', '.join(edges[0])}"
        )
    node_names, own_nodes = by_graph("NODES", nodes, keys)
    edge_names, own_edges = by_graph("EDGES", edges, keys)
    empty = _empty(graphs, edge_names, [row for rows in own_edges.values() for row in rows])
    ones = graphs.num_features == 1 and graphs.union.feature_names is None
    if ones and "x" not in map(str.lower, node_names) and (graphs.union.x == 1).all():
        node_names = [*node_names, "x"]
        own_nodes = {key: [(*row, 1.0) for row in rows] for key, rows in own_nodes.items()}
    found = []
    for key in keys:
        try:
            tables = (node_names, own_nodes.get(key, [])), (edge_names, own_edges.get(key, []))
            found.append(_new_graph(graphs, empty, *tables, pairs=pairs))
        except DataError as error:
            said = str(error).replace("ADD NODES", "NODES").replace("ADD EDGES", "EDGES")
            raise GraphError(f"ADD GRAPHS, graph {shown(key)}: {said}") from None
    return GraphSet.join(found, label, split, keys)


def _keys(graphs: GraphSet) -> Sequence[Any]:
    return range(len(graphs)) if graphs.keys is None else graphs.keys


def _next_keys(graphs: GraphSet, new: GraphSet) -> Sequence[Any]:
    """The keys of new graphs: their own, or the next numbers."""
    if new.keys is not None:
        return new.keys
    own = _keys(graphs)
    if not isinstance(own[0], int):
        raise GraphError(
            f"ADD GRAPHS needs keys of the new graphs: those of the collection are such as {shown(own[0])}"
        )
    return range(max(own) + 1, max(own) + 1 + len(new))


def _require_new(own: Sequence[Any], added: Sequence[Any]) -> None:
    """Raise GraphError for keys that stand twice, or that the collection has."""
    known = set(own)
    held = [shown(key) for key in added if key in known]
    if held:
        raise problem(
            "ADD GRAPHS",
            held,
            "the key of a graph that the collection has already",
            "REMOVE GRAPHS first, or leave it out",
        )
    twice = [shown(key) for key, count in Counter(added).items() if count > 1]
    if twice:
        raise problem("ADD GRAPHS", twice, "a repeated key", "give each graph a key of its own")


def _as_held(graphs: GraphSet, keys: list[Any]) -> list[Any] | None:
    """Keys as a collection holds them: None where they are the numbers of the graphs, as they were before."""
    return None if graphs.keys is None and keys == list(range(len(keys))) else keys


def _joined(own: Any, others: Any, graphs: GraphSet, new: GraphSet, empty: Any) -> Any:
    """A column of the graphs of both; `empty` where one has none."""
    if own is None and others is None:
        return None
    parts = [
        [empty] * len(part) if column is None else list(column)
        for column, part in ((own, graphs), (others, new))
    ]
    return [*parts[0], *parts[1]]


def _node_keys(graphs: GraphSet, new: GraphSet) -> list[Any] | None:
    if (graphs.node_keys is None) != (new.node_keys is None):
        have = (
            "keys of their own" if graphs.node_keys is not None else "no keys but their positions"
        )
        raise GraphError(
            f"ADD GRAPHS: nodes of the collection have {have}, those of the new graphs do not"
        )
    if graphs.node_keys is None or new.node_keys is None:
        return None
    return [*graphs.node_keys, *new.node_keys]


# -- from tables ---------------------------------------------------------------------------------


def _require_readable(graphs: GraphSet) -> None:
    """Raise GraphError for a collection whose graphs no table can hold."""
    what = ""
    if graphs.types is not None:
        what = f"has node types ({', '.join(graphs.types.node_types)})"
    if whole := [name for name in graphs.union.forms if name in graphs.union.node_inputs]:
        what = f"has a field for each whole graph ({', '.join(whole)})"
    if what:
        raise GraphError(
            f"the collection {what}: ADD GRAPHS from queries is for graphs without; add them in Python, "
            "con.alter_graphs(name, add=dataset)"
        )


def _empty(graphs: GraphSet, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Graph:
    """A graph without nodes and edges that has the columns of the collection's.

    names, rows  those of all edges: their numeric columns, in order, name those of edge_attr
    """
    union = graphs.union
    given = dict(table_columns("EDGES", [*ENDS, *names[2:]], rows)[2:])
    edge_names = None
    if union.edge_attr is not None and rows:
        others = {"weight", "truth", *map(str.lower, union.edge_inputs)}
        left = {name: values for name, values in given.items() if name.lower() not in others}
        edge_names = names_by_order("EDGES", left, union.edge_attr.shape[1])
    none = np.zeros(0, np.int64)
    part = part_of(union, none, none, np.zeros((2, 0), np.int64))
    keys: list[Any] | None = None if graphs.node_keys is None else []
    return Graph(**{**part.columns(), "keys": keys, "edge_names": edge_names})


def _new_graph(
    graphs: GraphSet, empty: Graph, nodes: SqlRows, edges: SqlRows, *, pairs: bool
) -> Graph:
    """One new graph."""
    if not nodes[1]:
        raise GraphError("NODES gave no rows, expected one for each node")
    graph = add_nodes(empty, nodes)
    keys = [graph.key(position) for position in range(graph.num_nodes)]
    for name, values in graph.attributes.items():
        require_kind(name, graphs.union.attributes[name], values, keys)
    new: NewEdges = read_edges(graph, edges, (graph.position, graph.position))
    if pairs:
        new = new.reversed_too(lacking(new), None)
    return with_edges(graph, np.zeros(0, np.int64), new)
