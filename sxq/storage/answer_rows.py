"""Writing the results of a query: `queries` and `targets` before the run, finished targets during it.

Targets are stored in one transaction, alone or with others that end at about the same time, so a killed process
leaves every target either whole or pending. Targets that the query never reached are stored together.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from sxq.errors import StoreError
from sxq.graph.link_field import LinkKey, TypedLinkKey
from sxq.graph.typed_keys import TypedKey
from sxq.graph.types import shown_type
from sxq.storage.key_columns import TO_VARIANT, key_array, text_type
from sxq.storage.model_rows import to_json
from sxq.storage.rows import (
    Cursor,
    append,
    insert,
    insert_arrays,
    next_ids,
    object_array,
    run,
    utc_now,
)
from sxq.storage.user_sql import plain
from sxq.values.explanation import CandidateRow, Explanation, TargetReport, Worth

# columns of `targets` that a report fills in; its attributes have the same names but for `class`
REPORTED = (
    "status",
    "prediction",
    "class",
    "against",
    "probability",
    "p_empty",
    "self_sufficient",
    "field_size",
    "hops",
    "candidates",
    "pruned",
    "explanatory",
    "front",
    "dominance",
    "coverage",
    "epsilon_achieved",
    "hypervolume",
    "proved",
    "bound",
    "complete",
    "seconds",
    "note",
    "refreshed",
)
_SAID = attrgetter(*({"class": "asked"}.get(column, column) for column in REPORTED))
_VERSION = "SELECT version FROM queries JOIN graphs USING (graph_id) WHERE query_id = ?"
_UPDATE = f"UPDATE targets SET {', '.join(f'{column} = ${column}' for column in REPORTED)} WHERE query_id = $query_id"
_INSERT_EDGES = {  # SQL type of keys that are text
    kind: f"""INSERT INTO explanation_edges SELECT owner, {to_key.format("src")}, {to_key.format("dst")}, unit, edge,
            CASE WHEN measured THEN worth_kept END, CASE WHEN measured THEN worth_removed END,
            CASE WHEN measured THEN needed END, edge_type
        FROM temp.incoming"""
    for kind, to_key in TO_VARIANT.items()
}
_INSERT_NODES = {
    kind: f"""INSERT INTO explanation_nodes SELECT owner, {to_key.format("node")},
            CASE WHEN measured THEN worth_kept END, CASE WHEN measured THEN worth_removed END,
            CASE WHEN measured THEN needed END, node_type
        FROM temp.incoming"""
    for kind, to_key in TO_VARIANT.items()
}
_INSERT_FEATURES = """INSERT INTO explanation_features SELECT owner, feature, name, value,
        CASE WHEN measured THEN worth_kept END, CASE WHEN measured THEN worth_removed END,
        CASE WHEN measured THEN needed END
    FROM temp.incoming"""
TARGETS_AT_ONCE = 1 << 17  # rows that are written together
_AS_TARGET = {False: "{key}", True: "{{'u': {u}, 'v': {v}}}::VARIANT"}  # whether it is a link
_INSERT_PENDING = {  # SQL type of keys that are text, whether targets are links
    (kind, link): f"""INSERT INTO targets (query_id, target, ordinal, status, node_type)
        SELECT ?, {shape.format(**{name: to_key.format(name) for name in ("key", "u", "v")})}, ordinal, 'pending', node_type
        FROM temp.incoming"""
    for kind, to_key in TO_VARIANT.items()
    for link, shape in _AS_TARGET.items()
}
_PENDING = """SELECT ordinal FROM targets
              WHERE query_id = ? AND ordinal IN (SELECT unnest(?)) AND status = 'pending'"""
_SAVE_UNREACHED = (
    # RETURNING would make DuckDB delete and insert each row, which costs ten times as much
    f"{_UPDATE} AND ordinal BETWEEN $first AND $last AND status = 'pending'"
)
_KNOWN = "SELECT count(*) FROM targets WHERE query_id = ? AND ordinal BETWEEN ? AND ?"


_RESUME_TARGETS = f"""
    UPDATE targets SET status = 'pending', {", ".join(f"{column} = NULL" for column in REPORTED[1:])}
    WHERE query_id = $query_id AND ordinal IN (SELECT unnest($ordinals))"""
# Tables with a row for something of a query; those of explanations are deleted before these.
_OF_EXPLANATIONS = ("explanation_edges", "explanation_nodes", "explanation_features")
_OF_QUERY = (
    "explanations",
    "targets",
    "candidates",
    "query_edges",
    "patterns",
    "pattern_nodes",
    "pattern_edges",
    "pattern_matches",
    "queries",
)


def begin(
    cursor: Cursor,
    query: Mapping[str, Any],
    targets: Sequence[Any],
    restrictions: Mapping[str, Sequence[tuple[Any, Any]]],
) -> int:
    """Store a query (its columns by name) and its targets (keys), all pending; return its id.

    `restrictions` are the edges of INCLUDE and EXCLUDE, by the name of the clause.

    Raises StoreError if another connection dropped the graph or the model during planning.
    """
    if not run(
        cursor,
        "SELECT 1 FROM graphs g, models m WHERE g.graph_id = ? AND m.model_id = ?",
        [query["graph_id"], query["model_id"]],
    ):
        raise StoreError(
            "another connection dropped or replaced the graph or the model while this query"
            " was planned; run the query again"
        )
    (query_id,) = next_ids(cursor, "query_ids")
    as_json = {column: to_json(query[column]) for column in ("settings", "versions")}
    row = {"query_id": query_id, **query, **as_json, "started_at": utc_now()}
    insert(cursor, "queries", plain({**row, "status": "running"}))
    for first in range(0, len(targets), TARGETS_AT_ONCE):
        _begin_targets(cursor, query_id, first, targets[first : first + TARGETS_AT_ONCE])
    edges = [
        (query_id, clause, plain(bare(source)), plain(bare(head)))
        for clause, listed in restrictions.items()
        for source, head in listed
    ]
    if edges:
        append(cursor, "query_edges", edges)
    return query_id


def _begin_targets(cursor: Cursor, query_id: int, first: int, targets: Sequence[Any]) -> None:
    """Store pending targets, the first of which has the place `first`."""
    columns = {
        "ordinal": np.arange(first, first + len(targets), dtype=np.int32),
        "node_type": object_array(list(map(type_of, targets))),
    }
    keys = [bare(target) for target in targets]
    link = isinstance(keys[0], dict)
    ends = {end: [key[end] for key in keys] for end in keys[0]} if link else {"key": keys}
    kind = text_type(next(iter(ends.values())))
    columns |= {name: key_array(own if kind else plain(own)) for name, own in ends.items()}
    insert_arrays(cursor, _INSERT_PENDING[kind, link], columns, [query_id])


def bare(key: Any) -> Any:
    """The key of a node without its type; of a link a STRUCT of the keys of its ends."""
    if isinstance(key, LinkKey):
        return {end: bare(own) for end, own in key._asdict().items()}
    return key.key if isinstance(key, TypedKey) else key


def type_of(key: Any) -> str | None:
    """The type of a node by its full name, of a link its edge type; None where nodes have no types."""
    if isinstance(key, TypedLinkKey):
        return shown_type(key.edge_type)
    return key.node_type if isinstance(key, TypedKey) else None


def version_of_graph(cursor: Cursor, query_id: int) -> int | None:
    """The version of the graph that a query asks; None in files of earlier versions."""
    ((version,),) = run(cursor, _VERSION, [query_id])
    return version


def save_targets(
    cursor: Cursor, query_id: int, reports: Sequence[TargetReport], version: int | None
) -> None:
    """Store the reports of pending targets; a target that was stored before is left as it is.

    version  of the graph

    A statement costs about as much for a hundred targets as for one.
    """
    rows = run(cursor, _PENDING, [query_id, [report.ordinal for report in reports]])
    pending = {ordinal for (ordinal,) in rows}
    for report in reports:
        if report.ordinal not in pending:  # Ctrl-C may have hidden that it was stored
            _require_target(cursor, query_id, report.ordinal)
    waiting = {report.ordinal: report for report in reports if report.ordinal in pending}
    _save_reported(cursor, query_id, waiting)
    members = [member for report in waiting.values() for member in report.explanations]
    ids = next_ids(cursor, "explanation_ids", len(members)) if members else []
    rows_of_members = (
        [*_explanation(number, query_id, one), version] for number, one in zip(ids, members)
    )
    append(cursor, "explanations", rows_of_members)
    _save_edges(cursor, ids, members)
    _save_nodes(cursor, ids, members)
    _save_features(cursor, ids, members)
    for report in waiting.values():
        if report.kept:
            _save_candidates(cursor, query_id, report.target, report.kept)


def _save_reported(cursor: Cursor, query_id: int, reports: Mapping[int, TargetReport]) -> None:
    """Fill in the rows of targets, by ordinal."""
    rows = [(query_id, ordinal, *_reported(report).values()) for ordinal, report in reports.items()]
    if rows:
        key = ["query_id", "ordinal"]
        append(cursor, "targets", rows, columns=[*key, *REPORTED], action="update", key=key)


def save_unreached(cursor: Cursor, query_id: int, reports: Iterable[TargetReport]) -> None:
    """Store reports without explanations, equal ones in one UPDATE; otherwise like `save_targets`."""
    alike: dict[tuple, list[TargetReport]] = {}
    for report in reports:
        alike.setdefault(_SAID(report), []).append(report)
    for same in alike.values():
        for first, last in _runs(sorted({report.ordinal for report in same})):
            run(
                cursor,
                _SAVE_UNREACHED,
                {"query_id": query_id, "first": first, "last": last, **_reported(same[0])},
            )
            ((known,),) = run(cursor, _KNOWN, [query_id, first, last])
            for ordinal in range(first, last + 1) if known <= last - first else ():
                _require_target(cursor, query_id, ordinal)


def _runs(ordinals: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last of each run of numbers that follow one another, in ascending order."""
    some = np.array(ordinals, np.int64)
    breaks = np.flatnonzero(np.diff(some) != 1)
    first = some[np.concatenate([[0], breaks + 1])]
    last = some[np.concatenate([breaks, [len(some) - 1]])]
    return list(zip(first.tolist(), last.tolist()))


