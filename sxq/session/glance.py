"""The first rows of text that only reads, for pages and programs that show what strangers typed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sxq import language
from sxq.errors import InvalidValue, SQLError
from sxq.language import statements as st
from sxq.session.context import Session

READING = (st.Show, st.Describe, st.PlanExplain)  # statements of sxq that store nothing


@dataclass(frozen=True)
class Glance:
    """The first rows of a result."""

    columns: list[str]
    rows: list[tuple[Any, ...]] = field(repr=False)
    types: list[str | None] = field(default_factory=list)  # SQL's names; None: not SQL's value
    cut: bool = False  # whether there are more rows


def read_only_statement(text: str) -> st.Statement:
    """The one statement of a text; raises ParseError, and InvalidValue if it does not only read."""
    pieces = language.split(text)
    if len(pieces) != 1:
        raise InvalidValue(f"expected one statement, found {len(pieces)}")
    statement = language.parse(pieces[0].text, pieces[0].line, pieces[0].column)
    if not isinstance(statement, (st.Sql, *READING)):
        raise InvalidValue(
            f"{text.split()[0].upper()} is not run here, where statements only read; expected SELECT, "
            "SHOW, DESCRIBE or PLAN EXPLAIN"
        )
    return statement


def glance(
    session: Session, sql: str, most_rows: int, parameters: Mapping[str, Any] | None = None
) -> Glance:
    """The first rows of one SELECT; raises SQLError, NotAllowed, InvalidValue, and ParseError for a misspelt word."""
    try:
        found = session.store.glance(sql, most_rows, parameters)
    except SQLError as error:
        raise language.misspelt(sql) or error  # noqa: B904 - the cause stays DuckDB's
    return Glance(
        list(found.columns),
        found.rows[:most_rows],
        list(found.types),
        cut=len(found.rows) > most_rows,
    )
