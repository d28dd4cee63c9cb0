"""Stored answers as the values that EXPLAIN gave: a `Result` of a query, or of one of its targets.

Pictures draw it like a fresh one. What is not stored is missing: scores of candidates that were not kept,
the profile, and the matches of patterns.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sxq.errors import InvalidValue, NodeNotFound, StoreError
from sxq.graph import Graph, GraphSet
from sxq.graph.link_field import LinkKey
from sxq.session.audited import identity
from sxq.session.context import Session
from sxq.storage import StoredExplanation, StoredQuery, StoredTarget
from sxq.values.explanation import Explanation, TargetReport, Worth
from sxq.values.many_targets import HELD, Reports, StoredReports, pages
from sxq.values.pattern import ClassFindings, ClassPattern
from sxq.values.result import Result

ALWAYS = {"fdl+": "fdl_plus", "fdl-": "fdl_minus", "conc": "conc"}  # measures that have a column
REPORTED = (  # columns of targets that are fields of a report under the same name
    *("status", "prediction", "against", "probability", "p_empty", "self_sufficient", "field_size"),
    *("hops", "candidates", "pruned", "explanatory", "front", "dominance", "coverage"),
    *("epsilon_achieved", "hypervolume", "proved", "bound", "complete", "note"),
)
Members = dict[Any, list[StoredExplanation]]  # by target, as `identity` makes it
COUNTS = ("candidates", "pruned", "explanatory", "front", "dominance")  # NULL in rows not filled in


def stored_result(
    session: Session, query_id: int, ordinal: int | None = None, remarks: Sequence[str] = ()
) -> Result:
    """The stored answer of a query, or of the target at place `ordinal` in it.

    remarks  notes that its answer begins with

    Of a query with more than HELD targets the result reads reports, a page at a time, when they are asked for.
    Raises InvalidValue if there is none, StoreError if the graph cannot be read.
    """
    everything = session.store.target_places(query_id).get(query_id, ())
    many = ordinal is None and len(everything) > HELD
    first = 0 if many else ordinal
    places = None if first is None else (first, first)
    reading, members = _loaded(session, query_id, places)
    query = reading.query
    if not query.targets:
        raise InvalidValue(
            f"query {query_id} has no target {ordinal}; it has {len(everything)}, numbered from 0"
        )
    settings = reading.settings
    reports: Sequence[TargetReport]
    if many:
        reports = _in_store(session, query_id, len(everything))
    else:
        reports = reading.reports(members, _kept_scores(session, query_id, places))
    return Result(
        reports,
        _columns(settings, members),
        query_id=query_id,
        plan=query.plan,
        seconds=query.seconds or 0.0,
        text=query.text,
        epsilon=query.epsilon,
        kind=reading.kind,
        classes="for_class" in settings or "against" in settings,
        over=reading.over,
        found=_findings(session, query_id, reading.kind),
        remarks=remarks,
    )


def _in_store(session: Session, query_id: int, targets: int) -> StoredReports:
    """The reports of many targets, which are read once for what all say together."""
    reports = Reports(targets, keeps=False)
    for first, last in pages(np.arange(targets)):
        for report in stored_reports(session, query_id, range(first, min(last + 1, targets))):
            reports.add(report)
    return reports.stored(lambda places: stored_reports(session, query_id, places))


def stored_reports(session: Session, query_id: int, ordinals: Sequence[int]) -> list[TargetReport]:
    """The reports of the targets at some places of a stored query, in ascending order; raises StoreError."""
    reading, members = _loaded(session, query_id, (ordinals[0], ordinals[-1]))
    wanted = set(ordinals)
    return [report for report in reading.reports(members, {}) if report.ordinal in wanted]


def _loaded(
    session: Session, query_id: int, places: tuple[int, int] | None
) -> "tuple[_Reading, Members]":
    """A query with all its targets, or those at some places, and their explanations."""
    (query,) = session.store.stored_queries(query_id, places)
    settings = query.place.read_json("settings", query.settings)
    own: Members = {}
    for member in session.store.stored_explanations(query_id, places):
        own.setdefault(identity(member.target), []).append(member)
    return _Reading(query, settings, _graph(session, query.graph_id)), own


def _graph(session: Session, graph_id: int) -> Graph | GraphSet:
    """The graph that a query asked; one that still has its name is loaded once."""
    graphs = session.registry.graphs
    graphs.get(graphs.name_of(graph_id))
    return graphs.stored(graph_id)


class _Reading:
    """A stored query whose rows become reports and explanations on its graph."""

    def __init__(
        self, query: StoredQuery, settings: Mapping[str, Any], graph: Graph | GraphSet
    ) -> None:
        self.query = query
        self.settings = settings
        self.graph = graph
        links = any(isinstance(target.target, LinkKey) for target in query.targets)
        self.kind = "graph" if isinstance(graph, GraphSet) else "link" if links else "node"
        self.over = str(settings.get("over", "edges"))
        self.task = str(settings.get("task", "multiclass"))

    def reports(
        self, members: Members, kept: Mapping[Any, Sequence[Mapping[str, float]]]
    ) -> list[TargetReport]:
        """The report of every target."""
        return [
            self.report(target, members.get(identity(target.target), []), kept)
            for target in self.query.targets
        ]

    def report(
        self,
        target: StoredTarget,
        members: Sequence[StoredExplanation],
        kept: Mapping[Any, Sequence[Mapping[str, float]]],
    ) -> TargetReport:
        """The report of a target, with its members by rank."""
        columns: dict[str, Any] = {name: target.columns.get(name) for name in REPORTED}
        columns |= {name: columns[name] or 0 for name in COUNTS}
        columns |= {"note": columns["note"] or "", "complete": bool(columns["complete"])}
        asked = target.columns.get("class")
        asked = columns["prediction"] if asked is None else asked
        ranked = sorted(members, key=lambda member: member.rank)
        explanations = tuple(self.explanation(member) for member in ranked)
        return TargetReport(
            target=target.target,
            ordinal=target.ordinal,
            asked=asked,
            task=self.task,
            chosen=self.settings.get("for_class") is not None,
            says=self._says(columns, asked),
            explanations=explanations,
            examined=self._examined(explanations, kept.get(identity(target.target), [])),
            **columns,
        )

    def _says(self, columns: Mapping[str, Any], asked: int | None) -> bool:
        """Whether the model says the class in question on the whole graph."""
        if self.task == "regression":
            return True
        if self.task == "multilabel" or columns["against"] is not None:
            return (columns["probability"] or 0.0) > 0.5
        return asked == columns["prediction"]

    def _examined(
        self, members: Sequence[Explanation], kept: Sequence[Mapping[str, float]]
    ) -> dict[str, np.ndarray]:
        """The scores of the candidates that were kept, or else of the members, by objective."""
        scores = kept or [member.scores for member in members]
        step = max(1, -(-len(scores) // 1000))
        names = self.settings.get("optimize") or list(scores[0] if scores else ())
        return {
            name: np.array([one.get(name, np.nan) for one in scores[::step]], np.float32)
            for name in names
        }

    def explanation(self, stored: StoredExplanation) -> Explanation:
        """A member as `EXPLAIN` gave it."""
        graph, first_edge = self._graph_of(stored)
        edges = self._edges(stored, graph, first_edge)
        ends = graph.edge_index[:, edges]
        units = stored.nodes if self.over == "nodes" else stored.features
        roots = [graph.position(key) for key in _roots(stored.target, self.kind)]
        alone = [graph.position(one.unit) for one in stored.nodes]
        return Explanation(
            target=stored.target,
            rank=stored.rank,
            edge_index=ends,
            nodes=np.unique([*roots, *alone, *ends.ravel()]).astype(np.int64),
            edges=stored.edges,
            size=int(stored.columns["size"] or 0),
            raw=stored.raw,
            scores=stored.scores,
            factual=stored.factual,
            counterfactual=stored.counterfactual,
            tie=stored.tie,
            generator=stored.generator,
            recommended=bool(stored.recommended),
            dominance=stored.dominance,
            kind=self.kind,
            graph=graph,
            edge_numbers=edges,
            first_edge=first_edge,
            over=self.over,
            units=tuple(one.unit if one.name is None else one.name for one in units),
            features=np.array([one.unit for one in units]) if self.over == "features" else None,
            values=np.array([one.value for one in units]) if self.over == "features" else None,
            worth=_worth(units if self.over != "edges" else stored.worths),
        )

    def _graph_of(self, stored: StoredExplanation) -> tuple[Graph, int]:
        """The graph that a member lies in, and the number of its first edge in its collection."""
        if not isinstance(self.graph, GraphSet):
            return self.graph, 0
        number = self.graph.position(stored.target)
        return self.graph.member(number), int(self.graph.edge_ptr[number])

    def _edges(self, stored: StoredExplanation, graph: Graph, first_edge: int) -> np.ndarray:
        """The columns of the graph's `edge_index`; raises StoreError for an edge that it lacks."""
        numbers = [worth.edge for worth in stored.worths]
        if any(number is None for number in numbers):  # a file of an earlier version
            found = [_edge_between(graph, *edge) for edge in stored.edges]
        else:
            found = [number - first_edge for number in numbers if number is not None]
        edges = np.array(found, np.int64)
        if len(edges) and not (0 <= edges.min() and edges.max() < graph.num_edges):
            raise StoreError(
                f"explanation {stored.explanation_id} names an edge that its graph lacks; "
                "AUDIT STRUCTURE lists what is damaged"
            )
        return edges


