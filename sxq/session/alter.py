"""ALTER GRAPH and ALTER GRAPHS: the next version of a graph or of a collection, and the models that follow to it."""

from collections.abc import Hashable, Iterable, Mapping, Sized
from typing import Any

from sxq.errors import GraphError, InvalidValue
from sxq.graph import Graph, GraphSet
from sxq.graph.disk import DiskGraph, column_bytes
from sxq.graph.key_texts import kind_of
from sxq.graph.next_collection import graphs_like, with_graphs, without_graphs
from sxq.graph.next_edges import in_pairs
from sxq.graph.next_version import changed, meant
from sxq.graph.shared_arrays import share_arrays
from sxq.language import statements as st
from sxq.session import engine, key_tables
from sxq.session.context import Session
from sxq.values.result import Table


def alter_graph(session: Session, statement: st.AlterGraph) -> Table:
    """Change a graph and store its next version, all changes or none; a row of what was done.

    Raises GraphError for rows that do not fit the graph, UnknownName, InvalidValue, StoreError, TransactionOpen.
    """
    session.store.require_writable("ALTER GRAPH")
    before = session.registry.graphs.of_kind("graph", statement.name)
    after = _in_memory(session, statement.name, before)
    pairs = in_pairs(
        after
    )  # also where the first changes leave no edges, or only such as have a reverse
    counts = dict.fromkeys(("nodes_added", "nodes_removed", "edges_added", "edges_removed"), 0)
    for change in statement.changes:
        last = after
        after = _changed(session, last, change, pairs)
        done = "removed" if change.what.startswith("REMOVE") else "added"
        counts[f"nodes_{done}"] += abs(after.num_nodes - last.num_nodes)
        counts[f"edges_{done}"] += abs(after.num_edges - last.num_edges)
    return _next_version(session, "graph", statement.name, (before, after), counts)


def alter_graphs(session: Session, statement: st.AlterGraphs) -> Table:
    """Change a collection and store its next version, all changes or none; a row of what was done.

    Raises GraphError for graphs that do not fit the others, and what `alter_graph` raises.
    """
    session.store.require_writable("ALTER GRAPHS")
    before = session.registry.graphs.of_kind("graphs", statement.name)
    after = before
    pairs = in_pairs(before.union)
    counts = dict.fromkeys(("graphs_added", "graphs_removed"), 0)
    for change in statement.changes:
        last = after
        if isinstance(change, st.AddedGraphs):
            new = _added(session, last, change, pairs)
            after = last if new is None else with_graphs(last, new)
        else:
            after = without_graphs(last, _keys(session, last, change.graphs))
        done = "added" if isinstance(change, st.AddedGraphs) else "removed"
        counts[f"graphs_{done}"] += abs(len(after) - len(last))
    return _next_version(session, "graphs", statement.name, (before, after), counts)


def alter_by_data(
    session: Session, name: str, add: Any, keys: Iterable[Any] | None, remove: Iterable[Any]
) -> Table:
    """ALTER GRAPHS of Python: graphs removed by key, then those of a container of `Data` added."""
    session.store.require_writable("ALTER GRAPHS")
    before = session.registry.graphs.of_kind("graphs", name)
    gone = _listed("remove", remove)
    after = without_graphs(before, gone) if gone else before
    counts = {"graphs_added": 0, "graphs_removed": len(before) - len(after)}
    if add is None and keys is not None:
        raise InvalidValue("keys= are those of the graphs of add=, which is not given")
    keys = None if keys is None else _listed("keys", keys)
    if add is not None and (keys or not _is_empty(add)):
        new = add if isinstance(add, GraphSet) else engine.models().graphs_from_data(add)
        after = with_graphs(after, new, keys)
        counts["graphs_added"] = len(new)
    return _next_version(session, "graphs", name, (before, after), counts)


