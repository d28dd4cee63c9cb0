"""The snapshot of a database: a copy that is replaced while the database changes.

DuckDB lets no process read a file that another one holds for writing, so readers open the snapshot. A reader that
has it open goes on reading what it was; opening it again shows what it is now. Graphs on disk are not copied: their
files, which never change, get a second name beside the snapshot.

A file is replaced only if it is a snapshot, as the comment of one of its tables says.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

import duckdb

from sxq.errors import InvalidValue
from sxq.storage import graph_folders
from sxq.storage.backup import SNAPSHOT, copied
from sxq.storage.quoting import quote


def write(
    cursor: duckdb.DuckDBPyConnection, catalog: str, database: Path | None, target: Path
) -> None:
    """Write everything committed to `target`, in place of an earlier snapshot: whole, or not at all.

    database  the file, if there is one: its graphs on disk lie beside it

    Raises InvalidValue if there is another file, StoreError if the snapshot cannot be written.
    """
    _require_own(cursor, database, target)
    with copied(cursor, catalog, target, snapshot=True) as partial:
        folders = list(graph_folders.stored(cursor))
        if database is not None and folders:
            graph_folders.link(str(database), target, folders)
        os.replace(partial, target)
    graph_folders.remove_others(target, folders)


def _require_own(cursor: duckdb.DuckDBPyConnection, database: Path | None, target: Path) -> None:
    """Raise InvalidValue if there is a file that is no snapshot."""
    if not os.path.lexists(target):
        return
    if database is not None and target.exists() and target.samefile(database):
        raise InvalidValue(f"{str(target)!r} is the database itself; name another file")
    if not target.is_file() or _comment(cursor, target) != SNAPSHOT.strip("'"):
        raise InvalidValue(
            f"{str(target)!r} exists and is no snapshot; name a new file, or remove that one"
        )


def _comment(cursor: duckdb.DuckDBPyConnection, target: Path) -> str | None:
    """The comment of the table that a snapshot has marked; None if there is none, or it cannot be read."""
    name = f"sxq_{secrets.token_hex(8)}"
    try:
        cursor.execute(f"ATTACH ? AS {quote(name)} (READ_ONLY)", [str(target)])
        found = cursor.execute(
            "SELECT comment FROM duckdb_tables() WHERE database_name = ? AND schema_name = 'sxq'"
            " AND table_name = 'schema_version'",
            [name],
        ).fetchone()
        return found[0] if found else None
    except duckdb.Error:
        return None
    finally:
        with suppress(duckdb.Error):
            cursor.execute(f"DETACH {quote(name)}")
