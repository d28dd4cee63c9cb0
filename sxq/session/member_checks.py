"""AUDIT's checks of an explanation, which need no model: edges, sizes, scores, dominance."""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from sxq.errors import NodeNotFound
from sxq.graph import Graph, GraphSet
from sxq.scoring.dominance import dominated
from sxq.scoring.measures import MEASURES, STEP
from sxq.session.audited import (
    NEAR,
    AuditedTarget,
    Words,
    grid_vectors,
    identity,
    position_of,
    types_of,
)
from sxq.session.over_checks import Around, wrong_features, wrong_nodes, wrong_restriction
from sxq.session.unit_checks import wrong_units
from sxq.storage import StoredExplanation


def of_member(place: AuditedTarget, member: StoredExplanation) -> Words:
    """What is wrong in an explanation of a target."""
    if not (member.factual or member.counterfactual):
        yield "neither factual nor counterfactual"
    explanatory = place.target.columns["explanatory"] or 0
    if not 1 <= member.dominance <= max(explanatory, 1):
        yield f"dominance is {member.dominance}, expected 1 to {explanatory} explanatory candidates"
    if place.answers.over == "edges":
        yield from _wrong_edges(place, member)
        yield from _units_and_worths(place, member)
    else:
        yield from _wrong_over(place, member)
    yield from _wrong_sizes(place, member)
    yield from _wrong_scores(place, member)
    yield from _beaten(place, member)


def _wrong_edges(place: AuditedTarget, member: StoredExplanation) -> Words:
    """Its edges are whole units of the field, connected, and contain the target."""
    if not member.edges:
        return  # `storage.integrity` says so
    ends = [(identity(u), identity(v)) for u, v in member.edges]
    if any(u == v for u, v in ends):
        yield "a self-loop is among its edges"
    if place.answers.directed is False:
        for u, v in sorted({(u, v) for u, v in ends if (v, u) not in set(ends)}, key=repr)[:1]:
            yield f"edge {u[1]!s} -> {v[1]!s} is there without its reverse"
    roots = list(map(identity, place.root_keys))
    connected = place.answers.anywhere or _connected(ends, roots)
    if place.answers.graph is not None and not connected:
        yield "its edges are not connected" + (" with the target" if roots else "")
    yield from _wrong_path(place, member)
    yield from _not_restricted(place, set(ends))
    yield from _not_in_graph(place, member)


def _wrong_path(place: AuditedTarget, member: StoredExplanation) -> Words:
    """WHERE connected: it holds a path between the two ends of the link; WHERE NOT connected: it holds none."""
    wanted = place.answers.joined
    if wanted is None or len(place.root_keys) != 2:
        return
    first, last = map(identity, place.root_keys)
    ends = [(identity(u), identity(v)) for u, v in member.edges]
    found = last in _reached(ends, [first])
    if found is not wanted:
        path = "a path" if found else "no path"
        yield f"it holds {path} between the two ends, but the query says WHERE {'' if wanted else 'NOT '}connected"


def _wrong_over(place: AuditedTarget, member: StoredExplanation) -> Words:
    """Its nodes or features are units of the field, and what is stored beside them agrees with the graph."""
    try:
        graph = place.graph
        roots, hops = place.roots_and_hops
    except NodeNotFound:
        return  # said with the target
    if graph is None or hops is None:
        return
    if place.answers.over == "nodes":
        own = Around(graph, roots, hops, place.own_edges)
        yield from wrong_nodes(member, own, place.answers.anywhere)
        yield from _wrong_path(place, member)
    else:
        yield from wrong_features(member, graph, roots, hops)
    yield from wrong_restriction(member, graph, roots, place.answers.restricted_units)


def _not_restricted(place: AuditedTarget, ends: set[tuple[Hashable, Hashable]]) -> Words:
    """It holds what INCLUDE names, and nothing that EXCLUDE names."""
    graph = place.answers.graph
    for clause, *keys in place.answers.restricted_edges:
        if isinstance(graph, Graph) and graph.types is not None:
            keys = [graph.name(graph.position(key)) for key in keys]
        source, head = keys
        holds = (identity(source), identity(head)) in ends
        if holds and clause == "exclude":
            yield f"edge {source!r} -> {head!r} is there, but EXCLUDE names it"
            return
        if not holds and clause == "include":
            yield f"edge {source!r} -> {head!r} is missing, but INCLUDE names it"
            return


