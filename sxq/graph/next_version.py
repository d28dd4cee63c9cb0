"""The next version of a graph: nodes and edges added, edges removed, from tables with the graph's own columns.

New nodes come after those that are there, and new edges after those that stay, so that a node keeps its
position and edges keep their order. Columns are matched by name with those of the graph; each error
counts the rows that are wrong and names some by key.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sxq.errors import GraphError, NodeNotFound
from sxq.graph.csr import Graph, rows_of
from sxq.graph.edge_texts import EdgeTexts, number_texts, sql_type
from sxq.graph.encoding import EncodedColumn
from sxq.graph.keys import kind_word, shown
from sxq.graph.readers import (
    are_numbers,
    edge_text,
    number_matrix,
    read_labels,
    read_splits,
    scaled_edges,
    table_columns,
    without_partner,
)
from sxq.graph.table_problems import EXAMPLES, SqlRows

ENDS = ["key of source", "key of target"]  # the two may be called alike in a SELECT
LABEL_NAME = "label_name"  # the attribute that keeps labels that are text
_ITEM = re.compile(r"(.*)\[(\d+)\]", re.DOTALL)  # the name of a feature from a column of lists
Columns = dict[str, Sequence[Any]]


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
    place = _at_key(keys)
    attributes: dict[str, Any] = {}
    y = _labels(graph, given, keys, attributes)
    split = _splits(graph, given, keys)
    inputs = {
        name: np.repeat(array[:1], len(keys), axis=0)  # the graph has it once
        if name in graph.forms
        else _like(array, _take("ADD NODES", given, name), name, place)
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
            "node_inputs": _joined(graph.node_inputs, inputs),
            "attributes": {
                name: [*values, *attributes[name]] for name, values in graph.attributes.items()
            },
        }
    )


def add_edges(graph: Graph, table: SqlRows) -> Graph:
    """The graph with new edges; the first two columns are the keys of source and target.

    On an undirected graph an edge is a pair: its reverse is added, unless the table has it. Raises
    GraphError for ends that are no nodes, and for columns that do not fit.
    """
    names, rows = table
    _require_ends("ADD EDGES", names)
    if not rows:
        return graph
    (_, sources), (_, heads), *columns = table_columns("ADD EDGES", ENDS + [*names[2:]], rows)
    ends = _ends("ADD EDGES", graph, sources, heads)
    given: Columns = dict(columns)
    texts = _scaled_texts(graph, given)
    values = _edge_values(graph, given, _at_edge(sources, heads))
    texts |= {
        name: list(map(edge_text, _take("ADD EDGES", given, name)))
        for name in graph.edge_attributes
        if name not in texts
    }
    _refuse_others("ADD EDGES", given, _edge_columns(graph))
    if graph.undirected:
        held = [rows_of(array) for name, array in values.items() if name != "edge_truth"]
        again = without_partner(np.column_stack([ends.T, *held]))
        ends = np.concatenate([ends, ends[::-1, again]], axis=1)
        values = {name: np.concatenate([array, array[again]]) for name, array in values.items()}
        texts = {name: [*text, *(text[i] for i in again)] for name, text in texts.items()}
    return _with_edges(graph, np.arange(graph.num_edges), ends, values, texts)


def remove_edges(graph: Graph, table: SqlRows) -> Graph:
    """The graph without some edges: those between the keys in the first two columns.

    Further columns are those of the graph's edges; then only edges with these values are removed. On an
    undirected graph an edge is a pair. Raises GraphError for what is no edge of the graph.
    """
    names, rows = table
    _require_ends("REMOVE EDGES", names)
    if not rows:
        return graph
    (_, sources), (_, heads), *columns = table_columns("REMOVE EDGES", ENDS + [*names[2:]], rows)
    ends = _ends("REMOVE EDGES", graph, sources, heads)
    given: Columns = dict(columns)
    place = _at_edge(sources, heads)
    wanted = _contents(graph, given, place)
    _refuse_others("REMOVE EDGES", given, _edge_columns(graph))
    code = ends[0] * graph.num_nodes + ends[1]
    own = graph.edge_index[0] * graph.num_nodes + graph.edge_index[1]
    near = np.flatnonzero(np.isin(own, code))
    found = _agreeing(graph, near, own[near], code, wanted)
    missing = [place(row) for row, edges in enumerate(found) if not len(edges)]
    if missing:
        also = " with these values" if wanted else ""
        raise _problem("REMOVE EDGES", missing, f"no edge of the graph{also}", "leave it out")
    gone = np.unique(np.concatenate(found))
    if graph.undirected:
        gone = np.union1d(gone, _partners(graph, gone))
    stay = np.setdiff1d(np.arange(graph.num_edges), gone)
    nothing = {name: array[:0] for name, array in _held(graph).items()}
    texts: dict[str, list] = {name: [] for name in graph.edge_attributes}
    return _with_edges(graph, stay, np.zeros((2, 0), np.int64), nothing, texts)


CHANGES: Mapping[str, Callable[[Graph, SqlRows], Graph]] = {
    "ADD NODES": add_nodes,
    "ADD EDGES": add_edges,
    "REMOVE EDGES": remove_edges,
}


# -- nodes ---------------------------------------------------------------------------------------


def _require_new(graph: Graph, keys: Sequence[Any]) -> list[int]:
    """The rows in the order of their positions; raises GraphError for keys that are no new names."""
    empty = [f"row {row}" for row, key in enumerate(keys, 1) if key is None]
    if empty:
        raise _problem("ADD NODES", empty, "a NULL key", "leave it out")
    seen: set[Any] = set()
    twice = []
    for key in keys:
        if key in seen:
            twice.append(shown(key))
        seen.add(key)
    if twice:
        raise _problem("ADD NODES", twice, "a repeated key", "SELECT DISTINCT, or GROUP BY the key")
    if graph.keys is not None:
        held = set(graph.keys)
        known = [shown(key) for key in keys if key in held]
        if known:
            raise _problem(
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
        raise _problem(
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
    values = _take("ADD NODES", given, "label", "NULL AS label where it is unknown")
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
            raise _problem(
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
    return read_splits(_take("ADD NODES", given, "split", "NULL AS split"), keys)


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
    place = _at_key(keys)
    if graph.feature_names is None:
        if "x" not in _lower(given) and graph.num_features == 1 and (graph.x == 1).all():
            return np.ones((len(keys), 1), graph.x.dtype), given
        values = _take("ADD NODES", given, "x", f"a list of {graph.num_features} numbers")
        return _like(graph.x, values, "x", place), given
    x = np.zeros((len(keys), graph.num_features), graph.x.dtype)
    for name, width, first in _groups(graph.feature_names):
        values = _take("ADD NODES", given, name)
        held = graph.x[:, first : first + width]
        x[:, first : first + width] = _like(held, values, name, place)
    return x, given


def _attributes(
    graph: Graph, given: Columns, keys: Sequence[Any], known: Mapping[str, Any]
) -> Columns:
    found = {}
    for name, held in graph.attributes.items():
        if name in known:
            continue
        values = _take("ADD NODES", given, name)
        _require_kind(name, held, values, keys)
        found[name] = values
    own = [name for name, _, _ in _groups(graph.feature_names or ("x",))]
    if graph.encoding is not None:
        own = [column.name for column in graph.encoding.columns]
    _refuse_others("ADD NODES", given, [*own, *graph.attributes])
    return found


def _require_kind(
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
        raise _problem(
            "ADD NODES",
            wrong,
            f"another kind of {name!r}",
            f"the graph has {kind_word(kind)} there",
        )


def _kind(value: Any) -> type:
    if isinstance(value, bool | np.bool_):
        return bool
    return float if isinstance(value, int | float | np.number) else type(value)


# -- edges ---------------------------------------------------------------------------------------


def _require_ends(what: str, names: Sequence[str]) -> None:
    if len(names) < 2:
        raise GraphError(
            f"{what} has {len(names)} column, expected the keys of source and target first"
        )


def _ends(what: str, graph: Graph, sources: Sequence[Any], heads: Sequence[Any]) -> np.ndarray:
    """The positions [2, k] of both ends; raises GraphError for ends that are no nodes."""
    strange = []
    found = np.zeros((2, len(sources)), np.int64)
    for side, keys in enumerate((sources, heads)):
        for row, key in enumerate(keys):
            try:
                if key is None:
                    raise NodeNotFound("NULL")
                found[side, row] = graph.position(key)
            except NodeNotFound:
                strange.append(f"{'NULL' if key is None else shown(key)} in row {row + 1}")
    if strange:
        raise _problem(
            what,
            strange,
            "an end that is no node of the graph",
            "ADD NODES first, or leave it out" if what == "ADD EDGES" else "leave it out",
        )
    return found


def _held(graph: Graph) -> dict[str, np.ndarray]:
    """The arrays of the graph with a row for each edge, by the names of their columns."""
    held = {"edge_weight": graph.edge_weight, "edge_attr": graph.edge_attr}
    held |= {"edge_truth": graph.edge_truth, **graph.edge_inputs}
    return {name: array for name, array in held.items() if array is not None}


def _edge_columns(graph: Graph) -> list[str]:
    """The names of the columns of edges, besides their ends."""
    found = ["weight"] if graph.edge_weight is not None else []
    if graph.edge_attr is not None:
        found += [name for name, _, _ in _groups(graph.edge_names or ("edge_attr",))]
    found += ["truth"] if graph.edge_truth is not None else []
    return list(dict.fromkeys([*found, *graph.edge_inputs, *graph.edge_attributes]))


def _scaling(graph: Graph) -> dict[str, EncodedColumn]:
    """How columns of the graph's edges are scaled, by name."""
    return {} if graph.encoding is None else graph.encoding.scaling()


