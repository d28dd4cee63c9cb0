"""What pages and tools show of a database, as plain values that JSON can hold.

Names and keys are text here, as they stand in the file; who shows them must escape them.
"""

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sxq.connection import Connection
from sxq.errors import SQLError
from sxq.language import statements as st
from sxq.pictures.drawn_pattern import drawn_pattern
from sxq.session.glance import Glance, glance, read_only_statement
from sxq.session.lock import locked
from sxq.session.stored_result import stored_result
from sxq.values.result import Result, Table
from sxq.values.sql_text import sql_text
from sxq.values.table import cell, printable

MEMORY = "4 GB"  # that SQL may take
ROWS = 1000  # most rows of the user's SQL
TARGETS = 20_000  # most targets of a list
SECONDS = 30.0  # after which the user's SQL is stopped
WIDEST = 2000  # characters of a cell
EXACT = 2**53  # JavaScript's whole numbers are exact up to here

_QUERIES = """
    SELECT q.query_id, q.text, m.name AS model, g.name AS graph, q.started_at, q.seconds, q.complete, q.status,
           q.epsilon, q.k, q.seed,
           (SELECT count(*) FROM sxq.targets t WHERE t.query_id = q.query_id) AS targets,
           (SELECT count(*) FROM sxq.explanations e WHERE e.query_id = q.query_id) AS explanations,
           (SELECT count(*) FROM sxq.patterns p WHERE p.query_id = q.query_id) AS patterns,
           (SELECT sum(dominance) / nullif(sum(explanatory), 0) FROM sxq.targets t WHERE t.query_id = q.query_id)
               AS coverage
    FROM sxq.queries q LEFT JOIN sxq.models m USING (model_id)
    LEFT JOIN sxq.graphs g ON g.graph_id = q.graph_id
    ORDER BY q.query_id DESC"""

_TARGETS = """
    WITH members AS (
        SELECT target, count(*) AS members, bool_or(counterfactual) AS any_counterfactual,
               arg_min({'rank': rank, 'size': size, 'factual': factual, 'counterfactual': counterfactual, 'tie': tie},
                       (NOT coalesce(recommended, false), rank)) AS first
        FROM sxq.explanations WHERE query_id = $q GROUP BY target)
    SELECT ordinal, target, node_type, status, prediction, class, probability, p_empty, self_sufficient,
           coalesce(members, 0) AS members, first.rank AS rank, first.size AS size, first.factual AS factual,
           first.counterfactual AS counterfactual, first.tie AS tie, coverage, candidates, note
    FROM sxq.targets LEFT JOIN members USING (target)
    WHERE query_id = $q ORDER BY ordinal"""

_COMPARED = """
    SELECT x.ordinal AS ordinal_a, y.ordinal AS ordinal_b, c.*
    FROM sxq.compare($a, $b) c
    JOIN sxq.targets x ON x.query_id = $a AND x.target = c.target AND x.node_type IS NOT DISTINCT FROM c.node_type
    JOIN sxq.targets y ON y.query_id = $b AND y.target = c.target AND y.node_type IS NOT DISTINCT FROM c.node_type
    ORDER BY x.ordinal"""

_EXTENT = """
    SELECT (SELECT count(*) FROM sxq.targets t WHERE t.query_id = $q) AS targets,
           EXISTS (FROM sxq.candidates c WHERE c.query_id = $q) AS kept"""

_FACTS = "SELECT plan, device, versions, settings FROM sxq.queries WHERE query_id = $q"


