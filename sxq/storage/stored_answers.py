"""Reading stored answers back: the list of queries, and the explanations that AUDIT measures again."""

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from sxq.errors import InvalidValue, StoreError
from sxq.graph.link_field import LinkKey, typed_link
from sxq.graph.typed_keys import TypedKey
from sxq.graph.types import read_type
from sxq.storage.checked import CheckedRow
from sxq.storage.key_columns import key_of, text_of
from sxq.storage.rows import Cursor, run, run_named

_QUERIES = """
    SELECT query_id, text, m.name AS model, g.name AS graph,
           (SELECT count(*) FROM targets t WHERE t.query_id = q.query_id) AS targets,
           (SELECT count(*) FROM explanations e WHERE e.query_id = q.query_id) AS explanations,
           started_at, seconds, complete, q.status
    FROM queries q LEFT JOIN models m USING (model_id) LEFT JOIN graphs g ON g.graph_id = q.graph_id
    ORDER BY query_id"""

_ASKED = """
    SELECT query_id, text, model_id, graph_id, plan, settings, seed, epsilon, k, status, seconds FROM queries
    WHERE $query_id IS NULL OR query_id = $query_id ORDER BY query_id"""

# the types of keys, of a query's targets and of the nodes of its graph; min: a damaged file may hold an id twice
_KINDS = """
    kinds AS (
        SELECT query_id, min(CASE WHEN num_graphs IS NULL THEN key_type ELSE graph_key_type END) AS target_kind,
               min(key_type) AS node_kind, min(graph_id) AS typed_by
        FROM queries JOIN graphs USING (graph_id) GROUP BY query_id)"""

_TARGETS = f"""
    WITH {_KINDS}
    SELECT query_id, target, ordinal, COLUMNS(t.* EXCLUDE (query_id, target, ordinal, seconds)),
           {text_of("target", "target_kind")} AS target_text, target_kind
    FROM targets t LEFT JOIN kinds USING (query_id)
    WHERE ($query_id IS NULL OR query_id = $query_id) AND ($first IS NULL OR ordinal BETWEEN $first AND $last)
    ORDER BY query_id, ordinal"""

_KEYS = f"""
    WITH {_KINDS}
    SELECT target, {text_of("target", "target_kind")}, target_kind, node_type
    FROM targets LEFT JOIN kinds USING (query_id) WHERE query_id = ? ORDER BY ordinal"""

_PLACES = """
    SELECT query_id, ordinal FROM targets WHERE $query_id IS NULL OR query_id = $query_id ORDER BY query_id, ordinal"""

# a target that was done, stopped with an answer, or is gone from the graph
_ANSWERED = """coalesce((status = 'stopped' AND prediction IS NOT NULL) OR status IN ('done', 'empty')
               OR refreshed = 'gone', false)"""

_LEFT = f"""
    WITH {_KINDS}
    SELECT target, {text_of("target", "target_kind")}, target_kind, node_type, ordinal
    FROM targets LEFT JOIN kinds USING (query_id)
    WHERE query_id = ? AND NOT {_ANSWERED} ORDER BY ordinal"""

_ANSWERED_TARGETS = f"""
    SELECT count(*), count_if(status = 'stopped'), bool_and(coalesce(complete, false)) IS NOT false FROM targets
    WHERE query_id = ? AND {_ANSWERED}"""

_RESTRICTIONS = f"""
    WITH {_KINDS}
    SELECT query_id, clause, src, {text_of("src", "node_kind")}, dst, {text_of("dst", "node_kind")}, node_kind
    FROM query_edges LEFT JOIN kinds USING (query_id)
    WHERE $query_id IS NULL OR query_id = $query_id ORDER BY query_edges.rowid"""

# all targets of a query, or some by their places; a damaged file may hold a target twice
_OF_TARGET = """($first IS NULL OR target IN (
        SELECT t.target FROM targets t WHERE t.query_id = $query_id AND t.ordinal BETWEEN $first AND $last))"""
# the same, or explanations by their ids
_CHOSEN = f"{_OF_TARGET} AND ($ids IS NULL OR explanation_id IN (SELECT unnest($ids)))"

