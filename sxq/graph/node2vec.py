"""node2vec: vectors of a field's nodes by their neighbourhoods, without features.

Source: Grover and Leskovec, "node2vec: Scalable feature learning for networks", KDD 2016. Random walks
over the field, halo included and directions ignored, remember one step: they go back with weight
1 / RETURN, to a common neighbour with 1, and further away with 1 / INOUT. Nodes that are often within
WINDOW steps of each other get similar vectors.

Departure. The vectors are not trained. Skip-gram with negative sampling factorises the pointwise
mutual information of nodes and contexts (Levy and Goldberg, NIPS 2014), so this module factorises it
directly: there is no rate to tune and no epoch to wait for, and equal seeds give equal vectors. The
contexts are the CONTEXTS nodes that are visited most; on most fields these are all nodes.

Cost: WALKS * LENGTH steps and as many times 2 WINDOW pairs for each node, and one product of
[nodes, contexts].
"""

import numpy as np

from sxq.graph.field import Field

WALKS = 10  # from each node
LENGTH = 20  # nodes of a walk
WINDOW = 5  # steps within which two nodes of a walk are near
RETURN = 1.0  # p of the paper
INOUT = 0.5  # q of the paper: walks are drawn outwards
CONTEXTS = 512
DIMENSIONS = 32


def node2vec(field: Field, rng: np.random.Generator) -> np.ndarray:
    """A vector for each node of the field, [nodes, at most DIMENSIONS]; zero for a node without edges."""
    starts = np.repeat(np.arange(field.num_nodes), WALKS)
    near = shared(walks(field.edge_index, starts, field.num_nodes, rng), field.num_nodes)
    # The squares of the singular values, ascending.
    strength, directions = np.linalg.eigh(near.T @ near)
    strength = strength[::-1][:DIMENSIONS]
    directions = directions[:, ::-1][:, :DIMENSIONS]
    kept = strength > 1e-9 * strength.max(initial=1e-9)
    # U times the square roots of the singular values.
    return near @ (directions[:, kept] * strength[kept] ** -0.25)


def walks(
    edge_index: np.ndarray, starts: np.ndarray, nodes: int, rng: np.random.Generator
) -> np.ndarray:
    """Walks [n, LENGTH] from the starts [n]; a walk without a way out stays where it is.

    A step is drawn again until it is accepted.
    """
    keys = np.unique(
        np.concatenate(
            [edge_index[0] * nodes + edge_index[1], edge_index[1] * nodes + edge_index[0]]
        )
    )
    keys = keys[keys // nodes != keys % nodes]  # loops lead nowhere
    first = np.searchsorted(keys, np.arange(nodes + 1) * nodes)
    degree = np.diff(first)
    most = max(1.0, 1 / RETURN, 1 / INOUT)
    path = np.repeat(starts[:, None], LENGTH, axis=1)
    for step in range(1, LENGTH):
        here = path[:, step - 1]
        before = path[:, max(0, step - 2)]
        path[:, step] = here
        open_ = np.flatnonzero(degree[here])
        while len(open_):
            at = here[open_]
            drawn = keys[first[at] + (rng.random(len(open_)) * degree[at]).astype(int)] % nodes
            edge = before[open_] * nodes + drawn
            known = keys[np.minimum(np.searchsorted(keys, edge), len(keys) - 1)] == edge
            weight = np.where(drawn == before[open_], 1 / RETURN, np.where(known, 1.0, 1 / INOUT))
            taken = (rng.random(len(open_)) * most < weight) | (step == 1)
            path[open_[taken], step] = drawn[taken]
            open_ = open_[~taken]
    return path


def shared(paths: np.ndarray, nodes: int) -> np.ndarray:
    """Positive pointwise mutual information [nodes, contexts] of being within WINDOW steps of each other."""
    visits = np.bincount(paths.ravel(), minlength=nodes)
    contexts = np.argsort(-visits, kind="stable")[:CONTEXTS]
    place = np.full(nodes, -1)
    place[contexts] = np.arange(len(contexts))
    counts = np.zeros(nodes * len(contexts))
    for apart in range(1, WINDOW + 1):
        for one, two in (
            (paths[:, :-apart], paths[:, apart:]),
            (paths[:, apart:], paths[:, :-apart]),
        ):
            met = (one != two) & (place[two] >= 0)
            counts += np.bincount(one[met] * len(contexts) + place[two[met]], minlength=len(counts))
    met_often = counts.reshape(nodes, -1)
    expected = np.outer(met_often.sum(axis=1), met_often.sum(axis=0)) / max(met_often.sum(), 1)
    ratio = np.divide(met_often, expected, out=np.ones_like(met_often), where=met_often > 0)
    return np.log(np.maximum(ratio, 1.0))
