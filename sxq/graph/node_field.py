"""A field whose units are nodes: OVER NODES.

A unit is a node of an edge field other than the target. G_s has the edges whose two ends are kept,
G \\ G_s those of which no end is removed. An edge between a kept node and another one is in neither,
so G_s and G \\ G_s are two masks over the *parts* of the field: all edges between the same two ends,
halo edges among them. In a whole graph each node has a part of its own, too: whether it exists.

    end of a part    a unit; TARGET, the target itself; OUTSIDE, any node that no candidate holds

A candidate is connected if the edges of the edge field among its nodes join them to the target; in a
whole graph, if they join them to each other.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from sxq.graph.field import NONE, EdgeKind, Field
from sxq.graph.whole import components


@dataclass(frozen=True, eq=False, kw_only=True)
class NodeField(Field):
    """A field of which the units are nodes; `unit` has the part of each edge, or its `EdgeKind`.

    Both `ends` of a unit are its node.
    """

    base: Field  # the same with edges as units
    part_ends: np.ndarray  # [2, P] the ends of each part: units, TARGET or OUTSIDE
    free: bool = False

    over = "nodes"
    complementary = False

    @property
    def rooted(self) -> bool:  # type: ignore[override]
        return self.base.rooted

    @property
    def alone(self) -> bool:  # type: ignore[override]
        return self.free or not self.rooted

    @property
    def num_parts(self) -> int:
        return self.part_ends.shape[1]

    @property
    def unit_nodes(self) -> np.ndarray:
        """The local node [U] that each unit is."""
        return self.ends[0]

    def kept(self, bits: np.ndarray) -> np.ndarray:
        """The parts [n, P] bool that G_s has: both ends are kept."""
        one, other = self.part_ends
        present = self._ended(bits, target=True)
        return (present[one] & present[other]).T

    def left(self, bits: np.ndarray) -> np.ndarray:
        """The parts [n, P] bool that G \\ G_s has: no end is removed."""
        one, other = self.part_ends
        removed = self._ended(bits, target=False)
        return ~(removed[one] | removed[other]).T

    def _ended(self, bits: np.ndarray, target: bool) -> np.ndarray:
        """Bits [n, U] as columns [U + 2, n], with one for TARGET and one for OUTSIDE."""
        table = np.zeros((self.num_units + 2, len(bits)), bool)
        table[: self.num_units] = bits.T
        table[self.num_units] = target
        return table

    def existing(self, bits: np.ndarray) -> np.ndarray:
        """The nodes [n, num_nodes] bool of a whole graph that G_s has; all of them if no unit is kept."""
        nodes = np.zeros((len(bits), self.num_nodes), bool)
        nodes[:, self.unit_nodes] = bits
        nodes[~bits.any(axis=1)] = True
        return nodes

    @property
    def parts_of_nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Of a whole graph: the parts that tell whether a node exists, node by node, and where each begins."""
        own = self.num_parts - self.num_units + np.arange(self.num_units)
        order = np.argsort(self.unit_nodes, kind="stable")
        starts = np.searchsorted(self.unit_nodes[order], np.arange(self.num_nodes))
        return own[order], starts

    @property
    def choosing_parts(self) -> np.ndarray:
        """Of a whole graph: the parts of which G_s has one exactly if a unit is kept."""
        return self.num_parts - self.num_units + np.arange(self.num_units)

    def weights(self, bits: np.ndarray, context: bool) -> np.ndarray:
        """The parts [c, P] bool that are there where the units bits [c, U] are; see `Field.weights`."""
        return self.left(~bits) if context else self.kept(bits)

    def by_unit(self, values: np.ndarray, bits: np.ndarray, context: bool) -> np.ndarray:
        """What each unit [c, U] adds, given values of parts [c, P]: those with their other end present."""
        present = self._ended(bits, target=True).T
        present[:, -1] = context
        total = np.zeros((len(bits), self.num_units + 2))
        for own, other in (self.part_ends, self.part_ends[::-1]):
            np.add.at(total.T, own, (values * present[:, other]).T)
        return total[:, : self.num_units]

    # -- candidates ----------------------------------------------------------------------------

    def edges_of(self, bits: np.ndarray) -> np.ndarray:
        """Edge numbers in the graph of the edges of the field that G_s has, without loops; ascending."""
        inside = np.flatnonzero(self.unit >= 0)
        return np.sort(self.edges[inside[self.kept(bits[None])[0][self.unit[inside]]]])

    def units_of(self, bits: np.ndarray) -> np.ndarray:
        """The units of one candidate, ascending."""
        return np.flatnonzero(bits)

    def touched(self, bits: np.ndarray) -> np.ndarray:
        return self.reached(bits[None])[0]

    def reached(self, bits: np.ndarray) -> np.ndarray:
        """The nodes [n, num_nodes] bool of candidates bits [n, U], the target among them."""
        nodes = np.zeros((len(bits), self.num_nodes), bool)
        nodes[:, self.unit_nodes] = bits
        if self.rooted:
            nodes[:, 0] = True
        return nodes

    def frontier(self, bits: np.ndarray) -> np.ndarray:
        return np.flatnonzero(self.frontiers(bits[None])[0])

    def frontiers(self, bits: np.ndarray) -> np.ndarray:
        """Units outside candidates bits [n, U] that an edge joins to one of their nodes: [n, U] bool."""
        if self.free:
            return ~bits
        row, unit = np.nonzero(bits)
        near, owner = self.units_at(self.unit_nodes[unit])
        found = np.zeros(bits.shape, bool)
        found[row[owner], near] = True
        if self.rooted:
            found[:, self.units_at(np.zeros(1, np.int64))[0]] = True
        else:
            found[~bits.any(axis=1)] = True
        return found & ~bits

    def units_at(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The units that an edge joins to each of the nodes [n]: [k], and the position [k] of their node."""
        near, owner = neighbours_of(nodes, *self._neighbours)
        return self._codes[near], owner

    @cached_property
    def _neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the neighbours of each node begin, and the nodes that they are: those that are units."""
        return adjacency(self.base.ends, self._codes < self.num_units)

    @cached_property
    def _codes(self) -> np.ndarray:
        """The unit of each node, TARGET or OUTSIDE."""
        code = np.full(self.num_nodes, self.num_units + 1)
        code[self.unit_nodes] = np.arange(self.num_units)
        if self.rooted:
            code[0] = self.num_units
        return code

    def edges_among(self, units: np.ndarray) -> np.ndarray:
        """The ends [2, m] of the edge field's units among the nodes of units [U] bool, and the target."""
        return self.base.ends[:, self._edge_bits(units[None])[0]]

    def _edge_bits(self, bits: np.ndarray) -> np.ndarray:
        """The units of the edge field [n, E] among the nodes of candidates bits [n, U]."""
        nodes = np.ascontiguousarray(self.reached(bits).T)
        one, other = self.base.ends
        return (nodes[one] & nodes[other]).T

    def component(self, bits: np.ndarray) -> np.ndarray:
        """The part of each set of units [n, U] that is joined to the target; in a graph, the largest."""
        if self.free:
            return bits
        if not self.rooted:
            return self._largest(bits)
        joined = self.base.component(self._edge_bits(bits))
        return self.base.reached(joined)[:, self.unit_nodes] & bits

    def _largest(self, bits: np.ndarray) -> np.ndarray:
        parts, owner = self.split(bits)
        order = np.lexsort((parts.argmax(axis=1), -parts.sum(axis=1), owner))
        first = order[np.unique(owner[order], return_index=True)[1]]
        largest = np.zeros_like(bits)
        largest[owner[first]] = parts[first]
        return largest

    def split(self, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All connected parts of sets of units [n, U]: the parts [k, U], and the row [k] of each."""
        row, edge = np.nonzero(self._edge_bits(bits))
        one, other = row * self.num_nodes + self.base.ends[:, edge]
        label = components(len(bits) * self.num_nodes, one, other)
        candidate, unit = np.nonzero(bits)
        own = label[candidate * self.num_nodes + self.unit_nodes[unit]]
        names, part = np.unique(own, return_inverse=True)
        parts = np.zeros((len(names), self.num_units), bool)
        parts[part, unit] = True
        return parts, names // self.num_nodes

    def links(self, strength: np.ndarray) -> np.ndarray:
        """For each unit [U] the strongest neighbour that joins it to the hop below; NONE at the first hop."""
        link = np.full(self.num_units, NONE)
        if self.alone:
            return link
        near, owner = self.units_at(self.unit_nodes)
        below = self.unit_hop[near] == self.unit_hop[owner] - 1
        near = near[below]
        owner = owner[below]
        order = np.argsort(strength[near], kind="stable")
        link[owner[order]] = near[order]  # the last one of each unit is kept
        return link

    def independent(self) -> tuple[int, int]:
        """(s, n) as of `Field`: all nodes before a hop, and those of it; in a graph a node and its neighbours."""
        if self.free:
            return 0, self.num_units
        if self.rooted:
            by_hop = np.bincount(self.unit_hop, minlength=2)
            hop = int(by_hop.argmax())
            return int(by_hop[:hop].sum()), int(by_hop[hop])
        return 1, int(np.diff(self._neighbours[0]).max(initial=0))

    def narrowed(self, units: np.ndarray) -> "NodeField":
        """The field with only these units, ascending, as candidates; all others become context."""
        rest = over_nodes(self.base, self.unit_nodes[units], self.free)
        left_out = self.left_out + self.num_units - len(units)
        return replace(rest, left_out=left_out, excluded=self.excluded)


def adjacency(ends: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the neighbours of each node begin [n + 1], and these, among `wanted` [n]; by edges of ends [2, m]."""
    nodes = len(wanted)
    own, other = np.concatenate([ends, ends[::-1]], axis=1)
    real = wanted[other] & (own != other)
    own, other = np.divmod(np.unique(own[real] * nodes + other[real]), nodes)
    return np.searchsorted(own, np.arange(nodes + 1)), other


def neighbours_of(
    nodes: np.ndarray, starts: np.ndarray, around: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours [k] of nodes, given their `adjacency`, and the position [k] of the node of each."""
    count = starts[nodes + 1] - starts[nodes]
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    owner = np.repeat(np.arange(len(nodes)), count)
    return around[np.repeat(starts[nodes], count) + within], owner


def over_nodes(base: Field, nodes: np.ndarray | None = None, free: bool = False) -> NodeField:
    """The field whose units are the nodes of an edge field, or those of them that are listed, ascending."""
    if nodes is None:
        near = base.node_hop <= base.hops if base.rooted else np.ones(base.num_nodes, bool)
        nodes = np.flatnonzero(near)[int(base.rooted) :]
    target = len(nodes)
    code = np.full(base.num_nodes, target + 1)  # OUTSIDE
    code[nodes] = np.arange(target)
    if base.rooted:
        code[0] = target
    low, high = np.sort(code[base.edge_index], axis=0)
    part = (base.unit != EdgeKind.LOOP) & (low < target)
    codes, own = np.unique(low[part] * (target + 2) + high[part], return_inverse=True)
    unit = np.where(base.unit == EdgeKind.LOOP, EdgeKind.LOOP, EdgeKind.HALO).astype(np.int64)
    unit[part] = own.reshape(-1)
    ends = np.stack(np.divmod(codes, target + 2))
    if not base.rooted:
        ends = np.concatenate([ends, np.tile(np.arange(target), (2, 1))], axis=1)
    own_fields = {each.name: getattr(base, each.name) for each in fields(Field)}
    changed = {
        "unit": unit,
        "ends": np.tile(nodes, (2, 1)),
        "unit_hop": base.node_hop[nodes],
        "left_out": 0,
        "excluded": 0,
    }
    return NodeField(**own_fields | changed, base=base, part_ends=ends, free=free)
