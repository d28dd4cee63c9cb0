"""Models on graphs on disk: outputs block by block equal those of one forward pass, and are kept."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import APPNP, GATv2Conv, GCNConv, SAGEConv

from sxq.graph import Graph
from sxq.graph.disk import open_graph, write
from sxq.inference import depth, full_outputs, locality, on_disk
from sxq.inference.full_outputs import write_outputs
from sxq.inference.registration import attach, register
from sxq.models import borrow
from tests.graphs import make, random_graph


class Mixed(nn.Module):
    """Layers of several kinds, a skip connection, and weights that are computed."""

    def __init__(self):
        super().__init__()
        self.start = nn.Linear(5, 8)
        self.first = GCNConv(8, 8, improved=True)
        self.second = GATv2Conv(8, 4, heads=2)
        self.third = SAGEConv(8, 8, aggr="max")
        self.last = GCNConv(16, 3, add_self_loops=False)

    def forward(self, x, edge_index, edge_weight):
        start = self.start(x).relu()
        x = self.first(start, edge_index, edge_weight.sigmoid()).relu()
        x = self.third(self.second(x, edge_index).relu(), edge_index)
        return self.last(torch.cat([start, x], dim=-1), edge_index)


class Diffused(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(5, 3)
        self.spread = APPNP(K=2, alpha=0.2)

    def forward(self, x, edge_index):
        return self.spread(self.lin(x), edge_index)


def big_random_graph(weighted=False, undirected=True):
    rng = np.random.default_rng(3)
    return random_graph(
        rng, nodes=300, edges=900, weighted=weighted, attributed=not weighted, undirected=undirected
    )


MODELS = {
    "gcn": (lambda: make("gcn", scale=1.0), False),
    "gcn_weighted": (lambda: make("gcn_weighted", scale=1.0), True),
    "sage": (lambda: make("sage"), False),
    "gin": (lambda: make("gin", scale=1.0), False),
    "gat_attr": (lambda: make("gat_attr", scale=1.0), False),
    "mixed": (Mixed, True),
    "diffused": (Diffused, False),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_outputs_in_blocks_are_those_of_one_forward(kind, tmp_path, monkeypatch):
    module, weighted = MODELS[kind]
    torch.manual_seed(0)
    graph = big_random_graph(weighted)
    disk = write(tmp_path / "g", graph.columns())
    model = register(module(), graph, "logits", layers=3 if kind != "diffused" else 2)
    by_fields = []
    monkeypatch.setattr(full_outputs, "_by_fields", lambda *a: by_fields.append(1) or fields(*a))
    (tmp_path / "scratch").mkdir()
    found = write_outputs(model, disk, tmp_path / "scratch", memory=60_000)
    assert np.allclose(found, model.full.numpy(), atol=1e-5, rtol=1e-5)
    assert bool(by_fields) == (kind == "diffused")


fields = full_outputs._by_fields


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gcn_weighted", "mixed", "diffused"])
def test_outputs_by_fields_are_those_of_one_forward(kind, tmp_path):
    module, weighted = MODELS[kind]
    torch.manual_seed(0)
    graph = big_random_graph(weighted, undirected=False)
    model = register(module(), graph, "logits")
    found = fields(model, write(tmp_path / "g", graph.columns()), tmp_path, 400_000)
    assert np.allclose(found, model.full.numpy(), atol=1e-5, rtol=1e-5)


@pytest.fixture
def parts(monkeypatch):
    """Graphs of more than 200 edges count as large."""
    monkeypatch.setattr(on_disk, "PART", 200)
    monkeypatch.setattr(on_disk, "ROOTS", 4)
    monkeypatch.setattr(on_disk, "NODES", 100)


@pytest.mark.slow
def test_a_model_is_examined_on_a_part_and_its_outputs_are_kept(parts, tmp_path, monkeypatch):
    graph = big_random_graph()
    disk = write(tmp_path / "g", graph.columns())
    whole = register(make("gcn"), graph)
    found = register(make("gcn"), disk)
    assert (found.hops, found.halo, found.backend) == (whole.hops, whole.halo, whole.backend)
    assert torch.allclose(found.full, whole.full, atol=1e-5)
    monkeypatch.setattr(on_disk, "write_outputs", lambda *_: 1 / 0)
    facts = {"output": "logits", "task": "multiclass", "hops": 3, "halo": 1, "backend": "layered"}
    again = attach(make("gcn"), open_graph(tmp_path / "g"), {**facts, "reason": ""})
    assert (again.full == found.full).all()
    assert (register(make("gcn"), open_graph(tmp_path / "g")).full == found.full).all()


@pytest.mark.slow
def test_kept_outputs_that_were_damaged_are_computed_again(parts, tmp_path):
    disk = write(tmp_path / "g", big_random_graph().columns())
    found = register(make("gcn"), disk).full.clone()
    (file,) = disk.outputs.glob("*.npy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 64
    file.write_bytes(content)
    assert (register(make("gcn"), disk).full == found).all()


def test_a_folder_that_is_only_read_keeps_no_outputs(parts, tmp_path):
    disk = write(tmp_path / "g", big_random_graph().columns())
    disk.keeps_outputs = False
    assert len(register(make("gcn"), disk).full) == disk.num_nodes
    assert not disk.outputs.exists()


def test_a_full_forward_over_a_large_graph_is_never_run(parts, tmp_path, monkeypatch):
    disk = write(tmp_path / "g", big_random_graph().columns())
    run = []
    plain = borrow.forward_full
    for module in (borrow, depth, locality):
        monkeypatch.setattr(
            module,
            "forward_full",
            lambda m, graph, *a, **k: run.append(graph) or plain(m, graph, *a, **k),
        )
    register(make("gcn"), disk)
    assert run and max(graph.num_nodes for graph in run) < disk.num_nodes


def test_a_regression_has_the_spread_of_all_nodes(parts, tmp_path):
    graph = Graph(**big_random_graph().columns() | {"y": None})
    disk = write(tmp_path / "g", graph.columns())
    net = make("sage", classes=1)
    whole = register(net, graph, task="regression")
    assert register(net, disk, task="regression").spread == pytest.approx(whole.spread, rel=1e-5)
