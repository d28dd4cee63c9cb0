"""The statement of a stored query on the present version of its graph, for REFRESH."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sxq.errors import InvalidValue, NodeNotFound
from sxq.graph import Graph, GraphSet
from sxq.language import statements as st
from sxq.session import resume
from sxq.session.context import Session
from sxq.session.registered_models import RegisteredModel
from sxq.storage import QueryVersion, StoredQuery


def asked_again(query: StoredQuery) -> tuple[st.Explain, dict[str, Any]]:
    """The statement of a query, and its settings; raises InvalidValue for one that is not refreshed."""
    asked, settings = resume.asked(query)
    if asked.of_class is not None or asked.jointly:
        what = "JOINTLY" if asked.jointly else "EXPLAIN CLASS"
        raise InvalidValue(
            f"{what} of query {query.query_id} looks at all targets at once, which REFRESH does not; run it again"
        )
    return asked, settings


def same_model(
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


def on_present_version(
    source: StoredQuery,
    asked: st.Explain,
    present: Sequence[Any],
    graph: Graph | GraphSet,
    name: str,
) -> st.Explain:
    """The statement with the targets that are there; raises InvalidValue for INCLUDE of what is gone.

    present  their keys
    graph    the present version, and its name
    """
    if not present:
        whole = "collection" if isinstance(graph, GraphSet) else "graph"
        raise InvalidValue(f"none of its targets is in {whole} {name!r} any more")
    given = resume.restrictions(source, asked.over)
    if asked.over == "edges" and isinstance(graph, Graph):  # of a collection each graph has edges
        given["exclude"] = tuple(edge for edge in given["exclude"] if _has_edge(graph, edge))
        gone = [edge for edge in given["include"] if not _has_edge(graph, edge)]
        if gone:
            raise InvalidValue(
                f"INCLUDE names the edge {gone[0][0]!r} -> {gone[0][1]!r}, which is gone; explain anew"
            )
    return replace(
        asked, keys=tuple(present), **given, seed=source.seed, into=None, text=source.text
    )


def _has_edge(graph: Graph, edge: tuple[Any, Any]) -> bool:
    try:
        tail, head = map(graph.position, edge)
    except NodeNotFound:
        return False
    near = graph.in_edges(np.array([head, tail]))
    ends = graph.edge_index[:, near]
    return bool(((ends == [[tail], [head]]) | (ends == [[head], [tail]])).all(axis=0).any())
