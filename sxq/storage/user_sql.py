"""The user's SQL: run on the user's connection and read completely; errors keep DuckDB's own messages.

DuckDB does not look for Ctrl-C while it runs a statement. So the statement runs on a helper thread while
the main thread waits; KeyboardInterrupt then interrupts DuckDB and leaves the connection usable.
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


_NESTED = (list, tuple, dict)
_CHUNK = 2048  # rows that are read between two looks at the memory


@dataclass(frozen=True)
class SqlResult:
    """A result read completely; a statement without a result has no columns, or DuckDB's own count."""

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


def execute(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    parameters: Any = None,
    most_bytes: int | None = None,
) -> SqlResult:
    """Run `sql` and read the result of its last statement; raises SQLError, KeyboardInterrupt.

    most_bytes  what the rows may take in Python; None for any number
    """
    try:
        return _interruptible(
            lambda: _read(connection, sql, plain(parameters), most_bytes), connection.interrupt
        )
    except duckdb.Error as error:
        with suppress(duckdb.Error):
            connection.abort()  # a result that could not be fetched would block the next statement
        raise SQLError(str(error)) from error


def plain(value: Any) -> Any:
    """Python values for numpy and torch scalars and arrays, also inside lists and mappings."""
    if hasattr(value, "tolist"):
        return value.tolist()
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
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Any, most_bytes: int | None
) -> SqlResult:
    connection.execute(sql, parameters)
    if connection.description is None:  # nothing but comments
        return SqlResult()
    columns = tuple(column[0] for column in connection.description)
    types = tuple(str(column[1]) for column in connection.description)
    if most_bytes is None:
        return SqlResult(columns, types, connection.fetchall())
    return SqlResult(columns, types, _bounded_rows(connection, most_bytes))


def _bounded_rows(connection: duckdb.DuckDBPyConnection, most_bytes: int) -> list[tuple]:
    rows: list[tuple] = []
    taken = 0
    while some := connection.fetchmany(_CHUNK):
        rows += some
        taken += _bytes_of(some)
        if taken > most_bytes:
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


def _interruptible(work: Callable[[], SqlResult], interrupt: Callable[[], None]) -> SqlResult:
    if threading.current_thread() is not threading.main_thread():
        return work()  # only the main thread gets Ctrl-C
    outcome: dict[str, Any] = {}
    done = threading.Event()
    interrupted = False
    threading.Thread(target=_deliver, args=(work, outcome, done), daemon=True).start()
    while not done.is_set():
        try:
            done.wait()
        except KeyboardInterrupt:
            interrupted = True
            interrupt()
    if interrupted:
        raise KeyboardInterrupt
    if "error" in outcome:
        raise outcome["error"]
    return outcome["table"]


def _deliver(work: Callable[[], SqlResult], outcome: dict[str, Any], done: threading.Event) -> None:
    try:
        outcome["table"] = work()
    except BaseException as error:
        outcome["error"] = error
    finally:
        done.set()
