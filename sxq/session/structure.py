"""The checks of AUDIT that need no model: stored answers agree with themselves, and with their graph.

A finding is a `Broken`: the query, the target and the explanation that it concerns, and words. Relations
between tables are checked by `storage.integrity`; here are the values of one query.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from sxq.errors import NodeNotFound, StoreError, shown
from sxq.graph import Graph, GraphSet
from sxq.scoring.dominance import GRID, dominated, epsilon_dominates, millionths, to_grid
from sxq.scoring.hypervolume import hypervolume
from sxq.scoring.measures import MEASURES, STEP
from sxq.session.over_checks import units_over, wrong_features, wrong_nodes
from sxq.session.unit_checks import wrong_units
from sxq.storage import Broken, StoredExplanation, StoredQuery, StoredTarget
from sxq.storage.checked import short

OVER = ("edges", "nodes", "features")
STATUSES = ("pending", "done", "stopped", "empty", "failed", "interrupted")
NEAR = 1e-6  # between a stored value and one computed from other stored values
LEAST = {  # of columns of `targets`; NULL: not known
    "probability": 0,
    "p_empty": 0,
    "coverage": 0,
    "hypervolume": 0,
    "prediction": 0,
    "field_size": 0,
    "hops": 0,
    "candidates": 0,
    "pruned": 0,
    "explanatory": 0,
    "front": 0,
    "dominance": 0,
    "epsilon_achieved": 0,
}
SHARES = ("probability", "p_empty", "coverage", "hypervolume")  # at most 1
NUMBERS = ("probability", "p_empty")  # of a regression any number
REQUIRED = [*LEAST, "self_sufficient", "complete"]  # of a target that is done
LATER = ("hypervolume", "pruned")  # columns that the oldest files lack
Words = Iterator[str]


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredAnswers:
    """A stored query with its explanations, and what its settings say; the graph if it can be read."""

    query: StoredQuery
    members: Sequence[StoredExplanation]
    graph: Graph | GraphSet | None
    directed: bool | None  # whether a unit is a directed edge; None where the settings are damaged
    objectives: tuple[str, ...]
    anywhere: bool  # whether candidates need not be connected
    over: str  # what units are: "edges", "nodes" or "features"
    resolution: float
    candidates: Mapping[Hashable, list[Mapping[str, float]]]  # scores of those kept, by target
    numeric: bool = False  # whether the model is a regression

    def of(self, target: StoredTarget) -> list[StoredExplanation]:
        """The explanations of a target."""
        return [e for e in self.members if identity(e.target) == identity(target.target)]


def read_answers(
    query: StoredQuery,
    members: Sequence[StoredExplanation],
    graph: Graph | GraphSet | None,
    kept: Iterable[tuple[Any, Mapping[str, float]]],
) -> tuple[StoredAnswers, list[Broken]]:
    """A query as it is checked, and what its settings lack."""
    broken = []
    directed = None
    objectives: tuple[str, ...] = ()
    resolution = 0.01
    numeric = False
    anywhere = False
    over = "edges"
    try:
        settings = query.place.read_json("settings", query.settings)
        query.place.require_entries("settings", settings, {"edges_directed": bool})
        if "optimize" in settings:  # the oldest files lack it
            query.place.require_entries("settings", settings, {"optimize": list})
            objectives = tuple(query.place.names("settings.optimize", settings["optimize"]))
        directed = settings["edges_directed"]
        numeric = settings.get("task") == "regression"
        anywhere = settings.get("anywhere") is True
        over = settings.get("over", over)
        if over not in OVER:
            raise query.place.wrong("settings.over", short(over), ", ".join(OVER))
        resolution = _resolution(query, settings.get("sxq_resolution", 0.01))
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
        over=over,
        resolution=resolution,
        candidates=candidates,
        numeric=numeric,
    )
    return answers, broken


def identity(key: Any) -> tuple[str, Any]:
    """A key as a member of a set: 1, 1.0 and true are three keys, and lists can be compared."""
    return type(key).__name__, key if isinstance(key, int | str) else repr(key)


def check_structure(answers: StoredAnswers) -> Iterator[Broken]:
    """Everything that is wrong in the stored answers of a query."""
    query = answers.query
    for words in _of_query(answers):
        yield Broken(query.query_id, None, None, words)
    for target in query.targets:
        members = answers.of(target)
        place = _Place(answers, target, members)
        for words in _of_target(place):
            yield Broken(query.query_id, target.target, None, words)
        for member in members:
            for words in _of_member(place, member):
                yield Broken(query.query_id, target.target, member.explanation_id, words)


@dataclass(frozen=True, eq=False)
class _Place:
    """A target with its explanations, and its own graph if the target is a graph."""

    answers: StoredAnswers
    target: StoredTarget
    members: Sequence[StoredExplanation]

    @property
    def whole(self) -> bool:
        """Whether the target is a graph; if the graph cannot be read, whatever the members tell."""
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
            return graph.member(_place_of(graph, self.target.target))
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
        root, hops = self.root_and_hops
        return None if hops is None else units_over(self.answers.over, self.graph, root, hops)

    @property
    def root_and_hops(self) -> tuple[int | None, int | None]:
        """The position of the target, None for a graph; the depth of its field, None if it is unknown."""
        hops = self.target.columns["hops"]
        if self.whole or self.graph is None:
            return None, hops
        return _place_of(self.graph, self.target.target), hops


# -- the query -----------------------------------------------------------------------------------


def _of_query(answers: StoredAnswers) -> Words:
    query = answers.query
    if not (math.isfinite(query.epsilon) and query.epsilon >= 0):
        yield f"epsilon is {query.epsilon}, expected a number of 0 or more"
    if query.k < 1:
        yield f"k is {query.k}, expected 1 or more"
    yield from _wrong_ranks(answers)


def _wrong_ranks(answers: StoredAnswers) -> Words:
    """Ranks are 1 to n for each target or, in a joint answer, for all targets together."""
    ranks: dict[tuple[str, Any], list[int]] = defaultdict(list)
    for member in answers.members:
        ranks[identity(member.target)].append(member.rank)
    everything = sorted(rank for own in ranks.values() for rank in own)
    if (
        everything == list(range(1, len(everything) + 1))
        and " of all targets jointly" in answers.query.plan
    ):
        if len(everything) > max(answers.query.k, 1):
            yield f"{len(everything)} explanations, but TOP {answers.query.k} in a joint answer"
        return
    for (_, target), own in ranks.items():
        if sorted(own) != list(range(1, len(own) + 1)):
            found = ", ".join(map(str, sorted(own)[:10]))
            yield f"the ranks of target {target!s:.80} are {found}, expected 1 to {len(own)}"
        elif len(own) > answers.query.k:
            yield f"target {target!s:.80} has {len(own)} explanations, but TOP {answers.query.k}"


# -- a target ------------------------------------------------------------------------------------


def _of_target(place: _Place) -> Words:
    yield from _wrong_status(place)
    yield from _out_of_range(place.target.columns, place.answers.numeric)
    yield from _wrong_counts(place)
    yield from _wrong_field(place)
    yield from _wrong_proof(place)
    if place.members and not place.thinned:
        yield from _wrong_volume(place)


def _wrong_status(place: _Place) -> Words:
    columns = place.target.columns
    status = columns["status"]
    answered = len(place.members)
    if status not in STATUSES:
        yield f"status is {short(status)}, expected one of {', '.join(STATUSES)}"
    elif answered and status not in ("done", "stopped", "interrupted"):
        yield f"status is {status!r}, but there are {answered} explanations"
    elif status == "done" and not answered:
        yield "status is 'done', but there is no explanation"
    required = [name for name in REQUIRED if place.answers.objectives or name not in LATER]
    if status == "done" and (lacking := [name for name in required if columns[name] is None]):
        yield f"status is 'done', but {', '.join(lacking)} are NULL"


def _out_of_range(columns: Mapping[str, Any], numeric: bool) -> Words:
    for name, least in LEAST.items():
        if numeric and name in NUMBERS:
            continue
        value = columns[name]
        most = 1 + 1e-3 if name in SHARES else math.inf
        if value is not None and not least <= value <= most:
            yield f"{name} is {value}, expected {'0 to 1' if name in SHARES else '0 or more'}"


def _wrong_counts(place: _Place) -> Words:
    columns = place.target.columns
    count = {
        name: columns[name] or 0 for name in ("candidates", "explanatory", "front", "dominance")
    }
    for fewer, more in (
        ("explanatory", "candidates"),
        ("front", "explanatory"),
        ("dominance", "explanatory"),
    ):
        if count[fewer] > count[more]:
            yield f"{fewer} is {count[fewer]}, but {more} is {count[more]}"
    if len(place.members) > count["front"] and not place.thinned:
        yield f"{len(place.members)} explanations, but front is {count['front']}"
    powers = [member.dominance for member in place.members]
    if powers and not max(powers) <= count["dominance"] <= sum(powers):
        yield (
            f"dominance is {count['dominance']}, but its explanations cover {max(powers)} to"
            f" {sum(powers)} candidates"
        )
    yield from _wrong_coverage(place, count)
    yield from _wrong_dominance(place, count)


def _wrong_proof(place: _Place) -> Words:
    """A member is proved to be the smallest if all smaller candidates were verified."""
    columns = place.target.columns
    if columns.get("proved") is None:
        return
    sizes = [member.columns["size"] for member in place.members]
    enough = [size <= (columns["bound"] or 0) + 1 for size in sizes if size is not None]
    if enough and all(enough) is not columns["proved"]:
        yield f"proved is {columns['proved']}, but size is {sizes[0]:g} and bound {columns['bound']}"


def _wrong_coverage(place: _Place, count: Mapping[str, int]) -> Words:
    columns = place.target.columns
    coverage = columns["coverage"]
    share = count["dominance"] / count["explanatory"] if count["explanatory"] else None
    if coverage is None or share is None:
        if coverage is not None:
            yield f"coverage is {coverage}, but nothing is explanatory"
        return
    if not abs(coverage - share) <= NEAR:
        yield f"coverage is {coverage}, but dominance / explanatory is {share:.6g}"
    needed = columns["epsilon_achieved"]
    enough = needed is not None and needed <= place.answers.query.epsilon + NEAR
    if (
        needed is not None
        and place.members
        and enough != (count["dominance"] == count["explanatory"])
    ):
        yield f"epsilon_achieved is {needed}, but coverage is {coverage}"


def _wrong_dominance(place: _Place, count: Mapping[str, int]) -> Words:
    """What the members dominate, counted again over the candidates that were kept."""
    answers = place.answers
    kept = answers.candidates.get(identity(place.target.target), [])
    vectors = _grid(kept, answers.objectives)
    own = _grid([member.scores for member in place.members], answers.objectives)
    if not kept or vectors is None or own is None or not answers.query.epsilon >= 0:
        return
    if len(vectors) != count["explanatory"]:
        yield f"explanatory is {count['explanatory']}, but {len(vectors)} kept candidates are"
    covered = epsilon_dominates(own, vectors, millionths(answers.query.epsilon))
    for member, power in zip(place.members, covered.sum(axis=1).tolist()):
        if member.dominance != power:
            yield f"rank {member.rank} has dominance {member.dominance}, found {power}"
    if (found := int(covered.any(axis=0).sum())) != count["dominance"] and place.members:
        yield f"dominance is {count['dominance']}, found {found} among the kept candidates"


def _wrong_volume(place: _Place) -> Words:
    stored = place.target.columns["hypervolume"]
    points = _grid([member.scores for member in place.members], place.answers.objectives)
    if points is None or stored is None:
        return
    if not abs(stored - (found := hypervolume(points / GRID))) <= NEAR:
        yield f"hypervolume is {stored:.6g}, but its explanations dominate {found:.6g}"


def _grid(scores: Sequence[Mapping[str, float]], names: Sequence[str]) -> np.ndarray | None:
    """Scores as grid vectors [n, M], without those that are NaN; None if others are no scores."""
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


# -- the field of a target -----------------------------------------------------------------------


def _wrong_field(place: _Place) -> Words:
    columns = place.target.columns
    try:
        units = place.units
    except NodeNotFound as error:
        yield str(error)
        return
    stored = columns["field_size"]
    if stored is not None and units is not None and stored != len(units):
        yield f"field_size is {stored}, but the field has {len(units)} units"


def _units_of_field(place: _Place, graph: Graph) -> set[tuple[int, int]] | None:
    """The candidate units of a target, by the positions of their ends; None if the depth is unknown."""
    hops = place.target.columns["hops"]
    directed = place.answers.directed
    if place.whole:
        return _units(graph.edge_index, bool(directed))
    position = _place_of(graph, place.target.target)
    if hops is None or hops < 0:
        return None
    reached = np.array([position])
    edges = graph.in_edges(reached) if hops else np.zeros(0, np.int64)
    for _ in range(hops - 1):
        wider = np.unique(np.concatenate([reached, graph.edge_index[0, edges]]))
        if len(wider) == len(reached):
            break
        reached = wider
        edges = graph.in_edges(reached)
    return _units(graph.edge_index[:, edges], bool(directed))


def _units(edge_index: np.ndarray, directed: bool) -> set[tuple[int, int]]:
    """The units among edges [2, m]: without loops, parallel edges as one."""
    ends = edge_index[:, edge_index[0] != edge_index[1]]
    ends = ends if directed else np.sort(ends, axis=0)
    return set(map(tuple, ends.T.tolist()))


def _place_of(graph: Graph | GraphSet, key: Any) -> int:
    """The position of a key of exactly the type of the graph's keys; raises NodeNotFound."""
    position = graph.position(key)
    if identity(graph.key(position)) != identity(key):
        raise NodeNotFound(f"key {shown(key)} is {type(key).__name__}, the graph has"
                           f" {shown(graph.key(position))}")  # fmt: skip
    return position


