"""The statements that define things: CREATE, TRAIN, PRETRAIN, DROP, SET, RESET; SHOW and DESCRIBE are `describing`.

Part of the corridor: each takes a statement and gives a `Table`; none of them explains anything.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sxq.errors import InvalidValue, NameTaken, UnknownName
from sxq.graph import Graph, GraphSet
from sxq.graph.collection_readers import graphs_from_tables, read_graphs
from sxq.graph.generated import generate
from sxq.graph.readers import add_reverse, from_tables, read_npz
from sxq.language import arguments
from sxq.language import statements as st
from sxq.planning import SETTINGS, parse_setting
from sxq.session import Registry, known
from sxq.session.show import Describing
from sxq.values.result import Table


class Definitions:
    """Creates, trains and drops what queries name, and sets what they run with."""

    def __init__(self, names: Registry, store, settings: dict[str, Any], written: dict[str, Any]):
        self._names, self._store, self._settings, self._written = names, store, settings, written
        self._describes = Describing(names, store, written)
        self.report: Callable[[Any], None] | None = None  # progress of training
        self.should_stop: Callable[[], bool] = lambda: False

    def run(self, statement: st.Statement) -> Table:
        """The result of one statement, of any kind this class knows."""
        verbs: dict[type, Callable[[Any], Table]] = {
            st.CreateGraph: self.create_graph,
            st.CreateGraphs: self.create_graphs,
            st.CreateModel: self.create_model,
            st.TrainModel: self.train_model,
            st.PretrainRefine: self.pretrain_refine,
            st.Drop: self.drop,
            st.Show: self._describes.show,
            st.Describe: self._describes.describe,
            st.SetOption: self.set,
            st.ResetOption: self.reset,
        }
        return verbs[type(statement)](statement)

    def create_graph(self, statement: st.CreateGraph) -> Table:
        self._may_write("CREATE GRAPH")
        graph = self._read(statement.source, _options(statement.options, "undirected", "seed"))
        self._names.graphs.add(statement.name, graph, statement.replace)
        return self._describes.describe(st.Describe("graph", statement.name))

    def create_graphs(self, statement: st.CreateGraphs) -> Table:
        self._may_write("CREATE GRAPHS")
        graphs = self._read_graphs(
            statement.source, _options(statement.options, "undirected", "seed", "graphs")
        )
        self._names.graphs.add(statement.name, graphs, statement.replace)
        return self._describes.describe(st.Describe("graphs", statement.name))

    def create_model(self, statement: st.CreateModel) -> Table:
        from sxq import models as learning

        self._may_write("CREATE MODEL")
        graph = self._names.graphs.of_kind(statement.kind, statement.graph)
        spec = learning.spec_from_options(statement.options, graph)
        module = learning.build(spec)
        learning.load_weights(module, _text("FILE", statement.path))
        return self._add_model(statement, module, spec, learning.accuracies(module, graph))

    def train_model(self, statement: st.TrainModel) -> Table:
        from sxq import models as learning
        from sxq.models.borrow import choose_device

        self._may_write("TRAIN MODEL")
        graph = self._names.graphs.of_kind(statement.kind, statement.graph)
        self._names.require_free_model(statement.name, statement.replace)
        device = str(choose_device(self._settings["sxq_device"]))
        trained = learning.train(
            graph,
            statement.options,
            device=device,
            progress=self._training_progress,
            should_stop=self.should_stop,
        )
        table = self._add_model(statement, trained.module, trained.spec, trained.accuracy)
        return Table([*table.columns, "epochs"], [(*table.rows[0], trained.epochs_run)])

    def pretrain_refine(self, statement: st.PretrainRefine) -> Table:
        from sxq.models.refine.pretrain import pretrain

        self._may_write("PRETRAIN REFINE")
        self._names.graphs.of_kind(statement.kind, statement.graph)
        if statement.name in self._names.learned.models() and not statement.replace:
            raise NameTaken(
                f"refine {statement.name!r} exists; say PRETRAIN OR REPLACE REFINE, or choose another name"
            )
        named = self._names.model(statement.model, statement.graph)
        learned = pretrain(
            named.model,
            self._names.graphs[statement.graph],
            statement.options,
            self._pretraining_progress,
            self.should_stop,
        )
        spec = {
            "options": learned.options,
            "targets": len(learned.targets),
            "losses": learned.pretrained.losses,
            "stopped": learned.pretrained.stopped,
        }
        self._names.add_refine(
            statement.name, named, learned.pretrained, spec, learned.saliency, statement.replace
        )
        last = learned.pretrained.losses[-1] if learned.pretrained.losses else {}
        facts = {
            "refine": statement.name,
            "model": statement.model,
            "targets": len(learned.targets),
            "epochs": len(learned.pretrained.losses),
            **{name: round(value, 4) for name, value in last.items()},
            "stopped": learned.pretrained.stopped,
        }
        return Table(list(facts), [tuple(facts.values())])

    def _pretraining_progress(self, epoch: int, epochs: int, loss: float) -> None:
        if self.report:
            self.report(f"epoch {epoch}/{epochs}: loss {loss:.4f}")

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
                graphs = graphs_from_tables(
                    *map(self._fetch, (source.graphs, source.nodes, source.edges))
                )
        _require_used(options)
        return graphs.with_reverse() if undirected else graphs

    def _data_set(self, name: str, options: dict[str, Any], load: str):
        """A generated data set, whose options are used up, or one of PyG's."""
        made = generate(name, options.get("seed", 0), options.get("graphs"))
        if made is not None and isinstance(made, GraphSet) == (load == "load_graphs"):
            options.clear()
            return made
        from sxq import models as learning

        return getattr(learning, load)(name)

    def _fetch(self, query: st.Subquery):
        table = self._store.select(query.sql, arguments(query))
        return table.columns, table.rows

    def _add_model(self, statement, module, spec, accuracy: Mapping[str, float]) -> Table:
        from sxq import models as learning

        self._names.add_model(
            statement.name,
            module,
            statement.graph,
            spec={"architecture": vars(spec)},
            weights=learning.to_bytes(module),
            replace=statement.replace,
        )
        info = self._names.info(statement.name)
        shares = {f"{split}_accuracy": share for split, share in accuracy.items()}
        facts = {
            "model": statement.name,
            "architecture": spec.architecture,
            "hops": info.hops,
            "halo": info.halo,
        }
        facts |= shares
        return Table(list(facts), [tuple(facts.values())])

    def _training_progress(self, epoch: int, epochs: int, loss: float, accuracy: float) -> None:
        if self.report:
            self.report(f"epoch {epoch}/{epochs}: loss {loss:.4f}, accuracy {accuracy:.1%}")

    def _may_write(self, what: str) -> None:
        if not self._store.read_only:
            self._store.require_writable(what)


def _options(options: tuple[tuple[str, Any], ...], *names: str) -> dict[str, Any]:
    """The options of CREATE GRAPH or GRAPHS: UNDIRECTED is a flag, the others are whole numbers."""
    for name, value in options:
        if name not in names:
            raise UnknownName("option", name, names)
        if name == "undirected" and not isinstance(value, bool):
            raise InvalidValue(f"UNDIRECTED = {value!r}; expected true or false")
        if name != "undirected" and (
            not isinstance(value, int) or isinstance(value, bool) or value < 0
        ):
            raise InvalidValue(f"{name.upper()} = {value!r}; expected a whole number of 0 or more")
    return dict(options)


def _require_used(options: dict[str, Any]) -> None:
    for name, value in options.items():
        raise InvalidValue(
            f"{name.upper()} = {value!r} is for generated data sets, such as BA-3motif, only"
        )


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"FROM {what} {value!r}; expected text in quotes")
    return value