class Answers:
    """The stored answers of a database, read on connections of their own: one for pages, one for users' SQL.

    Statements are untrusted: they reach no files and no settings. Raises StoreError where the file cannot
    be opened.
    """

    def __init__(self, path: str, write: bool = False):
        self.path = path
        self.write = write
        self._pages = self.connection()
        self._sql = self.connection()
        self._explaining: Connection | None = None

    def connection(self) -> Connection:
        """One more connection with the same rights; the caller closes it."""
        return Connection(self.path, read_only=not self.write, untrusted=True, memory_limit=MEMORY)

    def explaining(self) -> Connection:
        """The connection of the EXPLAIN that runs, so that pages need not wait for it."""
        if self._explaining is None:
            self._explaining = self.connection()
        return self._explaining

    def close(self) -> None:
        """Stop what runs, and close the database."""
        for con in (self._explaining, self._sql, self._pages):
            if con is not None:
                con.interrupt()
                con.close()

    # -- pages ---------------------------------------------------------------------------------

    def queries(self) -> list[dict[str, Any]]:
        """Every stored query, the newest first."""
        return records(first_rows(self._pages, _QUERIES, TARGETS))

    def query_page(self, query_id: int) -> dict[str, Any]:
        """A query with its facts, targets and patterns; raises InvalidValue if there is none."""
        require_stored(self._pages, query_id)
        (own,) = [row for row in self.queries() if row["query_id"] == query_id]
        own_row = {"q": query_id}
        (facts,) = records(first_rows(self._pages, _FACTS, 1, own_row))
        return {
            "query": own,
            "plan": facts["plan"],
            "device": facts["device"],
            "versions": facts["versions"],
            "targets": records(first_rows(self._pages, _TARGETS, TARGETS, own_row)),
            "patterns": self._patterns(query_id, own["patterns"]),
        }

    def _patterns(self, query_id: int, count: int) -> list[dict[str, Any]]:
        if not count:
            return []
        return [drawn_pattern(p) for p in stored(self._pages, query_id, 0).patterns]

    def target(self, query_id: int, ordinal: int) -> Result:
        """The answer of one target; raises InvalidValue if there is none."""
        return stored(self._pages, query_id, ordinal)

    def extent(self, query_id: int) -> dict[str, Any]:
        """How many targets a query has, and whether its candidates were kept."""
        (row,) = records(first_rows(self._pages, _EXTENT, 1, {"q": query_id}))
        return row

    def compare(self, a: int, b: int) -> list[dict[str, Any]]:
        """Two queries side by side, target by target; raises InvalidValue if one does not exist."""
        for query_id in (a, b):
            require_stored(self._pages, query_id)
        return records(first_rows(self._pages, _COMPARED, TARGETS, {"a": a, "b": b}))

    # -- the user's SQL ------------------------------------------------------------------------

    def run(self, text: str, most_rows: int = ROWS) -> Glance:
        """The first rows of one statement that reads; raises what it raises.

        It is stopped after SECONDS.
        """
        statement = read_only_statement(text)
        with _stopped_late(self._sql):
            if isinstance(statement, st.Sql):
                return first_rows(self._sql, statement.sql, most_rows)
            return _first(self._sql.run(statement), most_rows)


@locked
def first_rows(
    con: Connection, sql: str, most_rows: int, parameters: Mapping[str, Any] | None = None
) -> Glance:
    """The first rows of one SELECT, which `con.interrupt` stops."""
    with con.session.script():
        return glance(con.session, sql, most_rows, parameters)


def records(found: Glance) -> list[dict[str, Any]]:
    """Rows as dicts by column, their values as JSON can hold them."""
    return [{name: plain(v) for name, v in zip(found.columns, row)} for row in found.rows]


@locked
def stored(con: Connection, query_id: int, ordinal: int | None) -> Result:
    """A stored answer as a `Result`."""
    con.session.registry.refresh()
    return stored_result(con.session, query_id, ordinal)


@locked
def require_stored(con: Connection, query_id: int) -> None:
    """Raise InvalidValue if there is no such query."""
    con.session.store.stored_queries(query_id)


@contextmanager
def _stopped_late(con: Connection) -> Iterator[None]:
    """Stop the statement of a connection after some seconds; raises SQLError that says so."""
    late = threading.Event()

    def stop() -> None:
        late.set()
        con.interrupt()

    timer = threading.Timer(SECONDS, stop)
    timer.start()
    try:
        yield
    except SQLError:
        if late.is_set():
            raise SQLError(f"stopped after {SECONDS:g} seconds; ask for less") from None
        raise
    finally:
        timer.cancel()


def _first(table: Table, most_rows: int) -> Glance:
    rows = table.rows
    types: list[str | None] = [None] * len(table.columns)
    return Glance(table.columns, rows[:most_rows], types, cut=len(rows) > most_rows)


def plain(value: Any) -> Any:
    """A value for JSON: numbers that it holds exactly, truth values and NULL as they are; all else as text."""
    match value:
        case None | bool() | str():
            return value
        case dict():
            return {str(name): plain(item) for name, item in value.items()}
        case int() if abs(value) <= EXACT:
            return value
        case float():
            return value if math.isfinite(value) else str(value)
    return _short(sql_text(value))


def _short(text: str) -> str:
    """Text that a page or a program can take, with signs that would change its direction spelled out."""
    text = printable(text)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."


def shown(found: Glance) -> dict[str, Any]:
    """Rows as a page shows them: each cell as text, and which columns hold numbers."""
    number = [
        any(isinstance(row[i], int | float) for row in found.rows)
        and all(
            isinstance(row[i], int | float | None) and not isinstance(row[i], bool)
            for row in found.rows
        )
        for i in range(len(found.columns))
    ]
    rows = [
        [_cell_text(value, sql_type) for value, sql_type in zip(row, found.types)]
        for row in found.rows
    ]
    return {"columns": found.columns, "numeric": number, "rows": rows, "cut": found.cut}


def _cell_text(value: Any, sql_type: str | None) -> str:
    """A cell: one of SQL's as DuckDB shows it, one of sxq's own rounded."""
    if value is None:
        return ""
    return _short(cell(value, WIDEST) if sql_type is None else sql_text(value, sql_type))
