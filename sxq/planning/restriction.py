"""Checks of INCLUDE, EXCLUDE and ANYWHERE: edges that the graph has, and no contradictions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sxq.errors import InvalidValue
from sxq.graph import Graph, GraphSet
from sxq.graph.keys import shown
from sxq.language.statements import Explain, Parameter, Subquery
from sxq.planning.nodes import EdgeKey

CONNECTED = ("onion",)  # generators that peel hop by hop, so that their candidates stay connected


def edges_of(clause: Any, graph: Graph | GraphSet) -> tuple[EdgeKey, ...]:
    """The edges of INCLUDE or EXCLUDE, each once, by the graph's own keys; raises NodeNotFound."""
    assert not isinstance(clause, Subquery | Parameter), "the session has run the sub-query"
    if isinstance(graph, GraphSet):  # each target has keys of its own
        return tuple(dict.fromkeys((source, head) for source, head in clause))
    own = ((graph.name(graph.position(u)), graph.name(graph.position(v))) for u, v in clause)
    return tuple(dict.fromkeys(own))


def check_restriction(
    statement: Explain, graph: Graph | GraphSet, generators: Sequence[str]
) -> None:
    """Raise InvalidValue for a contradiction, or an edge that the graph lacks; NodeNotFound for a node."""
    if statement.anywhere and (wrong := [name for name in generators if name in CONNECTED]):
        raise InvalidValue(
            f"ANYWHERE with BY {wrong[0]}: its candidates are connected, as it peels them hop by hop; "
            "leave out ANYWHERE, or choose another generator, such as BY search"
        )
    include = edges_of(statement.include, graph)
    exclude = edges_of(statement.exclude, graph)
    if isinstance(graph, Graph):
        _check_edges("INCLUDE", include, graph)
        _check_edges("EXCLUDE", exclude, graph)
    _check_disjoint(include, exclude, pairs=not statement.directed and graph.undirected)


def _check_edges(clause: str, edges: Sequence[EdgeKey], graph: Graph) -> None:
    """Check that the graph has every edge."""
    if not edges:
        return
    ends = np.array([[graph.position(source), graph.position(head)] for source, head in edges])
    near = graph.in_edges(np.unique(ends[:, 1]))
    there = set(map(tuple, graph.edge_index[:, near].T.tolist()))
    for (source, head), pair in zip(edges, map(tuple, ends.tolist())):
        if pair in there:
            continue
        reverse = pair[1] in graph.edge_index[0, graph.in_edges(np.array(pair[:1]))]
        hint = f"; it has {shown(head)}->{shown(source)}" if reverse else ""
        raise InvalidValue(
            f"{clause} {shown(source)}->{shown(head)}, but the graph has no such edge{hint}"
        )


def _check_disjoint(include: Sequence[EdgeKey], exclude: Sequence[EdgeKey], pairs: bool) -> None:
    """Check that no unit is in both; where units are pairs, an edge stands for both directions."""
    units = {edge for one in exclude for edge in ((one, one[::-1]) if pairs else (one,))}
    both = next((edge for edge in include if edge in units), None)
    if both:
        raise InvalidValue(
            f"{shown(both[0])}->{shown(both[1])} is in INCLUDE and in EXCLUDE: every candidate would "
            "have to hold it, and none may; leave it out of one of the two"
        )
