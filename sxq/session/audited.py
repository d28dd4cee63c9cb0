"""Stored answers as the checks of AUDIT read them: a query, its targets, their fields and explanations."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from sxq.errors import NodeNotFound, StoreError, shown
from sxq.graph import Graph, GraphSet, LinkKey, TypedKey, between, shown_type
from sxq.scoring.dominance import to_grid
from sxq.scoring.measures import STEP
from sxq.session.over_checks import units_over
from sxq.storage import Broken, StoredExplanation, StoredQuery, StoredTarget
from sxq.storage.checked import short

OVER = ("edges", "nodes", "features")
NEAR = 1e-6  # between a stored value and one computed from other stored values
Words = Iterator[str]
Unit = tuple[int, int, int]  # positions of two ends, and a number of its type (`Graph.unit_types`)


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredAnswers:
    """A stored query with its explanations and settings; the graph if it can be read."""

    query: StoredQuery
    members: Sequence[StoredExplanation]
    graph: Graph | GraphSet | None
    directed: bool | None  # whether a unit is a directed edge; None where the settings are damaged
    objectives: tuple[str, ...]
    anywhere: bool  # whether candidates need not be connected
    without_itself: bool  # whether a link's own edges are in no graph
    joined: (
        bool | None
    )  # whether members must hold a path between the two ends of a link, or must not
    over: str  # what units are: "edges", "nodes" or "features"
    resolution: float
    candidates: Mapping[Hashable, list[Mapping[str, float]]]  # scores of those kept, by target
    numeric: bool = False  # whether the model is a regression
    # nodes or features that INCLUDE and EXCLUDE name: (clause, key as a query writes it, or column)
    restricted_units: tuple[tuple[str, Any], ...] = ()
    # edges that they name: (clause, source, head)
    restricted_edges: tuple[tuple[str, Any, Any], ...] = ()

    def of(self, target: StoredTarget) -> list[StoredExplanation]:
        """The explanations of a target."""
        return self._by_target.get(identity(target.target), [])

    @cached_property
    def _by_target(self) -> dict[Hashable, list[StoredExplanation]]:
        found: dict[Hashable, list[StoredExplanation]] = {}
        for member in self.members:
            found.setdefault(identity(member.target), []).append(member)
        return found


def read_answers(
    query: StoredQuery,
    members: Sequence[StoredExplanation],
    graph: Graph | GraphSet | None,
    kept: Iterable[tuple[Any, Mapping[str, float]]],
) -> tuple[StoredAnswers, list[Broken]]:
    """A query as it is checked, and the settings that it lacks."""
    broken = []
    directed = None
    objectives: tuple[str, ...] = ()
    resolution = 0.01
    numeric = False
    anywhere = False
    without_itself = False
    joined = None
    over = "edges"
    restricted_units: tuple[tuple[str, Any], ...] = ()
    restricted_edges = query.restrictions
    try:
        settings = query.place.read_json("settings", query.settings)
        query.place.require_entries("settings", settings, {"edges_directed": bool})
        if "optimize" in settings:  # the oldest files lack it
            query.place.require_entries("settings", settings, {"optimize": list})
            objectives = tuple(query.place.names("settings.optimize", settings["optimize"]))
        directed = settings["edges_directed"]
        numeric = settings.get("task") == "regression"
        anywhere = settings.get("anywhere") is True
        without_itself = settings.get("without_itself") is True
        joined = settings.get("connected")
        if joined not in (None, True, False):
            raise query.place.wrong("settings.connected", short(joined), "true or false")
        over = settings.get("over", over)
        if over not in OVER:
            raise query.place.wrong("settings.over", short(over), ", ".join(OVER))
        resolution = _resolution(query, settings.get("sxq_resolution", 0.01))
        restricted_units = _restricted_units(query, settings)
        restricted_edges = typed_edges(query, settings)
    except StoreError as error:
        broken.append(Broken(query.query_id, None, None, str(error)))
    candidates: dict[Hashable, list[Mapping[str, float]]] = defaultdict(list)
    for target, scores in kept:
        candidates[identity(target)].append(scores)
    answers = StoredAnswers(
        query=query,
        members=members,
        graph=graph,
        directed=directed,
        objectives=objectives,
        anywhere=anywhere,
        without_itself=without_itself,
        joined=joined,
        over=over,
        resolution=resolution,
        candidates=candidates,
        numeric=numeric,
        restricted_units=restricted_units,
        restricted_edges=restricted_edges,
    )
    return answers, broken


def _restricted_units(
    query: StoredQuery, settings: Mapping[str, Any]
) -> tuple[tuple[str, Any], ...]:
    found = []
    for clause in ("include", "exclude"):
        written = settings.get(clause, [])
        if not isinstance(written, list) or any(type(one) not in (int, str) for one in written):
            raise query.place.wrong(f"settings.{clause}", short(written), "a list of units")
        found += [(clause, unit) for unit in typed_nodes(query, settings, clause)]
    return tuple(found)


def typed_nodes(query: StoredQuery, settings: Mapping[str, Any], clause: str) -> list[Any]:
    """What a clause names, with the types of nodes where they are stored; raises StoreError."""
    keys = settings.get(clause, [])
    types = _types(query, settings, clause, len(keys))
    return list(map(TypedKey, types, keys)) if types else keys


def typed_edges(
    query: StoredQuery, settings: Mapping[str, Any]
) -> tuple[tuple[str, Any, Any], ...]:
    """The edges that clauses name, with the types of their ends where they are stored; raises StoreError."""
    found: list[tuple[str, Any, Any]] = []
    for clause in ("include", "exclude"):
        own = [edge for edge in query.restrictions if edge[0] == clause]
        types = iter(_types(query, settings, clause, 2 * len(own)))
        for _, source, head in own:
            ends = [TypedKey(kind, key) for kind, key in zip(islice(types, 2), (source, head))]
            found.append((clause, *(ends or (source, head))))
    return tuple(found)


def _types(query: StoredQuery, settings: Mapping[str, Any], clause: str, count: int) -> list[str]:
    """The types of the nodes that a clause names, of which none are stored without types or nodes."""
    if not count:  # the types are those of the other kind of units
        return []
    name = f"{clause}_types"
    types = settings.get(name, [])
    right = isinstance(types, list) and all(isinstance(one, str) for one in types)
    if not right or len(types) not in (0, count):
        raise query.place.wrong(f"settings.{name}", short(types), f"{count} node types")
    return types


def _resolution(query: StoredQuery, written: Any) -> float:
    try:
        value = float(written)
    except (TypeError, ValueError):
        value = math.nan
    if not STEP <= value <= 1:
        raise query.place.wrong("settings.sxq_resolution", short(written), f"{STEP} to 1")
    return value


@dataclass(frozen=True, eq=False)
class AuditedTarget:
    """A target with its explanations, and its own graph if the target is a graph."""

    answers: StoredAnswers
    target: StoredTarget
    members: Sequence[StoredExplanation]

    @property
    def whole(self) -> bool:
        """Whether the target is a graph; if the graph cannot be read, as the members say."""
        return isinstance(self.answers.graph, GraphSet)

    @property
    def thinned(self) -> bool:
        """Whether the front was thinned, so that it may hold members that others dominate."""
        return "thinned" in str(self.target.columns["note"])

    @cached_property
    def graph(self) -> Graph | None:
        """The graph that the target is, or that it is in; None if it cannot be read. Raises NodeNotFound."""
        graph = self.answers.graph
        if isinstance(graph, GraphSet):
            return graph.member(position_of(graph, self.target.target))
        return graph

    @cached_property
    def units(self) -> set[Any] | None:
        """The candidate units: edges by the positions of their ends, nodes, features; None if they are not known.

        Raises NodeNotFound.
        """
        if self.graph is None or self.answers.directed is None:
            return None
        if self.answers.over == "edges":
            return _units_of_field(self, self.graph)
        roots, hops = self.roots_and_hops
        return None if hops is None else units_over(self.answers.over, self.graph, roots, hops)

    @property
    def root_keys(self) -> tuple[Any, ...]:
        """The key of the target, or of both ends of a link; none of a graph."""
        key = self.target.target
        if self.whole:
            return ()
        return tuple(key) if isinstance(key, LinkKey) else (key,)

    @property
    def own_edges(self) -> np.ndarray:
        """The numbers of the edges that WITHOUT ITSELF takes from a link."""
        roots, _ = self.roots_and_hops
        if not self.answers.without_itself or len(roots) != 2 or self.graph is None:
            return np.zeros(0, np.int64)
        return between(self.graph, *roots, getattr(self.target.target, "edge_type", None))

    @property
    def roots_and_hops(self) -> tuple[tuple[int, ...], int | None]:
        """The positions of `root_keys`; the depth of the field, None if it is unknown."""
        hops = self.target.columns["hops"]
        if self.graph is None:
            return (), hops
        return tuple(position_of(self.graph, key) for key in self.root_keys), hops


def _units_of_field(place: AuditedTarget, graph: Graph) -> set[Unit] | None:
    """The candidate units of a target, by the positions of their ends; None if the depth is unknown."""
    hops = place.target.columns["hops"]
    directed = place.answers.directed
    if place.whole:
        return _units(graph, np.arange(graph.num_edges), bool(directed))
    roots, _ = place.roots_and_hops
    if hops is None or hops < 0:
        return None
    reached = np.array(roots)
    edges = graph.in_edges(reached) if hops else np.zeros(0, np.int64)
    for _ in range(hops - 1):
        wider = np.unique(np.concatenate([reached, graph.edge_index[0, edges]]))
        if len(wider) == len(reached):
            break
        reached = wider
        edges = graph.in_edges(reached)
    found = _units(graph, edges, bool(directed))
    if not place.answers.without_itself:
        return found
    gone = _units(graph, place.own_edges, bool(directed))
    return found - gone


def _units(graph: Graph, edges: np.ndarray, directed: bool) -> set[Unit]:
    """The units among some edges: without loops, parallel edges of one type as one."""
    ends = graph.edge_index[:, edges]
    kinds = graph.unit_types(directed)[edges]
    real = ends[0] != ends[1]
    ends = ends if directed else np.sort(ends, axis=0)
    return set(zip(*ends[:, real].tolist(), kinds[real].tolist()))


def types_of(member: StoredExplanation, graph: Graph) -> list[int]:
    """The number of the type of each edge of an explanation; 0 without types, -1 for an unknown one."""
    if graph.types is None:
        return [0] * len(member.edges)
    numbers = {shown_type(name): number for number, name in enumerate(graph.types.edge_types)}
    return [numbers.get(name or "", -1) for name in member.edge_types]


def position_of(graph: Graph | GraphSet, key: Any) -> int:
    """The position of a key of exactly the type of the graph's keys; raises NodeNotFound."""
    position = graph.position(key)
    if identity(graph.name(position)) != identity(key):
        raise NodeNotFound(f"key {shown(key)} is {type(key).__name__}, the graph has"
                           f" {shown(graph.name(position))}")  # fmt: skip
    return position


def identity(key: Any) -> tuple[str, Any]:
    """A key as a member of a set: 1, 1.0 and true are three different keys, and lists can be compared."""
    return type(key).__name__, key if isinstance(key, int | str) else repr(key)


def grid_vectors(scores: Sequence[Mapping[str, float]], names: Sequence[str]) -> np.ndarray | None:
    """Scores as grid vectors [n, M], without those that are NaN; None if any other is not a score."""
    if not names or any(not isinstance(one, dict) for one in scores):
        return None
    rows = [[_number(one.get(name)) for name in names] for one in scores]
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
    table = table[~np.isnan(table).any(axis=1)]
    if len(table) < len(scores) and any(None in one.values() for one in scores):
        return None
    fits = ((table >= STEP / 2) & (table <= 1)).all()
    return to_grid(table) if fits else None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
