"""Schema `sxq` of an opened database: created, converted to this version, and cleared of foreign SQL.

Anyone may have written the file, and views, macros, triggers and defaults are SQL that DuckDB would
run. So the views and macros in schema `sxq` are compared with those of this program and made anew
where they differ, and a file with other expressions in its tables is refused. Everything here runs on
cursors that look for a function among DuckDB's own first, so that no macro of the file comes before it.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from sxq.errors import StoreError
from sxq.storage.backup import copy_database
from sxq.storage.quoting import ambiguous, catalog_of, quote

_HERE = Path(__file__).parent
_TABLES_SQL = (_HERE / "schema.sql").read_text(encoding="utf-8")
_VIEWS_SQL = (_HERE / "views.sql").read_text(encoding="utf-8")
# Version that a script leads to -> the script, in order.
_MIGRATIONS = {
    int(path.name.partition("_")[0]): path.read_text(encoding="utf-8")
    for path in sorted((_HERE / "migrations").glob("*.sql"))
}
VERSION = max(_MIGRATIONS)  # of schema.sql
# The tables of schema.sql by name.
_TABLES = set(re.findall(r"^CREATE TABLE (\w+)", _TABLES_SQL, re.MULTILINE))

_FOREIGN = "so another program changed the file; copy what you need of it into a new database"
_ABOUT_TABLES = {
    "trigger": "SELECT trigger_name, table_name FROM duckdb_triggers()"
    " WHERE database_name = ? AND schema_name = 'sxq'",
    "type": "SELECT type_name, type_name FROM duckdb_types()"
    " WHERE database_name = ? AND schema_name = 'sxq' AND NOT internal",
    "check": "SELECT constraint_text, table_name FROM duckdb_constraints()"
    " WHERE database_name = ? AND schema_name = 'sxq' AND constraint_type = 'CHECK'",
    "index over an expression": "SELECT index_name, table_name FROM duckdb_indexes()"
    " WHERE database_name = ? AND schema_name = 'sxq' AND contains(expressions, '(')",
}
_DEFAULTS = """SELECT table_name, column_name, column_default FROM duckdb_columns()
               WHERE database_name = ? AND schema_name = 'sxq' AND column_default IS NOT NULL"""
_VIEWS = """SELECT 'VIEW', view_name, sql, NULL FROM duckdb_views()
            WHERE database_name = ? AND schema_name = 'sxq' AND NOT internal"""
_MACROS = """SELECT CASE function_type WHEN 'table_macro' THEN 'MACRO TABLE' ELSE 'MACRO' END,
                    function_name, macro_definition, parameters FROM duckdb_functions()
             WHERE database_name = ? AND schema_name = 'sxq' AND NOT internal"""
_FILLED = """SELECT table_name FROM duckdb_tables()
             WHERE database_name = ? AND table_name <> 'schema_version' AND estimated_size > 0"""


def engine_cursor(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A cursor that finds DuckDB's own functions and then the tables of schema `sxq`, nothing else."""
    cursor = connection.cursor()
    cursor.execute("SET search_path = ?", [f"system.main,{quote(catalog_of(connection), 'sxq')}"])
    return cursor


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables and views in a database that has none."""
    with connection.cursor() as cursor:  # if it closes without COMMIT, it leaves nothing behind
        schema = quote(catalog_of(connection), "sxq")
        cursor.execute("BEGIN")
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        cursor.execute(f"USE {schema}")
        cursor.execute(_TABLES_SQL)
        cursor.execute(_views_sql(catalog_of(connection)))
        cursor.execute("INSERT INTO schema_version VALUES (?)", [VERSION])
        cursor.execute("COMMIT")


def prepare(connection: duckdb.DuckDBPyConnection, path: str, read_only: bool) -> None:
    """Make schema `sxq` of an opened file this version's; raises StoreError where that must not be."""
    catalog = catalog_of(connection)
    with _looking_on(connection) as cursor:
        tables = _names(cursor, "SELECT table_name FROM duckdb_tables()", catalog)
        views = _views(cursor, catalog)
        _require_own(cursor, catalog, {name for kind, name, *_ in views if kind == "VIEW"})
        if not tables:
            _require_writing(read_only, "the database holds no tables of sxq", "create them")
            _drop(connection, catalog, views)
            create(connection)
        elif (found := _version(cursor, catalog, tables)) < VERSION:
            what = f"the tables of sxq have version {found}, an older one than {VERSION}"
            _require_writing(
                read_only, what, "bring them up; a copy of the file as it is now stays"
            )
            _keep_copy(cursor, catalog, Path(path), found)
            _migrate(connection, catalog, found, views)
        elif not _are_own(views, catalog, read_only):
            names = ", ".join(sorted({name for _, name, *_ in views ^ _own_views(catalog)}))
            what = f"the views of sxq are not those of this program ({names})"
            _require_writing(read_only, what, "make them anew")
            _renew_views(connection, catalog, views)


