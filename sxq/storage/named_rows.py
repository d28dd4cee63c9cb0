"""The meaning of a name and the life of a row: the same rules for graphs, models and attributors.

A name belongs to at most one row whose `dropped_at` is NULL. Registering the same content under it again
is a no-op; other content needs `replace`. Dropping or replacing frees the name; the row itself stays as
long as something refers to it (a query, or a model for its graph), and comes back to life when the same
content is registered under its name again.
"""

from dataclasses import dataclass
from typing import Any

from sxq.errors import InvalidValue, NameTaken, UnknownName
from sxq.storage.rows import Cursor, run


@dataclass(frozen=True)
class Kind:
    """One kind of named rows."""

    word: str  # as in messages
    table: str
    id: str  # its key column
    content: tuple[str, ...]  # the columns that together identify the content of a row


KINDS = {
    "graph": Kind("graph", "graphs", "graph_id", ("content_hash",)),
    "graphs": Kind("graphs", "graphs", "graph_id", ("content_hash",)),
    "model": Kind("model", "models", "model_id", ("graph_id", "content_hash")),
    "refine": Kind("refine", "refines", "refine_id", ("model_id", "graph_id", "content_hash")),
}


def claim(
    cursor: Cursor,
    kind: Kind,
    name: str,
    content: dict[str, Any],
    replace: bool,
    *,
    part: tuple[str, bool] | None = None,
) -> int | None:
    """The id of the row that already holds `content` under `name`, or None when the name is now free.

    part  of a graph: a part that `parts` has to name, or not to name

    Raises NameTaken if other content has the name and `replace` is false.
    """
    live = find(cursor, kind, name)
    same = " AND ".join(f"{column} = ${column}" for column in kind.content)
    if part is not None:
        same += " AND list_contains(parts, $part) = $named"
        content = {**content, "part": part[0], "named": part[1]}
    held = run(
        cursor,
        f"SELECT {kind.id} FROM {kind.table} WHERE name = $name AND {same}"
        f" ORDER BY dropped_at DESC NULLS FIRST LIMIT 1",
        {"name": name, **content},
    )
    if live and (live,) in held:
        return live
    if live and not replace:
        raise NameTaken(
            f"{kind.word} {name!r} exists with other content; replace it with"
            f" CREATE OR REPLACE {kind.word.upper()} or replace=True, or choose another name"
        )
    if live:
        _retire(cursor, kind, live)
    if not held:
        return None
    run(cursor, f"UPDATE {kind.table} SET dropped_at = NULL WHERE {kind.id} = ?", held[0])
    return held[0][0]


def drop(cursor: Cursor, kind: Kind, name: str, if_exists: bool) -> None:
    """Free `name`; raises UnknownName unless `if_exists`."""
    live = find(cursor, kind, name)
    if live:
        _retire(cursor, kind, live)
    elif not if_exists:
        raise unknown(cursor, kind, name)


def find(cursor: Cursor, kind: Kind, name: str) -> int | None:
    """The id of the row that has `name` now, or None."""
    found = run(
        cursor, f"SELECT {kind.id} FROM {kind.table} WHERE name = ? AND dropped_at IS NULL", [name]
    )
    return found[0][0] if found else None


def live(cursor: Cursor) -> dict[str, dict[str, int]]:
    """The ids of all names in use, by table and name.

    A row never changes its content, so an id identifies content as a hash does. It also tells a row
    that was deleted from one with the same content that was stored later.
    """
    kinds = {kind.table: kind for kind in KINDS.values()}.values()
    ids: dict[str, dict[str, int]] = {kind.table: {} for kind in kinds}
    for table, name, row in run(
        cursor,
        " UNION ALL ".join(
            f"SELECT '{kind.table}', name, {kind.id} FROM {kind.table} WHERE dropped_at IS NULL"
            for kind in kinds
        ),
    ):
        ids[table][name] = row
    return ids


def resolve(cursor: Cursor, kind: Kind, name_or_id: str | int) -> int:
    """The id of a name in use, or of any row that is kept; raises UnknownName, InvalidValue."""
    if isinstance(name_or_id, str):
        found = find(cursor, kind, name_or_id)
        if found is None:
            raise unknown(cursor, kind, name_or_id)
        return found
    if not run(cursor, f"SELECT 1 FROM {kind.table} WHERE {kind.id} = ?", [name_or_id]):
        raise InvalidValue(f"no {kind.word} with {kind.id} {name_or_id}")
    return name_or_id


def unknown(cursor: Cursor, kind: Kind, name: str) -> UnknownName:
    """The error for a name that is not registered."""
    known = run(cursor, f"SELECT name FROM {kind.table} WHERE dropped_at IS NULL")
    return UnknownName(kind.word, name, [other for (other,) in known])


def _retire(cursor: Cursor, kind: Kind, row: int) -> None:
    run(
        cursor,
        f"UPDATE {kind.table} SET dropped_at = now() AT TIME ZONE 'UTC' WHERE {kind.id} = ?",
        [row],
    )
    sweep(cursor)


def sweep(cursor: Cursor) -> None:
    """Delete rows without a name that nothing refers to; referring rows are deleted first."""
    run(cursor, "DELETE FROM refines WHERE dropped_at IS NOT NULL")  # nothing refers to them
    run(cursor, "DELETE FROM saliency WHERE refine_id NOT IN (SELECT refine_id FROM refines)")
    run(
        cursor,
        "DELETE FROM models WHERE dropped_at IS NOT NULL AND model_id NOT IN"
        " (SELECT model_id FROM queries UNION SELECT model_id FROM refines)",
    )
    run(
        cursor,
        "DELETE FROM graphs WHERE dropped_at IS NOT NULL AND graph_id NOT IN (SELECT graph_id FROM queries"
        " UNION SELECT graph_id FROM models UNION SELECT graph_id FROM refines)",
    )
    for table in (
        *("nodes", "edges", "graph_members", "graph_inputs", "features", "node_types"),
        "edge_types",
    ):
        run(cursor, f"DELETE FROM {table} WHERE graph_id NOT IN (SELECT graph_id FROM graphs)")
