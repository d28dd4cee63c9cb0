"""Graphs and models that the benchmarks share, by name, for anybody.

A graph comes from the folder that SXQ_DATA names; or else from its own download (`sxq.datasets`); or
else it is a generated stand-in (standins.py). Published weights come from that folder, too; where
there are none, the model is trained here with a fixed seed. What is not the published thing is
printed, once.
"""

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import standins
import torch

from sxq import datasets
from sxq.errors import DataError
from sxq.graph import Graph, GraphSet
from sxq.graph.collection_readers import read_graphs
from sxq.graph.readers import read_npz
from sxq.models import ArchitectureSpec, accuracies, build, load_weights, train

FILES = {
    "cora": "cora.npz",
    "facebook": "facebook.npz",
    "ba3motif": "ba3motif_800.npz",
    "mutagenicity": "mutagenicity.npz",
}
NAMES = {"cora": "Cora", "facebook": "FacebookPage", "mutagenicity": "Mutagenicity"}  # downloads
WEIGHTS = {
    "cora": "skyexp_cora_gcn.safetensors",
    "facebook": "trained_here_facebook_svd_gcn.safetensors",
    "ba3motif": "trained_here_ba3_leconv.safetensors",
}
REFERENCE = "reference_cora_gcn.json"  # what is known of the published targets
MASKS = "skyexp_cora_reference_masks.npz"  # what the authors' code stored for them
TARGETS = 26  # as many as are published
TRAINING = {  # where there are no weights
    "node": (("layers", 3), ("hidden", 16), ("epochs", 200), ("seed", 0)),
    "graph": (
        ("architecture", "leconv"),
        ("layers", 2),
        ("hidden", 64),
        ("epochs", 30),
        ("seed", 0),
    ),
}


def file(name: str) -> Path | None:
    """A file of the folder that SXQ_DATA names; None where there is no such file."""
    path = Path(os.environ.get("SXQ_DATA") or "/nowhere") / name
    return path if path.exists() else None


def published(name: str) -> bool:
    """Whether the graph and the model of a name are those that published answers are about."""
    return bool(file(FILES[name]) and file(f"models/{WEIGHTS[name]}"))


def label(name: str) -> str:
    """What a graph is called in tables: its name, and that it is not the published case."""
    return name if published(name) else f"{name} (trained here)"


@cache
def graph(name: str) -> Graph:
    """The graph `cora` or `facebook`."""
    return _read(name, collection=False)


@cache
def graphs(name: str) -> GraphSet:
    """The collection `ba3motif` or `mutagenicity`."""
    return _read(name, collection=True)


def _read(name: str, collection: bool) -> Graph | GraphSet:
    if path := file(FILES[name]):
        return read_graphs(path) if collection else read_npz(path)
    if name in NAMES:
        try:
            return datasets.load(NAMES[name], collection=collection)
        except DataError as error:
            print(f"{name}: {error}")
    print(
        f"{name}: a generated stand-in, {standins.MADE[name].__doc__.splitlines()[0]}", flush=True
    )
    return standins.MADE[name]()


def model(name: str, on: Graph, architecture: str = "gcn", layers: int = 3) -> torch.nn.Module:
    """The published 3-layer GCN of a graph, or another model, 16 wide, with seeded random weights."""
    if architecture == "gcn" and layers == 3:
        return _gcn(name)
    classes = int(on.y.max()) + 1
    spec = ArchitectureSpec(architecture, on.num_features, classes, layers=layers, hidden=16)
    return build(spec, seed=0)


@cache
def _gcn(name: str) -> torch.nn.Module:
    on = graph(name)
    path = file(f"models/{WEIGHTS[name]}")
    spec = ArchitectureSpec("gcn", on.num_features, int(on.y.max()) + 1, layers=3, hidden=16)
    return _loaded(spec, path) if published(name) else _trained(name, on, TRAINING["node"])


@cache
def classifier(name: str) -> torch.nn.Module:
    """The LEConv of `ba3motif` that is kept with the data, or one that is trained here."""
    held = graphs(name)
    path = file(f"models/{WEIGHTS[name]}")
    spec = ArchitectureSpec(
        "leconv", held.num_features, int(held.y.max()) + 1, layers=2, hidden=64, pooling="mean"
    )
    return _loaded(spec, path) if published(name) else _trained(name, held, TRAINING["graph"])


def _loaded(spec: ArchitectureSpec, path: Path) -> torch.nn.Module:
    module = build(spec, seed=0)
    load_weights(module, path)
    return module


def _trained(name: str, on: Graph | GraphSet, options: tuple) -> torch.nn.Module:
    module = train(on, options).module
    found = ", ".join(f"{split} {share:.1%}" for split, share in accuracies(module, on).items())
    print(f"{name}: no published weights, trained here with seed 0: accuracy {found}", flush=True)
    return module


def reference() -> dict:
    """What is known of the published targets, by target; empty where it is not at hand."""
    path = file(REFERENCE)
    return json.loads(path.read_text())["targets"] if path and published("cora") else {}


def stored_masks() -> dict[str, np.ndarray] | None:
    """The answers that the authors' code stored, or None where they are not at hand."""
    path = file(MASKS)
    return dict(np.load(path)) if path and published("cora") else None


def published_targets() -> list[int]:
    """The 26 Cora targets for which the authors of the skyline paper stored answers, or 26 others."""
    known = [int(key) for key in reference()]
    return known or random_targets(graph("cora"), TARGETS)


def random_targets(on: Graph, count: int, seed: int = 0) -> list[int]:
    """Seeded random nodes that have an in-edge."""
    heads = np.unique(on.edge_index[1])
    chosen = np.random.default_rng(seed).choice(heads, min(count, len(heads)), replace=False)
    return [int(v) for v in chosen]
