"""A whole graph as the field of one target, for graph classifiers.

There is no target node, so candidates are weakly connected sets of units anywhere in the graph.
Hops are replaced by the layers of the onion decomposition (Hebert-Dufresne, Grochow and Allard
2016), which refines the k-core decomposition: each step peels off all nodes of the smallest
remaining degree, or of a degree no larger than the largest such degree so far. A unit is peeled
with the first of its ends. Hop 1 is the innermost layer, so the units of the first l hops are a
prefix, as in a receptive field; here they are a core of the graph.
"""

import numpy as np

from sxq.graph.csr import Graph
from sxq.graph.distinct import distinct
from sxq.graph.field import EdgeKind, Field

NO_NODE = -1  # in `WholeGraph.target`


class WholeGraph(Field):
    """A field without a target node: `target` is NO_NODE, `hops` counts onion layers, no edge is halo."""

    rooted = False
    alone = True

    def touched(self, bits: np.ndarray) -> np.ndarray:
        """The nodes of one candidate bits [U], as [n] bool."""
        return self.reached(bits[None])[0]

    def reached(self, bits: np.ndarray) -> np.ndarray:
        """`touched` of many candidates at once: bits [n, U] -> [n, num_nodes] bool."""
        nodes = np.zeros((len(bits), self.num_nodes), bool)
        candidate, unit = np.nonzero(bits)
        nodes[candidate, self.ends[0, unit]] = nodes[candidate, self.ends[1, unit]] = True
        return nodes

    def frontier(self, bits: np.ndarray) -> np.ndarray:
        """Units outside one candidate bits [U] that share a node with it; all units if it is empty."""
        return super().frontier(bits) if bits.any() else np.arange(self.num_units)

    def frontiers(self, bits: np.ndarray) -> np.ndarray:
        """`frontier` of many candidates at once: bits [n, U] -> [n, U] bool."""
        return super().frontiers(bits) | ~bits.any(axis=1, keepdims=True)

    def component(self, bits: np.ndarray) -> np.ndarray:
        """The largest connected part of each edge set [n, U]; of equals the one with the first unit."""
        parts, owner = self.split(bits)
        size = parts.sum(axis=1)
        order = np.lexsort((parts.argmax(axis=1), -size, owner))
        first = order[np.unique(owner[order], return_index=True)[1]]
        largest = np.zeros_like(bits)
        largest[owner[first]] = parts[first]
        return largest

    def split(self, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All connected parts of edge sets bits [n, U]: the parts [k, U], and the row [k] of each."""
        candidate, unit = np.nonzero(bits)
        base = candidate * self.num_nodes
        label = components(
            len(bits) * self.num_nodes, base + self.ends[0, unit], base + self.ends[1, unit]
        )
        names, part = np.unique(label[base + self.ends[0, unit]], return_inverse=True)
        parts = np.zeros((len(names), self.num_units), bool)
        parts[part, unit] = True
        return parts, names // self.num_nodes


def whole(graph: Graph, directed: bool = False) -> WholeGraph:
    """A whole graph as a field; units are pairs unless `directed`, sorted from the core outwards."""
    tail, head = graph.edge_index
    pair = graph.edge_index if directed else np.sort(graph.edge_index, axis=0)
    real = np.flatnonzero(tail != head)
    pair = pair[:, real]
    kinds = [] if graph.types is None else [graph.unit_types(directed)[real]]
    first, owner = distinct([*pair, *kinds])
    ends = pair[:, first]
    layer = onion_layers(graph.num_nodes, ends)[ends].min(axis=0)
    hop_of, hop = np.unique(-layer, return_inverse=True)
    order = np.lexsort((ends[1], ends[0], hop))
    unit = np.full(graph.num_edges, EdgeKind.LOOP, np.int64)
    unit[real] = np.argsort(order, kind="stable")[owner]
    ends = ends[:, order]
    unit_hop = 1 + hop[order]
    node_hop = np.full(graph.num_nodes, len(hop_of))
    for end in ends:  # numpy 2.4 reads beyond `unit_hop` if ufunc.at has to broadcast it
        np.minimum.at(node_hop, end, unit_hop)
    nodes = np.argsort(node_hop, kind="stable")
    renumber = np.argsort(nodes, kind="stable")
    return WholeGraph(
        target=NO_NODE,
        hops=len(hop_of),
        halo=0,
        directed=directed,
        nodes=nodes,
        node_hop=node_hop[nodes],
        edge_index=renumber[graph.edge_index],
        edges=np.arange(graph.num_edges),
        unit=unit,
        ends=renumber[ends],
        unit_hop=unit_hop,
    )


def onion_layers(num_nodes: int, ends: np.ndarray) -> np.ndarray:
    """The layer [num_nodes] of every node, 1 is outermost; ends [2, m] of units, parallels count once."""
    ends = np.sort(ends, axis=0)
    ends = ends[:, distinct(ends)[0]]
    layer = np.zeros(num_nodes, np.int64)
    core = 0
    number = 0
    while not layer.all():
        left = layer == 0
        ends = ends[:, left[ends].all(axis=0)]
        degree = np.bincount(ends.ravel(), minlength=num_nodes)
        core = max(core, degree[left].min())
        number += 1
        layer[left & (degree <= core)] = number
    return layer


def components(num_nodes: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The first node [num_nodes] of each node's connected component; edges join a [m] and b [m]."""
    label = np.arange(num_nodes)
    while (label[a] != label[b]).any():
        low = np.minimum(label[a], label[b])
        np.minimum.at(label, label[a], low)
        np.minimum.at(label, label[b], low)
        while (label[label] != label).any():
            label = label[label]
    return label