# -- an explanation ------------------------------------------------------------------------------


def _of_member(place: _Place, member: StoredExplanation) -> Words:
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


def _wrong_edges(place: _Place, member: StoredExplanation) -> Words:
    """Its edges are whole units of the field, connected, and contain the target."""
    if not member.edges:
        return  # `storage.integrity` says so
    ends = [(identity(u), identity(v)) for u, v in member.edges]
    if any(u == v for u, v in ends):
        yield "a self-loop is among its edges"
    if place.answers.directed is False:
        for u, v in sorted({(u, v) for u, v in ends if (v, u) not in set(ends)}, key=repr)[:1]:
            yield f"edge {u[1]!s} -> {v[1]!s} is there without its reverse"
    roots = [] if place.whole else [identity(place.target.target)]
    connected = place.answers.anywhere or _connected(ends, roots)
    if place.answers.graph is not None and not connected:
        yield "its edges are not connected" + (" with the target" if roots else "")
    yield from _not_restricted(place, set(ends))
    yield from _not_in_graph(place, member)


def _wrong_over(place: _Place, member: StoredExplanation) -> Words:
    """Its nodes or features are units of the field, and what is stored beside them agrees with the graph."""
    try:
        graph = place.graph
        root, hops = place.root_and_hops
    except NodeNotFound:
        return  # said with the target
    if graph is None or hops is None:
        return
    if place.answers.over == "nodes":
        yield from wrong_nodes(member, graph, root, hops, place.answers.anywhere)
    else:
        yield from wrong_features(member, graph, root, hops)


