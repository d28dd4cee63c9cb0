"""A field whose units are feature columns: OVER FEATURES.

A unit is a column of x that is not constant on the nodes whose features can reach the target. All
edges are in every graph; in G_s the other units have their baseline on every node of the field, in
G \\ G_s those of G_s have it. Any set of units is a candidate. Columns that no candidate may hold are
context, as edges can be: they have their baseline in G_s, and stay as they are in G \\ G_s.
Constant columns stay as they are. In a heterogeneous graph each type has columns of its own, which
are numbered type by type; a unit is a column on the nodes of its type.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from sxq.graph.csr import Graph
from sxq.graph.field import EdgeKind, Field
from sxq.graph.types import GraphTypes

BASELINES = ("zero", "mean")


@dataclass(frozen=True, eq=False, kw_only=True)
class FeatureField(Field):
    """A field of which the units are columns of x."""

    base: Field  # the same with edges as units
    columns: np.ndarray  # [U] the column of x that each unit is, ascending
    baseline: np.ndarray  # [U] what stands for a unit that is removed, float32
    context_columns: np.ndarray  # [k] columns that are context
    context_baseline: np.ndarray  # [k] what stands for them in G_s, float32
    types: GraphTypes | None = None  # of the graph

    over = "features"
    alone = True
    free = True

    @property
    def rooted(self) -> bool:  # type: ignore[override]
        return self.base.rooted

    @property
    def roots(self) -> int:  # type: ignore[override]
        return self.base.roots

    @property
    def num_parts(self) -> int:
        return 0

    def kept(self, bits: np.ndarray) -> np.ndarray:
        """No part [n, 0]: every edge is in every graph."""
        return bits[:, :0]

    left = kept

    def existing(self, bits: np.ndarray) -> np.ndarray:
        """Every node: [n, num_nodes] bool."""
        return np.ones((len(bits), self.num_nodes), bool)

    @property
    def parts_of_nodes(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(0, np.int64), np.zeros(self.num_nodes, np.int64)

    @property
    def choosing_parts(self) -> np.ndarray:
        return np.zeros(0, np.int64)

    def weights(self, bits: np.ndarray, context: bool) -> np.ndarray:
        return bits[:, :0]

    def places(self, columns: np.ndarray) -> list[tuple[Any, np.ndarray, Any]]:
        """(rows of the field, columns of x, places in `columns`) of each type that some of the columns [k] are of."""
        if self.types is None:
            return [(slice(None), columns, slice(None))]
        kinds, at = self.types.places(columns)
        of_node = self.types.of_node[self.nodes]
        return [
            (np.flatnonzero(of_node == kind), at[kinds == kind], np.flatnonzero(kinds == kind))
            for kind in np.unique(kinds).tolist()
        ]

    def edges_of(self, bits: np.ndarray) -> np.ndarray:
        """No edge is part of a candidate."""
        return self.edges[:0]

    def units_of(self, bits: np.ndarray) -> np.ndarray:
        """The units of one candidate, ascending."""
        return np.flatnonzero(bits)

    def touched(self, bits: np.ndarray) -> np.ndarray:
        return self.reached(bits[None])[0]

    def reached(self, bits: np.ndarray) -> np.ndarray:
        """No node [n, num_nodes] bool is part of a candidate but the target."""
        nodes = np.zeros((len(bits), self.num_nodes), bool)
        nodes[:, : self.roots] = True
        return nodes

    def frontier(self, bits: np.ndarray) -> np.ndarray:
        return np.flatnonzero(~bits)

    def frontiers(self, bits: np.ndarray) -> np.ndarray:
        return ~bits

    def component(self, bits: np.ndarray) -> np.ndarray:
        return bits

    def independent(self) -> tuple[int, int]:
        return 0, self.num_units

    def narrowed(self, units: np.ndarray) -> "FeatureField":
        """The field with only these units, ascending, as candidates; all others become context."""
        rest = np.delete(np.arange(self.num_units), units)
        return replace(
            self,
            columns=self.columns[units],
            baseline=self.baseline[units],
            context_columns=np.append(self.context_columns, self.columns[rest]),
            context_baseline=np.append(self.context_baseline, self.baseline[rest]),
            ends=self.ends[:, units],
            unit_hop=self.unit_hop[units],
            left_out=self.left_out + self.num_units - len(units),
        )


def over_features(base: Field, graph: Graph, baseline: str) -> FeatureField:
    """The field whose units are the columns that are not constant on an edge field of the graph.

    `baseline` is 'zero', or 'mean': that of the column on the field.
    """
    near = base.node_hop <= base.hops if base.rooted else np.ones(base.num_nodes, bool)
    columns, values = varying_features(graph, base.nodes[near], baseline)
    units = len(columns)
    own = {each.name: getattr(base, each.name) for each in fields(Field)}
    changed = {
        "unit": np.full(len(base.unit), EdgeKind.LOOP, np.int64),
        "ends": np.zeros((2, units), np.int64),
        "unit_hop": np.ones(units, np.int64),
        "left_out": 0,
        "excluded": 0,
    }
    return FeatureField(
        **own | changed,
        base=base,
        columns=columns,
        baseline=values,
        context_columns=columns[:0],
        context_baseline=values[:0],
        types=graph.types,
    )


def varying_features(
    graph: Graph, nodes: np.ndarray, baseline: str
) -> tuple[np.ndarray, np.ndarray]:
    """`varying_columns` of some nodes of a graph; with types, of those of each type."""
    types = graph.types
    if types is None:
        return varying_columns(graph.features(nodes), baseline)
    columns = [np.zeros(0, np.int64)]
    values = [np.zeros(0, np.float32)]
    for kind in np.unique(types.of_node[nodes]).tolist():
        x = graph.features(nodes[types.of_node[nodes] == kind])[:, : types.widths[kind]]
        own, means = varying_columns(x, baseline)
        columns.append(own + types.first_feature[kind])
        values.append(means)
    return np.concatenate(columns), np.concatenate(values)


def varying_columns(x: np.ndarray, baseline: str) -> tuple[np.ndarray, np.ndarray]:
    """The columns [U] of x [k, d] that are not constant, and the baseline [U] of each.

    Nothing varies on a single node: of it, they are the columns that are not 0.
    """
    apart = x != (x[:1] if len(x) > 1 else 0)
    columns = np.flatnonzero(apart.any(axis=0))
    if baseline == "zero":
        return columns, np.zeros(len(columns), np.float32)
    return columns, x[:, columns].mean(axis=0, dtype=np.float64).astype(np.float32)
