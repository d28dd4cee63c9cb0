"""The user's SQL: run on the user's connection and read completely; errors keep DuckDB's own messages.

A statement runs on a thread of its own while the caller waits, so that Ctrl-C and `interrupt` are heard at
once and the connection stays usable. An interrupt meets the user's statement or nothing: never a statement
of the engine on the same connection, nor the user's next one.
"""

import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import duckdb

from sxq.errors import SQLError
from sxq.graph.key_texts import KeyText
from sxq.graph.link_field import LinkKey
from sxq.values.frames import frame

# pandas types as in DuckDB's own df(); pandas infers all other types
_DTYPES = {
    "TINYINT": "int8",
    "SMALLINT": "int16",
    "INTEGER": "int32",
    "BIGINT": "int64",
    "UTINYINT": "uint8",
    "USMALLINT": "uint16",
    "UINTEGER": "uint32",
    "UBIGINT": "uint64",
    "HUGEINT": "float64",
    "UHUGEINT": "float64",
    "DECIMAL": "float64",
    "DOUBLE": "float64",
    "FLOAT": "float32",
    "BOOLEAN": "bool",
    "DATE": "datetime64[us]",
    "TIMESTAMP": "datetime64[us]",
    "INTERVAL": "timedelta64[us]",
}
_NULLABLE = {  # the same, for a column that holds NULL
    "int8": "Int8",
    "int16": "Int16",
    "int32": "Int32",
    "int64": "Int64",
    "uint8": "UInt8",
    "uint16": "UInt16",
    "uint32": "UInt32",
    "uint64": "UInt64",
    "bool": "boolean",
}


HEARD = 0.2  # seconds after which an interrupt that came too early is repeated
_NESTED = (list, tuple, dict)
_NOTHING = (
    (("Count",), ("BIGINT",)),
    (("Success",), ("BOOLEAN",)),
)  # of statements without an answer
_CHUNK = 2048  # rows that are read between two checks of the memory


@dataclass(frozen=True)
class SqlResult:
    """A result read completely; a statement without a result has no columns, or DuckDB's own count of rows."""

    columns: tuple[str, ...] = ()
    types: tuple[str, ...] = ()  # DuckDB's names: BIGINT, VARCHAR, MAP(VARCHAR, DOUBLE), ...
    rows: list[tuple] = field(default_factory=list, repr=False)

    def df(self):
        """A pandas DataFrame with the column types DuckDB would give it."""
        dtypes = [
            _dtype(kind, any(row[i] is None for row in self.rows))
            for i, kind in enumerate(self.types)
        ]
        return frame(self.columns, self.rows, dtypes)


