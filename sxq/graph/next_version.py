"""The next version of a graph: nodes and edges added or removed, by tables with the graph's own columns.

New nodes come after those that are there, and new edges after those that stay, with types after those of their
type, so that nodes and edges keep their order. Columns are matched by name with those of the graph; each error
counts the rows that are wrong and names some by key.
"""

from sxq.errors import GraphError
from sxq.graph.csr import Graph
from sxq.graph.next_edges import add_edges, in_pairs, remove_edges
from sxq.graph.next_nodes import add_nodes, remove_nodes
from sxq.graph.next_typed import add_edges_of, add_nodes_of, remove_edges_of
from sxq.graph.table_problems import SqlRows
from sxq.graph.typed_keys import type_word
from sxq.graph.types import EdgeType, GraphTypes, shown_type

OF_NODES = {"ADD NODES": add_nodes, "REMOVE NODES": remove_nodes}
OF_EDGES = {"ADD EDGES": add_edges, "REMOVE EDGES": remove_edges}
OF_TYPED_EDGES = {"ADD EDGES": add_edges_of, "REMOVE EDGES": remove_edges_of}


def changed(
    graph: Graph,
    what: str,
    table: SqlRows,
    of: str | EdgeType | None = None,
    pairs: bool | None = None,
) -> Graph:
    """The graph after one change: `what` is its words, a key of OF_NODES or OF_EDGES.

    of     with types, that of the nodes or edges, as `meant` finds it
    pairs  whether an edge is added and removed with its reverse; None: as the edges of the graph say (`in_pairs`)

    Raises GraphError for rows that do not fit the graph; its message names the type.
    """
    pairs = in_pairs(graph) if pairs is None else pairs
    if of is None:
        return (
            OF_NODES[what](graph, table)
            if what in OF_NODES
            else OF_EDGES[what](graph, table, pairs)
        )
    try:
        if not isinstance(of, str):
            return OF_TYPED_EDGES[what](graph, of, table, pairs)
        return (
            add_nodes_of(graph, of, table)
            if what == "ADD NODES"
            else remove_nodes(graph, table, of)
        )
    except GraphError as error:
        raise GraphError(_naming(what, of, str(error))) from None


def meant(graph: Graph, what: str, of: str | EdgeType | None) -> str | EdgeType | None:
    """The type that a change names: a node type, or all three parts of an edge type; None: the graph has none.

    An edge type may be named by its relation. A type may be left out where the graph has only one.
    Raises GraphError, which lists the types.
    """
    if graph.types is None:
        if of is not None:
            raise GraphError(
                f"{what} {_shown(of)}: the graph has no types of nodes and edges; leave the type out"
            )
        return None
    return (_node_type if what.endswith("NODES") else _edge_type)(graph.types, what, of)


def _node_type(types: GraphTypes, what: str, of: str | EdgeType | None) -> str:
    known = ", ".join(types.node_types)
    if of is None and len(types.node_types) > 1:
        raise GraphError(
            f"{what} must name the type of the nodes, such as {what} {type_word(types.node_types[0])} (SELECT ...): "
            f"node types are {known}"
        )
    if of is not None and of not in types.node_types:
        raise GraphError(f"{what}: no node type {_shown(of)!r}; node types are {known}")
    return types.node_types[0] if of is None else str(of)


def _edge_type(types: GraphTypes, what: str, of: str | EdgeType | None) -> EdgeType:
    known = ", ".join(map(shown_type, types.edge_types)) or "none"
    if of is None:
        found = types.forward_types
    elif isinstance(of, str):
        found = types.edge_types_of(of)
    else:
        found = [kind for kind in types.edge_types if kind == tuple(of)]
    if of is None and len(found) != 1:
        raise GraphError(
            f"{what} must name the type of the edges, such as {what} account -pays-> merchant (SELECT ...): "
            f"edge types are {known}"
        )
    if not found:
        raise GraphError(f"{what}: no edge type {_shown(of)!r}; edge types are {known}")
    if len(found) > 1:
        raise GraphError(
            f"{what}: {_shown(of)!r} may be {' or '.join(map(shown_type, found))}; say it in full"
        )
    return found[0]


def _shown(of: str | EdgeType | None) -> str:
    return of if isinstance(of, str) else shown_type(of or ())


def _naming(what: str, of: str | EdgeType, message: str) -> str:
    """A message about one change, with the type that it is about."""
    said = f"{what} {_shown(of)}"
    return message.replace(what, said, 1) if what in message else f"{said}: {message}"
