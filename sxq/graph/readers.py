"""Graphs from files and tables: `read_npz`, `from_tables`; `from_arrays` has the rules for arrays.

Each function checks its input and names the array, column, key or row that is wrong; `Graph` checks
the rest. Labels are classes 0 .. C - 1, or UNKNOWN_CLASS.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sxq.errors import DataError, GraphError, NodeNotFound
from sxq.graph.csr import LARGEST, SPLITS, Graph, rows_of
from sxq.graph.edge_texts import EdgeTexts, column_type, number_texts, sql_type
from sxq.graph.encoding import LISTS, NUMBERS, EncodedColumn, Encoding, learn, learn_edges
from sxq.graph.keys import kind_of_keys, kind_word, shown
from sxq.graph.named_columns import FEATURE_NAMES, key_column, named_columns
from sxq.graph.npz_files import NpzArrays, require_dense
from sxq.graph.table_problems import SqlRows, listed, problems
from sxq.graph.typed_npz import types_of_arrays

UNKNOWN_CLASS = -1
MOST_CLASSES = 2**31
SPARSE = {"x_indptr", "x_indices", "x_shape"}
DANGLING = "dangling edges"  # in `Graph.left_out`
MASKS = {f"{name}_mask" for name in SPLITS}
ARRAYS = SPARSE | MASKS | {"edge_index", "x", "x_data", "y", "edge_weight", "edge_attr", "edge_gt"}


def read_npz(path: str | Path, most: int | None = None) -> Graph:
    """The graph in an .npz file (arrays as in `from_arrays`); nothing in the file is executed.

    most  bytes that its arrays may take; None: the memory of this machine

    Raises DataError for a file that cannot be read, and GraphError for arrays that do not form a graph.
    """
    arrays = NpzArrays(path, most)
    if "node_ptr" in arrays:
        raise DataError(
            f"{path} holds a collection of {len(arrays['node_ptr']) - 1} graphs; "
            "CREATE GRAPHS reads it"
        )
    try:
        return from_arrays(arrays)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from None


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Graph:
    """The graph of named arrays.

    Required are edge_index [2, E], and features, either dense as x [n, d] or CSR as x_indptr,
    x_indices, x_shape and perhaps x_data. Optional are y [n], edge_weight [E], edge_attr [E, D],
    edge_gt [E] (a ground truth), and train_mask, val_mask, test_mask [n] or [n, splits], of which
    the first split is used; key [n], attribute_NAME [n] for every attribute, and feature_name [d]. Types of nodes and
    edges are as in `typed_npz`. Other arrays are ignored.
    """
    _require_arrays(arrays)
    given = arrays
    arrays = {name: np.asarray(arrays[name]) for name in arrays if name in ARRAYS}
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or array.ndim == 0:
            raise GraphError(
                f"{name} is {array.dtype} of shape {list(array.shape)}, expected numbers"
            )
    x = arrays["x"] if "x" in arrays else _dense(arrays)
    y = _classes("y", arrays["y"]) if "y" in arrays else None
    attr = arrays.get("edge_attr")
    edge_width = 0 if attr is None else attr.shape[1] if attr.ndim == 2 else 1
    types = types_of_arrays(given, x.shape[-1], edge_width, "node_ptr" in given)
    return Graph(
        arrays["edge_index"],
        x,
        types=types,
        y=y,
        split=_split(arrays, len(x)),
        edge_weight=arrays.get("edge_weight"),
        edge_attr=arrays.get("edge_attr"),
        edge_truth=arrays.get("edge_gt"),
        feature_names=key_column(given, FEATURE_NAMES, x.shape[-1]),
        **named_columns(given, len(x)),
    )


@dataclass(frozen=True, kw_only=True)
class TableReading:
    """The options of CREATE GRAPH for tables.

    encode         columns become features by an encoding that is learned (True), or by a given one
    scale          features, and columns of edges, that are numbers get mean 0 and standard deviation 1
    drop_dangling  edges with an end that is no node, or NULL, are left out
    """

    encode: bool | Encoding = False
    scale: bool = False
    drop_dangling: bool = False


AS_THEY_ARE = TableReading()


def from_tables(
    nodes: SqlRows, edges: SqlRows, undirected: bool = False, reading: TableReading = AS_THEY_ARE
) -> Graph:
    """The graph of two SQL results.

    nodes: the first column is the key. `label` and `split` are found by name; a label is an integer,
    NULL, or text, which is numbered in sorted order and kept as the attribute `label_name`. Columns
    of numbers, booleans or lists of numbers become features, in order; other columns, and those that
    are all NULL, become attributes. Without any feature, x is all ones.
    edges: the first two columns are the keys of source and target. `weight` is found by name;
    further columns of numbers are edge_attr; others are attributes, kept as text, and so are numbers
    where edge_attr has them scaled.
    undirected: applies `add_reverse`.

    Raises GraphError; where much is wrong, its message lists everything.
    """
    try:
        graph = read_nodes(*nodes, reading)
        given = edges
        if reading.drop_dangling:
            given = _joined(graph, *edges)
        dropped = len(edges[1]) - len(given[1])
        left_out = {DANGLING: f"{dropped:,} of {len(edges[1]):,} dropped"} if dropped else {}
        edge_values = with_scaling(graph.encoding, read_edges(graph, *given, reading))
        graph = Graph(**{**graph.columns(), **edge_values, "left_out": left_out})
    except GraphError as first:
        kind_of_keys([row[0] for row in nodes[1] if row[0] is not None])  # the cause of all others
        found = problems(nodes, edges, reading.encode is not False, reading.drop_dangling)
        if sum(problem.count for problem in found) < 2:
            raise
        raise GraphError(listed(found)) from first
    return add_reverse(graph) if undirected else graph


def add_reverse(graph: Graph) -> Graph:
    """The graph with v -> u added for every u -> v without a partner of equal weight and attributes."""
    given = graph.columns()
    values = {name: given[name] for name in ("edge_weight", "edge_attr") if given[name] is not None}
    truth = {"edge_truth": graph.edge_truth} if graph.edge_truth is not None else {}
    inputs = graph.edge_inputs
    contents = [*values.values(), *map(rows_of, inputs.values())]
    added = without_partner(np.column_stack([graph.edge_index.T, *contents]))
    edge_index = np.concatenate([graph.edge_index, graph.edge_index[::-1, added]], axis=1)
    values = {
        name: np.concatenate([array, array[added]]) for name, array in (values | truth).items()
    }
    inputs = {name: np.concatenate([array, array[added]]) for name, array in inputs.items()}
    texts = {
        name: EdgeTexts([*column, *(column[edge] for edge in added)], sql_type(column))
        for name, column in graph.edge_attributes.items()
    }
    values |= {"edge_inputs": inputs, "edge_attributes": texts}
    return Graph(**{**given, "edge_index": edge_index, **values})


def missing_partners(graph: Graph, edges: np.ndarray) -> list[int]:
    """Which of these edges have no reverse among them of equal weight and attributes: places in `edges`."""
    values = (graph.edge_weight, graph.edge_attr, *graph.edge_inputs.values())
    contents = [rows_of(array[edges]) for array in values if array is not None]
    return without_partner(np.column_stack([graph.edge_index[:, edges].T, *contents]))


def _require_arrays(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays without edges or features, and name those that are missing."""
    features = set() if "x" in arrays else SPARSE if SPARSE & set(arrays) else {"x"}
    missing = sorted(({"edge_index"} | features) - set(arrays))
    if missing:
        found = ", ".join(sorted(arrays)[:20]) or "no arrays"
        raise GraphError(
            f"a graph needs edge_index, and x or {', '.join(sorted(SPARSE))}; "
            f"missing: {', '.join(missing)}; found {found}"
        )