def _roots(target: Any, kind: str) -> tuple[Any, ...]:
    """The keys of the nodes that a target is."""
    return () if kind == "graph" else tuple(target) if kind == "link" else (target,)


def _edge_between(graph: Graph, source: Any, head: Any) -> int:
    """The first edge between two keys; -1 where there is none."""
    try:
        tail, end = graph.position(source), graph.position(head)
    except NodeNotFound:
        return -1
    incoming = graph.in_edges(np.array([end]))
    found = incoming[graph.edge_index[0, incoming] == tail]
    return int(found[0]) if len(found) else -1


def _worth(units: Sequence[Any]) -> Worth | None:
    """What was measured of each unit; None unless it was measured for all."""
    if not units or any(None in (one.kept, one.removed, one.needed) for one in units):
        return None
    return Worth(
        kept=np.array([one.kept for one in units]),
        removed=np.array([one.removed for one in units]),
        needed=np.array([one.needed for one in units]),
    )


def _kept_scores(
    session: Session, query_id: int, places: tuple[int, int] | None
) -> dict[Any, list[Mapping[str, float]]]:
    """The scores of the explanatory candidates that were kept, by target."""
    found: dict[Any, list[Mapping[str, float]]] = {}
    for target, scores in session.store.explanatory_candidates(query_id, places):
        found.setdefault(identity(target), []).append(scores)
    return found