_EXPLANATIONS = f"""
    WITH {_KINDS}
    SELECT e.explanation_id, query_id, model_id, graph_id, e.target,
           {text_of("e.target", "target_kind")} AS target_text, target_kind, rank, factual, counterfactual, tie,
           e.dominance, generator, recommended, raw, scores,
           {{'size': size, 'num_nodes': num_nodes, 'fdl_plus': fdl_plus, 'fdl_minus': fdl_minus,
            'conc': conc}} AS columns,
           (SELECT min(field_size) FROM targets t WHERE t.query_id = e.query_id AND t.target = e.target) AS field_size,
           settings,
           (SELECT min(node_type) FROM targets t WHERE t.query_id = e.query_id AND t.target = e.target) AS node_type
    FROM explanations e LEFT JOIN queries USING (query_id) LEFT JOIN kinds USING (query_id)
    WHERE ($query_id IS NULL OR query_id = $query_id) AND {_CHOSEN}
    ORDER BY query_id, e.explanation_id"""

_CANDIDATES = f"""
    WITH {_KINDS}
    SELECT target, {text_of("target", "target_kind")}, target_kind,
           (SELECT min(node_type) FROM targets t WHERE t.query_id = c.query_id AND t.target = c.target), scores
    FROM candidates c LEFT JOIN kinds USING (query_id)
    WHERE query_id = $query_id AND {_OF_TARGET} AND explanatory ORDER BY target, candidate"""

_EDGES = f"""
    WITH {_KINDS}
    SELECT explanation_id, src, {text_of("src", "node_kind")}, dst, {text_of("dst", "node_kind")}, node_kind,
           src_type, dst_type, x.edge_type, unit, edge, worth_kept, worth_removed, needed
    FROM explanation_edges x JOIN explanations USING (explanation_id) LEFT JOIN kinds USING (query_id)
    LEFT JOIN edge_types t ON t.graph_id = typed_by AND t.edge_type = x.edge_type
    WHERE ($query_id IS NULL OR query_id = $query_id) AND {_CHOSEN}
    ORDER BY x.rowid"""


_NODES = f"""
    WITH {_KINDS}
    SELECT explanation_id, node, {text_of("node", "node_kind")}, node_kind, node_type, worth_kept, worth_removed, needed
    FROM explanation_nodes JOIN explanations USING (explanation_id) LEFT JOIN kinds USING (query_id)
    WHERE ($query_id IS NULL OR query_id = $query_id) AND {_CHOSEN}
    ORDER BY explanation_nodes.rowid"""

_FEATURES = f"""
    SELECT explanation_id, feature, name, value, worth_kept, worth_removed, needed
    FROM explanation_features JOIN explanations USING (explanation_id)
    WHERE ($query_id IS NULL OR query_id = $query_id) AND {_CHOSEN}
    ORDER BY explanation_features.rowid"""


Places = tuple[int, int]  # the first and the last place of some targets in their query
NO_TARGETS = (-1, -1)  # places that no target has: a query without its targets


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


class StoredWorth(NamedTuple):
    """What is stored about one directed edge of an explanation; None where it was not stored."""

    unit: int | None
    edge: int | None
    kept: float | None
    removed: float | None
    needed: bool | None


class StoredUnit(NamedTuple):
    """A unit of an explanation OVER NODES or OVER FEATURES."""

    unit: Any  # key of the node, or column of x
    kept: float | None  # its worth; None where it was not measured
    removed: float | None
    needed: bool | None
    name: str | None = None  # of a feature
    value: float | None = None  # of a feature


@dataclass(frozen=True, kw_only=True)
class StoredExplanation:
    """One member of a stored answer, with everything that a new measurement needs.

    What comes from a query or a target is None where that row is missing.
    """

    explanation_id: int
    query_id: int
    model_id: int | None
    graph_id: int | None
    target: Any  # key
    rank: int
    factual: bool
    counterfactual: bool
    tie: bool  # either flag could be the other way
    dominance: int
    generator: str
    recommended: bool | None  # None in files of earlier versions
    raw: Mapping[str, float]
    scores: Mapping[str, float]
    columns: Mapping[str, float | None]  # size and measures, by column
    field_size: int | None  # units of the target's field
    settings: Mapping[str, Any]  # of the query; empty where they cannot be read
    edges: tuple[tuple[Any, Any], ...] = field(repr=False)  # directed, by key
    worths: tuple[StoredWorth, ...] = field(repr=False)  # of each of these
    edge_types: tuple[str | None, ...] = field(default=(), repr=False)  # of each of these
    nodes: tuple[StoredUnit, ...] = field(default=(), repr=False)  # units OVER NODES
    features: tuple[StoredUnit, ...] = field(default=(), repr=False)  # units OVER FEATURES


