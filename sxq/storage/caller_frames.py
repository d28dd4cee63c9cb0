"""`FROM df`: frames of pandas, Polars and Arrow in the caller's variables are tables, for one statement.

DuckDB looks for them itself, but only in the thread that runs a statement, and sxq runs it on another (user_sql.py).
So the rule is DuckDB's, kept here: a bare name of no table or view on the search path, spelt exactly as a variable of
the function that called sxq, or else of its module. Only names that stand where a table may stand count.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import duckdb

from sxq.errors import InvalidValue
from sxq.storage.access import Token, tokens
from sxq.storage.registered_frames import LIBRARIES, read_in_place
from sxq.storage.rows import run

VARIABLES = "__sxq_variables__"  # a local of a function of sxq: the variables of its caller, in place of a function's
_PACKAGE = __name__.partition(".")[0]
_KINDS = ("DataFrame", "LazyFrame", "Table", "RecordBatch", "Dataset")
# what stands before the name of a table
_BEFORE = {"FROM", "JOIN", "USING", "DESCRIBE", "DESC", "SUMMARIZE", "SHOW", "PIVOT", "UNPIVOT"}
_LATER = {"VIEW", "MACRO", "FUNCTION"}  # after CREATE: what would look for the table later
_FOUND = """SELECT 1 FROM (SELECT table_name, table_schema, table_catalog FROM system.information_schema.tables
                           UNION ALL SELECT view_name, schema_name, database_name FROM duckdb_views())
            WHERE system.main.lower(table_name) = system.main.lower(?)
            AND system.main.list_contains(system.main.current_schemas(true), table_schema)
            AND table_catalog IN (system.main.current_database(), 'temp', 'system')"""


@contextmanager
def as_tables(connection: duckdb.DuckDBPyConnection, frames: Mapping[str, Any]) -> Iterator[None]:
    """Within, frames are temporary tables; raises InvalidValue for a frame that DuckDB does not read."""
    made: list[str] = []
    try:
        for name, frame in frames.items():
            read_in_place(connection, name, frame)
            made.append(name)
        yield
    finally:
        for name in made:
            with suppress(duckdb.Error):  # a transaction that failed has undone it
                connection.unregister(name)


def frames_in(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    """The frames of the caller that a statement names, where there is no such table.

    Raises InvalidValue for a view of one.
    """
    frames = _frames_of_caller()
    if not any(name in sql for name in frames):
        return {}
    with suppress(duckdb.Error, SyntaxError):  # running the statement says what is wrong
        found = tokens(sql)
        names = [name for name in _tables(found) if name in frames]
        missing = [name for name in names if not run(connection, _FOUND, [name])]
        _require_no_view(found, missing)
        return {name: frames[name] for name in missing}
    return {}


def _tables(found: Sequence[Token]) -> dict[str, None]:
    """The bare names that may be tables, spelt as they are written."""
    around = [Token("operator", ""), *found, Token("operator", "")]
    return {
        _spelt(token): None
        for before, token, after in zip(around, around[1:], around[2:])
        if token.name
        and (before.word in _BEFORE or before.text.endswith((",", "(")))
        and not after.text.startswith((".", "("))
    }


def _spelt(token: Token) -> str:
    text = token.text
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def _require_no_view(found: Sequence[Token], names: Sequence[str]) -> None:
    words = {token.word for token in found[1:5]}
    if names and found[0].word == "CREATE" and words & _LATER:
        raise InvalidValue(
            f"{names[0]!r} is a Python variable, which nobody finds later: make a table of it by CREATE TABLE ... AS"
            f" FROM {names[0]}, or name it by con.register_table"
        )


# -- the caller ----------------------------------------------------------------------------------


def _frames_of_caller() -> dict[str, Any]:
    """The frames among the variables of whoever called sxq, by name."""
    return {
        name: value
        for variables in reversed(_variables())
        for name, value in list(variables.items())
        if isinstance(name, str) and _is_frame(value)
    }


def _variables() -> list[Mapping[str, Any]]:
    """The variables of the innermost function that is not sxq's, its own first; none if sxq itself is the program."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        module = _module(frame)
        if VARIABLES in frame.f_locals:
            return [frame.f_locals[VARIABLES]]
        if module == f"{_PACKAGE}.__main__":
            return []
        if module.partition(".")[0] != _PACKAGE:
            return [frame.f_locals, frame.f_globals]
        frame = frame.f_back
    return []


def _module(frame: FrameType) -> str:
    spec = frame.f_globals.get("__spec__")
    return getattr(spec, "name", None) or frame.f_globals.get("__name__") or ""


def _is_frame(value: Any) -> bool:
    return any(
        kind.__module__.partition(".")[0] in LIBRARIES and kind.__name__.endswith(_KINDS)
        for kind in type(value).__mro__
    )
