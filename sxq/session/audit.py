"""AUDIT: check that stored answers are whole, and measure them again on their graph and model.

AUDIT STRUCTURE makes only the checks that need no model. Damage is reported in the rows, never raised: a row for each
explanation, and one for each finding about a target, a query or the file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from sxq.errors import Error, InvalidValue, ModelChanged, ModelDetached, StoreError
from sxq.graph import LinkKey, TypedKey, TypedLinkKey
from sxq.language import statements as st
from sxq.session import engine
from sxq.session.audited import identity, read_answers
from sxq.session.context import Session
from sxq.session.pattern_checks import check_labels, check_patterns
from sxq.session.registered_models import predicted_classes
from sxq.session.structure import check_structure
from sxq.storage import Broken, StoredExplanation, StoredQuery
from sxq.values.result import AuditResult

NOT_MEASURED = "not measured"


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
    queries = store.stored_queries(statement.query_id)
    broken = store.broken(statement.query_id)
    members = {
        query_id: list(own)
        for query_id, own in groupby(
            store.stored_explanations(statement.query_id), key=lambda e: e.query_id
        )
    }
    rows: list[tuple] = []
    for query in queries:
        own = members.pop(query.query_id, [])
        rows += _audit_query(session, query, own, broken, statement.structure)
        if session.should_stop():
            break
    else:
        for query_id, orphans in members.items():  # of queries that were deleted
            found = [one for one in broken if one.query_id == query_id]
            rows += _rows(query_id, orphans, found, {})
        gone = {one.query_id for one in broken} - {query.query_id for query in queries}
        gone -= {*members, None}
        rows += [_row(one) for one in broken if one.query_id is None or one.query_id in gone]
    return AuditResult(
        rows,
        queries=len(queries),
        targets=sum(len(query.targets) for query in queries),
        structure_only=statement.structure,
        stopped=session.should_stop(),
    )


def audit_target(session: Session, query_id: int, ordinal: int) -> dict[int, Measured]:
    """What measuring the members of one target again gives, by their ids; its own faults are in each verdict.

    Raises InvalidValue if there is no such query or target, ModelDetached or ModelChanged.
    """
    (query,) = session.store.stored_queries(query_id)
    target = next((one for one in query.targets if one.ordinal == ordinal), None)
    if target is None:
        raise InvalidValue(f"query {query_id} has no target {ordinal}")
    members = session.store.stored_explanations(query_id, (ordinal, ordinal))
    graph = session.registry.graphs.reloaded(query.graph_id)
    answers, _ = read_answers(query, members, graph, ())
    measured = {e.explanation_id: Measured(None, NOT_MEASURED) for e in members}
    faults = []
    for result in _measure(
        session, replace(query, targets=(target,)), members, graph, answers.directed
    ):
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


def _audit_query(
    session: Session,
    query: StoredQuery,
    members: list[StoredExplanation],
    broken: Iterable[Broken],
    structure_only: bool,
) -> list[tuple]:
    """The rows of one query; targets that the graph no longer has are checked by nothing."""
    there = tuple(t for t in query.targets if t.columns["refreshed"] != "gone")
    query = replace(query, targets=there)
    found = [one for one in broken if one.query_id == query.query_id]
    graph = None
    if not any("graph_id" in one.words for one in found):
        try:
            graph = session.registry.graphs.reloaded(query.graph_id)
        except Error as error:
            found.append(Broken(query.query_id, None, None, f"the graph cannot be read: {error}"))
    kept = session.store.explanatory_candidates(query.query_id)
    answers, lacking = read_answers(query, members, graph, kept)
    patterns = [
        pattern
        for pattern in session.store.stored_patterns(query.query_id)
        if pattern.query_id == query.query_id
    ]
    found += [*lacking, *check_structure(answers), *check_patterns(patterns, answers)]
    if structure_only:
        return _rows(query.query_id, members, found, {})
    measured = {e.explanation_id: Measured(None, NOT_MEASURED) for e in members}
    if graph is not None:
        try:
            if patterns:
                found += check_labels(
                    patterns, answers, lambda: _predictions(session, query, graph)
                )
            for result in _measure(session, query, members, graph, answers.directed):
                if isinstance(result, Broken):
                    found.append(result)
                else:
                    measured |= result
        except (ModelDetached, ModelChanged) as error:
            error.add_note("AUDIT STRUCTURE checks everything that needs no model")
            raise
        except Error as error:
            found.append(Broken(query.query_id, None, None, f"not measured: {error}"))
    return _rows(query.query_id, members, found, measured)


def _predictions(session: Session, query: StoredQuery, graph: Any) -> np.ndarray:
    """The class that the model predicts for each node, from a forward pass of its own."""
    return predicted_classes(session.registry.models.stored(query.model_id, query.graph_id, graph))


def _measure(
    session: Session,
    query: StoredQuery,
    members: list[StoredExplanation],
    graph: Any,
    directed: bool | None,
) -> Iterator[Broken | dict[int, Measured]]:
    """The results of measuring: findings about targets, and the result for each explanation by its id."""
    model = session.registry.models.stored(query.model_id, query.graph_id, graph)
    asked, units = _asked(query)
    memory = session.settings["sxq_memory"]
    auditor = engine.execution().auditor(graph, model, directed, asked, units, memory=memory)
    by_target: dict[Any, list[StoredExplanation]] = {}
    for member in members:
        by_target.setdefault(identity(member.target), []).append(member)
    for target in query.targets:
        own = by_target.get(identity(target.target), [])
        try:
            for words in auditor.target(target.target, target.columns):
                yield Broken(query.query_id, target.target, None, words)
            for member in own:
                if session.should_stop():
                    return
                finding = auditor.explanation(_for_audit(member))
                yield {member.explanation_id: Measured(finding.difference, finding.verdict)}
        except ModelDetached:
            raise
        except Error as error:
            yield Broken(query.query_id, target.target, None, f"not measured: {error}")


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


def _rows(
    query_id: int,
    members: Iterable[StoredExplanation],
    found: Iterable[Broken],
    measured: dict[int, Measured],
) -> list[tuple]:
    """Findings about the query and its targets, then a row for each explanation."""
    own: dict[int | None, list[str]] = {}
    rows = []
    for one in found:
        if one.explanation_id is None:
            rows.append(_row(one))
        else:
            own.setdefault(one.explanation_id, []).append(one.words)
    for e in members:
        result = measured.get(e.explanation_id, Measured(None, "ok"))
        words = own.get(e.explanation_id, [])
        wrong = [*([] if result.verdict.startswith("ok") else [result.verdict]), *words]
        verdict = "; ".join(dict.fromkeys(wrong)) or result.verdict
        rows.append(
            (query_id, _key(e.target), e.rank, e.explanation_id, result.difference, verdict)
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
