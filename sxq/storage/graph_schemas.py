"""A graph is also a schema: it has views of its present rows alone, named after it (graph_views.py says which).

`settle` makes what is missing, renews what is not as this program makes it, and drops the views of graphs that have
no name any more. A view is sxq's if its comment says so; of all other schemas, views and tables nothing is touched.
The comment holds the id of the graph and the types of its keys and attributes, which only a look at all rows would tell.
Anyone may have written the file: views are compared with their text as this program makes it, so the comment only
says which view a view claims to be.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sxq.errors import StoreError
from sxq.graph.edge_texts import CASTS
from sxq.storage.graph_input_rows import EDGE_ATTRIBUTE
from sxq.storage.graph_views import (
    VALUE_TYPES,
    GraphFacts,
    free_name,
    known_keys,
    value_type,
    views,
)
from sxq.storage.quoting import ambiguous, quote
from sxq.storage.rows import Cursor, run, run_named
from sxq.values.sql_text import sql_literal

_MARK = "sxq graph "  # begins the comment of every view
_RESERVED = {"main", "sxq", "temp", "system", "information_schema", "pg_catalog"}

_GRAPHS = """SELECT graph_id, name, key_type, graph_key_type, num_graphs, parts, attributes FROM graphs
             WHERE dropped_at IS NULL ORDER BY name, graph_id"""
_OURS = """SELECT schema_name, view_name, sql, comment FROM duckdb_views()
           WHERE database_name = ? AND starts_with(comment, ?) AND schema_name <> 'sxq' ORDER BY ALL"""
_OTHERS = """SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = $1
             UNION ALL SELECT schema_name, view_name FROM duckdb_views()
             WHERE database_name = $1 AND NOT internal AND NOT coalesce(starts_with(comment, $2), false)"""
_NO_RELATIONS = """SELECT schema_name FROM duckdb_sequences() WHERE database_name = $1
                   UNION SELECT schema_name FROM duckdb_functions() WHERE database_name = $1
                   UNION SELECT schema_name FROM duckdb_types() WHERE database_name = $1 AND NOT internal"""
_SCHEMAS = "SELECT schema_name FROM duckdb_schemas() WHERE database_name = ?"
_DATABASES = "SELECT database_name FROM duckdb_databases()"
_TABLES = """SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns()
             WHERE database_name = ? AND schema_name = 'sxq' GROUP BY table_name"""
_ALL_TYPES = """SELECT DISTINCT variant_typeof(attributes[$2]) FROM nodes WHERE graph_id = $1"""
_TYPES_OF = (
    """SELECT DISTINCT node_type, variant_typeof(attributes[$2]) FROM nodes WHERE graph_id = $1"""
)
# the text of a statement as DuckDB keeps it with a view
_AS_KEPT = "SELECT json_deserialize_sql(json_serialize_sql(unnest(?)))"


@dataclass(frozen=True)
class GraphSchema:
    """The schema that has the views of a graph."""

    schema: str
    views: tuple[str, ...]
    renamed: tuple[str, ...] = ()  # columns that are not called as the user called them


@dataclass(frozen=True)
class _View:
    """A view that is sxq's by its comment."""

    schema: str
    name: str
    sql: str
    comment: str

    @property
    def mark(self) -> dict[str, Any]:
        """What the comment says; empty if it says nothing that can be used."""
        try:
            found = json.loads(self.comment.removeprefix(_MARK))
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def graph_id(self) -> int | None:
        found = self.mark.get("graph")
        return found if isinstance(found, int) and not isinstance(found, bool) else None


def settle(cursor: Cursor, catalog: str) -> None:
    """Give every graph with a name its views as this program makes them, and drop those of others."""
    rows = run_named(cursor, _GRAPHS)
    ours = _ours(cursor, catalog)
    if not rows and not ours:
        return
    # a schema that is called like a database could no longer be named alone
    wanted = _wanted(cursor, catalog, rows, ours, _RESERVED | {catalog.lower()})
    found = {(view.schema, view.name): view for view in ours}
    kept = set()
    for schema, made in wanted.items():
        texts = _as_kept(cursor, schema, made.selects)
        for name, text in texts.items():
            view = found.get((schema, name))
            if view and (view.sql, view.comment) == (text, made.comment):
                kept.add((schema, name))
    for schema, name in sorted(found.keys() - kept):
        run(cursor, f"DROP VIEW {quote(catalog, schema, name)}")
    if ambiguous(catalog):
        return
    for schema, made in wanted.items():
        run(cursor, f"CREATE SCHEMA IF NOT EXISTS {quote(catalog, schema)}")
        for name, select in made.selects.items():
            if (schema, name) not in kept:
                _create(cursor, quote(catalog, schema, name), select, made.comment)
    _drop_empty(cursor, catalog, {view.schema for view in ours} - wanted.keys())


