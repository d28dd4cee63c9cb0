"""How the engine reads and writes rows on its private cursor.

Three ways in, by what is at hand: `insert` binds the values of one row, `append` takes Python rows (20
microseconds each), `insert_arrays` takes numpy columns (a hundred times faster).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import duckdb
import numpy as np

from sxq.errors import StoreError

_KEY_TYPES = {str: "VARCHAR", UUID: "UUID", date: "DATE", datetime: "TIMESTAMP", time: "TIME", bytes: "BLOB",
              float: "DOUBLE"}

Cursor = duckdb.DuckDBPyConnection  # its search path is exactly the schema `sxq`


def run(cursor: Cursor, sql: str, parameters: Any = None) -> list[tuple]:
    """Run one statement and read everything: an open result would block the next one."""
    return cursor.execute(sql, parameters).fetchall()


def insert(cursor: Cursor, table: str, values: Mapping[str, Any]) -> None:
    """Insert one row, its values by column name."""
    bound = ", ".join(f"${name}" for name in values)
    run(cursor, f"INSERT INTO {table} ({', '.join(values)}) VALUES ({bound})", values)


def append(cursor: Cursor, table: str, rows: Iterable[Sequence], **options: Any) -> None:
    """Append Python rows through DuckDB's appender; `options` as its own (columns, action, key)."""
    appender = cursor.appender(table, **options)
    appender.append_rows(rows)
    appender.flush()


def insert_arrays(cursor: Cursor, sql: str, arrays: Mapping[str, np.ndarray], parameters: Any = None) -> None:
    """Run `sql`, an INSERT that reads the columns `arrays` from `temp.incoming`."""
    # where the INSERT fails, the rollback of the transaction forgets the arrays
    cursor.register("incoming", {name: np.ascontiguousarray(array) for name, array in arrays.items()})
    run(cursor, sql, parameters)
    cursor.unregister("incoming")


def next_ids(cursor: Cursor, sequence: str, count: int = 1) -> list[int]:
    """`count` numbers nobody had before."""
    return [number for (number,) in run(cursor, "SELECT nextval(?) FROM range(?)", [sequence, count])]


def key_type(keys: Sequence[Any]) -> str:
    """The SQL type that holds all of `keys` [n], which are of one type; raises StoreError."""
    kind = type(keys[0]) if keys else int
    if kind is not int:
        return _decimal_type(keys) if kind is Decimal else _KEY_TYPES[kind]
    low, high = min(keys, default=0), max(keys, default=0)
    if -2**63 <= low and high < 2**63:
        return "BIGINT"
    if -2**127 < low and high < 2**127:
        return "HUGEINT"
    raise StoreError(f"key {high if high >= 2**127 else low} has more than 128 bits; use text keys")


def _decimal_type(keys: Sequence[Decimal]) -> str:
    digits = [key.as_tuple() for key in keys]
    scale = max(max(-each.exponent, 0) for each in digits)
    whole = max(max(len(each.digits) + each.exponent, 0) for each in digits)
    if whole + scale > 38:
        raise StoreError(f"decimal keys of {whole} + {scale} digits do not fit into 38; use text keys")
    return f"DECIMAL({max(whole + scale, 1)}, {scale})"


def key_array(keys: Sequence[Any]) -> np.ndarray:
    """`keys` [n] as a column that DuckDB reads with their own type."""
    return object_array(keys) if key_type(keys) != "BIGINT" else np.array(keys, dtype=np.int64)


def object_array(values: Sequence[Any]) -> np.ndarray:
    """`values` [n] as an object array, whatever they are (numpy would stack rows into a matrix)."""
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array
