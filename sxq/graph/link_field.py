"""A link as a target: the pair u, v, whether it is an edge or not, and the field around both.

The field is the union of the receptive fields of u and of v; the hop of a node is the smaller distance
to one of them. Local nodes 0 and 1 are u and v, and both are in every candidate, which is connected
once they are taken as one node. If u-v is an edge, it is a candidate unit like any other, unless the
statement says WITHOUT ITSELF: then it is in no graph.

The engine numbers a link as it numbers nodes: its position is u * n + v, of n nodes.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from sxq.errors import shown
from sxq.graph.csr import Graph
from sxq.graph.field import Field, cut_out


class LinkKey(NamedTuple):
    """The name of a link: the keys of its two ends."""

    u: Any
    v: Any

    def __str__(self) -> str:
        return f"{self.u} to {self.v}"

    def __repr__(self) -> str:
        return f"{shown(self.u)} to {shown(self.v)}"


@dataclass(frozen=True, eq=False, kw_only=True)
class LinkField(Field):
    """A field of which nodes 0 and 1 are the target; `target` is the position of the link."""

    roots = 2


def link_position(graph: Graph, u: Any, v: Any) -> int:
    """The position of a link, by the keys of its ends; raises NodeNotFound."""
    return graph.position(u) * graph.num_nodes + graph.position(v)


def link_ends(graph: Graph, position: int) -> tuple[int, int]:
    """The positions of the ends of a link."""
    return divmod(int(position), graph.num_nodes)


def link_name(graph: Graph, position: int) -> LinkKey:
    """The name of a link, given by its position."""
    return LinkKey(*map(graph.name, link_ends(graph, position)))


def between(graph: Graph, u: int, v: int) -> np.ndarray:
    """The numbers of all edges u->v and v->u, with parallel ones."""
    near = graph.in_edges(np.array([u, v]))
    return near[np.isin(graph.edge_index[0, near], [u, v]) & _crossing(graph, near)]


def _crossing(graph: Graph, edges: np.ndarray) -> np.ndarray:
    tail, head = graph.edge_index[:, edges]
    return tail != head


def extract_link(
    graph: Graph,
    position: int,
    hops: int,
    halo: int,
    directed: bool = False,
    *,
    itself: bool = True,
) -> LinkField:
    """The field of a link, given by its position, as `extract` makes that of a node.

    itself  whether the edges between u and v, if there are any, are in the field
    """
    u, v = link_ends(graph, position)
    field = LinkField(**cut_out(graph, [u, v], hops, halo, directed), target=position)
    return field if itself else _without_itself(field)


def _without_itself(field: LinkField) -> LinkField:
    """The field without the edges between nodes 0 and 1; no hop changes, as both have hop 0."""
    left = ~((field.edge_index < 2).all(axis=0) & (field.edge_index[0] != field.edge_index[1]))
    units = np.flatnonzero(~(field.ends < 2).all(axis=0))
    number = np.full(field.num_units, -1)
    number[units] = np.arange(len(units))
    unit = field.unit[left]
    return replace(
        field,
        edge_index=field.edge_index[:, left],
        edges=field.edges[left],
        unit=np.where(unit >= 0, number[unit], unit),
        ends=field.ends[:, units],
        unit_hop=field.unit_hop[units],
    )