def _reported(report: TargetReport) -> dict[str, Any]:
    """The columns of a target that its report fills in."""
    return dict(zip(REPORTED, map(plain, _SAID(report))))


def resume(cursor: Cursor, query_id: int, ordinals: Sequence[int]) -> None:
    """Make some targets of a query pending again, and the query a running one."""
    run(cursor, _RESUME_TARGETS, {"query_id": query_id, "ordinals": list(ordinals)})
    run(cursor, "UPDATE queries SET status = 'running' WHERE query_id = ?", [query_id])


def delete(cursor: Cursor, query_id: int) -> None:
    """Delete a query and everything that was stored for it."""
    for table in _OF_EXPLANATIONS:
        run(
            cursor,
            f"DELETE FROM {table} WHERE explanation_id IN"
            " (SELECT explanation_id FROM explanations WHERE query_id = ?)",
            [query_id],
        )
    for table in _OF_QUERY:
        run(cursor, f"DELETE FROM {table} WHERE query_id = ?", [query_id])


def finish(cursor: Cursor, query_id: int, seconds: float, complete: bool) -> None:
    """Mark a query as ended."""
    run(
        cursor,
        "UPDATE queries SET seconds = ?, complete = ?, status = 'done' WHERE query_id = ?",
        [float(seconds), bool(complete), query_id],
    )


