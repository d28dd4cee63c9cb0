"""Fields whose candidates a statement restricts: units they must hold, must not hold, or may hold anywhere.

A unit that no candidate may hold becomes context (`kept_out`). For the rest, generators get a field
of their own, and know nothing of the restriction: it has only the units that a candidate may hold
or not, and `Restriction.widened` makes candidates of what they propose. (Of units that are nodes,
`restricted_nodes` makes that field.)

    must hold   the ends of these units are one node, the target, so that what generators build is
                joined to them. Those that lie apart from the target are a node of their own, and a
                candidate that does not reach it is joined to it by a shortest path
    anywhere    every set of units is a candidate: `AnywhereField`

Exactly the candidates that a restriction admits can be made: a set of units that holds all of the
first and is connected stays as it is, and every other set becomes such a one.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from sxq.graph.field import EdgeKind, Field
from sxq.graph.node_field import NodeField
from sxq.graph.restricted_nodes import JoinedNodeField, joined_nodes
from sxq.graph.whole import WholeGraph, components, onion_layers

NONE = -1


@dataclass(frozen=True, eq=False, kw_only=True)
class JoinedField(Field):
    """A field for generators: `ends` and hops are those of candidates, all else is the model's.

    Node 0 stands for the target and all units that candidates must hold. A hop is the number of
    units on a shortest path to it, in either direction.
    """

    rooted: bool = True  # as in the field it is made from

    alone = False

    def independent(self) -> tuple[int, int]:
        """The units that touch node 0: any choice of them is a candidate."""
        return 0, int(self.frontiers(np.zeros((1, self.num_units), bool)).sum())


@dataclass(frozen=True, eq=False, kw_only=True)
class AnywhereField(Field):
    """A field for generators in which every set of units is a candidate."""

    rooted: bool = True  # as in the field it is made from

    alone = True
    free = True

    def independent(self) -> tuple[int, int]:
        return 0, self.num_units

    def frontier(self, bits: np.ndarray) -> np.ndarray:
        """Units outside a candidate bits [U]."""
        return np.flatnonzero(~bits)

    def frontiers(self, bits: np.ndarray) -> np.ndarray:
        """`frontier` of many candidates at once: bits [n, U] -> [n, U] bool."""
        return ~bits

    def component(self, bits: np.ndarray) -> np.ndarray:
        """The edge sets [n, U] themselves: they need not be connected."""
        return bits


@dataclass(frozen=True, eq=False, kw_only=True)
class Restriction:
    """What generators see of a field, and how their proposals become candidates."""

    field: Field  # for generators, with U' units
    units: np.ndarray  # [U'] their numbers among the U units of the whole field
    included: np.ndarray  # [U] bool: units that every candidate holds
    # Parts of the included units that lie apart from the target: the node in `field` that stands
    # for each, and a shortest path [U'] bool to it.
    bridges: tuple[tuple[int, np.ndarray], ...] = ()

    @property
    def size(self) -> int:
        """The number of included units."""
        return int(np.count_nonzero(self.included))

    def widened(self, bits: np.ndarray) -> np.ndarray:
        """Candidates [n, U] from what generators propose, bits [n, U']."""
        if self.included.any() or isinstance(self.field, JoinedField | JoinedNodeField):
            bits = self._joined(bits)
        return self.filled(bits, True)

    def filled(self, bits: np.ndarray, included: bool) -> np.ndarray:
        """Bits [n, U'] among all units [n, U], with or without those included."""
        whole = np.zeros((len(bits), len(self.included)), bool)
        whole[:, self.units] = bits
        if included:
            whole |= self.included
        return whole

    def _joined(self, bits: np.ndarray) -> np.ndarray:
        """Bits [n, U'] joined to the target and to every included unit; what lies apart is dropped."""
        if self.field.alone:
            return bits
        for node, path in self.bridges:
            apart = ~self.field.reached(self.field.component(bits))[:, node]
            bits = bits | (apart[:, None] & path)
        return self.field.component(bits)


def kept_out(field: Field, units: np.ndarray, anywhere: bool) -> Field:
    """The field without units [U] bool, nor, unless `anywhere`, those that only they join to the target."""
    rest = field.without(units)
    if anywhere or rest.free or not field.rooted:
        return rest
    return rest.without(apart(rest))


def apart(field: Field) -> np.ndarray:
    """Units [U] bool of a node's field that no path of candidate units joins to the target."""
    if field.over != "edges":
        return ~field.component(np.ones((1, field.num_units), bool))[0]
    level, _ = _levels(field.ends, field.num_nodes)
    return level[field.ends[0]] == NONE


def unjoined(field: Field, included: np.ndarray) -> np.ndarray:
    """The numbers of included units, [U] bool, that nothing joins to the target, or in a graph to the first of them."""
    units = np.flatnonzero(included)
    ends = field.ends
    if isinstance(field, NodeField):
        ends = field.edges_among(np.ones(field.num_units, bool))
    label = components(field.num_nodes, *ends)
    root = 0 if field.rooted else field.ends[0, units[0]]
    return units[label[field.ends[0, units]] != label[root]]


def restrict(field: Field, included: np.ndarray, anywhere: bool) -> Restriction:
    """The field as generators see it, where candidates hold all units `included` [U] bool.

    All of these can be joined to the target (see `unjoined`).
    """
    units = np.flatnonzero(~included)
    if field.free:  # of other units than edges
        return Restriction(field=field.narrowed(units), units=units, included=included)
    if isinstance(field, NodeField):
        return _restrict_nodes(field, included)
    if anywhere:
        free = _view(AnywhereField, field, units, ends=field.ends, hop=field.unit_hop)
        return Restriction(field=free, units=units, included=included)
    if not field.rooted and not included.any():
        return Restriction(field=_peeled_anew(field), units=units, included=included)
    label, parts = _parts(field, field.ends[:, included], field.ends[0, included])
    ends = label[field.ends]
    level, entered = _levels(ends, field.num_nodes)
    able = ~included & (level[ends[0]] >= 0)  # in a graph, parts without included units fall away
    units = np.flatnonzero(able)
    hop = 1 + level[ends].min(axis=0)
    seen = _view(JoinedField, field, units, ends=ends, hop=hop, level=level)
    bridges = tuple((node, _path(ends, level, entered, node)[units]) for node in parts)
    return Restriction(field=seen, units=units, included=included, bridges=bridges)


def _view(kind, field: Field, units: np.ndarray, *, ends, hop, level=None) -> Field:
    """A field for generators with some units, and other ends [2, U] and hops [U]."""
    number = np.full(field.num_units + 2, EdgeKind.HALO, np.int64)  # the last two: the edge kinds
    number[EdgeKind.LOOP] = EdgeKind.LOOP
    number[units] = np.arange(len(units))
    own = {each.name: getattr(field, each.name) for each in fields(Field)}
    changed = {"unit": number[field.unit], "ends": ends[:, units], "unit_hop": hop[units]}
    if level is not None:
        most = int(hop[units].max(initial=0))
        far = np.where(level < 0, most + 1, level)
        changed |= {"node_hop": far, "hops": most, "directed": False}
    return kind(**own | changed, rooted=field.rooted)


def _peeled_anew(field: Field) -> Field:
    """A whole graph whose onion layers are those of the units that are left."""
    if not field.num_units:
        return field
    layer = onion_layers(field.num_nodes, field.ends)[field.ends].min(axis=0)
    _, hop = np.unique(-layer, return_inverse=True)
    assert isinstance(field, WholeGraph)
    return replace(field, unit_hop=1 + hop, hops=int(hop.max()) + 1)


def _restrict_nodes(field: NodeField, included: np.ndarray) -> Restriction:
    """`restrict` where units are nodes."""
    units = np.flatnonzero(~included)
    if not field.rooted and not included.any():
        return Restriction(field=field, units=units, included=included)
    label, parts = _parts(field, field.edges_among(included), field.unit_nodes[included])
    base = field.base
    every = np.arange(base.num_units)
    base = _view(JoinedField, base, every, ends=label[base.ends], hop=base.unit_hop)
    seen, units, paths = joined_nodes(field, base, label, units, np.array(parts, np.int64))
    bridges = tuple(zip(parts, paths))
    return Restriction(field=seen, units=units, included=included, bridges=bridges)


def _parts(field: Field, ends: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The part [n] of each node, if edges of ends [2, m] join nodes [k], and the parts that lie apart.

    Part 0 is that of the target, or in a graph the first one.
    """
    label = components(field.num_nodes, *ends)
    parts = np.unique(label[nodes])
    if not field.rooted:  # swap node 0 with the first part
        first = parts[0]
        label = np.where(label == first, -1, np.where(label == 0, first, label))
        label = np.where(label == -1, 0, label)
        parts = np.where(parts == first, 0, np.where(parts == 0, first, parts))
    return label, [int(part) for part in parts if part]


def _levels(ends: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """The number of units from each node [n] to node 0, and the first unit of a shortest path; or NONE."""
    level = np.full(nodes, NONE)
    entered = np.full(nodes, NONE)
    level[0] = 0
    for step in range(1, nodes + 1):
        found = 0
        for near, far in (ends, ends[::-1]):
            units = np.flatnonzero((level[near] == step - 1) & (level[far] == NONE))
            entered[far[units]] = units
            level[far[units]] = step
            found += len(units)
        if not found:
            break
    return level, entered


def _path(ends: np.ndarray, level: np.ndarray, entered: np.ndarray, node: int) -> np.ndarray:
    """The units [U] bool of a shortest path from a node to node 0."""
    path = np.zeros(ends.shape[1], bool)
    while level[node] > 0:
        unit = entered[node]
        path[unit] = True
        one, other = ends[:, unit]
        node = other if one == node else one
    return path
