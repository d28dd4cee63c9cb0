"""AUDIT's checks of the units of stored edges and of their worth, which need no model.

Files of earlier versions have neither: all is NULL there.
"""

import math
from collections.abc import Iterator
from itertools import zip_longest

from sxq.graph import Graph, shown_type
from sxq.storage import StoredExplanation


def wrong_units(
    member: StoredExplanation, graph: Graph | None, first_edge: int, directed: bool | None
) -> Iterator[str]:
    """Faults in the units, the numbers and the worth of an explanation's edges, in words."""
    worths = member.worths
    if not worths or all(value is None for worth in worths for value in worth):
        return
    if any(worth.unit is None or worth.edge is None for worth in worths):
        yield "some of its edges have no unit or no number"
        return
    if directed is not None and member.columns["size"] != (units := len({w.unit for w in worths})):
        yield f"its edges are of {units} units, but size is {member.columns['size']}"
    if graph is not None:
        yield from _wrong_numbers(member, graph, first_edge)
    yield from _wrong_worths(member)


def _wrong_numbers(member: StoredExplanation, graph: Graph, first_edge: int) -> Iterator[str]:
    """Every edge has the number of an edge with its ends, each another one."""
    numbers = [worth.edge - first_edge for worth in member.worths if worth.edge is not None]
    if len(set(numbers)) < len(numbers):
        yield "two of its edges have one number"
    types = graph.types
    for number, (u, v), kind in zip_longest(numbers, member.edges, member.edge_types):
        inside = 0 <= number < graph.num_edges
        ends = tuple(map(graph.name, graph.edge_index[:, number].tolist())) if inside else None
        own = shown_type(types.edge_types[types.of_edge[number]]) if inside and types else None
        if ends != (u, v) or own != kind:
            yield f"edge {u!r} -> {v!r} has number {number + first_edge}, which is another edge"
            return


def _wrong_worths(member: StoredExplanation) -> Iterator[str]:
    """All edges have a worth or none has, and the edges of one unit have the same."""
    measured = [worth[2:] for worth in member.worths]
    if all(value is None for worth in measured for value in worth):
        return
    if any(value is None or not math.isfinite(value) for worth in measured for value in worth):
        yield "the worth of some of its edges is missing"
    elif len({(worth.unit, *worth[2:]) for worth in member.worths}) > len(
        {worth.unit for worth in member.worths}
    ):
        yield "edges of one unit have different worths"
