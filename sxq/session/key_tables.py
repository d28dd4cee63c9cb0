"""Sub-queries whose first columns are keys: a key that Python cannot hold comes as text of its SQL type.

Which columns these are is seen only in a first result; the sub-query then runs once more, with casts.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sxq.errors import DataError, GraphError, shown
from sxq.graph import Graph, GraphSet
from sxq.graph.key_texts import KEPT, KeyText, kind_of, needs_text, perhaps_infinite
from sxq.graph.table_problems import listed as listed_problems
from sxq.graph.table_problems import problem
from sxq.language import arguments
from sxq.language import statements as st
from sxq.session.context import Session
from sxq.storage.key_columns import key_column_type
from sxq.storage.user_sql import SqlResult
from sxq.values.table import counted

# keys that no class of key_texts.py keeps
REFUSED = ("GEOMETRY",)


def fetch(
    session: Session, query: st.Subquery, what: str, known: Sequence[type[KeyText] | None]
) -> SqlResult:
    """The result of a sub-query whose first columns are keys; raises GraphError.

    known  the class of each column's keys where other tables have settled it, else None
    """
    table = session.store.select(query.sql, arguments(query))
    _require_finite(session, query, table, what, len(known))
    names = [f"{name!r} of {what}" for name in table.columns[: len(known)]]
    kinds = [
        _kind(table.types[number], [row[number] for row in table.rows], known[number], name)
        for number, name in enumerate(names)
    ]
    return _as_text(session, query, table, kinds, names) if any(kinds) else table


def listed(
    session: Session, statement: st.Explain | st.Predict, graph: str, verb: str
) -> tuple[Any, ...]:
    """The keys of a statement; a sub-query runs on the user's connection. Empty where it names none.

    verb  what is done with the targets, for messages
    """
    keys = statement.keys
    assert not isinstance(keys, st.Parameter), "binding has put keys in place of a parameter"
    if keys is None:
        return ()
    if not isinstance(keys, st.Subquery):
        return keys
    if statement.kind == "link":
        return _links(session, keys, session.registry.graphs[graph].keys, verb)
    table = targets(session, keys, session.registry.graphs[graph].keys)
    kind = statement.kind
    _require_keys(table, f"{kind.upper()}S", f"one, the keys of the {kind}s to {verb}", 1)
    return tuple(row[0] for row in table.rows)


def _links(
    session: Session, query: st.Subquery, known: Sequence[Any] | None, verb: str
) -> tuple[Any, ...]:
    """The pairs of keys that a sub-query of LINKS finds."""
    table = edges(session, query, known)
    _require_keys(table, "LINKS", f"two, the keys of both ends of the links to {verb}", 2)
    return tuple((u, v) for u, v in table.rows)


def _require_keys(table: SqlResult, clause: str, expected: str, width: int) -> None:
    """Raise DataError unless a sub-query has rows of so many keys; `expected` says which."""
    query = f"the sub-query of {clause}"
    if len(table.columns) != width:
        raise DataError(
            f"{query} returned {counted(len(table.columns), 'column')} ({', '.join(table.columns)}); "
            f"expected {expected}"
        )
    if not table.rows:
        raise DataError(f"{query} returned no rows; there is nothing to {expected.split()[-1]}")
    empty = next((row for row, keys in enumerate(table.rows, 1) if None in keys), None)
    if empty:
        raise DataError(f"{query} returned NULL in row {empty}; a key is never NULL")


def targets(session: Session, query: st.Subquery, keys: Sequence[Any] | None) -> SqlResult:
    """The result of a sub-query of targets, read as the `keys` of its graph are."""
    table = session.store.select(query.sql, arguments(query))
    own = kind_of(keys)
    if own is None or len(table.columns) != 1 or not _same(table.types[0], own):
        return table
    return _as_text(session, query, table, [own.sql_type], ["the sub-query"])


def edges(session: Session, query: st.Subquery, keys: Sequence[Any] | None) -> SqlResult:
    """The result of a sub-query of edges, both ends read as the `keys` of their graph are; a third column is as it is."""
    table = session.store.select(query.sql, arguments(query))
    own = kind_of(keys)
    if own is None or len(table.columns) not in (2, 3):
        return table
    kinds = [own.sql_type if _same(kind, own) else None for kind in table.types[:2]]
    if not any(kinds):
        return table
    more = [None] * (len(table.columns) - 2)
    return _as_text(session, query, table, [*kinds, *more], ["the sub-query"] * len(table.columns))


def column_type(graph: Graph | GraphSet, kind: str) -> str:
    """The SQL type of a column of targets, as the views of the graph have it; of links a STRUCT."""
    own = key_column_type(graph.keys)
    return f"STRUCT(u {own}, v {own})" if kind == "link" else own


def _require_finite(
    session: Session, query: st.Subquery, table: SqlResult, what: str, keys: int
) -> None:
    """Refuse infinite dates and times in the columns after the keys: Python reads them as the year 9999 or 1."""
    places = [
        place
        for place in range(keys, len(table.columns))
        if table.types[place].startswith(("DATE", "TIMESTAMP"))
        and any(map(perhaps_infinite, (row[place] for row in table.rows)))
    ]
    if not places:
        return
    infinite = session.store.select_infinite(query.sql, arguments(query), places).rows
    rows = [f"row {number}" for number in range(1, len(infinite) + 1)]
    if not what.startswith("EDGES") and len(infinite) == len(table.rows):
        rows = [shown(row[keys - 1]) for row in table.rows]
    found = [
        problem(
            f"of {what} with an infinite {table.columns[place]!r}", where, "make it NULL or a date"
        )
        for place, column in zip(places, zip(*infinite))
        if (where := [row for row, is_infinite in zip(rows, column) if is_infinite])
    ]
    if found:
        raise GraphError(listed_problems(found))


def _kind(sql_type: str, values: list[Any], known: type[KeyText] | None, what: str) -> str | None:
    """The SQL type as whose text a column is read; None: as it is."""
    plain = sql_type.partition("(")[0]
    if plain in REFUSED:
        raise GraphError(
            f"the key {what} is {sql_type}, which is no key; make it text by a cast, and join with the same cast"
        )
    if known and _same(sql_type, known):
        return known.sql_type
    return plain if any(needs_text(plain, value) for value in values) else None


def _same(sql_type: str, kind: type[KeyText]) -> bool:
    return sql_type in (kind.sql_type, "VARIANT")  # VARIANT: of the engine's own tables


def _as_text(
    session: Session,
    query: st.Subquery,
    table: SqlResult,
    kinds: list[str | None],
    names: list[str],
) -> SqlResult:
    again = session.store.select_as_text(query.sql, arguments(query), kinds)
    rows = [_row(row, kinds, names) for row in again.rows]
    return replace(table, rows=rows)


def _row(row: tuple, kinds: list[str | None], names: list[str]) -> tuple:
    """The row with texts for keys; before its own columns stand, for each key, the text and what VARIANT keeps."""
    own = row[2 * len(kinds) :]
    texts = row[: 2 * len(kinds) : 2]
    kept = row[1 : 2 * len(kinds) : 2]
    keys = [
        value if kind is None else _kept(KEPT[kind], text, in_variant, name)
        for kind, value, text, in_variant, name in zip(kinds, own, texts, kept, names)
    ]
    return (*keys, *own[len(kinds) :])


def _kept(kind: type[KeyText], text: str | None, stored: str | None, what: str) -> KeyText | None:
    if text is None:
        return None
    if text != stored:
        raise GraphError(
            f"the {kind.sql_type} key {shown(text)} of {what} would be stored as {shown(stored)} and not join"
            " with its table again; write keys in that form, or make them text by a cast (::VARCHAR), and join with"
            " the same cast"
        )
    return kind(text)