def _scaled_texts(graph: Graph, given: Columns) -> dict[str, list[str | None]]:
    """The user's own numbers in the columns that the graph has scaled."""
    known = _lower(given)
    found: dict[str, list[str | None]] = {}
    for name in _scaling(graph):
        values = given.get(name, given.get(known.get(name.lower(), "")))
        if values and are_numbers(values) and None not in values:  # `_like_edges` refuses the rest
            found[name] = number_texts(values)
    return found


def _like_edges(
    graph: Graph, column: tuple[str, int, int], values: Sequence[Any], place: Callable[[int], str]
) -> np.ndarray:
    """Values of a named column of edge_attr as the graph holds them: scaled, if it has them scaled."""
    assert graph.edge_attr is not None
    name, width, first = column
    held = graph.edge_attr[:, first : first + width]
    scale = _scaling(graph).get(name)
    if scale is None:
        return _like(held, values, name, place)
    _like(held.astype(np.float64), values, name, place)
    return scaled_edges(scale, values, [place(row) for row in range(len(values))])


def _edge_values(
    graph: Graph, given: Columns, place: Callable[[int], str]
) -> dict[str, np.ndarray]:
    """The arrays of new edges, by the names of `_held`."""
    found = {}
    for name, array in _held(graph).items():
        if name == "edge_weight":
            found[name] = _like(array, _take("ADD EDGES", given, "weight"), "weight", place)
        elif name == "edge_truth":
            values = _take("ADD EDGES", given, "truth")
            found[name] = _like(array, [value or 0 for value in values], "truth", place)
        elif name == "edge_attr" and graph.edge_names:
            found[name] = np.concatenate(
                [
                    _like_edges(graph, column, _take("ADD EDGES", given, column[0]), place)
                    for column in _groups(graph.edge_names)
                ],
                axis=1,
            )
        else:
            found[name] = _like(array, _take("ADD EDGES", given, name), name, place)
    return found


