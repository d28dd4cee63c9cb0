"""Names in SQL: identifiers are quoted, and the opened database has DuckDB's name for it."""

import duckdb


def quote(*identifiers: str) -> str:
    """A qualified SQL name: `"catalog"."schema"."table"`."""
    return ".".join('"' + identifier.replace('"', '""') + '"' for identifier in identifiers)


def catalog_of(connection: duckdb.DuckDBPyConnection) -> str:
    """DuckDB's name for the opened database; it follows the file name (`memory` without one)."""
    # qualified: a macro of the file may bear the name of the function
    return connection.execute("SELECT system.main.current_catalog()").fetchall()[0][0]


def ambiguous(catalog: str) -> bool:
    """Whether a database is called like schema sxq: DuckDB then takes `sxq.nodes` for one of two tables, and refuses."""
    return catalog.lower() == "sxq"