def _columns(
    settings: Mapping[str, Any], own: Mapping[Any, Sequence[StoredExplanation]]
) -> dict[str, str]:
    """Columns by measure, the optimised ones first; those without a column stand in `raw`."""
    some = next((member.raw for members in own.values() for member in members), {})
    names = dict.fromkeys([*settings.get("optimize", ()), *ALWAYS, *some])
    return {name: ALWAYS.get(name, name) for name in names if name != "size"}


def _findings(session: Session, query_id: int, kind: str) -> ClassFindings | None:
    """Of EXPLAIN CLASS: the patterns that were stored."""
    patterns = tuple(
        ClassPattern(
            number=stored.number,
            of_class=stored.columns["class"],
            labels=tuple(label for _, label in stored.nodes),
            labelled_by=stored.columns["labelled_by"],
            edges=stored.edges,
            directed=stored.columns["directed"],
            node_types=tuple(kind for kind in stored.node_types if kind),
            edge_types=tuple(kind for kind in stored.edge_types if kind),
            one_way=tuple(map(bool, stored.one_way)),
            held_by=stored.columns["held_by"],
            targets=stored.columns["targets"],
            fidelity=stored.columns["fidelity"],
            alike=stored.columns["alike"],
            kind=kind,
        )
        for stored in session.store.stored_patterns(query_id)
    )
    if not patterns:
        return None
    return ClassFindings(of_class=patterns[0].of_class, patterns=patterns, notes=())
