"""The targets of one stored query, while REFRESH brings them to the present version of their graph.

carried    nothing in the receptive field changed: the answer is copied
measured   the explanations of the target are measured again, and nothing else is searched
searched   as by EXPLAIN: an explanation no longer explains, a score moved by more than EPSILON, or what is
           explained cannot be measured alone (links, other units than edges, INCLUDE, SMALLEST)
gone       the graph no longer has the target
"""

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sxq.errors import Error, GraphError, InvalidValue, NodeNotFound
from sxq.graph import Graph, LinkKey
from sxq.graph.difference import GONE, Difference
from sxq.language import statements as st
from sxq.planning.nodes import Choose, FieldScan, Rank
from sxq.session import engine, explain, resume
from sxq.session.audited import identity
from sxq.session.commits import Unsaved
from sxq.session.context import Session
from sxq.session.explain import PlannedQuery
from sxq.session.registered_models import RegisteredModel
from sxq.storage import QueryVersion, StoredExplanation, StoredQuery, StoredTarget
from sxq.values.explanation import CandidateRow, TargetReport

SAME = (
    1e-5  # between the probability of a target that is stored, and the model's on the new version
)
ENOUGH = ("coverage", "diversity")  # rules of answers that need only the members that there were


@dataclass(frozen=True)
class Sorted:
    """The targets that are to be done, by their place in the query."""

    carried: tuple[int, ...]
    measured: tuple[int, ...]
    searched: tuple[int, ...]
    gone: tuple[int, ...]