@dataclass(frozen=True, kw_only=True)
class StoredTarget:
    """One target of a stored query, with the columns that a report filled in."""

    target: Any  # key
    ordinal: int
    columns: Mapping[str, Any]  # status, prediction, probability, ...


@dataclass(frozen=True, kw_only=True)
class LeftTargets:
    """The targets of a query that have no answer; a million of them are held as keys."""

    keys: tuple[Any, ...]
    ordinals: tuple[int, ...]
    answered: int  # the others
    stopped: int  # of those, whose search was stopped early
    complete: bool  # whether the searches of all others came to their end


@dataclass(frozen=True, kw_only=True)
class StoredQuery:
    """A stored query with its targets."""

    query_id: int
    text: str
    model_id: int
    graph_id: int
    plan: str
    seed: int
    epsilon: float
    k: int
    status: str  # as in QueryRow
    seconds: float | None  # as in QueryRow
    settings: str  # JSON, as it stands in the file
    targets: tuple[StoredTarget, ...] = field(repr=False)
    # what INCLUDE and EXCLUDE name: (clause, source, head), by key
    restrictions: tuple[tuple[str, Any, Any], ...] = field(default=(), repr=False)

    @property
    def place(self) -> CheckedRow:
        """The row, as messages name it."""
        return CheckedRow("queries", "query_id", self.query_id)


def queries(cursor: Cursor) -> list[QueryRow]:
    """Every query, the oldest first."""
    return [QueryRow(**row) for row in run_named(cursor, _QUERIES)]


def asked(
    cursor: Cursor, query_id: int | None = None, places: Places | None = None
) -> list[StoredQuery]:
    """One stored query or all, with their targets, or those at some places; raises InvalidValue."""
    require_query(cursor, query_id)
    targets: dict[int, list[StoredTarget]] = defaultdict(list)
    for row in run_named(cursor, _TARGETS, {"query_id": query_id, **_between(places)}):
        row = _with_key(row)
        own = {name: row.pop(name) for name in ("query_id", "target", "ordinal")}
        del row["node_type"]  # it is in the key
        target = StoredTarget(target=own["target"], ordinal=own["ordinal"], columns=row)
        targets[own["query_id"]].append(target)
    edges: dict[int, list[tuple[str, Any, Any]]] = defaultdict(list)
    for of_query, clause, *ends, kind in run(cursor, _RESTRICTIONS, {"query_id": query_id}):
        src, src_text, dst, dst_text = ends
        edge = key_of(src, src_text, kind), key_of(dst, dst_text, kind)
        edges[of_query].append((clause, *edge))
    return [
        StoredQuery(
            **row,
            targets=tuple(targets[row["query_id"]]),
            restrictions=tuple(edges[row["query_id"]]),
        )
        for row in run_named(cursor, _ASKED, {"query_id": query_id})
    ]


def target_places(cursor: Cursor, query_id: int | None = None) -> dict[int, np.ndarray]:
    """The places of the targets of one query or of all, in ascending order, by query."""
    columns = cursor.execute(_PLACES, {"query_id": query_id}).fetchnumpy()
    found, first = np.unique(columns["query_id"], return_index=True)
    return dict(zip(found.tolist(), np.split(columns["ordinal"], first[1:])))


def target_keys(cursor: Cursor, query_id: int) -> tuple[Any, ...]:
    """The keys of the targets of a query, in their order."""
    rows = run(cursor, _KEYS, [query_id])
    return tuple(_named(kind, key_of(*key)) for *key, kind in rows)


def left_targets(cursor: Cursor, query_id: int) -> LeftTargets:
    """The targets of a query that have no answer yet."""
    rows = run(cursor, _LEFT, [query_id])
    ((answered, stopped, complete),) = run(cursor, _ANSWERED_TARGETS, [query_id])
    return LeftTargets(
        keys=tuple(_named(kind, key_of(*key)) for *key, kind, _ in rows),
        ordinals=tuple(row[-1] for row in rows),
        answered=answered,
        stopped=stopped,
        complete=complete,
    )


