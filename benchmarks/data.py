"""Graphs and models that the benchmarks share, by name, from the folder that SXQ_DATA names."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from sxq.graph import Graph
from sxq.graph.readers import read_npz
from sxq.models import ArchitectureSpec, build, load_weights

WEIGHTS = {
    "cora": "skyexp_cora_gcn.safetensors",
    "facebook": "trained_here_facebook_svd_gcn.safetensors",
}


def folder() -> Path:
    """Where the data is; ends the program with a clear message where SXQ_DATA does not say."""
    path = Path(os.environ.get("SXQ_DATA", ""))
    if not (path / "cora.npz").exists():
        sys.exit("SXQ_DATA must name the folder that holds cora.npz, facebook.npz and models/")
    return path


def graph(name: str) -> Graph:
    """The graph `cora` or `facebook`."""
    return read_npz(folder() / f"{name}.npz")


def model(name: str, on: Graph, architecture: str = "gcn", layers: int = 3) -> torch.nn.Module:
    """The published 3-layer GCN of a graph, or another model, 16 wide, with seeded random weights."""
    classes = int(on.y.max()) + 1
    module = build(
        ArchitectureSpec(architecture, on.num_features, classes, layers=layers, hidden=16), seed=0
    )
    if architecture == "gcn" and layers == 3:
        load_weights(module, folder() / "models" / WEIGHTS[name])
    return module


def published_targets() -> list[int]:
    """The 26 Cora targets for which the authors of the skyline paper stored answers."""
    return [
        int(key)
        for key in json.loads((folder() / "reference_cora_gcn.json").read_text())["targets"]
    ]


def random_targets(on: Graph, count: int, seed: int = 0) -> list[int]:
    """Seeded random nodes that have an in-edge."""
    heads = np.unique(on.edge_index[1])
    return [int(v) for v in np.random.default_rng(seed).choice(heads, count, replace=False)]
