"""Many graphs under one name, each of them a target: the data of graph classification."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from sxq.errors import GraphError, NodeNotFound
from sxq.graph.csr import SPLITS, Graph, digest
from sxq.graph.distinct import distinct
from sxq.graph.readers import add_reverse
from sxq.graph.types import LACKING, GraphTypes, joined_types


class GraphSet:
    """n graphs, held as their disjoint union, one after the other.

    union     the `Graph` of all nodes and edges, numbered consecutively; edges sorted by graph
    node_ptr  [n + 1] where each graph's nodes begin;   edge_ptr [n + 1] where its edges begin
    y         [n] int64 classes of the graphs, -1 if unknown, or None
    split     [n] of 'train', 'val', 'test' or '' (object array), or None
    keys      the user's names of the graphs (as of `Graph`), or None: key = number
    node_keys names of all nodes, unique within their graph; or None: key = position in the graph

    Raises GraphError if an array does not fit, an edge leaves its graph, or a graph has no nodes.
    """

    def __init__(
        self,
        union: Graph,
        node_ptr,
        edge_ptr,
        *,
        y=None,
        split=None,
        keys: Sequence[Any] | None = None,
        node_keys: Sequence[Any] | None = None,
    ):
        self.union = union
        self.node_ptr, self.edge_ptr = (
            np.array(pointer, np.int64).reshape(-1) for pointer in (node_ptr, edge_ptr)
        )
        self._check_pointers()
        self.y = None if y is None else self._column("y", y, np.int64)
        self.split = None if split is None else self._column("split", split, object)
        self.node_keys = None if node_keys is None else list(node_keys)
        # The keys of the graphs, held as those of a graph whose nodes they are.
        self.names = Graph(np.zeros((2, 0), np.int64), np.zeros((len(self), 1)), keys=keys)
        self._members: dict[int, Graph] = {}

    def __len__(self) -> int:
        return len(self.node_ptr) - 1

    def __iter__(self) -> Iterator[Graph]:
        return map(self.member, range(len(self)))

    @property
    def keys(self) -> list[Any] | None:
        return self.names.keys

    @property
    def num_nodes(self) -> int:
        return self.union.num_nodes

    @property
    def num_edges(self) -> int:
        return self.union.num_edges

    @property
    def num_features(self) -> int:
        return self.union.num_features

    @property
    def types(self) -> GraphTypes | None:
        """The types of all nodes and edges, where the graphs are heterogeneous."""
        return self.union.types

    @property
    def undirected(self) -> bool:
        """Whether every graph is undirected."""
        return self.union.undirected

    @cached_property
    def graph_of_node(self) -> np.ndarray:
        """The number of each node's graph, as [num_nodes]."""
        return np.repeat(np.arange(len(self)), np.diff(self.node_ptr))

    def member(self, number: int) -> Graph:
        """Graph `number` by itself, with nodes numbered from 0; made when first asked for."""
        if number not in self._members:
            self._members[number] = self._cut_out(number)
        return self._members[number]

    def _cut_out(self, number: int) -> Graph:
        nodes = slice(*self.node_ptr[number : number + 2])
        edges = slice(*self.edge_ptr[number : number + 2])
        union = self.union

        def part(values, where):
            return None if values is None else values[where]

        return Graph(
            union.edge_index[:, edges] - self.node_ptr[number],
            union.x[nodes],
            y=part(union.y, nodes),
            edge_weight=part(union.edge_weight, edges),
            edge_attr=part(union.edge_attr, edges),
            edge_truth=part(union.edge_truth, edges),
            keys=part(self.node_keys, nodes),
            attributes={name: values[nodes] for name, values in union.attributes.items()},
            forms=union.forms,
            node_inputs={name: array[nodes] for name, array in union.node_inputs.items()},
            edge_inputs={name: array[edges] for name, array in union.edge_inputs.items()},
            left_out=union.left_out,
            feature_names=union.feature_names,
            types=None if union.types is None else union.types.part(nodes, edges),
        )

    def with_reverse(self) -> "GraphSet":
        """The collection with `add_reverse` applied to every graph."""
        return GraphSet.join([add_reverse(graph) for graph in self], self.y, self.split, self.keys)

    def units(self, directed: bool, numbers: np.ndarray) -> np.ndarray:
        """The number of units of the graphs `numbers` [n]; pairs unless `directed`; O(these graphs)."""
        edges, owner = ranges(self.edge_ptr, numbers)
        ends = self.union.edge_index[:, edges]
        real = np.flatnonzero(ends[0] != ends[1])
        pairs = ends[:, real] if directed else np.sort(ends[:, real], axis=0)
        kinds = [] if self.types is None else [self.types.of_units(directed)[edges[real]]]
        first = distinct([*pairs, *kinds])[0]
        return np.bincount(owner[real[first]], minlength=len(numbers))

    def edges_of(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All edges [m] of the graphs `numbers`, and the place in `numbers` of the graph of each."""
        return ranges(self.edge_ptr, numbers)

    def gather(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """A batch of graphs: (nodes [k], edges [m], edge_index [2, m], owner [k]); O(batch).

        Nodes and edges are numbers of the union, edge_index is over the batch, and `owner` is the
        place in `numbers` of each node's graph.
        """
        nodes, owner = ranges(self.node_ptr, numbers)
        edges, of = ranges(self.edge_ptr, numbers)
        starts = np.cumsum([0, *np.diff(self.node_ptr)[numbers][:-1]])
        return (
            nodes,
            edges,
            self.union.edge_index[:, edges] + (starts - self.node_ptr[numbers])[of],
            owner,
        )

    def key(self, number: int) -> Any:
        """The user's key of a graph."""
        return self.names.key(number)

    name = key

    def position(self, key: Any) -> int:
        """The number of a graph by its key; raises NodeNotFound, whose message speaks of graphs."""
        try:
            return self.names.position(key)
        except NodeNotFound as error:
            said = str(error).replace("no node", "no graph").replace("the graph has", "there are")
            raise NodeNotFound(said.replace(" nodes, the", " graphs, the")) from None

    @cached_property
    def content_hash(self) -> str:
        """A digest of everything the collection holds; equal content, equal hash."""
        own = {name: value for name, value in self.columns().items() if name != "union"}
        return digest({"union": self.union.content_hash, **own})

    def columns(self) -> dict[str, Any]:
        """The constructor's arguments, with the union as columns; `GraphSet.of(columns)` is equal."""
        return {
            "union": self.union.columns(),
            "node_ptr": self.node_ptr,
            "edge_ptr": self.edge_ptr,
            "y": self.y,
            "split": self.split,
            "keys": self.keys,
            "node_keys": self.node_keys,
        }

    @staticmethod
    def of(columns: Mapping[str, Any]) -> "GraphSet":
        return GraphSet(**{**columns, "union": Graph(**columns["union"])})

    @staticmethod
    def join(
        graphs: Sequence[Graph], y=None, split=None, keys: Sequence[Any] | None = None
    ) -> "GraphSet":
        """A collection of single graphs, which must have the same arrays, equally wide."""
        if not graphs:
            raise GraphError("a collection needs one graph or more, found none")
        types = joined_types([graph.types for graph in graphs])
        node_ptr, edge_ptr = (
            np.cumsum([0, *(getattr(graph, size) for graph in graphs)])
            for size in ("num_nodes", "num_edges")
        )

        def joined(name):
            parts = [
                getattr(graph, name) for graph in graphs if graph.num_edges or name in ("x", "y")
            ]
            present = [part for part in parts if part is not None]
            if present and (
                len(present) < len(parts) or len({part.shape[1:] for part in present}) > 1
            ):
                raise GraphError(
                    f"the graphs differ in {name}: all must have it, equally wide, or none"
                )
            return np.concatenate(present) if present else None

        edge_index = np.concatenate(
            [graph.edge_index + start for graph, start in zip(graphs, node_ptr)], axis=1
        )
        owned: list[Any] = [graph.keys for graph in graphs]  # all have keys, or none
        node_keys = None if owned[0] is None else [key for keys in owned for key in keys]
        named = [sorted(graph.attributes) for graph in graphs]
        if any(names != named[0] for names in named):
            raise GraphError(
                "the graphs differ in their further node columns: all must have the same"
            )
        union = Graph(
            edge_index,
            joined("x"),
            attributes={
                name: [value for graph in graphs for value in graph.attributes[name]]
                for name in named[0]
            },
            **{name: joined(name) for name in ("y", "edge_weight", "edge_attr", "edge_truth")},
            **_joined_inputs(graphs),
            feature_names=_shared_names(graphs),
            types=types,
        )
        return GraphSet(union, node_ptr, edge_ptr, y=y, split=split, keys=keys, node_keys=node_keys)

    def _check_pointers(self) -> None:
        for name, pointer, total in (
            ("node_ptr", self.node_ptr, self.num_nodes),
            ("edge_ptr", self.edge_ptr, self.num_edges),
        ):
            if (
                len(pointer) < 2
                or pointer[0] != 0
                or pointer[-1] != total
                or (np.diff(pointer) < 0).any()
            ):
                raise GraphError(
                    f"{name} must rise from 0 to {total}, one value more than there are graphs"
                )
        if len(self.edge_ptr) != len(self.node_ptr):
            raise GraphError(
                f"node_ptr describes {len(self)} graphs, edge_ptr {len(self.edge_ptr) - 1}"
            )
        if (empty := np.flatnonzero(np.diff(self.node_ptr) == 0)).size:
            raise GraphError(f"graph {empty[0]} has no nodes ({len(empty)} such graphs)")
        owner = np.repeat(np.arange(len(self)), np.diff(self.edge_ptr))
        stray = np.flatnonzero((self.graph_of_node[self.union.edge_index] != owner).any(axis=0))
        if len(stray):
            raise GraphError(
                f"edge {stray[0]} leaves its graph {owner[stray[0]]} ({len(stray)} such edges)"
            )

    def _column(self, name: str, values, dtype) -> np.ndarray:
        values = np.array(values, dtype=dtype).reshape(-1)
        if len(values) != len(self):
            raise GraphError(
                f"{name} has {len(values)} values, expected one for each of {len(self)} graphs"
            )
        unknown = [value for value in values if name == "split" and value not in {*SPLITS, ""}]
        if unknown:
            raise GraphError(f"split holds {unknown[0]!r:.80}, expected {', '.join(SPLITS)}")
        return values

    def __repr__(self) -> str:
        return f"GraphSet({len(self)} graphs, {self.union!r})"


def _shared_names(graphs: Sequence[Graph]) -> list[str] | None:
    """The names of the features, if all graphs have the same."""
    names = graphs[0].feature_names
    return names if all(graph.feature_names == names for graph in graphs) else None


def _joined_inputs(graphs: Sequence[Graph]) -> dict[str, Any]:
    """The forms and further inputs of several graphs; a field that differs between them is left out."""
    joined: dict[str, dict[str, Any]] = {"forms": {}, "left_out": {}}
    graphs = _with_whole_of_one_edge(graphs)
    for graph in graphs:
        joined["left_out"] |= graph.left_out
    for name in ("x", "edge_weight", "edge_attr"):
        forms = {
            graph.forms.get(name, "")
            for graph in graphs
            if getattr(graph, name) is not None and (graph.num_edges or name == "x")
        }
        if len(forms) > 1:
            found = ", ".join(sorted(form or "float32" for form in forms))
            raise GraphError(
                f"the graphs differ in {name}: {found}; make them of one type and shape"
            )
        form = forms.pop() if forms else ""
        joined["forms"] |= {name: form} if form else {}
    for level in ("node_inputs", "edge_inputs"):
        held = [getattr(graph, level) for graph in graphs]
        joined[level] = {}
        for name in dict.fromkeys(name for arrays in held for name in arrays):
            kinds = {
                (array.dtype, array.shape[1:])
                for arrays in held
                for array in [arrays.get(name)]
                if array is not None
            }
            lacking = {
                tuple(
                    f for f, what in graph.left_out.items() if what == LACKING and _is_of(f, name)
                )
                for graph in graphs
            }
            forms = _forms_of_whole(graphs, name) if level == "node_inputs" else set()
            same = len(kinds) == len(lacking) == 1 and len(forms) <= 1
            if same and all(name in arrays for arrays in held):
                joined[level][name] = np.concatenate([arrays[name] for arrays in held])
                if forms:
                    joined["forms"][name] = forms.pop()
            else:
                joined["left_out"][name] = "another type or shape in each graph, or not in all"
                for field in [f for f in joined["left_out"] if _is_of(f, name)]:
                    del joined["left_out"][field]
    return joined


def _with_whole_of_one_edge(graphs: Sequence[Graph]) -> list[Graph]:
    """The graphs, where those of one edge have once what others have once, not for each edge."""
    whole = {name: form for graph in graphs for name, form in graph.forms.items()}
    found = []
    for graph in graphs:
        names = [name for name in graph.edge_inputs if name in whole]
        if names and graph.num_edges == 1:
            rows = {
                name: np.repeat(graph.edge_inputs[name], graph.num_nodes, axis=0) for name in names
            }
            moved = {
                "node_inputs": graph.node_inputs | rows,
                "edge_inputs": {n: v for n, v in graph.edge_inputs.items() if n not in names},
                "forms": graph.forms | {name: whole[name] for name in names},
            }
            graph = Graph(**{**graph.columns(), **moved})
        found.append(graph)
    return found


def _forms_of_whole(graphs: Sequence[Graph], name: str) -> set[str]:
    """The forms of an input that graphs have once; a graph of one node does not tell a row from the whole."""
    forms = {graph.forms.get(name, "") for graph in graphs if graph.num_nodes > 1}
    return forms - {""} if forms == {""} else forms


def _is_of(field: str, name: str) -> bool:
    """Whether a field of a type has this name."""
    return field.endswith(f".{name}")


def ranges(pointer: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All of pointer[i] .. pointer[i + 1] - 1 for i in `numbers`, and the place in `numbers` of each."""
    size = np.diff(pointer)[numbers]
    owner = np.repeat(np.arange(len(size)), size)
    return np.arange(len(owner)) + (pointer[numbers] - np.cumsum(size) + size)[owner], owner
