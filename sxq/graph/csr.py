"""A graph in memory: arrays by node and edge, and the in-edges of every node.

The engine asks a graph only two things, so that a graph on disk can have the same
interface: *the in-edges of these nodes* (`in_edges`) and *the feature rows of these nodes*
(`features`).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from sxq.errors import GraphError, NodeNotFound
from sxq.graph.edge_texts import EdgeTexts, sql_type
from sxq.graph.encoding import Encoding, number_text
from sxq.graph.key_texts import kind_of
from sxq.graph.keys import Keys, plain, shown
from sxq.graph.typed_keys import TypedKey, TypedKeys
from sxq.graph.types import GraphTypes

LARGEST = float(np.finfo(np.float32).max)
SPLITS = ("train", "val", "test")
BLOCK = 1 << 24  # bytes of an array that are hashed at once
ITEMS = 1 << 16  # values of a list that are hashed at once


class Graph:
    """A directed multigraph with node features; messages flow `edge_index[0] -> edge_index[1]`.

    edge_index   [2, E] integers in 0 .. num_nodes - 1
    x            [num_nodes, d] finite; float32, unless `forms` names another type
    y            [num_nodes] int64 class labels, or None
    split        [num_nodes] of 'train', 'val', 'test' or '' (object array), or None
    edge_weight  [E], or None;   edge_attr [E, D], or None; float32, unless `forms` names another type
    edge_truth   [E] bool, the edges of a ground truth; or None. Never shown to the model
    keys         the user's names of the nodes (all of one type of `keys.NAMES`, unique, with `types` within each
                 type of nodes), or None: key = position, with `types` the number within its type
    attributes   further node columns by name, [num_nodes] each; stored for SQL, never shown to the model
    forms        of x, edge_weight and edge_attr: the type and the shape of a row as a model is given them,
                 such as "int64 []" for x of [num_nodes] integers; by default "float32" and the shape held
                 Of node_inputs: of one that models are given once for the whole graph, its type and shape,
                 such as "float32 [1, 3]"; each node's row holds all of it
    node_inputs  further inputs of models by name, a row for each node; edge_inputs: a row for each edge
    left_out     further fields of the data that no model can be given, with what was found
    feature_names  the user's names of the columns of x, or None
    encoding     how columns of the user's table became x (also as the dict that `as_dict` wrote), or None
    edge_names   the user's names of the columns of edge_attr, or None
    edge_attributes  further edge columns by name, text or None for each edge; stored for SQL, never shown to the model
    types        of a heterogeneous graph, the types of its nodes and edges; else None

    Raises GraphError if an array does not fit.
    """

    def __init__(
        self,
        edge_index,
        x,
        *,
        y=None,
        split=None,
        edge_weight=None,
        edge_attr=None,
        edge_truth=None,
        keys: Sequence[Any] | None = None,
        attributes: Mapping[str, Sequence[Any] | np.ndarray] | None = None,
        forms: Mapping[str, str] | None = None,
        node_inputs: Mapping[str, np.ndarray] | None = None,
        edge_inputs: Mapping[str, np.ndarray] | None = None,
        left_out: Mapping[str, str] | None = None,
        feature_names: Sequence[str] | None = None,
        types: GraphTypes | None = None,
        encoding: Encoding | Mapping[str, Any] | None = None,
        edge_names: Sequence[str] | None = None,
        edge_attributes: Mapping[str, Sequence[str | None]] | None = None,
    ):
        self.types = types
        self.encoding = Encoding.from_dict(encoding) if isinstance(encoding, Mapping) else encoding
        self.forms = dict(forms or {})
        self.left_out = dict(left_out or {})
        self.x = _features(x, self._held_type("x"))
        self.edge_index = edge_ends(edge_index, len(self.x))
        self.y = None if y is None else _column("y", y, len(self.x), np.int64)
        self.split = None if split is None else _column("split", split, len(self.x), object)
        self.edge_weight = (
            None if edge_weight is None else self._edge_values("edge_weight", edge_weight, 1)
        )
        self.edge_attr = None if edge_attr is None else self._edge_values("edge_attr", edge_attr, 2)
        self.node_inputs = _inputs(node_inputs, len(self.x), "nodes")
        self.edge_inputs = _inputs(edge_inputs, self.num_edges, "edges")
        self.edge_names = _edge_names(edge_names, self.edge_attr)
        self.edge_attributes = _edge_texts(edge_attributes or {}, self.num_edges)
        self.edge_truth = None if edge_truth is None else _truth(edge_truth, self.num_edges)
        self.feature_names = _feature_names(feature_names, self.x.shape[1])
        self._names = None if keys is None or types is not None else Keys(keys, len(self.x))
        self._typed = None if types is None or types.scattered else TypedKeys(keys, types)
        if types is not None:
            types.require_fit(self.num_nodes, self.edge_index)
        self.attributes = {
            name: list(map(plain, values)) for name, values in (attributes or {}).items()
        }
        for array in (
            self.x,
            self.edge_index,
            self.edge_weight,
            self.edge_attr,
            self.edge_truth,
            self.y,
            *self.node_inputs.values(),
            *self.edge_inputs.values(),
        ):
            if array is not None:
                array.flags.writeable = False
        order = np.argsort(self.edge_index[1], kind="stable")
        self._by_head = order
        self._start = np.concatenate(
            [[0], np.cumsum(np.bincount(self.edge_index[1], minlength=self.num_nodes))]
        )

    def _held_type(self, name: str) -> np.dtype:
        """The type in which an array is held; numpy has no bfloat16."""
        kind = self.forms[name].split()[0] if name in self.forms else "float32"
        return np.dtype("float32" if kind == "bfloat16" else kind)

    def _edge_values(self, name: str, values, ndim: int) -> np.ndarray:
        return _edge_values(_held(name, values, self._held_type(name)), name, self.num_edges, ndim)

    @property
    def keys(self) -> list[Any] | None:
        if self._typed is not None:
            return self._typed.names
        return None if self._names is None else self._names.names

    @property
    def num_nodes(self) -> int:
        return len(self.x)

    @property
    def num_edges(self) -> int:
        return self.edge_index.shape[1]

    @property
    def num_features(self) -> int:
        return self.x.shape[1]

    def in_edges(self, nodes: np.ndarray) -> np.ndarray:
        """Edge numbers of all edges into `nodes` [k], grouped by node in the order given; O(answer)."""
        start = self._start[nodes]
        count = self._start[np.asarray(nodes) + 1] - self._start[nodes]
        offset = (
            np.repeat(start - np.concatenate([[0], np.cumsum(count)[:-1]]), count)
            if len(count)
            else start
        )
        return self._by_head[offset + np.arange(int(count.sum()))]

    def entering(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The `in_edges` of nodes [k], and their ends [2, m]."""
        edges = self.in_edges(nodes)
        return edges, self.edge_index[:, edges]

    def in_degrees(self, nodes: np.ndarray) -> np.ndarray:
        """The number [k] of edges into each of the nodes [k]."""
        return self._start[nodes + 1] - self._start[nodes]

    def feature_name(self, column: int) -> str:
        """The name of a column of x; with types, features are numbered type by type."""
        if self.types is not None:
            return self.types.feature_name(column)
        return f"x[{column}]" if self.feature_names is None else self.feature_names[column]

    def feature_text(self, column: int, value: float) -> str:
        """A value of a column of x for people: as it was in the user's table, if that was encoded."""
        if self.encoding is None:
            return number_text(value)
        if self.types is not None:
            (kind,), (place,) = self.types.places(np.array([column]))
            own = self.encoding.of_type(self.types.node_types[kind])
            return own.text(int(place), value)
        return self.encoding.text(column, value)

    @property
    def num_columns(self) -> int:
        """How many features there are: the columns of x, with types those of each."""
        return self.num_features if self.types is None else int(self.types.first_feature[-1])

    def feature_values(self, feature: int, nodes: np.ndarray) -> np.ndarray:
        """What a feature is at some nodes; with types, at those of its type."""
        if self.types is None:
            return self.x[nodes, feature]
        (kind,), (column,) = self.types.places(np.array([feature]))
        return self.x[nodes[self.types.of_node[nodes] == kind], column]

    def shown_value(self, feature: int, roots: Sequence[int], near: np.ndarray) -> float:
        """What a feature is at the target; of a graph, or of another type, the mean over the nodes `near`."""
        own = self.feature_values(feature, np.asarray(roots, np.int64))
        if not len(own):
            own = self.feature_values(feature, near)
        return float(own.mean(dtype=np.float64)) if len(own) else 0.0

    def features(self, nodes: np.ndarray) -> np.ndarray:
        """Feature rows [k, d] of `nodes` [k]."""
        return self.x[nodes]

    @cached_property
    def undirected(self) -> bool:
        """Whether the multiset of (source, target, attributes) equals its reverse.

        With `types`, whether every edge has its reverse in the type that mirrors its own.
        """
        source, head = self.edge_index
        n = self.num_nodes
        if not np.array_equal(np.bincount(source, minlength=n), np.bincount(head, minlength=n)):
            return False  # which most directed graphs tell without the sort
        if self.types is None and not self._has_edge_values:
            there = np.sort(source * np.int64(n) + head)
            back = np.sort(head * np.int64(n) + source)
            return bool(np.array_equal(there, back))
        forward = self._edge_table(self.edge_index)
        backward = self._edge_table(self.edge_index[::-1])
        if self.types is not None:
            of_edge = self.types.of_edge
            forward = np.column_stack([forward, of_edge])
            backward = np.column_stack([backward, self.types.reverses[of_edge]])
        return bool(np.array_equal(_sorted_rows(forward), _sorted_rows(backward)))

    @property
    def _has_edge_values(self) -> bool:
        given = self.edge_weight, self.edge_attr
        return bool(self.edge_inputs) or any(values is not None for values in given)

    def _edge_table(self, edge_index: np.ndarray) -> np.ndarray:
        parts = [edge_index.T.astype(np.float64)]
        parts += [self.edge_weight[:, None]] if self.edge_weight is not None else []
        parts += [self.edge_attr] if self.edge_attr is not None else []
        parts += [rows_of(array) for array in self.edge_inputs.values()]
        return np.concatenate(parts, axis=1)

    @cached_property
    def one_hot(self) -> bool:
        """Whether every node has exactly one feature that is not 0, and it is 1."""
        return one_hot(self.x)

    @cached_property
    def content_hash(self) -> str:
        """A digest of everything the graph holds; equal content, equal hash."""
        columns = self.columns()
        for name in ("feature_names", "edge_names"):  # what a column is called changes no answer
            del columns[name]
        types = columns.pop("types")
        if types is not None:
            columns["types"] = types.digested
        optional = ("edge_truth", "forms", "node_inputs", "edge_inputs", "left_out", "encoding")
        for name in (*optional, "edge_attributes"):
            if not isinstance(columns[name], np.ndarray) and not columns[name]:
                del columns[name]  # so that graphs without it keep the hash they always had
        for name in {"node_inputs", "edge_inputs"} & set(columns):
            columns[name] = {key: digest({key: array}) for key, array in columns[name].items()}
        return digest(columns)

    def columns(self) -> dict[str, Any]:
        """The constructor's arguments as plain values: `Graph(**graph.columns())` is the same graph."""
        return {
            "edge_index": self.edge_index,
            "x": self.x,
            "y": self.y,
            "split": self.split,
            "edge_weight": self.edge_weight,
            "edge_attr": self.edge_attr,
            "edge_truth": self.edge_truth,
            "keys": self.keys,
            "attributes": self.attributes,
            "forms": self.forms,
            "node_inputs": self.node_inputs,
            "edge_inputs": self.edge_inputs,
            "left_out": self.left_out,
            "feature_names": self.feature_names,
            "types": self.types,
            "encoding": self.encoding and self.encoding.as_dict(),
            "edge_names": self.edge_names,
            "edge_attributes": self.edge_attributes,
        }

    def key(self, position: int) -> Any:
        """The user's key of a node, a Python value; with `types`, without the type of the node."""
        if self._typed is not None:
            return self._typed.key(int(position))
        return int(position) if self.keys is None else self.keys[position]

    def name(self, position: int) -> Any:
        """What names a node alone: its key, with `types` a `TypedKey`."""
        if self.types is None:
            return self.key(position)
        return TypedKey(self.types.node_types[self.types.of_node[position]], self.key(position))

    def position(self, key: Any, node_type: str | None = None) -> int:
        """The position of a key; raises NodeNotFound with the range or the nearest key.

        With `types` it is a key of nodes of `node_type`, or a pair (node type, key), such as a
        `TypedKey`; a key that only one type has needs no type.
        """
        key = plain(key)
        if self._typed is None and node_type is not None:
            raise GraphError(f"node type {node_type!r}, but the graph has no types")
        if self._typed is None and self._names is None:
            if isinstance(key, int) and not isinstance(key, bool) and 0 <= key < self.num_nodes:
                return key
            raise NodeNotFound(
                f"no node {shown(key)}: keys are the integers 0 to {self.num_nodes - 1}"
            )
        try:
            if self._typed is not None:
                return self._typed.place(key, node_type)
            assert self._names is not None
            return self._names.place(key)
        except KeyError as hint:
            raise NodeNotFound(f"no node {shown(key)}{hint.args[0]}") from None

    def positions(self, key: Any) -> list[int]:
        """The positions that a key may mean: with `types` one in each type that has it; raises NodeNotFound."""
        if self._typed is None:
            return [self.position(key)]
        try:
            return self._typed.places(plain(key))
        except KeyError as hint:
            raise NodeNotFound(f"no node {shown(key)}{hint.args[0]}") from None

    def __repr__(self) -> str:
        kind = "undirected" if self.undirected else "directed"
        types = "" if self.types is None else f" of {len(self.types.node_types)} types"
        return (
            f"Graph({self.num_nodes} nodes{types}, {self.num_edges} directed edges, "
            f"{self.num_features} features, {kind})"
        )

    def unit_types(self, directed: bool) -> np.ndarray:
        """[num_edges] a number for each edge: parallel edges with different numbers are of different units."""
        if self.types is None:
            return np.zeros(self.num_edges, np.int64)
        return self.types.of_units(directed)


