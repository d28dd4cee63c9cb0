"""Targets that are links: their keys, and what is refused of them."""

from collections.abc import Sequence
from typing import Any

from sxq.errors import InvalidValue, UnknownName
from sxq.graph import EdgeType, Graph, GraphSet, shown_type
from sxq.graph.key_texts import kind_of
from sxq.graph.keys import shown
from sxq.graph.types import read_type
from sxq.language.statements import Explain
from sxq.planning.catalog import ModelInfo
from sxq.planning.nodes import CONNECTED

PRETRAINED = ("refine", "pgexplainer")  # generators whose attributors learn from nodes or graphs


def scored_type(model: ModelInfo, graph: Graph, given: str | EdgeType | None) -> EdgeType | None:
    """The edge type of a statement's links, which is the one that the model scores.

    given  of OF TYPE: a relation, or an edge type. Raises UnknownName or InvalidValue.
    """
    if graph.types is None:
        if given is not None:
            raise InvalidValue(
                f"OF TYPE {_written(given)}, but the edges of {model.graph!r} have no types: leave it out"
            )
        return None
    own = model.edge_type
    assert own is not None, "registration finds the type of the links"
    if read_type(shown_type(own)) != own:
        raise InvalidValue(
            f"links of type {shown_type(own)}: the names of its parts hold ' -' or '-> ', so that the type "
            "cannot be stored as text; rename them in the graph"
        )
    if given is None or given == own or given in (own[1], shown_type(own)):
        _require_one(graph, own, given)
        return own
    known = [shown_type(kind) for kind in graph.types.edge_types]
    found = graph.types.edge_types_of(given) if isinstance(given, str) else [given]
    if not found or shown_type(found[0]) not in known:
        raise UnknownName("edge type", _written(given), known)
    raise InvalidValue(
        f"OF TYPE {_written(given)}, but model {model.name!r} scores links of type {shown_type(own)}: "
        f"name these, or register the model under another name with edge_type={found[0]!r}"
    )


def _require_one(graph: Graph, own: EdgeType, given: str | EdgeType | None) -> None:
    """Raise InvalidValue where a relation is that of several edge types."""
    assert graph.types is not None, "edges have types"
    found = graph.types.edge_types_of(given) if isinstance(given, str) else []
    if len(found) > 1:
        raise InvalidValue(
            f"OF TYPE {given} stands for {' and '.join(map(shown_type, found))}: write {shown_type(own)}"
        )


def _written(given: str | EdgeType) -> str:
    return given if isinstance(given, str) else shown_type(given)


def link_positions(
    graph: Graph, links: Sequence[Any], edge_type: EdgeType | None = None
) -> list[int]:
    """The positions of links, by pairs of keys, each once; raises InvalidValue or NodeNotFound."""
    if (text := kind_of(graph.keys)) is not None:
        raise InvalidValue(
            f"EXPLAIN LINK in a graph whose keys are {text.sql_type}, of which no pairs can be stored; "
            "make the keys text by a cast (::VARCHAR) when the graph is created"
        )
    types = (None, None) if edge_type is None else edge_type[::2]
    found = []
    for link in links:
        u, v = (_end(graph, end, kind) for end, kind in zip(link, types))
        if u == v:
            raise InvalidValue(
                f"LINK {shown(link[0])} TO {shown(link[1])} is a node with itself; a link has two "
                "different ends"
            )
        found.append(u * graph.num_nodes + v)
    return list(dict.fromkeys(found))


def _end(graph: Graph, key: Any, node_type: str | None) -> int:
    """The position of an end of a link, which is of a type; raises NodeNotFound or InvalidValue."""
    position = graph.position(key, node_type)
    if graph.types is not None:
        found = graph.types.node_types[graph.types.of_node[position]]
        if found != node_type:
            raise InvalidValue(
                f"node {shown(graph.key(position))} is a {found}, but this end of the link is a {node_type}"
            )
    return position


def check_links(
    statement: Explain, model: ModelInfo, graph: Graph | GraphSet, generators: Sequence[str]
) -> None:
    """Raise InvalidValue for clauses of links without a link, and for what links cannot be asked."""
    flags = [one.name for one in statement.where if one.op == "is"]
    if statement.kind != "link":
        if statement.without_itself:
            raise InvalidValue("WITHOUT ITSELF is for EXPLAIN LINK: leave it out")
        if CONNECTED in flags:
            raise InvalidValue(
                "WHERE connected asks for a path between the two ends of a link: leave it out, as a member "
                "of a node or a graph is connected anyway"
            )
        return
    if statement.jointly:
        raise InvalidValue("EXPLAIN LINKS with JOINTLY is not supported: leave out JOINTLY")
    if CONNECTED in flags and statement.over == "features":
        raise InvalidValue(
            "WHERE connected with OVER FEATURES: features are on no path; leave it out"
        )
    if wrong := [name for name in generators if name in PRETRAINED]:
        raise InvalidValue(
            f"EXPLAIN LINK with BY {wrong[0]}, whose attributors learn from nodes or graphs: say BY search, "
            "BY gnnexplainer or BY cf2"
        )
