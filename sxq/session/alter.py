"""ALTER GRAPH: the next version of a graph, and the models that follow to it."""

from typing import Any

from sxq.errors import InvalidValue
from sxq.graph import Graph, GraphSet
from sxq.graph.disk import DiskGraph, column_bytes
from sxq.graph.key_texts import kind_of
from sxq.graph.next_version import changed, meant
from sxq.language import statements as st
from sxq.session import key_tables
from sxq.session.context import Session
from sxq.session.registered_graphs import known
from sxq.values.result import Table


def alter_graph(session: Session, statement: st.AlterGraph) -> Table:
    """Change a graph and store its next version, all changes or none; a row of what was done.

    Raises GraphError for rows that do not fit the graph, UnknownName, InvalidValue, StoreError, TransactionOpen.
    """
    session.store.require_writable("ALTER GRAPH")
    registry = session.registry
    before = known("graph", statement.name, registry.graphs)
    if isinstance(before, GraphSet):
        raise InvalidValue(
            f"{statement.name!r} is a collection of {len(before)} graphs: ALTER GRAPH is for a single graph; make it "
            f"anew by CREATE OR REPLACE GRAPHS {statement.name}"
        )
    after = _in_memory(session, statement.name, before)
    counts = dict.fromkeys(("nodes_added", "nodes_removed", "edges_added", "edges_removed"), 0)
    for change in statement.changes:
        last = after
        after = _changed(session, last, change)
        done = "removed" if change.what.startswith("REMOVE") else "added"
        counts[f"nodes_{done}"] += abs(after.num_nodes - last.num_nodes)
        counts[f"edges_{done}"] += abs(after.num_edges - last.num_edges)
    followed: list[str] = []
    notes: list[str] = []
    if after.content_hash == before.content_hash:
        notes.append("nothing changed, so the version is the same")
    else:
        followed, notes = registry.alter_graph(statement.name, after, session.say)
    (row,) = (row for row in session.store.graphs() if row.name == statement.name)
    facts: dict[str, Any] = {
        "graph": statement.name,
        "version": row.version,
        **counts,
        "nodes": after.num_nodes,
        "edges": after.num_edges,
        "undirected": after.undirected,
        "models": ", ".join(followed),
        "notes": "; ".join(notes),
    }
    return Table(list(facts), [tuple(facts.values())])


def _in_memory(session: Session, name: str, graph: Graph) -> Graph:
    """The graph in memory: one on disk passes through it once; raises InvalidValue if it has no room."""
    if not isinstance(graph, DiskGraph):
        return graph
    needed = column_bytes(graph.columns())
    if needed > session.settings["sxq_memory"]:
        raise InvalidValue(
            f"ALTER GRAPH loads graph {name!r} from disk into memory, which takes {needed / 1e9:.3g} GB, "
            f"but sxq_memory is {session.settings['sxq_memory'] / 1e9:.3g} GB: SET sxq_memory higher, or make the graph "
            f"anew by CREATE OR REPLACE GRAPH {name} ... (STORAGE = disk)"
        )
    return Graph(**graph.columns())


def _changed(session: Session, graph: Graph, change: st.GraphChange) -> Graph:
    """The graph after one change, whose sub-query runs on the user's connection."""
    of = meant(graph, change.what, change.of)
    own = kind_of(graph.keys)
    known = [own] if change.what.endswith("NODES") else [own, own]
    table = key_tables.fetch(session, change.query, change.what, known)
    return changed(graph, change.what, (table.columns, table.rows), of)
