"""Nodes and edges of one type: added to a heterogeneous graph, or removed from it.

What is of one type is taken out as a graph without types, to which the rules of `next_nodes.py` and `next_edges.py`
apply as they are. What they make of a table is put back: behind what there is of the type, and padded with zeros.
A column that only other types have may be given, and is empty for this one otherwise.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from sxq.graph.csr import Graph
from sxq.graph.encoding import EncodedColumn, Encoding
from sxq.graph.next_columns import groups
from sxq.graph.next_edges import (
    ENDS,
    NewEdges,
    Positions,
    find_edges,
    held,
    lacking,
    names_by_order,
    read_edges,
    with_edges,
    without_edges,
)
from sxq.graph.next_nodes import add_nodes
from sxq.graph.readers import UNKNOWN_CLASS, are_numbers, table_columns
from sxq.graph.table_problems import SqlRows
from sxq.graph.types import LACKING, EdgeType, GraphTypes, mirror_of, shown_type

KEPT_TOO = ("category", "date", "attribute")  # kinds of encoded columns that stay attributes


def add_nodes_of(graph: Graph, node_type: str, table: SqlRows) -> Graph:
    """The graph with new nodes of a type; the first column is the key, the others are those of the type.

    Raises GraphError as `add_nodes` does.
    """
    types = _types(graph)
    number = types.number_of(node_type)
    before = _nodes_of(graph, number, [name.lower() for name in table[0]])
    after = add_nodes(before, table)
    count = after.num_nodes - before.num_nodes
    return _with_nodes(graph, number, after, count) if count else graph


def add_edges_of(graph: Graph, edge_type: EdgeType, table: SqlRows, pairs: bool) -> Graph:
    """The graph with new edges of a type; the first two columns are keys of its source type and of its head type.

    With `pairs`, the reverse of each is added to the type that mirrors this one. Raises GraphError
    as `add_edges` does.
    """
    types = _types(graph)
    number = types.edge_types.index(edge_type)
    part = _edges_of(graph, number, "ADD EDGES", table)
    new = _widened(graph, number, read_edges(part, table, _positions(graph, edge_type)))
    count = new.ends.shape[1]
    if not count:
        return graph
    mirror = int(types.reverses[number])
    if pairs and mirror >= 0:
        again: Sequence[int] = lacking(new) if mirror == number else range(count)
        new = new.reversed_too(np.array(again, np.int64), types.reverses)
    return with_edges(graph, np.arange(graph.num_edges), new)


def remove_edges_of(graph: Graph, edge_type: EdgeType, table: SqlRows, pairs: bool) -> Graph:
    """The graph without some edges of a type; with `pairs`, without their reverses, too.

    Raises GraphError as `remove_edges` does.
    """
    types = _types(graph)
    number = types.edge_types.index(edge_type)
    part = _edges_of(graph, number, "REMOVE EDGES", table)
    gone = find_edges(part, table, _positions(graph, edge_type))
    own = np.flatnonzero(types.of_edge == number)
    return without_edges(graph, own[gone], pairs) if len(gone) else graph


def _types(graph: Graph) -> GraphTypes:
    assert graph.types is not None, "the graph has types"
    return graph.types


# -- nodes of a type -----------------------------------------------------------------------------


def _nodes_of(graph: Graph, number: int, given: Sequence[str]) -> Graph:
    """The nodes of a type as a graph without types and edges.

    given  the names of the columns of the table, in lower case
    """
    types = _types(graph)
    name = types.node_types[number]
    own = slice(types.starts[number], types.starts[number + 1])
    names = types.feature_names[number]
    encoding = None if graph.encoding is None else graph.encoding.of_type(name)
    y = None if graph.y is None else graph.y[own]
    split = None if graph.split is None else graph.split[own]
    features = _features(names, encoding)
    attributes = {
        column: values[own]
        for column, values in graph.attributes.items()
        if any(value is not None for value in values[own])
        or (column.lower() in given and column.lower() not in features)
    }
    inputs = {
        field: array[own]
        for field, array in graph.node_inputs.items()
        if not _lacks(graph, name, field)
    }
    return Graph(
        np.zeros((2, 0), np.int64),
        graph.x[own, : types.widths[number]],
        y=y if y is not None and ("label" in given or (y != UNKNOWN_CLASS).any()) else None,
        split=split if split is not None and ("split" in given or (split != "").any()) else None,
        keys=None if graph.keys is None else graph.keys[own],
        attributes=attributes,
        forms={field: form for field, form in graph.forms.items() if field == "x"},
        node_inputs=inputs,
        feature_names=names,
        encoding=encoding,
    )


def _features(names: Sequence[str] | None, encoding: Encoding | None) -> set[str]:
    """The columns of a table, in lower case, that are features of a type and nothing else."""
    if encoding is not None:
        found = [column.name for column in encoding.columns if column.kind not in KEPT_TOO]
    else:
        found = [name for name, _, _ in groups(names or ("x",))]
    return {name.lower() for name in found}


def _lacks(graph: Graph, part: str, field: str) -> bool:
    """Whether a type has no such field, which others have."""
    return graph.left_out.get(f"{part}.{field}") == LACKING


def _with_nodes(graph: Graph, number: int, part: Graph, count: int) -> Graph:
    """The graph with the last nodes of a part behind those of its type."""
    types = _types(graph)
    at = int(types.starts[number + 1])

    def put(values: np.ndarray, rows: Any, empty: Any = 0) -> np.ndarray:
        new = np.full((count, *values.shape[1:]), empty, values.dtype)
        if rows is not None:
            new[:, *(slice(width) for width in rows.shape[1:])] = rows[-count:]
        return np.concatenate([values[:at], new, values[at:]])

    def listed(values: Sequence[Any], rows: Sequence[Any] | None) -> list[Any]:
        new = [None] * count if rows is None else list(rows)[-count:]
        return [*values[:at], *new, *values[at:]]

    return Graph(
        **{
            **graph.columns(),
            "edge_index": graph.edge_index + count * (graph.edge_index >= at),
            "x": put(graph.x, part.x),
            "y": None if graph.y is None else put(graph.y, part.y, UNKNOWN_CLASS),
            "split": None if graph.split is None else put(graph.split, part.split, ""),
            "keys": None if graph.keys is None else listed(graph.keys, part.keys),
            "node_inputs": {
                name: put(array, part.node_inputs.get(name))
                for name, array in graph.node_inputs.items()
            },
            "attributes": {
                name: listed(values, part.attributes.get(name))
                for name, values in graph.attributes.items()
            },
            "types": replace(types, of_node=put(types.of_node, None, number)),
        }
    )


# -- edges of a type -----------------------------------------------------------------------------


def _positions(graph: Graph, edge_type: EdgeType) -> Positions:
    return [partial(graph.position, node_type=end) for end in edge_type[::2]]


def _edges_of(graph: Graph, number: int, what: str, table: SqlRows) -> Graph:
    """The edges of a type as a graph without types, whose nodes are those of the whole graph."""
    types = _types(graph)
    edge_type = types.edge_types[number]
    name = shown_type(edge_type)
    own = np.flatnonzero(types.of_edge == number)
    given = dict(table_columns(what, [*ENDS, *table[0][2:]], table[1])[2:])
    texts = {column.lower() for column, values in given.items() if not are_numbers(values)}
    scaling = _scaling(graph, edge_type)
    attributes = {
        column: [values[edge] for edge in own.tolist()]
        for column, values in graph.edge_attributes.items()
    }
    attributes = {
        column: values
        for column, values in attributes.items()
        if column in scaling
        or column.lower() in texts
        or any(value is not None for value in values)
    }
    inputs = {
        field: array[own]
        for field, array in graph.edge_inputs.items()
        if not _lacks(graph, name, field)
    }
    columns: dict[str, Any] = {
        field: array[own]
        for field, array in held(graph).items()
        if field not in graph.edge_inputs and field != "edge_attr"
    }
    if "edge_truth" in columns and not columns["edge_truth"].any() and "truth" not in given:
        del columns["edge_truth"]
    edge_names = None
    if (width := types.edge_widths[number]) and table[1]:
        assert graph.edge_attr is not None
        columns["edge_attr"] = graph.edge_attr[own, :width]
        others = {"weight", "truth", *inputs, *(set(attributes) - set(scaling))}
        known = {column.lower() for column in others}
        left = {column: values for column, values in given.items() if column.lower() not in known}
        edge_names = names_by_order(what, left, width, scaling)
    return Graph(
        graph.edge_index[:, own],
        np.zeros((graph.num_nodes, 0), np.float32),
        **columns,
        edge_inputs=inputs,
        edge_names=edge_names,
        edge_attributes=attributes,
        forms={field: form for field, form in graph.forms.items() if field in columns},
        encoding=Encoding(columns=(), edge_columns=tuple(scaling.values())) if scaling else None,
    )


def _scaling(graph: Graph, edge_type: EdgeType) -> dict[str, EncodedColumn]:
    """How the columns of a type are scaled, by name: as those of the type that it mirrors."""
    if graph.encoding is None:
        return {}
    found: dict[str, EncodedColumn] = {}
    for kind in (edge_type, mirror_of(edge_type)):
        found = found or graph.encoding.scaling(shown_type(kind))
    return {name: replace(column, name=name) for name, column in found.items()}


def _widened(graph: Graph, number: int, new: NewEdges) -> NewEdges:
    """New edges of a type as those of the whole graph: padded, and empty in columns of other types."""
    count = new.ends.shape[1]
    values = {}
    for name, array in held(graph).items():
        values[name] = np.zeros((count, *array.shape[1:]), array.dtype)
        if (rows := new.values.get(name)) is not None:
            values[name][:, *(slice(width) for width in rows.shape[1:])] = rows
    return NewEdges(
        ends=new.ends,
        values=values,
        texts={name: new.texts.get(name, [None] * count) for name in graph.edge_attributes},
        kinds=np.full(count, number),
    )
