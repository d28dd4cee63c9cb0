"""Embeddings of subgraphs by their features: they tell how similar explanations are beyond shared nodes.

The embedding of a subgraph G_s is the mean of its nodes' features after L rounds of averaging along
its edges: H = P^L X with P = (D + I)^-1 (A + I), the simplified graph convolution of Wu et al.
(2019) with the mean as aggregator. It has no parameters, depends only on G_s, and needs no
training. The paper uses node2vec: with `SET sxq_embedding = 'node2vec'` the embedding is the mean
of the nodes' vectors (node2vec.py).

The mean and P are linear, so not the features are propagated but a weight for each node, back along
the edges (w <- w P, L times), and the embedding is w X. Cost: L times the edges of all subgraphs,
and one product.
"""

import numpy as np

from sxq.graph.field import Field

CELLS = 1 << 22  # entries of one table of weights


def embed(field: Field, bits: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Embeddings [n, d] of candidates bits [n, U] of a field; features [nodes, d] of its nodes."""
    step = max(1, CELLS // field.num_nodes)
    rows = [
        node_weights(field, bits[start : start + step]) @ features
        for start in range(0, len(bits), step)
    ]
    return np.concatenate([np.zeros((0, features.shape[1])), *rows])


def embed_by_nodes(field: Field, bits: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Embeddings [n, d] of candidates bits [n, U]: the means of their nodes' vectors [nodes, d]."""
    rows = [np.zeros((0, vectors.shape[1]))]
    for start in range(0, len(bits), max(1, CELLS // field.num_nodes)):
        nodes = field.reached(bits[start : start + max(1, CELLS // field.num_nodes)])
        rows.append(nodes @ vectors / nodes.sum(axis=1, keepdims=True))
    return np.concatenate(rows)


def node_weights(field: Field, bits: np.ndarray) -> np.ndarray:
    """The weight [n, nodes] of each node's features in each candidate's embedding; rows sum to one."""
    nodes = field.reached(bits)
    candidate, tail, head = _edges(field, bits)
    degree = 1 + _add_up(np.ones(len(head)), candidate, head, nodes.shape)
    weights = nodes / nodes.sum(axis=1, keepdims=True)
    for _ in range(field.hops):
        share = weights / degree
        weights = share + _add_up(share[candidate, head], candidate, tail, nodes.shape)
    return weights


def _add_up(
    values: np.ndarray, row: np.ndarray, column: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Values [m] summed by row and column, in a table of that shape."""
    flat = np.bincount(row * shape[1] + column, weights=values, minlength=shape[0] * shape[1])
    return flat.reshape(shape)


def _edges(field: Field, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All candidates' edges as (candidate, tail, head), [m] each; a pair has both directions."""
    candidate, unit = np.nonzero(bits)
    tail, head = field.ends[:, unit]
    if field.directed:
        return candidate, tail, head
    return np.tile(candidate, 2), np.concatenate([tail, head]), np.concatenate([head, tail])
