"""node2vec: its walks against the transition probabilities of the paper, its vectors by what they are for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sxq.graph import Graph, embed_by_nodes, extract, node2vec
from sxq.graph.node2vec import INOUT, LENGTH, RETURN, WALKS, shared, walks
from sxq.scoring import diversify
from tests.graphs import random_graph


def two_cliques():
    """The field of a node of one of two cliques of five that an edge joins."""
    clique = [(a, b) for a in range(5) for b in range(5) if a < b]
    pairs = np.array([*clique, *[(a + 5, b + 5) for a, b in clique], (4, 5)]).T
    return extract(Graph(np.concatenate([pairs, pairs[::-1]], axis=1), np.zeros((10, 1))), 0, 3, 1)


def test_steps_have_the_papers_probabilities():
    edges = np.array(
        [[0, 0, 1, 1, 2], [1, 2, 2, 3, 2]]
    )  # a triangle, 3 at its corner 1, a loop that leads nowhere
    paths = walks(edges, np.zeros(60_000, int), 4, np.random.default_rng(0))
    after = paths[(paths[:, 0] == 0) & (paths[:, 1] == 1), 2]  # from 0 to 1, and then
    weight = np.array([1 / RETURN, 0, 1, 1 / INOUT])  # back to 0; 2 is a neighbour of 0; 3 is not
    np.testing.assert_allclose(
        np.bincount(after, minlength=4) / len(after), weight / weight.sum(), atol=0.01
    )
    assert (np.bincount(paths[:, 1]) / len(paths))[1:] == pytest.approx([0.5, 0.5], abs=0.01)


@given(st.integers(0, 20))
def test_walks_go_along_edges(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, undirected=False)
    paths = walks(graph.edge_index, np.arange(graph.num_nodes), graph.num_nodes, rng)
    edges = {frozenset(edge) for edge in graph.edge_index.T.tolist()}
    assert paths.shape == (graph.num_nodes, LENGTH)
    for path in paths.tolist():
        alone = not any(path[0] in edge and len(edge) == 2 for edge in edges)
        assert (
            set(path) == {path[0]}
            if alone
            else all(a != b and {a, b} in edges for a, b in zip(path, path[1:]))
        )


def test_neighbours_lie_together_and_the_seed_decides():
    field = two_cliques()
    vectors, again = (node2vec(field, np.random.default_rng(0)) for _ in range(2))
    np.testing.assert_array_equal(vectors, again)
    side, alike = field.nodes < 5, diversify.cosine(vectors)
    assert alike[np.ix_(side, side)].min() > alike[np.ix_(side, ~side)].max()


def test_the_vectors_are_a_factor_of_the_best_rank():
    """Their products are those of U S^(1/2): of the truncated singular value decomposition."""
    field = two_cliques()
    near = shared(
        walks(field.edge_index, np.repeat(np.arange(10), WALKS), 10, np.random.default_rng(3)), 10
    )
    left, strength, _ = np.linalg.svd(near)
    vectors = node2vec(field, np.random.default_rng(3))
    np.testing.assert_allclose(vectors @ vectors.T, left * strength @ left.T, atol=1e-6)


def test_an_embedding_is_the_mean_of_its_nodes():
    field, rng = two_cliques(), np.random.default_rng(0)
    bits = field.component(rng.random((6, field.num_units)) < 0.5)
    vectors = rng.normal(size=(field.num_nodes, 3))
    for found, row in zip(embed_by_nodes(field, bits, vectors), bits):
        np.testing.assert_allclose(found, vectors[field.touched(row)].mean(axis=0))


def test_a_field_without_edges_has_no_directions():
    field = extract(Graph(np.zeros((2, 0), int), np.zeros((3, 1))), 1, 2, 1)
    assert not node2vec(field, np.random.default_rng(0)).any()
