"""First layers computed as differences from a reference give what the plain module gives."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric import nn as pyg

from sxq.graph import Graph, extract
from sxq.graph.readers import read_npz
from sxq.inference import CandidateBatch
from sxq.inference.choose import open_backend
from sxq.inference.delta import match as matching
from sxq.inference.delta.bases import ENDS, bases_of
from sxq.inference.layered import schedule
from sxq.inference.layered.backend import Layered
from sxq.models import ArchitectureSpec, build, load_weights
from sxq.models.borrow import borrow
from tests.graphs import random_graph
from tests.layered_models import (
    CASES,
    MODELS,
    PLAIN,
    Attributed,
    Stack,
    Weighted,
    assert_equal,
    plain,
    prepared,
    some_bits,
)

SUMS = [
    "gcn",
    "gcn without loops",
    "gcn not normalised",
    "gcn improved",
    "gcn widening",
    "sage",
    "sage add",
    "gin",
    "gin mlp",
    "graph",
    "graph mean",
]  # first layers that are computed as differences


def families(field, rng):
    """Candidates near to something: few units, all but few, siblings; and some that are near to nothing."""

    def flipped(bits, count):
        flips = np.zeros((count, field.num_units), bool)
        flips[np.arange(count), rng.integers(field.num_units, size=count)] = True
        return bits ^ flips

    middle = rng.random(field.num_units) < 0.5
    hub = (field.ends == 0).any(axis=0)  # one side takes everything from the target
    nothing, everything = np.zeros(field.num_units, bool), np.ones(field.num_units, bool)
    bits = np.concatenate(
        [
            np.stack([nothing, everything, hub, ~hub]),
            flipped(nothing, 3),
            flipped(middle, 6),
            flipped(everything, 3),
            some_bits(field, 5),
        ]
    )
    return bits[rng.permutation(len(bits))]


@pytest.mark.slow
@pytest.mark.sweep(4)
@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("name", [*SUMS, "GCN jumping, batch norm", "GIN"])
def test_differences_from_a_base_are_what_sums_are(name, undirected, monkeypatch):
    """In batches that follow each other, so that bases move, are opened, renewed and given up."""
    monkeypatch.setattr(schedule, "WIDE", 1)
    monkeypatch.setattr(matching, "BESIDE", 1)
    rng = np.random.default_rng(len(name))
    graph = random_graph(rng, undirected=undirected)
    model = prepared(MODELS[name]() if name in MODELS else Stack(PLAIN[name]), graph)
    backend = Layered(model)
    assert backend.as_delta
    for target in np.argsort(np.bincount(graph.edge_index[1]))[-2:]:
        field = extract(graph, int(target), backend.steps.hops, 1)
        layout, known = backend.load(graph, field), 0
        for unit, rows in ((0, 10**6), (2, 10**6), (0, 2), (10**6, 10**6), (0, 10**6)):
            for constant in ("UNIT", "TERM"):  # from everything is near to nothing is
                monkeypatch.setattr(matching, constant, unit)
            monkeypatch.setattr(schedule, "NEAR", rows)
            bits = families(field, rng)
            found = backend.infer([CandidateBatch(layout, bits)])[0]
            assert_equal(
                found, torch.stack([plain(model, graph, field, row) for row in bits], dim=1)
            )
            known = max(known, bases_of(layout).known.sum())
        assert known > ENDS


def test_bases_follow_a_peel():
    """A batch differs little from the one before it: the sums of every base are those of its bits, from scratch."""
    rng = np.random.default_rng(0)
    graph = hub(rng)
    backend, field = Layered(prepared(Stack(PLAIN["gcn"]), graph)), extract(graph, 0, 2, 1)
    layout = backend.load(graph, field)
    bases = bases_of(layout)
    state = np.ones(field.num_units, bool)
    peeled = rng.permutation(field.num_units)
    for step in range(0, field.num_units - 20, 20):
        state[peeled[step : step + 20]] = False
        bits = np.repeat(state[None], 4, axis=0)
        bits[np.arange(1, 4), peeled[step + 20 : step + 23]] = False
        with torch.inference_mode():
            found = matching.match(layout, bases, bits, True)
        assert found is not None or step == 0
        backend.infer([CandidateBatch(layout, bits)])
    assert bases.known[ENDS:].any()
    kept = {key: (layer.sums.clone(), layer.table.clone()) for key, layer in bases.layers.items()}
    degrees = {key: values.copy() for key, (_, values) in bases.degrees.items()}
    slots = bases.known.nonzero()[0].tolist()
    with torch.inference_mode():
        bases.renew(slots, bases.masks[2 * np.array(slots), : layout.units])
    places = [2 * slot + side for slot in slots for side in (0, 1)]
    for key, layer in bases.layers.items():
        assert torch.allclose(kept[key][0][places], layer.sums[places], rtol=0, atol=1e-12)
        assert torch.allclose(kept[key][1][places], layer.table[places], rtol=0, atol=1e-6)
    for key, (_, values) in bases.degrees.items():
        assert (degrees[key][places] == values[places]).all()


def test_a_batch_that_fails_leaves_the_bases_as_they_were(monkeypatch):
    monkeypatch.setattr(schedule, "WIDE", 1)
    rng = np.random.default_rng(0)
    graph = hub(rng)
    backend, field = Layered(prepared(Stack(PLAIN["gcn"]), graph)), extract(graph, 0, 2, 1)
    layout = backend.load(graph, field)
    bits = np.repeat(rng.random((1, field.num_units)) < 0.95, 4, axis=0)
    expected = backend.infer([CandidateBatch(layout, bits)])[0]
    run = backend.run
    monkeypatch.setattr(backend, "run", lambda tile: [run(tile), 1 / 0])
    with pytest.raises(ZeroDivisionError):
        backend.infer([CandidateBatch(layout, bits ^ (rng.random(bits.shape) < 0.01))])
    monkeypatch.undo()
    assert torch.allclose(backend.infer([CandidateBatch(layout, bits)])[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    "kind,name,make", CASES, ids=[f"{kind.__name__} {name}" for kind, name, _ in CASES]
)
def test_differences_are_for_layers_that_do_nothing_but_sum(kind, name, make):
    graph = random_graph(
        np.random.default_rng(0), weighted=kind is Weighted, attributed=kind is Attributed
    )
    assert Layered(prepared(kind(make), graph)).as_delta == (kind is Stack and name in SUMS)


def test_a_hub_that_loses_nearly_everything_keeps_its_exactness(monkeypatch):
    monkeypatch.setattr(schedule, "WIDE", 1)
    for constant in ("UNIT", "TERM"):
        monkeypatch.setattr(matching, constant, 0)
    rng, leaves = np.random.default_rng(0), 3000
    spokes = np.stack([np.arange(1, leaves + 1), np.zeros(leaves, int)])
    graph = Graph(
        np.concatenate([spokes, spokes[::-1]], axis=1), rng.normal(1000, 1, size=(leaves + 1, 5))
    )
    model = prepared(pyg.GraphSAGE(5, 8, 2, 3), graph)
    backend, field = Layered(model), extract(graph, 0, 2, 0)
    layout = backend.load(graph, field)
    for left in (2000, 900, 300, 50, 7, 1):
        bits = np.repeat(np.arange(leaves)[None] < left, 4, axis=0)
        bits[np.arange(1, 4), -np.arange(1, 4)] = True
        found = backend.infer([CandidateBatch(layout, bits)])[0]
    assert bases_of(layout).known[ENDS:].any()
    assert_equal(found, torch.stack([plain(model, graph, field, row) for row in bits], dim=1))


def hub(rng, leaves=300):
    """A node that every other one is joined to, in both directions; the others form a ring."""
    ring = np.stack([np.arange(1, leaves + 1), np.arange(1, leaves + 1) % leaves + 1])
    ends = np.concatenate(
        [np.stack([np.arange(1, leaves + 1), np.zeros(leaves, int)]), ring], axis=1
    )
    return Graph(np.concatenate([ends, ends[::-1]], axis=1), rng.normal(size=(leaves + 1, 5)))


def test_random_candidates_are_near_to_nothing():
    rng = np.random.default_rng(0)
    graph = hub(rng)
    model = prepared(Stack(PLAIN["gcn"]), graph)
    backend, field = Layered(model), extract(graph, 1, 2, 1)
    bits = rng.random((40, field.num_units)) < rng.random((40, 1)) * 0.6 + 0.2
    layout = backend.load(graph, field)
    with torch.inference_mode():
        assert matching.match(layout, bases_of(layout), bits, True) is None


@pytest.mark.slow
def test_hubs_of_facebook_agree_with_copies_of_the_field(monkeypatch):
    folder = Path(os.environ.get("SXQ_DATA", "nowhere"))
    if not (folder / "facebook.npz").exists():
        pytest.skip("SXQ_DATA does not name a folder with facebook.npz")
    graph, rng = read_npz(folder / "facebook.npz"), np.random.default_rng(0)
    module = build(
        ArchitectureSpec("gcn", graph.num_features, int(graph.y.max()) + 1, layers=3, hidden=16),
        seed=0,
    )
    load_weights(module, folder / "models" / "trained_here_facebook_svd_gcn.safetensors")
    model = borrow(module, graph, "logits", torch.device("cpu"))
    field = extract(graph, 19111, 3, 1)  # 15,134 units
    few = 3 / field.num_units
    density = np.repeat([0.0, few, 0.5, 1 - few, 1.0], 4)
    mixed = rng.random((len(density), field.num_units)) < density[:, None]
    siblings = np.repeat(rng.random((1, field.num_units)) < 0.5, 12, axis=0)
    siblings[np.arange(len(siblings)), rng.integers(field.num_units, size=len(siblings))] ^= True
    mixed = np.concatenate([mixed, siblings])[rng.permutation(len(mixed) + len(siblings))]
    monkeypatch.setattr(schedule, "WIDE", 1)
    fast, slow = Layered(model), open_backend("disjoint", model)
    layout, copies = fast.load(graph, field), slow.load(graph, field)
    for flips in (0, 1, 20, 400):  # what the bases have seen before is changed in so many units
        mixed[:, rng.integers(field.num_units, size=flips)] ^= True
        some = np.arange(0, len(mixed), 4)
        found, expected = (
            model.probabilities(outputs.flatten(0, 1))
            for outputs in (
                fast.infer([CandidateBatch(layout, mixed)])[0][:, some],
                slow.infer([CandidateBatch(copies, mixed[some])])[0],
            )
        )
        assert (found - expected).abs().max() < 1e-6
        assert bases_of(layout).known[ENDS:].any()
