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
    "pubmed": "pubmed.npz",
    "computers": "computers.npz",
    "arxiv": "arxiv.npz",
    "superpixels": "superpixels.npz",
    "vg5": "vg5.npz",
}
NAMES = {  # downloads
    "cora": "Cora",
    "facebook": "FacebookPage",
    "mutagenicity": "Mutagenicity",
    "pubmed": "PubMed",
    "computers": "AmazonComputer",
    "arxiv": "OGBN-arxiv",
    "superpixels": "MNISTSuperpixels",
    "vg5": "VG-5",
}
WEIGHTS = {
    "cora": "skyexp_cora_gcn.safetensors",
    "facebook": "trained_here_facebook_svd_gcn.safetensors",
    "ba3motif": "trained_here_ba3_leconv.safetensors",
}
REFERENCE = "reference_cora_gcn.json"  # what is known of the published targets
GRAPHS = {"superpixels": 8000}  # of a download, as many as the ReFine code takes
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
    return bool(name in WEIGHTS and file(FILES[name]) and file(f"models/{WEIGHTS[name]}"))


def label(name: str) -> str:
    """What a graph is called in tables: its name, and that it is not the published case."""
    return name if published(name) else f"{name} (trained here)"


def source(name: str) -> str:
    """Where a data set that was read came from: SXQ_DATA, a download, or a stand-in."""
    return _SOURCES.get(name, "not read")


_SOURCES: dict[str, str] = {}


@cache
def graph(name: str) -> Graph:
    """The graph `cora`, `facebook`, `pubmed`, `computers` or `arxiv`."""
    return _read(name, collection=False)


@cache
def graphs(name: str) -> GraphSet:
    """The collection `ba3motif`, `mutagenicity`, `superpixels` or `vg5`."""
    return _read(name, collection=True)


def _read(name: str, collection: bool) -> Graph | GraphSet:
    if path := file(FILES[name]):
        _SOURCES[name] = "SXQ_DATA"
        return read_graphs(path) if collection else read_npz(path)
    if name in NAMES:
        try:
            found = _fetched(name, collection)
            _SOURCES[name] = "download"
            return found
        except DataError as error:
            print(f"{name}: {error}")
            if name not in standins.MADE:
                raise
    _SOURCES[name] = "stand-in"
    print(
        f"{name}: a generated stand-in, {standins.MADE[name].__doc__.splitlines()[0]}", flush=True
    )
    return standins.MADE[name]()


def _fetched(name: str, collection: bool) -> Graph | GraphSet:
    if name in GRAPHS:
        return datasets.load(NAMES[name], graphs=GRAPHS[name], collection=collection)
    return datasets.load(NAMES[name], collection=collection)


def model(name: str, on: Graph, architecture: str = "gcn", layers: int = 3) -> torch.nn.Module:
    """The published 3-layer GCN of a graph, or another model, 16 wide, with seeded random weights."""
    if architecture == "gcn" and layers == 3:
        return _gcn(name)
    classes = int(on.y.max()) + 1
    spec = ArchitectureSpec(architecture, on.num_features, classes, layers=layers, hidden=16)
    return build(spec, seed=0)


@cache
def trained(name: str, architecture: str, layers: int, epochs: int = 200) -> torch.nn.Module:
    """The published GCN of 3 layers where it is at hand, else a model, 16 wide, trained here."""
    on = graph(name)
    if architecture == "gcn" and layers == 3 and published(name):
        return _gcn(name)
    values = dict(TRAINING["node"]) | {"architecture": architecture, "layers": layers}
    return _trained(name, on, tuple((values | {"epochs": epochs}).items()))


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