def _contents(
    graph: Graph, given: Columns, place: Callable[[int], str]
) -> list[tuple[np.ndarray | list, np.ndarray]]:
    """What REMOVE EDGES asks of edges beside their ends: the graph's values [E, ...] and those of the rows."""
    found: list[tuple[Any, Any]] = []
    attr = [] if graph.edge_attr is None else _groups(graph.edge_names or ("edge_attr",))
    for column, width, first in attr:
        assert graph.edge_attr is not None
        width = width if graph.edge_names else graph.edge_attr.shape[1]
        held = graph.edge_attr[:, first : first + width]
        if (values := _pop(given, column)) is not None:
            own = _like_edges(graph, (column, width, first), values, place)
            found.append((held, own))
    others = {"weight": graph.edge_weight, "truth": graph.edge_truth, **graph.edge_inputs}
    for column, array in others.items():
        if array is not None and (values := _pop(given, column)) is not None:
            found.append((rows_of(array), rows_of(_like(array, values, column, place))))
    for column, texts in graph.edge_attributes.items():
        if (values := _pop(given, column)) is not None:
            wanted = np.array(list(map(edge_text, values)), object)[:, None]
            found.append((np.array(texts, object)[:, None], wanted))
    return found


def _agreeing(
    graph: Graph, near: np.ndarray, own: np.ndarray, code: np.ndarray, wanted: Sequence[tuple]
) -> list[np.ndarray]:
    """For each row, the edges out of `near` between its ends, `code`, that have its values."""
    order = np.argsort(own, kind="stable")
    first = np.searchsorted(own[order], code, "left")
    last = np.searchsorted(own[order], code, "right")
    found = [near[order[a:b]] for a, b in zip(first.tolist(), last.tolist())]
    if wanted:
        found = [
            edges[_equal(edges, row, wanted)] if len(edges) else edges
            for row, edges in enumerate(found)
        ]
    return found