def _connected(ends: Sequence[tuple[Hashable, Hashable]], roots: Sequence[Hashable]) -> bool:
    """Whether edges are one weakly connected part with the roots, which are taken as one node."""
    nodes = {end for edge in ends for end in edge}
    return nodes <= _reached(ends, roots or [ends[0][0]])


def _reached(ends: Sequence[tuple[Hashable, Hashable]], start: Sequence[Hashable]) -> set[Hashable]:
    """What edges join to some nodes, in whatever direction."""
    around: dict[Hashable, set[Hashable]] = defaultdict(set)
    for u, v in ends:
        around[u].add(v)
        around[v].add(u)
    reached = {*start}
    waiting = list(reached)
    while waiting:
        fresh = around.get(waiting.pop(), set()) - reached
        reached |= fresh
        waiting += fresh
    return reached


def _not_in_graph(place: AuditedTarget, member: StoredExplanation) -> Words:
    try:
        graph = place.graph
        units = place.units
    except NodeNotFound:
        return  # said with the target
    if graph is None or place.answers.directed is None:
        return
    listed: Counter[tuple[int, int, int]] = Counter()
    for (u, v), kind in zip(member.edges, types_of(member, graph)):
        try:
            listed[position_of(graph, u), position_of(graph, v), kind] += 1
        except NodeNotFound:
            yield f"edge {u!r} -> {v!r} is not in the graph"
            return
    heads = np.unique([v for _, v, _ in listed])
    near = graph.in_edges(heads) if len(heads) else np.zeros(0, np.int64)
    kinds = np.zeros(len(near), np.int64) if graph.types is None else graph.types.of_edge[near]
    there = Counter(zip(*graph.edge_index[:, near].tolist(), kinds.tolist()))
    for (u, v, kind), times in listed.items():
        named = f"edge {graph.name(u)!r} -> {graph.name(v)!r}"
        if not there[u, v, kind]:
            yield f"{named} is not in the graph"
        elif there[u, v, kind] != times:
            yield f"{named} is listed {times} times, the graph has it {there[u, v, kind]} times"
        elif units is not None and _unit(place, graph, (u, v, kind)) not in units:
            yield f"{named} is outside of the target's field"
        else:
            continue
        return


def _unit(place: AuditedTarget, graph: Graph, edge: tuple[int, int, int]) -> tuple[int, int, int]:
    """The unit of an edge, given by the positions of its ends and the number of its type."""
    u, v, kind = edge
    if place.answers.directed:
        return edge
    if graph.types is not None:
        kind = int(graph.types.pair_numbers[kind])
    return min(u, v), max(u, v), kind


def _units_and_worths(place: AuditedTarget, member: StoredExplanation) -> Words:
    graph = place.answers.graph
    try:
        own = place.graph
        first = 0
        if isinstance(graph, GraphSet):
            first = int(graph.edge_ptr[position_of(graph, place.target.target)])
    except NodeNotFound:
        return  # said with the target
    yield from wrong_units(member, own, first, place.answers.directed)


def _wrong_sizes(place: AuditedTarget, member: StoredExplanation) -> Words:
    """Counts, and the values that follow from them."""
    columns = member.columns
    raw = member.raw
    measured = _from_counts(place, member)
    for name, column in (("fdl+", "fdl_plus"), ("fdl-", "fdl_minus"), ("conc", "conc")):
        known = measured.get(name, raw.get(name))
        if (apart := _apart(columns[column], known)) > NEAR:
            yield f"column {column} differs by {apart:.2g}"
    for column in ("size", "num_nodes"):
        if column in measured and (apart := _apart(columns[column], measured[column])) > NEAR:
            yield f"column {column} differs by {apart:.2g}"
    for name in raw:
        value = raw[name]
        if value is None or not math.isfinite(value):
            yield f"raw[{name!r}] is {value}"
        elif name in measured and (apart := _apart(value, measured[name])) > NEAR:
            yield f"raw[{name!r}] differs by {apart:.2g}"


