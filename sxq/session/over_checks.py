"""AUDIT's checks of explanations whose units are nodes or features, which need no model."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sxq.errors import NodeNotFound
from sxq.graph import Graph
from sxq.storage import StoredExplanation, StoredUnit

NEAR = 1e-6


@dataclass(frozen=True)
class Around:
    """Where a target is: its nodes, none of a whole graph, and the depth of its field."""

    graph: Graph
    roots: tuple[int, ...]
    hops: int
    gone: np.ndarray  # the numbers of the edges that are in no graph: a link's own, WITHOUT ITSELF

    def edges_among(self, nodes: set[int]) -> list[tuple[int, int]]:
        """The edges among some nodes, without loops."""
        near = self.graph.in_edges(np.array(sorted(nodes), np.int64))
        near = np.setdiff1d(near, self.gone)
        edges = self.graph.edge_index[:, near].T.tolist()
        return [(u, v) for u, v in edges if u in nodes and u != v]


def units_over(over: str, graph: Graph, roots: tuple[int, ...], hops: int) -> set[int]:
    """The units of a field: positions of nodes, or columns of x; a whole graph has no roots."""
    near = _near(graph, roots, hops)
    if over == "nodes":
        return set(near) - {*roots}
    nodes = np.array(sorted(near), np.int64)
    if graph.types is not None:
        values = (graph.feature_values(one, nodes) for one in range(graph.num_columns))
        return {one for one, own in enumerate(values) if _varies(own)}
    rows = graph.x[nodes]
    if len(rows) == 1:
        return set(np.flatnonzero(rows[0]).tolist())
    return set(np.flatnonzero(rows.min(axis=0) < rows.max(axis=0)).tolist())


def _varies(values: np.ndarray) -> bool:
    """Whether a feature is not the same on all nodes of its type; on one node, whether it is not 0."""
    return (
        bool(values.min() < values.max() or len(values) == 1 and values[0])
        if len(values)
        else False
    )


def _near(graph: Graph, roots: tuple[int, ...], hops: int) -> set[int]:
    """The nodes from which a message can reach the target."""
    if not roots:
        return set(range(graph.num_nodes))
    reached = {*roots}
    ring = sorted(reached)
    for _ in range(hops):
        sources = graph.edge_index[0, graph.in_edges(np.array(ring, np.int64))]
        ring = sorted(set(sources.tolist()) - reached)
        reached |= set(ring)
    return reached


def wrong_nodes(member: StoredExplanation, place: Around, anywhere: bool) -> Iterator[str]:
    """What is wrong in an explanation OVER NODES, in words."""
    graph = place.graph
    roots = place.roots
    places = []
    for node in member.nodes:
        try:
            places.append(graph.position(node.unit))
        except NodeNotFound:
            yield f"node {node.unit!r} is not in the graph"
            return
    if len(set(places)) < len(places):
        yield "a node is there twice"
    if outside := set(places) - units_over("nodes", graph, roots, place.hops):
        yield f"node {graph.name(min(outside))!r} is outside of the target's field"
    inside = {*places, *roots}
    own = sorted(place.edges_among(inside))
    known = sorted(map(list, own))
    try:
        stored = sorted([graph.position(u), graph.position(v)] for u, v in member.edges)
    except NodeNotFound:
        stored = []
    if stored != known:
        yield "its edges are not those among its nodes and the target"
    if not anywhere and not _connected(own, inside, roots):
        yield "its nodes are not connected" + (" with the target" if roots else "")
    yield from _wrong_worths(member.nodes)


def _connected(edges: Sequence[tuple[int, int]], nodes: set[int], roots: tuple[int, ...]) -> bool:
    around: dict[int, set[int]] = defaultdict(set)
    for u, v in edges:
        around[u].add(v)
        around[v].add(u)
    reached = {*roots} or {min(nodes)}
    waiting = list(reached)
    while waiting:
        fresh = around[waiting.pop()] - reached
        reached |= fresh
        waiting += fresh
    return reached == nodes


def wrong_features(
    member: StoredExplanation, graph: Graph, roots: tuple[int, ...], hops: int
) -> Iterator[str]:
    """What is wrong in an explanation OVER FEATURES, in words."""
    columns = [feature.unit for feature in member.features]
    if len(set(columns)) < len(columns):
        yield "a feature is there twice"
    if outside := set(columns) - units_over("features", graph, roots, hops):
        yield f"feature {min(outside)} is constant on the field, or not in the graph"
        return
    near = np.array(sorted(_near(graph, roots, hops)), np.int64)
    for feature in member.features:
        if feature.name != graph.feature_name(feature.unit):
            yield f"feature {feature.unit} is named {feature.name!r}, expected {graph.feature_name(feature.unit)!r}"
        value = graph.shown_value(feature.unit, roots, near)
        if feature.value is None or not abs(feature.value - value) <= NEAR * max(1, abs(value)):
            yield f"the value of feature {feature.name} is {feature.value}, found {value:.6g}"
    if member.edges:
        yield "it has edges, but its units are features"
    yield from _wrong_worths(member.features)


def wrong_restriction(
    member: StoredExplanation,
    graph: Graph,
    roots: tuple[int, ...],
    restricted: Sequence[tuple[str, Any]],
) -> Iterator[str]:
    """It holds the nodes or features that INCLUDE names, and none that EXCLUDE names."""
    held = {feature.unit for feature in member.features}
    nodes = [_position(graph, node.unit) for node in member.nodes]
    held |= {*nodes, *roots} if member.nodes else set()
    for clause, unit in restricted:
        place = _position(graph, unit) if member.nodes else unit
        named = f"node {unit!r}" if member.nodes else f"feature {unit!r}"
        if place in held and clause == "exclude" and place is not None:
            yield f"{named} is there, but EXCLUDE names it"
            return
        if place not in held and clause == "include":
            yield f"{named} is missing, but INCLUDE names it"
            return


def _position(graph: Graph, key: Any) -> int | None:
    """The position of a node; None if it is not in the graph."""
    try:
        return graph.position(key)
    except NodeNotFound:
        return None


def _wrong_worths(units: Sequence[StoredUnit]) -> Iterator[str]:
    """All units have a worth, or none has."""
    measured: list[Any] = [value for one in units for value in (one.kept, one.removed, one.needed)]
    if all(value is None for value in measured):
        return
    if any(value is None or not math.isfinite(value) for value in measured):
        yield "the worth of some of its units is missing"
