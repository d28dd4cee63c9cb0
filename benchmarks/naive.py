"""The naive verifier that every ratio is measured against: frozen, so that ratios of different days compare.

What the public reference code of the skyline paper does: for each candidate three dense float32 forward passes on
the full graph (intact, only the candidate, all but the candidate), in inference mode.
"""

import time

import numpy as np
import torch

from sxq.graph import Field, Graph


def seconds_per_candidate(
    module, graph: Graph, fields: list[tuple[Field, np.ndarray]], rounds: int = 3
) -> float:
    """Median over `rounds` of the mean time of one candidate; `fields` are (field, bits [U]) to verify, warm."""
    x, edge_index = torch.from_numpy(graph.x.copy()), torch.from_numpy(graph.edge_index.copy())
    masks = [
        torch.from_numpy(np.isin(np.arange(graph.num_edges), field.edges_of(bits)))
        for field, bits in fields
    ]
    _verify(module, x, edge_index, masks[0])
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        for mask in masks:
            _verify(module, x, edge_index, mask)
        times.append((time.perf_counter() - started) / len(masks))
    return float(np.median(times))


@torch.inference_mode()
def _verify(module, x, edge_index, inside) -> tuple[torch.Tensor, ...]:
    return tuple(
        module(x, edge_index[:, keep]).softmax(dim=1)
        for keep in (torch.ones_like(inside), inside, ~inside)
    )
