"""A first-order estimate of what every unit is worth: one backward pass through message weights.

Masking is not removal (it acts after normalisation or softmax), so this ranks, and never scores.
"""

import numpy as np
import torch
from torch import Tensor
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

from sxq.execution.model import Model, edge_tensors
from sxq.graph import LOOP, Field, Graph


def edge_gradient(model: Model, graph: Graph, field: Field, predicted: int) -> np.ndarray:
    """How much the log-odds of the predicted class fall, to first order, without a unit's messages: [U].

    Zero for models whose layers take no mask (they do not derive from PyG's MessagePassing).
    """
    edges = np.flatnonzero(field.unit != LOOP)  # PyG masks the wrong edges where every node has a loop
    x = torch.from_numpy(graph.features(field.nodes)).to(model.device)
    _, weight, attr = edge_tensors(graph, field.edges[edges], model.device)
    edge_index = torch.from_numpy(field.edge_index[:, edges]).to(model.device)
    mask = torch.ones(len(edges), device=model.device, requires_grad=True)
    try:
        with torch.enable_grad():
            set_masks(model.module, mask, edge_index, apply_sigmoid=False)
            output = log_odds(model(x, edge_index, weight, attr)[0], model.output, predicted)
            slope, = torch.autograd.grad(output, mask, allow_unused=True) if output.requires_grad else (None,)
    except Exception:
        slope = None  # a layer that cannot be masked; an estimate is not worth failing for
    finally:
        clear_masks(model.module)
    unit = field.unit[edges]
    slope = np.zeros(len(edges)) if slope is None else np.nan_to_num(slope.double().cpu().numpy())
    return np.bincount(unit[unit >= 0], slope[unit >= 0], minlength=field.num_units)


def log_odds(output: Tensor, kind: str, predicted: int) -> Tensor:
    """log p(c) - log (1 - p(c)) of one output row [C]; does not saturate where p does."""
    if kind == "probs":
        output = output.clamp(1e-12, 1 - 1e-7).log()
    if len(output) == 1:
        odds = output[0] if kind == "logits" else output[0] - torch.log1p(-output[0].exp())
        return odds if predicted == 1 else -odds
    others = torch.cat([output[:predicted], output[predicted + 1:]])
    return output[predicted] - others.logsumexp(0)
