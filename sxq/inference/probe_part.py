"""A part of a large graph that looks like it from within: long paths, their surroundings, hubs and triangles.

The experiments that find a model's depth and halo run the model dozens of times. On a graph of a million edges that
is most of a registration, and what they find is a property of the model, which a few thousand edges show as well.
"""

import numpy as np

from sxq.graph import Graph

LARGE = 200_000  # edges: the experiments run on a part of larger graphs
WALKS = 48  # backwards from random heads
STEPS = 14  # of each walk
AROUND = 6  # sources of each node on a walk that are taken too
HUBS = 4  # nodes of many in-edges, with as many of their sources as two walks have
MOST_EDGES = 40_000
DEEPEST_ON_PART = STEPS - 4  # hops: a model that looks deeper is examined on the whole graph


def probe_part(graph: Graph) -> Graph | None:
    """The part of a large graph for experiments, or None: a small graph, one with types, or one that has no such part."""
    if graph.num_edges < LARGE or graph.types is not None:
        return None
    rng = np.random.default_rng(5)
    heads = np.unique(graph.edge_index[1])
    found = [rng.choice(heads, size=min(WALKS, len(heads)), replace=False)]
    for _ in range(STEPS):
        ahead = _some_sources(graph, found[-1], 1, rng)
        if not len(ahead):
            break
        found.append(ahead)
    path = np.unique(np.concatenate(found))
    degree = np.bincount(graph.edge_index[1], minlength=graph.num_nodes)
    hubs = np.argpartition(-degree, HUBS)[:HUBS]
    near = [
        _some_sources(graph, path, AROUND, rng),
        hubs,
        _some_sources(graph, hubs, 2 * STEPS, rng),
    ]
    nodes = np.unique(np.concatenate([path, *near]))
    inside = np.zeros(graph.num_nodes, bool)
    inside[nodes] = True
    edges = np.flatnonzero(inside[graph.edge_index].all(axis=0))
    return _induced(graph, nodes, edges) if 0 < len(edges) <= MOST_EDGES else None


def _some_sources(
    graph: Graph, nodes: np.ndarray, most: int, rng: np.random.Generator
) -> np.ndarray:
    """Up to so many random sources of each of the nodes."""
    found = []
    for node in nodes.tolist():
        edges = graph.in_edges(np.array([node]))
        if len(edges) > most:
            edges = rng.choice(edges, size=most, replace=False)
        found.append(graph.edge_index[0, edges])
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)


def _induced(graph: Graph, nodes: np.ndarray, edges: np.ndarray) -> Graph:
    """The graph of some nodes, ascending, and the edges among them; without keys."""
    number = np.full(graph.num_nodes, -1)
    number[nodes] = np.arange(len(nodes))

    def of_edges(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array[edges]

    return Graph(
        number[graph.edge_index[:, edges]],
        graph.x[nodes],
        y=None if graph.y is None else graph.y[nodes],
        edge_weight=of_edges(graph.edge_weight),
        edge_attr=of_edges(graph.edge_attr),
        forms=graph.forms,
        node_inputs={name: array[nodes] for name, array in graph.node_inputs.items()},
        edge_inputs={name: array[edges] for name, array in graph.edge_inputs.items()},
        feature_names=graph.feature_names,
    )
