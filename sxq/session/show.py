"""SHOW and DESCRIBE: what queries can name, as tables.

Part of the corridor: reads the registry and the store, and changes nothing.
"""

from dataclasses import astuple, fields
from typing import Any

from sxq.errors import UnknownName
from sxq.graph import Graph
from sxq.graph.keys import shown
from sxq.language import statements as st
from sxq.planning import SETTINGS
from sxq.session import Registry
from sxq.storage import QueryRow
from sxq.values.result import Table


class Describing:
    """Lists graphs, models, measures, generators, queries and settings, and says what one of them is."""

    def __init__(self, names: Registry, store, written: dict[str, Any]):
        self._names, self._store, self._written = names, store, written

    def show(self, statement: st.Show) -> Table:
        """One row for each."""
        return getattr(self, f"_show_{statement.what}")()

    def describe(self, statement: st.Describe) -> Table:
        """One row for each fact; raises UnknownName."""
        facts = getattr(self, f"_{statement.kind}_facts")(statement.name)
        return Table(["property", "value"], [(name, str(value)) for name, value in facts.items()])

    def _show_graphs(self) -> Table:
        rows = [
            (
                row.name,
                row.num_nodes,
                row.num_edges,
                row.num_features,
                _kind(row.undirected, row.num_graphs),
            )
            for row in self._names.graphs.rows()
        ]
        return Table(["graph", "nodes", "edges", "features", "kind"], rows)

    def _show_models(self) -> Table:
        columns = ["model", "graph", "class", "hops", "halo", "backend", "state"]
        facts = [self._names.model_facts(name) for name in self._names.model_names()]
        return Table(columns, [tuple(found[column] for column in columns) for found in facts])

    def _show_refines(self) -> Table:
        rows = [
            (
                row.name,
                row.model,
                row.graph,
                row.spec["options"]["preset"],
                row.spec["targets"],
                len(row.spec["losses"]),
            )
            for row in self._store.refines()
        ]
        return Table(["refine", "model", "graph", "preset", "targets", "epochs"], rows)

    def _refine_facts(self, name: str) -> dict[str, Any]:
        row = self._store.load_refine(name)
        if row is None:
            raise UnknownName("refine", name, self._names.learned.models())
        return {
            "refine": name,
            "model": row.model,
            "graph": row.graph,
            "targets": row.spec["targets"],
            "epochs": len(row.spec["losses"]),
            **row.spec["options"],
        }

    def _show_measures(self) -> Table:
        rows = [
            (
                m.name,
                m.column,
                "larger" if m.larger_is_better else "smaller",
                m.formula,
                m.source,
                m.cost,
            )
            for m in self._names.measures.values()
        ]
        return Table(["measure", "column", "better", "formula", "source", "cost"], rows)

    def _show_generators(self) -> Table:
        default = self._names.default_generators()
        rows = [
            (
                name,
                ", ".join(f"{k} = {v}" for k, v in entry.options.items()),
                name in default,
                entry.help,
            )
            for name, entry in self._names.generators().items()
        ]
        return Table(["generator", "options", "default", "summary"], rows)

    def _show_queries(self) -> Table:
        rows = [astuple(row) for row in self._store.queries()]
        return Table([field.name for field in fields(QueryRow)], rows)

    def _show_settings(self) -> Table:
        rows = [
            (name, self._written[name], setting.default, setting.meaning)
            for name, setting in SETTINGS.items()
        ]
        return Table(["setting", "value", "default", "meaning"], rows)

    def _graph_facts(self, name: str) -> dict[str, Any]:
        graph = self._names.graphs.of_kind("graph", name)
        facts = {
            "graph": name,
            "nodes": graph.num_nodes,
            "edges": f"{graph.num_edges} directed",
            "kind": f"{_kind(graph.undirected)}: units are {'pairs' if graph.undirected else 'directed edges'}",
            "features": graph.num_features,
            "self-loops": int((graph.edge_index[0] == graph.edge_index[1]).sum()),
            "keys": f"such as {shown(graph.keys[0])}" if graph.keys else "positions",
        }
        facts |= {"classes": int(graph.y.max()) + 1} if graph.y is not None and len(graph.y) else {}
        return facts | _further_facts(graph) | {"hash": graph.content_hash}

    def _graphs_facts(self, name: str) -> dict[str, Any]:
        graphs = self._names.graphs.of_kind("graphs", name)
        union = graphs.union
        facts = {
            "graphs": f"{name}: {len(graphs)}",
            "nodes": f"{union.num_nodes} in all",
            "edges": f"{union.num_edges} directed",
            "kind": f"{_kind(graphs.undirected)}: units are {'pairs' if graphs.undirected else 'directed edges'}",
            "features": union.num_features,
            "keys": f"such as {shown(graphs.keys[0])}" if graphs.keys else "numbers",
        }
        facts |= {"classes": int(graphs.y.max()) + 1} if graphs.y is not None else {}
        return facts | _further_facts(union) | {"hash": graphs.content_hash}

    def _model_facts(self, name: str) -> dict[str, Any]:
        if name not in self._names.model_names():
            raise UnknownName("model", name, self._names.model_names())
        return self._names.model_facts(name)


def _further_facts(graph: Graph) -> dict[str, Any]:
    """What only some graphs have."""
    facts: dict[str, Any] = {"edge_weight": "yes"} if graph.edge_weight is not None else {}
    facts |= {"edge_attr": graph.edge_attr.shape[1]} if graph.edge_attr is not None else {}
    facts |= {"attributes": ", ".join(graph.attributes)} if graph.attributes else {}
    return facts | (
        {"ground truth": f"{int(graph.edge_truth.sum())} edges"}
        if graph.edge_truth is not None
        else {}
    )


def _kind(undirected: bool, num_graphs: int | None = None) -> str:
    kind = "undirected" if undirected else "directed"
    return kind if num_graphs is None else f"{num_graphs} graphs, {kind}"
