"""How the engine reads and writes rows on its private cursor.

There are three ways to write: `insert` binds the values of one row, `append` takes Python rows (20
microseconds each), `insert_arrays` takes numpy columns (a hundred times faster).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
import numpy as np

from sxq.storage.ctrl_c import hearing_ctrl_c
from sxq.storage.quoting import quote

Cursor = duckdb.DuckDBPyConnection  # its search path is exactly the schema `sxq`


def run(cursor: Cursor, sql: str, parameters: Any = None) -> list[tuple]:
    """Run one statement and read everything: an open result would block the next one."""
    with hearing_ctrl_c():
        return cursor.execute(sql, parameters).fetchall()


def run_named(cursor: Cursor, sql: str, parameters: Any = None) -> list[dict[str, Any]]:
    """Run one statement and read everything, each row as a dict by column name."""
    cursor.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def insert(cursor: Cursor, table: str, values: Mapping[str, Any]) -> None:
    """Insert one row, its values by column name."""
    bound = ", ".join("?" * len(values))
    run(
        cursor,
        f"INSERT INTO {quote(table)} ({', '.join(map(quote, values))}) VALUES ({bound})",
        list(values.values()),
    )


def utc_now() -> datetime:
    """The time for a column that has one by default: the default may call a macro of the file."""
    return datetime.now(UTC).replace(tzinfo=None)


def append(cursor: Cursor, table: str, rows: Iterable[Sequence], **options: Any) -> None:
    """Append Python rows through DuckDB's appender; `options` as its own (columns, action, key)."""
    appender = cursor.appender(table, **options)
    appender.append_rows(rows)
    appender.flush()


def insert_arrays(
    cursor: Cursor, sql: str, arrays: Mapping[str, np.ndarray], parameters: Any = None
) -> None:
    """Run `sql`, an INSERT that reads the columns `arrays` from `temp.incoming`."""
    # if the INSERT fails, the rollback of the transaction drops the arrays
    cursor.register(
        "incoming", {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    )
    run(cursor, sql, parameters)
    cursor.unregister("incoming")


def next_ids(cursor: Cursor, sequence: str, count: int = 1) -> list[int]:
    """`count` numbers that were never used before."""
    return [
        number for (number,) in run(cursor, "SELECT nextval(?) FROM range(?)", [sequence, count])
    ]


def object_array(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Any `values` [n] as an object array (numpy would stack rows into a matrix)."""
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array
