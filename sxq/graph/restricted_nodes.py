"""OVER NODES where candidates must hold some nodes: the field that generators see.

The nodes that candidates must hold fall into connected parts. Node 0 stands for the target and the
part that is joined to it, in a whole graph for the first part. Each part that lies apart is a *wire*:
a node that is always there and is no unit. A unit at a wire is joined to all others there, so a
candidate that reaches it holds that part.
"""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from sxq.graph.field import NONE, Field
from sxq.graph.node_field import NodeField, adjacency, neighbours_of


@dataclass(frozen=True, eq=False, kw_only=True)
class JoinedNodeField(NodeField):
    """A field of nodes for generators: `base`, `ends` and hops are those of the joined parts."""

    wires: np.ndarray  # [k] local nodes

    alone = False

    def reached(self, bits: np.ndarray) -> np.ndarray:
        """The nodes [n, num_nodes] bool of candidates bits [n, U], with node 0 and the wires at them."""
        nodes = self._present(bits)
        near, owner = super().units_at(self.wires)
        for place, wire in enumerate(self.wires.tolist()):
            nodes[:, wire] = bits[:, near[owner == place]].any(axis=1)
        return nodes

    def frontiers(self, bits: np.ndarray) -> np.ndarray:
        """Units outside candidates bits [n, U] that touch them or node 0: [n, U] bool."""
        row, unit = np.nonzero(bits)
        near, owner = self.units_at(self.unit_nodes[unit])
        found = np.zeros(bits.shape, bool)
        found[row[owner], near] = True
        found[:, self.units_at(np.zeros(1, np.int64))[0]] = True
        return found & ~bits

    def units_at(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The units that an edge, or a wire, joins to each of the nodes [n]; some of them twice."""
        near, owner = super().units_at(nodes)
        if not len(self.wires):
            return near, owner
        wire, at = neighbours_of(nodes, *self._wires_around)
        far, place = super().units_at(wire)
        return np.append(near, far), np.append(owner, at[place])

    def component(self, bits: np.ndarray) -> np.ndarray:
        """The part of each set of units [n, U] that is joined to node 0, through wires too."""
        nodes = self._present(bits)
        nodes[:, self.wires] = True
        one, other = self.base.ends
        joined = self.base.component(nodes[:, one] & nodes[:, other])
        return self.base.reached(joined)[:, self.unit_nodes] & bits

    def independent(self) -> tuple[int, int]:
        """The units that touch node 0: any choice of them is a candidate."""
        return 0, len(super().units_at(np.zeros(1, np.int64))[0])

    def _present(self, bits: np.ndarray) -> np.ndarray:
        nodes = np.zeros((len(bits), self.num_nodes), bool)
        nodes[:, self.unit_nodes] = bits
        nodes[:, 0] = True
        return nodes

    @cached_property
    def _wires_around(self) -> tuple[np.ndarray, np.ndarray]:
        wired = np.zeros(self.num_nodes, bool)
        wired[self.wires] = True
        return adjacency(self.base.ends, wired)


def joined_nodes(
    field: NodeField, base: Field, label: np.ndarray, units: np.ndarray, wires: np.ndarray
) -> tuple[JoinedNodeField, np.ndarray, list[np.ndarray]]:
    """The field that generators see, which of the `units` are its units, and a path from each wire to node 0.

    base    the edge field between parts; `label` [n] is the part of each node

    A path is bool over the field's units.
    """
    nodes = label[field.unit_nodes[units]]
    able = np.zeros(field.num_nodes, bool)
    able[nodes] = True
    level, entered = _levels(base.ends, able, wires)
    near = level[nodes] != NONE
    nodes = nodes[near]
    own = {each.name: getattr(field, each.name) for each in fields(NodeField)}
    hops = {"unit_hop": level[nodes], "hops": int(level[nodes].max(initial=0))}
    changed = {"base": base, "ends": np.tile(nodes, (2, 1)), **hops}
    seen = JoinedNodeField(**own | changed, wires=wires)
    paths = [_path(entered, wire)[nodes] for wire in wires.tolist()]
    return seen, units[near], paths


def _levels(ends: np.ndarray, able: np.ndarray, wires: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of units [n] on a shortest path from each node to node 0, the node itself included,
    and the node [n] that comes next on that path; or NONE. Wires are no units.

    able    [n] bool: the nodes that are units
    """
    level, entered = np.full((2, len(able)), NONE)
    level[0] = 0
    wired = np.zeros(len(able), bool)
    wired[wires] = True
    ends = np.concatenate([ends, ends[::-1]], axis=1)
    ends = ends[:, able[ends[1]] | wired[ends[1]]]
    for step in range(1, len(able) + 1):
        for kind, steps in ((wired, step - 1), (able, step)):
            near, far = ends
            new = (level[near] == step - 1) & (level[far] == NONE) & kind[far]
            entered[far[new]] = near[new]
            level[far[new]] = steps
        if not (level == step).any():
            break
    return level, entered


def _path(entered: np.ndarray, node: int) -> np.ndarray:
    """The nodes [n] bool between a node and node 0, without these two."""
    path = np.zeros(len(entered), bool)
    while entered[node] > 0:
        node = entered[node]
        path[node] = True
    return path
