"""The corridor: a connection, and the life of a query.

    1. `split` cuts a script into statements; those that are DuckDB's go to `Store.execute`, unchanged.
    2. `parse` makes a statement of each other one, `bind` puts the parameters in.
    3. The corridor runs the sub-query of NODES and builds a `Catalog`; `plan` makes a `Plan` of both.
    4. `run` drives generators, verifier and lattices, and yields a `TargetReport` per target.
    5. `Store.save_target` commits each report as it comes.
    6. `Result` is what the caller gets.

Each room is entered once, left to right; no room calls another.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sxq import language
from sxq.errors import SQLError
from sxq.graph import Graph, GraphSet
from sxq.language import statements as st
from sxq.planning import SETTINGS
from sxq.session import Registry
from sxq.session.audit import audit
from sxq.session.builder import ExplainQuery, ask
from sxq.session.define import Definitions
from sxq.session.explain import Explaining, Stop
from sxq.session.turns import Turns, in_turn
from sxq.session.vocabulary import Vocabulary, vocabulary
from sxq.storage import Store
from sxq.values.result import Result, Table


class Connection:
    """A database of graphs, models and explanations, in memory or in one file.

    path       a DuckDB file, made if missing; None keeps everything in memory
    read_only  explains without storing
    report     called while long statements run, with `execution.Progress` or a line of text

    Raises StoreError (DatabaseLocked) where the file cannot be opened. Close it, or use it in a `with` block.

    *Threads* may share a connection. It does one thing at a time: a script, a registration or `close` waits
    until the one before has ended. `interrupt` does not wait. A statement inside another one (called by a
    report, a measure or a model) raises ConnectionBusy. `last_result` belongs to the thread that explained last.
    Connections to one file in one process see what the others register, replace or drop when their next
    statement begins.

    *A forked process* opens its own connections: an inherited one raises ForkedConnection, and `close` does
    nothing, so the parent's file stays as it is.
    """

    def __init__(
        self,
        path: str | None = None,
        read_only: bool = False,
        report: Callable[[Any], None] | None = None,
    ):
        self._store = Store(path, read_only)
        self._settings = {name: setting.read(setting.default) for name, setting in SETTINGS.items()}
        self._as_written = {name: setting.default for name, setting in SETTINGS.items()}
        self._names = Registry(self._store, self._settings)
        self._turns = Turns()
        self._running, self._stop = False, Stop()
        self._defines = Definitions(self._names, self._store, self._settings, self._as_written)
        self._explains = Explaining(
            self._names, self._store, self._settings, self._as_written, self._stop
        )
        self._defines.should_stop = lambda: self._stop.wanted
        self.report = report

    @property
    def last_result(self) -> Result | None:
        """What the last EXPLAIN found, also when it was interrupted."""
        return self._explains.last

    def execute(
        self, text: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> Table:
        """Run a script, sxq's statements and DuckDB's alike; the result of its last statement.

        parameters  values for `?` in order, or a mapping for `$name`
        Returns `Result` for an EXPLAIN, else a `Table` read completely. An interrupted script ends after the
        statement that `interrupt` stopped.
        """
        pieces = language.split(text)
        return self.run(
            *language.bind([language.parse(p.text, p.line, p.column) for p in pieces], parameters)
        )

    sql = execute

    def explain(
        self,
        *,
        node: Any = None,
        nodes: Iterable[Any] | None = None,
        graph: Any = None,
        graphs: Iterable[Any] | None = None,
        query: str | None = None,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        kind: str = "node",
    ) -> ExplainQuery:
        """Begin a question about one node, several, or those that a SELECT finds (with its `parameters`); or about
        graphs of a collection, by `graph`, `graphs`, or a `query` with `kind="graph"`.

            con.explain(node=42).using("gcn").optimize("fdl+", "conc").top(5).run()
        """
        return ask(
            self, parameters, kind, node=node, nodes=nodes, graph=graph, graphs=graphs, query=query
        )

    @in_turn
    def register_graph(self, name: str, data, replace: bool = False) -> None:
        """Keep a copy of a `torch_geometric.data.Data` as graph `name`; a node's key is its position.

        The same content again is a no-op. Raises NameTaken for other content without `replace`, GraphError for
        tensors that are no graph (NaN features, edges out of range).
        """
        from sxq import models as learning

        self._names.refresh()
        self._names.graphs.add(
            name, data if isinstance(data, Graph) else learning.graph_from_data(data), replace
        )

    @in_turn
    def register_graphs(self, name: str, dataset, replace: bool = False) -> None:
        """Keep a copy of a sequence of `Data` as collection `name`, whose targets are its graphs; key = number.

        A graph's class is its `y`, where that is one whole number. Raises as `register_graph`, and names the graph.
        """
        from sxq import models as learning

        self._names.refresh()
        graphs = dataset if isinstance(dataset, GraphSet) else learning.graphs_from_data(dataset)
        self._names.graphs.add(name, graphs, replace)

    @in_turn
    def register_model(
        self,
        name: str,
        module,
        graph: str | None = None,
        output: str = "logits",
        layers: int | None = None,
        replace: bool = False,
        *,
        graphs: str | None = None,
    ) -> None:
        """Borrow a `torch.nn.Module` with forward(x, edge_index, ...) as model `name` on a registered graph.

        graph    where it predicts; may be left out where the database knows the model or holds one graph
        graphs   instead, the collection whose graphs it classifies: forward(x, edge_index, ..., batch)
        output   what forward returns, [N, C] (of graphs one row each): "logits", "log_probs" or "probs"; one column
                 means two classes
        layers   the depth L, where it should not be found by experiment

        The module is copied and left as it is. Raises ModelError, ModelOutputError, ModelNotLocal or NameTaken.
        """
        self._names.refresh()
        if graphs is not None:
            self._names.graphs.of_kind("graphs", graphs)
        self._names.add_model(
            name, module, graphs or graph, output=output, layers=layers, replace=replace
        )

    @in_turn
    def register_measure(
        self, name: str, fn: Callable, larger_is_better: bool, score: Callable | None = None
    ) -> None:
        """Add a measure: `fn(batch) -> [n]` raw values of n candidates; `score(raw) -> [n]` in (0, 1] if given.

        `batch` has the field, bits [n, E], sizes [n], p_full, p_empty, p_kept [n], p_removed [n].
        """
        self._names.add_measure(name, fn, larger_is_better, score)

    @in_turn
    def register_explainer(self, name: str, make: Callable, node_mask: bool = False) -> None:
        """Let a PyG explainer propose candidates: BY pyg (explainer = name).

        make       a function of the module to be explained that gives a new `ExplainerAlgorithm` for every target
        node_mask  whether it needs PyG's node_mask_type, "object"; a node mask counts for the edges at a node
        """
        self._names.learned.add_explainer(name, make, node_mask)

    def interrupt(self) -> bool:
        """Stop what runs, from any thread: `execute` returns what was found, marked incomplete.

        False where nothing runs; the next statement is not stopped then. Statements that wait are never stopped.
        """
        self._store.require_own_process()
        if self._running:
            self._stop.wanted = True
            self._store.interrupt()
        return self._running

    @in_turn
    def vocabulary(self) -> Vocabulary:
        """Every name that a statement may hold now: what a shell completes with."""
        self._names.refresh()
        return vocabulary(self._names, self._store)

    def close(self) -> None:
        """Close the database once the running statement has ended; the connection is of no use afterwards.

        Call `interrupt` first to end that statement early. In a forked process `close` does nothing.
        """
        if self._store.own_process():
            self._close()

    @in_turn
    def _close(self) -> None:
        self._store.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @in_turn
    def run(self, *statements: st.Statement) -> Table:
        """Run bound statements, what `execute` makes of a script; the result of the last."""
        self._running, self._stop.wanted = True, False
        try:
            result = Table([], [])
            for statement in statements:
                result = self._run(statement)
                if self._stop.wanted:
                    break  # what was stopped may be what the next statement builds on
            return result
        finally:
            self._running = False

    def _run(self, statement: st.Statement) -> Table:
        if isinstance(statement, st.Sql):
            return self._sql(statement)
        self._names.refresh()
        self._defines.report = self._explains.report = self.report
        match statement:
            case st.Explain():
                return self._explains.run(statement)
            case st.PlanExplain():
                return self._explains.plan(statement.explain)
            case st.ProfileExplain():
                return self._explains.profile(statement.explain)
            case st.Audit():
                return audit(
                    self._names, self._store, statement.query_id, lambda: self._stop.wanted
                )
        return self._defines.run(statement)

    def _sql(self, statement: st.Sql) -> Table:
        """DuckDB's answer, unchanged; what it refused because one of our words is misspelt is a ParseError."""
        try:
            found = self._store.execute(statement.sql, language.arguments(statement))
            return Table(found.columns, found.rows, found.df)
        except SQLError as error:
            raise language.misspelt(statement.sql) or error
