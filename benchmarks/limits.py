"""Beside the verifier's rate: what arithmetic would allow, and how the cost of a candidate grows."""

import sys
import time

import numpy as np
import torch

from sxq.graph import Graph
from sxq.inference.layered.backend import Layered

SIZE = 512  # rows and columns of the matrix product that stands for the machine


def multiply_adds_per_second() -> float:
    """The machine's rate, on all threads: the best of some dense float32 matrix products."""
    a, b, best = torch.rand(SIZE, SIZE), torch.rand(SIZE, SIZE), float("inf")
    for _ in range(50):
        started = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - started)
    return SIZE**3 / best


def multiply_adds(graph: Graph, model, field, hidden: int = 16) -> int:
    """What one candidate needs on a GCN of that width, both graphs, where the first linear map is done once.

    A unit is part of one of the two graphs, the loop that every row gets of both. Rows are summed before they
    are mapped, as there are fewer then.
    """
    plan = Layered(model).load(graph, field)
    total, classes = 0, model.full.shape[1]
    for hop in range(plan.depth):
        rows, edges = plan.rows(hop), plan.edges(hop, "replace").size
        maps = 0 if hop == plan.depth - 1 else 2 * rows * hidden * (hidden if hop else classes)
        total += (edges + rows) * (hidden if hop < plan.depth - 1 or hop else classes) + maps
    return total


def by_size(cost: list[tuple[int, float]], parts: int = 3) -> list[tuple[int, int, float]]:
    """(fewest edges, most edges, median microseconds) of the fields, from small to large."""
    edges, micros = map(np.array, zip(*cost))
    return [
        (int(edges[part].min()), int(edges[part].max()), float(np.median(micros[part])))
        for part in np.array_split(np.argsort(edges), min(parts, len(edges)))
    ]


def plot(path: str, costs: dict[str, list[tuple[int, float]]], depths: dict[int, float]) -> None:
    """Cost per candidate against the edges of the field, and against the depth of the model."""
    try:
        from matplotlib import pyplot
    except ImportError:
        sys.exit("--plot needs matplotlib: pip install matplotlib")
    figure, (size, depth) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for name, cost in costs.items():
        size.plot(*zip(*sorted(cost)), "o", label=name, markersize=4)
    size.set(
        xscale="log", yscale="log", xlabel="edges of the field", ylabel="microseconds per candidate"
    )
    size.legend()
    depth.plot(list(depths), list(depths.values()), "o-")
    depth.set(xlabel="layers of the model", ylim=(0, None), xticks=list(depths), title="Cora, GCN")
    figure.savefig(path, dpi=150)
