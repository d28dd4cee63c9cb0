"""The corridor: a connection, and the life of a query.

    1. `split` cuts a script into statements; those that are DuckDB's go to `Store.execute`, unchanged.
    2. `parse` makes a statement of each other one, `bind` puts the parameters in.
    3. The corridor runs the sub-query of NODES and builds a `Catalog`; `plan` makes a `Plan` of both.
    4. `run` drives generators, verifier and lattices, and yields a `TargetReport` per target.
    5. `Store.save_target` commits each report as it comes.
    6. `Result` is what the caller gets.

Each room is entered once, left to right; no room calls another.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from itertools import groupby
from typing import Any

from sxq import language, planning
from sxq.asking import Question, ask
from sxq.definitions import Definitions
from sxq.errors import DataError, SQLError
from sxq.explanation import TargetReport
from sxq.graph import Graph, GraphSet
from sxq.language import statements as st
from sxq.planning import SETTINGS, Plan
from sxq.planning.nodes import Answer, FieldScan, Generate, Lattice
from sxq.registry import Registry
from sxq.result import PlanText, Result, Table
from sxq.storage import Store
from sxq.vocabulary import Vocabulary, vocabulary


class Connection:
    """A database of graphs, models and explanations, in memory or in one file.

    path       a DuckDB file, made if missing; None keeps everything in memory
    read_only  explains without storing
    report     called while long statements run, with `execution.Progress` or a line of text

    Raises StoreError (DatabaseLocked) where the file cannot be opened. Close it, or use it in a `with` block.
    """

    def __init__(self, path: str | None = None, read_only: bool = False, report: Callable[[Any], None] | None = None):
        self._store = Store(path, read_only)
        self._settings = {name: setting.read(setting.default) for name, setting in SETTINGS.items()}
        self._as_written = {name: setting.default for name, setting in SETTINGS.items()}
        self._names = Registry(self._store, self._settings)
        self._running = self._stopping = False  # plain flags, no locks: a signal handler may set them
        self._defines = Definitions(self._names, self._store, self._settings, self._as_written)
        self._defines.should_stop = lambda: self._stopping
        self.report = report
        self.last_result: Result | None = None  # of the last EXPLAIN, also when it was interrupted

    def execute(self, text: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> Table:
        """Run a script, sxq's statements and DuckDB's alike; the result of its last statement.

        parameters  values for `?` in order, or a mapping for `$name`
        Returns `Result` for an EXPLAIN, else a `Table` read completely. An interrupted script ends after the
        statement that `interrupt` stopped.
        """
        pieces = language.split(text)
        return self.run(*language.bind([language.parse(p.text, p.line, p.column) for p in pieces], parameters))

    sql = execute

    def explain(self, *, node: Any = None, nodes: Iterable[Any] | None = None, graph: Any = None,
                graphs: Iterable[Any] | None = None, query: str | None = None,
                parameters: Sequence[Any] | Mapping[str, Any] | None = None, kind: str = "node") -> Question:
        """Begin a question about one node, several, or those that a SELECT finds (with its `parameters`); or about
        graphs of a collection, by `graph`, `graphs`, or a `query` with `kind="graph"`.

            con.explain(node=42).using("gcn").optimize("fdl+", "conc").top(5).run()
        """
        return ask(self, parameters, kind, node=node, nodes=nodes, graph=graph, graphs=graphs, query=query)

    def register_graph(self, name: str, data, replace: bool = False) -> None:
        """Keep a copy of a `torch_geometric.data.Data` as graph `name`; a node's key is its position.

        The same content again is a no-op. Raises NameTaken for other content without `replace`, GraphError for
        tensors that are no graph (NaN features, edges out of range).
        """
        from sxq import learning

        self._names.add_graph(name, data if isinstance(data, Graph) else learning.graph_from_data(data), replace)

    def register_graphs(self, name: str, dataset, replace: bool = False) -> None:
        """Keep a copy of a sequence of `Data` as collection `name`, whose targets are its graphs; key = number.

        A graph's class is its `y`, where that is one whole number. Raises as `register_graph`, and names the graph.
        """
        from sxq import learning

        graphs = dataset if isinstance(dataset, GraphSet) else learning.graphs_from_data(dataset)
        self._names.add_graph(name, graphs, replace)

    def register_model(self, name: str, module, graph: str | None = None, output: str = "logits",
                       layers: int | None = None, replace: bool = False, *, graphs: str | None = None) -> None:
        """Borrow a `torch.nn.Module` with forward(x, edge_index, ...) as model `name` on a registered graph.

        graph    where it predicts; may be left out where the database knows the model or holds one graph
        graphs   instead, the collection whose graphs it classifies: forward(x, edge_index, ..., batch)
        output   what forward returns, [N, C] (of graphs one row each): "logits", "log_probs" or "probs"; one column
                 means two classes
        layers   the depth L, where it should not be found by experiment

        The module is copied and left as it is. Raises ModelError, ModelOutputError, ModelNotLocal or NameTaken.
        """
        if graphs is not None:
            self._names.of_kind("graphs", graphs)
        self._names.add_model(name, module, graphs or graph, output=output, layers=layers, replace=replace)

    def register_measure(self, name: str, fn: Callable, larger_is_better: bool, score: Callable | None = None) -> None:
        """Add a measure: `fn(batch) -> [n]` raw values of n candidates; `score(raw) -> [n]` in (0, 1] if given.

        `batch` has the field, bits [n, E], sizes [n], p_full, p_empty, p_kept [n], p_removed [n].
        """
        self._names.add_measure(name, fn, larger_is_better, score)

    def register_explainer(self, name: str, make: Callable, node_mask: bool = False) -> None:
        """Let a PyG explainer propose candidates: BY pyg (explainer = name).

        make       a function of the module to be explained that gives a new `ExplainerAlgorithm` for every target
        node_mask  whether it needs PyG's node_mask_type, "object"; a node mask counts for the edges at a node
        """
        self._names.add_explainer(name, make, node_mask)

    def interrupt(self) -> bool:
        """Stop what runs, from any thread: `execute` returns what was found, marked incomplete.

        False where nothing runs; the next statement is not stopped then.
        """
        if self._running:
            self._stopping = True
            self._store.interrupt()
        return self._running

    def vocabulary(self) -> Vocabulary:
        """Every name that a statement may hold now: what a shell completes with."""
        return vocabulary(self._names, self._store)

    def close(self) -> None:
        """Close the database; the connection is of no use afterwards."""
        self._store.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def run(self, *statements: st.Statement) -> Table:
        """Run bound statements, what `execute` makes of a script; the result of the last."""
        self._running, self._stopping = True, False
        try:
            result = Table([], [])
            for statement in statements:
                result = self._run(statement)
                if self._stopping:
                    break  # what was stopped may be what the next statement builds on
            return result
        finally:
            self._running = False

    def _run(self, statement: st.Statement) -> Table:
        self._defines.report = self.report
        match statement:
            case st.Sql():
                return self._sql(statement)
            case st.Explain():
                return self._explain(statement)[0]
            case st.PlanExplain():
                return PlanText(str(self._plan(statement.explain)[0]))
            case st.ProfileExplain():
                return self._profile(statement)
            case st.Audit():
                return self._audit(statement)
        return self._defines.run(statement)

    def _sql(self, statement: st.Sql) -> Table:
        """DuckDB's answer, unchanged; what it refused because one of our words is misspelt is a ParseError."""
        try:
            return _table(self._store.execute(statement.sql, language.arguments(statement)))
        except SQLError as error:
            raise language.misspelt(statement.sql) or error

    # -- EXPLAIN -------------------------------------------------------------------------------------------------

    def _explain(self, statement: st.Explain):
        """Steps 3 to 6 of the life of a query: the result, its plan and the profile of its run."""
        if statement.into or not self._store.read_only:
            self._store.require_writable("INTO" if statement.into else "EXPLAIN")
        plan, named = self._plan(statement)
        from sxq import execution

        profile, started = execution.Profile(), time.perf_counter()
        query_id = self._begin(statement, plan, named)
        running = execution.run(plan, self._names.graphs[named.graph], named.model, self._names.measures,
                                lambda: self._stopping, profile, self.report, self._names.learned(plan))
        reports, cut_short = self._keep(running, query_id, profile)
        result = Result(reports, self._columns(plan), query_id, str(plan), time.perf_counter() - started,
                        profile.seconds, statement.text, plan.find(Lattice).epsilon, statement.kind)
        self._finish(result, plan, profile)
        if cut_short:
            raise cut_short
        return result, plan, profile

    def _plan(self, statement: st.Explain):
        """The plan of a statement, and the model at hand."""
        if statement.into:
            self._store.require_free_table(statement.into)
        named = self._names.model(statement.model, statement.graph)
        catalog = planning.Catalog(
            graphs=self._names.graphs, models={statement.model: self._names.info(statement.model, statement.graph)},
            measures=self._names.measures, generators=self._names.generators(),
            default_generators=self._names.default_generators(), settings=self._settings,
            learned=self._names.refine_models() if statement.generators else {},
            explainers=tuple(self._names.explainers),
            stores=not self._store.read_only)
        return planning.plan(statement, catalog, self._keys(statement.keys, statement.kind)), named

    def _keys(self, keys, kind: str) -> tuple[Any, ...]:
        """The targets of a statement; a sub-query runs on the user's connection."""
        if not isinstance(keys, st.Subquery):
            return keys
        table, targets = self._store.select(keys.sql, language.arguments(keys)), f"{kind}s"
        if len(table.columns) != 1:
            raise DataError(f"the sub-query of {targets.upper()} returned {len(table.columns)} columns "
                            f"({', '.join(table.columns)}); expected one, the keys of the {targets} to explain")
        if not table.rows:
            raise DataError(f"the sub-query of {targets.upper()} returned no rows; there is nothing to explain")
        return tuple(row[0] for row in table.rows)

    def _begin(self, statement: st.Explain, plan: Plan, named) -> int | None:
        """Write the query and its targets as pending, before anything runs."""
        if self._store.read_only:
            return None
        lattice, generate = plan.find(Lattice), plan.find(Generate)
        return self._store.begin_query(
            text=statement.text, plan=str(plan), model_id=named.model_id, graph_id=self._names.graph_id(named.graph),
            settings={**self._as_written, "edges_directed": plan.find(FieldScan).directed,
                      "optimize": list(lattice.measures)},
            seed=generate.seed, epsilon=lattice.epsilon, k=plan.find(Answer).k,
            device=str(named.model.device), versions=versions(), targets=plan.find(FieldScan).targets)

    def _keep(self, running: Iterator[TargetReport], query_id: int | None, profile):
        """Commit each report as it comes; the reports, and the KeyboardInterrupt or error that cut the run short.

        Wherever it strikes, what was found is finished and saved first; a second one aborts.
        """
        reports, unsaved, cut_short, running_on = [], [], None, True
        while running_on or unsaved:
            try:
                if running_on and (report := next(running, None)) is not None:
                    reports.append(replace(report, kept=()))  # they are many, and the store has them
                    unsaved.append(report)
                else:
                    running_on = False
                clock = time.perf_counter()
                while unsaved:
                    if query_id is not None:
                        self._store.save_target(query_id, unsaved[0])
                    unsaved.pop(0)
                profile.charge("Store", clock)
            except (KeyboardInterrupt, Exception) as reason:
                if cut_short:
                    raise
                cut_short = reason
                self._stopping = True
        return reports, cut_short

    def _finish(self, result: Result, plan: Plan, profile) -> None:
        clock = time.perf_counter()
        if result.query_id is not None:
            self._store.finish_query(result.query_id, result.seconds, result.complete)
        if plan.into:
            self._store.save_into(plan.into, result.columns, result.types, result.rows)
        profile.charge("Store", clock)
        self.last_result = result

    def _columns(self, plan: Plan) -> dict[str, str]:
        """Names and columns of what a result shows: the objectives, what is always measured, what is reported."""
        names = dict.fromkeys([*plan.find(Lattice).measures, "fdl+", "fdl-", "conc"])
        shown = {name: self._names.measures[name].column for name in names}
        for name in plan.find(Answer).report:
            shown |= self._names.measures[name].columns
        return {name: column for name, column in shown.items() if name != "size"}  # a column of every result

    def _profile(self, statement: st.ProfileExplain) -> PlanText:
        result, plan, profile = self._explain(statement.explain)
        return PlanText(planning.render(plan, _notes(result, profile)))

    # -- AUDIT ---------------------------------------------------------------------------------------------------

    def _audit(self, statement: st.Audit) -> Table:
        """Measure stored explanations again; one row each, with the largest difference found."""
        from sxq import execution

        rows = []
        for (model_id, graph_id), group in groupby(self._store.stored_explanations(statement.query_id),
                                                   key=lambda stored: (stored.model_id, stored.graph_id)):
            group = list(group)
            graph, model = self._names.stored(model_id, graph_id)
            stored = (execution.Stored(e.target, e.edges, e.raw, e.factual, e.counterfactual, e.tie,
                                       e.settings["edges_directed"], e.field_size) for e in group)
            for e, found in zip(group, execution.audit(graph, model, stored)):
                rows.append((e.query_id, e.target, e.rank, e.explanation_id, found.difference, found.verdict))
                if self._stopping:
                    break
        return Table(["query_id", "target", "rank", "explanation_id", "difference", "verdict"], rows)


def _table(found) -> Table:
    return Table(found.columns, found.rows, found.df)


def _notes(result: Result, profile) -> dict[str, str]:
    """What PROFILE adds to the line of each operator: counts and times."""
    seconds = {name: f"{spent:.3f} s" for name, spent in profile.seconds.items()}
    rate = profile.candidates / max(profile.seconds.get("Verify", 0), 1e-9)
    pruned = sum(report.pruned for report in result.targets)
    counts = {"Generate": f"{pruned} pruned" if pruned else "",
              "Verify": f"{profile.candidates} candidates in {profile.rounds} rounds, {rate:,.0f}/s",
              "Lattice": f"{result.explanatory} explanatory, front {result.front}",
              "Answer": f"{len(result)} explanations, coverage {result.coverage or 0:.1%}",
              "Store": f"{len(result.targets)} targets"}
    return {name: ", ".join(filter(None, (counts.get(name), seconds.get(name)))) for name in {**seconds, **counts}}


@cache
def versions() -> dict[str, str]:
    """Versions of everything that can change an answer."""
    return {name: version(name) for name in ("sxq", "torch", "torch-geometric", "numpy", "duckdb")}
