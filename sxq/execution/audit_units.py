"""The units of a stored explanation, cut out of the whole graph again: AUDIT's own code, beside `sxq/graph`.

Each kind of units says what G_s and G \\ G_s are (`cuts`), what they are without one of its units
(`without`), and what of it is not in the graph (`missing`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from sxq.errors import NodeNotFound
from sxq.graph import EdgeType, Graph, GraphTypes, shown_type
from sxq.graph.types import REVERSED
from sxq.inference.probes import changed


@dataclass(frozen=True, eq=False)
class Cut:
    """A graph with some of its edges; of a whole graph also with some of its nodes, or None for all."""

    graph: Graph
    roots: tuple[
        int, ...
    ]  # the node that is the target, or both ends of a link; (): it is the graph
    keep: np.ndarray  # [E] bool
    alive: np.ndarray | None = None  # [N] bool


@dataclass(frozen=True, eq=False)
class Place:
    """Where a target is: in a graph at `roots`, or the graph itself, where these are none."""

    graph: Graph
    roots: tuple[int, ...]
    hops: int
    key: Any
    itself: bool = True  # whether a link's own edges are in any graph
    edge_type: EdgeType | None = None  # of a link in a heterogeneous graph

    @property
    def there(self) -> np.ndarray:
        """The edges [E] bool that are in the graph at all."""
        if self.itself:
            return np.ones(self.graph.num_edges, bool)
        ends = np.isin(self.graph.edge_index, self.roots)
        own = ends.all(axis=0) & ~self.loops
        types = self.graph.types
        if types is not None and self.edge_type is not None:
            # By name, not by number: the type, and the one that mirrors it.
            source, relation, head = self.edge_type
            other = relation.removeprefix(REVERSED)
            other = REVERSED + relation if other == relation else other
            names = {self.edge_type, (head, other, source)}
            own &= np.isin(types.of_edge, [n for n, t in enumerate(types.edge_types) if t in names])
        return ~own

    def cut(self, keep: np.ndarray, alive: np.ndarray | None = None) -> Cut:
        """The graph with some of its edges [E] bool and nodes [N] bool."""
        return Cut(self.graph, self.roots, keep & self.there, alive)

    @property
    def loops(self) -> np.ndarray:
        """The self-loops [E] bool."""
        return self.graph.edge_index[0] == self.graph.edge_index[1]

    @property
    def near(self) -> np.ndarray:
        """The nodes [N] bool whose features can reach the target."""
        nodes = np.zeros(self.graph.num_nodes, bool)
        if not self.roots:
            return ~nodes
        nodes[list(self.roots)] = True
        source, head = self.graph.edge_index
        for _ in range(self.hops):
            nodes[source[nodes[head]]] = True
        return nodes


class EdgeUnits:
    """Edges by key: their own graph alone, or all edges but them."""

    def __init__(self, place: Place, stored: Any):
        self.place = place
        self.stored = stored
        self.edges = list(zip_longest(stored.edges, stored.edge_types))
        self.inside, missing = locate(place.graph, self.edges)
        self.missing = [f"edge {u!r} -> {v!r} is not in the graph" for u, v in missing[:1]]
        known = [worth for worth in stored.worths if worth.unit is not None]
        self.units = sorted({worth.unit for worth in known if worth.kept is not None})
        self.size = len(stored.edges)

    @staticmethod
    def empty(place: Place, baseline: str) -> Cut:
        """The graph without any unit."""
        return place.cut(place.loops)

    def _cuts(self, inside: np.ndarray) -> tuple[Cut, Cut]:
        graph = self.place.graph
        alive = None
        if not self.place.roots:
            alive = np.zeros(graph.num_nodes, bool)
            alive[graph.edge_index[:, inside].ravel()] = True
        return self.place.cut(inside | self.place.loops, alive), self.place.cut(~inside)

    def cuts(self) -> tuple[Cut, Cut]:
        """G_s and G \\ G_s."""
        return self._cuts(self.inside)

    def without(self, unit: Any) -> tuple[Cut, Cut] | None:
        """The same if one unit is left out; None if nothing is left."""
        rows = self._rows(unit)
        if len(rows) == self.size:
            return None
        own, _ = locate(self.place.graph, [self.edges[row] for row in rows])
        return self._cuts(self.inside & ~own)

    def worth(self, unit: Any) -> tuple[str, Any]:
        """The name of a unit, and its stored worth."""
        row = self._rows(unit)[0]
        u, v = self.stored.edges[row]
        return f"edge {u!r} -> {v!r}", self.stored.worths[row]

    def _rows(self, unit: Any) -> list[int]:
        return [row for row, worth in enumerate(self.stored.worths) if worth.unit == unit]


class NodeUnits:
    """Nodes by key: the edges among them and the target, or all edges at none of them."""

    def __init__(self, place: Place, stored: Any):
        self.place = place
        self.stored = stored
        graph = place.graph
        self.missing = []
        self.own = np.zeros(graph.num_nodes, bool)
        self.at = {}
        for row, node in enumerate(stored.nodes):
            try:
                self.at[row] = graph.position(node.unit)
            except NodeNotFound:
                self.missing.append(f"node {node.unit!r} is not in the graph")
        self.own[list(self.at.values())] = True
        self.units = [row for row, node in enumerate(stored.nodes) if node.kept is not None]
        self.size = len(stored.nodes)

    @staticmethod
    def empty(place: Place, baseline: str) -> Cut:
        """The graph without any unit: the edges between the ends of a link stay, as the ends are no units."""
        ends = np.isin(place.graph.edge_index, place.roots).all(axis=0)
        return place.cut(place.loops | ends)

    def _cuts(self, own: np.ndarray) -> tuple[Cut, Cut]:
        place = self.place
        u, v = place.graph.edge_index
        present = own.copy()
        present[list(place.roots)] = True
        kept = (present[u] & present[v]) | place.loops
        left = (~own[u] & ~own[v]) | place.loops
        alive = None if place.roots else own
        return place.cut(kept, alive), place.cut(left)

    def cuts(self) -> tuple[Cut, Cut]:
        return self._cuts(self.own)

    def without(self, unit: int) -> tuple[Cut, Cut] | None:
        if len(self.stored.nodes) == 1:
            return None
        own = self.own.copy()
        own[self.at[unit]] = False
        return self._cuts(own)

    def worth(self, unit: int) -> tuple[str, Any]:
        node = self.stored.nodes[unit]
        return f"node {node.unit!r}", node


class FeatureUnits:
    """Columns of x: all others at their baseline on the field, or they themselves."""

    def __init__(self, place: Place, stored: Any, baseline: str):
        self.place = place
        self.stored = stored
        self.baseline = baseline
        free = varying(place)
        self.missing = [
            f"feature {one.unit} is constant on the field, or not in the graph"
            for one in stored.features
            if one.unit not in free
        ]
        self.own = {one.unit for one in stored.features} & free
        self.units = [row for row, one in enumerate(stored.features) if one.kept is not None]
        self.size = len(stored.features)

    @staticmethod
    def empty(place: Place, baseline: str) -> Cut:
        return _with_baseline(place, varying(place), baseline)

    def _cuts(self, own: set[int]) -> tuple[Cut, Cut]:
        rest = varying(self.place) - own
        kept, left = (_with_baseline(self.place, one, self.baseline) for one in (rest, own))
        return kept, left

    def cuts(self) -> tuple[Cut, Cut]:
        return self._cuts(self.own)

    def without(self, unit: int) -> tuple[Cut, Cut] | None:
        if len(self.stored.features) == 1:
            return None
        return self._cuts(self.own - {self.stored.features[unit].unit})

    def worth(self, unit: int) -> tuple[str, Any]:
        feature = self.stored.features[unit]
        return f"feature {feature.name}", feature


@dataclass(frozen=True)
class AskedUnits:
    """What OVER of a stored statement said, and the baseline of removed features."""

    over: str = "edges"
    baseline: str = "zero"
    itself: bool = True  # whether WITHOUT ITSELF was not said

    def read(self, place: Place, stored: Any) -> "EdgeUnits | NodeUnits | FeatureUnits":
        """The units of a stored explanation."""
        if self.over == "features":
            return FeatureUnits(place, stored, self.baseline)
        return (NodeUnits if self.over == "nodes" else EdgeUnits)(place, stored)

    def empty(self, place: Place) -> Cut:
        """The graph without any unit."""
        kinds = {"edges": EdgeUnits, "nodes": NodeUnits, "features": FeatureUnits}
        kind: Any = kinds[self.over]
        return kind.empty(place, self.baseline)


def varying(place: Place) -> set[int]:
    """The columns of x that are not the same on all nodes of the field; of a single node, those that are not 0."""
    if place.graph.types is not None:
        near = np.flatnonzero(place.near)
        kinds = place.graph.types.of_node[near]
        return {
            feature
            for feature in range(place.graph.num_columns)
            for kind, column in [_cell(place.graph.types, feature)]
            if _moves(place.graph.x[near[kinds == kind], column])
        }
    rows = place.graph.x[place.near]
    if len(rows) == 1:
        return set(np.flatnonzero(rows[0]).tolist())
    return set(np.flatnonzero(rows.min(axis=0) < rows.max(axis=0)).tolist())


def _cell(types: GraphTypes, feature: int) -> tuple[int, int]:
    """The number of the node type of a feature, and its column."""
    for kind, width in enumerate(types.widths):
        if feature < width:
            return kind, feature
        feature -= width
    raise IndexError(feature)


def _moves(values: np.ndarray) -> bool:
    """Whether values are not all the same; a single one, whether it is not 0."""
    if len(values) < 2:
        return bool(values.any())
    return bool(values.min() < values.max())


def _with_baseline(place: Place, columns: Iterable[int], baseline: str) -> Cut:
    """The graph whose columns have their baseline on every node of the field."""
    x = place.graph.x.copy()
    types = place.graph.types
    for column in columns:
        near = place.near
        if types is not None:
            kind, column = _cell(types, column)
            near = near & (types.of_node == kind)
        own = x[near, column].astype(np.float64)
        x[near, column] = np.float32(own.mean()) if baseline == "mean" else 0
    return Cut(changed(place.graph, x=x), place.roots, place.there)


def locate(graph: Graph, edges: Iterable[tuple[Any, str | None]]) -> tuple[np.ndarray, list]:
    """The edges [E] of the graph that an explanation names, with parallels of one type, and those it lacks.

    edges  the keys of source and head, and the name of the type; None without types
    """
    wanted = {}
    unknown = []
    for (u, v), kind in edges:
        try:
            wanted[graph.position(u), graph.position(v), kind] = u, v
        except NodeNotFound:
            unknown.append((u, v))
    heads = np.unique([v for _, v, _ in wanted])
    near = graph.in_edges(heads) if len(heads) else np.zeros(0, np.int64)
    names = {
        edge: (*graph.edge_index[:, edge].tolist(), _type(graph, edge)) for edge in near.tolist()
    }
    found = [edge for edge, name in names.items() if name in wanted]
    present = {names[edge] for edge in found}
    inside = np.zeros(graph.num_edges, bool)
    inside[found] = True
    return inside, unknown + [ends for name, ends in wanted.items() if name not in present]


def _type(graph: Graph, edge: int) -> str | None:
    """The name of the type of an edge; None without types."""
    types = graph.types
    return None if types is None else shown_type(types.edge_types[types.of_edge[edge]])
