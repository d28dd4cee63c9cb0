"""Targets that are links: their keys, and what is refused of them."""

from collections.abc import Sequence
from typing import Any

from sxq.errors import InvalidValue
from sxq.graph import Graph, GraphSet, link_position
from sxq.graph.key_texts import kind_of
from sxq.graph.keys import shown
from sxq.language.statements import Explain
from sxq.planning.catalog import ModelInfo
from sxq.planning.nodes import CONNECTED

PRETRAINED = ("refine", "pgexplainer")  # generators whose attributors learn from nodes or graphs


def link_positions(graph: Graph, links: Sequence[Any]) -> list[int]:
    """The positions of links, by pairs of keys, each once; raises InvalidValue or NodeNotFound."""
    if (text := kind_of(graph.keys)) is not None:
        raise InvalidValue(
            f"EXPLAIN LINK in a graph whose keys are {text.sql_type}, of which no pairs can be stored; "
            "make the keys text by a cast (::VARCHAR) when the graph is created"
        )
    found = []
    for u, v in links:
        if graph.position(u) == graph.position(v):
            raise InvalidValue(
                f"LINK {shown(u)} TO {shown(v)} is a node with itself; a link has two different ends"
            )
        found.append(link_position(graph, u, v))
    return list(dict.fromkeys(found))


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
    if isinstance(graph, Graph) and graph.types is not None:
        raise InvalidValue(
            f"EXPLAIN LINK in {model.graph!r}, which has types: this is not supported"
        )
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
