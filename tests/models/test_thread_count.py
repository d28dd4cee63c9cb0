"""Small graphs run on one thread: beside a busy process two threads wait for each other thousands of times."""

import numpy as np
import pytest
import torch
from torch_geometric.nn import GCNConv

import sxq
from sxq.models.thread_count import CHANNELS, LARGE, one_thread, threads_for
from tests.graphs import random_graph


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "features,edges,threads",
    [
        (0, 0, 1),
        (LARGE - 1, 0, 1),
        (LARGE, 0, 2),
        (0, LARGE // CHANNELS - 1, 1),
        (0, LARGE // CHANNELS, 2),
    ],
)
def test_large_operations_keep_their_threads(features, edges, threads):
    with threads_for(features, edges):
        assert torch.get_num_threads() == threads


def test_an_error_gives_the_threads_back():
    with pytest.raises(ZeroDivisionError), one_thread():
        1 / 0  # noqa: B018


class Counting(GCNConv):
    """Remembers how many threads there are when it is called; kept outside of the module, of which sxq has a copy."""

    seen: list[int] = []

    def forward(self, x, edge_index):
        self.seen.append(torch.get_num_threads())
        return super().forward(x, edge_index)


def test_plain_forwards_of_a_small_graph_run_on_one_thread():
    with sxq.connect() as con:
        con.register_graph("g", random_graph(np.random.default_rng(0), features=2))
        con.register_model("m", Counting(2, 3), "g", output="logits")
        Counting.seen.clear()  # a forward that is only recorded takes no time
        con.execute("EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, conc BUDGET 20 CANDIDATES; AUDIT")
    assert set(Counting.seen) == {1}
