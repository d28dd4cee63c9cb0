"""OVER, INCLUDE, EXCLUDE and ANYWHERE for one target: from edges by key to units of its field.

In a collection, an edge is looked up in the graph of each target; EXCLUDE skips a graph that lacks
it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sxq.errors import InvalidValue, NodeNotFound
from sxq.graph import (
    EdgeKind,
    Field,
    Graph,
    Restriction,
    kept_out,
    over_features,
    over_nodes,
    restrict,
    unjoined,
)
from sxq.graph.keys import shown
from sxq.planning.nodes import Choose, EdgeKey, FieldScan, Generate, Plan

NOT_THERE = -3  # the unit of an edge that is not in the field at all


def in_units(scan: FieldScan, graph: Graph, field: Field) -> Field:
    """A field whose units are edges with those of OVER."""
    if scan.over == "nodes":
        return over_nodes(field, free=scan.anywhere)
    return over_features(field, graph, scan.baseline) if scan.over == "features" else field


def exclude(scan: FieldScan, graph: Graph, field: Field) -> Field:
    """The field without the units that EXCLUDE names, nor those that only they join to the target."""
    _, units = _units(graph, field, scan.exclude)
    chosen = np.zeros(field.num_units, bool)
    chosen[units[units >= 0]] = True
    return kept_out(field, chosen, scan.anywhere)


def restriction(scan: FieldScan, graph: Graph, field: Field, target: Any) -> Restriction | None:
    """What generators see of the field; None where nothing restricts candidates.

    Raises InvalidValue if an edge of INCLUDE is outside of the field, or cannot be joined to the target.
    """
    if not (scan.include or scan.anywhere or field.excluded) or field.free:
        return None
    included = _included(scan, graph, field, target)
    if included.any() and not scan.anywhere and len(bad := unjoined(field, included)):
        raise InvalidValue(_not_joined(scan, graph, field, target, int(bad[0])))
    return restrict(field, included, scan.anywhere)


def scope(plan: Plan) -> str:
    """Which candidates a plan that proves something is about, in words; empty if it proves nothing."""
    scan = plan.find(FieldScan)
    smallest = plan.find(Choose).smallest
    limited = any(
        name == "exhaustive" and dict(options).get("size")
        for name, options in plan.find(Generate).generators
    )
    if not smallest and not limited:
        return ""
    to = " to the target" if scan.kind == "node" else ""
    if scan.over == "features":
        return "admitted by WHERE" if smallest and plan.filter else "of any features"
    parts = {
        f"connected{to}": not scan.anywhere,
        "with the edges of INCLUDE": scan.include,
        "without those of EXCLUDE": scan.exclude,
        "admitted by WHERE": smallest and plan.filter,
    }
    return ", ".join(words for words, given in parts.items() if given) or "connected or not"


def worth_included(scan: FieldScan, graph: Graph, field: Field, worth: np.ndarray) -> np.ndarray:
    """The worth [U] of units, with that of included ones above all others."""
    _, units = _units(graph, field, scan.include)
    worth = worth.copy()
    worth[units[units >= 0]] = np.inf
    return worth


def _included(scan: FieldScan, graph: Graph, field: Field, target: Any) -> np.ndarray:
    """The units [U] bool that INCLUDE names; raises InvalidValue for an edge that is none."""
    which, units = _units(graph, field, scan.include)
    for number, unit in zip(which.tolist(), units.tolist()):
        if unit < 0:
            source, head = scan.include[number]
            raise InvalidValue(
                f"INCLUDE {shown(source)}->{shown(head)}, but {_why_none(scan, unit, target)}"
            )
    included = np.zeros(field.num_units, bool)
    included[units] = True
    return included


def _why_none(scan: FieldScan, unit: int, target: Any) -> str:
    named = f"{scan.kind} {shown(target)}"
    if unit == EdgeKind.LOOP:
        return "a self-loop belongs to its node, and is part of no candidate"
    if scan.kind == "graph":
        return f"{named} has no such edge"
    if scan.exclude and unit == EdgeKind.HALO:
        return (
            f"no candidate of {named} can hold it: it is outside of its {scan.hops}-hop field, or "
            "EXCLUDE keeps out what joins it to the target"
        )
    return f"it is outside of the {scan.hops}-hop field of {named}: it cannot carry a message there"


def _not_joined(scan: FieldScan, graph: Graph, field: Field, target: Any, unit: int) -> str:
    source, head = (shown(graph.name(node)) for node in field.nodes[field.ends[:, unit]].tolist())
    to = f"node {shown(target)}" if field.rooted else "the other edges of INCLUDE"
    return (
        f"INCLUDE {source}->{head} cannot be joined to {to} by edges that a candidate may hold; "
        "ANYWHERE allows candidates that are not connected"
    )


def _units(graph: Graph, field: Field, edges: Sequence[EdgeKey]) -> tuple[np.ndarray, np.ndarray]:
    """The units of edges that are given by the keys of their ends: the number of the edge, and of the unit.

    In place of a unit stands an `EdgeKind`, or NOT_THERE. With types, an edge names the units of all types.
    """
    tail, head = field.nodes[field.edge_index]
    codes = tail * graph.num_nodes + head
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    wanted = np.array([_code(graph, edge) for edge in edges], np.int64)
    first = np.searchsorted(codes, wanted)
    count = np.searchsorted(codes, wanted, side="right") - first
    if graph.types is None:
        count = np.minimum(count, 1)  # parallel edges are of one unit
    which = np.repeat(np.arange(len(wanted)), np.maximum(count, 1))
    within = np.arange(len(which)) - np.searchsorted(which, which)
    missing = (count == 0)[which]
    place = np.where(missing, 0, first[which] + within)
    if not len(codes):
        return which, np.full(len(which), NOT_THERE)
    return which, np.where(missing, NOT_THERE, field.unit[order[place]])


def _code(graph: Graph, edge: EdgeKey) -> int:
    """A number for an edge of the graph; -1 where a node is not in it."""
    try:
        tail, head = map(graph.position, edge)
    except NodeNotFound:
        return -1
    return tail * graph.num_nodes + head
