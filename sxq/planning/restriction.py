"""Checks of INCLUDE, EXCLUDE and ANYWHERE: units that the graph has, and no contradictions."""

import re
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from sxq.errors import InvalidValue, did_you_mean
from sxq.graph import Graph, GraphSet
from sxq.graph.keys import shown
from sxq.graph.typed_keys import is_pair, type_word
from sxq.language.statements import Explain, Parameter, Subquery, Units
from sxq.planning.nodes import Column, EdgeKey, Named, unit_text

CONNECTED = ("onion",)  # generators that peel hop by hop, so that their candidates stay connected
FORMS = {"edges": "u->v, ...", "nodes": "NODES key, ...", "features": "FEATURES name, ..."}


def restricted_units(clause: str, given: Any, over: str, graph: Graph | GraphSet) -> Named:
    """What INCLUDE or EXCLUDE names, each once: edges and nodes by the graph's own keys, and columns.

    Raises InvalidValue for units that OVER does not say, or that the graph lacks; NodeNotFound.
    """
    if not given:
        return ()
    found = given.over if isinstance(given, Units) else "edges"
    if found != over:
        raise InvalidValue(
            f"{clause} names {found}, but the units are {over}: say {clause} {FORMS[over]}, "
            f"or OVER {found.upper()}"
        )
    units = given.listed if isinstance(given, Units) else given
    assert not isinstance(units, Subquery | Parameter), "the session has run the sub-query"
    if over == "features":
        return tuple(dict.fromkeys(_column(clause, unit, graph) for unit in units))
    if isinstance(graph, GraphSet):  # each target has keys of its own
        return tuple(dict.fromkeys(units))
    if over == "nodes":
        of_type = given.node_type if isinstance(given, Units) else None
        return tuple(dict.fromkeys(graph.name(graph.position(key, of_type)) for key in units))
    return tuple(dict.fromkeys(named_edges(clause, units, graph)))


def named_edges(clause: str, edges: Sequence[tuple[Any, Any]], graph: Graph) -> list[EdgeKey]:
    """Edges by names of their ends. Keys of several types mean the types that the graph's edge joins.

    Raises NodeNotFound, and InvalidValue if edges between several types are meant, or none.
    """
    ends = [(graph.positions(source), graph.positions(head)) for source, head in edges]
    meant = [list(product(sources, heads)) for sources, heads in ends]
    open_ = {pair for pairs in meant if len(pairs) > 1 for pair in pairs}
    there = _there(open_, graph)
    found = []
    for edge, pairs in zip(edges, meant):
        own = pairs if len(pairs) == 1 else [pair for pair in pairs if pair in there]
        if len(own) != 1:
            raise InvalidValue(f"{clause} {_which_types(edge, own, pairs, graph)}")
        ((source, head),) = own
        found.append((graph.name(source), graph.name(head)))
    return found


def _there(pairs: set[tuple[int, int]], graph: Graph) -> set[tuple[int, int]]:
    """Those of pairs of nodes that an edge of the graph joins."""
    if not pairs:
        return set()
    near = graph.in_edges(np.unique([head for _, head in pairs]))
    return pairs & set(zip(*graph.edge_index[:, near].tolist()))


def _which_types(
    edge: tuple[Any, Any], own: list[tuple[int, int]], pairs: list[tuple[int, int]], graph: Graph
) -> str:
    """What is wrong with an edge that joins nodes of several types, or of none of the types of its keys."""
    source, head = (shown(key[1] if is_pair(key) else key) for key in edge)

    def readings(of: list[tuple[int, int]], word: str) -> str:
        named = ((graph.name(u), graph.name(v)) for u, v in of)
        return f" {word} ".join(
            f"{source} OF TYPE {type_word(u.node_type)} -> {head} OF TYPE {type_word(v.node_type)}"
            for u, v in named
        )

    if not own:
        return f"{source}->{head}, but the graph has no such edge: neither {readings(pairs, 'nor')}"
    return f"{source}->{head} is an edge of several types; write {readings(own, 'or')}"


def check_restriction(
    statement: Explain, graph: Graph | GraphSet, generators: Sequence[str]
) -> None:
    """Raise InvalidValue for a contradiction, or a unit that the graph lacks; NodeNotFound for a node."""
    if statement.anywhere and (wrong := [name for name in generators if name in CONNECTED]):
        raise InvalidValue(
            f"ANYWHERE with BY {wrong[0]}: its candidates are connected, as it peels them hop by hop; "
            "leave out ANYWHERE, or choose another generator, such as BY search"
        )
    over = statement.over
    include = restricted_units("INCLUDE", statement.include, over, graph)
    exclude = restricted_units("EXCLUDE", statement.exclude, over, graph)
    if over == "edges" and isinstance(graph, Graph):
        _check_edges("INCLUDE", include, graph)
        _check_edges("EXCLUDE", exclude, graph)
    pairs = over == "edges" and not statement.directed and graph.undirected
    _check_disjoint(include, exclude, over=over, pairs=pairs)


def _column(clause: str, given: Any, graph: Graph | GraphSet) -> Column:
    """The column of x that a name or a number stands for."""
    union = graph.union if isinstance(graph, GraphSet) else graph
    most = union.num_columns
    if isinstance(given, str):
        return Column(_numbered(clause, given, union), given)
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidValue(
            f"{clause} FEATURES {shown(given)}; a feature is named by text, or by its number"
        )
    if not 0 <= given < most:
        raise InvalidValue(
            f"{clause} FEATURES {given}, but the graph has {most} features, numbered from 0"
        )
    return Column(given, union.feature_name(given))


def _numbered(clause: str, name: str, graph: Graph) -> int:
    """The number of the feature of this name."""
    if graph.types is not None:
        names = list(map(graph.feature_name, range(graph.num_columns)))
        found = [place for place, own in enumerate(names) if own == name]
        hint = did_you_mean(name, names)
    elif graph.feature_names is None:
        plain = re.fullmatch(r"x\[(\d+)\]", name)
        found = [int(plain[1])] if plain and int(plain[1]) < graph.num_features else []
        hint = f": it has {graph.num_features} without names, from 'x[0]'"
    else:
        found = [place for place, own in enumerate(graph.feature_names) if own == name]
        hint = did_you_mean(name, graph.feature_names)
    if not found:
        raise InvalidValue(
            f"{clause} FEATURES {shown(name)}, but the graph has no such feature{hint}"
        )
    if len(found) > 1:
        raise InvalidValue(
            f"{clause} FEATURES {shown(name)} stands for the columns {found[0]} and {found[1]}; "
            "write the number"
        )
    return found[0]


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


def _check_disjoint(include: Named, exclude: Named, *, over: str, pairs: bool) -> None:
    """Check that no unit is in both; where units are pairs, an edge stands for both directions."""
    units = {unit for one in exclude for unit in ((one, one[::-1]) if pairs else (one,))}
    both = next((unit for unit in include if unit in units), None)
    if both is not None:
        raise InvalidValue(
            f"{unit_text(over, both)} is in INCLUDE and in EXCLUDE: every candidate would "
            "have to hold it, and none may; leave it out of one of the two"
        )