def _require_target(cursor: Cursor, query_id: int, ordinal: int) -> None:
    if not run(
        cursor, "SELECT 1 FROM targets WHERE query_id = ? AND ordinal = ?", [query_id, ordinal]
    ):
        raise StoreError(f"query {query_id} has no target with ordinal {ordinal}")


def _explanation(explanation_id: int, query_id: int, member: Explanation) -> list[Any]:
    raw, scores = (_floats(values) for values in (member.raw, member.scores))
    return plain(
        [
            explanation_id,
            query_id,
            bare(member.target),
            member.rank,
            member.recommended,
            member.size,
            len(member.nodes),
            member.factual,
            member.counterfactual,
            member.tie,
            member.generator,
            member.dominance,
            raw.get("fdl+"),
            raw.get("fdl-"),
            raw.get("conc"),
            raw,
            scores,
        ]
    )


def _save_candidates(
    cursor: Cursor, query_id: int, target: Any, rows: Iterable[CandidateRow]
) -> None:
    append(cursor, "candidates", (_candidate(query_id, target, row) for row in rows))


def _candidate(query_id: int, target: Any, row: CandidateRow) -> tuple:
    ends = {"edited_src": bare(row.edited_src), "edited_dst": bare(row.edited_dst)}
    return query_id, plain(bare(target)), *plain(row._replace(**ends))


