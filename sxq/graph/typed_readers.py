"""Heterogeneous graphs from tables: one result for the nodes of each type, one for the edges of each type."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sxq.errors import GraphError
from sxq.graph.csr import Graph, rows_of
from sxq.graph.edge_texts import TEXT, EdgeTexts, sql_type
from sxq.graph.encoding import Encoding
from sxq.graph.readers import (
    AS_THEY_ARE,
    DANGLING,
    UNKNOWN_CLASS,
    TableReading,
    missing_partners,
    read_edges,
    read_nodes,
)
from sxq.graph.table_problems import SqlRows
from sxq.graph.types import REVERSED, EdgeType, GraphTypes, shown_type


def from_typed_tables(
    nodes: Sequence[tuple[str, SqlRows]],
    edges: Sequence[tuple[EdgeType, SqlRows]],
    reading: TableReading = AS_THEY_ARE,
) -> Graph:
    """The graph of SQL results by type; each is read as `from_tables` reads those of a graph without types.

    Rows of features and of edge attributes are padded to those of the widest type. With `reading`
    each type of nodes gets an encoding of its own.
    """
    parts = {
        name: _named(f"NODES {name}", read_nodes, *table, _of_type(reading, name))
        for name, table in nodes
    }
    if len(parts) < len(nodes):
        twice = Counter(name for name, _ in nodes).most_common(1)[0][0]
        raise GraphError(f"NODES {twice} is given twice; join the two by UNION ALL")
    graph = _of_nodes(parts, tuple(edge_type for edge_type, _ in edges))
    dropped: dict[str, str] = {}
    if reading.drop_dangling:
        edges, dropped = _without_dangling(parts, edges)
    read = [
        _named(
            f"EDGES {shown_type(name)}",
            read_edges,
            graph,
            *table,
            _of_edge_type(reading, name),
            ends=name[::2],
        )
        for name, table in edges
    ]
    graph = _with_edges(graph, read)
    return Graph(**{**graph.columns(), "left_out": dropped}) if dropped else graph


def _of_type(reading: TableReading, node_type: str) -> TableReading:
    """How the nodes of one type are read: with its part of an encoding that is used again."""
    if not isinstance(reading.encode, Encoding):
        return reading
    return replace(reading, encode=reading.encode.of_type(node_type))


def _of_edge_type(reading: TableReading, edge_type: EdgeType) -> TableReading:
    """How the edges of one type are read: with its part of an encoding that is used again."""
    if not isinstance(reading.encode, Encoding):
        return reading
    scaling = reading.encode.scaling(shown_type(edge_type))
    own = tuple(replace(column, name=name) for name, column in scaling.items())
    return replace(reading, encode=Encoding(columns=(), edge_columns=own))


def _without_dangling(
    parts: Mapping[str, Graph], edges: Sequence[tuple[EdgeType, SqlRows]]
) -> tuple[list[tuple[EdgeType, SqlRows]], dict[str, str]]:
    """The edges that have both ends, and how many of each type have not."""
    known = {name: set(part.keys or ()) for name, part in parts.items()}
    kept: list[tuple[EdgeType, SqlRows]] = []
    said = []
    for name, (columns, rows) in edges:
        ends = [known.get(end, set()) for end in name[::2]]
        whole = [row for row in rows if row[0] in ends[0] and row[1] in ends[1]]
        kept.append((name, (columns, whole)))
        if len(whole) < len(rows):
            said.append(f"{len(rows) - len(whole):,} of {len(rows):,} {shown_type(name)} dropped")
    return kept, {DANGLING: ", ".join(said)} if said else {}


def with_reverse_types(graph: Graph) -> Graph:
    """The graph with a type rev_r for each type r without a mirror, as PyG's `ToUndirected` makes it.

    A type between nodes of one type gets its missing reverses itself.
    """
    types = graph.types
    assert types is not None
    names = list(types.edge_types)
    widths = list(types.edge_widths)
    chosen = [np.arange(graph.num_edges)]
    ends = [graph.edge_index]
    of_edge = [types.of_edge]
    for number, (source, relation, head) in enumerate(types.edge_types):
        own = np.flatnonzero(types.of_edge == number)
        if types.mirrors[number] >= 0:
            continue
        if source == head:
            own = own[missing_partners(graph, own)]
            of_edge.append(np.full(len(own), number))
        else:
            of_edge.append(np.full(len(own), len(names)))
            names.append((head, REVERSED + relation, source))
            widths.append(types.edge_widths[number])
        chosen.append(own)
        ends.append(graph.edge_index[::-1, own])
    rows = np.concatenate(chosen)
    arrays = {
        name: array if array is None else array[rows]
        for name, array in graph.columns().items()
        if name in ("edge_weight", "edge_attr", "edge_truth")
    }
    new = replace(
        types, edge_types=tuple(names), edge_widths=tuple(widths), of_edge=np.concatenate(of_edge)
    )
    inputs = {name: array[rows] for name, array in graph.edge_inputs.items()}
    texts = {
        name: EdgeTexts((column[edge] for edge in rows.tolist()), sql_type(column))
        for name, column in graph.edge_attributes.items()
    }
    edge_index = np.concatenate(ends, axis=1)
    given = {**graph.columns(), **arrays, "edge_index": edge_index, "edge_attributes": texts}
    return Graph(**{**given, "edge_inputs": inputs, "types": new})


def _named(what: str, read: Any, *given: Any, **more: Any) -> Any:
    """What a reader makes of a table; its errors name the table."""
    try:
        return read(*given, **more)
    except GraphError as error:
        raise GraphError(f"{what}: {error}") from None


def _of_nodes(parts: Mapping[str, Graph], edge_types: tuple[EdgeType, ...]) -> Graph:
    """The nodes of all types, without edges."""
    counts = [part.num_nodes for part in parts.values()]
    types = GraphTypes(
        node_types=tuple(parts),
        edge_types=edge_types,
        of_node=np.repeat(np.arange(len(parts)), counts),
        of_edge=np.zeros(0, np.int64),
        widths=tuple(part.num_features for part in parts.values()),
        edge_widths=(0,) * len(edge_types),
        feature_names=tuple(
            None if part.feature_names is None else tuple(part.feature_names)
            for part in parts.values()
        ),
    )
    every = list(parts.values())
    encodings = {name: part.encoding for name, part in parts.items() if part.encoding}
    names = dict.fromkeys(name for part in every for name in part.attributes)
    return Graph(
        np.zeros((2, 0), np.int64),
        padded([part.x for part in every]),
        y=_filled([part.y for part in every], counts, UNKNOWN_CLASS),
        split=_filled([part.split for part in every], counts, ""),
        keys=[key for part in every for key in part.keys or ()],
        attributes={
            name: [v for part in every for v in part.attributes.get(name, [None] * part.num_nodes)]
            for name in names
        },
        types=types,
        encoding=Encoding.by_type(encodings) if encodings else None,
    )


def _with_edges(graph: Graph, read: Sequence[Mapping[str, np.ndarray]]) -> Graph:
    """The graph with the edges of each type."""
    types = graph.types
    assert types is not None
    counts = [values["edge_index"].shape[1] for values in read]
    names = list(map(shown_type, types.edge_types))
    weighted = [name for name, values in zip(names, read) if "edge_weight" in values]
    bare = [name for name, count in zip(names, counts) if count and name not in weighted]
    if weighted and bare:
        raise GraphError(
            f"edges {', '.join(weighted)} have a weight, {', '.join(bare)} have none; give all edge "
            "types a weight, such as 1, or give the column another name"
        )
    attributes = [
        values.get("edge_attr", np.zeros((count, 0), np.float32))
        for values, count in zip(read, counts)
    ]
    of_edge = np.repeat(np.arange(len(read)), counts)
    widths = tuple(array.shape[1] for array in attributes)
    empty = np.zeros((2, 0), np.int64)
    weights = [values["edge_weight"].reshape(-1) for values in read if "edge_weight" in values]
    return Graph(
        **{
            **graph.columns(),
            "edge_index": np.concatenate([empty, *(v["edge_index"] for v in read)], axis=1),
            "edge_weight": np.concatenate(weights) if weights else None,
            "edge_attr": padded(attributes) if any(widths) else None,
            "edge_attributes": _texts(read, counts),
            "encoding": _with_scales(graph.encoding, dict(zip(names, read))),
            "types": replace(types, of_edge=of_edge, edge_widths=widths),
        }
    )


def _texts(read: Sequence[Mapping[str, Any]], counts: Sequence[int]) -> dict[str, EdgeTexts]:
    """Text columns of the edges of all types; None where a type has no such column."""
    found: dict[str, EdgeTexts] = {}
    held = [values.get("edge_attributes", {}) for values in read]
    for name in dict.fromkeys(name for texts in held for name in texts):
        kinds = {sql_type(texts[name]) for texts in held if name in texts}
        texts = [own.get(name, [None] * count) for own, count in zip(held, counts)]
        kind = kinds.pop() if len(kinds) == 1 else TEXT
        found[name] = EdgeTexts((text for own in texts for text in own), kind)
    return found


def _with_scales(
    encoding: Encoding | None, read: Mapping[str, Mapping[str, Any]]
) -> Encoding | None:
    """The encoding with how the edges of each type are scaled."""
    if encoding is None:
        return None
    own = tuple(
        replace(column, name=f"{edge_type}.{column.name}")
        for edge_type, values in read.items()
        for column in values.get("edge_scales", ())
    )
    return replace(encoding, edge_columns=own)


def padded(tables: Iterable[np.ndarray]) -> np.ndarray:
    """Tables [n, width] below each other, with zeros to the right of the narrow ones."""
    tables = [rows_of(table) for table in tables]
    widest = max(table.shape[1] for table in tables)
    return np.concatenate(
        [np.pad(table, ((0, 0), (0, widest - table.shape[1]))) for table in tables]
    )


def _filled(columns: Sequence[Any], counts: Sequence[int], empty: Any) -> np.ndarray | None:
    """A column of the nodes of all types; `empty` where a type has none, None if no type has one."""
    if all(column is None for column in columns):
        return None
    return np.concatenate(
        [
            np.full(count, empty, object if empty == "" else np.int64) if column is None else column
            for column, count in zip(columns, counts)
        ]
    )
