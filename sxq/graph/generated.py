"""Generated graphs with a known ground truth: equal seeds give equal graphs. `edge_truth` marks motifs.

Source: Ying et al., "GNNExplainer", section 5: motifs are attached to a base graph, and a tenth as
many random edges as there are nodes are added. All features are ones, so only the structure
determines the labels; in BA-Community the features tell two communities apart. The node attribute
`motif` is the number of the node's motif, -1 in the base; the edges inside a target's motif are its
ground truth.

BA-3motif is a collection (Wang et al. 2021, ReFine): each graph is a Barabasi-Albert base with
motifs of one kind, which is its class, numbered as in the published file: 0 house, 1 grid, 2 cycle.
The features are the structural role, one-hot, with uniform noise (0.25 and 0.75, as in that file).
"""

import re
from collections.abc import Callable, Mapping

import numpy as np

from sxq.errors import InvalidValue
from sxq.graph.collection import GraphSet
from sxq.graph.csr import SPLITS, Graph

# Nodes 0 and 1 are the middle, 2 and 3 the bottom, 4 the roof.
HOUSE = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 4], [1, 4]])
CYCLE = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 0]])
FEATURES = 10
RING = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 0]])
GRID = np.array(
    [[0, 1], [1, 2], [3, 4], [4, 5], [6, 7], [7, 8], [0, 3], [1, 4], [2, 5], [3, 6], [4, 7], [5, 8]]
)
# (pairs, roles) of each class
MOTIFS = ((HOUSE, np.array([1, 1, 2, 2, 3])), (GRID, np.ones(9, int)), (RING, np.ones(5, int)))
JOINS = 350  # edges between the two communities
SHARES = (0.8, 0.1, 0.1)  # train, val and test


def ba_shapes(seed: int = 0) -> Graph:
    """BA-Shapes: 80 houses on a Barabasi-Albert graph of 300 nodes; labels 0 base, 1 middle, 2 bottom, 3 roof."""
    rng = np.random.default_rng(seed)
    return _hang(HOUSE, np.array([1, 1, 2, 2, 3]), 80, _barabasi_albert(300, 5, rng), rng)


def tree_cycles(seed: int = 0) -> Graph:
    """Tree-Cycles: 60 six-node cycles on a balanced binary tree of height 8; labels 0 tree, 1 cycle."""
    return _hang(CYCLE, np.ones(6, np.int64), 60, _tree(), np.random.default_rng(seed))


def tree_grid(seed: int = 0) -> Graph:
    """Tree-Grid: 80 grids of 3 x 3 on the tree of Tree-Cycles; labels 0 tree, 1 grid."""
    return _hang(GRID, np.ones(9, np.int64), 80, _tree(), np.random.default_rng(seed))


def ba_community(seed: int = 0) -> Graph:
    """BA-Community: two of BA-Shapes, joined by 350 random edges; labels 0 to 3 in the first, 4 to 7.

    The first two of ten features are normal around -1 or 1, by community; the others are noise.
    """
    rng = np.random.default_rng(seed)
    first, second = ba_shapes(int(rng.integers(2**31))), ba_shapes(int(rng.integers(2**31)))
    size = first.num_nodes
    joined = np.unique(rng.integers(0, size, (JOINS, 2)) + [0, size], axis=0)
    cross = np.concatenate([joined, joined[:, ::-1]]).T
    own = [np.array(graph.attributes["motif"]) for graph in (first, second)]
    motifs = own[0].max() + 1
    center = np.repeat([-1.0, 1.0], size)[:, None]
    told = center + 0.5 * rng.standard_normal((2 * size, 2))
    return Graph(
        np.concatenate([first.edge_index, second.edge_index + size, cross], axis=1),
        np.concatenate([told, rng.standard_normal((2 * size, FEATURES - 2))], axis=1),
        edge_truth=np.concatenate(
            [first.edge_truth, second.edge_truth, np.zeros(cross.shape[1], bool)]
        ),
        y=np.concatenate([first.y, second.y + 4]),  # type: ignore[operator]
        attributes={"motif": np.concatenate([own[0], np.where(own[1] < 0, -1, own[1] + motifs)])},
    )