def _floats(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _save_edges(cursor: Cursor, ids: Sequence[int], members: Sequence[Explanation]) -> None:
    edges = [(bare(u), bare(v)) for member in members for u, v in member.edges]
    if not edges:
        return
    kind = text_type(edges[0])
    src, dst = (key_array(keys if kind else plain(keys)) for keys in zip(*edges))
    sizes = [len(member.edges) for member in members]
    units = [member.edge_units for member in members if member.edge_units is not None]
    edge = np.concatenate([member.first_edge + member.edge_numbers for member in members])
    columns = {
        "owner": np.repeat(ids, sizes),
        "src": src,
        "dst": dst,
        "unit": np.concatenate(units) if units else object_array([None] * len(edges)),
        "edge": edge,
        "edge_type": _edge_types(members),
        **_worths([member.worth if units else None for member in members], sizes),
    }
    insert_arrays(cursor, _INSERT_EDGES[kind], columns)


def _edge_types(members: Sequence[Explanation]) -> np.ndarray:
    """The type of every edge by name; None where edges have no types."""
    found: list[str | None] = []
    for member in members:
        types = getattr(member.graph, "types", None)
        if types is None:
            found += [None] * len(member.edges)
        else:
            names = list(map(shown_type, types.edge_types))
            found += [names[number] for number in types.of_edge[member.edge_numbers].tolist()]
    return object_array(found)


def _save_nodes(cursor: Cursor, ids: Sequence[int], members: Sequence[Explanation]) -> None:
    """The units of an answer OVER NODES."""
    nodes = [node for member in members if member.over == "nodes" for node in member.units]
    if not nodes:
        return
    types = object_array([type_of(node) for node in nodes])
    keys = [bare(node) for node in nodes]
    kind = text_type(keys)
    columns = {
        "node": key_array(keys if kind else plain(keys)),
        "node_type": types,
        **_units(ids, members),
    }
    insert_arrays(cursor, _INSERT_NODES[kind], columns)


def _save_features(cursor: Cursor, ids: Sequence[int], members: Sequence[Explanation]) -> None:
    """The units of an answer OVER FEATURES."""
    if not members or members[0].over != "features":
        return
    columns = {
        "feature": np.concatenate([member.features for member in members]),
        "name": object_array([name for member in members for name in member.units]),
        "value": np.concatenate([member.values for member in members]),
        **_units(ids, members),
    }
    insert_arrays(cursor, _INSERT_FEATURES, columns)


def _units(ids: Sequence[int], members: Sequence[Explanation]) -> dict[str, np.ndarray]:
    """The owner and the worth of every unit."""
    sizes = [len(member.units) for member in members]
    return {"owner": np.repeat(ids, sizes), **_worths([member.worth for member in members], sizes)}


def _worths(worths: Sequence[Worth | None], sizes: Sequence[int]) -> dict[str, np.ndarray]:
    """Columns of the worths of members that list so many edges or units; `measured` says where there is one."""
    known = [worth or _unmeasured(size) for worth, size in zip(worths, sizes)]
    return {
        "worth_kept": np.concatenate([worth.kept for worth in known]),
        "worth_removed": np.concatenate([worth.removed for worth in known]),
        "needed": np.concatenate([worth.needed for worth in known]),
        "measured": np.repeat([worth is not None for worth in worths], sizes),
    }


def _unmeasured(count: int) -> Worth:
    """Stands for the worth of `count` edges or units that was not measured."""
    return Worth(kept=np.zeros(count), removed=np.zeros(count), needed=np.zeros(count, bool))
