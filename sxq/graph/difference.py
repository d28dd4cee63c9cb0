"""What differs between two versions of a graph, and which receptive fields that touches.

Nodes are the same by their names; edges are the same if they join the same nodes with the same values, of
equal ones the first to the first. Both versions are compared once, in a few passes over their arrays.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sxq.graph.csr import Graph, rows_of

GONE = -1


@dataclass(frozen=True, eq=False, kw_only=True)
class Difference:
    """What differs between an earlier version of a graph and a later one."""

    nodes: np.ndarray  # [n] the position in the later one of each node of the earlier; GONE
    edges: np.ndarray  # [E] the number in the later one of each edge of the earlier; GONE
    touched: np.ndarray  # [n'] bool: later nodes that are new, or have other features or in-edges
    in_order: bool  # nodes and edges that are in both stand in the same order
    alike: bool  # the two have the same columns, and units of the same kind

    def stays(self, position: int) -> bool:
        """Whether the node at a position of the later version was there in the earlier one."""
        return position < len(self.nodes) and bool(self.nodes[position] == position)

    def affected(self, later: Any, steps: int) -> np.ndarray:
        """The nodes [n'] bool of the later version, a `Graph`, that a touched one can reach in so many steps."""
        if not (self.alike and self.in_order):
            return np.ones(later.num_nodes, bool)
        found = self.touched.copy()
        tail, head = later.edge_index
        for _ in range(steps):
            before = np.count_nonzero(found)
            found[head[found[tail]]] = True
            if np.count_nonzero(found) == before:
                break
        return found


def difference(earlier: Graph, later: Graph) -> Difference:
    """What differs between two versions of a graph."""
    nodes = _same_nodes(earlier, later)
    same = alike(earlier, later)
    edges = _same_edges(earlier, later, nodes) if same else np.full(earlier.num_edges, GONE)
    touched = np.ones(later.num_nodes, bool)
    both = nodes != GONE
    if same:
        touched[nodes[both]] = _other_rows(earlier, later, np.flatnonzero(both), nodes[both])
        for heads in (
            nodes[earlier.edge_index[1, edges == GONE]],
            later.edge_index[1, np.setdiff1d(np.arange(later.num_edges), edges)],
        ):
            touched[heads[heads != GONE]] = True
    return Difference(
        nodes=nodes,
        edges=edges,
        touched=touched,
        in_order=all((np.diff(kept[kept != GONE]) > 0).all() for kept in (nodes, edges)),
        alike=same,
    )


def _same_nodes(earlier: Graph, later: Graph) -> np.ndarray:
    """The position in the later version of each node of the earlier one, by name; GONE."""
    n = earlier.num_nodes
    if earlier.types is None and later.types is None:
        if earlier.keys is None and later.keys is None:
            found = np.arange(n)
            found[later.num_nodes :] = GONE
            return found
        if earlier.keys and later.keys and earlier.keys == later.keys[:n]:
            return np.arange(n)
    place = {later.name(position): position for position in range(later.num_nodes)}
    return np.array([place.get(earlier.name(position), GONE) for position in range(n)], np.int64)


def alike(earlier: Graph, later: Graph) -> bool:
    """Whether two versions have the same columns for models, in the same types, and the same kind of units."""
    return bool(
        earlier.undirected == later.undirected
        and _shape(earlier) == _shape(later)
        and _kinds(earlier) == _kinds(later)
    )


def _kinds(graph: Graph) -> Any:
    """The types of a graph with their columns, whichever nodes and edges have them."""
    types = graph.types
    if types is None:
        return None
    return types.node_types, types.edge_types, types.widths, types.edge_widths


def _shape(graph: Graph) -> list:
    held = {"x": graph.x, "edge_weight": graph.edge_weight, "edge_attr": graph.edge_attr}
    held |= {f"node {name}": array for name, array in graph.node_inputs.items()}
    held |= {f"edge {name}": array for name, array in graph.edge_inputs.items()}
    forms = sorted(graph.forms.items())
    return [
        forms,
        *(
            (name, array.dtype.str, array.shape[1:])
            for name, array in held.items()
            if array is not None
        ),
    ]


def _other_rows(earlier: Graph, later: Graph, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Of nodes that are in both, whether a model sees other values there."""
    other = np.zeros(len(before), bool)
    pairs = [(earlier.x, later.x)]
    pairs += [(array, later.node_inputs[name]) for name, array in earlier.node_inputs.items()]
    for held, now in pairs:
        other |= (rows_of(held[before]) != rows_of(now[after])).any(axis=1)
    return other


def _same_edges(earlier: Graph, later: Graph, nodes: np.ndarray) -> np.ndarray:
    """The number in the later version of each edge of the earlier one; GONE."""
    before = _edge_rows(earlier, nodes)
    after = _edge_rows(later, np.arange(later.num_nodes))
    some = min(len(before), len(after))
    same = (before[:some] == after[:some]).all(axis=1)
    first = int(same.argmin()) if not same.all() else some  # up to here they are the same
    found = np.full(len(before), GONE)
    found[:first] = np.arange(first)
    rest = np.concatenate([before[first:], after[first:]])
    if not len(before[first:]) or not len(after[first:]):
        return found
    kind = _numbered(rest)
    own, theirs = kind[: len(before) - first], kind[len(before) - first :]
    keys = own * len(rest) + _occurrence(own)
    others = theirs * len(rest) + _occurrence(theirs)
    _, mine, match = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
    mine_ok = (before[first:][mine, :2] >= 0).all(axis=1)
    found[first + mine[mine_ok]] = first + match[mine_ok]
    return found


def _edge_rows(graph: Graph, nodes: np.ndarray) -> np.ndarray:
    """Everything that a model sees of the edges, a row for each, with the ends as `nodes` says."""
    parts = [nodes[graph.edge_index].T.astype(np.float64)]
    held = [graph.edge_weight, graph.edge_attr, *graph.edge_inputs.values()]
    parts += [rows_of(array).astype(np.float64) for array in held if array is not None]
    if graph.types is not None:
        parts.append(graph.types.of_edge[:, None].astype(np.float64))
    return np.concatenate(parts, axis=1)


def _numbered(rows: np.ndarray) -> np.ndarray:
    """A number [n] for each row [n, k], equal for equal rows."""
    order = np.lexsort(rows.T[::-1])
    new = np.ones(len(rows), bool)
    new[1:] = (rows[order[1:]] != rows[order[:-1]]).any(axis=1)
    number = np.empty(len(rows), np.int64)
    number[order] = np.cumsum(new) - 1
    return number


def _occurrence(numbers: np.ndarray) -> np.ndarray:
    """How many equal numbers come before each of them."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    start = np.searchsorted(ordered, ordered, "left")
    found = np.empty(len(numbers), np.int64)
    found[order] = np.arange(len(numbers)) - start
    return found