def _feature_names(names: Sequence[str] | None, features: int) -> list[str] | None:
    if names is None:
        return None
    if len(names) != features:
        raise GraphError(f"{len(names)} feature names, but x has {features} columns")
    return list(map(str, names))


def _edge_names(names: Sequence[str] | None, edge_attr: np.ndarray | None) -> list[str] | None:
    if names is None or edge_attr is None:
        return None
    if len(names) != edge_attr.shape[1]:
        raise GraphError(f"{len(names)} edge names, but edge_attr has {edge_attr.shape[1]} columns")
    return list(map(str, names))


def _edge_texts(
    columns: Mapping[str, Sequence[str | None]], num_edges: int
) -> dict[str, list[str | None]]:
    for name, values in columns.items():
        if len(values) != num_edges or not all(v is None or isinstance(v, str) for v in values):
            raise GraphError(
                f"edge attribute {name!r} has {len(values)} values, expected text or None for each of "
                f"{num_edges} edges"
            )
    return {str(name): EdgeTexts(values, sql_type(values)) for name, values in columns.items()}


def one_hot(x: np.ndarray) -> bool:
    """Whether every row of x [n, d] has exactly one value that is not 0, and it is 1."""
    if x.ndim != 2 or x.shape[1] < 2:
        return False
    return bool(((x == 1).sum(axis=1) == 1).all() and ((x != 0).sum(axis=1) == 1).all())


