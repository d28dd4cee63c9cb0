"""CREATE, ALTER, TRAIN, PRETRAIN, DROP, SET and RESET: statements that define names and settings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sxq.errors import InvalidValue, NameTaken, UnknownName
from sxq.graph import EdgeType, Graph, GraphSet, shown_type
from sxq.graph.collection_readers import graphs_from_tables, read_graphs
from sxq.graph.disk import DiskGraph, column_bytes
from sxq.graph.encoding import Encoding
from sxq.graph.generated import generate
from sxq.graph.key_texts import kind_of
from sxq.graph.readers import TableReading, add_reverse, from_tables, read_npz
from sxq.graph.table_problems import SqlRows
from sxq.graph.typed_readers import from_typed_tables, with_reverse_types
from sxq.language import statements as st
from sxq.planning import SETTINGS, parse_setting
from sxq.session import engine, key_tables, snapshots
from sxq.session.context import Session
from sxq.session.registered_graphs import known
from sxq.session.registered_models import predicted_classes
from sxq.session.rights import require_count, require_data_set, require_setting
from sxq.session.show import describe
from sxq.values.result import Table

WORDS = {
    "scale": ("none", "standard"),
    "dangling": ("error", "drop"),
    "storage": ("disk", "memory"),
}  # options that are one of these
INTERRUPTED = "interrupted"  # in `Trained.stopped`
OF_TABLES = ("encode", "scale", "dangling")  # options of graphs from tables


def define(session: Session, statement: st.Statement) -> Table:
    """Run one statement of this module; its result."""
    return VERBS[type(statement)](session, statement)


def create_graph(session: Session, statement: st.CreateGraph) -> Table:
    _may_write(session, "CREATE GRAPH")
    names = ("undirected", "seed", "encode", "scale", "dangling", "storage")
    given = _options(statement.options, *names)
    storage = given.pop("storage", None)
    if storage == "disk":
        session.registry.graphs.require_disk()
    graph = _graph_of(session, statement.source, given)
    session.registry.graphs.add(statement.name, graph, statement.replace, storage)
    return describe(session, st.Describe("graph", statement.name))


def create_graphs(session: Session, statement: st.CreateGraphs) -> Table:
    _may_write(session, "CREATE GRAPHS")
    if any(name == "storage" for name, _ in statement.options):
        raise InvalidValue("STORAGE is for CREATE GRAPH; collections are kept in memory")
    options = _options(statement.options, "undirected", "seed", "graphs")
    graphs = _graphs_of(session, statement.source, options)
    session.registry.graphs.add(statement.name, graphs, statement.replace)
    return describe(session, st.Describe("graphs", statement.name))


def create_model(session: Session, statement: st.CreateModel) -> Table:
    models = engine.models()
    _may_write(session, "CREATE MODEL")
    graph = session.registry.graphs.of_kind(statement.kind, statement.graph)
    spec = models.spec_from_options(statement.options, graph)
    module = models.build(spec)
    models.load_weights(module, _file(session, statement.path))
    task = models.task_of(statement.options)
    learned: dict[str, Any] = {"accuracy": {}, "confusion": {}}
    if task == models.LINK:
        return _one_row(_add_model(session, statement, module, spec, learned))

    def judge(model: Any) -> None:
        """Its outputs on the whole graph are there: no other forward pass is needed."""
        known = {"predicted": predicted_classes(model)}
        learned["accuracy"] = models.accuracies(module, graph, **known)
        learned["confusion"] = models.confusion(module, graph, **known)

    judged = task in (None, "multiclass") and spec.out_channels > 1
    return _one_row(
        _add_model(
            session, statement, module, spec, learned, task=task, judge=judge if judged else None
        )
    )


def train_model(session: Session, statement: st.TrainModel) -> Table:
    _may_write(session, "TRAIN MODEL")
    graph = session.registry.graphs.of_kind(statement.kind, statement.graph)
    session.registry.models.require_free(statement.name, statement.replace)
    if _beyond_memory(session, graph):
        raise InvalidValue(
            f"TRAIN MODEL holds the whole graph in memory, and graph {statement.graph!r} on disk takes more than "
            f"sxq_memory = {session.settings.written['sxq_memory']!r}; SET sxq_memory to more, or train on a part of it "
            "elsewhere, then register the model"
        )
    models = engine.models()
    task = models.task_of(statement.options)
    if task not in (None, "multiclass", models.LINK):
        raise InvalidValue(
            f"TASK = {task}, but TRAIN trains only multiclass models and models of links (TASK = link); "
            "train this one elsewhere, then register it, or CREATE MODEL from its weights"
        )
    metric = "AUC" if task == models.LINK else "accuracy"

    def progress(epoch: int, epochs: int, loss: float, accuracy: float) -> None:
        session.say(f"epoch {epoch}/{epochs}: loss {loss:.4f}, {metric} {accuracy:.1%}")

    trained = (models.train_links if task == models.LINK else models.train)(
        graph,
        statement.options,
        device=str(engine.models().choose_device(session.settings["sxq_device"])),
        progress=progress,
        should_stop=session.should_stop,
    )
    if trained.stopped == INTERRUPTED and statement.name in session.registry.models.names():
        note = "interrupted: the model that had this name is kept"
        return _one_row({"model": statement.name, "epochs": trained.epochs_run, "notes": note})
    learned = {
        "epochs": trained.epochs_run,
        "stopped": trained.stopped,
        "settings": trained.settings,
        "accuracy": trained.accuracy,
        "metric": trained.metric,
        "confusion": trained.confusion,
        "notes": trained.notes,
    }
    facts = _add_model(session, statement, trained.module, trained.spec, learned)
    notes = {"notes": "; ".join(trained.notes)} if trained.notes else {}
    return _one_row({**facts, "epochs": trained.epochs_run, **notes})


def pretrain_refine(session: Session, statement: st.PretrainRefine) -> Table:
    _may_write(session, "PRETRAIN REFINE")
    registry = session.registry
    graph = registry.graphs.of_kind(statement.kind, statement.graph)
    if statement.name in registry.learned.models() and not statement.replace:
        raise NameTaken(
            f"refine {statement.name!r} exists; say PRETRAIN OR REPLACE REFINE, or choose another name"
        )

    if isinstance(graph, DiskGraph):
        raise InvalidValue(
            f"PRETRAIN REFINE is not built for graphs on disk, such as {statement.graph!r}: its saliency is stored by the "
            "rows of table edges; keep the graph in memory, STORAGE = memory"
        )

    def progress(epoch: int, epochs: int, loss: float) -> None:
        session.say(f"epoch {epoch}/{epochs}: loss {loss:.4f}")

    named = registry.models.get(statement.model, statement.graph)
    learned = engine.pretraining().pretrain(
        named.model, graph, statement.options, progress, session.should_stop
    )
    losses = learned.pretrained.losses
    stopped = learned.pretrained.stopped
    registry.add_refine(
        statement.name,
        named,
        pretrained=learned.pretrained,
        spec={
            "options": learned.options,
            "targets": len(learned.targets),
            "losses": losses,
            "stopped": stopped,
        },
        saliency=learned.saliency,
        replace=statement.replace,
    )
    last = losses[-1] if losses else {}
    return _one_row(
        {
            "refine": statement.name,
            "model": statement.model,
            "targets": len(learned.targets),
            "epochs": len(losses),
            **{name: round(value, 4) for name, value in last.items()},
            "stopped": stopped,
        }
    )


def drop(session: Session, statement: st.Drop) -> Table:
    _may_write(session, f"DROP {statement.kind.upper()}")
    session.registry.drop(statement.kind, statement.name, statement.if_exists)
    return Table([], [])


def drop_query(session: Session, statement: st.DropQuery) -> Table:
    session.store.drop_query(statement.query_id)
    return Table([], [])


def _alter_graph(session: Session, statement: st.AlterGraph) -> Table:
    from sxq.session.alter import alter_graph  # what it needs is loaded by those who alter a graph

    return alter_graph(session, statement)


def _alter_graphs(session: Session, statement: st.AlterGraphs) -> Table:
    from sxq.session.alter import alter_graphs

    return alter_graphs(session, statement)


def alter_by_data(
    session: Session, name: str, add: Any, keys: Iterable[Any] | None, remove: Iterable[Any]
) -> Table:
    """ALTER GRAPHS with graphs of Python."""
    from sxq.session import alter

    return alter.alter_by_data(session, name, add, keys, remove)


def set_option(session: Session, statement: st.SetOption) -> Table:
    parse_setting(statement.name, statement.value)
    require_setting(session.store.access, statement.name, statement.value)
    if statement.name == "sxq_snapshot" and (
        path := parse_setting(statement.name, statement.value)
    ):
        snapshots.write(session, path)
    session.settings.set(statement.name, statement.value)
    return Table([], [])


def reset_option(session: Session, statement: st.ResetOption) -> Table:
    setting = known("setting", statement.name, SETTINGS)
    session.settings.set(statement.name, setting.default)
    return Table([], [])


# -- sources -------------------------------------------------------------------------------------


def _graph_of(session: Session, source, options: dict[str, Any]) -> Graph:
    """The graph of a source; each option is used or refused."""
    undirected = options.pop("undirected", False)
    match source:
        case st.FileSource(path):
            graph = read_npz(_file(session, path), session.store.access.most_bytes)
        case st.DatasetSource(name):
            graph = _data_set(session, _text("DATASET", name), options, collection=False)
        case st.QuerySource():
            reading = _reading(session, options)
            nodes, edges = _tables(session, source, "nodes", "edges")
            graph = from_tables(nodes, edges, reading=reading)
        case st.TypedQuerySource():
            reading = _reading(session, options)
            graph = from_typed_tables(*_typed_tables(session, source), reading)
    _require_used(options)
    if graph.types is not None:
        return with_reverse_types(graph) if undirected else graph
    return add_reverse(graph) if undirected else graph


def _reading(session: Session, options: dict[str, Any]) -> TableReading:
    """What ENCODE, SCALE and DANGLING say; they are taken out of the options."""
    scale = options.pop("scale", None)
    encode: bool | Encoding = False
    named = options.pop("encode", "none")
    if named.lower() == "auto":
        encode = True
    elif named.lower() != "none":
        graph = session.registry.graphs.of_kind("graph", named)
        if graph.encoding is None:
            raise InvalidValue(
                f"ENCODE = {named}: graph {named!r} was not made with ENCODE; expected auto, or a graph "
                "whose encoding is to be used again"
            )
        encode = graph.encoding
    if scale == "standard" and encode is False:
        raise InvalidValue("SCALE = standard needs ENCODE = auto")
    if scale and isinstance(encode, Encoding):
        raise InvalidValue(
            f"SCALE = {scale}, but SCALE is part of the encoding of graph {named!r}: leave it out"
        )
    return TableReading(
        encode=encode,
        scale=scale == "standard",
        drop_dangling=options.pop("dangling", "error") == "drop",
    )


def _graphs_of(session: Session, source, options: dict[str, Any]) -> GraphSet:
    """The collection of a source; each option is used or refused."""
    undirected = options.pop("undirected", False)
    match source:
        case st.FileSource(path):
            graphs = read_graphs(_file(session, path), session.store.access.most_bytes)
        case st.DatasetSource(name):
            graphs = _data_set(session, _text("DATASET", name), options, collection=True)
        case st.GraphsQuerySource():
            graphs = graphs_from_tables(*_tables(session, source, "graphs", "nodes", "edges"))
    _require_used(options)
    return graphs.with_reverse() if undirected else graphs


def _data_set(session: Session, name: str, options: dict[str, Any], collection: bool) -> Any:
    """The data set of a name; a generated one, which takes its options, does not wait for torch."""
    given = {option: options.pop(option) for option in ("seed", "graphs") if option in options}
    require_count(session.store.access, "GRAPHS", given.get("graphs"))
    made = generate(name, given.get("seed", 0), given.get("graphs"))
    if made is not None and isinstance(made, GraphSet) == collection:
        return made
    if made is None:
        require_data_set(session.store.access, name)
    return engine.datasets().load(name, collection=collection, **given)


def _tables(session: Session, source: Any, *parts: str) -> list[SqlRows]:
    """The columns and rows of the sub-queries of a source; the first part's keys settle how those of others are read.

    The first column of GRAPHS, and of every part where there are GRAPHS, is the key of a graph; the next of NODES
    is that of a node, and the next two of EDGES are its ends.
    """
    graph: list[Any] = [None] if "graphs" in parts else []
    node = None
    tables: list[tuple[Sequence[str], Sequence[Sequence[Any]]]] = []
    for part in parts:
        own = {"graphs": [], "nodes": [node], "edges": [node, node]}[part]
        table = key_tables.fetch(session, getattr(source, part), part.upper(), graph + own)
        if part == "graphs":
            graph = [kind_of([row[0] for row in table.rows])]
        if part == "nodes":
            node = kind_of([row[len(graph)] for row in table.rows])
        tables.append((table.columns, table.rows))
    return tables


def _typed_tables(
    session: Session, source: st.TypedQuerySource
) -> tuple[list[tuple[str, SqlRows]], list[tuple[EdgeType, SqlRows]]]:
    """The results of the sub-queries of a heterogeneous graph, by node type and by edge type."""
    nodes: list[tuple[str, SqlRows]] = []
    kinds: dict[str, Any] = {}
    for part in source.parts:
        if isinstance(part, st.NodesOfType):
            table = key_tables.fetch(session, part.query, f"NODES {part.node_type}", [None])
            nodes.append((part.node_type, (table.columns, table.rows)))
            kinds[part.node_type] = kind_of([row[0] for row in table.rows])
    edges: list[tuple[EdgeType, SqlRows]] = []
    for part in source.parts:
        if isinstance(part, st.EdgesOfType):
            known = [kinds.get(end) for end in part.edge_type[::2]]
            table = key_tables.fetch(
                session, part.query, f"EDGES {shown_type(part.edge_type)}", known
            )
            edges.append((part.edge_type, (table.columns, table.rows)))
    return nodes, edges


def _add_model(
    session: Session,
    statement,
    module,
    spec,
    learned: Mapping[str, Any],
    *,
    task: str | None = None,
    judge: Callable[[Any], None] | None = None,
) -> dict[str, Any]:
    """Register a model of a named architecture; returns the facts that the statement shows.

    `learned` are accuracies, confusion and the course of a training: DESCRIBE MODEL shows them. `judge` completes
    them, given the ready model.
    """

    def facts_of(model: Any) -> dict[str, Any]:
        if judge is not None:
            judge(model)
        return {"architecture": spec.columns(), "learned": _in_words(learned)}

    of_links: dict[str, Any] = {"kind": "link"} if spec.decoder else {}
    if spec.decoder and spec.types:
        of_links["edge_type"] = tuple(spec.types["link"])
    entry = session.registry.models.add(
        statement.name,
        module,
        statement.graph,
        output=None if task == "regression" else "logits",
        task=task,
        facts_of=facts_of,
        **of_links,
        weights=engine.models().to_bytes(module),
        replace=statement.replace,
    )
    return {
        "model": statement.name,
        "architecture": spec.architecture,
        "hops": entry.model.hops,
        "halo": entry.model.halo,
        **({"backend": entry.slow()} if entry.slow() else {}),
        **{
            f"{split}_{learned.get('metric', 'accuracy').lower()}": share
            for split, share in learned["accuracy"].items()
        },
    }


def _beyond_memory(session: Session, graph: Any) -> bool:
    """Whether a graph lies on disk and does not fit into sxq_memory."""
    if not isinstance(graph, DiskGraph):
        return False
    return column_bytes(graph.columns()) > session.settings["sxq_memory"]


def _in_words(learned: Mapping[str, Any]) -> dict[str, str]:
    """The course of a training, accuracies, and a row of counts for each label."""
    facts = {}
    if "epochs" in learned:
        facts["epochs"] = f"{learned['epochs']}, {learned['stopped']}".removesuffix(", ")
    facts |= learned.get("settings", {})
    shares = learned["accuracy"].items()
    metric = learned.get("metric", "accuracy")
    facts |= {f"{split} {metric}": f"{share:.4f}" for split, share in shares}
    confusion = learned["confusion"]
    rates = engine.models().by_class(confusion["counts"]) if confusion else []
    for label, (counts, found) in enumerate(zip(confusion.get("counts", []), rates)):
        predicted = ", ".join(f"{count} as {other}" for other, count in enumerate(counts) if count)
        shown = ", ".join(
            f"{name} {'-' if rate is None else f'{rate:.2f}'}"
            for name, rate in zip(("precision", "recall"), found)
        )
        facts[f"{confusion['split']}: label {label}"] = predicted or "none"
        facts[f"{confusion['split']}: class {label}"] = shown
    return facts | {
        f"note {number}": note for number, note in enumerate(learned.get("notes", ()), 1)
    }


def _one_row(facts: Mapping[str, Any]) -> Table:
    return Table(list(facts), [tuple(facts.values())])


def _may_write(session: Session, what: str) -> None:
    """Refuse inside the user's open transaction; a read-only database defines in memory only."""
    if not session.store.read_only:
        session.store.require_writable(what)


