"""The shapes of candidates: the nodes that they hold, and their embeddings, by which an answer is diversified."""

import numpy as np

from sxq.execution.target.load import Loaded
from sxq.graph import embed, embed_by_nodes, node2vec


def shape(loaded: Loaded, bits: np.ndarray, embedding: str) -> tuple[np.ndarray, np.ndarray]:
    """The nodes [n, V] bool of candidates [n, U], out of V in the field, and their embeddings [n, d]."""
    field = loaded.field
    nodes = field.reached(bits)[:, field.node_hop <= field.hops]
    if embedding == "node2vec":
        rng = np.random.default_rng(loaded.seed)
        return nodes, embed_by_nodes(field, bits, node2vec(field, rng))
    return nodes, embed(field, bits, loaded.graph.features(field.nodes))
