"""Where benchmarks find graphs and models: the folder, a download, a generated stand-in."""

import data
import numpy as np
import pytest
import standins
from safetensors.torch import save_file

from sxq.datasets.molecules import functional_groups
from sxq.errors import DataError
from sxq.graph.generated import ba_3motif, ba_community, ba_shapes
from sxq.graph.saved_npz import write_npz
from sxq.models import ArchitectureSpec, build

FOUND_BEFORE = (data.graph, data.graphs, data._gcn, data.classifier)


@pytest.fixture(autouse=True)
def nothing_at_hand(monkeypatch):
    """No folder, no network, and small stand-ins."""

    def load(name, collection):
        raise DataError(f"data set {name!r} could not be fetched")

    monkeypatch.delenv("SXQ_DATA", raising=False)
    monkeypatch.setattr(data.datasets, "load", load)
    monkeypatch.setitem(standins.MADE, "cora", ba_community)
    monkeypatch.setitem(standins.MADE, "ba3motif", lambda: ba_3motif(graphs=30))
    standins.MADE["ba3motif"].__doc__ = "30 graphs."
    for kind in ("node", "graph"):
        short = dict(data.TRAINING[kind]) | {"epochs": 2}
        monkeypatch.setitem(data.TRAINING, kind, tuple(short.items()))
    yield
    for found in FOUND_BEFORE:
        found.cache_clear()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SXQ_DATA", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path


def test_a_stand_in_is_named_and_its_model_trained(capsys):
    graph = data.graph("cora")
    module = data.model("cora", graph)
    said = capsys.readouterr().out
    assert graph.content_hash == ba_community().content_hash and module is data.model("cora", graph)
    assert "cora: data set 'Cora' could not be fetched" in said
    assert "cora: a generated stand-in, BA-Community" in said
    assert "no published weights, trained here with seed 0: accuracy all " in said
    assert data.label("cora") == "cora (trained here)" and data.reference() == {}
    assert len(data.published_targets()) == 26 and data.stored_masks() is None


def test_a_download_comes_before_a_stand_in(monkeypatch, capsys):
    monkeypatch.setattr(data.datasets, "load", lambda name, collection: ba_shapes())
    assert data.graph("cora").content_hash == ba_shapes().content_hash
    assert "stand-in" not in capsys.readouterr().out


def test_the_folder_comes_first(folder, capsys):
    write_npz(ba_shapes(), folder / "cora.npz")
    assert data.graph("cora").content_hash == ba_shapes().content_hash
    spec = ArchitectureSpec("gcn", 10, 4, layers=3, hidden=16)
    published = build(spec, seed=7).state_dict()
    save_file(published, folder / "models" / data.WEIGHTS["cora"])
    found = data.model("cora", data.graph("cora")).state_dict()
    assert all(np.array_equal(found[name], published[name]) for name in published)
    assert data.label("cora") == "cora" and capsys.readouterr().out == ""


def test_collections_have_stand_ins_and_models(capsys):
    graphs = data.graphs("ba3motif")
    data.classifier("ba3motif")
    assert len(graphs) == 30 and "ba3motif: no published weights" in capsys.readouterr().out


def test_stand_ins_have_the_size_of_what_they_stand_for():
    graph = standins.cora()
    assert (graph.num_nodes, graph.num_features, graph.y.max() + 1) == (2_708, 1_433, 7)
    assert 10_000 < graph.num_edges < 11_000 and graph.undirected
    same = graph.y[graph.edge_index[0]] == graph.y[graph.edge_index[1]]
    assert 0.75 < same.mean() < 0.9


def test_the_truth_of_molecules_is_in_the_mutagenic_ones(monkeypatch):
    monkeypatch.setattr(standins, "MOLECULES", 40)
    for graph, label in zip(graphs := standins.molecules(), graphs.y):
        assert graph.edge_truth.any() == (label == 0)
        atoms = graph.x.argmax(axis=1)
        assert np.array_equal(graph.edge_truth, functional_groups(atoms, graph.edge_index))
