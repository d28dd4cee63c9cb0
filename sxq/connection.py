"""The corridor: a connection, and the life of a query.

    1. `split` cuts a script into statements; those that are DuckDB's go to `Store.execute`, unchanged.
    2. `parse` makes a statement of each other one, `bind` puts the parameters in.
    3. The corridor runs the sub-query of NODES and builds a `Catalog`; `plan` makes a `Plan` of both.
    4. `run` drives generators, verifier and lattices, and yields a `TargetReport` per target.
    5. `Store.save_target` commits each report as it comes.
    6. `Result` is what the caller gets.

Each room is entered once, left to right; no room calls another.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sxq import language, planning
from sxq.errors import DataError, InvalidValue, SQLError
from sxq.explanation import TargetReport
from sxq.language import statements as st
from sxq.planning import SETTINGS, Plan
from sxq.registry import Registry, known
from sxq.result import Result, Table
from sxq.storage import Store


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
        self._interrupt = threading.Event()
        self.report = report
        self.last_result: Result | None = None  # of the last EXPLAIN, also when it was interrupted

    def execute(self, text: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> Table:
        """Run a script, sxq's statements and DuckDB's alike; the result of its last statement.

        parameters  values for `?` in order, or a mapping for `$name`
        Returns `Result` for an EXPLAIN, else a `Table` read completely.
        """
        pieces = language.split(text)
        script = language.bind([language.parse(p.text, p.line, p.column) for p in pieces], parameters)
        result = Table([], [])
        for statement in script:
            result = self._run[type(statement)](self, statement)
        return result

    sql = execute

    # -- EXPLAIN -------------------------------------------------------------------------------------------------

    def _explain(self, statement: st.Explain) -> Result:
        return self._explained(statement)[0]

    def _explained(self, statement: st.Explain):
        """The result of an EXPLAIN and the profile of its run."""
        from sxq import execution

        stores = not self._store.read_only
        if stores:
            self._store.require_writable("EXPLAIN")
        if statement.into:
            self._store.require_free_table(statement.into)
        plan, named = self._plan(statement)
        profile, started = execution.Profile(), time.perf_counter()
        query_id = self._begin(statement, plan, named) if stores else None
        self._interrupt.clear()
        running = execution.run(plan, self._names.graphs[named.graph], named.model, self._names.measures,
                                self._interrupt, profile, self.report)
        reports, interrupted = self._drain(running, query_id, profile)
        seconds = time.perf_counter() - started
        result = Result(reports, self._columns(plan), query_id, str(plan), seconds)
        if stores:
            self._store.finish_query(query_id, seconds, result.complete)
            profile.charge("Store", profile.mark)
        if statement.into:
            self._store.save_into(statement.into, result.df())
        self.last_result = result
        if interrupted:
            raise interrupted
        return result, profile, plan

    def _plan(self, statement: st.Explain):
        """Step 3: names and targets resolved; the plan, and the model at hand."""
        known("model", statement.model, dict.fromkeys(self._names.model_names()))
        named = self._names.model(statement.model, statement.graph)
        keys = self._keys(statement.keys)
        catalog = planning.Catalog(
            graphs=self._names.graphs, models={statement.model: self._names.info(statement.model, statement.graph)},
            measures=self._names.measures, generators=self._names.generators(), settings=self._settings,
            default_generators=_default_generators(), stores=not self._store.read_only)
        return planning.plan(statement, catalog, keys), named

    def _keys(self, keys) -> tuple[Any, ...]:
        """The targets of a statement, its sub-query run on the user's connection."""
        if not isinstance(keys, st.Subquery):
            return keys
        table = self._store.execute(keys.sql, language.arguments(keys))
        if len(table.columns) != 1:
            raise DataError(f"the sub-query of NODES returned {len(table.columns)} columns "
                            f"({', '.join(table.columns)}), expected one: the keys of nodes")
        if not table.rows:
            raise DataError("the sub-query of NODES returned no rows, so there is nothing to explain")
        return tuple(row[0] for row in table.rows)

    def _begin(self, statement: st.Explain, plan: Plan, named) -> int:
        ...