def digest(columns: Mapping[str, Any]) -> str:
    """A digest of named arrays, lists and plain values."""
    found = hashlib.sha256()
    for name, array in columns.items():
        found.update(f"{name}:".encode())
        kind_held = getattr(array, "dtype", None)
        if kind_held is not None and kind_held.kind != "O":
            found.update(f"{array.dtype.str}{array.shape}".encode())
            for block in _byte_blocks(array):
                found.update(block)
        else:
            as_list = not isinstance(array, Sequence | dict | None) or isinstance(
                array, tuple | str
            )
            listed = list(array) if as_list else array
            kind = kind_of(listed)  # the text of a BIT is not text
            found.update((f"{kind.sql_type}:" if kind else "").encode())
            for text in _text_blocks(listed):
                found.update(text.encode())
    return found.hexdigest()[:32]


def _byte_blocks(array: np.ndarray) -> Iterator[bytes]:
    """The bytes of an array, row by row, some at a time."""
    if array.ndim > 1 and len(array) < 8:  # the two rows of edge_index
        for row in array:
            yield from _byte_blocks(row)
        return
    if array.ndim == 0:
        yield array.tobytes()
        return
    step = max(1, BLOCK // max(1, array.itemsize * int(np.prod(array.shape[1:]))))
    for first in range(0, len(array), step):
        yield np.ascontiguousarray(array[first : first + step]).tobytes()


def _text_blocks(value: Any) -> Iterator[str]:
    """The repr of a plain value, or of a list or a dict of lists, some of it at a time."""
    if isinstance(value, dict):
        yield "{"
        for number, (name, part) in enumerate(value.items()):
            yield f"{', ' * (number > 0)}{name!r}: "
            yield from _text_blocks(part)
        yield "}"
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes | tuple):
        yield "["
        items = iter(value)
        joint = ""
        while some := list(islice(items, ITEMS)):
            yield joint + ", ".join(map(repr, some))
            joint = ", "
        yield "]"
    else:
        yield repr(value)