def ba_3motif(seed: int = 0, graphs: int = 300) -> GraphSet:
    """Graphs of a base of 6 to 12 nodes and one to three motifs of one kind; the kind is the class."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(graphs) % len(MOTIFS))
    return GraphSet.join(
        [_motif_graph(*MOTIFS[kind], rng) for kind in y], y=y, split=_splits(graphs, rng)
    )


GENERATORS: Mapping[str, Callable[..., Graph | GraphSet]] = {
    "BA-Shapes": ba_shapes,
    "BA-Community": ba_community,
    "Tree-Cycles": tree_cycles,
    "Tree-Grid": tree_grid,
    "BA-3motif": ba_3motif,
}
ALIASES = {  # in the code of GNNExplainer and of ReFine
    "syn1": "BA-Shapes",
    "syn2": "BA-Community",
    "syn4": "Tree-Cycles",
    "syn5": "Tree-Grid",
    "ba3": "BA-3motif",
}
MOST_GRAPHS = 100_000


def generate(name: str, seed: int = 0, graphs: int | None = None) -> Graph | GraphSet | None:
    """The data set of a name in any spelling ('BA-Shapes', 'bashapes'), or None for another name.

    graphs  the number of graphs of a collection; raises InvalidValue if it does not fit
    """
    spelled = _plain(ALIASES.get(_plain(name), name))
    found = {_plain(known): make for known, make in GENERATORS.items()}.get(spelled)
    if found is None:
        return None
    if graphs is None:
        return found(seed)
    if found is not ba_3motif:
        raise InvalidValue(f"GRAPHS = {graphs}, but {name!r} is one graph")
    if not len(MOTIFS) <= graphs <= MOST_GRAPHS:
        raise InvalidValue(
            f"GRAPHS = {graphs}; expected a whole number from {len(MOTIFS)} to {MOST_GRAPHS}"
        )
    return found(seed, graphs)


def motif_edges(graph: Graph, target: int) -> np.ndarray:
    """Numbers of the directed edges in the motif of a node (a position); none in the base."""
    motif = np.array(graph.attributes["motif"])
    inside = (motif[graph.edge_index] == motif[target]).all(axis=0)
    return np.flatnonzero(inside & (motif[target] >= 0))


def _hang(
    motif: np.ndarray, labels: np.ndarray, count: int, base: np.ndarray, rng: np.random.Generator
) -> Graph:
    """A base (pairs [b, 2]) with `count` motifs (pairs [m, 2]), each attached by one edge to its own node."""
    nodes = int(base.max()) + 1
    size = len(labels)
    total = nodes + count * size
    first = nodes + size * np.arange(count)
    hung = np.stack([rng.permutation(nodes)[:count], first + rng.integers(0, size, count)], axis=1)
    stray = rng.integers(0, total, (total // 10, 2))
    pairs = np.concatenate([base, hung, (first[:, None, None] + motif).reshape(-1, 2), stray])
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    edge_index = np.concatenate([pairs, pairs[:, ::-1]]).T
    member = np.concatenate([np.full(nodes, -1), np.repeat(np.arange(count), size)])
    inside = (member[edge_index[0]] == member[edge_index[1]]) & (member[edge_index[0]] >= 0)
    return Graph(
        edge_index,
        np.ones((total, FEATURES), np.float32),
        edge_truth=inside,
        y=np.concatenate([np.zeros(nodes, np.int64), np.tile(labels, count)]),
        attributes={"motif": member},
    )


def _tree() -> np.ndarray:
    """Pairs [p, 2]: the balanced binary tree of height 8."""
    child = np.arange(1, 2**9 - 1)
    return np.stack([(child - 1) // 2, child], axis=1)


def _barabasi_albert(nodes: int, links: int, rng: np.random.Generator) -> np.ndarray:
    """Pairs [p, 2]: every node after the first `links` joins `links` others, drawn by degree."""
    drawn = list(range(links))  # a node as often as it has edges; the first ones once more
    pairs = []
    for node in range(links, nodes):
        chosen: set[int] = set()
        while len(chosen) < links:
            chosen.add(drawn[rng.integers(len(drawn))])
        pairs += [(node, other) for other in sorted(chosen)]
        drawn += [node] * links + sorted(chosen)
    return np.array(pairs)


def _motif_graph(motif: np.ndarray, roles: np.ndarray, rng: np.random.Generator) -> Graph:
    """A base with one to three motifs (pairs [m, 2]), each attached by one edge."""
    base = int(rng.integers(6, 13))
    count = int(rng.integers(1, 4))
    first = base + len(roles) * np.arange(count)
    tied = np.stack([rng.integers(0, base, count), first], axis=1)
    parts = [_barabasi_albert(base, 1, rng), tied, (first[:, None, None] + motif).reshape(-1, 2)]
    pairs = np.concatenate(parts)
    truth = np.repeat([False, False, True], [len(part) for part in parts])
    role = np.concatenate([np.zeros(base, int), np.tile(roles, count)])
    x = 0.25 * np.eye(4)[role] + 0.75 * rng.random((len(role), 4))
    return Graph(np.concatenate([pairs, pairs[:, ::-1]]).T, x, edge_truth=np.tile(truth, 2))


def _splits(count: int, rng: np.random.Generator) -> np.ndarray:
    """A random split of `count` graphs."""
    sizes = [round(share * count) for share in SHARES[1:]]
    return rng.permutation(np.repeat(np.array(SPLITS, object), [count - sum(sizes), *sizes]))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