def _not_restricted(place: _Place, ends: set[tuple[Hashable, Hashable]]) -> Words:
    """It holds what INCLUDE names, and nothing that EXCLUDE names."""
    for clause, source, head in place.answers.query.restrictions:
        holds = (identity(source), identity(head)) in ends
        if holds and clause == "exclude":
            yield f"edge {source!r} -> {head!r} is there, but EXCLUDE names it"
            return
        if not holds and clause == "include":
            yield f"edge {source!r} -> {head!r} is missing, but INCLUDE names it"
            return


def _connected(ends: Sequence[tuple[Hashable, Hashable]], roots: Sequence[Hashable]) -> bool:
    """Whether edges and roots are one weakly connected part, and each root has an edge."""
    around: dict[Hashable, set[Hashable]] = defaultdict(set)
    for u, v in ends:
        around[u].add(v)
        around[v].add(u)
    start = roots[0] if roots else ends[0][0]
    reached = {start}
    waiting = [start]
    while waiting:
        fresh = around.get(waiting.pop(), set()) - reached
        reached |= fresh
        waiting += fresh
    return reached == set(around)


def _not_in_graph(place: _Place, member: StoredExplanation) -> Words:
    try:
        graph = place.graph
        units = place.units
    except NodeNotFound:
        return  # said with the target
    if graph is None or place.answers.directed is None:
        return
    listed: Counter[tuple[int, int]] = Counter()
    for u, v in member.edges:
        try:
            listed[_place_of(graph, u), _place_of(graph, v)] += 1
        except NodeNotFound:
            yield f"edge {u!r} -> {v!r} is not in the graph"
            return
    heads = np.unique([v for _, v in listed])
    near = graph.in_edges(heads) if len(heads) else np.zeros(0, np.int64)
    there = Counter(map(tuple, graph.edge_index[:, near].T.tolist()))
    for (u, v), times in listed.items():
        named = f"edge {graph.key(u)!r} -> {graph.key(v)!r}"
        unit = (u, v) if place.answers.directed else (min(u, v), max(u, v))
        if not there[u, v]:
            yield f"{named} is not in the graph"
        elif there[u, v] != times:
            yield f"{named} is listed {times} times, the graph has it {there[u, v]} times"
        elif units is not None and unit not in units:
            yield f"{named} is outside of the target's field"
        else:
            continue
        return


