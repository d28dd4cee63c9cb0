"""Frames of Python as tables of SQL: pandas, Polars and Arrow, by DuckDB's own `register`.

A frame becomes a temporary view: it is read in place by each query, and nothing is copied or stored.
"""

from collections.abc import Collection
from typing import Any

import duckdb

from sxq.errors import DataError, InvalidValue, NameTaken
from sxq.storage.rows import run

LIBRARIES = ("pandas", "polars", "pyarrow")
_NAMED = """SELECT 1 FROM system.information_schema.tables
            WHERE system.main.lower(table_name) = system.main.lower(?)
            AND table_schema IN ('main', 'sxq') AND table_catalog IN (system.main.current_catalog(), 'temp')"""


def register(
    connection: duckdb.DuckDBPyConnection, name: str, frame: Any, replaced: Collection[str]
) -> None:
    """Make a view of a frame; names in `replaced` may be in use.

    Raises InvalidValue for a name or a frame that makes no sense, NameTaken, and DataError where a library
    that the frame needs is missing.
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidValue(f"the name of a table is {name!r}, expected text")
    if name.lower() not in replaced and run(connection, _NAMED, [name]):
        raise NameTaken(
            f"table {name!r} exists; choose another name, or use replace=True for one that register_table made"
        )
    read_in_place(connection, name, frame)


def read_in_place(connection: duckdb.DuckDBPyConnection, name: str, frame: Any) -> None:
    """Make a view of a frame under a name that is free; raises InvalidValue, and DataError as `register` does."""
    library = type(frame).__module__.partition(".")[0]
    kind = "None" if frame is None else type(frame).__name__
    if library != "builtins":
        kind = f"{library}'s {kind}"
    try:
        connection.register(name, frame)
    except (duckdb.Error, TypeError, ValueError, RuntimeError) as error:
        # other errors than DuckDB's own are about its inside: std::bad_cast
        why = f" ({error})" if isinstance(error, duckdb.Error) else ""
        if library in LIBRARIES:
            raise InvalidValue(
                f"table {name!r} is {kind}, which DuckDB cannot read{why}; convert columns of types that SQL "
                "lacks to numbers, dates or text, or leave them out"
            ) from error
        raise InvalidValue(
            f"table {name!r} is {kind}, which DuckDB does not read{why}; expected a DataFrame of pandas "
            "or Polars, or a table of Arrow"
        ) from error
    except ImportError as error:
        raise DataError(
            f"table {name!r} is {kind}, and to read it needs a library: {error}"
        ) from error
