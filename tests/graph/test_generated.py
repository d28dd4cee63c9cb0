"""The generated graphs: what the literature says of them, counted."""

import numpy as np
import pytest

from sxq.datasets import load
from sxq.graph.generated import ba_community, ba_shapes, motif_edges, tree_cycles, tree_grid


@pytest.mark.parametrize(
    "make, nodes, base, size, edges",
    [(ba_shapes, 700, 300, 5, 6), (tree_cycles, 871, 511, 6, 6), (tree_grid, 1231, 511, 9, 12)],
)
def test_motifs_hang_on_a_base(make, nodes, base, size, edges):
    graph = make()
    motif, pairs = (
        np.array(graph.attributes["motif"]),
        graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]],
    )
    assert graph.num_nodes == nodes and graph.undirected and (graph.x == 1).all()
    assert (motif[:base] == -1).all() and (np.bincount(motif[base:]) == size).all()
    assert ((graph.y == 0) == (motif < 0)).all()
    inside = (motif[pairs[0]] == motif[pairs[1]]) & (motif[pairs[0]] >= 0)
    assert (
        np.bincount(motif[pairs[0, inside]]) >= edges
    ).all()  # a random edge may have been added
    hung = (motif[pairs[0]] < 0) & (motif[pairs[1]] >= 0)
    assert set(motif[pairs[1, hung]]) == set(range(motif.max() + 1))


def test_the_truth_of_a_target_is_its_motif():
    graph = ba_shapes()
    truth = motif_edges(graph, 300)
    assert len(truth) >= 12 and set(graph.edge_index[:, truth].ravel()) == set(range(300, 305))
    assert len(motif_edges(graph, 0)) == 0


def test_the_same_seed_gives_the_same_graph():
    assert np.array_equal(ba_shapes(1).edge_index, ba_shapes(1).edge_index)
    assert not np.array_equal(ba_shapes(1).edge_index, ba_shapes(2).edge_index)
    assert np.array_equal(load("bashapes").edge_index, ba_shapes().edge_index)
    assert np.array_equal(load("TreeCycles").edge_index, tree_cycles().edge_index)


def test_communities_are_told_apart_by_features_and_joined():
    graph = ba_community()
    community = np.arange(1400) // 700
    motif = np.array(graph.attributes["motif"])
    assert graph.num_nodes == 1400 and graph.undirected and graph.num_features == 10
    assert ((graph.y >= 4) == community).all() and set(graph.y) == set(range(8))
    assert (np.bincount(motif[motif >= 0]) == 5).all() and motif.max() == 159
    assert abs(graph.x[community == 0, :2].mean() + 1) < 0.1 > abs(graph.x[:, 2:].mean())
    cross = community[graph.edge_index[0]] != community[graph.edge_index[1]]
    assert 340 <= cross.sum() // 2 <= 350 and not graph.edge_truth[cross].any()
    assert (motif[graph.edge_index[0]] == motif[graph.edge_index[1]])[graph.edge_truth].all()
    assert graph.content_hash == ba_community().content_hash != ba_community(1).content_hash