def _from_counts(place: AuditedTarget, member: StoredExplanation) -> dict[str, float]:
    """Values by measure or column that follow from the edges alone."""
    directed = place.answers.directed
    if place.answers.over != "edges":
        return _from_units(place, member)
    if directed is None or not member.edges:
        return {}
    ends = [(identity(u), identity(v)) for u, v in member.edges]
    kinds = _kinds(place, member, bool(directed))
    units = ends if directed else [frozenset(edge) for edge in ends]
    size = len(set(zip(units, kinds)))
    nodes = len({*map(identity, place.root_keys)}.union(*ends))
    possible = nodes * (nodes - 1) // (1 if directed else 2)
    found = {"size": size, "num_nodes": nodes, "density": size / max(possible, 1)}
    if member.field_size and member.field_size > 0:
        found["conc"] = 1 - size / member.field_size
    return found


def _kinds(place: AuditedTarget, member: StoredExplanation, directed: bool) -> list[int]:
    """For each edge a number that those of its unit share, among edges with the same ends."""
    graph = place.answers.graph
    if not isinstance(graph, Graph) or graph.types is None:
        return [0] * len(member.edges)
    numbers = types_of(member, graph)
    return numbers if directed else graph.types.pair_numbers[numbers].tolist()


def _from_units(place: AuditedTarget, member: StoredExplanation) -> dict[str, float]:
    """The same for units that are nodes or features."""
    nodes = len(member.nodes) + len(place.root_keys)
    size = len(member.nodes) + len(member.features)
    found: dict[str, float] = {"size": size, "num_nodes": nodes}
    if member.field_size and member.field_size > 0:
        found["conc"] = 1 - size / member.field_size
    return found


def _apart(stored: float | None, known: float | None) -> float:
    """The difference of two values, 0 if both are missing, infinite if one is not a number."""
    if stored is None and known is None:
        return 0.0
    if stored is None or known is None or not math.isfinite(stored - known):
        return math.inf
    return abs(stored - known)


def _wrong_scores(place: AuditedTarget, member: StoredExplanation) -> Words:
    """Scores are those of the raw values, and every objective has one."""
    scores = member.scores
    if lacking := [name for name in place.answers.objectives if name not in scores]:
        yield f"the score of {', '.join(lacking)[:80]} is missing"
    for name, score in scores.items():
        if score is None or not STEP / 2 <= score <= 1:
            yield f"scores[{name!r}] is {score}, expected {STEP} to 1"
        elif (found := _score(place, member, name)) is not None and not abs(
            score - found
        ) <= 1.5 * STEP:
            yield f"scores[{name!r}] is {score:.6g}, but raw[{name!r}] has score {found:.6g}"


def _score(place: AuditedTarget, member: StoredExplanation, name: str) -> float | None:
    """The score of a raw value; None for a measure of the user's own, or an impossible value."""
    measure = MEASURES.get(name)
    raw = member.raw.get(name)
    sizes = member.columns["size"]
    units = member.field_size
    if measure is None or raw is None or not sizes or not units or units < 1 or sizes < 1:
        return None
    batch: Any = SimpleNamespace(
        sizes=np.array([sizes], np.float64), field=SimpleNamespace(num_units=units, all_units=units)
    )
    score = float(measure.score(np.array([raw], np.float64), batch)[0])
    return round(min(max(score, place.answers.resolution), 1.0), 4)


def _beaten(place: AuditedTarget, member: StoredExplanation) -> Words:
    """No member is dominated by another one of its target."""
    if place.thinned or len(place.members) < 2:
        return
    own = grid_vectors([member.scores], place.answers.objectives)
    others = [other for other in place.members if other is not member]
    points = grid_vectors([other.scores for other in others], place.answers.objectives)
    if own is None or points is None or not len(own) or not len(points):
        return
    if dominated(own, points)[0]:
        yield "another explanation of the target dominates it"