class Refreshing:
    """One query on its way to the present version; `run` stores what is done, also when it is interrupted.

    into  the query that holds the answers already done, where an earlier REFRESH was interrupted

    Raises InvalidValue for a query that is not refreshed, ModelDetached, and what planning raises.
    """

    def __init__(
        self, session: Session, version: QueryVersion, differ: Difference, into: int | None
    ):
        self._session = session
        self._version = version
        self._differ = differ
        (self._source,) = session.store.stored_queries(version.query_id)
        asked, settings = _asked(self._source)
        self._settings = settings
        self.query_id = into
        self.notes: list[str] = []
        self.counts: Counter[str] = Counter()
        self.seconds = 0.0
        self._started = time.perf_counter()
        self._complete: list[bool] = []
        self._earlier: dict[int, StoredQuery | None] = {}  # by the query that refreshed each
        self._scores: dict[int, dict[int, dict[frozenset, Mapping[str, float]]]] = {}
        with session.settings.held(settings):
            self._named = _same_model(session, asked, self._source, version)
            graph = session.registry.graphs[self._named.graph]
            assert isinstance(graph, Graph), "collections are not refreshed"
            self._graph = graph
            self._asked = self._on_this_version(asked)

    @property
    def targets(self) -> int:
        return len(self._source.targets)

    def run(self) -> None:
        """Carry over, measure and search; what is done is stored at once."""
        with self._session.settings.held(self._settings):
            left = self._begin()
            self._left = set(left)
            profile = engine.execution().Profile()
            self._unsaved = Unsaved(self._session, self.query_id, None, profile)
            try:
                self._do(self._sorted(left))
            finally:
                self._end()

    # -- what is done --------------------------------------------------------------------------

    def _begin(self) -> list[int]:
        """Write the new query, or make what is left of it pending; the targets to be done."""
        store = self._session.store
        everything = range(len(self._source.targets))
        if self.query_id is None:
            keys = [target.target for target in self._source.targets]
            begun = explain.begin(self._session, self._planned, keys, self._source.query_id)
            self.query_id = begun
            return list(everything)
        (own,) = store.stored_queries(self.query_id)
        left = [t.ordinal for t in own.targets if t.columns["refreshed"] is None]
        self.counts.update(t.columns["refreshed"] for t in own.targets if t.columns["refreshed"])
        self._complete = [
            bool(t.columns["complete"]) for t in own.targets if t.columns["refreshed"]
        ]
        self.seconds = own.seconds or 0.0
        store.resume_query(self.query_id, left)
        return left

    def _do(self, found: Sorted) -> None:
        for ordinal in found.gone:
            self._save(self._gone(ordinal))
        self._carry(found.carried)
        again = list(found.searched)
        for report in self._measured(found.measured):
            if isinstance(report, int):
                again.append(report)
            else:
                self._save(report)
        for report in self._run(sorted(again), {}):
            if report.status == "stopped" and self._session.should_stop():
                continue  # it is searched as a whole when REFRESH goes on
            self._save(replace(report, refreshed="searched"))

    def _end(self) -> None:
        """Store what waits, and mark what is not done, and the query as ended."""
        try:
            with suppress(Error):  # what cannot be stored was raised, or is left
                self._store_waiting()
        finally:
            self._mark_ended()

    def _mark_ended(self) -> None:
        assert self.query_id is not None
        store = self._session.store
        left = sorted(self._left)
        note = f"REFRESH was stopped before this target; say REFRESH QUERY {self.query_id}"
        targets = self._source.targets
        store.save_unreached(
            self.query_id,
            [
                TargetReport(target=targets[i].target, ordinal=i, status="stopped", note=note)
                for i in left
            ],
        )
        self.counts["left"] = len(left)
        if left:
            self.notes.append(f"stopped; say REFRESH QUERY {self.query_id} to go on")
        self.seconds += time.perf_counter() - self._started
        complete = not left and all(self._complete)
        store.finish_query(self.query_id, self.seconds, complete)

    def _save(self, report: TargetReport) -> None:
        """Store a report, together with others that end within a moment."""
        unsaved = self._unsaved
        unsaved.reports.append(report)
        if unsaved.due():
            self._store_waiting()

    def _store_waiting(self) -> None:
        waiting = list(self._unsaved.reports)
        try:
            self._unsaved.save()
        finally:
            for report in waiting[: len(waiting) - len(self._unsaved.reports)]:
                assert report.refreshed is not None
                self._done([report.ordinal], report.refreshed)
                self._complete.append(report.complete)

    def _done(self, ordinals: Sequence[int], what: str) -> None:
        self._left.difference_update(ordinals)
        self.counts[what] += len(ordinals)

    def _carry(self, ordinals: Sequence[int]) -> None:
        """Copy the answers of targets of which nothing changed."""
        if not ordinals:
            return
        assert self.query_id is not None
        edges = self._differ.edges
        kept = np.flatnonzero(edges != GONE)
        moved = bool((edges[kept] != kept).any())
        self._session.store.carry_targets(
            self._source.query_id, self.query_id, ordinals, (kept, edges[kept]) if moved else None
        )
        self._done(ordinals, "carried")
        targets = self._source.targets
        self._complete += [bool(targets[ordinal].columns["complete"]) for ordinal in ordinals]

    def _gone(self, ordinal: int) -> TargetReport:
        target = self._source.targets[ordinal]
        where = f"version {self._version.current_version} of graph {self._version.graph!r}"
        return TargetReport(
            target=target.target,
            ordinal=ordinal,
            status="failed",
            note=f"{'an end of the link' if isinstance(target.target, LinkKey) else 'the node'} is not in {where}",
            refreshed="gone",
        )

    def _measured(self, ordinals: Sequence[int]) -> Iterator[TargetReport | int]:
        """The reports of targets whose explanations still hold; the numbers of those to search again."""
        if not ordinals:
            return
        members = {ordinal: self._edges_of(self._members[ordinal]) for ordinal in ordinals}
        for report in self._run(ordinals, members):
            if report.status == "stopped" and self._session.should_stop():
                continue
            ordinal = report.ordinal
            why = self._outdated(report, self._members[ordinal], self._source.targets[ordinal])
            if why is None:
                yield ordinal
            else:
                yield self._as_measured(report, self._members[ordinal], why)

    def _run(
        self, ordinals: Sequence[int], members: Mapping[int, Sequence[np.ndarray]]
    ) -> Iterator[TargetReport]:
        """Run the plan for some targets, by their places in the query; with `members`, only measure these."""
        if not ordinals:
            return
        execution = engine.execution()
        plan = self._planned.plan
        place = {ordinal: number for number, ordinal in enumerate(self._present)}
        job = execution.Job(
            plan=replace(plan, keeps=True) if members else plan,
            graph=self._graph,
            model=self._named.model,
            measures=self._session.registry.measures,
            learned=self._session.registry.learned.needed(plan),
            members={place[ordinal]: own for ordinal, own in members.items()},
        )
        session = self._session
        waiting = [place[ordinal] for ordinal in ordinals]
        given = session.should_stop, execution.Profile()
        if session.executor is not None and len(waiting) > 1:
            reports = execution.run_in_executor(
                job,
                session.executor,
                *given,
                report=session.report,
                started=self._started,
                ordinals=waiting,
            )
        else:
            told = session.report, self._started
            reports = execution.run(job, *given, *told, waiting=deque(waiting))
        for report in reports:
            yield replace(report, ordinal=self._present[report.ordinal])

    # -- what is to be done --------------------------------------------------------------------

    def _sorted(self, left: Sequence[int]) -> Sorted:
        """What is to be done with each target."""
        found: dict[str, list[int]] = {"carried": [], "measured": [], "searched": [], "gone": []}
        present = set(self._present)
        affected = self._differ.affected(self._graph, self._reach)
        for ordinal in left:
            target = self._source.targets[ordinal]
            if ordinal not in present:
                found["gone"].append(ordinal)
            elif not resume.answered(target):
                found["searched"].append(ordinal)
            elif self._unchanged(target, affected) and self._still(target):
                found["carried"].append(ordinal)
            elif self._measurable and self._all_there(ordinal):
                found["measured"].append(ordinal)
            else:
                found["searched"].append(ordinal)
        return Sorted(**{name: tuple(own) for name, own in found.items()})

    def _unchanged(self, target: StoredTarget, affected: np.ndarray) -> bool:
        """Whether no node or edge that matters to a target changed, nor what is drawn at random for it."""
        own = self._positions(target)
        stays = not self._draws or all(self._differ.stays(position) for position in own)
        return stays and not affected[own].any()

    @cached_property
    def _draws(self) -> bool:
        """Whether a measure draws at random, from a seed that the position of the target is part of."""
        plan = self._planned.plan
        named = {*plan.find(Rank).measures, *plan.find(Choose).report}
        named |= {condition.name for condition in self._asked.where}
        own = self._session.registry.measures.values()
        return any(each.draws for each in own if {each.name, each.column} & named)

    @property
    def _reach(self) -> int:
        """How far a change can be from a target that it matters to."""
        scan = self._planned.plan.find(FieldScan)
        return scan.hops + scan.halo

    def _still(self, target: StoredTarget) -> bool:
        """Whether the model says of a target what is stored: a guard where the field did not change."""
        model = self._named.model
        columns = target.columns
        if columns["hops"] != model.hops:
            return False
        if model.links:
            return True
        p = model.probabilities(model.full[self._positions(target)])[0].numpy()
        asked = columns.get("class") if columns.get("class") is not None else columns["prediction"]
        if model.task == "regression":
            near = SAME * max(1.0, abs(float(columns["probability"])))
            return bool(abs(p[asked] * model.spread[asked] - columns["probability"]) < near)
        if columns.get("against") is not None:
            share = p[asked] / (p[asked] + p[columns["against"]])
            return bool(abs(share - columns["probability"]) < SAME)
        said = int(p.argmax()) == columns["prediction"]
        return bool(said and abs(p[asked] - columns["probability"]) < SAME)

    @property
    def _measurable(self) -> bool:
        """Whether explanations of this query can be measured without a search."""
        asked = self._asked
        plain = asked.kind == "node" and asked.over == "edges" and not asked.smallest
        free = not (asked.include or asked.exclude or asked.anywhere)
        rule = self._session.settings["sxq_answer"]
        return plain and free and rule in ENOUGH

    def _all_there(self, ordinal: int) -> bool:
        """Whether there are explanations, and the new version has all their edges."""
        own = self._members.get(ordinal, ())
        edges = [worth.edge for member in own for worth in member.worths]
        known = [edge for edge in edges if edge is not None]
        there = bool(edges) and len(known) == len(edges)
        return there and bool((self._differ.edges[known] != GONE).all())

    def _outdated(
        self, report: TargetReport, members: Sequence[StoredExplanation], target: StoredTarget
    ) -> float | None:
        """By how much the scores of explanations moved at most; None if the target is to be searched again."""
        columns = target.columns
        asked = columns.get("class") if columns.get("class") is not None else columns["prediction"]
        if report.status not in ("done", "stopped") or report.asked != asked:
            return None
        if report.prediction != columns["prediction"]:
            return None
        names = list(self._planned.plan.find(Rank).measures)
        moved = 0.0
        found = self._when_searched(target)
        for member, row in zip(members, _rows_of(report, members)):
            if row is None or not row.explanatory or row.size != member.columns["size"]:
                return None
            scores = found.get(_named(member), member.scores)
            for name in names:
                before, now = scores.get(name), row.scores[name]
                if before is None or not np.isfinite([before, now]).all():
                    return None
                moved = max(moved, max(before, now) / min(before, now) - 1)
        return moved if moved <= self._source.epsilon else None

    def _when_searched(self, target: StoredTarget) -> dict[frozenset, Mapping[str, float]]:
        """The scores that explanations had when their target was last searched, so that small moves add up."""
        query = self._source
        own = target
        while own.columns["refreshed"] in ("carried", "measured"):
            before = self._before(query.query_id)
            if before is None or len(before.targets) <= target.ordinal:
                break
            query = before
            own = query.targets[target.ordinal]
        if query is self._source:
            return {}
        return self._scores_of(query.query_id).get(target.ordinal, {})

    def _before(self, query_id: int) -> StoredQuery | None:
        """The query that another one refreshed, if it is still there."""
        if query_id not in self._earlier:
            versions = {query.query_id: query for query in self._session.store.versions()}
            number = versions[query_id].refreshes
            known = number is not None and number in versions
            held = self._session.store.stored_queries(number) if known else [None]
            self._earlier[query_id] = held[0]
        return self._earlier[query_id]

    def _scores_of(self, query_id: int) -> dict[int, dict[frozenset, Mapping[str, float]]]:
        """The scores of the explanations of an earlier query, by target and by their edges."""
        if query_id not in self._scores:
            place = {identity(target.target): target.ordinal for target in self._source.targets}
            found: dict[int, dict[frozenset, Mapping[str, float]]] = {}
            for member in self._session.store.stored_explanations(query_id):
                own = found.setdefault(place[identity(member.target)], {})
                own[_named(member)] = member.scores
            self._scores[query_id] = found
        return self._scores[query_id]

    def _as_measured(
        self, report: TargetReport, members: Sequence[StoredExplanation], moved: float
    ) -> TargetReport:
        """The report of a target whose explanations were measured; each keeps the generator that found it."""
        found_by = {
            tuple(sorted(self._numbers(member).tolist())): member.generator for member in members
        }
        explanations = tuple(
            replace(own, generator=found_by.get(tuple(own.edge_numbers.tolist()), own.generator))
            for own in report.explanations
        )
        said = (
            f"the {len(members)} explanations of query {self._source.query_id} were measured again, not searched: "
            f"no score moved by more than {moved:.1%}"
        )
        return replace(
            report,
            status="done",
            refreshed="measured",
            explanations=explanations,
            kept=report.kept if self._planned.plan.keeps else (),
            note="; ".join(filter(None, (report.note, said))),
        )

    # -- the statement on this version ---------------------------------------------------------

    def _on_this_version(self, asked: st.Explain) -> st.Explain:
        """The statement with the targets that are there; raises InvalidValue for INCLUDE of what is gone."""
        present = [self._source.targets[ordinal].target for ordinal in self._present]
        if not present:
            raise InvalidValue(f"none of its targets is in graph {self._version.graph!r} any more")
        given = resume.restrictions(self._source, asked.over)
        if asked.over == "edges":
            given["exclude"] = tuple(filter(self._has_edge, given["exclude"]))
            gone = [edge for edge in given["include"] if not self._has_edge(edge)]
            if gone:
                raise InvalidValue(
                    f"INCLUDE names the edge {gone[0][0]!r} -> {gone[0][1]!r}, which is gone; explain anew"
                )
        return replace(
            asked,
            keys=tuple(present),
            **given,
            seed=self._source.seed,
            into=None,
            text=self._source.text,
        )

    def _has_edge(self, edge: tuple[Any, Any]) -> bool:
        try:
            tail, head = map(self._graph.position, edge)
        except NodeNotFound:
            return False
        near = self._graph.in_edges(np.array([head, tail]))
        ends = self._graph.edge_index[:, near]
        return bool(((ends == [[tail], [head]]) | (ends == [[head], [tail]])).all(axis=0).any())

    @cached_property
    def _present(self) -> list[int]:
        """The places of the targets that the new version has."""
        return [t.ordinal for t in self._source.targets if self._positions(t) is not None]

    def _positions(self, target: StoredTarget) -> Any:
        """The positions of a node, or of both ends of a link; None if it is gone."""
        ends = target.target if isinstance(target.target, LinkKey) else (target.target,)
        try:
            return [self._graph.position(end) for end in ends]
        except (NodeNotFound, GraphError):  # there may be no nodes of its type
            return None

    @cached_property
    def _planned(self) -> PlannedQuery:
        """The plan for all targets that are there; only some of their fields are sized."""
        plan, named = explain.planned(self._session, self._asked, late=lambda within: True)
        return PlannedQuery(self._asked, plan, named, self._started)

    @cached_property
    def _members(self) -> dict[int, list[StoredExplanation]]:
        """The explanations of each target, by its place."""
        place = {identity(target.target): target.ordinal for target in self._source.targets}
        found: dict[int, list[StoredExplanation]] = {}
        for member in self._session.store.stored_explanations(self._source.query_id):
            found.setdefault(place[identity(member.target)], []).append(member)
        return found

    def _edges_of(self, members: Sequence[StoredExplanation]) -> list[np.ndarray]:
        """The edges of explanations, by their numbers in the new version."""
        return [self._numbers(member) for member in members]

    def _numbers(self, member: StoredExplanation) -> np.ndarray:
        """The edges of an explanation in the new version; all are known by number (`_all_there`)."""
        known = [worth.edge for worth in member.worths if worth.edge is not None]
        return self._differ.edges[known]