def _equal(edges: np.ndarray, row: int, wanted: Sequence[tuple]) -> np.ndarray:
    same = np.ones(len(edges), bool)
    for held, asked in wanted:
        same &= (held[edges] == asked[row]).all(axis=1)
    return same


def _partners(graph: Graph, gone: np.ndarray) -> np.ndarray:
    """The reverses of edges that are removed from an undirected graph: as many, with the same values."""
    u, v = graph.edge_index
    lower = np.minimum(u, v) * graph.num_nodes + np.maximum(u, v)
    near = np.flatnonzero(np.isin(lower, lower[gone]))
    values = [rows_of(array)[near] for name, array in _held(graph).items() if name != "edge_truth"]
    table = np.column_stack([u[near], v[near], *values]).tolist()
    going = set(gone.tolist())
    free: dict[tuple, list[int]] = {}
    for edge, row in zip(near.tolist(), table):
        if edge not in going:
            free.setdefault(tuple(row), []).append(edge)
    taken = []
    balance: dict[tuple, int] = {}
    for edge, row in zip(near.tolist(), table):
        if edge in going:
            balance[tuple(row)] = balance.get(tuple(row), 0) + 1
    for (source, head, *content), count in balance.items():
        reverse = (head, source, *content)
        if source == head:
            continue
        missing = count - balance.get(reverse, 0)
        if missing > 0:
            taken += free[reverse][:missing]
    return np.array(taken, np.int64)


def _with_edges(
    graph: Graph,
    stay: np.ndarray,
    ends: np.ndarray,
    values: Mapping[str, np.ndarray],
    texts: Mapping[str, list],
) -> Graph:
    """The graph with the edges `stay` of its own, and then new ones."""
    joined = {
        name: np.concatenate([array[stay], values[name]]) for name, array in _held(graph).items()
    }
    inputs = {name: joined.pop(name) for name in graph.edge_inputs}
    held = {
        name: EdgeTexts([*(column[edge] for edge in stay.tolist()), *texts[name]], sql_type(column))
        for name, column in graph.edge_attributes.items()
    }
    edge_index = np.concatenate([graph.edge_index[:, stay], ends], axis=1)
    return Graph(
        **{
            **graph.columns(),
            "edge_index": edge_index,
            **joined,
            "edge_inputs": inputs,
            "edge_attributes": held,
        }
    )


