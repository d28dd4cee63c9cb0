"""Inference on any sets of a field's units, for measures that run the model again."""

import numpy as np
import torch

from sxq.inference import Backend, CandidateBatch
from sxq.models.blame import blaming
from sxq.models.model import Model


def infer_batches(
    model: Model, backend: Backend, loaded: object, bits: np.ndarray, memory: int
) -> np.ndarray:
    """Class probabilities [2, n, C] of a loaded field: on units bits [n, U], and on G without them.

    Runs in batches of half of `memory` bytes by the backend's estimate; the other half is for
    values that are kept.
    """
    step = max(1, memory // 2 // backend.cost(loaded))
    with blaming(model, "copies of a receptive field, from which edges were removed"):
        parts = [
            backend.infer([CandidateBatch(loaded, bits[start : start + step])])[0]
            for start in range(0, max(1, len(bits)), step)
        ]
    outputs = torch.cat(parts, dim=1)
    return model.probabilities(outputs.flatten(0, 1)).cpu().numpy().reshape(2, len(bits), -1)
