"""Opening the database: a DuckDB file, not locked, with the tables of this version in schema `sxq`.

Every error about a file is raised here, before any table is touched.
"""

import re
import time
from pathlib import Path

import duckdb

from sxq.errors import DatabaseLocked, StoreError
from sxq.storage.ctrl_c import hearing_ctrl_c

VERSION = 2  # of schema.sql and views.sql
LOCK_PATIENCE = 1.0  # seconds to wait for another process that holds the file
RETRY = 0.1  # seconds between two attempts
_SQL = [Path(__file__).with_name(name) for name in ("schema.sql", "views.sql")]
# The tables of schema.sql by name.
_TABLES = set(re.findall(r"^CREATE TABLE (\w+)", _SQL[0].read_text(encoding="utf-8"), re.MULTILINE))


def open_database(
    path: str | None, read_only: bool, patience: float | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection whose database holds the tables of `sxq`; raises StoreError, DatabaseLocked.

    It waits `patience` seconds for another process that holds the file; None is a second.
    """
    if path is None and read_only:
        raise StoreError(
            "an in-memory database cannot be read-only; give the path of a database file"
        )
    if path is not None:
        _check_file(Path(path), read_only)
    connection = _connect(path, read_only, LOCK_PATIENCE if patience is None else patience)
    try:
        with hearing_ctrl_c():
            if path is None:  # new: looking for its tables would take 10 ms
                _create_schema(connection)
            else:
                _prepare_schema(connection, read_only)
    except duckdb.Error as error:
        connection.close()
        raise StoreError(f"cannot prepare the tables of sxq: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def quote(*identifiers: str) -> str:
    """A qualified SQL name: `"catalog"."schema"."table"`."""
    return ".".join('"' + identifier.replace('"', '""') + '"' for identifier in identifiers)


def catalog_of(connection: duckdb.DuckDBPyConnection) -> str:
    """DuckDB's name for the opened database; it follows the file name (`memory` without one)."""
    return connection.execute("SELECT current_catalog()").fetchall()[0][0]


def _check_file(path: Path, read_only: bool) -> None:
    # DuckDB tries to download an extension for a file whose header it does not know
    if path.is_dir():
        raise StoreError(f"{str(path)!r} is a directory; give the path of a database file")
    if not path.parent.is_dir():
        raise StoreError(f"there is no directory {str(path.parent)!r}; create it first")
    if not path.exists():
        if read_only:
            raise StoreError(
                f"there is no database {str(path)!r}; open it without read_only to create it"
            )
        return
    try:
        with path.open("rb") as file:
            header = file.read(12)
    except OSError as error:
        raise StoreError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if header[8:] != b"DUCK":
        found = f"starts with {header!r}" if header else "is empty"
        raise StoreError(
            f"{str(path)!r} {found}, so it is no DuckDB database;"
            " choose another path or move the file away"
        )


def _connect(path: str | None, read_only: bool, patience: float) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + patience
    while True:
        try:
            with hearing_ctrl_c():
                return duckdb.connect(path or ":memory:", read_only=read_only)
        except duckdb.Error as error:
            locked = "Could not set lock" in str(error)
            if not locked:
                raise StoreError(f"cannot open {path!r}: {error}") from error
            left = deadline - time.monotonic()
            if left <= 0:
                raise DatabaseLocked(
                    f"another process holds {path!r}, after {patience:g} seconds of waiting"
                    f" (lock_timeout): {error}"
                ) from error
            time.sleep(min(RETRY, left))


def _prepare_schema(connection: duckdb.DuckDBPyConnection, read_only: bool) -> None:
    tables = connection.execute(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_catalog = current_catalog() AND table_schema = 'sxq'"
    ).fetchall()
    if tables:
        _check_version(connection, {name for (name,) in tables})
    elif read_only:
        raise StoreError(
            "the database holds no tables of sxq; open it once without read_only to create them"
        )
    else:
        _create_schema(connection)


def _check_version(connection: duckdb.DuckDBPyConnection, tables: set[str]) -> None:
    if "schema_version" not in tables:
        raise StoreError(
            f"schema sxq holds {', '.join(sorted(tables))} but no schema_version, so another"
            " program made it; rename it, or choose another file"
        )
    _require_tables(connection)
    versions = quote(catalog_of(connection), "sxq", "schema_version")
    found = connection.execute(f"SELECT max(version) FROM {versions}").fetchall()[0][0]
    if found != VERSION:
        raise StoreError(
            f"the tables of sxq have version {found} and this program knows version {VERSION};"
            " use the sxq that wrote them, or another file"
        )


def _require_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise StoreError where a view bears the name of a table: reading it would run the SQL of the file."""
    views = connection.execute(
        "SELECT view_name FROM duckdb_views() WHERE schema_name = 'sxq' AND NOT internal"
    ).fetchall()
    wrong = sorted({name for (name,) in views} & _TABLES)
    if wrong:
        raise StoreError(
            f"sxq.{wrong[0]} is a view and must be a table, so the file was changed by another"
            " program; do not open it with data that you want to keep to yourself"
        )


def _create_schema(connection: duckdb.DuckDBPyConnection) -> None:
    with connection.cursor() as cursor:  # if it closes without COMMIT, it leaves nothing behind
        schema = quote(catalog_of(connection), "sxq")
        cursor.execute("BEGIN")
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        cursor.execute(f"USE {schema}")
        for script in _SQL:
            cursor.execute(script.read_text(encoding="utf-8"))
        cursor.execute("INSERT INTO schema_version VALUES (?)", [VERSION])
        cursor.execute("COMMIT")
