"""Whether a graph is undirected, against a count of its edges."""

from collections import Counter

import numpy as np
import pytest

from sxq.graph import Graph


def same_both_ways(graph):
    values = [()] * graph.num_edges if graph.edge_weight is None else graph.edge_weight.tolist()
    there = Counter(zip(*graph.edge_index.tolist(), values))
    back = Counter(zip(*graph.edge_index[::-1].tolist(), values))
    return there == back


@pytest.mark.parametrize("weights", [False, True])
def test_it_is_if_the_edges_are_those_of_its_reverse(weights):
    rng = np.random.default_rng(0)
    seen = Counter()
    for _ in range(300):
        nodes = int(rng.integers(1, 5))
        ends = rng.integers(0, nodes, (2, int(rng.integers(0, 5))))
        if rng.random() < 0.5:
            ends = np.concatenate([ends, ends[::-1]], axis=1)
        weight = rng.integers(1, 3, ends.shape[1]).astype(np.float32) if weights else None
        graph = Graph(ends, np.ones((nodes, 1), np.float32), edge_weight=weight)
        assert graph.undirected == same_both_ways(graph)
        seen[graph.undirected] += 1
    assert min(seen.values()) > 30


def test_a_ring_is_directed_though_its_degrees_are_equal():
    ring = np.array([[0, 1, 2], [1, 2, 0]])
    assert not Graph(ring, np.ones((3, 1), np.float32)).undirected