def explanations(
    cursor: Cursor,
    query_id: int | None = None,
    places: Places | None = None,
    ids: Sequence[int] | None = None,
) -> list[StoredExplanation]:
    """The stored explanations of one query or of all, in the order stored; raises InvalidValue.

    places  of targets in their query: only the explanations of those
    ids     only these explanations
    """
    require_query(cursor, query_id)
    asked_for = {"query_id": query_id, "ids": ids, **_between(places)}
    rows = run_named(cursor, _EXPLANATIONS, asked_for)
    if not rows:
        return []  # of most targets of a query that was stopped
    edges: dict[int, list[tuple[Any, Any]]] = defaultdict(list)
    types: dict[int, list[str | None]] = defaultdict(list)
    worths: dict[int, list[StoredWorth]] = defaultdict(list)
    for explanation_id, *columns in run(cursor, _EDGES, asked_for):
        src, src_text, dst, dst_text, kind, src_type, dst_type, edge_type, *worth = columns
        source = _named(src_type, key_of(src, src_text, kind))
        edges[explanation_id].append((source, _named(dst_type, key_of(dst, dst_text, kind))))
        types[explanation_id].append(edge_type)
        worths[explanation_id].append(StoredWorth(*worth))
    nodes: dict[int, list[StoredUnit]] = defaultdict(list)
    for explanation_id, *columns in run(cursor, _NODES, asked_for):
        node, text, kind, node_type, *worth = columns
        unit = _named(node_type, key_of(node, text, kind))
        nodes[explanation_id].append(StoredUnit(unit, *worth))
    features: dict[int, list[StoredUnit]] = defaultdict(list)
    for explanation_id, column, name, value, *worth in run(cursor, _FEATURES, asked_for):
        kept, removed, needed = worth
        unit = StoredUnit(column, kept, removed, needed, name=name)
        features[explanation_id].append(unit._replace(value=value))
    return [
        StoredExplanation(
            **{**_without_type(row), "settings": _settings(row["settings"])},
            edges=tuple(edges[row["explanation_id"]]),
            worths=tuple(worths[row["explanation_id"]]),
            edge_types=tuple(types[row["explanation_id"]]),
            nodes=tuple(nodes[row["explanation_id"]]),
            features=tuple(features[row["explanation_id"]]),
        )
        for row in rows
    ]


def explanatory_candidates(
    cursor: Cursor, query_id: int, places: Places | None = None
) -> list[tuple[Any, Mapping[str, float]]]:
    """The target and the scores of every explanatory candidate that was kept of a query, or of some targets."""
    asked_for = {"query_id": query_id, **_between(places)}
    return [
        (_named(node_type, key_of(target, text, kind)), scores)
        for target, text, kind, node_type, scores in run(cursor, _CANDIDATES, asked_for)
    ]


def _with_key(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose target is a key of its graph."""
    target = key_of(*(row.pop(name) for name in ("target", "target_text", "target_kind")))
    return {**row, "target": _named(row["node_type"], target)}


def _without_type(row: dict[str, Any]) -> dict[str, Any]:
    """The same without the type of the target, which is in its key."""
    return {name: value for name, value in _with_key(row).items() if name != "node_type"}


def _named(node_type: str | None, key: Any) -> Any:
    """The full name of a node, or of a link whose edge type is written in place of a node type."""
    if isinstance(key, LinkKey) and node_type is not None:
        kind = read_type(node_type)
        if kind is None:
            return key
        source, relation, head = kind
        return typed_link(TypedKey(source, key.u), TypedKey(head, key.v), relation)
    return key if node_type is None else TypedKey(node_type, key)


def _between(places: Places | None) -> dict[str, int | None]:
    first, last = places or (None, None)
    return {"first": first, "last": last}


def require_query(cursor: Cursor, query_id: int | None) -> None:
    """Raise InvalidValue where there is no such query; None is all of them."""
    if query_id is not None and (not isinstance(query_id, int) or isinstance(query_id, bool)):
        raise InvalidValue(f"QUERY {query_id!r}; expected the number of a stored query")
    if query_id is None or run(cursor, "SELECT 1 FROM queries WHERE query_id = ?", [query_id]):
        return
    last = run(cursor, "SELECT max(query_id) FROM queries")[0][0]
    stored = f"the last is {last}" if last else "none is stored yet"
    raise InvalidValue(f"no query {query_id}; {stored}")


def _settings(text: Any) -> Mapping[str, Any]:
    try:
        return CheckedRow("queries", "query_id", 0).read_json("settings", text)
    except StoreError:
        return {}