def require_own(cursor: Cursor, catalog: str) -> None:
    """Raise StoreError for a view that claims to be sxq's and is not as this program makes it.

    A file may have got the name of a schema since: its views stay where they are.
    """
    rows = run_named(cursor, _GRAPHS)
    ours = _ours(cursor, catalog)
    if not ours:
        return
    texts = {
        (schema, name): text
        for schema, made in _wanted(cursor, catalog, rows, ours, _RESERVED).items()
        for name, text in _as_kept(cursor, schema, made.selects).items()
    }
    for view in ours:
        if view.sql != texts.get((view.schema, view.name)):
            raise StoreError(
                f"view {view.schema}.{view.name} is not that of this program; open the file once without"
                " read_only to make the views of its graphs anew"
            )


def schema_of(cursor: Cursor, catalog: str, graph_id: int) -> GraphSchema | None:
    """The schema with the views of a graph; None where the file has none."""
    ours = [view for view in _ours(cursor, catalog) if view.graph_id == graph_id]
    rows = [row for row in run_named(cursor, _GRAPHS) if row["graph_id"] == graph_id]
    if not ours or not rows or ambiguous(catalog):
        return None
    facts = _facts(cursor, _tables(cursor, catalog), rows[0], ours[0])
    renamed = []
    if facts is not None:
        others = _names_of_others(cursor, catalog).get(ours[0].schema.lower(), set())
        renamed = views(facts, others)[1]
    return GraphSchema(ours[0].schema, tuple(view.name for view in ours), tuple(renamed))


# -- what there is, and what there shall be ------------------------------------------------------


@dataclass(frozen=True)
class _Wanted:
    selects: dict[str, str]  # by view
    comment: str


def _ours(cursor: Cursor, catalog: str) -> list[_View]:
    return [_View(*row) for row in run(cursor, _OURS, [catalog, _MARK])]


def _wanted(
    cursor: Cursor,
    catalog: str,
    rows: Sequence[dict[str, Any]],
    ours: Sequence[_View],
    barred: set[str],
) -> dict[str, _Wanted]:
    """The views of every graph, by their schema, which is none of `barred`."""
    others = _names_of_others(cursor, catalog)
    held = {view.graph_id: view for view in ours}
    schemas = _Schemas(cursor, catalog, rows, ours, barred)
    tables = _tables(cursor, catalog)
    wanted = {}
    for row in rows:
        facts = _facts(cursor, tables, row, held.get(row["graph_id"]))
        if facts is None:
            continue
        schema = schemas.of(facts.graph_id, facts.name)
        selects, _ = views(facts, others.get(schema.lower(), set()))
        keys = [facts.node_key, facts.graph_key]
        mark = {"graph": facts.graph_id, "keys": keys, "types": facts.attribute_types}
        wanted[schema] = _Wanted(selects, _MARK + json.dumps(mark))
    return wanted


class _Schemas:
    """Which schema each graph has: the one where its views are already, else one of its name that is free."""

    def __init__(
        self,
        cursor: Cursor,
        catalog: str,
        rows: Sequence[dict[str, Any]],
        ours: Sequence[_View],
        barred: set[str],
    ):
        self._barred = barred
        ids = {row["graph_id"] for row in rows}
        marked = {view.schema: view.graph_id for view in reversed(ours)}
        self._held = {
            graph_id: schema
            for schema, graph_id in marked.items()
            if graph_id in ids and schema.lower() not in self._barred
        }
        there = {name for (name,) in run(cursor, _SCHEMAS, [catalog])}
        self._taken = {name.lower() for name in {*(there - marked.keys()), *self._held.values()}}
        self._taken |= {name.lower() for (name,) in run(cursor, _DATABASES)}

    def of(self, graph_id: int, name: str) -> str:
        if graph_id not in self._held:
            free = free_name(name, "graph", self._barred | self._taken)
            self._taken.add(free.lower())
            self._held[graph_id] = free
        return self._held[graph_id]


def _facts(
    cursor: Cursor, tables: dict[str, list[str]], row: dict[str, Any], held: _View | None
) -> GraphFacts | None:
    """What the views of a graph depend on; None if its row is not as this program writes it."""
    graph_id = int(row["graph_id"])
    made_with = held.mark.get("keys") if held else None
    keys: Any = made_with if known_keys(made_with) else [row["key_type"], row["graph_key_type"]]
    attributes = row["attributes"] or []
    if not known_keys(keys) or None in attributes:
        return None
    collection = row["num_graphs"] is not None
    widths = dict(
        run(
            cursor,
            "SELECT node_type, num_features FROM node_types WHERE graph_id = ? ORDER BY number",
            [graph_id],
        )
    )
    names, edge_attributes = _edge_columns(cursor, graph_id)
    return GraphFacts(
        graph_id=graph_id,
        name=row["name"],
        node_key=keys[0],
        graph_key=keys[1],
        collection=collection,
        parts=row["parts"] or [],
        attributes=attributes,
        attribute_types=_attribute_types(cursor, graph_id, attributes, list(widths), held),
        feature_names=_feature_names(cursor, graph_id),
        node_types=widths,
        edge_names=names,
        edge_attributes=edge_attributes,
        tables=tables,
    )


