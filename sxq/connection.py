"""The corridor: a connection, and the life of a query.

    1. `split` cuts a script into statements, `parse` makes a value of each, and `bind` puts the parameters in.
    2. `Connection.run` takes them in order; a statement that is DuckDB's goes to `Store.execute`, unchanged.
    3. For an EXPLAIN the sub-query of its targets runs, and `plan` makes a `Plan` of the statement and a `Catalog`.
    4. `run` drives generators, verifier and lattices, and yields a `TargetReport` per target.
    5. `Store.save_target` stores each report as it comes; those that come together are committed together.
    6. A `Result` is what the caller gets.

Each room is entered once, left to right; no room calls another.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sxq import language
from sxq.errors import InputWarning, InvalidValue, QueryError, SpeedWarning, StoreWarning
from sxq.language import statements as st
from sxq.session import Session, engine, explain, resume, snapshots
from sxq.session.alteration import GraphAlteration
from sxq.session.builder import ExplainQuery, start
from sxq.session.define import alter_by_data, define
from sxq.session.explain import RunningQuery, require_executor
from sxq.session.lock import locked
from sxq.session.predict import predict
from sxq.session.rights import access
from sxq.session.show import describe, show
from sxq.session.sql import run_sql
from sxq.session.vocabulary import Vocabulary, vocabulary
from sxq.values.result import Result, Table

Parameters = Sequence[Any] | Mapping[str, Any] | None  # for `?` in order, or by name for `$name`


class Connection:
    """A database of graphs, models and explanations, in memory or in one file.

    path          a DuckDB file, created if missing; None keeps everything in memory
    read_only     explains without storing
    report        called while long statements run, with `execution.Progress` or a line of text
    untrusted     runs text from strangers: statements reach no files, settings, extensions or Python variables
    allow         folders whose files untrusted statements may name in FROM FILE
    memory_limit  of untrusted SQL, such as '512 MB' (default: 1 GB)
    lock_timeout  seconds that opening waits for another process, and a statement for another thread's; "auto"
                  waits 1 second and without limit. The setting sxq_lock_timeout changes it later

    Raises StoreError (DatabaseLocked) where the file cannot be opened. Close it, or use it in a `with` block.

    *Threads* may share a connection. It does one thing at a time: a script, a registration or `close` waits
    until the one before has ended, or raises ConnectionBusy after `lock_timeout`. `interrupt` does not wait.
    A statement inside another one (called by a report, a measure or a model) raises ConnectionBusy.
    `last_result` is that of the last EXPLAIN in any thread. Connections to one file in one process see what
    the others register, replace or drop when their next statement begins.

    *A forked process* opens its own connections: an inherited one raises ForkedConnection, and `close` does
    nothing, so the parent's file stays as it is.
    """

    def __init__(
        self,
        path: str | None = None,
        read_only: bool = False,
        report: Callable[[Any], None] | None = None,
        *,
        untrusted: bool = False,
        allow: Iterable[str | Path] = (),
        memory_limit: str | int | None = None,
        lock_timeout: float | str = "auto",
    ):
        self.rights = access(read_only, untrusted, allow, memory_limit)
        # for the rooms of this package
        self.session = Session.open(path, read_only, report, self.rights, lock_timeout)
        for note in self.session.store.notes:
            warnings.warn(note, StoreWarning, stacklevel=2)

    # -- the life of a query ---------------------------------------------------------------------

    def execute(self, text: str, parameters: Parameters = None, *, executor: Any = None) -> Table:
        """Run a script, sxq's statements and DuckDB's alike; the result of its last statement.

        parameters  values for `?` in order, or a mapping for `$name`
        executor    a `concurrent.futures.Executor` that searches the targets of EXPLAIN, RESUME and REFRESH,
                    such as a ProcessPoolExecutor or one of `sxq.executors`; the answers are the same. One target,
                    and JOINTLY, stay in this process

        Returns a `Result` for an EXPLAIN, else a `Table` that is read completely. For a script that
        ends with an EXPLAIN, `query` promises a `Result`. An interrupted script ends after the
        statement that `interrupt` stopped.
        """
        return self.run(*_statements(text, parameters), executor=executor)

    sql = execute

    @locked
    def run(self, *statements: st.Statement, executor: Any = None) -> Table:
        """Run bound statements, as `execute` makes them from a script; the result of the last."""
        session = self.session
        result = Table([], [])
        if executor is not None:
            require_executor(executor)
        with session.script(executor):
            for statement in statements:
                try:
                    result = self._run(statement)
                finally:  # also a statement that failed may have stored
                    snapshots.renew(session)
                if session.should_stop():
                    break  # the next statement may build on what was stopped
        return result

    def _run(self, statement: st.Statement) -> Table:
        session = self.session
        if isinstance(statement, st.Sql):
            return run_sql(session, statement)
        session.registry.refresh()
        match statement:
            case st.Explain():
                return self._explain(statement)[0]
            case st.PlanExplain():
                return explain.show_plan(session, statement.explain)
            case st.ProfileExplain():
                return explain.show_profile(*self._explain(statement.explain))
            case st.Resume():
                return self._resume(statement)
            case st.Refresh():
                from sxq.session.refresh import refresh

                return refresh(session, statement)
            case st.Audit():
                from sxq.session.audit import audit

                return audit(session, statement)
            case st.Predict():
                return predict(session, statement)
            case st.Show():
                return show(session, statement)
            case st.Describe():
                return describe(session, statement)
        return define(session, statement)

    def _resume(self, statement: st.Resume) -> Result:
        part = resume.unfinished(self.session, statement)
        if isinstance(part, Result):
            self.session.last = part
            return part
        with self.session.settings.held(part.settings):
            return self._explain(part.statement, part)[0]

    def _explain(
        self, statement: st.Explain, part_of: explain.Unfinished | None = None
    ) -> tuple[Result, RunningQuery]:
        planned = explain.plan(self.session, statement, part_of)
        running = explain.run(self.session, planned)
        saved = explain.save(self.session, running)
        return explain.result(self.session, running, saved), running

    # -- the same for callers of Python ----------------------------------------------------------

    def query(self, text: str, parameters: Parameters = None, *, executor: Any = None) -> Result:
        """Run a script that ends with an EXPLAIN, and return its `Result`; arguments as of `execute`.

        Raises QueryError, before anything runs, if the last statement is not an EXPLAIN.
        """
        statements = _statements(text, parameters)
        if not statements or not isinstance(statements[-1], st.Explain):
            found = type(statements[-1]).__name__ if statements else "nothing"
            raise QueryError(
                f"query() takes a script that ends with an EXPLAIN, found {found}; "
                "execute() takes any script"
            )
        result = self.run(*statements, executor=executor)
        if not isinstance(result, Result):
            raise QueryError("the script was interrupted before its EXPLAIN began")
        return result

    def explain(
        self,
        *,
        node: Any = None,
        nodes: Iterable[Any] | None = None,
        graph: Any = None,
        graphs: Iterable[Any] | None = None,
        link: tuple[Any, Any] | None = None,
        links: Iterable[tuple[Any, Any]] | None = None,
        query: str | None = None,
        class_: int | None = None,
        parameters: Parameters = None,
        kind: str = "node",
        node_type: str | None = None,
        edge_type: str | tuple[str, str, str] | None = None,
    ) -> ExplainQuery:
        """Start an EXPLAIN about one node, several, or those that a SELECT finds (with its `parameters`).

        For graphs of a collection, give `graph`, `graphs`, or a `query` with `kind="graph"`; for links `link`, a
        pair of keys, `links`, or a `query` of two columns with `kind="link"`. With
        `class_` it starts an EXPLAIN CLASS. Its targets are those that the model puts in this class;
        `nodes`, `graphs` or `query` restrict them. In a heterogeneous graph `node_type` says of which type
        the keys are, and `edge_type` of which type links are: a relation, or all three parts.

            con.explain(node=42).using("gcn").optimize("fdl+", "conc").top(5).run()
        """
        targets = {"node": node, "nodes": nodes, "graph": graph, "graphs": graphs}
        targets |= {"link": link, "links": links, "query": query}
        types = {"node_type": node_type, "edge_type": edge_type}
        return start(self.run, parameters, kind, **targets, class_=class_, **types)

    def alter_graph(self, name: str) -> GraphAlteration:
        """Start an ALTER GRAPH: the next version of a graph, with nodes and edges added, or edges removed.

        con.alter_graph("bank").add_edges("SELECT payer, payee, amount FROM today").run()
        """
        return GraphAlteration(self.run, name)

    @locked
    def alter_graphs(
        self, name: str, add=None, *, keys: Iterable[Any] | None = None, remove: Iterable[Any] = ()
    ) -> Table:
        """ALTER GRAPHS: the next version of a collection, without the graphs `remove`, and then with those of `add`.

        add     graphs as `register_graphs` takes them
        keys    their keys; where the keys of the collection are numbers, by default the next ones
        remove  keys of graphs; removed and added under its key, a graph is a changed one

        A row of what was done. Raises what ALTER GRAPHS raises; the message names the graph.

            con.alter_graphs("molecules", remove=[17], add=[data], keys=[17])
        """
        self.session.registry.refresh()
        return alter_by_data(self.session, name, add, keys, remove)

    def refresh(self, query_id: int | None = None) -> Table:
        """Bring the answers of a stored query, or of all, to the present version of their graph: REFRESH.

        A row for each new query, with the numbers of targets that were carried over, measured and searched.
        """
        return self.run(st.Refresh(query_id))

    @property
    def last_result(self) -> Result | None:
        """The result of the last EXPLAIN, also when it was interrupted."""
        return self.session.last

    @property
    def report(self) -> Callable[[Any], None] | None:
        """Called while long statements run, with `execution.Progress` or a line of text."""
        return self.session.report

    @report.setter
    def report(self, report: Callable[[Any], None] | None) -> None:
        self.session.report = report

    def interrupt(self) -> bool:
        """Stop the running script, from any thread: `execute` returns what was found, marked incomplete.

        Returns False if nothing runs; then the next statement is not stopped. Waiting statements are never stopped.
        """
        return self.session.interrupt()

    @locked
    def vocabulary(self) -> Vocabulary:
        """Every name that a statement may use now, for the completion of a shell."""
        self.session.registry.refresh()
        return vocabulary(self.session.registry, self.session.store)

    # -- registration ----------------------------------------------------------------------------

    @locked
    def register_graph(
        self, name: str, data, replace: bool = False, *, storage: str | None = None
    ) -> None:
        """Keep a copy of a `torch_geometric.data.Data` as graph `name`; a node's key is its position.

        storage  "memory", or "disk": in a folder of memory-mapped arrays beside the database. By default disk for a
                 graph that takes more than sxq_memory. Tensors of data that are mapped files themselves are copied in
                 blocks

        Registering the same content again changes nothing. Raises NameTaken for other content without
        `replace`, GraphError for tensors that do not form a graph (NaN features, edges out of range).
        """
        self.session.registry.refresh()
        self.session.registry.graphs.add_data(name, data, replace, storage)

    @locked
    def register_graphs(self, name: str, dataset, replace: bool = False) -> None:
        """Keep a copy of a sequence of `Data` as collection `name`; a graph's key is its number.

        dataset  a sequence, a data set, a Batch or a DataLoader of `Data`, or one `Data`

        The graphs are targets. A graph's class is its `y` if that is one whole number. Raises what
        `register_graph` raises; the message names the graph.
        """
        self.session.registry.refresh()
        self.session.registry.graphs.add_dataset(name, dataset, replace)

    @locked
    def register_table(self, name: str, frame, replace: bool = False) -> None:
        """Let SQL read a DataFrame of pandas or Polars, or a table of Arrow, as table `name`.

        It is read in place by each query, and is neither copied nor stored: it is gone when the connection
        closes, or after `DROP VIEW name`. CREATE TABLE ... AS FROM name keeps it.

            con.register_table("accounts", frame)
            con.execute("CREATE GRAPH bank FROM NODES (FROM accounts) EDGES (FROM transfers) (ENCODE = auto)")

        Raises NameTaken for a name in use; `replace` puts another frame in the place of an earlier one.
        """
        self.session.store.register_table(name, frame, replace)

    @locked
    def register_model(
        self,
        name: str,
        module,
        graph: str | None = None,
        output: str | None = None,
        layers: int | None = None,
        *,
        replace: bool = False,
        graphs: str | None = None,
        task: str | None = None,
        node_type: str | None = None,
        kind: str | None = None,
        edge_type: str | tuple[str, str, str] | None = None,
        output_key: str | int | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        """Borrow a `torch.nn.Module` with forward(x, edge_index, ...) as model `name` on a registered graph.

        graph    the graph on which it predicts; optional if the database knows the model, or only
                 one graph
        graphs   instead, the collection whose graphs it classifies: forward(x, edge_index, ..., batch)
        output   what forward returns, [N, C] (for graphs one row each): "logits", "log_probs" or "probs"; one
                 column means two classes. Left out, it is inferred; ModelOutputError if it is uncertain
        layers   the depth L; found by experiment if left out
        task     what the columns are: "multiclass", "binary" (one column, two classes), "multilabel" (labels that
                 each apply or not) or "regression" (numbers); inferred like output
        node_type  of a heterogeneous graph, whose nodes the model is about; needed only where its outputs do not tell

        kind     "node" or "link": whether it judges nodes, or scores pairs of nodes by forward(x, edge_index,
                 edge_label_index), or by encode(x, edge_index) and decode(z, edge_label_index); left out, a module
                 that takes pairs is of links
        edge_type  of a heterogeneous graph, the type of the links that it scores, between nodes of its two types: a
                 relation, or (source type, relation, type of the head); needed where the graph has several
        output_key  which output is meant, where forward returns several: a position in a tuple, a key of a dictionary
        inputs   argument of forward -> field of the data, where names differ: {"weight": "edge_weight"}; "x",
                 "edge_index" and "batch" are fields, too

        The module is copied and left as it is. Each argument of forward gets the graph's array of that name;
        an InputWarning names the arrays that forward does not take, a SpeedWarning what of the module keeps it from
        running layer by layer. Raises ModelError, ModelOutputError,
        ModelNotLocal or NameTaken.
        """
        registry = self.session.registry
        registry.refresh()
        if graphs is not None:
            registry.graphs.of_kind("graphs", graphs)
        entry = registry.models.add(
            name,
            module,
            graphs or graph,
            output=output,
            task=task,
            layers=layers,
            node_type=node_type,
            kind=kind,
            edge_type=edge_type,
            output_key=output_key,
            inputs=inputs,
            replace=replace,
        )
        for remark in entry.remarks():
            warnings.warn(remark, InputWarning, stacklevel=4)  # beyond the lock
        if slow := entry.slow():
            warnings.warn(f"model {name!r}: {slow}", SpeedWarning, stacklevel=4)

    @locked
    def register_measure(
        self, name: str, fn: Callable, larger_is_better: bool, score: Callable | None = None
    ) -> None:
        """Add a measure: `fn(batch) -> [n]` raw values of n candidates; `score(raw) -> [n]` in (0, 1] if given.

        `batch` has the field, bits [n, E], sizes [n], p_full, p_empty, p_kept [n], p_removed [n].
        """
        self.session.registry.add_measure(name, fn, larger_is_better, score)

    @locked
    def register_explainer(self, name: str, make: Callable, node_mask: bool = False) -> None:
        """Let a PyG explainer propose candidates: BY pyg (explainer = name).

        make       called with the module for every target; returns a new `ExplainerAlgorithm`
        node_mask  whether it needs PyG's node_mask_type "object"; a node mask counts for the node's
                   edges
        """
        self.session.registry.learned.add_explainer(name, make, node_mask)

    # -- the file --------------------------------------------------------------------------------

    @locked
    def backup(self, path: str) -> None:
        """Copy the whole database, as of now, to a new file; also a database in memory.

        The new file is complete, or there is none. Uncommitted changes of an open transaction are left
        out. Raises NameTaken if the file exists, StoreError if it cannot be written.
        """
        self.session.store.backup(str(path))

    # -- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the database once the running statement has ended; nothing can be run afterwards.

        Call `interrupt` first to end that statement early. In a forked process `close` does nothing.
        """
        if self.session.store.own_process():
            self._close()

    @locked
    def _close(self) -> None:
        self.session.store.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _statements(text: str, parameters: Parameters) -> tuple[st.Statement, ...]:
    """The statements of a script with their parameters; raises ParseError or InvalidValue."""
    _require_text(text, "the statement")
    _require_text(parameters, "a parameter")
    pieces = language.split(text)
    statements = [language.parse(piece.text, piece.line, piece.column) for piece in pieces]
    return tuple(language.bind(statements, parameters))


def _require_text(value: Any, what: str) -> None:
    """Raise InvalidValue for text, also inside lists and mappings, that is no Unicode: it has no bytes to store."""
    if what == "the statement" and not isinstance(value, str):
        raise InvalidValue(f"{what} is {type(value).__name__}, expected text")
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise InvalidValue(
                    f"{what} holds {value[error.start]!a} at character {error.start + 1}, half of a surrogate pair"
                    " and no Unicode text"
                ) from None
        case list() | tuple() | set():
            for item in value:
                _require_text(item, what if what != "the statement" else "a parameter")
        case dict():
            _require_text([*value, *value.values()], what)


def import_weights(source: str, target: str) -> str:
    """Write the weights that torch.save wrote as safetensors; see models/imported_weights.py. Raises DataError."""
    return engine.models().import_weights(source, target)