class UserSql:
    """The user's connection, and the statement that runs on it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection):
        self._connection = connection
        self._running: _Statement | None = None
        # Reentrant, because a signal handler may interrupt while its own thread holds it.
        self._lock = threading.RLock()

    def execute(
        self,
        sql: str,
        parameters: Any = None,
        most_bytes: int | None = None,
        most_rows: int | None = None,
    ) -> SqlResult:
        """Run `sql` and read the result of its last statement; raises SQLError, KeyboardInterrupt.

        most_bytes  what the rows may take in Python; None for any number
        most_rows   the number of rows after which the rest is left; None for all
        """
        connection = self.settled()
        statement = _Statement(
            lambda: _read(connection, sql, plain(parameters), most_bytes, most_rows)
        )
        self._running = statement
        pressed: BaseException | None = None
        while not statement.ended:
            try:
                statement.start()
                while not statement.wait(HEARD):
                    if statement.stopping:  # the first interrupt may have come before it began
                        connection.interrupt()
            except BaseException as reason:  # Ctrl-C, or what a signal handler raises
                pressed = reason
                self.interrupt()
        self.settled()
        if isinstance(statement.error, duckdb.Error):
            with suppress(duckdb.Error):
                connection.abort()  # a result that could not be fetched would block the next statement
        if pressed:
            raise pressed
        return statement.outcome()

    def interrupt(self) -> None:
        """Stop the statement that runs, from any thread or signal handler; do nothing where none runs."""
        with self._lock:
            if self._running and not self._running.ended:
                self._running.stopping = True
                self._connection.interrupt()

    def settled(self) -> duckdb.DuckDBPyConnection:
        """The connection, once no statement runs on it: one may run on after several Ctrl-C in a row."""
        while self._running:
            if not self._running.wait(HEARD):
                self.interrupt()
                continue
            with self._lock:  # no interrupt is on its way to the connection
                self._running = None
        return self._connection


class _Statement:
    """Work on a thread of its own. It is done once, however often `start` is called."""

    def __init__(self, work: Callable[[], SqlResult]):
        self._work = [work]
        self._done = threading.Event()
        self._result: SqlResult | None = None
        self.error: BaseException | None = None
        self.stopping = False  # it was interrupted

    @property
    def ended(self) -> bool:
        """Whether the work is over."""
        return self._done.is_set()

    def start(self) -> None:
        """Begin, unless it has begun; a `start` that Ctrl-C cut short may be called again."""
        if self._work:
            try:
                threading.Thread(target=self._run, daemon=True).start()
            except RuntimeError:  # the system gives no more threads
                self._run()

    def wait(self, seconds: float) -> bool:
        """Wait for the end for some seconds; whether it came."""
        return self._done.wait(seconds)

    def outcome(self) -> SqlResult:
        """What the work returned; raises what it raised, DuckDB's errors as SQLError."""
        if isinstance(self.error, duckdb.Error):
            raise SQLError(str(self.error)) from self.error
        if self.error:
            raise self.error
        assert self._result is not None, "it has ended"
        return self._result

    def _run(self) -> None:
        try:
            work = self._work.pop()
        except IndexError:  # it was started twice
            return
        try:
            self._result = work()
        except BaseException as error:
            self.error = error
        finally:
            self._done.set()


def plain(value: Any) -> Any:
    """Python values for numpy and torch scalars and arrays, also inside lists and mappings.

    A key that is text of an SQL type becomes a value of that type, the name of a link a STRUCT.
    """
    if isinstance(value, KeyText):
        return duckdb.Value(str(value), duckdb.sqltype(value.sql_type))
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, LinkKey):
        value = value._asdict()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def _dtype(kind: str, has_nulls: bool) -> str | None:
    if kind.endswith("]"):
        return "object"
    dtype = _DTYPES.get(kind.partition("(")[0])
    return _NULLABLE.get(dtype, dtype) if dtype and has_nulls else dtype


def _read(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    parameters: Any,
    most_bytes: int | None,
    most_rows: int | None,
) -> SqlResult:
    connection.execute(sql, parameters)
    if connection.description is None:  # nothing but comments
        return SqlResult()
    columns = tuple(column[0] for column in connection.description)
    types = tuple(str(column[1]) for column in connection.description)
    if most_bytes is None and most_rows is None:
        rows = connection.fetchall()
    else:
        rows = _bounded_rows(connection, most_bytes, most_rows)
    if not rows and (columns, types) in _NOTHING and _says_nothing(connection, sql):
        return SqlResult()
    return SqlResult(columns, types, rows)


def _says_nothing(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Whether the last statement is one without an answer, such as CREATE VIEW, whose column is DuckDB's own."""
    return connection.extract_statements(sql)[-1].type != duckdb.StatementType.SELECT


def _bounded_rows(
    connection: duckdb.DuckDBPyConnection, most_bytes: int | None, most_rows: int | None
) -> list[tuple]:
    rows: list[tuple] = []
    taken = 0
    while some := connection.fetchmany(_CHUNK):
        rows += some
        taken += _bytes_of(some)
        if most_rows is not None and len(rows) >= most_rows:
            connection.abort()
            return rows[:most_rows]
        if most_bytes is not None and taken > most_bytes:
            connection.abort()  # the rest of the result
            raise SQLError(
                f"the result takes more than the {most_bytes:,} bytes that this connection may use;"
                " add LIMIT, or select fewer columns"
            )
    return rows


def _bytes_of(values: Iterable[Any]) -> int:
    """What values take in Python, with everything inside of them."""
    held = list(values)
    size = sum(map(sys.getsizeof, held))
    inside = [
        value.values() if type(value) is dict else value for value in held if type(value) in _NESTED
    ]
    return size + (_bytes_of(chain.from_iterable(inside)) if inside else 0)