def _named(member: StoredExplanation) -> frozenset:
    """The edges of an explanation by key, which are the same in every version."""
    return frozenset(Counter(map(repr, member.edges)).items())


def _rows_of(
    report: TargetReport, members: Sequence[StoredExplanation]
) -> Iterator[CandidateRow | None]:
    """What was measured of each member. The first candidate is the whole field, which may be one of them."""
    rows = {row.candidate: row for row in report.kept}
    whole = report.field_size or 0
    number = 0
    for member in members:
        if member.columns["size"] == whole:
            yield rows.get(0)
        else:
            number += 1
            yield rows.get(number)


def _asked(query: StoredQuery) -> tuple[st.Explain, dict[str, Any]]:
    """The statement of a query, and its settings; raises InvalidValue for one that is not refreshed."""
    asked, settings = resume.asked(query)
    if asked.of_class is not None or asked.jointly:
        what = "JOINTLY" if asked.jointly else "EXPLAIN CLASS"
        raise InvalidValue(
            f"query {query.query_id} is not refreshed: {what} needs all targets at once; run it again"
        )
    return asked, settings


def _same_model(
    session: Session, asked: st.Explain, query: StoredQuery, version: QueryVersion
) -> RegisteredModel:
    """The model of a query, on the present version of its graph; raises InvalidValue if it is another one now."""
    named = session.registry.models.get(asked.model, asked.graph)
    if session.registry.graphs.id_of(named.graph) != version.current_id:
        raise InvalidValue(
            f"model {asked.model!r} of query {query.query_id} is on graph {named.graph!r} now; say ON GRAPH "
            f"{version.graph} in a new query"
        )
    row = session.store.load_model(query.model_id)
    if row is None or row.content_hash != named.content_hash:
        raise InvalidValue(
            f"query {query.query_id} asked another model than {asked.model!r} is now; explain its targets in a "
            "new query"
        )
    return named
