"""Batched inference on edge-removed copies of receptive fields.

A backend has two verbs. `load(graph, field)` prepares a field on the device, once per target. `infer(cuts)`
runs both graphs of many candidates of many fields at once: `CandidateBatch` are a loaded field and the candidates'
bits; the answer is `[2, n, C]` for each, the outputs on G_s and on G \\ G_s. Self-loops are part of every
graph, the halo only of G \\ G_s. The empty candidate gives the two ends: nothing but the nodes, and the whole
graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from sxq.graph import Field, Graph


@dataclass(frozen=True, eq=False)
class CandidateBatch:
    """n ways to cut one field in two: G_s, and what remains without it."""

    field: Any  # what the backend's `load` returned
    bits: np.ndarray  # [n, U] bool, on the host


class Backend(Protocol):
    """What the verifier needs of an inference backend."""

    name: str

    def load(self, graph: Graph, field: Field) -> Any:
        """The field on the device, with whatever does not depend on the candidate computed once."""

    def cost(self, field: Any) -> int:
        """Bytes of working memory one candidate of this field takes, both graphs."""

    def infer(self, cuts: Sequence[CandidateBatch]) -> list[Tensor]:
        """Outputs [2, n, C] of the targets: on every G_s, then on every G \\ G_s."""
