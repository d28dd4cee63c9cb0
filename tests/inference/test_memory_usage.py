"""What a target is said to hold is what can be reached from it, every storage once."""

import numpy as np
import torch
from torch_geometric import nn as pyg

from sxq.graph import extract
from sxq.inference import CandidateBatch
from sxq.inference.layered.backend import Layered
from sxq.inference.memory_usage import memory_usage
from tests.graphs import random_graph
from tests.layered_models import prepared, some_bits


def test_views_of_a_storage_count_once():
    table, array = torch.zeros(100), np.zeros((10, 10))
    assert (
        memory_usage([table, table[3:]], {"a": array[2:], "b": array.T}, torch.zeros(7))
        == 400 + 800 + 28
    )


def test_what_is_shared_does_not_count():
    graph = random_graph(np.random.default_rng(0))
    field = extract(graph, 0, 2, 1)
    assert memory_usage(graph, shared=(graph,)) == 0
    arrays = [value for value in vars(field).values() if isinstance(value, np.ndarray)]
    assert memory_usage(field) >= sum(array.nbytes for array in arrays) // 2 > 0
    assert memory_usage((field, graph), shared=(graph,)) == memory_usage(field)


def test_a_field_that_is_asked_holds_more():
    graph = random_graph(np.random.default_rng(0))
    backend = Layered(prepared(pyg.GCN(5, 8, 2, 3), graph))
    layout = backend.load(graph, extract(graph, 0, 2, 1))
    before = memory_usage(layout)
    backend.infer([CandidateBatch(layout, some_bits(layout.field, 50))])
    assert memory_usage(layout) > before + 50 * len(
        layout.field.edges
    )  # at least which rows each of them sums
