"""Graphs with a known ground truth, generated: the same seed, the same graph.

Source: Ying et al., "GNNExplainer", section 5: motifs hung on a base graph, then a tenth as many random edges as
there are nodes. All features are ones: only the structure tells the labels. The node attribute `motif` is the number
of the motif that a node belongs to, -1 in the base; the edges inside a target's motif are its ground truth.
"""

import numpy as np

from sxq.graph.csr import Graph

HOUSE = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 4], [1, 4]])  # 0 and 1 middle, 2 and 3 bottom, 4 roof
CYCLE = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 0]])
FEATURES = 10


def ba_shapes(seed: int = 0) -> Graph:
    """BA-Shapes: 80 houses on a Barabasi-Albert graph of 300 nodes; labels 0 base, 1 middle, 2 bottom, 3 roof."""
    rng = np.random.default_rng(seed)
    return _hang(HOUSE, np.array([1, 1, 2, 2, 3]), 80, _barabasi_albert(300, 5, rng), rng)


def tree_cycles(seed: int = 0) -> Graph:
    """Tree-Cycles: 60 six-node cycles on a balanced binary tree of height 8; labels 0 tree, 1 cycle."""
    child = np.arange(1, 2**9 - 1)
    return _hang(CYCLE, np.ones(6, np.int64), 60, np.stack([(child - 1) // 2, child], axis=1),
                 np.random.default_rng(seed))


def motif_edges(graph: Graph, target: int) -> np.ndarray:
    """Numbers of the directed edges inside the motif of a node (a position); none for a node of the base."""
    motif = np.array(graph.attributes["motif"])
    inside = (motif[graph.edge_index] == motif[target]).all(axis=0)
    return np.flatnonzero(inside & (motif[target] >= 0))


def _hang(motif: np.ndarray, labels: np.ndarray, count: int, base: np.ndarray, rng: np.random.Generator) -> Graph:
    """`count` motifs (pairs [m, 2]), each by one edge on a node of its own of the base (pairs [b, 2])."""
    nodes, size = int(base.max()) + 1, len(labels)
    total, first = nodes + count * size, nodes + size * np.arange(count)
    hung = np.stack([rng.permutation(nodes)[:count], first + rng.integers(0, size, count)], axis=1)
    stray = rng.integers(0, total, (total // 10, 2))
    pairs = np.concatenate([base, hung, (first[:, None, None] + motif).reshape(-1, 2), stray])
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    return Graph(np.concatenate([pairs, pairs[:, ::-1]]).T, np.ones((total, FEATURES), np.float32),
                 y=np.concatenate([np.zeros(nodes, np.int64), np.tile(labels, count)]),
                 attributes={"motif": np.concatenate([np.full(nodes, -1), np.repeat(np.arange(count), size)])})


def _barabasi_albert(nodes: int, links: int, rng: np.random.Generator) -> np.ndarray:
    """Pairs [p, 2]: every node after the first `links` joins `links` others, drawn by degree."""
    drawn, pairs = list(range(links)), []  # a node as often as it has edges; the first ones once more
    for node in range(links, nodes):
        chosen: set[int] = set()
        while len(chosen) < links:
            chosen.add(drawn[rng.integers(len(drawn))])
        pairs += [(node, other) for other in sorted(chosen)]
        drawn += [node] * links + sorted(chosen)
    return np.array(pairs)
