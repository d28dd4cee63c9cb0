"""Generated graphs that stand in for data that is not at hand, of about the same size and shape.

They show that a benchmark runs and how its figures relate to each other, not the published figures.
"""

import numpy as np

from sxq import datasets
from sxq.datasets.molecules import ATOMS, HYDROGEN, NITROGEN, OXYGEN, functional_groups
from sxq.graph import Graph, GraphSet
from sxq.graph.csr import SPLITS
from sxq.graph.generated import ba_3motif

SAME_CLASS = 0.8  # of the links of a node, those within its class
MOLECULES = 1_000
DIGITS: int | None = None  # images of digits; None: all


def cora() -> Graph:
    """2,708 nodes in 7 communities with 1,433 binary features, the size of Cora."""
    return _communities(2_708, 2, 1_433, 7, words=18, seed=0)


def facebook() -> Graph:
    """22,470 nodes in 4 communities with hubs and 128 features, the size of FacebookPage."""
    return _communities(22_470, 7, 128, 4, words=12, seed=1)


def pubmed() -> Graph:
    """19,717 nodes in 3 communities with 500 features, the size of PubMed."""
    return _communities(19_717, 2, 500, 3, words=50, seed=2)


def computers() -> Graph:
    """13,752 nodes in 10 communities with 767 features, the size of AmazonComputer."""
    return _communities(13_752, 18, 767, 10, words=60, seed=3)


def arxiv() -> Graph:
    """169,343 nodes in 40 communities with 128 features, the size of OGBN-arxiv."""
    return _communities(169_343, 7, 128, 40, words=12, seed=4)


def digits() -> GraphSet:
    """scikit-learn's 1,797 digits, real images of 8 x 8 patches in place of MNIST's superpixels."""
    return datasets.load("Digits", graphs=DIGITS, collection=True)


def motifs() -> GraphSet:
    """800 graphs of BA-3motif, drawn anew."""
    return ba_3motif(graphs=800)


def molecules() -> GraphSet:
    """1,000 chains of carbon, of which the mutagenic half holds a group NO2 or NH2."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(MOLECULES) % 2)
    split = rng.choice(np.array(SPLITS, object), MOLECULES, p=(0.8, 0.1, 0.1))
    return GraphSet.join([_molecule(label == 0, rng) for label in y], y=y, split=split)


MADE = {
    "cora": cora,
    "facebook": facebook,
    "pubmed": pubmed,
    "computers": computers,
    "arxiv": arxiv,
    "ba3motif": motifs,
    "mutagenicity": molecules,
    "superpixels": digits,
}


def _communities(
    nodes: int, links: int, width: int, classes: int, *, words: int, seed: int
) -> Graph:
    """A graph that grows: each node links to earlier ones by degree, mostly of its own class.

    Half of a node's `words` are drawn from a part of the vocabulary that belongs to its class.
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, nodes)
    ends: list[list[int]] = [[] for _ in range(classes)]  # nodes of a class, as often as linked
    pairs = []
    for node in range(nodes):
        for _ in range(links if node else 0):
            kind = y[node] if rng.random() < SAME_CLASS else rng.integers(classes)
            pool = ends[kind] or ends[y[0]]
            other = pool[rng.integers(len(pool))]
            pairs.append((node, other))
            ends[y[other]].append(other)
        ends[y[node]] += [node] * links  # as often as it links, as Barabasi and Albert have it
    unique = np.unique(np.sort([pair for pair in pairs if pair[0] != pair[1]], axis=1), axis=0)
    x = np.zeros((nodes, width), np.float32)
    own = width // classes
    for half, low, high in (
        (words // 2, y * own, (y + 1) * own),
        (words // 2, 0 * y, 0 * y + width),
    ):
        columns = rng.integers(low[:, None], high[:, None], (nodes, half))
        x[np.arange(nodes)[:, None], columns] = 1
    split = rng.choice(np.array(SPLITS, object), nodes, p=(0.6, 0.2, 0.2))
    return Graph(np.concatenate([unique, unique[:, ::-1]]).T, x, y=y, split=split)


def _molecule(mutagenic: bool, rng: np.random.Generator) -> Graph:
    """A chain of carbons with hydrogens; where it is mutagenic one carbon holds NO2 or NH2."""
    length = int(rng.integers(6, 20))
    atoms = [0] * length
    bonds = [(i, i + 1) for i in range(length - 1)]

    def hang(atom: int, at: int) -> int:
        atoms.append(atom)
        bonds.append((at, len(atoms) - 1))
        return len(atoms) - 1

    for carbon in range(length):
        for _ in range(int(rng.integers(0, 3))):
            hang(HYDROGEN, carbon)
    nitrogen = hang(NITROGEN, int(rng.integers(length)))
    kinds = rng.choice([OXYGEN, HYDROGEN])
    for _ in range(2 if mutagenic else 1):
        hang(int(kinds), nitrogen)
    edge_index = np.concatenate([np.array(bonds), np.array(bonds)[:, ::-1]]).T
    truth = functional_groups(np.array(atoms), edge_index)
    return Graph(edge_index, np.eye(ATOMS)[atoms], edge_truth=truth)