def end_killed_queries(connection: duckdb.DuckDBPyConnection) -> None:
    """Give queries and targets that no process works on any more the status `interrupted`."""
    with engine_cursor(connection) as cursor:
        unfinished = """SELECT query_id FROM queries WHERE status = 'running'
                        UNION SELECT query_id FROM targets WHERE status = 'pending'"""
        if not cursor.execute(unfinished).fetchall():
            return
        cursor.execute("BEGIN")
        cursor.execute("UPDATE targets SET status = 'interrupted' WHERE status = 'pending'")
        cursor.execute(
            "UPDATE queries SET status = 'interrupted', complete = false WHERE status = 'running'"
        )
        cursor.execute("COMMIT")


def _views_sql(catalog: str) -> str:
    """The script of the views. Its tables are those of schema `sxq`, whatever tables of the user have their names.

    In a database that is itself called sxq such a name would be ambiguous, so there a table of the user comes first.
    """
    return _VIEWS_SQL.replace(" sxq.", " ") if ambiguous(catalog) else _VIEWS_SQL


def _looking_on(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A cursor that finds DuckDB's own functions, and none of the file's."""
    cursor = connection.cursor()
    cursor.execute("SET search_path = 'system.main'")
    return cursor


def _names(cursor: duckdb.DuckDBPyConnection, select: str, catalog: str) -> set[str]:
    where = " WHERE database_name = ? AND schema_name = 'sxq'"
    return {name for (name,) in cursor.execute(select + where, [catalog]).fetchall()}


def _require_writing(read_only: bool, found: str, purpose: str) -> None:
    if read_only:
        raise StoreError(f"{found}; open it once without read_only to {purpose}")


# -- what a file may hold ------------------------------------------------------------------------


def _require_own(cursor: duckdb.DuckDBPyConnection, catalog: str, views: set[str]) -> None:
    """Raise StoreError for SQL that DuckDB would run where the engine reads or writes a table."""
    if wrong := sorted(views & _TABLES):
        raise StoreError(
            f"sxq.{wrong[0]} is a view and must be a table, so the file was changed by another"
            " program; do not open it with data that you want to keep to yourself"
        )
    for kind, select in _ABOUT_TABLES.items():
        for name, table in cursor.execute(select, [catalog]).fetchall():
            raise StoreError(f"schema sxq holds the {kind} {name!r} ({table}), {_FOREIGN}")
    for table, column, default in cursor.execute(_DEFAULTS, [catalog]).fetchall():
        if _own_defaults().get((table, column)) != default:
            raise StoreError(
                f"column {column} of sxq.{table} has the default {default}, {_FOREIGN}"
            )


def _version(cursor: duckdb.DuckDBPyConnection, catalog: str, tables: set[str]) -> int:
    """The version of the tables; raises StoreError for a newer one than this program's, or none."""
    if "schema_version" not in tables:
        raise StoreError(
            f"schema sxq holds {', '.join(sorted(tables))} but no schema_version, so another"
            " program made it; rename it, or choose another file"
        )
    versions = quote(catalog, "sxq", "schema_version")
    found = cursor.execute(f"SELECT max(version) FROM {versions}").fetchall()[0][0]
    if not isinstance(found, int) or not 1 <= found <= VERSION:
        raise StoreError(
            f"the tables of sxq have version {found}, and this program knows only up to version {VERSION};"
            " use the sxq that wrote them, or another file"
        )
    return found


def _views(cursor: duckdb.DuckDBPyConnection, catalog: str) -> set[tuple[str, str, Any, Any]]:
    """The views and macros of schema `sxq`: kind, name, text, parameters."""
    held = [row for select in (_VIEWS, _MACROS) for row in _rows(cursor, select, catalog)]
    return {(kind, name, text, str(parameters)) for kind, name, text, parameters in held}


def _rows(cursor: duckdb.DuckDBPyConnection, select: str, catalog: str) -> list[tuple]:
    return cursor.execute(select, [catalog]).fetchall()


@cache
def _made_here(in_sxq: bool = False) -> tuple[set, dict]:
    """The views and macros, and the defaults of columns, as this program makes them.

    in_sxq  in a database that is called sxq
    """
    connection = duckdb.connect(":memory:")
    if in_sxq:
        connection.execute("ATTACH ':memory:' AS sxq; USE sxq")
    create(connection)
    with _looking_on(connection) as cursor:
        catalog = catalog_of(connection)
        defaults = {(t, c): text for t, c, text in _rows(cursor, _DEFAULTS, catalog)}
        views = _views(cursor, catalog)
    connection.close()
    return views, defaults


def _own_views(catalog: str) -> set:
    return _made_here(ambiguous(catalog))[0]


def _are_own(views: set, catalog: str, read_only: bool) -> bool:
    """Whether a file may hold these views. One that was renamed to or from sxq may be read as it is."""
    other = not ambiguous(catalog)
    return views == _own_views(catalog) or (read_only and views == _made_here(other)[0])


def _own_defaults() -> dict:
    return _made_here()[1]


# -- what is changed -----------------------------------------------------------------------------


def _keep_copy(cursor: duckdb.DuckDBPyConnection, catalog: str, path: Path, found: int) -> None:
    """Copy a file that is not empty, before it is converted; the copy stays beside it."""
    if not _rows(cursor, _FILLED, catalog):
        return
    copy = path.with_name(f"{path.stem}.version-{found}{path.suffix}")
    number = 1
    while copy.exists():
        number += 1
        copy = path.with_name(f"{path.stem}.version-{found}.{number}{path.suffix}")
    copy_database(cursor, catalog, copy)


def _migrate(
    connection: duckdb.DuckDBPyConnection, catalog: str, found: int, views: set[tuple]
) -> None:
    """Bring tables of an older version up, and make the views anew, all or nothing."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"USE {quote(catalog, 'sxq')}")
        _drop_each(cursor, catalog, views)
        for version, script in _MIGRATIONS.items():
            if version > found:
                cursor.execute(script)
                cursor.execute("INSERT INTO schema_version VALUES (?)", [version])
        cursor.execute(_views_sql(catalog))
        cursor.execute("COMMIT")


def _renew_views(connection: duckdb.DuckDBPyConnection, catalog: str, views: set[tuple]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"USE {quote(catalog, 'sxq')}")
        _drop_each(cursor, catalog, views)
        cursor.execute(_views_sql(catalog))
        cursor.execute("COMMIT")


def _drop(connection: duckdb.DuckDBPyConnection, catalog: str, views: set[tuple]) -> None:
    with connection.cursor() as cursor:
        _drop_each(cursor, catalog, views)


def _drop_each(cursor: duckdb.DuckDBPyConnection, catalog: str, views: set[tuple]) -> None:
    """Drop views and macros; the overloads of a macro are dropped together."""
    names = {(kind, quote(catalog, "sxq", name)) for kind, name, *_ in views}
    for kind, name in sorted(names):
        cursor.execute(f"DROP {kind} {name}")
