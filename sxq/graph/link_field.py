"""A link as a target: the pair u, v, whether it is an edge or not, and the field around both.

The field is the union of the receptive fields of u and of v; the hop of a node is the smaller distance
to one of them. Local nodes 0 and 1 are u and v, and both are in every candidate, which is connected
once they are taken as one node. If u-v is an edge, it is a candidate unit like any other, unless the
statement says WITHOUT ITSELF: then it is in no graph.

The engine numbers a link as it numbers nodes: its position is u * n + v, of n nodes. In a heterogeneous
graph a link has an edge type; its own edges are those of this type, and the mirrored ones.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from sxq.errors import shown
from sxq.graph.csr import Graph
from sxq.graph.field import Field, cut_out, renumbered
from sxq.graph.typed_keys import TypedKey
from sxq.graph.types import EdgeType


class LinkKey(NamedTuple):
    """The name of a link: the keys of its two ends."""

    u: Any
    v: Any

    def __str__(self) -> str:
        return f"{self.u} to {self.v}"

    def __repr__(self) -> str:
        return f"{shown(self.u)} to {shown(self.v)}"


class TypedLinkKey(LinkKey):
    """The name of a link of an edge type: u and v are full names of nodes, each with its type."""

    edge_type: EdgeType

    def __str__(self) -> str:
        return f"{self.u.key} to {self.v.key}"

    def __repr__(self) -> str:
        return f"{shown(self.u.key)} to {shown(self.v.key)}"


def typed_link(u: TypedKey, v: TypedKey, relation: str) -> TypedLinkKey:
    """The name of a link of a heterogeneous graph."""
    key = TypedLinkKey(u, v)
    key.edge_type = (u.node_type, relation, v.node_type)
    return key


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


def link_name(graph: Graph, position: int, edge_type: EdgeType | None = None) -> LinkKey:
    """The name of a link, given by its position and, in a heterogeneous graph, its type."""
    u, v = map(graph.name, link_ends(graph, position))
    return LinkKey(u, v) if edge_type is None else typed_link(u, v, edge_type[1])


def between(graph: Graph, u: int, v: int, edge_type: EdgeType | None = None) -> np.ndarray:
    """The numbers of all edges u->v and v->u, with parallel ones; of a type and its mirror if one is given."""
    near = graph.in_edges(np.array([u, v]))
    found = near[np.isin(graph.edge_index[0, near], [u, v]) & _crossing(graph, near)]
    if edge_type is None or graph.types is None:
        return found
    return found[np.isin(graph.types.of_edge[found], graph.types.with_mirror(edge_type))]


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
    edge_type: EdgeType | None = None,
) -> LinkField:
    """The field of a link, given by its position, as `extract` makes that of a node.

    itself     whether the edges between u and v, if there are any, are in the field
    edge_type  in a heterogeneous graph, the type of the edges that are meant
    """
    u, v = link_ends(graph, position)
    field = LinkField(**cut_out(graph, [u, v], hops, halo, directed), target=position)
    return field if itself else _without(field, between(graph, u, v, edge_type))


def _without(field: LinkField, gone: np.ndarray) -> LinkField:
    """The field without edges between nodes 0 and 1; no hop changes, as both have hop 0."""
    left = ~np.isin(field.edges, gone)
    units = np.setdiff1d(np.arange(field.num_units), field.unit[~left])
    return replace(
        field,
        edge_index=field.edge_index[:, left],
        edges=field.edges[left],
        unit=renumbered(field.unit[left], units, field.num_units),
        ends=field.ends[:, units],
        unit_hop=field.unit_hop[units],
    )
