"""Answers that REFRESH carries over to a new version of their graph, and which version each query is on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sxq.storage.answer_rows import REPORTED
from sxq.storage.rows import Cursor, insert_arrays, next_ids, run, run_named

_COPIED = [column for column in REPORTED if column not in ("refreshed", "seconds")]
_UPDATE = f"""
    UPDATE targets SET {", ".join(f"{column} = s.{column}" for column in _COPIED)}, refreshed = 'carried', seconds = 0
    FROM (SELECT * FROM targets WHERE query_id = $source AND ordinal BETWEEN $first AND $last) s
    WHERE targets.query_id = $query_id AND targets.ordinal BETWEEN $first AND $last
        AND targets.ordinal = s.ordinal AND targets.status = 'pending'
        AND s.ordinal IN (SELECT unnest($ordinals)) RETURNING targets.ordinal"""
_OWN = """
    SELECT explanation_id FROM explanations e JOIN targets t ON t.query_id = e.query_id AND t.target = e.target
    WHERE e.query_id = ? AND t.ordinal IN (SELECT unnest(?)) ORDER BY explanation_id"""
_EXPLANATIONS = """
    INSERT INTO explanations
    SELECT e.* REPLACE (later AS explanation_id, $1 AS query_id,
        (SELECT version FROM queries JOIN graphs USING (graph_id) WHERE query_id = $1) AS graph_version)
    FROM explanations e JOIN temp.incoming ON e.explanation_id = earlier ORDER BY later"""
_EDGES = """
    INSERT INTO explanation_edges SELECT x.* REPLACE (later AS explanation_id)
    FROM explanation_edges x JOIN temp.incoming ON x.explanation_id = earlier ORDER BY x.rowid"""
_NODES = """
    INSERT INTO explanation_nodes SELECT x.* REPLACE (later AS explanation_id)
    FROM explanation_nodes x JOIN temp.incoming ON x.explanation_id = earlier ORDER BY x.rowid"""
_FEATURES = """
    INSERT INTO explanation_features SELECT x.* REPLACE (later AS explanation_id)
    FROM explanation_features x JOIN temp.incoming ON x.explanation_id = earlier ORDER BY x.rowid"""
_USED = "SELECT DISTINCT edge FROM explanation_edges WHERE explanation_id IN (SELECT unnest(?))"
_RENUMBER = """
    UPDATE explanation_edges SET edge = later FROM temp.incoming
    WHERE edge = earlier AND explanation_id IN (SELECT unnest($1))"""
_CANDIDATES = """
    INSERT INTO candidates SELECT c.* REPLACE ($query_id AS query_id) FROM candidates c
    JOIN targets t ON t.query_id = c.query_id AND t.target = c.target
    WHERE c.query_id = $source AND t.ordinal IN (SELECT unnest($ordinals)) ORDER BY c.rowid"""
_LEFT = "SELECT ordinal FROM targets WHERE query_id = ? AND refreshed IS NULL ORDER BY ordinal"
_DONE = """
    SELECT refreshed, count(*), bool_and(coalesce(complete, false)) FROM targets
    WHERE query_id = ? AND refreshed IS NOT NULL GROUP BY refreshed"""
_VERSIONS = """
    SELECT q.query_id, q.refreshes, q.graph_id, q.model_id, q.status, g.name AS graph, g.version,
           now.graph_id AS current_id, now.version AS current_version,
           (SELECT count(*) FROM targets t WHERE t.query_id = q.query_id AND t.refreshed IS NULL) AS left_over
    FROM queries q JOIN graphs g ON g.graph_id = q.graph_id
    LEFT JOIN graphs now ON now.name = g.name AND now.dropped_at IS NULL
    ORDER BY q.query_id"""


@dataclass(frozen=True, kw_only=True)
class QueryVersion:
    """The version of the graph that a stored query is on, and the present one."""

    query_id: int
    refreshes: int | None  # the query that it refreshed
    graph_id: int
    model_id: int
    status: str
    graph: str  # its name
    version: int | None
    current_id: int | None  # of the graph that has the name now; None: it was dropped
    current_version: int | None
    left_over: int  # targets that REFRESH has not done; all of an EXPLAIN


@dataclass(frozen=True, kw_only=True)
class RefreshedTargets:
    """How far REFRESH came with the targets of a query."""

    left: np.ndarray  # the places of those that are to be done
    counts: dict[str, int]  # of the others, by what was done
    complete: bool  # whether the searches of all others came to their end


def refreshed(cursor: Cursor, query_id: int) -> RefreshedTargets:
    """How far REFRESH came with the targets of a query."""
    left = cursor.execute(_LEFT, [query_id]).fetchnumpy()["ordinal"]
    done = run(cursor, _DONE, [query_id])
    return RefreshedTargets(
        left=left,
        counts={what: count for what, count, _ in done},
        complete=all(complete for *_, complete in done),
    )


def versions(cursor: Cursor) -> list[QueryVersion]:
    """Every query, the oldest first."""
    return [QueryVersion(**row) for row in run_named(cursor, _VERSIONS)]


def carry(
    cursor: Cursor,
    source: int,
    query_id: int,
    *,
    ordinals: Sequence[int],
    edges: tuple[np.ndarray, np.ndarray] | None,
) -> None:
    """Copy the answers of some targets to those of another query that are pending; others stay as they are.

    edges  numbers of edges in the version of `source`, ascending, and in that of the other; None: all are the same
    """
    given = {"source": source, "query_id": query_id, "ordinals": list(ordinals)}
    between = {"first": min(ordinals), "last": max(ordinals)}  # so that other rows are not read
    stored = [ordinal for (ordinal,) in run(cursor, _UPDATE, given | between)]
    if not stored:
        return
    given["ordinals"] = stored
    earlier = [number for (number,) in run(cursor, _OWN, [source, stored])]
    if earlier:
        later = next_ids(cursor, "explanation_ids", len(earlier))
        pairs = {"earlier": np.array(earlier, np.int64), "later": np.array(later, np.int64)}
        insert_arrays(cursor, _EXPLANATIONS, pairs, [query_id])
        insert_arrays(cursor, _EDGES, pairs)
        insert_arrays(cursor, _NODES, pairs)
        insert_arrays(cursor, _FEATURES, pairs)
        if edges is not None:
            _renumber(cursor, later, edges)
    run(cursor, _CANDIDATES, given)


def _renumber(
    cursor: Cursor, explanations: Sequence[int], edges: tuple[np.ndarray, np.ndarray]
) -> None:
    """Give the edges of explanations the numbers that they have in the new version."""
    used = [edge for (edge,) in run(cursor, _USED, [list(explanations)]) if edge is not None]
    place = np.searchsorted(edges[0], used)
    pairs = {"earlier": np.array(used, np.int64), "later": edges[1][place].astype(np.int64)}
    insert_arrays(cursor, _RENUMBER, pairs, [list(explanations)])
