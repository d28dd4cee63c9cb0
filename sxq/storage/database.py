"""Opening the database: a DuckDB file, not locked, whose schema `sxq` is this version's.

Every error about a file is raised here or in `schema`, before any table is used.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from sxq.errors import DatabaseLocked, StoreError
from sxq.storage import graph_schemas, schema
from sxq.storage.ctrl_c import hearing_ctrl_c
from sxq.storage.process import Owner, close, connect
from sxq.storage.quoting import catalog_of

LOCK_PATIENCE = 1.0  # seconds to wait for another process that holds the file
RETRY = 0.1  # seconds between two attempts


def open_database(
    owner: Owner,
    read_only: bool,
    config: Mapping[str, Any] | None = None,
    patience: float | None = None,
) -> duckdb.DuckDBPyConnection:
    """A connection whose database holds the tables of `sxq`; raises StoreError, DatabaseLocked.

    It waits `patience` seconds for another process that holds the file; None is a second.
    """
    path = owner.path
    if path is None and read_only:
        raise StoreError(
            "an in-memory database cannot be read-only; give the path of a database file"
        )
    alone = owner.alone()
    if path is not None:
        _check_file(Path(path), read_only, alone)
    patience = LOCK_PATIENCE if patience is None else patience
    connection = _connect(path, read_only, config or {}, patience)
    try:
        with hearing_ctrl_c():
            if path is None:  # new: looking for its tables would take 10 ms
                schema.create(connection)
            else:
                schema.prepare(connection, path, read_only)
                _settle_views(connection, read_only)
            if path is not None and alone and not read_only:
                schema.end_killed_queries(connection)
    except duckdb.Error as error:
        close(connection)
        raise StoreError(f"cannot prepare the tables of sxq: {error}") from error
    except BaseException:
        close(connection)
        raise
    return connection


def _settle_views(connection: duckdb.DuckDBPyConnection, read_only: bool) -> None:
    """Make the views of graphs anew where they are not this program's; a read-only file must have no others."""
    catalog = catalog_of(connection)
    with schema.engine_cursor(connection) as cursor:
        if read_only:
            graph_schemas.require_own(cursor, catalog)
            return
        cursor.execute("BEGIN")  # if it closes without COMMIT, it leaves nothing behind
        graph_schemas.settle(cursor, catalog)
        cursor.execute("COMMIT")


def require_path(path: str) -> None:
    """Raise StoreError for text that cannot be a path: too long, with a NUL, or no Unicode."""
    try:
        path.encode()
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass  # `open_database` says which part is missing
    except (OSError, ValueError) as error:
        shown = repr(path if len(path) < 200 else path[:200] + "...")
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"cannot open {shown}: {reason}") from None


def _check_file(path: Path, read_only: bool, alone: bool) -> None:
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
    if not alone:
        return  # closing the file here would drop the lock that DuckDB holds for this process
    try:
        with path.open("rb") as file:
            header = file.read(12)
    except OSError as error:
        raise StoreError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if header[8:] != b"DUCK":
        found = f"starts with {header!r}" if header else "is empty"
        raise StoreError(
            f"{str(path)!r} {found}, so it is not a DuckDB database;"
            " choose another path or move the file away"
        )


def _connect(
    path: str | None, read_only: bool, config: Mapping[str, Any], patience: float
) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + patience
    while True:
        try:
            with hearing_ctrl_c():
                return connect(path or ":memory:", read_only, config)
        except duckdb.Error as error:
            if "different configuration" in str(error):
                raise StoreError(
                    f"{path!r} is open in this process with other rights (untrusted or not, read-only or not,"
                    " memory limit); close that connection first, or open both alike"
                ) from error
            locked = "Could not set lock" in str(error)
            if not locked:
                raise StoreError(f"cannot open {path!r}: {error}") from error
            left = deadline - time.monotonic()
            if left <= 0:
                raise DatabaseLocked(
                    f"another process holds {path!r}; sxq waited {patience:g} second{'s' * (patience != 1)}"
                    f" (lock_timeout): {error}"
                ) from error
            time.sleep(min(RETRY, left))
