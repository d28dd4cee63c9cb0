"""SHOW and DESCRIBE: tables of everything that queries can name. They change nothing."""

from collections.abc import Callable
from dataclasses import astuple, fields
from typing import Any

import numpy as np

from sxq.errors import StoreError, UnknownName
from sxq.graph import Graph, shown_type
from sxq.graph.disk import DiskGraph, folder_bytes
from sxq.graph.keys import shown
from sxq.graph.readers import DANGLING
from sxq.language import statements as st
from sxq.planning import SETTINGS
from sxq.session.context import Session
from sxq.session.learned import require_refine
from sxq.storage import QueryRow
from sxq.values.result import Table

RENAME = "rename the file, and the graph gets views in a schema of its own"


def show(session: Session, statement: st.Show) -> Table:
    """SHOW: one row for each object of a kind."""
    return LISTS[statement.what](session)


def describe(session: Session, statement: st.Describe) -> Table:
    """DESCRIBE: one row for each fact; raises UnknownName."""
    facts = FACTS[statement.kind](session, statement.name)
    return Table(["property", "value"], [(name, str(value)) for name, value in facts.items()])


def _list_graphs(session: Session) -> Table:
    rows = [
        (
            row.name,
            row.num_nodes,
            row.num_edges,
            row.num_features,
            _kind(row.undirected, row.num_graphs, row.node_types),
        )
        for row in session.registry.graphs.rows()
    ]
    return Table(["graph", "nodes", "edges", "features", "kind"], rows)


def _list_models(session: Session) -> Table:
    columns = ["model", "graph", "class", "hops", "halo", "backend", "reason", "state"]
    facts = [_facts_or_damage(session, name) for name in session.registry.models.names()]
    rows = [tuple(found.get(column) for column in columns) for found in facts]
    return Table(columns, [(*row[:6], row[6] or "", *row[7:]) for row in rows])


def _facts_or_damage(session: Session, name: str) -> dict[str, Any]:
    """The facts of a model, or what is wrong with its row if that was changed."""
    try:
        return session.registry.models.facts(name)
    except StoreError as damage:
        return {"model": name, "state": f"damaged: {damage}"}


def _list_refines(session: Session) -> Table:
    rows = []
    for row in session.store.refines():
        require_refine(row)
        spec = row.spec
        facts = spec["options"]["preset"], spec["targets"], len(spec["losses"])
        rows.append((row.name, row.model, row.graph, *facts))
    return Table(["refine", "model", "graph", "preset", "targets", "epochs"], rows)


def _refine_facts(session: Session, name: str) -> dict[str, Any]:
    row = session.store.load_refine(name)
    if row is None:
        raise UnknownName("refine", name, session.registry.learned.models())
    require_refine(row)
    return {
        "refine": name,
        "model": row.model,
        "graph": row.graph,
        "targets": row.spec["targets"],
        "epochs": len(row.spec["losses"]),
        **row.spec["options"],
    }


def _list_measures(session: Session) -> Table:
    rows = [
        (
            m.name,
            m.column,
            "larger" if m.larger_is_better else "smaller",
            m.formula,
            m.source,
            m.cost,
        )
        for m in session.registry.measures.values()
    ]
    return Table(["measure", "column", "better", "formula", "source", "cost"], rows)


def _list_generators(session: Session) -> Table:
    default = session.registry.default_generators()
    rows = [
        (
            name,
            ", ".join(f"{k} = {'' if v is None else v}" for k, v in entry.options.items()),
            ", ".join(entry.over),
            name in default,
            entry.help,
        )
        for name, entry in session.registry.generators().items()
    ]
    return Table(["generator", "options", "over", "default", "summary"], rows)


def _list_queries(session: Session) -> Table:
    rows = [astuple(row) for row in session.store.queries()]
    return Table([field.name for field in fields(QueryRow)], rows)


def _list_settings(session: Session) -> Table:
    rows = [
        (name, session.settings.written[name], setting.default, setting.meaning)
        for name, setting in SETTINGS.items()
    ]
    return Table(["setting", "value", "default", "meaning"], rows)


def _graph_facts(session: Session, name: str) -> dict[str, Any]:
    graph = session.registry.graphs.of_kind("graph", name)
    facts: dict[str, Any] = {
        "graph": name,
        "nodes": graph.num_nodes,
        "edges": f"{graph.num_edges} directed",
        "kind": _kind_and_units(graph.undirected),
        "features": graph.num_features,
        "self-loops": graph.facts["loops"]
        if isinstance(graph, DiskGraph)
        else int((graph.edge_index[0] == graph.edge_index[1]).sum()),
        "keys": _keys(graph),
        **_types(graph),
    }
    if graph.y is not None and len(graph.y):
        facts["classes"] = int(graph.y.max()) + 1
    if isinstance(graph, DiskGraph):
        facts["storage"] = f"disk, {folder_bytes(graph.folder) / 1e6:,.1f} MB in {graph.folder}"
    further = _further_facts(graph) | _version(session, name) | _views(session, name)
    return facts | further | {"hash": graph.content_hash}


