"""Checks of OVER: what nodes or features as units cannot be combined with, and what would be right."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from sxq.errors import InvalidValue
from sxq.graph import Graph, GraphSet, over_features, varying_features
from sxq.language.statements import Explain
from sxq.planning.catalog import Catalog
from sxq.planning.nodes import FieldScan

ANYWAY = "any set of features is a candidate"  # so that ANYWHERE says nothing


def check_over(
    statement: Explain, catalog: Catalog, generators: Sequence[str], measures: Sequence[str]
) -> None:
    """Raise InvalidValue for a clause, a generator, a measure or a setting that the units rule out."""
    over = statement.over
    if over == "edges":
        return
    clause = f"OVER {over.upper()}"
    for given, why in _contradictions(statement, catalog.settings):
        raise InvalidValue(f"{clause} with {given}: {why}")
    known = [name for name, entry in catalog.generators.items() if over in entry.over]
    for name in generators:
        if name not in known:
            others = ", ".join(one for one in known if one != "deepening")
            raise InvalidValue(
                f"{clause} with BY {name}, which proposes sets of edges; for {over} choose of {others}"
            )
    named = [*measures, *(each.name for each in statement.where), *catalog.settings["sxq_report"]]
    if "density" in named:
        raise InvalidValue(
            f"{clause} with the measure 'density', the share of possible edges among a candidate's nodes; "
            "it is for OVER EDGES"
        )


def _contradictions(
    statement: Explain, settings: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    """The clauses that are given and have no meaning here, each with the reason and the remedy."""
    if statement.of_class is not None:
        yield "EXPLAIN CLASS", "patterns are made of edges; say OVER EDGES, or EXPLAIN NODES"
    if statement.directed:
        yield "EDGES DIRECTED", "only edges have directions; leave out one of the two"
    if statement.over == "nodes":
        return
    if statement.anywhere:
        yield "ANYWHERE", f"{ANYWAY}, wherever they are; leave out ANYWHERE"
    if statement.diversify:
        yield (
            "DIVERSIFY",
            "it covers nodes, and features have none; say OVER NODES, or leave it out",
        )
    if settings["sxq_answer"] == "divsx":
        yield "sxq_answer = 'divsx'", "it covers nodes, and features have none; RESET sxq_answer"


def field_size(scan: FieldScan, graph: Graph | GraphSet, position: int) -> int:
    """The number of units of a target's field."""
    if isinstance(graph, GraphSet):
        own = graph.member(position)
        nodes = np.arange(own.num_nodes)
        return len(nodes) if scan.over == "nodes" else len(varying_features(own, nodes, "zero")[0])
    field = scan.field(graph, position, 0)
    if scan.over == "edges":
        return field.num_units
    if scan.over == "features":
        return over_features(field, graph, "zero").num_units
    return int((field.node_hop <= field.hops).sum()) - field.roots
