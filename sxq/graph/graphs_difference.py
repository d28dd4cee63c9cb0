"""What differs between two versions of a collection: graphs that are gone, new ones, and those that changed.

Graphs are the same by their keys. One is unchanged if a model sees the same of it, and its nodes have the same keys.
All that have as many nodes and edges as before are compared at once; the edges of a changed one are matched as those
of two versions of a single graph.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sxq.graph.collection import GraphSet
from sxq.graph.csr import Graph, rows_of
from sxq.graph.difference import GONE, Difference, alike, difference


@dataclass(frozen=True, eq=False, kw_only=True)
class GraphsDifference(Difference):
    """As a `Difference`, of which the nodes are the graphs of a collection; edges are numbered through all of them."""

    def affected(self, later: Any, steps: int) -> np.ndarray:
        """The graphs [n'] bool of the later version that changed or are new; what happens in others does not matter."""
        return self.touched if self.alike else np.ones(len(later), bool)


def graphs_difference(earlier: GraphSet, later: GraphSet) -> GraphsDifference:
    """What differs between two versions of a collection."""
    graphs = _same_keys(earlier, later)
    both = np.flatnonzero(graphs != GONE)
    same = alike(earlier.union, later.union)
    edges = np.full(earlier.num_edges, GONE)
    touched = np.ones(len(later), bool)
    if same:
        unchanged = _unchanged(earlier, later, both, graphs[both])
        touched[graphs[both[unchanged]]] = False
        for number in both[~unchanged].tolist():
            _match(earlier, later, (number, int(graphs[number])), edges)
        _shift(earlier, later, both[unchanged], graphs[both[unchanged]], edges)
    return GraphsDifference(
        nodes=graphs,
        edges=edges,
        touched=touched,
        in_order=bool((np.diff(graphs[both]) > 0).all()),
        alike=same,
    )


def _same_keys(earlier: GraphSet, later: GraphSet) -> np.ndarray:
    """The number in the later version of each graph of the earlier one, by key; GONE."""
    place = {later.key(number): number for number in range(len(later))}
    return np.array([place.get(earlier.key(n), GONE) for n in range(len(earlier))], np.int64)


def _unchanged(
    earlier: GraphSet, later: GraphSet, before: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """Which graphs [k] of the earlier version are the same in the later one, given their numbers there."""
    found = np.ones(len(before), bool)
    for pointer in ("node_ptr", "edge_ptr"):
        sizes = [
            np.diff(getattr(graphs, pointer))[numbers]
            for graphs, numbers in ((earlier, before), (later, after))
        ]
        found &= sizes[0] == sizes[1]
    alike = np.flatnonzero(found)
    if not len(alike):
        return found
    nodes, edges, ends, owner = earlier.gather(before[alike])
    others, other_edges, other_ends, _ = later.gather(after[alike])
    changed = np.zeros(len(alike), bool)
    changed[owner[_differ(_of_nodes(earlier), _of_nodes(later), nodes, others)]] = True
    rows = _differ(_of_edges(earlier.union), _of_edges(later.union), edges, other_edges)
    rows |= (ends != other_ends).any(axis=0)
    changed[owner[ends[1, rows]]] = True
    found[alike[changed]] = False
    return found


def _differ(
    earlier: list[np.ndarray], later: list[np.ndarray], before: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """Which rows [k] of arrays differ between two versions."""
    other = np.zeros(len(before), bool)
    for held, now in zip(earlier, later):
        other |= (rows_of(held[before]) != rows_of(now[after])).any(axis=1)
    return other


def _of_nodes(graphs: GraphSet) -> list[np.ndarray]:
    """What a model sees of nodes, and their keys."""
    union = graphs.union
    keys = np.arange(graphs.num_nodes) - graphs.node_ptr[graphs.graph_of_node]
    if graphs.node_keys is not None:
        keys = np.empty(graphs.num_nodes, object)
        keys[:] = graphs.node_keys
    kinds = [] if union.types is None else [union.types.of_node]
    return [union.x, keys, *kinds, *(union.node_inputs[name] for name in sorted(union.node_inputs))]


def _of_edges(union: Graph) -> list[np.ndarray]:
    """What a model sees of edges, besides their ends."""
    held = [
        union.edge_weight,
        union.edge_attr,
        None if union.types is None else union.types.of_edge,
    ]
    held += [union.edge_inputs[name] for name in sorted(union.edge_inputs)]
    return [array for array in held if array is not None]


def _shift(
    earlier: GraphSet, later: GraphSet, before: np.ndarray, after: np.ndarray, edges: np.ndarray
) -> None:
    """Number the edges of unchanged graphs as the later version does."""
    numbers, owner = earlier.edges_of(before)
    edges[numbers] = numbers - earlier.edge_ptr[before][owner] + later.edge_ptr[after][owner]


def _match(earlier: GraphSet, later: GraphSet, numbers: tuple[int, int], edges: np.ndarray) -> None:
    """Number the edges of a changed graph that its later version has, too."""
    before, after = numbers
    found = difference(earlier.member(before), later.member(after)).edges
    first = earlier.edge_ptr[before]
    edges[first : first + len(found)] = np.where(found == GONE, GONE, found + later.edge_ptr[after])