def _tables(cursor: Cursor, catalog: str) -> dict[str, list[str]]:
    """The columns of the tables of schema sxq."""
    return dict(run(cursor, _TABLES, [catalog]))


def _feature_names(cursor: Cursor, graph_id: int) -> dict[str, list[str]]:
    """The names of all features by node type, where they are there for every one."""
    found: dict[str, list[str]] = {}
    whole = True
    rows = run(
        cursor,
        "SELECT coalesce(node_type, ''), feature, name FROM features WHERE graph_id = ? ORDER BY 1, 2",
        [graph_id],
    )
    for node_type, feature, name in rows:
        names = found.setdefault(node_type, [])
        whole &= feature == len(names)
        names.append(name)
    return found if whole else {}


def _edge_columns(
    cursor: Cursor, graph_id: int
) -> tuple[list[str] | None, list[tuple[int, str, str]]]:
    """The names of the columns of edge_attr, and the further columns: ordinal, name and type."""
    rows = run(
        cursor,
        "SELECT ordinal, name, level, form FROM graph_inputs WHERE graph_id = ? AND level IN ('names', ?)"
        " ORDER BY ordinal",
        [graph_id, EDGE_ATTRIBUTE],
    )
    names = None
    further = []
    for ordinal, name, level, form in rows:
        if level == "names":
            names = _names(form)
        else:
            further.append((int(ordinal), name, form if form in CASTS else "VARCHAR"))
    return names, further


def _names(text: str) -> list[str] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(found, list) and all(isinstance(name, str) for name in found)
    return found if whole else None


def _attribute_types(
    cursor: Cursor,
    graph_id: int,
    names: Sequence[str],
    node_types: Sequence[str],
    held: _View | None,
) -> dict[str, list[str | None]]:
    """The SQL type of each attribute, of all nodes ("") and by node type; None where all are NULL."""
    known = held.mark.get("types") if held else None
    if _usable(known, len(names), node_types):
        return known  # type: ignore[return-value]
    found: dict[str, list[str | None]] = {"": [], **{name: [] for name in node_types}}
    for name in names:
        if not node_types:
            kinds = [kind for (kind,) in run(cursor, _ALL_TYPES, [graph_id, name])]
            found[""].append(value_type(kinds))
            continue
        pairs = run(cursor, _TYPES_OF, [graph_id, name])
        found[""].append(value_type([kind for _, kind in pairs]))
        for node_type in node_types:
            found[node_type].append(value_type([kind for of, kind in pairs if of == node_type]))
    return found


def _usable(known: Any, count: int, node_types: Sequence[str]) -> bool:
    """Whether types in a comment are types, one for each attribute."""
    return (
        isinstance(known, dict)
        and set(known) == {"", *node_types}
        and all(isinstance(kinds, list) and len(kinds) == count for kinds in known.values())
        and all(
            kind is None or (isinstance(kind, str) and kind in VALUE_TYPES)
            for kinds in known.values()
            for kind in kinds
        )
    )


def _names_of_others(cursor: Cursor, catalog: str) -> dict[str, set[str]]:
    """The names of tables and views that are not sxq's, by schema; all in lower case."""
    found: dict[str, set[str]] = {}
    for schema, name in run(cursor, _OTHERS, [catalog, _MARK]):
        found.setdefault(schema.lower(), set()).add(name.lower())
    return found


# -- changes -------------------------------------------------------------------------------------


def _as_kept(cursor: Cursor, schema: str, selects: dict[str, str]) -> dict[str, str]:
    """The text that DuckDB keeps with each view."""
    names = [f"SELECT * FROM {quote(schema, name)}" for name in selects]
    kept = [text for (text,) in run(cursor, _AS_KEPT, [[*names, *selects.values()]])]
    places = [text.removeprefix("SELECT * FROM ") for text in kept[: len(names)]]
    return {
        name: f"CREATE VIEW {place} AS {text};"
        for name, place, text in zip(selects, places, kept[len(names) :])
    }


def _create(cursor: Cursor, view: str, select: str, comment: str) -> None:
    run(cursor, f"CREATE VIEW {view} AS {select}")
    run(cursor, f"COMMENT ON VIEW {view} IS {sql_literal(comment)}")


def _drop_empty(cursor: Cursor, catalog: str, schemas: set[str]) -> None:
    """Drop schemas that sxq made, unless the user has put something there."""
    if not schemas:
        return
    filled = {schema for schema, _ in run(cursor, _OTHERS, [catalog, _MARK])}
    filled |= {schema for (schema,) in run(cursor, _NO_RELATIONS, [catalog])}
    for schema in sorted(schemas - filled - {"main"}):
        run(cursor, f"DROP SCHEMA {quote(catalog, schema)}")