def _held(name: str, values, kind: np.dtype) -> np.ndarray:
    """A copy of that type; a finite value beyond the range of float32 is refused, not made infinite."""
    given = np.array(values)
    if kind == np.float32 and given.dtype.kind == "f" and given.dtype.itemsize > 4:
        far = np.argwhere(np.isfinite(given) & (abs(given) > LARGEST))
        if len(far):
            raise GraphError(
                f"{name} is {given[tuple(far[0])]} at {far[0].tolist()}, beyond what float32 holds ({LARGEST:.3g})"
            )
    return given.astype(kind, copy=False)


def rows_of(array: np.ndarray) -> np.ndarray:
    """An array [n, ...] as a table [n, columns]."""
    return array.reshape(len(array), -1) if array.size else np.zeros((len(array), 0), array.dtype)


def _inputs(
    arrays: Mapping[str, np.ndarray] | None, length: int, each: str
) -> dict[str, np.ndarray]:
    for name, array in (arrays or {}).items():
        if len(array) != length:
            raise GraphError(
                f"{name} has {len(array)} rows, expected one for each of {length} {each}"
            )
    return {name: np.array(array) for name, array in (arrays or {}).items()}


def _features(x, kind: np.dtype) -> np.ndarray:
    x = _held("x", x, kind)
    if x.ndim == 1:
        x = x[:, None]
    if x.ndim != 2:
        raise GraphError(f"x has shape {list(x.shape)}, expected [num_nodes, features]")
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(bad):
        raise GraphError(
            f"x holds NaN or infinite values in {len(bad)} of {len(x)} rows, "
            f"the first at position {bad[0]}"
        )
    return x


