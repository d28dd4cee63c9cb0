"""The statements that define things and show them: CREATE, TRAIN, SHOW, DESCRIBE, DROP, SET, RESET.

Part of the corridor: each takes a statement and gives a `Table`; none of them explains anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import astuple, fields
from typing import Any

from sxq.errors import InvalidValue, UnknownName
from sxq.graph import Graph
from sxq.graph.readers import add_reverse, from_tables, read_npz
from sxq.language import arguments
from sxq.language import statements as st
from sxq.planning import SETTINGS, parse_setting
from sxq.registry import Registry, known
from sxq.result import Table
from sxq.storage import QueryRow


class Definitions:
    """Creates, trains, lists and drops what queries name."""

    def __init__(self, names: Registry, store, settings: dict[str, Any], written: dict[str, Any]):
        self._names, self._store, self._settings, self._written = names, store, settings, written
        self.report: Callable[[Any], None] | None = None  # progress of training
        self.should_stop: Callable[[], bool] = lambda: False

    def run(self, statement: st.Statement) -> Table:
        """The result of one statement, of any kind this class knows."""
        verbs = {st.CreateGraph: self.create_graph, st.CreateModel: self.create_model, st.TrainModel: self.train_model,
                 st.Show: self.show, st.Describe: self.describe, st.Drop: self.drop, st.SetOption: self.set,
                 st.ResetOption: self.reset}
        return verbs[type(statement)](statement)

    def create_graph(self, statement: st.CreateGraph) -> Table:
        self._may_write("CREATE GRAPH")
        undirected = _undirected(statement.options)
        graph = self._read(statement.source, undirected)
        self._names.add_graph(statement.name, graph, statement.replace)
        return self.describe(st.Describe("graph", statement.name))

    def create_model(self, statement: st.CreateModel) -> Table:
        from sxq import learning

        self._may_write("CREATE MODEL")
        graph = known("graph", statement.graph, self._names.graphs)
        spec = learning.spec_from_options(statement.options, graph)
        module = learning.build(spec)
        learning.load_weights(module, _text("FILE", statement.path))
        return self._add_model(statement, module, spec, learning.accuracies(module, graph))

    def train_model(self, statement: st.TrainModel) -> Table:
        from sxq import learning
        from sxq.execution import choose_device

        self._may_write("TRAIN MODEL")
        graph = known("graph", statement.graph, self._names.graphs)
        self._names.require_free_model(statement.name, statement.replace)
        device = str(choose_device(self._settings["sxq_device"]))
        trained = learning.train(graph, statement.options, device=device, progress=self._training_progress,
                                 should_stop=self.should_stop)
        table = self._add_model(statement, trained.module, trained.spec, trained.accuracy)
        return Table([*table.columns, "epochs"], [(*table.rows[0], trained.epochs_run)])

    def show(self, statement: st.Show) -> Table:
        return getattr(self, f"_show_{statement.what}")()

    def describe(self, statement: st.Describe) -> Table:
        facts = getattr(self, f"_{statement.kind}_facts")(statement.name)
        return Table(["property", "value"], [(name, str(value)) for name, value in facts.items()])

    def drop(self, statement: st.Drop) -> Table:
        self._may_write(f"DROP {statement.kind.upper()}")
        self._names.drop(statement.kind, statement.name, statement.if_exists)
        return Table([], [])

    def set(self, statement: st.SetOption) -> Table:
        self._settings[statement.name] = parse_setting(statement.name, statement.value)
        self._written[statement.name] = statement.value
        return Table([], [])

    def reset(self, statement: st.ResetOption) -> Table:
        setting = known("setting", statement.name, SETTINGS)
        return self.set(st.SetOption(statement.name, setting.default))

    # -- sources -------------------------------------------------------------------------------------------------

    def _read(self, source, undirected: bool) -> Graph:
        match source:
            case st.FileSource(path):
                graph = read_npz(_text("FILE", path))
            case st.DatasetSource(name):
                from sxq import learning

                graph = learning.load_dataset(_text("DATASET", name))
            case st.QuerySource(nodes, edges):
                return from_tables(self._fetch(nodes), self._fetch(edges), undirected)
        return add_reverse(graph) if undirected else graph

    def _fetch(self, query: st.Subquery):
        table = self._store.select(query.sql, arguments(query))
        return table.columns, table.rows

    def _add_model(self, statement, module, spec, accuracy: Mapping[str, float]) -> Table:
        from sxq import learning

        self._names.add_model(statement.name, module, statement.graph, spec={"architecture": vars(spec)},
                              weights=learning.to_bytes(module), replace=statement.replace)
        info = self._names.info(statement.name)
        shares = {f"{split}_accuracy": share for split, share in accuracy.items()}
        facts = {"model": statement.name, "architecture": spec.architecture, "hops": info.hops, "halo": info.halo}
        facts |= shares
        return Table(list(facts), [tuple(facts.values())])

    def _training_progress(self, epoch: int, epochs: int, loss: float, accuracy: float) -> None:
        if self.report:
            self.report(f"epoch {epoch}/{epochs}: loss {loss:.4f}, accuracy {accuracy:.1%}")

    def _may_write(self, what: str) -> None:
        if not self._store.read_only:
            self._store.require_writable(what)

    # -- SHOW and DESCRIBE ---------------------------------------------------------------------------------------

    def _show_graphs(self) -> Table:
        rows = [(row.name, row.num_nodes, row.num_edges, row.num_features, _kind(row.undirected))
                for row in self._names.graph_rows()]
        return Table(["graph", "nodes", "edges", "features", "kind"], rows)

    def _show_models(self) -> Table:
        columns = ["model", "graph", "class", "hops", "halo", "backend", "state"]
        facts = [self._names.model_facts(name) for name in self._names.model_names()]
        return Table(columns, [tuple(found[column] for column in columns) for found in facts])

    def _show_measures(self) -> Table:
        rows = [(m.name, m.column, "larger" if m.larger_is_better else "smaller", m.formula, m.source, m.cost)
                for m in self._names.measures.values()]
        return Table(["measure", "column", "better", "formula", "source", "cost"], rows)

    def _show_generators(self) -> Table:
        default = self._names.default_generators()
        rows = [(name, ", ".join(f"{k} = {v}" for k, v in info.options.items()), name in default, info.summary)
                for name, info in self._names.generators().items()]
        return Table(["generator", "options", "default", "summary"], rows)

    def _show_queries(self) -> Table:
        rows = [astuple(row) for row in self._store.queries()]
        return Table([field.name for field in fields(QueryRow)], rows)

    def _show_settings(self) -> Table:
        rows = [(name, self._written[name], setting.default, setting.meaning) for name, setting in SETTINGS.items()]
        return Table(["setting", "value", "default", "meaning"], rows)

    def _graph_facts(self, name: str) -> dict[str, Any]:
        graph = known("graph", name, self._names.graphs)
        facts = {"graph": name, "nodes": graph.num_nodes, "edges": f"{graph.num_edges} directed",
                 "kind": f"{_kind(graph.undirected)}: units are {'pairs' if graph.undirected else 'directed edges'}",
                 "features": graph.num_features, "self-loops": int((graph.edge_index[0] == graph.edge_index[1]).sum()),
                 "keys": f"such as {graph.keys[0]!r}" if graph.keys else "positions"}
        facts |= {"classes": int(graph.y.max()) + 1} if graph.y is not None and len(graph.y) else {}
        facts |= {"edge_weight": "yes"} if graph.edge_weight is not None else {}
        facts |= {"edge_attr": graph.edge_attr.shape[1]} if graph.edge_attr is not None else {}
        facts |= {"attributes": ", ".join(graph.attributes)} if graph.attributes else {}
        return facts | {"hash": graph.content_hash}

    def _model_facts(self, name: str) -> dict[str, Any]:
        if name not in self._names.model_names():
            raise UnknownName("model", name, self._names.model_names())
        return self._names.model_facts(name)


def _undirected(options: tuple[tuple[str, Any], ...]) -> bool:
    """The one option of CREATE GRAPH."""
    values = dict(options)
    for name in values:
        if name != "undirected":
            raise UnknownName("option", name, ["undirected"])
    value = values.get("undirected", False)
    if not isinstance(value, bool):
        raise InvalidValue(f"UNDIRECTED = {value!r}; expected true or false")
    return value


def _kind(undirected: bool) -> str:
    return "undirected" if undirected else "directed"


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"FROM {what} {value!r}; expected text in quotes")
    return value
