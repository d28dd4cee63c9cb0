"""Message passing that the user wrote runs layer by layer, with the values of the plain module.

Layers of `MessagePassing` with their own message, sums by index_add and scatter, degrees and
normalisation by hand, self-loops that are added or dropped, and forwards that read shapes. Graphs have
a hub, loops, parallels and an isolated node; batches have the empty candidate and the whole field.
"""

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric import nn as pyg
from torch_geometric.data import Data

import sxq
from sxq.graph import extract
from sxq.inference import CandidateBatch
from sxq.inference.choose import choose
from sxq.inference.layered.backend import Layered
from sxq.inference.registration import register
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models.borrow import borrow
from tests.graphs import random_graph
from tests.layered_models import (
    CPU,
    UNDIRECTED,
    Attributed,
    Stack,
    Weighted,
    assert_equal,
    plain,
    prepared,
    some_bits,
)
from tests.own_layers import OWN, OWN_ATTRIBUTED, OWN_WEIGHTED, Scatters, Tutorial, Weighs

CASES = (
    [(Stack, name, make) for name, make in OWN.items()]
    + [(Weighted, name, make) for name, make in OWN_WEIGHTED.items()]
    + [(Attributed, name, make) for name, make in OWN_ATTRIBUTED.items()]
)


def check_equal(kind, name, make, undirected):
    graph = random_graph(
        np.random.default_rng(len(name)),
        undirected=undirected,
        weighted=kind is Weighted,
        attributed=kind is Attributed,
    )
    model = prepared(kind(make), graph)
    backend = Layered(model)
    fields = [extract(graph, target, 2 + 2 * (name == "cheb"), 1) for target in (0, 4, 23)]
    batches = [
        CandidateBatch(backend.load(graph, field), some_bits(field, size))
        for field, size in zip(fields, (5, 2, 3))
    ]
    for field, batch, found in zip(fields, batches, backend.infer(batches)):
        expected = torch.stack([plain(model, graph, field, bits) for bits in batch.bits], dim=1)
        assert_equal(found, expected)
        alone = backend.infer([CandidateBatch(batch.field, batch.bits[:1])])[0]
        assert_equal(alone, expected[:, :1])


@pytest.mark.slow
@pytest.mark.sweep(8)
@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize(
    "kind,name,make", CASES, ids=[f"{kind.__name__} {name}" for kind, name, _ in CASES]
)
def test_a_layer_of_ones_own_is_its_plain_module(kind, name, make, undirected):
    check_equal(kind, name, make, undirected)


@pytest.mark.parametrize("name", UNDIRECTED)
def test_a_layer_whose_degrees_need_undirected_graphs(name):
    check_equal(Stack, name, UNDIRECTED[name], True)


def test_registration_takes_the_layer_of_the_tutorial_and_the_check_stays_the_judge(monkeypatch):
    from sxq.inference.kernels.messages import WeightedSum

    graph = random_graph(np.random.default_rng(2))
    module = Stack(Tutorial)
    prepared(module, graph)
    found = register(module, graph, "logits")
    assert (found.backend, found.reason, found.hops, found.halo) == ("layered", "", 2, 1)
    right = WeightedSum.run
    monkeypatch.setattr(WeightedSum, "run", lambda self, *given: 1.01 * right(self, *given))
    name, reason = choose(found, graph)
    assert name == "disjoint" and "differs by" in reason


