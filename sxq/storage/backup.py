"""A copy of a whole database in a new file: everything committed, as of one moment."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from sxq.errors import NameTaken, StoreError
from sxq.storage.quoting import quote

SNAPSHOT = "'a snapshot, which sxq replaces while its database changes'"


def copy_database(
    cursor: duckdb.DuckDBPyConnection,
    catalog: str,
    target: Path,
    beside: Callable[[Path], None] = lambda target: None,
) -> None:
    """Write all tables, views, macros and sequences to the new file `target`, whole or not at all.

    beside  called with `target` before the file gets its name: copies what lies beside the database

    What open transactions have not committed is left out. Raises NameTaken if the file exists,
    StoreError if it cannot be written.
    """
    if os.path.lexists(target):
        raise NameTaken(
            f"{str(target)!r} exists; a copy never replaces a file: choose another name"
        )
    with copied(cursor, catalog, target) as partial:
        beside(target)
        _publish(partial, target)


@contextmanager
def copied(
    cursor: duckdb.DuckDBPyConnection, catalog: str, target: Path, snapshot: bool = False
) -> Iterator[Path]:
    """A complete copy on the disk, beside `target` and under another name, which is free again afterwards.

    snapshot  say so in the comment of the copy's table `schema_version`

    Raises StoreError, also for an OSError within.
    """
    if not target.parent.is_dir():
        raise StoreError(f"there is no directory {str(target.parent)!r}; create it first")
    name = f"sxq_{secrets.token_hex(8)}"
    partial = target.absolute().with_name(f".{name}")
    try:
        _fill(cursor, catalog, name, partial, snapshot)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        yield partial
    except (duckdb.Error, OSError) as error:
        raise StoreError(f"cannot copy the database to {str(target)!r}: {error}") from error
    finally:
        for left in (partial, partial.with_name(f"{partial.name}.wal")):
            left.unlink(missing_ok=True)


def _fill(
    cursor: duckdb.DuckDBPyConnection, catalog: str, name: str, partial: Path, snapshot: bool
) -> None:
    cursor.execute(f"ATTACH ? AS {quote(name)} (READ_WRITE)", [str(partial)])
    try:
        cursor.execute(f"COPY FROM DATABASE {quote(catalog)} TO {quote(name)}")
        if snapshot:
            table = quote(name, "sxq", "schema_version")
            cursor.execute(f"COMMENT ON TABLE {table} IS {SNAPSHOT}")
    finally:
        with suppress(duckdb.Error):
            cursor.execute(f"DETACH {quote(name)}")  # writes everything into the file


def _publish(partial: Path, target: Path) -> None:
    """Give a finished file its name."""
    try:
        os.link(partial, target)  # unlike a rename, this never replaces a file
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(f"{str(target)!r} exists") from None
        partial.rename(target)
