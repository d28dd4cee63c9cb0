"""The targets of one stored query, while REFRESH brings them to the present version of their graph.

carried    nothing in the receptive field changed: the answer is copied
measured   the explanations of the target are measured again, and nothing else is searched
searched   as by EXPLAIN: an explanation no longer explains, a score moved by more than EPSILON, or what is
           explained cannot be measured alone (links, other units than edges, INCLUDE, SMALLEST)
gone       the graph no longer has the target

What is stored about targets is read a page at a time; of all together only keys and places are held.
"""

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from sxq.errors import Error
from sxq.graph import GraphSet, LinkKey
from sxq.graph.difference import GONE, Difference
from sxq.planning.nodes import Choose, FieldScan, Rank
from sxq.session import commits, engine, explain
from sxq.session.commits import Unsaved
from sxq.session.context import Session
from sxq.session.explain import PlannedQuery
from sxq.session.on_version import asked_again, on_present_version, same_model
from sxq.session.stored_page import StoredAnswer, StoredPage, moved
from sxq.session.what_changed import Sorter, can_measure, positions
from sxq.storage import NO_TARGETS, QueryVersion, StoredExplanation
from sxq.values import many_targets
from sxq.values.explanation import TargetReport

SHOWN = 0.0005  # least move of a score that is not 0.0 %


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
        store = session.store
        (self._source,) = store.stored_queries(version.query_id, NO_TARGETS)
        self._keys = store.target_keys(version.query_id)
        asked, settings = asked_again(self._source)
        self._settings = settings
        self.query_id = into
        self.notes: list[str] = []
        self.counts: Counter[str] = Counter()
        self.seconds = 0.0
        self._started = time.perf_counter()
        self._complete = True  # whether all targets that are done are
        self._left = np.ones(len(self._keys), bool)
        with session.settings.held(settings):
            self._named = same_model(session, asked, self._source, version)
            self._graph = session.registry.graphs[self._named.graph]
            present = [self._keys[ordinal] for ordinal in self._present]
            name = version.graph
            self._asked = on_present_version(self._source, asked, present, self._graph, name)

    @property
    def targets(self) -> int:
        return len(self._keys)

    def run(self) -> None:
        """Carry over, measure and search; what is done is stored at once."""
        with self._session.settings.held(self._settings):
            self._begin()
            profile = engine.execution().Profile()
            self._unsaved = Unsaved(self._session, self.query_id, None, profile)
            try:
                self._do()
            finally:
                self._end()

    # -- what is done --------------------------------------------------------------------------

    def _begin(self) -> None:
        """Write the new query, or make what is left of it pending."""
        store = self._session.store
        if self.query_id is None:
            source = self._source.query_id
            self.query_id = explain.begin(self._session, self._planned, self._keys, source)
            return
        (own,) = store.stored_queries(self.query_id, NO_TARGETS)
        done = store.refreshed_targets(self.query_id)
        self._left[:] = False
        self._left[done.left] = True
        self.counts.update(done.counts)
        self._complete = done.complete
        self.seconds = own.seconds or 0.0
        store.resume_query(self.query_id, done.left.tolist())

    def _do(self) -> None:
        again: list[int] = []
        measured: dict[int, StoredAnswer] = {}
        for number, places in enumerate(many_targets.pages(np.flatnonzero(self._left))):
            if number and self._session.should_stop():
                break
            page = StoredPage(self._session.store, self._source.query_id, places, self._refreshes)
            found = self._sorter.sort(page, self._left)
            for ordinal in found.gone:
                self._save(self._gone(ordinal))
            self._carry(page, found.carried)
            measured |= {ordinal: page.answer(ordinal) for ordinal in found.measured}
            again += found.searched
            if len(measured) >= many_targets.PAGE:
                again += self._measure(measured)
                measured = {}
        again += self._measure(measured)
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
        note = f"REFRESH was stopped before this target; say REFRESH QUERY {self.query_id}"
        left = np.flatnonzero(self._left).tolist()
        for first in range(0, len(left), commits.MOST_UNSAVED):
            some = left[first : first + commits.MOST_UNSAVED]
            store.save_unreached(
                self.query_id,
                [
                    TargetReport(target=self._keys[i], ordinal=i, status="stopped", note=note)
                    for i in some
                ],
            )
        self.counts["left"] = len(left)
        if left:
            self.notes.append(f"stopped; say REFRESH QUERY {self.query_id} to go on")
        self.seconds += time.perf_counter() - self._started
        store.finish_query(self.query_id, self.seconds, not left and self._complete)

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
                self._complete &= report.complete

    def _done(self, ordinals: Sequence[int], what: str) -> None:
        self._left[list(ordinals)] = False
        self.counts[what] += len(ordinals)

    def _carry(self, page: StoredPage, ordinals: Sequence[int]) -> None:
        """Copy the answers of targets of which nothing changed."""
        if not ordinals:
            return
        assert self.query_id is not None
        self._session.store.carry_targets(
            self._source.query_id, self.query_id, ordinals, self._renumbered
        )
        self._done(ordinals, "carried")
        self._complete &= all(page.targets[ordinal].columns["complete"] for ordinal in ordinals)

    @cached_property
    def _renumbered(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The numbers of the edges that stayed, in both versions; None if they are the same."""
        edges = self._differ.edges
        kept = np.flatnonzero(edges != GONE)
        moved = bool((edges[kept] != kept).any())
        return (kept, edges[kept]) if moved else None

    def _gone(self, ordinal: int) -> TargetReport:
        key = self._keys[ordinal]
        of_graphs = isinstance(self._graph, GraphSet)
        target = "the graph" if of_graphs else "the node"
        target = "an end of the link" if isinstance(key, LinkKey) else target
        whole = "collection" if of_graphs else "graph"
        where = f"version {self._version.current_version} of {whole} {self._version.graph!r}"
        return TargetReport(
            target=key,
            ordinal=ordinal,
            status="failed",
            note=f"{target} is not in {where}",
            refreshed="gone",
        )

    def _measure(self, answers: Mapping[int, StoredAnswer]) -> Iterator[int]:
        """Store the targets whose explanations still hold; the numbers of those to search again."""
        if not answers:
            return
        edges = {
            ordinal: [self._numbers(member) for member in answer.members]
            for ordinal, answer in answers.items()
        }
        names = list(self._planned.plan.find(Rank).measures)
        for report in self._run(list(answers), edges):
            if report.status == "stopped" and self._session.should_stop():
                continue
            answer = answers[report.ordinal]
            most = moved(answer, report, names)
            if most is None or most > self._source.epsilon:
                yield report.ordinal
            else:
                self._save(self._as_measured(report, answer.members, most))

    def _run(
        self, ordinals: Sequence[int], members: Mapping[int, Sequence[np.ndarray]]
    ) -> Iterator[TargetReport]:
        """Run the plan for some targets, by their places in the query; with `members`, only measure these."""
        if not ordinals:
            return
        execution = engine.execution()
        plan = self._planned.plan
        waiting = np.searchsorted(self._present, ordinals).tolist()
        place = dict(zip(ordinals, waiting))
        job = execution.Job(
            plan=replace(plan, keeps=True) if members else plan,
            graph=self._graph,
            model=self._named.model,
            measures=self._session.registry.measures,
            learned=self._session.registry.learned.needed(plan),
            members={place[ordinal]: own for ordinal, own in members.items()},
        )
        session = self._session
        told = self._progress(len(waiting))
        given = session.should_stop, execution.Profile()
        if session.executor is not None and len(waiting) > 1:
            reports = execution.run_in_executor(
                job, session.executor, *given, report=told, started=self._started, ordinals=waiting
            )
        else:
            reports = execution.run(job, *given, told, self._started, waiting=deque(waiting))
        for report in reports:
            yield replace(report, ordinal=int(self._present[report.ordinal]))

    def _progress(self, part: int) -> Any:
        """Tells the progress of a run of so many targets as that of all; None if nobody listens."""
        tell = self._session.report
        if tell is None:
            return None
        before = self.targets - int(self._left.sum())

        def told(progress: Any) -> None:
            others = progress.total - part  # of the plan, not of this run
            done = before + progress.targets - others
            share = (before + progress.share * progress.total - others) / self.targets
            tell(replace(progress, targets=done, total=self.targets, share=share))

        return told

    def _as_measured(
        self, report: TargetReport, members: Sequence[StoredExplanation], most: float
    ) -> TargetReport:
        """The report of a target whose explanations were measured; each keeps the generator that found it."""
        found_by = {
            tuple(sorted(self._numbers(member).tolist())): member.generator for member in members
        }
        explanations = tuple(
            replace(own, generator=found_by.get(tuple(own.edge_numbers.tolist()), own.generator))
            for own in report.explanations
        )
        them = "explanation" if len(members) == 1 else f"{len(members)} explanations"
        verb = "was" if len(members) == 1 else "were"
        limit = f" by more than {most:.1%}" if most >= SHOWN else ""
        said = (
            f"the {them} of query {self._source.query_id} {verb} measured again, not searched: "
            f"no score moved{limit}"
        )
        return replace(
            report,
            status="done",
            refreshed="measured",
            explanations=explanations,
            kept=report.kept if self._planned.plan.keeps else (),
            note="; ".join(filter(None, (report.note, said))),
        )

    # -- the targets ---------------------------------------------------------------------------

    @cached_property
    def _present(self) -> np.ndarray:
        """The places of the targets that the new version has."""
        there = [positions(self._graph, key) is not None for key in self._keys]
        return np.flatnonzero(there)

    @cached_property
    def _planned(self) -> PlannedQuery:
        """The plan for all targets that are there; only some of their fields are sized."""
        plan, named = explain.planned(self._session, self._asked, late=lambda within: True)
        return PlannedQuery(self._asked, plan, named, self._started)

    @cached_property
    def _sorter(self) -> Sorter:
        return Sorter(
            graph=self._graph,
            model=self._named.model,
            differ=self._differ,
            scan=self._planned.plan.find(FieldScan),
            measurable=can_measure(self._asked, self._session.settings["sxq_answer"]),
            draws=self._draws,
        )

    @property
    def _draws(self) -> bool:
        """Whether a measure draws at random, from a seed that the position of the target is part of."""
        plan = self._planned.plan
        named = {*plan.find(Rank).measures, *plan.find(Choose).report}
        named |= {condition.name for condition in self._asked.where}
        own = self._session.registry.measures.values()
        return any(each.draws for each in own if {each.name, each.column} & named)

    @cached_property
    def _refreshes(self) -> dict[int, int | None]:
        """By query, the one that it refreshed."""
        return {query.query_id: query.refreshes for query in self._session.store.versions()}

    def _numbers(self, member: StoredExplanation) -> np.ndarray:
        """The edges of an explanation in the new version; all are known by number (`_all_there`)."""
        known = [worth.edge for worth in member.worths if worth.edge is not None]
        first = 0
        if isinstance(self._graph, GraphSet):
            # Edges are numbered through all graphs of a collection, those of a field from 0.
            first = int(self._graph.edge_ptr[self._graph.position(member.target)])
        return self._differ.edges[known] - first
