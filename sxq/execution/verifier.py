"""The verifier: two inferences per candidate, on G_s and on G \\ G_s, in batches bounded by memory.

In: for each of several targets, candidates as bits [n, U]. Out: for each, p(c) kept and removed, and the flags.
Candidates of many targets share a batch; a batch that does not fit is halved and the smaller size remembered.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sxq.execution.inference import Backend, Job
from sxq.execution.model import Model

TIE = 1e-5  # a margin between the two largest probabilities below this is called a tie


@dataclass(frozen=True, eq=False)
class Verdict:
    """What two inferences say about n candidates of one target."""

    p_kept: np.ndarray  # [n] p(c) on M(v, G_s)
    p_removed: np.ndarray  # [n] p(c) on M(v, G \\ G_s)
    factual: np.ndarray  # [n] bool: argmax M(v, G_s) = c
    counterfactual: np.ndarray  # [n] bool: argmax M(v, G \\ G_s) != c
    tie: np.ndarray  # [n] bool: a top-two margin below TIE in one of the two


@dataclass(frozen=True, eq=False)
class Request:
    """Candidates of one target, to be verified."""

    field: object  # as loaded by the backend
    bits: np.ndarray  # [n, U] bool
    predicted: int  # the class c


class Verifier:
    """Verifies candidates of many targets at once within `batch_memory` bytes."""

    def __init__(self, model: Model, backend: Backend, batch_memory: int):
        self.model, self.backend, self.batch_memory = model, backend, batch_memory

    def verify(self, requests: list[Request]) -> list[Verdict]:
        """The verdict of every candidate, in the order given."""
        kept, removed = [[] for _ in requests], [[] for _ in requests]
        for batch in self._batches(requests):
            for owner, without, with_ in self._run(requests, batch):
                kept[owner].append(without)
                removed[owner].append(with_)
        return [self._judge(*pair) for pair in zip(requests, kept, removed)]

    def _batches(self, requests: list[Request]):
        """Slices (owner, start, stop) of the requests, packed into batches that fit the memory."""
        batch, free = [], self.batch_memory
        for owner, request in enumerate(requests):
            cost, start = 2 * self.backend.cost(request.field), 0
            while start < len(request.bits):
                if free < cost and batch:
                    yield batch
                    batch, free = [], self.batch_memory
                count = min(max(1, free // cost), len(request.bits) - start)
                batch.append((owner, start, start + count))
                start, free = start + count, free - count * cost
        if batch:
            yield batch

    def _run(self, requests: list[Request], batch) -> list[tuple[int, Tensor, Tensor]]:
        """Outputs on G_s and on G \\ G_s for the slices of one batch; halved when it does not fit after all."""
        jobs = []
        for owner, start, stop in batch:
            kept = self._to_device(requests[owner].bits[start:stop])
            jobs += [Job(requests[owner].field, kept, False), Job(requests[owner].field, ~kept, True)]
        try:
            outputs = self.backend.logits(jobs)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            halves = _halve(batch)
            if halves is None:
                raise
            self.batch_memory = max(1, self.batch_memory // 2)
            del jobs
            return [part for half in halves for part in self._run(requests, half)]
        return [(owner, outputs[2 * i], outputs[2 * i + 1]) for i, (owner, _, _) in enumerate(batch)]

    def _to_device(self, bits: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(bits.T)).to(self.model.device)

    def _judge(self, request: Request, kept: list[Tensor], removed: list[Tensor]) -> Verdict:
        p_kept, same, close = self._read(kept, request.predicted)
        p_removed, still, near = self._read(removed, request.predicted)
        return Verdict(p_kept, p_removed, same, ~still, close | near)

    def _read(self, outputs: list[Tensor], predicted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if not outputs:
            return np.zeros(0), np.zeros(0, bool), np.zeros(0, bool)
        return read(self.model.probabilities(torch.cat(outputs)).cpu().numpy(), predicted)


def read(p: np.ndarray, predicted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From class probabilities [n, C]: p(c), whether c is predicted, whether the top two are a tie; [n] each."""
    top = np.partition(p, -2, axis=1)[:, -2:]
    return p[:, predicted], p.argmax(axis=1) == predicted, top[:, 1] - top[:, 0] < TIE


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "not enough memory" in str(error)


def _halve(batch):
    """Two batches of half the candidates each, or None for a single candidate."""
    total = sum(stop - start for _, start, stop in batch)
    if total < 2:
        return None
    halves, left = ([], []), total // 2
    for owner, start, stop in batch:
        cut = min(stop, start + max(left, 0))
        halves[0].extend([(owner, start, cut)] if cut > start else [])
        halves[1].extend([(owner, cut, stop)] if stop > cut else [])
        left -= stop - start
    return halves
