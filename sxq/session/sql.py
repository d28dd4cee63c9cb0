"""SQL: every statement of DuckDB, passed on unchanged."""

from sxq import language
from sxq.errors import SQLError
from sxq.language import statements as st
from sxq.session.context import Session
from sxq.values.result import Table


def run_sql(session: Session, statement: st.Sql) -> Table:
    """DuckDB's answer; raises SQLError, or ParseError if a word of sxq is misspelt."""
    try:
        found = session.store.execute(statement.sql, language.arguments(statement))
    except SQLError as error:
        # DuckDB does not know our words, so its message would not help with a misspelt one.
        raise language.misspelt(statement.sql) or error  # noqa: B904 - the cause stays DuckDB's
    return Table(found.columns, found.rows, found.df, found.types)
