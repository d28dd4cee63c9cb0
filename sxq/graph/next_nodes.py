"""Nodes added to a graph, and nodes removed: rows with the graph's own columns, and keys.

`add_nodes` is for a graph without types, or for the nodes of one type (`next_typed.py`); `remove_nodes` for both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sxq.errors import GraphError, NodeNotFound
from sxq.graph.csr import Graph
from sxq.graph.edge_texts import EdgeTexts, sql_type
from sxq.graph.keys import kind_word, shown
from sxq.graph.next_columns import (
    Columns,
    at_key,
    groups,
    joined,
    like,
    lower,
    problem,
    refuse_others,
    take,
)
from sxq.graph.readers import read_labels, read_splits, table_columns
from sxq.graph.table_problems import SqlRows

LABEL_NAME = "label_name"  # the attribute that keeps labels that are text


def add_nodes(graph: Graph, table: SqlRows) -> Graph:
    """The graph with new nodes; the first column is the key, the others are those of the graph.

    Raises GraphError for keys that it has already, and for columns that do not fit.
    """
    names, rows = table
    if not rows:
        return graph
    (_, keys), *columns = table_columns("ADD NODES", names, rows)
    order = _require_new(graph, keys)
    keys = [keys[row] for row in order]
    given: Columns = {name: [values[row] for row in order] for name, values in columns}
    place = at_key(keys)
    attributes: dict[str, Any] = {}
    y = _labels(graph, given, keys, attributes)
    split = _splits(graph, given, keys)
    inputs = {
        name: np.repeat(array[:1], len(keys), axis=0)  # the graph has it once
        if name in graph.forms
        else like(array, take("ADD NODES", given, name), name, place)
        for name, array in graph.node_inputs.items()
    }
    x, others = _features(graph, given, keys)
    attributes |= _attributes(graph, others, keys, known=attributes)
    own = graph.columns()
    return Graph(
        **{
            **own,
            "x": np.concatenate([graph.x, x]),
            "y": None if graph.y is None else np.concatenate([graph.y, y]),
            "split": None if graph.split is None else [*graph.split, *(split or ())],
            "keys": None if graph.keys is None else [*graph.keys, *keys],
            "node_inputs": joined(graph.node_inputs, inputs),
            "attributes": {
                name: [*values, *attributes[name]] for name, values in graph.attributes.items()
            },
        }
    )


def remove_nodes(graph: Graph, table: SqlRows, node_type: str | None = None) -> Graph:
    """The graph without some nodes and all their edges; the only column is the key.

    The others keep their order. Where keys are positions, only the last nodes can be removed. Raises GraphError
    for what is no node of the graph, and if none would be left.
    """
    names, rows = table
    if len(names) != 1:
        raise GraphError(
            f"REMOVE NODES has {len(names)} columns ({', '.join(names)}), expected one, the keys of the nodes"
        )
    if not rows:
        return graph
    gone = np.unique(_positions(graph, [key for (key,) in rows], node_type))
    own = np.arange(graph.num_nodes)
    if graph.types is not None and node_type is not None:
        own = np.flatnonzero(graph.types.of_node == graph.types.number_of(node_type))
    if len(gone) == len(own):
        raise GraphError(
            "REMOVE NODES names every node, of which one must stay: DROP the graph, or CREATE OR REPLACE it"
        )
    last = own[len(own) - len(gone) :]
    if graph.keys is None and (wrong := np.setdiff1d(gone, last)).size:
        first, after = graph.key(last[0]), graph.key(last[-1])
        raise problem(
            "REMOVE NODES",
            [shown(graph.key(position)) for position in wrong.tolist()],
            f"a key that is not {after}"
            if len(gone) == 1
            else f"a key that is not {first} to {after}",
            "the keys of this graph are positions, which go on without a gap: only the last nodes can be removed",
        )
    return _without(graph, gone)


def _positions(graph: Graph, keys: Sequence[Any], node_type: str | None) -> list[int]:
    """The positions of nodes; raises GraphError for keys of none."""
    found = []
    strange = []
    for row, key in enumerate(keys, 1):
        try:
            if key is None:
                raise NodeNotFound("NULL")
            found.append(graph.position(key, node_type))
        except NodeNotFound:
            strange.append(f"{'NULL' if key is None else shown(key)} in row {row}")
    if strange:
        raise problem("REMOVE NODES", strange, "a key of no node of the graph", "leave it out")
    return found


def _without(graph: Graph, gone: np.ndarray) -> Graph:
    """The graph without the nodes at some positions, and without their edges."""
    stay = np.setdiff1d(np.arange(graph.num_nodes), gone)
    place = np.full(graph.num_nodes, -1)
    place[stay] = np.arange(len(stay))
    moved = place[graph.edge_index]
    edges = np.flatnonzero((moved >= 0).all(axis=0))
    return part_of(graph, stay, edges, moved[:, edges])


def part_of(graph: Graph, nodes: np.ndarray, edges: np.ndarray, edge_index: np.ndarray) -> Graph:
    """Some nodes of a graph, and some edges, whose ends `edge_index` gives among these nodes."""
    columns = graph.columns()
    types = graph.types
    of_nodes = ("x", "y", "split")
    of_edges = ("edge_weight", "edge_attr", "edge_truth")
    given = {name: columns[name][nodes] for name in of_nodes if columns[name] is not None}
    given |= {name: columns[name][edges] for name in of_edges if columns[name] is not None}
    if types is not None:
        given["types"] = replace(types, of_node=types.of_node[nodes], of_edge=types.of_edge[edges])
    return Graph(
        **{
            **columns,
            **given,
            "edge_index": edge_index,
            "keys": None if graph.keys is None else [graph.keys[i] for i in nodes.tolist()],
            "node_inputs": {name: array[nodes] for name, array in graph.node_inputs.items()},
            "edge_inputs": {name: array[edges] for name, array in graph.edge_inputs.items()},
            "attributes": {
                name: [values[i] for i in nodes.tolist()]
                for name, values in graph.attributes.items()
            },
            "edge_attributes": {
                name: EdgeTexts((texts[i] for i in edges.tolist()), sql_type(texts))
                for name, texts in graph.edge_attributes.items()
            },
        }
    )


# -- what new nodes hold ----------------------------------------------------------------------------


def _require_new(graph: Graph, keys: Sequence[Any]) -> list[int]:
    """The rows in the order of their positions; raises GraphError for keys that are no new names."""
    empty = [f"row {row}" for row, key in enumerate(keys, 1) if key is None]
    if empty:
        raise problem("ADD NODES", empty, "a NULL key", "leave it out")
    seen: set[Any] = set()
    twice = []
    for key in keys:
        if key in seen:
            twice.append(shown(key))
        seen.add(key)
    if twice:
        raise problem("ADD NODES", twice, "a repeated key", "SELECT DISTINCT, or GROUP BY the key")
    if graph.keys is not None:
        held = set(graph.keys)
        known = [shown(key) for key in keys if key in held]
        if known:
            raise problem(
                "ADD NODES",
                known,
                "the key of a node that the graph has already",
                "leave it out: ALTER GRAPH changes no node",
            )
        return list(range(len(keys)))
    first = graph.num_nodes
    after = range(first, first + len(keys))
    wrong = [shown(key) for key in keys if type(key) is not int or key not in after]
    if wrong:
        raise problem(
            "ADD NODES",
            wrong,
            f"a key that is not {first} to {after[-1]}",
            "the keys of this graph are positions, which go on without a gap",
        )
    return sorted(range(len(keys)), key=keys.__getitem__)


def _labels(
    graph: Graph, given: Columns, keys: Sequence[Any], attributes: dict[str, Any]
) -> np.ndarray | None:
    """The classes of new nodes; the names of labels that are text become an attribute again."""
    if graph.y is None:
        return None
    values = take("ADD NODES", given, "label", "NULL AS label where it is unknown")
    names = graph.attributes.get(LABEL_NAME)
    if names is not None and LABEL_NAME not in given:
        number_of = {
            number: name for name, number in zip(names, graph.y.tolist()) if name is not None
        }
        known = graph.encoding.labels if graph.encoding else ()
        known = known or tuple(number_of.get(i, "") for i in range(max(number_of, default=-1) + 1))
        numbers = [value for value in values if value is not None and not isinstance(value, str)]
        if numbers:
            raise GraphError(
                f"ADD NODES: label {numbers[0]!r} is {kind_word(type(numbers[0]))}; those of the graph "
                f"are text: {', '.join(known)}"
            )
        strange = [value for value in values if value is not None and value not in known]
        if strange:
            raise problem(
                "ADD NODES",
                list(map(repr, strange)),
                "a label that the graph does not have",
                f"its labels are {', '.join(known)}",
            )
        attributes[LABEL_NAME] = values
        values = [None if value is None else known.index(value) for value in values]
    else:
        texts = [value for value in values if isinstance(value, str)]
        if texts:
            raise GraphError(
                f"ADD NODES: label {texts[0]!r} is text; those of the graph are numbers"
            )
    found = read_labels(values, {}, keys)
    return np.full(len(keys), -1, np.int64) if found is None else found


def _splits(graph: Graph, given: Columns, keys: Sequence[Any]) -> list[str] | None:
    if graph.split is None:
        return None
    return read_splits(take("ADD NODES", given, "split", "NULL AS split"), keys)


def _features(graph: Graph, given: Columns, keys: Sequence[Any]) -> tuple[np.ndarray, Columns]:
    """The features [k, d] of new nodes, and the columns that are none."""
    if graph.encoding is not None:
        matrix, _, kept = graph.encoding.encode(given, keys)
        if not np.isfinite(matrix).all() or (abs(matrix) > np.finfo(np.float32).max).any():
            raise GraphError(
                "ADD NODES: a number is far beyond those that the encoding learned from"
            )
        matrix = matrix if matrix.shape[1] else np.ones((len(keys), graph.num_features))
        return matrix.astype(np.float32), kept
    place = at_key(keys)
    if graph.feature_names is None:
        if "x" not in lower(given) and graph.num_features == 1 and (graph.x == 1).all():
            return np.ones((len(keys), 1), graph.x.dtype), given
        values = take("ADD NODES", given, "x", f"a list of {graph.num_features} numbers")
        return like(graph.x, values, "x", place), given
    x = np.zeros((len(keys), graph.num_features), graph.x.dtype)
    for name, width, first in groups(graph.feature_names):
        values = take("ADD NODES", given, name)
        held = graph.x[:, first : first + width]
        x[:, first : first + width] = like(held, values, name, place)
    return x, given


def _attributes(
    graph: Graph, given: Columns, keys: Sequence[Any], known: Mapping[str, Any]
) -> Columns:
    found = {}
    for name, held in graph.attributes.items():
        if name in known:
            continue
        values = take("ADD NODES", given, name)
        require_kind(name, held, values, keys)
        found[name] = values
    own = [name for name, _, _ in groups(graph.feature_names or ("x",))]
    if graph.encoding is not None:
        own = [column.name for column in graph.encoding.columns]
    refuse_others("ADD NODES", given, [*own, *graph.attributes])
    return found


def require_kind(
    name: str, held: Sequence[Any], values: Sequence[Any], keys: Sequence[Any]
) -> None:
    """Raise GraphError for an attribute of another kind than those that the graph has."""
    kind = next((_kind(value) for value in held if value is not None), None)
    wrong = [
        f"{value!r:.40} at key {shown(key)}"
        for key, value in zip(keys, values)
        if kind and value is not None and _kind(value) is not kind
    ]
    if kind and wrong:
        raise problem(
            "ADD NODES",
            wrong,
            f"another kind of {name!r}",
            f"the graph has {kind_word(kind)} there",
        )


def _kind(value: Any) -> type:
    if isinstance(value, bool | np.bool_):
        return bool
    return float if isinstance(value, int | float | np.number) else type(value)