def edge_ends(edge_index, num_nodes: int) -> np.ndarray:
    """The ends [2, E] of edges, as int64; raises GraphError for what is no edges of these nodes."""
    edge_index = np.array(edge_index)
    if edge_index.size == 0:
        edge_index = np.zeros((2, 0), np.int64)
    if edge_index.ndim != 2 or edge_index.shape[0] != 2:
        raise GraphError(f"edge_index has shape {list(edge_index.shape)}, expected [2, E]")
    if not np.issubdtype(edge_index.dtype, np.integer):
        raise GraphError(f"edge_index has type {edge_index.dtype}, expected integers")
    edge_index = edge_index.astype(np.int64, copy=False)
    bad = np.flatnonzero(((edge_index < 0) | (edge_index >= num_nodes)).any(axis=0))
    if len(bad):
        u, v = edge_index[:, bad[0]]
        raise GraphError(
            f"edge {bad[0]} is {u} -> {v}, but nodes are 0 to {num_nodes - 1} ({len(bad)} such edges)"
        )
    return edge_index


def _column(name: str, values, length: int, dtype) -> np.ndarray:
    values = np.array(values, dtype=dtype).reshape(-1)
    if len(values) != length:
        raise GraphError(
            f"{name} has {len(values)} values, expected one for each of {length} nodes"
        )
    return values


def _edge_values(values: np.ndarray, name: str, num_edges: int, ndim: int) -> np.ndarray:
    values = values.reshape(-1) if ndim == 1 else values[:, None] if values.ndim == 1 else values
    if values.ndim != ndim:
        raise GraphError(
            f"{name} has shape {list(values.shape)}, expected [{num_edges}{', features' * (ndim - 1)}]"
        )
    if len(values) != num_edges:
        raise GraphError(
            f"{name} has {len(values)} rows, expected one for each of {num_edges} edges"
        )
    if not np.isfinite(values).all():
        raise GraphError(f"{name} holds NaN or infinite values")
    return values


def _truth(values, num_edges: int) -> np.ndarray:
    values = np.array(values).reshape(-1)
    if len(values) != num_edges or not np.isin(values, (0, 1)).all():
        raise GraphError(
            f"edge_truth has {len(values)} values, expected true or false for each of {num_edges} edges"
        )
    return values.astype(bool)


def _sorted_rows(table: np.ndarray) -> np.ndarray:
    return table[np.lexsort(table.T[::-1])]