def _units_and_worths(place: _Place, member: StoredExplanation) -> Words:
    graph = place.answers.graph
    try:
        own = place.graph
        first = 0
        if isinstance(graph, GraphSet):
            first = int(graph.edge_ptr[_place_of(graph, place.target.target)])
    except NodeNotFound:
        return  # said with the target
    yield from wrong_units(member, own, first, place.answers.directed)


def _wrong_sizes(place: _Place, member: StoredExplanation) -> Words:
    """Counts, and what follows from them."""
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


def _from_counts(place: _Place, member: StoredExplanation) -> dict[str, float]:
    """Values by measure or column that follow from the edges alone."""
    directed = place.answers.directed
    if place.answers.over != "edges":
        return _from_units(place, member)
    if directed is None or not member.edges:
        return {}
    ends = [(identity(u), identity(v)) for u, v in member.edges]
    size = len(set(ends) if directed else {frozenset(edge) for edge in ends})
    roots = set() if place.whole else {identity(place.target.target)}
    nodes = len(roots.union(*ends))
    possible = nodes * (nodes - 1) // (1 if directed else 2)
    found = {"size": size, "num_nodes": nodes, "density": size / max(possible, 1)}
    if member.field_size and member.field_size > 0:
        found["conc"] = 1 - size / member.field_size
    return found


