"""The types of nodes and edges of a heterogeneous graph.

A heterogeneous graph is held as one `Graph` whose nodes and edges know their type: walks, fields,
searches and the lattice see one graph, and only what calls the model parts it by types again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sxq.errors import GraphError

EdgeType = tuple[str, str, str]  # source type, relation, type of the head
LACKING = (
    "lacking, which other types have"  # in `Graph.left_out`: a type has zeros in place of a field
)
REVERSED = "rev_"  # PyG's prefix of a relation whose edges mirror those of another


@dataclass(frozen=True, eq=False, kw_only=True)
class GraphTypes:
    """Types of the nodes and edges of one graph; nodes of a type lie together, in the order of `node_types`."""

    node_types: tuple[str, ...]
    edge_types: tuple[EdgeType, ...]
    of_node: np.ndarray  # [num_nodes] int64: number in node_types, ascending
    of_edge: np.ndarray  # [num_edges] int64: number in edge_types
    # Columns of `Graph.x` that the nodes of each type have; the others of their rows are 0.
    widths: tuple[int, ...]
    # Columns of `Graph.edge_attr` that the edges of each type have.
    edge_widths: tuple[int, ...]
    feature_names: tuple[tuple[str, ...] | None, ...]  # of each node type; None: not named
    # Whether these are the types of several graphs side by side: nodes of a type lie together in each.
    scattered: bool = False

    def __post_init__(self) -> None:
        ends = {end for source, _, head in self.edge_types for end in (source, head)}
        if unknown := sorted(ends - set(self.node_types)):
            raise GraphError(
                f"edges have ends of type {', '.join(unknown)}; node types are "
                f"{', '.join(self.node_types)}"
            )
        for what, names in (
            ("node type", self.node_types),
            ("edge type", list(map(shown_type, self.edge_types))),
        ):
            if twice := [name for name in names if names.count(name) > 1]:
                raise GraphError(f"two of the {what}s are called {twice[0]!r}")

    @cached_property
    def starts(self) -> np.ndarray:
        """Position of the first node of each type, and the number of nodes at the end: [types + 1]."""
        counts = np.bincount(self.of_node, minlength=len(self.node_types))
        return np.concatenate([[0], np.cumsum(counts)])

    @cached_property
    def mirrors(self) -> np.ndarray:
        """[edge types] number of the type whose edges mirror those of each type; -1: there is none.

        PyG's `ToUndirected` calls it rev_r; a type between nodes of one type may mirror itself, which
        is decided by its edges.
        """
        numbers = {name: number for number, name in enumerate(self.edge_types)}
        found = []
        for kind in self.edge_types:
            found.append(numbers.get(mirror_of(kind), -1))
        return np.array(found, np.int64)

    def with_mirror(self, edge_type: EdgeType) -> list[int]:
        """The numbers of an edge type and of the one that mirrors it, of those that the graph has."""
        wanted = (edge_type, mirror_of(edge_type))
        return [number for number, kind in enumerate(self.edge_types) if kind in wanted]

    @cached_property
    def reverses(self) -> np.ndarray:
        """`mirrors`, where a type between nodes of one type without another mirror is its own."""
        own = np.array([source == head for source, _, head in self.edge_types], bool)
        return np.where((self.mirrors < 0) & own, np.arange(len(own)), self.mirrors)

    @cached_property
    def forward(self) -> np.ndarray:
        """[edge types] the type that stands for each and its mirror: that which mirrors no other by name."""
        mirroring = [relation.startswith(REVERSED) for _, relation, _ in self.edge_types]
        numbers = np.arange(len(self.edge_types))
        return np.where((self.mirrors >= 0) & np.array(mirroring, bool), self.mirrors, numbers)

    @cached_property
    def pair_numbers(self) -> np.ndarray:
        """[edge types] the smaller one of the numbers of each type and of its reverse."""
        numbers = np.arange(len(self.edge_types))
        return np.where(self.reverses < 0, numbers, np.minimum(numbers, self.reverses))

    def of_units(self, directed: bool) -> np.ndarray:
        """[num_edges] a number for each edge that those of its unit share: of its type, or of the pair of types."""
        return self.of_edge if directed else self.pair_numbers[self.of_edge]

    @property
    def forward_types(self) -> list[EdgeType]:
        """The edge types without those that mirror another by name."""
        return [
            kind
            for kind, mirror in zip(self.edge_types, self.mirrors)
            if mirror < 0 or not kind[1].startswith(REVERSED)
        ]

    def edge_types_of(self, name: str) -> list[EdgeType]:
        """The edge types that a name stands for: a relation, or a type as `shown_type` writes it."""
        exact = [kind for kind in self.edge_types if shown_type(kind) == name]
        return exact or [kind for kind in self.edge_types if kind[1] == name]

    @property
    def digested(self) -> list:
        """Everything that changes an answer, for the graph's content hash."""
        arrays = [self.of_node.tolist(), self.of_edge.tolist()]
        return [self.node_types, self.edge_types, self.widths, self.edge_widths, *arrays]

    def require_fit(self, num_nodes: int, edge_index: np.ndarray) -> None:
        """Raise GraphError unless these are types of such nodes and edges [2, E]."""
        counts = len(self.of_node), len(self.of_edge)
        if counts != (num_nodes, edge_index.shape[1]):
            raise GraphError(
                f"types of {counts[0]} nodes and {counts[1]} edges, but there are {num_nodes} nodes and "
                f"{edge_index.shape[1]} edges"
            )
        _require_numbers("node", self.of_node, len(self.node_types))
        _require_numbers("edge", self.of_edge, len(self.edge_types))
        if not self.scattered and (np.diff(self.of_node) < 0).any():
            raise GraphError("nodes of a type must lie together, in the order of the node types")
        ends = [[self.number_of(end) for end in name[::2]] for name in self.edge_types]
        wanted = np.array(ends, np.int64).reshape(-1, 2).T[:, self.of_edge]
        bad = np.flatnonzero((self.of_node[edge_index] != wanted).any(axis=0))
        if len(bad):
            found = [self.node_types[self.of_node[node]] for node in edge_index[:, bad[0]]]
            name = shown_type(self.edge_types[self.of_edge[bad[0]]])
            raise GraphError(f"edge {bad[0]} of type {name} joins {' and '.join(found)}")

    @cached_property
    def first_feature(self) -> np.ndarray:
        """The number of the first feature of each type, and how many there are: [types + 1].

        Where features are units they are numbered type by type.
        """
        return np.cumsum([0, *self.widths])

    def places(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The number of the node type of each feature [k], and its column of x."""
        kinds = np.searchsorted(self.first_feature, features, side="right") - 1
        return kinds, features - self.first_feature[kinds]

    def feature_name(self, feature: int) -> str:
        """The name of a feature, which begins with the type: account.age, account.x[3]."""
        (kind,), (column,) = (own.tolist() for own in self.places(np.array([feature])))
        names = self.feature_names[kind]
        return f"{self.node_types[kind]}.{f'x[{column}]' if names is None else names[column]}"

    def part(self, nodes: slice, edges: slice) -> "GraphTypes":
        """The types of one of several graphs side by side."""
        of_node, of_edge = self.of_node[nodes], self.of_edge[edges]
        return replace(self, of_node=of_node, of_edge=of_edge, scattered=False)

    def number_of(self, node_type: str) -> int:
        """The number of a node type; raises GraphError."""
        if node_type not in self.node_types:
            raise GraphError(
                f"no node type {node_type!r}; node types are {', '.join(self.node_types)}"
            )
        return self.node_types.index(node_type)


def joined_types(graphs: Sequence[GraphTypes | None]) -> GraphTypes | None:
    """The types of several graphs side by side; raises GraphError where they differ."""
    first = graphs[0]
    for number, types in enumerate(graphs):
        if (types is None) != (first is None):
            typed, untyped = (0, number) if types is None else (number, 0)
            raise GraphError(
                f"graph {typed} has types of nodes and edges, and graph {untyped} has none: all must "
                f"have them, or none"
            )
        if types is not None and first is not None:
            _require_same(types, first, number)
    if first is None:
        return None
    held = [types for types in graphs if types is not None]
    names = first.feature_names
    return replace(
        first,
        of_node=np.concatenate([types.of_node for types in held]),
        of_edge=np.concatenate([types.of_edge for types in held]),
        feature_names=tuple(
            own if all(types.feature_names[number] == own for types in held) else None
            for number, own in enumerate(names)
        ),
        scattered=True,
    )


def _require_same(types: GraphTypes, first: GraphTypes, number: int) -> None:
    for what in ("node_types", "edge_types", "widths", "edge_widths"):
        own, others = getattr(types, what), getattr(first, what)
        if own != others:
            said = {"widths": "columns of x by type", "edge_widths": "columns of edge_attr by type"}
            raise GraphError(
                f"graph {number} has other {said.get(what, what.replace('_', ' '))} than graph 0: "
                f"{list(own)}, not {list(others)}"
            )


def mirror_of(edge_type: EdgeType) -> EdgeType:
    """The name of the type whose edges mirror those of a type."""
    source, relation, head = edge_type
    other = relation.removeprefix(REVERSED)
    return head, REVERSED + relation if other == relation else other, source


def shown_type(edge_type: Sequence[str]) -> str:
    """An edge type as a statement writes it: account -pays-> merchant."""
    source, relation, head = edge_type
    return f"{source} -{relation}-> {head}"


def read_type(text: str) -> EdgeType | None:
    """The edge type that `shown_type` wrote as this text; None for any other text."""
    found = re.fullmatch(r"(.+?) -(.+)-> (.+?)", text)
    return None if found is None else (found[1], found[2], found[3])


def _require_numbers(what: str, of_each: np.ndarray, count: int) -> None:
    if len(of_each) and not 0 <= of_each.min() <= of_each.max() < count:
        raise GraphError(f"numbers of {what} types are 0 to {count - 1}, found {of_each.max()}")
