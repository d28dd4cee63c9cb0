"""Batched inference on edge-removed copies of receptive fields.

A backend has two verbs. `load(graph, field)` moves a field to the device, once per target.
`logits(jobs)` runs many candidates of many fields at once: a job is a loaded field, `kept [units, B]` bool
on the device, and `context`, whether the halo is present; self-loops always are. The answer is `[B, C]` per job.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from sxq.graph import Field, Graph


@dataclass(frozen=True, eq=False)
class Job:
    """One call of `logits(model, field, kept, context)`: B candidates of one field."""

    field: Any  # what the backend's `load` returned
    kept: Tensor  # [U, B] bool, on the device
    context: bool  # M(v, G \\ G_s) sees the halo, M(v, G_s) does not


class Backend(Protocol):
    """What the verifier needs of an inference backend."""

    def load(self, graph: Graph, field: Field) -> Any:
        """The field on the device, with whatever does not depend on the candidate computed once."""

    def cost(self, field: Any) -> int:
        """Bytes of working memory one candidate of this field takes."""

    def logits(self, jobs: list[Job]) -> list[Tensor]:
        """Outputs [B, C] of the target, per job."""
