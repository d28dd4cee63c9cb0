"""The verifier: two inferences per candidate, on G_s and on G \\ G_s, in batches bounded by memory.

In: for each of several targets, candidates as bits [n, U]. Out: for each, p on both graphs, as its
question reads it, and flags. Candidates of many targets share a batch. A batch that does not fit is
halved, and the smaller size is kept for later batches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor

from sxq.inference import Backend, CandidateBatch
from sxq.inference.batches import Slice, batches
from sxq.models.model import Model
from sxq.models.thread_count import one_thread
from sxq.scoring.question import Question

# Bytes of the batch, by the backend's estimate, after which a CPU checks whether to stop: about a second.
HEARD = 2**30
TIE = 1e-5  # a margin between two answers below this is called a tie


@dataclass(frozen=True, eq=False)
class Verdict:
    """The outcome of both inferences for n candidates of one target."""

    p_kept: np.ndarray  # [n] p of M(v, G_s)
    p_removed: np.ndarray  # [n] p of M(v, G \\ G_s)
    factual: np.ndarray  # [n] bool: M(v, G_s) keeps the answer; without clauses: argmax = c
    counterfactual: np.ndarray  # [n] bool: M(v, G \\ G_s) does not
    tie: np.ndarray  # [n] bool: a margin below the request's `tie` in one of the two


@dataclass(frozen=True, eq=False)
class Request:
    """Candidates of one target, to be verified."""

    field: object  # as loaded by the backend
    bits: np.ndarray  # [n, U] bool
    question: Question
    tie: float = TIE  # a margin below this is a tie; more where float32 is too coarse


class Verifier:
    """Verifies candidates of many targets at once within `batch_memory` bytes."""

    def __init__(self, model: Model, backend: Backend, batch_memory: int):
        self.model = model
        self.backend = backend
        self.batch_memory = batch_memory

    def verify(
        self, requests: list[Request], held: int = 0, stopped: Callable[[], object] = bool
    ) -> list[Verdict]:
        """The verdict of every candidate, in the order given.

        held     bytes of the memory that are taken by fields; at least half of it is left for the batch
        stopped  asked after each batch; if it is true, there are verdicts for the first candidates only
        """
        outputs: list[list[Tensor]] = [[] for _ in requests]
        memory = self.batch_memory - min(held, self.batch_memory // 2)
        if self.model.device.type == "cpu":
            memory = min(memory, HEARD)
        rows = [len(request.bits) for request in requests]
        costs = [self.backend.cost(request.field) for request in requests]
        for batch in batches(rows, costs, memory):
            for owner, output in self._run(requests, batch):
                outputs[owner].append(output)
            if stopped():
                break
        return self._judge(requests, outputs)

    def _run(self, requests: list[Request], batch: list[Slice]) -> list[tuple[int, Tensor]]:
        """Outputs [2, n, C] for the slices of one batch; halved if it does not fit after all."""
        cuts = [
            CandidateBatch(requests[owner].field, requests[owner].bits[start:stop])
            for owner, start, stop in batch
        ]
        try:
            return [
                (owner, output) for (owner, _, _), output in zip(batch, self.backend.infer(cuts))
            ]
        except (MemoryError, RuntimeError) as error:
            halves = _halve(batch)
            if not _out_of_memory(error) or halves is None:
                raise
            self.batch_memory = max(1, self.batch_memory // 2)
        return [part for half in halves for part in self._run(requests, half)]

    def _judge(self, requests: list[Request], outputs: list[list[Tensor]]) -> list[Verdict]:
        """The verdicts; all outputs are read in one transfer from the device, for all targets."""
        pieces = [_joined(own).flatten(0, 1) for own in outputs if own]
        if not pieces:
            return [Verdict(*np.zeros((2, 0)), *np.zeros((3, 0), bool)) for _ in requests]
        rows = [sum(2 * output.shape[1] for output in own) for own in outputs]
        with one_thread():
            p = (
                self.model.probabilities(pieces[0] if len(pieces) == 1 else torch.cat(pieces))
                .cpu()
                .numpy()
            )
        parts = [slice(start, end) for start, end in pairwise(accumulate(rows, initial=0))]
        if all(request.question.plain for request in requests):
            own, same, tie = _read_together(p, requests, rows)
            return [_verdict(own[part], same[part], tie[part]) for part in parts]
        return [
            _verdict(*read(p[part], request.question, request.tie))
            for part, request in zip(parts, requests)
        ]


def read(
    values: np.ndarray, question: Question, tie: float = TIE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read what a model says, [n, C]: p, whether it is the answer on G, and ties; [n] each."""
    return question.p(values), question.kept(values), question.tie(values, tie)


def _read_together(
    p: np.ndarray, requests: list[Request], rows: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same for plain questions of many requests at once, of so many rows each."""
    predicted: np.ndarray | int = requests[0].question.column
    tie: np.ndarray | float = requests[0].tie
    if len(requests) > 1:
        predicted = np.repeat([request.question.column for request in requests], rows)
        tie = np.repeat([request.tie for request in requests], rows)[:, None]
    near_top = p > p.max(axis=1, keepdims=True) - tie
    own = p[np.arange(len(p)), predicted] if isinstance(predicted, np.ndarray) else p[:, predicted]
    return own, p.argmax(axis=1) == predicted, near_top.sum(axis=1) > 1


def _verdict(p: np.ndarray, same: np.ndarray, tie: np.ndarray) -> Verdict:
    """The verdict on n candidates, from values [2n]: first on all G_s, then on all G \\ G_s."""
    n = len(p) // 2
    return Verdict(p[:n], p[n:], same[:n], ~same[n:], tie[:n] | tie[n:])


def _joined(outputs: list[Tensor]) -> Tensor:
    """The outputs [2, n_i, C] of one target as one."""
    return torch.cat(outputs, dim=1) if len(outputs) > 1 else outputs[0]


def _out_of_memory(error: Exception) -> bool:
    message = str(error)  # the CPU allocator raises a plain RuntimeError
    return (
        isinstance(error, (MemoryError, torch.OutOfMemoryError))
        or "not enough memory" in message
        or "DefaultCPUAllocator" in message
    )


def _halve(batch: list[Slice]) -> tuple[list[Slice], list[Slice]] | None:
    """Two batches of half the candidates each, or None for a single candidate."""
    total = sum(stop - start for _, start, stop in batch)
    if total < 2:
        return None
    halves: tuple[list[Slice], list[Slice]] = ([], [])
    left = total // 2
    for owner, start, stop in batch:
        cut = min(stop, start + max(left, 0))
        halves[0].extend([(owner, start, cut)] if cut > start else [])
        halves[1].extend([(owner, cut, stop)] if stop > cut else [])
        left -= stop - start
    return halves
