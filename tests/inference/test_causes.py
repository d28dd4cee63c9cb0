"""An error of registration says why: two runs differ, edges run backwards, batch statistics, ranks, a squeeze."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import SAGEConv, global_add_pool
from torch_geometric.utils import coalesce, to_undirected

import sxq
from sxq.errors import ModelError
from sxq.inference.registration import register
from tests.graphs import random_graph


class Calls(nn.Module):
    """A SAGE layer after any change of x; or any change of its output."""

    def __init__(
        self, before=lambda x: x, flow="source_to_target", norm=None, edges=lambda e, n: e
    ):
        super().__init__()
        torch.manual_seed(0)
        self.layer = SAGEConv(5, 3, flow=flow)
        self.norm = norm
        self.before = before
        self.edges = edges

    def forward(self, x, edge_index):
        x = self.norm(x) if self.norm else x
        return self.layer(self.before(x), self.edges(edge_index, len(x)))


ORDER = torch.randperm(24, generator=torch.Generator().manual_seed(0))
OTHER_EDGES = torch.stack([ORDER, ORDER.roll(1)])


def needs_edges(edge_index, nodes):
    assert edge_index.shape[1] > 5, "no edges"
    return edge_index


CAUSES = {
    "dropout": (Calls(lambda x: F.dropout(x, 0.5)), "two runs on the same input.*dropout is on"),
    "random features": (Calls(torch.randn_like), "two runs on the same input.*randn_like"),
    "numpy": (
        Calls(lambda x: x * float(np.random.default_rng().random())),
        "two runs on the same input.*make it repeatable",
    ),
    "batch norm": (
        Calls(lambda x: F.batch_norm(x, None, None, training=True)),
        "mixes all nodes.*batch_norm in training mode.*running statistics",
    ),
    "batch norm without statistics": (
        Calls(norm=nn.BatchNorm1d(5, track_running_stats=False)),
        r"mixes all nodes.*norm \(BatchNorm1d in training mode\)",
    ),
    "ranks": (
        Calls(lambda x: x * (x[:, :1] >= x[:, 0].topk(5)[0].min())),
        "mixes all nodes.*ranks all nodes: it calls topk",
    ),
    "backwards": (Calls(flow="target_to_source"), "run against the edges.*flip"),
    "both ways": (
        Calls(edges=lambda e, n: to_undirected(e, num_nodes=n)),
        "adds the reverse of each edge, as to_undirected does.*UNDIRECTED = true",
    ),
    "a mean over the nodes": (
        Calls(lambda x: x - x.mean(dim=0)),
        r"takes mean over all rows \(line \d+ of test_causes.py\)",
    ),
    "whole numbers that are brought into order are no ranks": (
        Calls(lambda x: x.softmax(0), edges=lambda e, n: coalesce(e, num_nodes=n)),
        "takes softmax over all rows",
    ),
    "rows by position": (
        Calls(lambda x: x + torch.zeros(24, 5)),
        "on the receptive field of node .*parts of the graph.*data.n_id",
    ),
    "edges of its own": (
        Calls(edges=lambda e, n: OTHER_EDGES),
        "does not look at the edge_index that it is given",
    ),
    "no graph without edges": (
        Calls(edges=needs_edges),
        r"changed to probe the model \(x \[24, 5\], \d edges\): AssertionError: no edges",
    ),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_told(name):
    module, cause = CAUSES[name]
    graph = random_graph(np.random.default_rng(0), undirected=False)
    with pytest.raises(sxq.ModelError, match=cause) as raised:
        register(module.eval(), graph)
    assert "module." not in str(raised.value)  # names of parts are the user's


def test_batch_norm_with_statistics_is_local():
    graph = random_graph(np.random.default_rng(0))
    assert register(Calls(norm=nn.BatchNorm1d(5)).eval(), graph).hops == 1


class Pools(nn.Module):
    """A graph classifier: any change of the pooled rows."""

    def __init__(self, after):
        super().__init__()
        torch.manual_seed(0)
        self.layer = SAGEConv(5, 3)
        self.after = after

    def forward(self, x, edge_index, batch):
        return self.after(global_add_pool(self.layer(x, edge_index), batch))


@pytest.mark.parametrize(
    "after, cause",
    [
        (lambda rows: rows.squeeze(), "squeezed"),
        (lambda rows: F.batch_norm(rows, None, None, training=True), "two runs|alone"),
        (lambda rows: F.dropout(rows, 0.5), "two runs on graph .*dropout is on"),
    ],
)
def test_the_cause_is_told_of_a_graph_classifier(after, cause):
    graphs = [random_graph(np.random.default_rng(i)) for i in range(6)]
    with sxq.connect() as con:
        con.register_graphs(
            "gs", [Data(x=torch.tensor(g.x), edge_index=torch.tensor(g.edge_index)) for g in graphs]
        )
        with pytest.raises(sxq.ModelError, match=cause):
            con.register_model("m", Pools(after).eval(), graphs="gs")


class FirstOfBatch(nn.Module):
    """Equal nodes tie: the node that wins depends on where its graph lies in the batch."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = SAGEConv(5, 3)

    def forward(self, x, edge_index, batch):
        count = torch.bincount(batch)
        lonely = ~torch.isin(torch.arange(len(x)), edge_index.flatten())
        row = self.layer(x, edge_index) * (~lonely[:, None] | (batch[:, None] == 0))
        order = row[:, 0].sort()[1]
        return torch.zeros(len(count), 3, dtype=x.dtype).index_add(0, batch[order], row[order])


@pytest.mark.slow
def test_a_model_whose_ties_depend_on_the_batch_runs_one_graph_at_a_time():
    graphs = [random_graph(np.random.default_rng(i), nodes=12, edges=14) for i in range(4)]
    data = []
    for graph in graphs:  # without lonely nodes, so that whole graphs agree
        used = np.unique(graph.edge_index)
        ends = np.searchsorted(used, graph.edge_index)
        data.append(Data(x=torch.tensor(graph.x[used]), edge_index=torch.tensor(ends)))
    with sxq.connect() as con:
        con.register_graphs("gs", data)
        con.register_model("m", FirstOfBatch(), graphs="gs")
        facts = dict(con.execute("DESCRIBE MODEL m").rows)
        assert "one graph at a time" in facts["reason"]
        query = "EXPLAIN GRAPHS 1, 2 USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 60 CANDIDATES"
        assert "one graph at a time" in str(con.execute(f"PLAN {query}"))
        assert len(con.execute(query)) > 2
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


def test_single_directions_are_no_units_where_forward_adds_the_other():
    """Removing one would change nothing in the graph, but something in the field."""
    ask = "EXPLAIN NODE 3 USING MODEL m OPTIMIZE fdl+, conc BUDGET 20 CANDIDATES"
    graph = random_graph(np.random.default_rng(2))
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", Calls(edges=lambda e, n: to_undirected(e, num_nodes=n)), "g")
        con.execute(ask)
        with pytest.raises(ModelError, match="adds the reverse of each edge.*leave EDGES DIRECTED"):
            con.execute(f"{ask} EDGES DIRECTED")
        con.register_model("plain", Calls(), "g")
        con.execute(f"{ask} EDGES DIRECTED".replace("MODEL m", "MODEL plain"))
