"""Batches within a limit on memory; inference on any sets of a field's units, for measures that run the model again."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from sxq.inference import Backend, CandidateBatch
from sxq.models.blame import blaming
from sxq.models.model import Model
from sxq.models.thread_count import one_thread

Slice = tuple[int, int, int]  # of the rows of a request: (its number, start, stop)


def batches(rows: Sequence[int], costs: Sequence[int], memory: int) -> Iterator[list[Slice]]:
    """Requests of so many rows each, which cost so many bytes a row, packed in order into batches that fit the memory.

    A row that alone does not fit has a batch of its own.
    """
    batch: list[Slice] = []
    free = memory
    for number, (count, cost) in enumerate(zip(rows, costs)):
        start = 0
        while start < count:
            if free < cost and batch:
                yield batch
                batch = []
                free = memory
            taken = min(max(1, free // cost), count - start)
            batch.append((number, start, start + taken))
            start += taken
            free -= taken * cost
    if batch:
        yield batch


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
    with one_thread():
        p = model.probabilities(outputs.flatten(0, 1)).cpu().numpy()
    return p.reshape(2, len(bits), -1)