def _next_version(
    session: Session, kind: str, name: str, versions: tuple[Any, Any], counts: Mapping[str, int]
) -> Table:
    """Store the later one of two versions, unless they are the same, and say what was done."""
    before, after = versions
    followed: list[str] = []
    notes: list[str] = []
    if after.content_hash == before.content_hash:
        notes.append("nothing changed, so the version is the same")
    else:
        if type(before) is Graph:
            share_arrays(before, after)
        followed, notes = session.registry.alter_graph(name, after, session.say)
        notes = [*notes, *_other_units(before, after)]
    (row,) = (row for row in session.store.graphs() if row.name == name)
    facts: dict[str, Any] = {
        kind: name,
        "version": row.version,
        **counts,
        **({"num_graphs": len(after)} if kind == "graphs" else {}),
        "nodes": after.num_nodes,
        "edges": after.num_edges,
        "undirected": after.undirected,
        "models": ", ".join(followed),
        "notes": "; ".join(notes),
    }
    return Table(list(facts), [tuple(facts.values())])


def _other_units(before: Graph | GraphSet, after: Graph | GraphSet) -> list[str]:
    """What to know where only one of two versions is undirected."""
    if before.undirected == after.undirected:
        return []
    if after.undirected:
        return ["every edge has its reverse now: units are pairs of edges, and were directed edges"]
    return ["not every edge has its reverse now: units are directed edges, and were pairs of edges"]


def _keys(session: Session, graphs: GraphSet, query: st.Subquery) -> list[Any]:
    """The keys of REMOVE GRAPHS."""
    table = key_tables.fetch(session, query, "REMOVE GRAPHS", [kind_of(graphs.keys)])
    if len(table.columns) != 1:
        raise GraphError(
            f"REMOVE GRAPHS has {len(table.columns)} columns ({', '.join(table.columns)}), expected one, the keys of the "
            "graphs"
        )
    return [key for (key,) in table.rows]


def _listed(name: str, keys: Iterable[Any]) -> list[Any]:
    """The keys of an argument of `alter_graphs`; raises InvalidValue for what is no sequence of keys."""
    found = keys
    if hasattr(keys, "tolist"):
        found = keys.tolist()
    elif isinstance(keys, Iterable) and not isinstance(keys, str | bytes):
        found = list(keys)
    if not isinstance(found, list):
        shown_as = f"{found!r:.60}"
        raise InvalidValue(f"{name}= is a list of keys, found {shown_as}: say {name}=[{shown_as}]")
    strange = [key for key in found if not isinstance(key, Hashable)]
    if strange:
        raise InvalidValue(f"{name}= holds {strange[0]!r:.60}, which is no key of a graph")
    return found


def _is_empty(graphs: Any) -> bool:
    return isinstance(graphs, Sized) and not len(graphs)


def _added(
    session: Session, graphs: GraphSet, change: st.AddedGraphs, pairs: bool
) -> GraphSet | None:
    """The graphs of ADD GRAPHS; None if its queries give no rows."""
    graph, node = kind_of(graphs.keys), kind_of(graphs.node_keys)
    given = (
        ("GRAPHS", change.graphs, [graph]),
        ("NODES", change.nodes, [graph, node]),
        ("EDGES", change.edges, [graph, node, node]),
    )
    tables = [key_tables.fetch(session, query, what, known) for what, query, known in given]
    if not any(table.rows for table in tables):
        return None
    members, nodes, edges = ((table.columns, table.rows) for table in tables)
    return graphs_like(graphs, members, nodes, edges, pairs=pairs)


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


def _changed(session: Session, graph: Graph, change: st.GraphChange, pairs: bool) -> Graph:
    """The graph after one change, whose sub-query runs on the user's connection."""
    of = meant(graph, change.what, change.of)
    own = kind_of(graph.keys)
    known = [own] if change.what.endswith("NODES") else [own, own]
    table = key_tables.fetch(session, change.query, change.what, known)
    return changed(graph, change.what, (table.columns, table.rows), of, pairs)