# -- columns -------------------------------------------------------------------------------------


def _groups(names: Sequence[str]) -> list[tuple[str, int, int]]:
    """The columns of a table that features came from: name, width, and the first feature."""
    found: list[tuple[str, int, int]] = []
    for place, name in enumerate(names):
        item = _ITEM.fullmatch(name)
        if item and int(item[2]) and found and found[-1][0] == item[1]:
            base, width, first = found[-1]
            found[-1] = base, width + 1, first
        elif item and not int(item[2]) and f"{item[1]}[1]" in names:
            found.append((item[1], 1, place))
        else:
            found.append((name, 1, place))
    return found


def _like(
    held: np.ndarray, values: Sequence[Any], name: str, place: Callable[[int], str]
) -> np.ndarray:
    """Values of a column as rows of an array that the graph holds: of its type and shape."""
    if not are_numbers([int(v) if isinstance(v, bool) else v for v in values]) and len(values):
        row = next(
            (i for i, value in enumerate(values) if value is not None and not are_numbers([value])),
            0,
        )
        found = "NULL" if values[row] is None else kind_word(type(values[row]))
        raise GraphError(f"column {name!r} is {found} at {place(row)}; the graph has numbers there")
    width = int(np.prod(held.shape[1:], dtype=np.int64))
    matrix = number_matrix(f"column {name!r}", values, place)
    if matrix.shape[1] != width:
        raise GraphError(
            f"column {name!r} has {matrix.shape[1]} values at {place(0)}, {width} in the graph"
        )
    if held.dtype.kind in "iub":
        exact = np.array(values, np.float64).reshape(len(values), width)
        matrix = exact.astype(held.dtype)
        wrong = np.flatnonzero((matrix.astype(np.float64) != exact).any(axis=1))
        if len(wrong):
            raise GraphError(
                f"column {name!r} is {values[wrong[0]]} at {place(wrong[0])}; the graph has {held.dtype} there"
            )
    return matrix.astype(held.dtype).reshape(len(values), *held.shape[1:])


def _joined(held: Mapping[str, np.ndarray], new: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([array, new[name]]) for name, array in held.items()}


def _lower(given: Iterable[str]) -> dict[str, str]:
    return {name.lower(): name for name in given}


def _pop(given: Columns, name: str) -> Sequence[Any] | None:
    """Take a column out; names are SQL's, in any case."""
    known = name if name in given else _lower(given).get(name.lower())
    return None if known is None else given.pop(known)


def _take(what: str, given: Columns, name: str, say: str = "") -> Sequence[Any]:
    values = _pop(given, name)
    if values is None:
        others = f"; found {', '.join(given)}" if given else ""  # those not taken yet
        also = f": SELECT {say}" if say else ""
        raise GraphError(f"{what} has no column {name!r}, which the graph has{also}{others}")
    return values


def _refuse_others(what: str, given: Columns, own: Sequence[str]) -> None:
    if given:
        has = ", ".join(own) or "none"
        raise GraphError(
            f"{what} has a column {next(iter(given))!r}, which the graph does not have; its columns: {has}"
        )


def _at_key(keys: Sequence[Any]) -> Callable[[int], str]:
    return lambda row: f"key {shown(keys[row])}"


def _at_edge(sources: Sequence[Any], heads: Sequence[Any]) -> Callable[[int], str]:
    return lambda row: f"{shown(sources[row])} -> {shown(heads[row])} in row {row + 1}"


def _problem(what: str, found: Sequence[str], with_what: str, remedy: str) -> GraphError:
    rows = f"{len(found):,} row{'s' * (len(found) > 1)} of {what}"
    verb = "have" if len(found) > 1 else "has"
    verb = ("are" if len(found) > 1 else "is") if with_what.startswith("no edge") else verb
    return GraphError(f"{rows} {verb} {with_what}, such as {', '.join(found[:EXAMPLES])}: {remedy}")
