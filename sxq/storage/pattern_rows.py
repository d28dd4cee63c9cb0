"""Writing and reading the patterns of EXPLAIN CLASS."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from sxq.graph.typed_keys import bare
from sxq.storage.key_columns import key_array
from sxq.storage.rows import Cursor, append, insert_arrays, run, run_named
from sxq.storage.user_sql import plain
from sxq.values.pattern import ClassPattern

_OWN = "SELECT target, rank, explanation_id FROM explanations WHERE query_id = ?"
_PATTERNS = """SELECT * FROM patterns WHERE $query_id IS NULL OR query_id = $query_id ORDER BY query_id, pattern"""
_NODES = """SELECT query_id, pattern, node, label, node_type FROM pattern_nodes
            WHERE $query_id IS NULL OR query_id = $query_id ORDER BY query_id, pattern, node"""
_EDGES = """SELECT query_id, pattern, src, dst, edge_type, one_way FROM pattern_edges
            WHERE $query_id IS NULL OR query_id = $query_id ORDER BY query_id, pattern, src, dst, edge_type"""
_MATCHES = """SELECT query_id, pattern, explanation_id, pattern_node, node FROM pattern_matches
              WHERE $query_id IS NULL OR query_id = $query_id ORDER BY query_id, pattern, explanation_id, pattern_node"""


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredPattern:
    """A stored pattern, with everything that AUDIT checks."""

    query_id: int
    number: int
    columns: dict[str, Any]  # of patterns
    nodes: tuple[tuple[int, str], ...]  # (number, label)
    node_types: tuple[str | None, ...]  # of each of these
    edges: tuple[tuple[int, int], ...]
    edge_types: tuple[str | None, ...]  # of each of these
    one_way: tuple[bool | None, ...]  # the same: whether it runs from the first node to the second
    matches: dict[int, tuple[tuple[int, Any], ...]]  # by explanation_id: (pattern node, key)


def save(cursor: Cursor, query_id: int, patterns: Sequence[ClassPattern]) -> None:
    """Store the patterns of a query; those that were stored before are left as they are."""
    if not patterns or run(cursor, "SELECT 1 FROM patterns WHERE query_id = ?", [query_id]):
        return  # Ctrl-C may have hidden that they were stored
    own = {(_identity(key), rank): number for key, rank, number in run(cursor, _OWN, [query_id])}
    append(cursor, "patterns", ((query_id, *_columns(pattern)) for pattern in patterns))
    append(
        cursor,
        "pattern_nodes",
        (
            (query_id, p.number, node, label, kind)
            for p in patterns
            for node, (label, kind) in enumerate(zip_longest(p.labels, p.node_types))
        ),
    )
    append(
        cursor,
        "pattern_edges",
        (
            (query_id, p.number, src, dst, kind, arrow)
            for p in patterns
            for (src, dst), arrow, kind in zip_longest(p.edges, p.arrows, p.edge_types)
        ),
    )
    _save_matches(cursor, query_id, patterns, own)


def _columns(pattern: ClassPattern) -> tuple:
    return (
        pattern.number,
        pattern.of_class,
        pattern.support,
        pattern.held_by,
        pattern.targets,
        pattern.fidelity,
        pattern.size,
        pattern.num_nodes,
        pattern.alike,
        pattern.shape,
        pattern.labelled_by,
        pattern.directed,
    )


def _save_matches(
    cursor: Cursor, query_id: int, patterns: Sequence[ClassPattern], own: dict
) -> None:
    rows = [
        (pattern.number, own[_identity(plain(bare(match.target))), match.rank], node, bare(key))
        for pattern in patterns
        for match in pattern.matches
        for node, key in enumerate(match.nodes)
    ]
    pattern, explanation, place, keys = zip(*rows)
    insert_arrays(
        cursor,
        "INSERT INTO pattern_matches SELECT ?, pattern, explanation, place, node::VARIANT FROM temp.incoming",
        {
            "pattern": np.array(pattern),
            "explanation": np.array(explanation),
            "place": np.array(place),
            "node": key_array(plain(keys)),
        },
        [query_id],
    )


def _identity(key: Any) -> tuple[str, Any]:
    """A key as a part of a dict's key: 1 and true are two keys."""
    return type(key).__name__, key if isinstance(key, int | str) else repr(key)


def load(cursor: Cursor, query_id: int | None = None) -> list[StoredPattern]:
    """The stored patterns of one query, or of all."""
    given = {"query_id": query_id}
    nodes: dict[tuple, list] = defaultdict(list)
    edges: dict[tuple, list] = defaultdict(list)
    matches: dict[tuple, dict[int, list]] = defaultdict(lambda: defaultdict(list))
    for query, pattern, *node in run(cursor, _NODES, given):
        nodes[query, pattern].append(node)
    for query, pattern, *edge in run(cursor, _EDGES, given):
        edges[query, pattern].append(edge)
    for query, pattern, explanation, node, key in run(cursor, _MATCHES, given):
        matches[query, pattern][explanation].append((node, key))
    return [
        _stored(row, nodes[key], edges[key], matches[key])
        for row in run_named(cursor, _PATTERNS, given)
        if (key := (row["query_id"], row["pattern"]))
    ]


def _stored(
    row: dict[str, Any], nodes: list[list], edges: list[list], matches: dict[int, list]
) -> StoredPattern:
    return StoredPattern(
        query_id=row["query_id"],
        number=row["pattern"],
        columns=row,
        nodes=tuple((node, label) for node, label, _ in nodes),
        node_types=tuple(kind for *_, kind in nodes),
        edges=tuple((src, dst) for src, dst, *_ in edges),
        edge_types=tuple(kind for *_, kind, _ in edges),
        one_way=tuple(arrow for *_, arrow in edges),
        matches={explanation: tuple(places) for explanation, places in matches.items()},
    )
