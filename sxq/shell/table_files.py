"""Tables from files, by DuckDB's readers: `.import transfers.csv transfers`."""

from pathlib import Path, PurePath

from sxq.connection import Connection
from sxq.errors import DataError, InvalidValue
from sxq.values.table import counted

READERS = {  # by the suffix of the file, without .gz or .zst
    **dict.fromkeys((".csv", ".tsv", ".txt"), "read_csv"),
    ".parquet": "read_parquet",
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "read_json"),
}
PACKED = (".gz", ".zst")


def read_into(con: Connection, path: str, table: str) -> str:
    """Read a file into a new table, or at the end of one that exists; a sentence that says what was done.

    Columns are matched by name: raises DataError where the file has others than the table.
    """
    source = f"{_reader(path)}(?)"
    full = str(Path(path).expanduser()) if path.startswith("~") else path
    name = ".".join(_quoted(part) for part in table.split("."))
    found = con.execute(f"DESCRIBE FROM {source}", [full])
    columns = [row[0] for row in found.rows]
    known = _columns(con, table)
    if known:
        _require_same(path, columns, table, known)
        result = con.execute(f"INSERT INTO {name} BY NAME FROM {source}", [full])
    else:
        result = con.execute(f"CREATE TABLE {name} AS FROM {source}", [full])
    count = result.rows[0][0]
    did = "added to" if known else "now in"
    return f"{counted(count, 'row')} of {counted(len(columns), 'column')} {did} {table}"


def _reader(path: str) -> str:
    suffixes = [suffix.lower() for suffix in PurePath(path).suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    if suffixes and suffixes[-1] in READERS:
        return READERS[suffixes[-1]]
    raise InvalidValue(
        f".import {path}: expected a file whose name ends in {', '.join(READERS)}, or in one of these and"
        f" {' or '.join(PACKED)}"
    )


def _columns(con: Connection, table: str) -> list[str]:
    """The columns of a table; none if it does not exist."""
    rows = con.execute(
        "SELECT column_name FROM duckdb_columns() WHERE lower($name) IN (lower(schema_name || '.' || table_name),"
        " CASE WHEN schema_name = 'main' THEN lower(table_name) END,"
        " lower(database_name || '.' || schema_name || '.' || table_name)) ORDER BY column_index",
        {"name": table},
    ).rows
    return [name for (name,) in rows]


def _require_same(path: str, columns: list[str], table: str, known: list[str]) -> None:
    """Raise DataError unless file and table have columns of the same names, in any order and case."""
    there = {name.lower() for name in known}
    found = {name.lower() for name in columns}
    if found != there:
        raise DataError(
            f"{path!r} has columns {', '.join(columns)}, but table {table} has {', '.join(known)};"
            f" differing: {', '.join(sorted(found ^ there))}"
        )


def _quoted(name: str) -> str:
    return '"' + name.strip('"').replace('"', '""') + '"'
