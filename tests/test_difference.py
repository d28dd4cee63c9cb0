"""First layers computed as differences from a reference give what the plain module gives."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric import nn as pyg

from sxq.execution.inference import Cuts, nearness, packing
from sxq.execution.inference.layered import Layered
from sxq.execution.inference.choice import open_backend
from sxq.execution.model import borrow
from sxq.graph import Graph, extract
from sxq.graph.readers import read_npz
from sxq.learning import ArchitectureSpec, build, load_weights
from tests.graphs import random_graph
from tests.test_layered import (CASES, MODELS, PLAIN, Attributed, Stack, Weighted, assert_equal, plain,
                                prepared, some_bits)

SUMS = ["gcn", "gcn without loops", "gcn not normalised", "gcn improved", "gcn widening", "sage", "sage add",
        "gin", "gin mlp", "graph", "graph mean"]  # first layers that are computed as differences


def families(field, rng):
    """Candidates near to something: few units, all but few, siblings; and some that are near to nothing."""
    def flipped(bits, count):
        flips = np.zeros((count, field.num_units), bool)
        flips[np.arange(count), rng.integers(field.num_units, size=count)] = True
        return bits ^ flips

    middle = rng.random(field.num_units) < 0.5
    hub = (field.ends == 0).any(axis=0)  # one side takes everything from the target
    nothing, everything = np.zeros(field.num_units, bool), np.ones(field.num_units, bool)
    bits = np.concatenate([np.stack([nothing, everything, hub, ~hub]), flipped(nothing, 3),
                           flipped(middle, 6), flipped(everything, 3), some_bits(field, 5)])
    return bits[rng.permutation(len(bits))]


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("name", [*SUMS, "GCN jumping, batch norm", "GIN"])
def test_differences_from_a_reference_are_what_sums_are(name, undirected, monkeypatch):
    for constant, value in (("WORTH", 1), ("FAMILY", 3), ("reach", lambda plan: 2)):
        monkeypatch.setattr(nearness, constant, value)
    monkeypatch.setattr(packing, "WIDE", 1)
    rng = np.random.default_rng(len(name))
    graph = random_graph(rng, undirected=undirected)
    model = prepared(MODELS[name]() if name in MODELS else Stack(PLAIN[name]), graph)
    backend, kinds = Layered(model), set()
    assert backend.near
    for target in np.argsort(np.bincount(graph.edge_index[1]))[-2:]:
        field = extract(graph, int(target), backend.trace.hops, 1)
        plan, bits = backend.load(graph, field), families(field, rng)
        for tile_rows in (2, 10**6):
            monkeypatch.setattr(packing, "NEAR", tile_rows)
            found = backend.infer([Cuts(plan, bits)])[0]
            assert_equal(found, torch.stack([plain(model, graph, field, row) for row in bits], dim=1))
        kinds |= {reference in nearness.ends(plan) if reference else None
                  for reference, _ in nearness.near(plan, bits)}
    assert kinds == {True, False, None}  # the ends, a candidate of the batch, and none were references


@pytest.mark.parametrize("kind,name,make", CASES, ids=[f"{kind.__name__} {name}" for kind, name, _ in CASES])
def test_differences_are_for_layers_that_do_nothing_but_sum(kind, name, make):
    graph = random_graph(np.random.default_rng(0), weighted=kind is Weighted, attributed=kind is Attributed)
    assert Layered(prepared(kind(make), graph)).near == (kind is Stack and name in SUMS)


def test_a_hub_that_loses_nearly_everything_keeps_its_exactness(monkeypatch):
    monkeypatch.setattr(nearness, "reach", lambda plan: 10)
    rng, leaves = np.random.default_rng(0), 3000
    spokes = np.stack([np.arange(1, leaves + 1), np.zeros(leaves, int)])
    graph = Graph(np.concatenate([spokes, spokes[::-1]], axis=1), rng.normal(1000, 1, size=(leaves + 1, 5)))
    model = prepared(pyg.GraphSAGE(5, 8, 2, 3), graph)
    backend, field = Layered(model), extract(graph, 0, 2, 0)
    bits = np.ones((20, leaves), bool)
    bits[:, -1], bits[np.arange(20), np.arange(20)] = False, False
    plan = backend.load(graph, field)
    assert any(reference for reference, _ in nearness.near(plan, bits))
    found = backend.infer([Cuts(plan, bits)])[0]
    assert_equal(found, torch.stack([plain(model, graph, field, row) for row in bits], dim=1))


def hub(rng, leaves=300):
    """A node that every other one is joined to, in both directions; the others form a ring."""
    ring = np.stack([np.arange(1, leaves + 1), np.arange(1, leaves + 1) % leaves + 1])
    ends = np.concatenate([np.stack([np.arange(1, leaves + 1), np.zeros(leaves, int)]), ring], axis=1)
    return Graph(np.concatenate([ends, ends[::-1]], axis=1), rng.normal(size=(leaves + 1, 5)))


@pytest.mark.parametrize("count", [nearness.FAMILY, 2 * nearness.FAMILY, 5 * nearness.FAMILY])
def test_candidates_without_a_reference_keep_their_order(count, monkeypatch):
    """Looking for siblings turns the batch around, and none may be found."""
    monkeypatch.setattr(packing, "WIDE", 1)
    monkeypatch.setattr(nearness, "WORTH", 1)
    rng = np.random.default_rng(0)
    graph = hub(rng)
    model = prepared(Stack(PLAIN["gcn"]), graph)
    backend, field = Layered(model), extract(graph, 1, 2, 1)
    bits = rng.random((count, field.num_units)) < rng.random((count, 1)) * 0.8 + 0.1
    plan = backend.load(graph, field)
    assert [reference for reference, _ in nearness.near(plan, bits)] == [None]
    found = backend.infer([Cuts(plan, bits)])[0]
    assert_equal(found, torch.stack([plain(model, graph, field, row) for row in bits], dim=1))


def test_hubs_of_facebook_agree_with_copies_of_the_field():
    folder = Path(os.environ.get("SXQ_DATA", "nowhere"))
    if not (folder / "facebook.npz").exists():
        pytest.skip("SXQ_DATA does not name a folder with facebook.npz")
    graph, rng = read_npz(folder / "facebook.npz"), np.random.default_rng(0)
    module = build(ArchitectureSpec("gcn", graph.num_features, int(graph.y.max()) + 1, layers=3, hidden=16), seed=0)
    load_weights(module, folder / "models" / "trained_here_facebook_svd_gcn.safetensors")
    model = borrow(module, graph, "logits", torch.device("cpu"))
    field = extract(graph, 19111, 3, 1)  # 15,134 units
    few = 3 / field.num_units
    density = np.repeat([0.0, few, 0.5, 1 - few, 1.0], 4)
    mixed = rng.random((len(density), field.num_units)) < density[:, None]
    middle = rng.random((nearness.FAMILY, field.num_units)) < 0.5
    siblings = np.repeat(middle[:1], 2 * nearness.FAMILY, axis=0)
    siblings[np.arange(len(siblings)), rng.integers(field.num_units, size=len(siblings))] ^= True
    mixed = np.concatenate([mixed, siblings])[rng.permutation(len(mixed) + len(siblings))]
    fast, slow = Layered(model), open_backend("disjoint", model)
    plan, copies = fast.load(graph, field), slow.load(graph, field)
    for bits, references in ((mixed, 3), (middle, 0)):  # both ends and one of the siblings; none
        assert len(list(nearness.near(plan, bits))) == references + 1
        some = np.arange(0, len(bits), 4)
        found, expected = (model.probabilities(outputs.flatten(0, 1)) for outputs in (
            fast.infer([Cuts(plan, bits)])[0][:, some], slow.infer([Cuts(copies, bits[some])])[0]))
        assert (found - expected).abs().max() < 1e-6
