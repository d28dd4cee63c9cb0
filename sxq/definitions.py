"""The statements that define things and show them: CREATE, TRAIN, SHOW, DESCRIBE, DROP, SET, RESET.

Part of the corridor: each takes a statement and gives a `Table`; none of them explains anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import astuple, fields
from typing import Any

from sxq.errors import InvalidValue, NameTaken, UnknownName
from sxq.graph import Graph, GraphSet
from sxq.graph.collecting import graphs_from_tables, read_graphs
from sxq.graph.generated import generate
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
        verbs = {st.CreateGraph: self.create_graph, st.CreateGraphs: self.create_graphs,
                 st.CreateModel: self.create_model, st.TrainModel: self.train_model, st.Show: self.show,
                 st.PretrainRefine: self.pretrain_refine, st.Describe: self.describe, st.Drop: self.drop,
                 st.SetOption: self.set, st.ResetOption: self.reset}
        return verbs[type(statement)](statement)

    def create_graph(self, statement: st.CreateGraph) -> Table:
        self._may_write("CREATE GRAPH")
        graph = self._read(statement.source, _options(statement.options, "undirected", "seed"))
        self._names.add_graph(statement.name, graph, statement.replace)
        return self.describe(st.Describe("graph", statement.name))

    def create_graphs(self, statement: st.CreateGraphs) -> Table:
        self._may_write("CREATE GRAPHS")
        graphs = self._read_graphs(statement.source, _options(statement.options, "undirected", "seed", "graphs"))
        self._names.add_graph(statement.name, graphs, statement.replace)
        return self.describe(st.Describe("graphs", statement.name))

    def create_model(self, statement: st.CreateModel) -> Table:
        from sxq import learning

        self._may_write("CREATE MODEL")
        graph = self._names.of_kind(statement.kind, statement.graph)
        spec = learning.spec_from_options(statement.options, graph)
        module = learning.build(spec)
        learning.load_weights(module, _text("FILE", statement.path))
        return self._add_model(statement, module, spec, learning.accuracies(module, graph))

    def train_model(self, statement: st.TrainModel) -> Table:
        from sxq import learning
        from sxq.execution import choose_device

        self._may_write("TRAIN MODEL")
        graph = self._names.of_kind(statement.kind, statement.graph)
        self._names.require_free_model(statement.name, statement.replace)
        device = str(choose_device(self._settings["sxq_device"]))
        trained = learning.train(graph, statement.options, device=device, progress=self._training_progress,
                                 should_stop=self.should_stop)
        table = self._add_model(statement, trained.module, trained.spec, trained.accuracy)
        return Table([*table.columns, "epochs"], [(*table.rows[0], trained.epochs_run)])

    def pretrain_refine(self, statement: st.PretrainRefine) -> Table:
        from sxq import execution

        self._may_write("PRETRAIN REFINE")
        self._names.of_kind(statement.kind, statement.graph)
        if statement.name in self._names.refine_models() and not statement.replace:
            raise NameTaken(f"refine {statement.name!r} exists; say PRETRAIN OR REPLACE REFINE, or choose another name")
        named = self._names.model(statement.model, statement.graph)
        learned = execution.pretrain(named.model, self._names.graphs[statement.graph], statement.options,
                                     self._pretraining_progress, self.should_stop)
        spec = {"options": learned.options, "targets": len(learned.targets), "losses": learned.pretrained.losses,
                "stopped": learned.pretrained.stopped}
        self._names.add_refine(statement.name, named, learned.pretrained, spec, learned.saliency, statement.replace)
        last = learned.pretrained.losses[-1] if learned.pretrained.losses else {}
        facts = {"refine": statement.name, "model": statement.model, "targets": len(learned.targets),
                 "epochs": len(learned.pretrained.losses),
                 **{name: round(value, 4) for name, value in last.items()}, "stopped": learned.pretrained.stopped}
        return Table(list(facts), [tuple(facts.values())])

    def _pretraining_progress(self, epoch: int, epochs: int, loss: float) -> None:
        if self.report:
            self.report(f"epoch {epoch}/{epochs}: loss {loss:.4f}")

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

    def _read(self, source, options: dict[str, Any]) -> Graph:
        undirected = options.pop("undirected", False)
        match source:
            case st.FileSource(path):
                graph = read_npz(_text("FILE", path))
            case st.DatasetSource(name):
                graph = self._data_set(_text("DATASET", name), options, "load_dataset")
            case st.QuerySource(nodes, edges):
                graph = from_tables(self._fetch(nodes), self._fetch(edges))
        _require_used(options)
        return add_reverse(graph) if undirected else graph

    def _read_graphs(self, source, options: dict[str, Any]) -> GraphSet:
        undirected = options.pop("undirected", False)
        match source:
            case st.FileSource(path):
                graphs = read_graphs(_text("FILE", path))
            case st.DatasetSource(name):
                graphs = self._data_set(_text("DATASET", name), options, "load_graphs")
            case st.GraphsQuerySource():
                graphs = graphs_from_tables(*map(self._fetch, (source.graphs, source.nodes, source.edges)))
        _require_used(options)
        return graphs.with_reverse() if undirected else graphs

    def _data_set(self, name: str, options: dict[str, Any], load: str):
        """A generated data set, whose options are used up, or one of PyG's."""
        made = generate(name, options.get("seed", 0), options.get("graphs"))
        if made is not None and isinstance(made, GraphSet) == (load == "load_graphs"):
            options.clear()
            return made
        from sxq import learning

        return getattr(learning, load)(name)

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
        rows = [(row.name, row.num_nodes, row.num_edges, row.num_features, _kind(row.undirected, row.num_graphs))
                for row in self._names.graph_rows()]
        return Table(["graph", "nodes", "edges", "features", "kind"], rows)

    def _show_models(self) -> Table:
        columns = ["model", "graph", "class", "hops", "halo", "backend", "state"]
        facts = [self._names.model_facts(name) for name in self._names.model_names()]
        return Table(columns, [tuple(found[column] for column in columns) for found in facts])

    def _show_refines(self) -> Table:
        rows = [(row.name, row.model, row.graph, row.spec["options"]["preset"], row.spec["targets"],
                 len(row.spec["losses"])) for row in self._store.refines()]
        return Table(["refine", "model", "graph", "preset", "targets", "epochs"], rows)

    def _refine_facts(self, name: str) -> dict[str, Any]:
        row = self._store.load_refine(name)
        if row is None:
            raise UnknownName("refine", name, self._names.refine_models())
        return {"refine": name, "model": row.model, "graph": row.graph, "targets": row.spec["targets"],
                "epochs": len(row.spec["losses"]), **row.spec["options"]}

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
        graph = self._names.of_kind("graph", name)
        facts = {"graph": name, "nodes": graph.num_nodes, "edges": f"{graph.num_edges} directed",
                 "kind": f"{_kind(graph.undirected)}: units are {'pairs' if graph.undirected else 'directed edges'}",
                 "features": graph.num_features, "self-loops": int((graph.edge_index[0] == graph.edge_index[1]).sum()),
                 "keys": f"such as {graph.keys[0]!r}" if graph.keys else "positions"}
        facts |= {"classes": int(graph.y.max()) + 1} if graph.y is not None and len(graph.y) else {}
        facts |= {"edge_weight": "yes"} if graph.edge_weight is not None else {}
        facts |= {"edge_attr": graph.edge_attr.shape[1]} if graph.edge_attr is not None else {}
        facts |= {"attributes": ", ".join(graph.attributes)} if graph.attributes else {}
        facts |= {"ground truth": f"{int(graph.edge_truth.sum())} edges"} if graph.edge_truth is not None else {}
        return facts | {"hash": graph.content_hash}

    def _graphs_facts(self, name: str) -> dict[str, Any]:
        graphs = self._names.of_kind("graphs", name)
        union = graphs.union
        facts = {"graphs": f"{name}: {len(graphs)}", "nodes": f"{union.num_nodes} in all",
                 "edges": f"{union.num_edges} directed",
                 "kind": f"{_kind(graphs.undirected)}: units are {'pairs' if graphs.undirected else 'directed edges'}",
                 "features": union.num_features,
                 "keys": f"such as {graphs.keys[0]!r}" if graphs.keys else "numbers"}
        facts |= {"classes": int(graphs.y.max()) + 1} if graphs.y is not None else {}
        facts |= {"edge_weight": "yes"} if union.edge_weight is not None else {}
        facts |= {"edge_attr": union.edge_attr.shape[1]} if union.edge_attr is not None else {}
        facts |= {"ground truth": f"{int(union.edge_truth.sum())} edges"} if union.edge_truth is not None else {}
        return facts | {"hash": graphs.content_hash}

    def _model_facts(self, name: str) -> dict[str, Any]:
        if name not in self._names.model_names():
            raise UnknownName("model", name, self._names.model_names())
        return self._names.model_facts(name)


def _options(options: tuple[tuple[str, Any], ...], *names: str) -> dict[str, Any]:
    """The options of CREATE GRAPH or GRAPHS: UNDIRECTED is a flag, the others are whole numbers."""
    for name, value in options:
        if name not in names:
            raise UnknownName("option", name, names)
        if name == "undirected" and not isinstance(value, bool):
            raise InvalidValue(f"UNDIRECTED = {value!r}; expected true or false")
        if name != "undirected" and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise InvalidValue(f"{name.upper()} = {value!r}; expected a whole number of 0 or more")
    return dict(options)


def _require_used(options: dict[str, Any]) -> None:
    for name, value in options.items():
        raise InvalidValue(f"{name.upper()} = {value!r} is for generated data sets, such as BA-3motif, only")


def _kind(undirected: bool, num_graphs: int | None = None) -> str:
    kind = "undirected" if undirected else "directed"
    return kind if num_graphs is None else f"{num_graphs} graphs, {kind}"


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"FROM {what} {value!r}; expected text in quotes")
    return value
