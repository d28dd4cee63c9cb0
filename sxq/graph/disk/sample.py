"""A part of a large graph, held in memory: some nodes, nodes that can reach them, and the edges among all of these."""

from collections.abc import Sequence

import numpy as np

from sxq.graph.csr import Graph
from sxq.graph.disk.mapped import DiskGraph


def around(
    graph: Graph, roots: Sequence[int], rings: int, most_edges: int
) -> tuple[Graph, np.ndarray, int]:
    """The graph induced on nodes within so many steps back from the roots, their positions, and the steps.

    These are fewer where the nodes within one more step have more than `most_edges` edges into them; one at least.
    """
    seen = np.unique(np.asarray(roots, np.int64))
    frontier = seen
    entering = 0
    for ring in range(rings):
        entering += int(graph.in_degrees(frontier).sum())
        if ring and entering > most_edges:
            return induced(graph, seen), seen, ring
        _, ends = graph.entering(frontier)
        frontier = np.setdiff1d(ends[0], seen)
        seen = np.union1d(seen, frontier)
    return induced(graph, seen), seen, rings


def thinned(
    graph: DiskGraph, roots: np.ndarray, each: int, most: int, rng: np.random.Generator
) -> np.ndarray:
    """About `most` nodes behind the roots, ascending: some in-neighbours of each, steps back as long as there is room."""
    seen = np.unique(roots)
    frontier = seen
    while len(frontier) and len(seen) < most:
        count = graph.in_degrees(frontier)
        drawn = (rng.random((each, len(frontier))) * count).astype(np.int64)
        tails = [graph.tail_of(frontier[count > 0], place[count > 0]) for place in drawn]
        frontier = np.setdiff1d(np.concatenate(tails), seen)[: most - len(seen)]
        seen = np.union1d(seen, frontier)
    return seen


def induced(graph: Graph, nodes: np.ndarray) -> Graph:
    """The graph on some nodes, ascending, with the edges among them in their order."""
    edges, ends = graph.entering(nodes)
    inside = np.isin(ends[0], nodes)
    order = np.argsort(edges[inside], kind="stable")
    edges = edges[inside][order]
    local = np.searchsorted(nodes, ends[:, inside][:, order])
    y, weight, attr = graph.y, graph.edge_weight, graph.edge_attr
    return Graph(
        local,
        graph.features(nodes),
        y=None if y is None else y[nodes],
        edge_weight=None if weight is None else weight[edges],
        edge_attr=None if attr is None else attr[edges],
        keys=[graph.key(int(node)) for node in nodes],
        forms=graph.forms,
        node_inputs={name: array[nodes] for name, array in graph.node_inputs.items()},
        edge_inputs={name: array[edges] for name, array in graph.edge_inputs.items()},
        left_out=graph.left_out,
        feature_names=graph.feature_names,
        encoding=graph.encoding,
        edge_names=graph.edge_names,
    )
