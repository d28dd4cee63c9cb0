"""AUDIT: check that stored answers are whole, and measure them again on their graph and model.

AUDIT STRUCTURE makes only the checks that need no model. Damage is reported in the rows, never raised: a row for each
explanation, and one for each finding about a target, a query or the file.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from sxq.errors import Error, InvalidValue, ModelChanged, ModelDetached, StoreError
from sxq.graph import LinkKey, TypedKey, TypedLinkKey
from sxq.language import statements as st
from sxq.session import engine
from sxq.session.audited import StoredAnswers, read_answers
from sxq.session.context import Session
from sxq.session.pattern_checks import check_labels, check_patterns
from sxq.session.registered_models import predicted_classes
from sxq.session.structure import check_query, check_ranks, check_targets
from sxq.session.target_checks import is_joint
from sxq.storage import NO_TARGETS, Broken, StoredExplanation, StoredPattern, StoredQuery
from sxq.values.many_targets import pages
from sxq.values.result import AuditResult

NOT_MEASURED = "not measured"
NOWHERE = np.zeros(0, np.int32)  # the places of the targets of a query without any


@dataclass(frozen=True)
class Measured:
    """An explanation that was measured again, and found exact or not."""

    difference: float | None
    verdict: str


def audit(session: Session, statement: st.Audit) -> AuditResult:
    """A verdict on each explanation of a query, or of all, and every other fault.

    Raises InvalidValue if there is no such query, ModelDetached if the code of a model is missing.
    """
    store = session.store
    queries = store.stored_queries(statement.query_id, NO_TARGETS)
    places = store.target_places(statement.query_id)
    broken = store.broken(statement.query_id)
    rows: list[tuple] = []
    for query in queries:
        own = [one for one in broken if one.query_id == query.query_id]
        audited = _QueryAudit(session, query, own, statement.structure)
        rows += audited.run(places.get(query.query_id, NOWHERE))
        if session.should_stop():
            break
    else:
        rows += _of_no_query(session, broken, {query.query_id for query in queries})
    return AuditResult(
        rows,
        queries=len(queries),
        targets=sum(len(places.get(query.query_id, NOWHERE)) for query in queries),
        structure_only=statement.structure,
        stopped=session.should_stop(),
    )


def _of_no_query(session: Session, broken: Sequence[Broken], known: set[int]) -> list[tuple]:
    """The rows of queries that were deleted, and then those of the whole file."""
    gone = [one for one in broken if one.query_id is not None and one.query_id not in known]
    orphans = session.store.stored_explanations(ids=_explanations_of(gone)) if gone else []
    rows: list[tuple] = []
    for query_id, members in groupby(orphans, key=lambda e: e.query_id):
        own = [one for one in gone if one.query_id == query_id]
        rows += [_row(one) for one in own if one.explanation_id is None]
        rows += _member_rows(list(members), own, {})
    named = {member.query_id for member in orphans}
    return rows + [
        _row(one) for one in broken if one.query_id is None or one.query_id not in known | named
    ]


def audit_target(session: Session, query_id: int, ordinal: int) -> dict[int, Measured]:
    """What measuring the members of one target again gives, by their ids; its own faults are in each verdict.

    Raises InvalidValue if there is no such query or target, ModelDetached or ModelChanged.
    """
    places = ordinal, ordinal
    (query,) = session.store.stored_queries(query_id, places)
    if not query.targets:
        raise InvalidValue(f"query {query_id} has no target {ordinal}")
    members = session.store.stored_explanations(query_id, places)
    graph = session.registry.graphs.reloaded(query.graph_id)
    answers, _ = read_answers(query, members, graph, ())
    measured = {e.explanation_id: Measured(None, NOT_MEASURED) for e in members}
    faults = []
    for result in _measure(session, answers, _auditor(session, query, graph, answers.directed)):
        if isinstance(result, Broken):
            faults.append(result.words)
        else:
            measured |= result
    if not faults:
        return measured
    return {
        number: Measured(one.difference, "; ".join([*faults, one.verdict]))
        for number, one in measured.items()
    }


class _QueryAudit:
    """The audit of one query, a page of targets at a time; of one answer for all targets, all at once.

    Only its rows grow with the targets: one for each explanation, and one for each finding.
    """

    def __init__(
        self, session: Session, query: StoredQuery, broken: list[Broken], structure_only: bool
    ):
        self._session = session
        self._query = query  # without its targets
        self._structure_only = structure_only
        self._broken = broken
        self._found: list[Broken] = []  # about the query
        self._ranks: dict[Broken, None] = {}
        self._targets: list[Broken] = []
        self._measured: list[Broken] = []  # by measuring
        self._rows: dict[int, tuple] = {}  # by explanation
        self._graph = self._read_graph()
        self._auditor: Any = None
        self._measurable = self._graph is not None and not structure_only

    def run(self, places: np.ndarray) -> list[tuple]:
        """The rows of the query: findings, then a row for each explanation."""
        query_id = self._query.query_id
        patterns = self._session.store.stored_patterns(query_id)
        patterns = [pattern for pattern in patterns if pattern.query_id == query_id]
        for some in self._pages(places, patterns):
            self._look_at(some, patterns)
            if self._session.should_stop():
                break
        else:
            self._look_at_lost()
        found = [*self._broken, *self._found, *self._ranks, *self._targets]
        found += self._measured
        findings = [_row(one) for one in found if one.explanation_id is None]
        return findings + [self._rows[number] for number in sorted(self._rows)]

    def _pages(
        self, places: np.ndarray, patterns: Sequence[StoredPattern]
    ) -> Iterable[tuple[int, int]]:
        """The first and the last place of the targets that are looked at together."""
        if not len(places):
            return [NO_TARGETS]
        if patterns or is_joint(self._query):
            return [(int(places[0]), int(places[-1]))]
        return pages(places)

    def _read_graph(self) -> Any:
        """The graph of the query; None where it cannot be read, which is a finding."""
        query = self._query
        if any("graph_id" in one.words for one in self._broken):
            return None
        try:
            return self._session.registry.graphs.reloaded(query.graph_id)
        except Error as error:
            words = f"the graph cannot be read: {error}"
            self._broken.append(Broken(query.query_id, None, None, words))
            return None

    def _look_at(self, places: tuple[int, int], patterns: Sequence[StoredPattern]) -> None:
        """Check some targets; those that the graph no longer has are checked by nothing."""
        store = self._session.store
        (query,) = store.stored_queries(self._query.query_id, places)
        there = tuple(t for t in query.targets if t.columns["refreshed"] != "gone")
        query = replace(query, targets=there)
        members = store.stored_explanations(query.query_id, places)
        kept = store.explanatory_candidates(query.query_id, places)
        answers, lacking = read_answers(query, members, self._graph, kept)
        self._found = [*lacking, *check_query(query)]
        self._ranks |= dict.fromkeys(check_ranks(answers))
        checked = [*check_targets(answers), *check_patterns(patterns, answers)]
        measured = {e.explanation_id: Measured(None, NOT_MEASURED) for e in members}
        if self._structure_only:
            measured = {}
        try:
            if self._measurable and patterns:
                checked += check_labels(patterns, answers, self._predictions)
            if self._measurable:
                self._measure(answers, measured)
        except (ModelDetached, ModelChanged) as error:
            error.add_note("AUDIT STRUCTURE checks everything that needs no model")
            raise
        except Error as error:
            self._measurable = False
            words = f"not measured: {error}"
            self._measured.append(Broken(query.query_id, None, None, words))
        self._targets += [one for one in checked if one.explanation_id is None]
        self._take(members, checked, measured)

    def _measure(self, answers: StoredAnswers, measured: dict[int, Measured]) -> None:
        """Measure explanations again, and put what is found into `measured`."""
        if self._auditor is None:
            self._auditor = _auditor(self._session, self._query, self._graph, answers.directed)
        for result in _measure(self._session, answers, self._auditor):
            if isinstance(result, Broken):
                self._measured.append(result)
            else:
                measured |= result

    def _look_at_lost(self) -> None:
        """Rows of explanations that belong to no target of the query, which `storage.integrity` says."""
        lost = set(_explanations_of(self._broken)) - self._rows.keys()
        if not lost:
            return
        members = self._session.store.stored_explanations(self._query.query_id, ids=sorted(lost))
        answers, _ = read_answers(self._query, members, self._graph, ())
        self._ranks |= dict.fromkeys(check_ranks(answers))
        measured = {} if self._structure_only else {e: Measured(None, NOT_MEASURED) for e in lost}
        self._take(members, (), measured)

    def _take(
        self,
        members: Sequence[StoredExplanation],
        checked: Iterable[Broken],
        measured: dict[int, Measured],
    ) -> None:
        rows = _member_rows(members, [*self._broken, *checked], measured)
        self._rows |= {member.explanation_id: row for member, row in zip(members, rows)}

    def _predictions(self) -> np.ndarray:
        """The class that the model predicts for each node, from a forward pass of its own."""
        query = self._query
        models = self._session.registry.models
        return predicted_classes(models.stored(query.model_id, query.graph_id, self._graph))


def _auditor(session: Session, query: StoredQuery, graph: Any, directed: bool | None) -> Any:
    """What measures the answers of a query again."""
    model = session.registry.models.stored(query.model_id, query.graph_id, graph)
    asked, units = _asked(query)
    memory = session.settings["sxq_memory"]
    return engine.execution().auditor(graph, model, directed, asked, units, memory=memory)


def _measure(
    session: Session, answers: StoredAnswers, auditor: Any
) -> Iterator[Broken | dict[int, Measured]]:
    """The results of measuring: findings about targets, and the result for each explanation by its id."""
    query_id = answers.query.query_id
    for target in answers.query.targets:
        try:
            for words in auditor.target(target.target, target.columns):
                yield Broken(query_id, target.target, None, words)
            for member in answers.of(target):
                if session.should_stop():
                    return
                finding = auditor.explanation(_for_audit(member))
                yield {member.explanation_id: Measured(finding.difference, finding.verdict)}
        except ModelDetached:
            raise
        except Error as error:
            yield Broken(query_id, target.target, None, f"not measured: {error}")


def _asked(query: StoredQuery) -> tuple[Any, Any]:
    """The question of a stored statement and its units; what its settings lack is that of one without clauses."""
    again = engine.execution().AskedAgain
    units = engine.execution().AskedUnits
    try:
        settings = query.place.read_json("settings", query.settings)
    except StoreError:
        return again(), units()  # the damage is a finding of its own
    over = settings.get("over", "edges"), settings.get("sxq_baseline", "zero")
    itself = settings.get("without_itself") is not True
    kinds = {"for_class": int, "against": int, "sxq_tolerance": int | float}
    given = {
        name: settings.get(name)
        for name, kind in kinds.items()
        if isinstance(settings.get(name), kind)
    }
    tolerance = given.get("sxq_tolerance", again.tolerance)
    asked = again(given.get("for_class"), given.get("against"), tolerance)
    return asked, units(*map(str, over), itself=itself)


def _explanations_of(found: Iterable[Broken]) -> list[int]:
    """The ids of the explanations that findings are about."""
    return [one.explanation_id for one in found if one.explanation_id is not None]


def _member_rows(
    members: Iterable[StoredExplanation], found: Iterable[Broken], measured: dict[int, Measured]
) -> list[tuple]:
    """A row for each explanation, with the findings about it."""
    own: dict[int, list[str]] = {}
    for one in found:
        if one.explanation_id is not None:
            own.setdefault(one.explanation_id, []).append(one.words)
    rows = []
    for e in members:
        result = measured.get(e.explanation_id, Measured(None, "ok"))
        words = own.get(e.explanation_id, [])
        wrong = [*([] if result.verdict.startswith("ok") else [result.verdict]), *words]
        verdict = "; ".join(dict.fromkeys(wrong)) or result.verdict
        rows.append(
            (e.query_id, _key(e.target), e.rank, e.explanation_id, result.difference, verdict)
        )
    return rows


def _row(one: Broken) -> tuple:
    return one.query_id, _key(one.target), None, one.explanation_id, None, one.words


def _key(target: Any) -> Any:
    """The key of a target as the tables hold it."""
    if isinstance(target, TypedLinkKey):
        return LinkKey(target.u.key, target.v.key)
    return target.key if isinstance(target, TypedKey) else target


def _for_audit(e: StoredExplanation):
    """A stored explanation as `execution` takes it."""
    return engine.execution().Stored(
        target=e.target,
        edges=e.edges,
        worths=e.worths,
        edge_types=e.edge_types,
        nodes=e.nodes,
        features=e.features,
        raw=e.raw,
        factual=e.factual,
        counterfactual=e.counterfactual,
        tie=e.tie,
    )
