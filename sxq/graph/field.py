"""The receptive field of a target: the edges that can carry a message to it, and the halo around them.

Extraction walks backwards from the target along in-edges; it costs O(field), never O(graph). Hop of
an edge = 1 + hop of its head (a pair: 1 + the smaller hop of its ends); candidates have hop <= L.
Peeling by this hop never disconnects what remains.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np

from sxq.graph.bits import pack_columns, unpack_columns
from sxq.graph.csr import Graph
from sxq.graph.distinct import components, distinct

NONE = -1  # no unit


class EdgeKind(IntEnum):
    """The value of `Field.unit` for an edge that belongs to no unit, and so is no candidate."""

    # present in every inference: a self-loop, which is part of its node; of a field whose units are
    # features, every edge
    LOOP = -1
    HALO = -2  # a context edge: present only where the rest of the graph is


@dataclass(frozen=True, eq=False, kw_only=True)
class Field:
    """The receptive field of one target; positions are local: 0 is the target, nodes are sorted by hop.

    A unit is a set of edges that is removed or kept as a whole. Units are sorted by hop, so those
    of the l-hop subgraph are a prefix. Fields of other units derive from this class (`NodeField`,
    `FeatureField`); what differs between them is here, so that nobody else asks what a unit is.
    """

    target: int  # position of the target in the graph
    hops: int  # L: the depth of the model
    halo: int  # rings of context around the field
    directed: bool  # a unit is a directed edge (with its parallels), otherwise a pair {u->v, v->u}
    nodes: np.ndarray  # [n] positions in the graph
    node_hop: np.ndarray  # [n] 0 .. hops + halo, ascending
    edge_index: np.ndarray  # [2, m] local, messages flow from row 0 to row 1
    edges: np.ndarray  # [m] edge numbers in the graph
    unit: np.ndarray  # [m] unit of each edge, or its `EdgeKind`
    ends: np.ndarray  # [2, U] local ends of each unit (source and head where directed)
    unit_hop: np.ndarray  # [U] 1 .. hops, ascending
    left_out: int = 0  # units that are context only, because the field was too large to search
    excluded: int = 0  # units that are context only, because the statement keeps them out

    rooted = True  # candidates contain node 0, the target; a `WholeGraph` has none
    roots = 1  # how many of the first nodes are the target: both ends of a link
    alone = False  # whether any single unit is a candidate, wherever it lies
    free = False  # whether any set of units is a candidate
    over = "edges"  # what units are, as OVER names it
    complementary = True  # whether G \\ G_s has exactly the parts that G_s lacks

    @property
    def num_units(self) -> int:
        return len(self.unit_hop)

    @property
    def all_units(self) -> int:
        """The units of the whole field, with those that were left out or excluded."""
        return self.num_units + self.left_out + self.excluded

    @property
    def num_nodes(self) -> int:
        return len(self.nodes)

    @property
    def num_parts(self) -> int:
        """The number P of parts: the edges of a part, by `unit`, are in the same graphs of every candidate."""
        return self.num_units

    def kept(self, bits: np.ndarray) -> np.ndarray:
        """The parts [n, P] bool of G_s, of candidates bits [n, U]."""
        return bits

    def left(self, bits: np.ndarray) -> np.ndarray:
        """The parts [n, P] bool of G \\ G_s."""
        return ~bits

    def existing(self, bits: np.ndarray) -> np.ndarray:
        """The nodes [n, num_nodes] bool of a whole graph that G_s has; all of them if no unit is kept."""
        nodes = self.reached(bits)
        nodes[~bits.any(axis=1)] = True
        return nodes

    @property
    def parts_of_nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Of a whole graph: the parts that tell whether a node exists, node by node, and where each begins."""
        ends = self.ends.ravel()
        order = np.argsort(ends, kind="stable")
        index = np.tile(np.arange(self.num_units), 2)[order]
        return index, np.searchsorted(ends[order], np.arange(self.num_nodes))

    @property
    def choosing_parts(self) -> np.ndarray:
        """Of a whole graph: the parts of which G_s has one exactly if a unit is kept."""
        return np.arange(self.num_units)

    def weights(self, bits: np.ndarray, context: bool) -> np.ndarray:
        """The parts [c, P] bool that are there where the units bits [c, U] are: with the halo, or without."""
        return bits

    def by_unit(self, values: np.ndarray, bits: np.ndarray, context: bool) -> np.ndarray:
        """What each unit [c, U] adds, given values of parts [c, P] where `weights` are there."""
        return values

    def links(self, strength: np.ndarray) -> np.ndarray:
        """For each unit [U] the one of largest strength [U] that joins it to the hop below.

        NONE at the first hop, and where each unit is a candidate alone.
        """
        if self.alone:
            return np.full(self.num_units, NONE)
        near, far = self.ends_by_hop
        # The units that reach a node first; the last unit of each node is kept, which is the best.
        first = np.flatnonzero(self.node_hop[far] == self.unit_hop)
        first = first[np.argsort(strength[first], kind="stable")]
        by_node = np.full(self.num_nodes, NONE)
        by_node[far[first]] = first
        return by_node[near]

    @property
    def ends_by_hop(self) -> tuple[np.ndarray, np.ndarray]:
        """The end of each unit that is nearer to the target, and the other: [U] local nodes each."""
        tail, head = self.ends
        if self.directed:
            return head, tail
        nearer = self.node_hop[tail] < self.node_hop[head]
        return np.where(nearer, tail, head), np.where(nearer, head, tail)

    def independent(self) -> tuple[int, int]:
        """(s, n): any choice of n units may be added to some candidate of s units, or to none.

        In a receptive field that is a tree of shortest paths to all nodes before the last hop, which
        every unit touches.
        """
        if self.rooted:
            tree = int((self.node_hop < self.hops).sum()) - self.roots
            return tree, self.num_units - tree
        return 0, int(np.bincount(self.ends.ravel()).max())

    def narrowed(self, units: np.ndarray) -> "Field":
        """The field with only these units, ascending, as candidates; all others become context."""
        return replace(
            self,
            unit=renumbered(self.unit, units, self.num_units),
            ends=self.ends[:, units],
            unit_hop=self.unit_hop[units],
            left_out=self.left_out + self.num_units - len(units),
        )

    def without(self, units: np.ndarray) -> "Field":
        """The field without these units [U] bool as candidates; they become context."""
        rest = self.narrowed(np.flatnonzero(~units))
        number = int(np.count_nonzero(units))
        return replace(rest, left_out=self.left_out, excluded=self.excluded + number)

    @cached_property
    def layer_sizes(self) -> np.ndarray:
        """Number of units at hop 1, 2, ..., L, as [L]."""
        return np.bincount(self.unit_hop, minlength=self.hops + 1)[1:]

    def edges_of(self, bits: np.ndarray) -> np.ndarray:
        """Edge numbers in the graph of one candidate, bits [U] bool; ascending."""
        chosen = np.flatnonzero(self.unit >= 0)
        return np.sort(self.edges[chosen[bits[self.unit[chosen]]]])

    def units_of(self, bits: np.ndarray) -> np.ndarray:
        """The unit of each of the `edges_of` one candidate, in their order; of other units than edges, the units."""
        chosen = np.flatnonzero(self.unit >= 0)
        own = chosen[bits[self.unit[chosen]]]
        return self.unit[own[np.argsort(self.edges[own], kind="stable")]]

    def touched(self, bits: np.ndarray) -> np.ndarray:
        """The local nodes of one candidate bits [U], with the target, as [n] bool."""
        nodes = np.zeros(self.num_nodes, bool)
        nodes[: self.roots] = True
        nodes[self.ends[:, bits].ravel()] = True
        return nodes

    def reached(self, bits: np.ndarray) -> np.ndarray:
        """`touched` of many candidates at once: bits [n, U] -> [n, num_nodes] bool."""
        nodes = np.zeros((len(bits), self.num_nodes), bool)
        nodes[:, : self.roots] = True
        candidate, unit = np.nonzero(bits)
        nodes[candidate, self.ends[0, unit]] = nodes[candidate, self.ends[1, unit]] = True
        return nodes

    def frontier(self, bits: np.ndarray) -> np.ndarray:
        """Units outside a connected candidate bits [U] that share a node with it or the target."""
        nodes = self.touched(bits)
        return np.flatnonzero((nodes[self.ends[0]] | nodes[self.ends[1]]) & ~bits)

    def frontiers(self, bits: np.ndarray) -> np.ndarray:
        """`frontier` of many connected candidates at once: bits [n, U] -> [n, U] bool."""
        nodes = self.reached(bits)
        return (nodes[:, self.ends[0]] | nodes[:, self.ends[1]]) & ~bits

    def units_at(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The units at each of the nodes [n]: units [k], and the position [k] of their node in `nodes`."""
        known, _, around, starts = self._ends_by_node
        place = np.searchsorted(known, nodes)
        count = np.diff(np.append(starts, len(around)))[place]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return around[np.repeat(starts[place], count) + within], np.repeat(
            np.arange(len(nodes)), count
        )

    def component(self, bits: np.ndarray) -> np.ndarray:
        """The part of each edge set that is weakly connected to the target: bits [n, U] -> [n, U]."""
        if not bits.any():
            return np.zeros_like(bits)
        nodes, (one, other), around, starts = self._ends_by_node
        columns = pack_columns(bits)
        reached = np.zeros((len(starts), columns.shape[1]), np.uint64)
        reached[nodes < self.roots] = ~np.uint64(0)  # the target
        while True:
            linked = reached.take(one, axis=0)
            linked |= reached.take(other, axis=0)
            linked &= columns
            now = np.bitwise_or.reduceat(linked.take(around, axis=0), starts, axis=0)
            now |= reached
            if (now == reached).all():
                return unpack_columns(linked, len(bits))
            reached = now

    def connects(self, bits: np.ndarray) -> np.ndarray:
        """Which edge sets [n, U] hold a path between nodes 0 and 1, the ends of a link: [n] bool."""
        candidate, unit = np.nonzero(bits)
        base = candidate * self.num_nodes
        count = len(bits) * self.num_nodes
        label = components(count, base + self.ends[0, unit], base + self.ends[1, unit])
        first = np.arange(len(bits)) * self.num_nodes
        return label[first] == label[first + 1]

    @cached_property
    def _ends_by_node(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The nodes that have a unit; the ends of units [2, U] as positions among these nodes; the units
        around each node, one after another [2 U]; and where those of each node begin."""
        order = np.argsort(self.ends, axis=None, kind="stable")
        nodes, starts, ends = np.unique(
            self.ends.ravel()[order], return_index=True, return_inverse=True
        )
        numbers = np.empty(len(order), np.int64)
        numbers[order] = ends
        return nodes, numbers.reshape(2, -1), order % self.num_units, starts


def extract(graph: Graph, target: int, hops: int, halo: int, directed: bool = False) -> Field:
    """The receptive field of `target` (a position) for a model of depth `hops`, with `halo` rings.

    Units are pairs on undirected graphs unless `directed`; edges of different types are never of one
    unit, but for a type and its mirror. The field of an isolated target has no units.
    """
    return Field(**cut_out(graph, [target], hops, halo, directed), target=target)


def cut_out(
    graph: Graph, roots: Sequence[int], hops: int, halo: int, directed: bool
) -> dict[str, Any]:
    """The parts of the field around some roots, which are its first nodes."""
    directed = directed or not graph.undirected
    # The reverse direction of a pair at the outermost hop ends one ring further out.
    rings = hops + (halo if directed else max(halo, 1))
    nodes, node_hop, edges, ends = _walk(graph, roots, rings)
    ends = _lookup(nodes, ends)
    hop_of_end = node_hop[ends]
    loop = ends[0] == ends[1]
    hop = 1 + (hop_of_end[1] if directed else hop_of_end.min(axis=0))
    candidate = ~loop & (hop <= hops)
    inside = hop_of_end[1] < hops + halo
    keep = candidate | inside
    edges = edges[keep]
    ends = ends[:, keep]
    hop = hop[keep]
    loop = loop[keep]
    candidate = candidate[keep]
    pair = ends if directed else np.sort(ends, axis=0)
    kinds = [] if graph.types is None else [graph.unit_types(directed)[edges]]
    unit, unit_ends, unit_hop = _units(
        pair, hop, candidate, [nodes[pair[0]], nodes[pair[1]], *kinds]
    )
    unit[loop] = EdgeKind.LOOP
    used = node_hop <= max(hops + halo, 0)
    renumber = np.cumsum(used) - 1
    return {
        "hops": hops,
        "halo": halo,
        "directed": directed,
        "nodes": nodes[used],
        "node_hop": node_hop[used],
        "edge_index": renumber[ends],
        "edges": edges,
        "unit": unit,
        "ends": renumber[unit_ends],
        "unit_hop": unit_hop,
    }


def induced_edges(graph: Graph, target: int, hops: int) -> int:
    """The number of directed edges within `hops` of the target: |E| of the paper's conciseness."""
    field = extract(graph, target, hops, 1, directed=True)
    return int((field.node_hop[field.edge_index] <= hops).all(axis=0).sum())


def _walk(
    graph: Graph, roots: Sequence[int], rings: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Nodes within `rings` steps back from the roots, by (hop, position); their hops; the edges; their ends."""
    frontier = np.array(roots)
    seen = np.sort(frontier)
    rings_of_nodes = [frontier]
    walked = [np.zeros(0, np.int64)]
    ends_walked = [np.zeros((2, 0), np.int64)]
    for _ in range(rings):
        edges, ends = graph.entering(frontier)
        walked.append(edges)
        ends_walked.append(ends)
        frontier = np.setdiff1d(ends[0], seen)
        if not len(frontier):
            break
        rings_of_nodes.append(frontier)
        seen = np.union1d(seen, frontier)
    hop = np.repeat(np.arange(len(rings_of_nodes)), [len(ring) for ring in rings_of_nodes])
    ends = np.concatenate(ends_walked, axis=1)
    return np.concatenate(rings_of_nodes), hop, np.concatenate(walked), ends


def _lookup(nodes: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Local numbers of graph positions."""
    order = np.argsort(nodes)
    return order[np.searchsorted(nodes, positions, sorter=order)]


def _units(pair: np.ndarray, hop: np.ndarray, candidate: np.ndarray, names: list[np.ndarray]):
    """Number the distinct units by (hop, names): the unit of each edge, ends and hops of units.

    names  what edges of one unit share, [m] each: the positions of their ends, perhaps a type
    """
    unit = np.full(pair.shape[1], EdgeKind.HALO, np.int64)
    pair = pair[:, candidate]
    hop = hop[candidate]
    first, unit[candidate] = distinct([hop, *(name[candidate] for name in names)])
    return unit, pair[:, first], hop[first]


def renumbered(unit: np.ndarray, kept: np.ndarray, count: int) -> np.ndarray:
    """The units [E] of edges once only those in `kept` [k], ascending, of `count` are left; the others are halo."""
    number = np.full(count, EdgeKind.HALO, np.int64)
    number[kept] = np.arange(len(kept))
    # Kinds of edges below 0 are no places in a table, which may have one row.
    changed = unit.copy()
    own = unit >= 0
    changed[own] = number[unit[own]]
    return changed