def _dense(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    indptr, indices, shape = (arrays[name] for name in ("x_indptr", "x_indices", "x_shape"))
    for name in sorted(SPARSE):
        if arrays[name].ndim != 1 or arrays[name].dtype.kind not in "iu":
            found = f"{arrays[name].dtype} of shape {list(arrays[name].shape)}"
            raise GraphError(f"{name} is {found}, expected a list of integers")
    if shape.shape != (2,) or (shape < 0).any():
        raise GraphError(f"x_shape is {shape.tolist()}, expected [num_nodes, features]")
    num_nodes, width = map(int, shape)
    count: np.ndarray = np.diff(indptr.astype(np.int64))
    if (
        indptr.shape != (num_nodes + 1,)
        or indptr[0] != 0
        or indptr[-1] != len(indices)
        or (count < 0).any()
    ):
        raise GraphError(
            f"x_indptr must rise from 0 to {len(indices)} in {num_nodes + 1} values, "
            f"found {len(indptr)} values ending with {indptr[-2:].tolist()}"
        )
    if len(indices) and not 0 <= indices.min() <= indices.max() < width:
        raise GraphError(
            f"x_indices are {indices.min()} to {indices.max()}, x has columns 0 to {width - 1}"
        )
    data = arrays.get("x_data", np.ones(len(indices), np.float32))
    if data.shape != indices.shape:
        raise GraphError(f"x_data has {len(data)} values, x_indices has {len(indices)}")
    require_dense("x_shape", (num_nodes, width), indices.nbytes + indptr.nbytes)
    x = np.zeros((num_nodes, width), np.float32)
    np.add.at(x, (np.repeat(np.arange(num_nodes), count), indices), data)  # repeated entries add up
    return x


def _classes(name: str, values) -> np.ndarray:
    values = np.asarray(values)
    if values.size != len(values):
        raise GraphError(f"{name} has shape {list(values.shape)}, expected one class for each node")
    values = values.reshape(-1)
    bad = values[
        ~((values == np.floor(values)) & (values >= UNKNOWN_CLASS) & (values < MOST_CLASSES))
    ]
    if len(bad):
        raise GraphError(
            f"{name} holds {bad[0]}; classes are integers from 0, {UNKNOWN_CLASS} is unknown"
        )
    return values.astype(np.int64)


def _split(arrays: Mapping[str, np.ndarray], num_nodes: int) -> np.ndarray | None:
    masks = {name: arrays[f"{name}_mask"] for name in SPLITS if f"{name}_mask" in arrays}
    split = np.full(num_nodes, "", object)
    for name, mask in reversed(masks.items()):  # train last: a node trained on must not test
        if len(mask) != num_nodes:
            raise GraphError(f"{name}_mask has {len(mask)} values for {num_nodes} nodes")
        split[mask.reshape(num_nodes, -1)[:, 0].astype(bool)] = name
    return split if masks else None


def read_nodes(names: Sequence[str], rows: Sequence[Sequence[Any]], reading: TableReading) -> Graph:
    """The nodes as a graph without edges."""
    if not rows:
        raise GraphError("NODES gave no rows, expected one for each node")
    (_, keys), *columns = table_columns("NODES", names, rows)
    if None in keys:
        raise GraphError(f"the key {names[0]!r} is NULL in row {keys.index(None) + 1} of NODES")
    y = None
    split = None
    features = []
    named: list[str] = []
    attributes: dict[str, Sequence[Any]] = {}
    to_encode: dict[str, Sequence[Any]] = {}
    known = reading.encode.labels if isinstance(reading.encode, Encoding) else ()
    for name, values in columns:
        if name.lower() == "label":
            y = read_labels(values, attributes, keys, known)
        elif name.lower() == "split":
            split = read_splits(values, keys)
        elif reading.encode:
            to_encode[name] = values
        elif are_numbers(values):
            matrix = number_matrix(
                f"feature {name!r}", values, lambda row: f"key {shown(keys[row])}"
            )
            features.append(matrix)
            many = matrix.shape[1] > 1
            named += [f"{name}[{i}]" for i in range(matrix.shape[1])] if many else [name]
        else:
            attributes[name] = values
    encoding = _encoding_of(reading, to_encode, attributes)
    if encoding:
        matrix, named, others = encoding.encode(to_encode, keys)
        features = [_within_float32(matrix, named, keys, reading)] if named else []
        attributes |= others
    x = np.concatenate(features, axis=1) if features else np.ones((len(rows), 1), np.float32)
    return Graph(
        np.zeros((2, 0), np.int64),
        x,
        encoding=encoding,
        y=y,
        split=split,
        keys=keys,
        attributes=attributes,
        feature_names=named or None,
    )


def _encoding_of(
    reading: TableReading, columns: Mapping[str, Sequence[Any]], attributes: Mapping[str, Any]
) -> Encoding | None:
    """The encoding of the features: the given one, or one learned from the columns; None without ENCODE."""
    if isinstance(reading.encode, Encoding):
        return reading.encode
    if not reading.encode:
        return None
    labels = {name for name in attributes.get("label_name", ()) if name is not None}
    return replace(learn(columns, reading.scale), labels=tuple(sorted(labels)))


def _within_float32(
    matrix: np.ndarray, names: Sequence[str], keys: Sequence[Any], reading: TableReading
) -> np.ndarray:
    far = np.argwhere(~(abs(matrix) <= LARGEST))
    if len(far):
        row, column = far[0]
        if isinstance(reading.encode, Encoding):
            remedy = "it is far from the table that was learned from: make it smaller, or learn anew by ENCODE = auto"
        else:
            remedy = "say SCALE = standard, or scale it"
        raise GraphError(
            f"feature {names[column]!r} is {matrix[row, column]} at key {shown(keys[row])}, beyond what "
            f"float32 holds ({LARGEST:.3g}); {remedy}"
        )
    return matrix.astype(np.float32)


def _joined(
    graph: Graph, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> tuple[Sequence[str], list[Sequence[Any]]]:
    """The edges without those that dangle: an end is no node, or NULL."""
    nodes = set(graph.keys or ())
    return names, [row for row in rows if row[0] in nodes and row[1] in nodes]


def read_edges(
    graph: Graph,
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    reading: TableReading = AS_THEY_ARE,
    ends: Sequence[str | None] = (None, None),
) -> dict[str, Any]:
    """edge_index [2, E]; edge_weight, edge_attr, edge_attributes and edge_scales if there are such columns.

    ends  of a graph with types, those of sources and targets
    """
    if len(names) < 2:
        raise GraphError(f"EDGES has {len(names)} column, expected a source key and a target key")
    (_, sources), (_, targets), *columns = table_columns("EDGES", names, rows)
    for name, keys in zip(names, (sources, targets)):
        if None in keys:
            row = keys.index(None) + 1
            raise GraphError(f"the key {name!r} is NULL in row {row} of EDGES; a key is never NULL")
    positions = [_positions(graph, *one) for one in zip((sources, targets), ends)]
    edge_index = np.array(positions, np.int64)
    values: dict[str, Any] = {"edge_index": edge_index}
    attributes = []
    named: list[str] = []
    texts: dict[str, list[str | None]] = {}
    columns = columns if rows else []
    scales = _scales(reading, columns)
    for name, column in columns:
        if name.lower() != "weight" and not are_numbers(column):
            texts[name] = EdgeTexts(map(edge_text, column), column_type(column))
            continue
        if not are_numbers(column):
            row = next(i for i, value in enumerate(column) if not are_numbers([value]))
            raise GraphError(
                f"edge column {name!r} is {kind_word(type(column[row]))} in row {row + 1} of EDGES; "
                f"make it numbers, or give it another name than weight"
            )
        if name in scales:
            matrix = _scaled(scales[name], column)
            texts[name] = number_texts(column)
        else:
            matrix = number_matrix(f"edge column {name!r}", column, _row_of_edges)
        if name.lower() == "weight":
            values["edge_weight"] = matrix
        else:
            attributes.append(matrix)
            many = matrix.shape[1] > 1
            named += [f"{name}[{i}]" for i in range(matrix.shape[1])] if many else [name]
    if attributes:
        values |= {"edge_attr": np.concatenate(attributes, axis=1), "edge_names": named}
    found = {"edge_attributes": texts, "edge_scales": tuple(scales.values())}
    return values | {name: value for name, value in found.items() if value}


def with_scaling(encoding: Encoding | None, edge_values: dict[str, Any]) -> dict[str, Any]:
    """What `read_edges` found, with how edges are scaled as part of the encoding."""
    scales = edge_values.pop("edge_scales", ())
    if encoding is None or not scales:
        return edge_values
    return edge_values | {"encoding": replace(encoding, edge_columns=scales)}


def _scales(reading: TableReading, columns: Iterable[tuple[str, Any]]) -> dict[str, EncodedColumn]:
    """How columns of edges are scaled: as the given encoding says, or learned from them."""
    numbers = {name: column for name, column in columns if are_numbers(column)}
    numbers = {name: column for name, column in numbers.items() if name.lower() != "weight"}
    if isinstance(reading.encode, Encoding):
        known = reading.encode.scaling()
        for name in set(known) - set(numbers) if columns else ():
            held = ", ".join(numbers) or "none"
            raise GraphError(
                f"EDGES has no numeric column {name!r}, which the encoding needs; its numeric columns: {held}"
            )
        return known if columns else {}
    if not reading.scale:
        return {}
    for name, column in numbers.items():
        finite_matrix(f"edge column {name!r}", column, _row_of_edges)
    return learn_edges(numbers)


def _scaled(scale: EncodedColumn, values: Sequence[Any]) -> np.ndarray:
    """A column of edges as a model is given it, float32 [E, width]."""
    finite_matrix(f"edge column {scale.name!r}", values, _row_of_edges)
    return scaled_edges(scale, values, [f"row {number}" for number in range(1, len(values) + 1)])


def scaled_edges(scale: EncodedColumn, values: Sequence[Any], rows: Sequence[str]) -> np.ndarray:
    """Numbers of edges as an encoding scales them, float32 [k, width]; errors name the rows."""
    matrix = scale.encode(values, rows)
    far = np.flatnonzero(~(abs(matrix) <= LARGEST).all(axis=1))
    if len(far):
        raise GraphError(
            f"edge column {scale.name!r} is {values[far[0]]} in {rows[far[0]]}, beyond what float32 holds once "
            f"scaled ({LARGEST:.3g}): it is far from the numbers that the scale was learned from"
        )
    return matrix.astype(np.float32)


def _row_of_edges(row: int) -> str:
    return f"row {row + 1} of EDGES"


def edge_text(value: Any) -> str | None:
    """A value as SQL writes it, or nearly: bytes as hex digits."""
    if value is None:
        return None
    return value.hex() if isinstance(value, bytes) else str(value)


def table_columns(
    what: str, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> list[tuple[str, list[Any]]]:
    twice = [name for name, count in Counter(name.lower() for name in names).items() if count > 1]
    if twice:
        raise GraphError(
            f"{what} has more than one column {twice[0]!r}; rename one, or leave it out"
        )
    return [(name, [row[i] for row in rows]) for i, name in enumerate(names)]


def _positions(graph: Graph, keys: Sequence[Any], node_type: str | None) -> list[int]:
    positions: list[int] = []
    try:
        for key in keys:
            positions.append(graph.position(key, node_type))
    except NodeNotFound as error:
        raise GraphError(f"row {len(positions) + 1} of EDGES: {error}") from None
    return positions


def are_numbers(values: Sequence[Any]) -> bool:
    """Whether a column holds only numbers or lists of numbers, and perhaps NULL."""
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, LISTS) for value in present):
        present = [item for value in present for item in value if item is not None]
    return bool(present) and all(isinstance(value, NUMBERS) for value in present)


def number_matrix(name: str, values: Sequence[Any], place: Callable[[int], str]) -> np.ndarray:
    """A column as `finite_matrix` makes it, in float32; raises GraphError for what is beyond that."""
    matrix = finite_matrix(name, values, place)
    far = np.flatnonzero((abs(matrix) > LARGEST).any(axis=1))
    if len(far):
        raise GraphError(
            f"{name} is {values[far[0]]} at {place(far[0])}, beyond what float32 holds ({LARGEST:.3g}); scale it"
        )
    return matrix.astype(np.float32)


def finite_matrix(name: str, values: Sequence[Any], place: Callable[[int], str]) -> np.ndarray:
    """A column of numbers [n, 1] or of equally long lists [n, width]; NULL, NaN and infinity are refused."""
    widths = [len(value) if isinstance(value, LISTS) else 1 for value in values]
    for row, width in enumerate(widths):
        if values[row] is None:
            raise GraphError(f"{name} is NULL at {place(row)}")
        if width != widths[0]:
            raise GraphError(
                f"{name} has {width} values at {place(row)}, {widths[0]} at {place(0)}"
            )
    matrix = np.array(values, np.float64).reshape(len(values), widths[0])  # None becomes NaN
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise GraphError(f"{name} holds NULL, NaN or infinity at {place(bad[0])}: {values[bad[0]]}")
    return matrix


def read_labels(
    values: Sequence[Any],
    attributes: dict[str, Sequence[Any]],
    keys: Sequence[Any],
    known: Sequence[str] = (),
) -> np.ndarray | None:
    """The class of each node; text is numbered in sorted order, or by its place among the `known` names."""
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, str) for value in present):
        if unknown := sorted({*present} - {*known}) if known else []:
            raise GraphError(
                f"label {unknown[0]!r} is none that the encoding knows: {', '.join(known)}"
            )
        number = {name: i for i, name in enumerate(known or sorted(set(present)))}
        attributes.setdefault("label_name", values)
        values = [number.get(value) for value in values]
    for key, value in zip(keys, values):
        if value is not None and not isinstance(value, NUMBERS):
            kinds = ", ".join(sorted({kind_word(type(each)) for each in present}))
            raise GraphError(
                f"label of key {shown(key)} is {value!r:.80}; labels here are {kinds}: expected all "
                f"integers or all text"
            )
        if value is not None and (not UNKNOWN_CLASS <= value < MOST_CLASSES or float(value) % 1):
            raise GraphError(
                f"label of key {shown(key)} is {value}; classes are integers from 0, and "
                f"{UNKNOWN_CLASS} or NULL is unknown"
            )
    classes = [UNKNOWN_CLASS if value is None else int(value) for value in values]
    return np.array(classes, np.int64) if present else None


def read_splits(values: Sequence[Any], keys: Sequence[Any]) -> list[str]:
    for key, value in zip(keys, values):
        if value not in (None, "", *SPLITS):
            raise GraphError(
                f"split of key {shown(key)} is {value!r}, expected {', '.join(SPLITS)} or NULL"
            )
    return [value or "" for value in values]


def without_partner(edges: np.ndarray) -> list[int]:
    """The edges, of [E, 2 + values], whose reverses must be added so that every row has a partner."""
    count = Counter(map(tuple, edges.tolist()))
    missing = []
    for edge, (source, target, *content) in enumerate(edges.tolist()):
        partner = (target, source, *content)
        if count[(source, target, *content)] > count[partner]:
            count[partner] += 1
            missing.append(edge)
    return missing
