"""RESUME QUERY: what a stored query did not reach, as a statement that goes on with it."""

from dataclasses import replace
from typing import Any

from sxq.errors import InvalidValue, StoreError
from sxq.language import parse
from sxq.language import statements as st
from sxq.planning import SETTINGS
from sxq.session.audited import typed_edges, typed_nodes
from sxq.session.context import Session
from sxq.session.explain import Unfinished
from sxq.session.stored_result import stored_result
from sxq.storage import NO_TARGETS, LeftTargets, StoredQuery, StoredTarget
from sxq.values.result import Result


def unfinished(session: Session, statement: st.Resume) -> Unfinished | Result:
    """The part of a stored query that was not done; the answer of a query of which nothing is left.

    Raises InvalidValue if there is no such query, it still runs, it must be run as a whole, or its graph or model
    was replaced; StoreError for damaged rows.
    """
    session.store.require_writable("RESUME")
    query = _stored(session, statement.query_id)
    said, settings = asked(query)
    _require_single(query, said)
    left = session.store.left_targets(query.query_id)
    if not left.keys:
        all_of = "its one target" if left.answered == 1 else f"each of its {left.answered} targets"
        remark = (
            f"query {query.query_id} has nothing to resume: {all_of} has its answer{_short(left)}"
        )
        session.say(remark)
        return stored_result(session, query.query_id, remarks=[remark])
    own = replace(
        said,
        keys=left.keys,
        **restrictions(query, said.over),
        seed=query.seed,
        into=None,
        text=query.text,
    )
    _require_same(session, query, own)
    if said.into:
        session.say(
            f"RESUME makes no table {said.into}; the answers are in explanations, query {query.query_id}"
        )
    return Unfinished(
        statement=own,
        query_id=query.query_id,
        ordinals=left.ordinals,
        settings=settings,
        seconds=query.seconds or 0.0,
        complete=left.complete,
    )


def _stored(session: Session, query_id: Any) -> StoredQuery:
    (query,) = session.store.stored_queries(query_id, NO_TARGETS)
    if query.status == "running":
        raise InvalidValue(
            f"query {query_id} still runs, or was broken off by a second Ctrl-C; in the second case, "
            "open the database anew, and then resume it"
        )
    return query


def _require_single(query: StoredQuery, asked: st.Explain) -> None:
    """Raise InvalidValue for a statement whose targets are not answered one by one."""
    if asked.of_class is not None or asked.jointly:
        what = "JOINTLY" if asked.jointly else "EXPLAIN CLASS"
        raise InvalidValue(
            f"query {query.query_id} is not resumed: {what} needs all targets at once; run it again"
        )


def asked(query: StoredQuery) -> tuple[st.Explain, dict[str, Any]]:
    """The statement of a query, and the settings that it had."""
    settings = query.place.read_json("settings", query.settings)
    text = settings.get("statement", query.text)
    statement = parse(text)
    if isinstance(statement, st.ProfileExplain):
        statement = statement.explain
    if not isinstance(statement, st.Explain):
        raise StoreError(f"the text of query {query.query_id} is no EXPLAIN: {text[:80]!r}")
    own = {name: settings[name] for name in SETTINGS if name in settings}
    return statement, {"sxq_patience": 1, **own}  # a query older than the setting spent its budget


def restrictions(query: StoredQuery, over: str) -> dict[str, Any]:
    """What INCLUDE and EXCLUDE named: edges have a table, nodes and features are in the settings."""
    clauses = ("include", "exclude")
    settings = query.place.read_json("settings", query.settings)
    if over == "edges":
        typed = typed_edges(query, settings)
        return {
            name: tuple((source, head) for clause, source, head in typed if clause == name)
            for name in clauses
        }
    return {
        name: st.Units(over, tuple(typed_nodes(query, settings, name))) if name in settings else ()
        for name in clauses
    }


def answered(target: StoredTarget) -> bool:
    """Whether a target was done, stopped with an answer, or is gone from the graph."""
    status = target.columns["status"]
    begun = status == "stopped" and target.columns["prediction"] is not None
    return begun or status in ("done", "empty") or target.columns["refreshed"] == "gone"


def _short(left: LeftTargets) -> str:
    """What to do about targets that were stopped before their search ended."""
    if not left.stopped:
        return ""
    return (
        f", {left.stopped} from a search that was stopped early: explain them again, with more time"
    )


def _require_same(session: Session, query: StoredQuery, asked: st.Explain) -> None:
    """Raise InvalidValue unless names still mean the graph and the model that the query asked."""
    named = session.registry.models.get(asked.model, asked.graph)
    graph_id = session.registry.graphs.id_of(named.graph)
    for what, name, now, then in (
        ("model", asked.model, named.model_id, query.model_id),
        ("graph", named.graph, graph_id, query.graph_id),
    ):
        if now != then:
            raise InvalidValue(
                f"query {query.query_id} asked another {what} than {name!r} is now; "
                f"explain its targets in a new query"
            )
