"""Reading stored answers back: the list of queries, and the explanations that AUDIT measures again."""

import datetime
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sxq.errors import InvalidValue
from sxq.storage.rows import Cursor, run, run_named

_QUERIES = """
    SELECT query_id, text, m.name AS model, g.name AS graph,
           (SELECT count(*) FROM targets t WHERE t.query_id = q.query_id) AS targets,
           (SELECT count(*) FROM explanations e WHERE e.query_id = q.query_id) AS explanations,
           started_at, seconds, complete, q.status
    FROM queries q LEFT JOIN models m USING (model_id) LEFT JOIN graphs g ON g.graph_id = q.graph_id
    ORDER BY query_id"""

_EXPLANATIONS = """
    SELECT e.explanation_id, query_id, model_id, graph_id, e.target, rank, factual, counterfactual, tie, raw,
           {'size': size, 'num_nodes': num_nodes, 'fdl_plus': fdl_plus, 'fdl_minus': fdl_minus,
            'conc': conc} AS columns,
           field_size, settings
    FROM explanations e JOIN queries USING (query_id) JOIN targets t USING (query_id, target)
    WHERE $query_id IS NULL OR query_id = $query_id
    ORDER BY query_id, e.explanation_id"""

_EDGES = """
    SELECT explanation_id, src, dst FROM explanation_edges JOIN explanations USING (explanation_id)
    WHERE $query_id IS NULL OR query_id = $query_id
    ORDER BY explanation_edges.rowid"""


@dataclass(frozen=True, kw_only=True)
class QueryRow:
    """One EXPLAIN, as SHOW QUERIES lists it."""

    query_id: int
    text: str
    model: str  # the name at that time
    graph: str
    targets: int
    explanations: int
    started_at: datetime.datetime  # UTC
    seconds: float | None  # None: it still runs, or its process was killed
    complete: bool | None
    status: str  # running, done; interrupted: its process was killed


@dataclass(frozen=True, kw_only=True)
class StoredExplanation:
    """One member of a stored answer, with everything that a new measurement needs."""

    explanation_id: int
    query_id: int
    model_id: int
    graph_id: int
    target: Any  # key
    rank: int
    factual: bool
    counterfactual: bool
    tie: bool  # either flag could be the other way
    raw: Mapping[str, float]
    columns: Mapping[str, float | None]  # size and measures, by column
    field_size: int  # units of the target's field
    settings: Mapping[str, Any]  # of the query
    edges: tuple[tuple[Any, Any], ...] = field(repr=False)  # directed, by key


def queries(cursor: Cursor) -> list[QueryRow]:
    """Every query, the oldest first."""
    return [QueryRow(**row) for row in run_named(cursor, _QUERIES)]


def explanations(cursor: Cursor, query_id: int | None = None) -> list[StoredExplanation]:
    """The stored explanations of one query or of all, in the order stored; raises InvalidValue."""
    if query_id is not None and not run(
        cursor, "SELECT 1 FROM queries WHERE query_id = ?", [query_id]
    ):
        last = run(cursor, "SELECT max(query_id) FROM queries")[0][0]
        stored = f"the last is {last}" if last else "none is stored yet"
        raise InvalidValue(f"no query {query_id}; {stored}")
    edges: dict[int, list[tuple[Any, Any]]] = defaultdict(list)
    for explanation_id, src, dst in run(cursor, _EDGES, {"query_id": query_id}):
        edges[explanation_id].append((src, dst))
    return [
        StoredExplanation(
            **{**row, "settings": json.loads(row["settings"])},
            edges=tuple(edges[row["explanation_id"]]),
        )
        for row in run_named(cursor, _EXPLANATIONS, {"query_id": query_id})
    ]
