"""The types of nodes and edges of a heterogeneous graph.

A heterogeneous graph is held as one `Graph` whose nodes and edges know their type: walks, fields,
searches and the lattice see one graph, and only what calls the model parts it by types again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sxq.errors import GraphError

EdgeType = tuple[str, str, str]  # source type, relation, type of the head
REVERSED = "rev_"  # PyG's prefix of a relation whose edges mirror those of another


@dataclass(frozen=True, eq=False, kw_only=True)
class GraphTypes:
    """Types of the nodes and edges of one graph; nodes of a type lie together, in the order of `node_types`."""

    node_types: tuple[str, ...]
    edge_types: tuple[EdgeType, ...]
    of_node: np.ndarray  # [num_nodes] int64: number in node_types, ascending
    of_edge: np.ndarray  # [num_edges] int64: number in edge_types
    # Columns of `Graph.x` that the nodes of each type have; the others of their rows are 0.
    widths: tuple[int, ...]
    # Columns of `Graph.edge_attr` that the edges of each type have.
    edge_widths: tuple[int, ...]
    feature_names: tuple[tuple[str, ...] | None, ...]  # of each node type; None: not named

    def __post_init__(self) -> None:
        ends = {end for source, _, head in self.edge_types for end in (source, head)}
        if unknown := sorted(ends - set(self.node_types)):
            raise GraphError(
                f"edges have ends of type {', '.join(unknown)}; node types are "
                f"{', '.join(self.node_types)}"
            )

    @cached_property
    def starts(self) -> np.ndarray:
        """Position of the first node of each type, and the number of nodes at the end: [types + 1]."""
        counts = np.bincount(self.of_node, minlength=len(self.node_types))
        return np.concatenate([[0], np.cumsum(counts)])

    @cached_property
    def mirrors(self) -> np.ndarray:
        """[edge types] number of the type whose edges mirror those of each type; -1: there is none.

        PyG's `ToUndirected` calls it rev_r; a type between nodes of one type may mirror itself, which
        is decided by its edges.
        """
        numbers = {name: number for number, name in enumerate(self.edge_types)}
        found = []
        for source, relation, head in self.edge_types:
            other = relation.removeprefix(REVERSED)
            if other == relation:
                other = REVERSED + relation
            found.append(numbers.get((head, other, source), -1))
        return np.array(found, np.int64)

    @property
    def digested(self) -> list:
        """Everything that changes an answer, for the graph's content hash."""
        arrays = [self.of_node.tolist(), self.of_edge.tolist()]
        return [self.node_types, self.edge_types, self.widths, self.edge_widths, *arrays]

    def number_of(self, node_type: str) -> int:
        """The number of a node type; raises GraphError."""
        if node_type not in self.node_types:
            raise GraphError(
                f"no node type {node_type!r}; node types are {', '.join(self.node_types)}"
            )
        return self.node_types.index(node_type)


def shown_type(edge_type: Sequence[str]) -> str:
    """An edge type as a statement writes it: account -pays-> merchant."""
    source, relation, head = edge_type
    return f"{source} -{relation}-> {head}"