def _from_units(place: _Place, member: StoredExplanation) -> dict[str, float]:
    """The same for units that are nodes or features."""
    nodes = len(member.nodes) + (not place.whole)
    size = len(member.nodes) + len(member.features)
    found: dict[str, float] = {"size": size, "num_nodes": nodes}
    if member.field_size and member.field_size > 0:
        found["conc"] = 1 - size / member.field_size
    return found


def _apart(stored: float | None, known: float | None) -> float:
    """The difference of two values, 0 where both are missing, infinite where one is no number."""
    if stored is None and known is None:
        return 0.0
    if stored is None or known is None or not math.isfinite(stored - known):
        return math.inf
    return abs(stored - known)


def _wrong_scores(place: _Place, member: StoredExplanation) -> Words:
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


def _score(place: _Place, member: StoredExplanation, name: str) -> float | None:
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


def _beaten(place: _Place, member: StoredExplanation) -> Words:
    """No member is dominated by another one of its target."""
    if place.thinned or len(place.members) < 2:
        return
    own = _grid([member.scores], place.answers.objectives)
    others = [other for other in place.members if other is not member]
    points = _grid([other.scores for other in others], place.answers.objectives)
    if own is None or points is None or not len(own) or not len(points):
        return
    if dominated(own, points)[0]:
        yield "another explanation of the target dominates it"


def _resolution(query: StoredQuery, written: Any) -> float:
    try:
        value = float(written)
    except (TypeError, ValueError):
        value = math.nan
    if not STEP <= value <= 1:
        raise query.place.wrong("settings.sxq_resolution", short(written), f"{STEP} to 1")
    return value