def _options(options: tuple[tuple[str, Any], ...], *names: str) -> dict[str, Any]:
    """The options of CREATE GRAPH or GRAPHS: UNDIRECTED is a flag, SEED and GRAPHS are whole numbers."""
    for name, value in options:
        if name not in names:
            raise UnknownName("option", name, names)
        if name == "encode":
            if not isinstance(value, str) or not value:
                raise InvalidValue(f"ENCODE = {value!r}; expected auto, none or a graph")
        elif name in WORDS:
            if value not in WORDS[name]:
                raise InvalidValue(
                    f"{name.upper()} = {value!r}; expected {' or '.join(WORDS[name])}"
                )
        elif name == "undirected":
            if not isinstance(value, bool):
                raise InvalidValue(f"UNDIRECTED = {value!r}; expected true or false")
        elif not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvalidValue(f"{name.upper()} = {value!r}; expected a whole number of 0 or more")
    return dict(options)


def _require_used(options: dict[str, Any]) -> None:
    for name, value in options.items():
        made_of = "graphs from tables: FROM NODES ... EDGES" if name in OF_TABLES else ""
        wanted = made_of or "data sets only, such as BA-3motif"
        raise InvalidValue(f"{name.upper()} = {value!r} is for {wanted}")


def _file(session: Session, path: Any) -> str:
    """The path of a file that the statement may read; raises NotAllowed."""
    named = _text("FILE", path)
    session.store.access.require_readable(named)
    return named


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"FROM {what} {value!r}; expected text in quotes")
    return value


VERBS: dict[type, Callable[[Session, Any], Table]] = {
    st.CreateGraph: create_graph,
    st.AlterGraph: _alter_graph,
    st.AlterGraphs: _alter_graphs,
    st.CreateGraphs: create_graphs,
    st.CreateModel: create_model,
    st.TrainModel: train_model,
    st.PretrainRefine: pretrain_refine,
    st.Drop: drop,
    st.DropQuery: drop_query,
    st.SetOption: set_option,
    st.ResetOption: reset_option,
}
