"""OVER, INCLUDE, EXCLUDE and ANYWHERE for one target: from edges and nodes by key, and features, to units of its field.

In a collection, an edge or a node is looked up in the graph of each target; EXCLUDE skips a graph
that lacks it.
"""

from typing import Any

import numpy as np

from sxq.errors import InvalidValue, NodeNotFound
from sxq.graph import (
    EdgeKind,
    FeatureField,
    Field,
    Graph,
    NodeField,
    Restriction,
    kept_out,
    over_features,
    over_nodes,
    restrict,
    unjoined,
)
from sxq.graph.keys import shown
from sxq.planning.nodes import Choose, EdgeKey, FieldScan, Generate, Named, Plan, unit_text

# Besides the kinds of edges that are no units:
NOT_THERE = -3  # not in the field at all
TARGET = -4  # the target itself


def in_units(scan: FieldScan, graph: Graph, field: Field) -> Field:
    """A field whose units are edges with those of OVER."""
    if scan.over == "nodes":
        return over_nodes(field, free=scan.anywhere)
    return over_features(field, graph, scan.baseline) if scan.over == "features" else field


def exclude(scan: FieldScan, graph: Graph, field: Field) -> Field:
    """The field without the units that EXCLUDE names, nor those that only they join to the target."""
    which, units = _units(graph, field, scan.exclude)
    if TARGET in units:
        key = unit_text(scan.over, scan.exclude[which[units.tolist().index(TARGET)]])
        raise InvalidValue(
            f"EXCLUDE NODES {key}, but it is the target, which every candidate holds"
        )
    chosen = np.zeros(field.num_units, bool)
    chosen[units[units >= 0]] = True
    return kept_out(field, chosen, scan.anywhere)


def restriction(scan: FieldScan, graph: Graph, field: Field, target: Any) -> Restriction | None:
    """What generators see of the field; None where nothing restricts candidates.

    Raises InvalidValue if a unit of INCLUDE is outside of the field, or cannot be joined to the target.
    """
    if not (scan.include or not field.free and (scan.anywhere or field.excluded)):
        return None
    included = _included(scan, graph, field, target)
    if (
        included.any()
        and not (scan.anywhere or field.free)
        and len(bad := unjoined(field, included))
    ):
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
    of_features = scan.over == "features"
    parts = {
        f"connected{to}": not scan.anywhere and not of_features,
        f"with the {scan.over} of INCLUDE": scan.include,
        "without those of EXCLUDE": scan.exclude,
        "admitted by WHERE": smallest and plan.filter,
    }
    any_ = "of any features" if of_features else "connected or not"
    return ", ".join(words for words, given in parts.items() if given) or any_


def worth_included(scan: FieldScan, graph: Graph, field: Field, worth: np.ndarray) -> np.ndarray:
    """The worth [U] of units, with that of included ones above all others."""
    _, units = _units(graph, field, scan.include)
    worth = worth.copy()
    worth[units[units >= 0]] = np.inf
    return worth


def _included(scan: FieldScan, graph: Graph, field: Field, target: Any) -> np.ndarray:
    """The units [U] bool that INCLUDE names; raises InvalidValue for one that is none."""
    which, units = _units(graph, field, scan.include)
    word = "INCLUDE" if scan.over == "edges" else f"INCLUDE {scan.over.upper()}"
    for number, unit in zip(which.tolist(), units.tolist()):
        if unit < 0 and unit != TARGET:
            why = _why_none(scan, unit, target)
            raise InvalidValue(f"{word} {unit_text(scan.over, scan.include[number])}, but {why}")
    included = np.zeros(field.num_units, bool)
    included[units[units != TARGET]] = True
    return included


def _why_none(scan: FieldScan, unit: int, target: Any) -> str:
    named = f"{scan.kind} {shown(target)}"
    if scan.over == "features":
        place = "the graph" if scan.kind == "graph" else "the field"
        return f"it is constant on {place} of {named}, so that no candidate can hold it"
    if scan.kind == "graph" and scan.over == "nodes":
        return f"{named} has no such node"
    if unit == EdgeKind.LOOP:
        return "a self-loop belongs to its node, and is part of no candidate"
    if scan.kind == "graph":
        return f"{named} has no such edge"
    if scan.exclude and (unit == EdgeKind.HALO or scan.over == "nodes"):
        return (
            f"no candidate of {named} can hold it: it is outside of its {scan.hops}-hop field, or "
            "EXCLUDE keeps out what joins it to the target"
        )
    carry = "carry" if scan.over == "edges" else "send"
    return (
        f"it is outside of the {scan.hops}-hop field of {named}: it cannot {carry} a message there"
    )


def _not_joined(scan: FieldScan, graph: Graph, field: Field, target: Any, unit: int) -> str:
    source, head = (shown(graph.name(node)) for node in field.nodes[field.ends[:, unit]].tolist())
    held = f"{source}->{head}" if scan.over == "edges" else f"NODES {source}"
    to = f"node {shown(target)}" if field.rooted else f"the other {scan.over} of INCLUDE"
    return (
        f"INCLUDE {held} cannot be joined to {to} by {scan.over} that a candidate may hold; "
        "ANYWHERE allows candidates that are not connected"
    )


def _units(graph: Graph, field: Field, named: Named) -> tuple[np.ndarray, np.ndarray]:
    """The units of edges, nodes or features: the number of each in `named`, and that of its unit.

    In place of a unit stands an `EdgeKind`, NOT_THERE or TARGET. With types, an edge names the units of all types.
    """
    which = np.arange(len(named))
    if isinstance(field, FeatureField):
        known = {column: unit for unit, column in enumerate(field.columns.tolist())}
        found = [known.get(column, NOT_THERE) for column, _ in named]
        return which, np.array(found, np.int64)
    if isinstance(field, NodeField):
        nodes = field.nodes[field.unit_nodes].tolist()
        known = {node: unit for unit, node in enumerate(nodes)}
        known |= {field.target: TARGET} if field.rooted else {}
        found = [known.get(_position(graph, key), NOT_THERE) for key in named]
        return which, np.array(found, np.int64)
    return _units_of_edges(graph, field, named)


def _units_of_edges(
    graph: Graph, field: Field, edges: tuple[EdgeKey, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The same for edges, which are given by the keys of their ends."""
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
    tail, head = (_position(graph, key) for key in edge)
    return -1 if min(tail, head) < 0 else tail * graph.num_nodes + head


def _position(graph: Graph, key: Any) -> int:
    """The position of a node; -1 where it is not in the graph."""
    try:
        return graph.position(key)
    except NodeNotFound:
        return -1
