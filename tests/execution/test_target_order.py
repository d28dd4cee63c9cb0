"""The order of many targets: clusters of overlapping fields, the best connected first."""

import gc

import networkx
import numpy as np
import pytest

import sxq
from sxq.execution import executor
from sxq.execution import target_order as workload
from sxq.graph import Graph, extract
from tests.graphs import random_graph
from tests.toys import Votes


@pytest.mark.parametrize("seed", range(4))
def test_core_numbers_are_networkx_s(seed):
    graph = random_graph(np.random.default_rng(seed), nodes=40, edges=120)
    pairs = np.unique(graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]], axis=1)
    simple = Graph(np.concatenate([pairs, pairs[::-1]], axis=1), graph.x)
    picture = networkx.Graph(pairs.T.tolist())
    picture.add_nodes_from(range(40))
    assert workload.core_numbers(simple).tolist() == [
        2 * networkx.core_number(picture)[v] for v in range(40)
    ]


def test_core_numbers_are_computed_once_per_graph_and_forgotten_with_it(monkeypatch):
    computed, compute = [], workload.core_numbers
    monkeypatch.setattr(
        workload,
        "core_numbers",
        lambda graph: (computed.append(graph.num_nodes), compute(graph))[1],
    )
    graphs, before = (
        [random_graph(np.random.default_rng(seed)) for seed in (0, 1)],
        len(workload._known_cores),
    )
    for graph in graphs * 3:
        assert workload.order(graph, np.arange(4), 2) == workload.order(graph, np.arange(4), 2)
        assert (workload.known_core_numbers(graph) == compute(graph)).all()
    assert len(computed) == 2 and len(workload._known_cores) == before + 2
    del graph, graphs
    gc.collect()
    assert len(workload._known_cores) <= before


@pytest.mark.parametrize("undirected", [True, False])
def test_a_minhash_is_the_least_rank_in_the_field(undirected):
    graph = random_graph(np.random.default_rng(5), undirected=undirected)
    rank = np.random.default_rng(0).permutation(graph.num_nodes)
    for hops in (0, 1, 3):
        fields = [extract(graph, v, hops, 0, directed=True) for v in range(graph.num_nodes)]
        assert workload.minhash(graph, hops).tolist() == [
            rank[field.nodes].min() for field in fields
        ]


def test_neighbours_are_searched_together():
    star = np.array(
        [[0, 0, 0, 5, 5, 5, 1], [1, 2, 3, 6, 7, 8, 2]]
    )  # two stars; 1-2 makes a triangle
    graph = Graph(np.concatenate([star, star[::-1]], axis=1), np.ones((9, 1)))
    targets = np.array([6, 3, 1, 7, 2, 8])
    found = targets[workload.order(graph, targets, 2)].tolist()
    assert sorted([found[:3], found[3:]]) == [[1, 2, 3], [6, 7, 8]]


def test_the_order_of_the_search_is_not_the_order_of_the_result(monkeypatch):
    monkeypatch.setitem(executor.TOGETHER, "cpu", 3)
    graph, admitted = random_graph(np.random.default_rng(1), features=2), []
    started = executor.TargetRun.__init__
    monkeypatch.setattr(
        executor.TargetRun,
        "__init__",
        lambda self, *given: (admitted.append(given[5]), started(self, *given))[1],
    )
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", Votes(2), "g")
        query = "EXPLAIN NODES ? USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 60 CANDIDATES"
        together = con.execute(query, [list(range(12))])
        assert admitted != list(range(12)) and sorted(admitted) == list(range(12))
        assert [report.target for report in together.targets] == list(range(12))
        alone = [row for v in range(12) for row in con.execute(query, [[v]]).rows]
    assert together.rows == alone


def test_progress_says_how_long_it_will_take():
    assert (
        str(executor.Progress(0, 8, 100, 2.0, 3, share=0))
        == "0 of 8 targets, 100 candidates, 50/s, front 3"
    )
    assert str(executor.Progress(2, 8, 900, 5.0, 3, share=0.25)).endswith(
        "front 3, at most 15 s left"
    )