class Odd(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.conv = pyg.GCNConv(5, 3)
        self.say = forward

    def forward(self, x, edge_index):
        return self.say(self.conv, x, edge_index)


REFUSED = {
    "computes with the number of nodes": lambda conv, x, e: conv(x, e) / x.shape[0],
    "number of nodes or edges": lambda conv, x, e: conv(x, e) * (1 / len(x)),
    "rows may differ": lambda conv, x, e: conv(x, e) + torch.arange(len(x)).view(-1, 1),
    "run against the edges": lambda conv, x, e: (
        conv(x, e) + torch.zeros(len(x), 3).index_add_(0, e[0], x[e[1]][:, :3])
    ),
    "is not torch.zeros": lambda conv, x, e: conv(x, e).index_add(0, e[1], x[e[0]][:, :3]),
    "looks at values": lambda conv, x, e: conv(x, e) if x.max() > 0 else x,
    "assigns to a part": lambda conv, x, e: _assigned(conv(x, e)),
    "depends on the number of nodes": lambda conv, x, e: (
        conv(x, e) if len(x) > 70 else conv(x, e).relu()
    ),
    "may mix nodes": lambda conv, x, e: conv(x, e) * x.sum(-1).softmax(-1).unsqueeze(-1),
    "loops over the rows": lambda conv, x, e: conv(x, e) + sum(row for row in x)[:3],
}


def _assigned(out):
    out[0] = 0
    return out


@pytest.mark.parametrize("reason", REFUSED)
def test_what_depends_on_the_graph_is_refused_with_its_line(reason):
    graph = random_graph(np.random.default_rng(1))
    with pytest.raises(Untraceable, match=rf"{reason}.*line \d+ of test_own_layers.py"):
        Layered(borrow(Odd(REFUSED[reason]), graph, "logits", CPU))


def data(**more):
    torch.manual_seed(0)
    edges = torch.randint(0, 20, (2, 60))
    return Data(x=torch.randn(20, 4), edge_index=edges, edge_weight=torch.rand(60) + 0.1, **more)


class Fallen(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = pyg.GCNConv(4, 3)

    def forward(self, x, edge_index):
        return self.conv(x, edge_index) + 0 * x.norm()


def test_the_reason_of_a_slow_model_is_said():
    with sxq.connect() as con:
        con.register_graph("g", data())
        with pytest.warns(sxq.SpeedWarning, match=r"norm over dim=None .*line \d+ of test_own"):
            con.register_model("m", Fallen(), "g", output="logits")
        models = con.execute("SHOW MODELS")
        row = dict(zip(models.columns, models.rows[0]))
        assert row["backend"] == "disjoint" and "test_own_layers.py" in row["reason"]


class Several(nn.Module):
    """Weights under another name; several outputs."""

    def __init__(self, form=tuple):
        super().__init__()
        torch.manual_seed(1)
        self.first = Weighs(4, 8)
        self.second = Scatters(8, 3, "mean")
        self.form = form

    def forward(self, feats, adj, strength=None):
        hidden = self.first(feats, adj, strength).relu()
        out = self.second(hidden, adj)
        return {"h": hidden, "out": out} if self.form is dict else (hidden, out)


GIVEN = {"feats": "x", "adj": "edge_index", "strength": "edge_weight"}


@pytest.mark.slow
@pytest.mark.parametrize("form,key", [(tuple, 1), (tuple, -1), (dict, "out")])
def test_one_of_several_outputs_and_arguments_by_other_names(form, key, tmp_path):
    graph = data()
    module = Several(form)
    path = str(tmp_path / "answers.db")
    with sxq.connect(path) as con:
        con.register_graph("g", graph)
        con.register_model("m", module, "g", output="logits", output_key=key, inputs=GIVEN)
        facts = dict(con.execute("DESCRIBE MODEL m").fetchall())
        assert facts["backend"] == "layered" and facts["output_key"] == str(key)
        result = con.execute("EXPLAIN NODE 3 USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 2")
        with torch.no_grad():
            out = module(graph.x, graph.edge_index, graph.edge_weight)
        right = out[key][3].softmax(0).max().item()
        assert abs(result.targets[0].probability - right) < 1e-5
        assert all(row[-1] == "ok" for row in con.execute("AUDIT").rows)
    with sxq.connect(path) as con:
        with pytest.raises(sxq.ModelDetached, match="output_key=.*inputs="):
            con.execute("EXPLAIN NODE 4 USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 2")
        con.register_model("m", module, output="logits")  # as it was registered before
        con.execute("EXPLAIN NODE 4 USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 2")


@pytest.mark.slow
@pytest.mark.parametrize(
    "given,error,said",
    [
        ({}, sxq.ModelError, "takes adj"),
        ({"inputs": GIVEN}, sxq.ModelOutputError, "give output_key="),
        ({"inputs": GIVEN, "output_key": 5}, sxq.ModelOutputError, "a tuple of 2"),
        ({"inputs": GIVEN, "output_key": "h"}, sxq.ModelOutputError, "a tuple of 2"),
        ({"inputs": GIVEN, "output_key": [1]}, sxq.InvalidValue, "expected the position"),
        ({"inputs": {"w": "edge_weight"}}, sxq.ModelError, "no argument w"),
        ({"inputs": {"strength": "time"}}, sxq.ModelError, "the data has no time"),
        ({"inputs": {"feats": "x"}}, sxq.ModelError, "no argument edge_index"),
        ({"inputs": 3}, sxq.InvalidValue, "expected a dictionary"),
    ],
)
def test_wrong_keys_and_inputs_are_refused(given, error, said):
    with pytest.raises(error, match=said):
        sxq.explain(Several(), data(), 3, output="logits", **given)


class OfData(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.names = nn.Embedding(5, 3)
        self.conv = pyg.GCNConv(7, 3)

    def forward(self, data):
        start = torch.cat([data.x, self.names(data.z)], dim=-1) + data.x.new_zeros(
            data.num_nodes, 1
        )
        return self.conv(start, data.edge_index, torch.sigmoid(data.time))


@pytest.mark.slow
def test_a_forward_of_one_data_with_further_inputs_runs_layer_by_layer():
    more = {"z": torch.randint(0, 5, (20,)), "time": torch.rand(60)}
    with sxq.connect() as con:
        con.register_graph("g", data(**more))
        con.register_model("m", OfData(), "g", output="logits")
        assert dict(con.execute("DESCRIBE MODEL m").fetchall())["backend"] == "layered"
        con.execute("EXPLAIN NODE 3 USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 2")
        assert all(row[-1] == "ok" for row in con.execute("AUDIT").rows)