def _keys(graph: Graph) -> str:
    within = " of each type" if graph.types is not None else ""
    return f"such as {shown(graph.keys[0])}" if graph.keys else f"positions{within}"


def _types(graph: Graph) -> dict[str, str]:
    """A fact for each type of nodes and of edges: how many, and the width of their features."""
    types = graph.types
    if types is None:
        return {}
    edges = np.bincount(types.of_edge, minlength=len(types.edge_types))
    nodes = {
        f"nodes {name}": f"{count}, {_counted(width, 'feature')}"
        for name, count, width in zip(types.node_types, np.diff(types.starts), types.widths)
    }
    return nodes | {
        f"edges {shown_type(name)}": f"{count}, {_counted(width, 'feature')}"
        for name, count, width in zip(types.edge_types, edges, types.edge_widths)
    }


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _graphs_facts(session: Session, name: str) -> dict[str, Any]:
    graphs = session.registry.graphs.of_kind("graphs", name)
    union = graphs.union
    facts: dict[str, Any] = {
        "graphs": f"{name}: {len(graphs)}",
        "nodes": f"{union.num_nodes} in all",
        "edges": f"{union.num_edges} directed",
        "kind": _kind_and_units(graphs.undirected),
        "features": union.num_features,
        "keys": f"such as {shown(graphs.keys[0])}" if graphs.keys else "numbers",
        **_types(union),
    }
    if graphs.y is not None:
        facts["classes"] = int(graphs.y.max()) + 1
    further = _further_facts(union) | _version(session, name) | _views(session, name)
    return facts | further | {"hash": graphs.content_hash}


def _model_facts(session: Session, name: str) -> dict[str, Any]:
    return session.registry.models.facts(name)


def _further_facts(graph: Graph) -> dict[str, Any]:
    """Facts that only some graphs have."""
    facts: dict[str, Any] = {}
    if graph.edge_weight is not None:
        facts["edge_weight"] = "yes"
    if graph.edge_attr is not None:
        named = f": {', '.join(graph.edge_names)}" if graph.edge_names else ""
        facts["edge_attr"] = f"{graph.edge_attr.shape[1]}{named}"
    if graph.edge_attributes:
        facts["edge attributes"] = ", ".join(graph.edge_attributes)
    if graph.attributes:
        facts["attributes"] = ", ".join(graph.attributes)
    for column in graph.encoding.columns if graph.encoding else ():
        facts[f"column {column.name}"] = column.summary
    for column in graph.encoding.edge_columns if graph.encoding else ():
        facts[f"edge column {column.name}"] = column.summary
    if graph.encoding and graph.encoding.labels:
        facts["names of classes"] = ", ".join(graph.encoding.labels)
    if DANGLING in graph.left_out:
        facts[DANGLING] = graph.left_out[DANGLING]
    if graph.edge_truth is not None:
        facts["ground truth"] = f"{int(graph.edge_truth.sum())} edges"
    return facts


def _version(session: Session, name: str) -> dict[str, int]:
    """Which version of the graph it is, where there was one before."""
    held = next((row.version for row in session.store.graphs() if row.name == name), None)
    return {"version": held} if held is not None and held > 1 else {}


def _views(session: Session, name: str) -> dict[str, str]:
    """Where the views of a graph are, and which of their names are not the user's own."""
    graph_id = session.registry.graphs.id_of(name)
    found = None if graph_id is None else session.store.graph_schema(graph_id)
    if found is None:
        named = session.store.named_like_schema() and not session.store.read_only
        return {"schema": f"none, since the database is called sxq: {RENAME}"} if named else {}
    other = "" if found.schema == name else f", since {name} is taken"
    facts = {"schema": f"{found.schema}{other}: {', '.join(found.views)}"}
    return facts | ({"renamed": "; ".join(found.renamed)} if found.renamed else {})


def _kind(undirected: bool, num_graphs: int | None = None, node_types: int = 0) -> str:
    kind = "undirected" if undirected else "directed"
    kind += f", {node_types} node types" if node_types else ""
    return kind if num_graphs is None else f"{num_graphs} graphs, {kind}"


def _kind_and_units(undirected: bool) -> str:
    return f"{_kind(undirected)}: units are {'pairs' if undirected else 'directed edges'}"


LISTS: dict[str, Callable[[Session], Table]] = {  # by the word after SHOW
    "graphs": _list_graphs,
    "models": _list_models,
    "refines": _list_refines,
    "measures": _list_measures,
    "generators": _list_generators,
    "queries": _list_queries,
    "settings": _list_settings,
}
FACTS: dict[str, Callable[[Session, str], dict[str, Any]]] = {  # by the word after DESCRIBE
    "graph": _graph_facts,
    "graphs": _graphs_facts,
    "model": _model_facts,
    "refine": _refine_facts,
}
