"""Batched inference on edge-removed copies of receptive fields.

A backend has two verbs. `load(graph, field)` prepares a field on the device, once per target.
`infer(batches)` runs both graphs of many candidates of many fields at once: a `CandidateBatch` is
a loaded field and the candidates' bits; its answer is `[2, n, C]`, the outputs on G_s and on
G \\ G_s. Self-loops belong to every graph, the halo only to G \\ G_s. The empty candidate gives
the two ends: the nodes without edges, and the whole graph.

The files in reading order:

    registration     `register`, `attach`, `transfer`: a user's module becomes a `Model`
    locality         finds by experiment the hops that a model sees, and the halo that it needs
    depth            finds the hops: by poisoned features, and by edges that trade their tails
    probes           makes the graphs of these experiments, changed in one place
    probe_part       the part of a large graph on which the experiments run
    step_limit       ends a probe that runs far longer than the model does on the graph
    precision        looks behind outputs that hide their logits; measures the error of float32
    link_view        a model of links as one of nodes, so that its depth is found in the same way
    causes           says why a model is not local
    independence     checks that a graph classifier judges each graph on its own
    agreement        decides whether two outputs are equal, given the precision of float32
    on_disk          models on a graph on disk: examined on a part of it
    full_outputs     the outputs on all nodes of a large graph, block by block
    choose           picks the backend: layered where it agrees with the plain model, else disjoint
    disjoint         the simple backend: one block-diagonal batch of copies of the field
    batches          `infer_batches`: probabilities of any sets of units, within a memory limit
    edge_gradients   first-order estimates of the worth of every unit
    masked_copies    how these come from copies of many fields, in one pass under PyG's masks
    node_influence   how much each node moves the answer
    memory_usage     counts the bytes that loaded fields and other values hold

The fast backend is five folders; each imports only those to its right:

    layered/  >  kernels/  >  delta/  >  tiles/  >  tracing/

    layered/         runs a traced model layer by layer over all candidates at once
    kernels/         computes one message-passing layer or one pooling exactly
    delta/           computes candidates near a known one as differences from it
    tiles/           lays out fields and candidates as tables that fit the caches
    tracing/         records a forward pass and refuses operations that mix rows
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from sxq.graph import Field, Graph


@dataclass(frozen=True, eq=False)
class CandidateBatch:
    """n candidates of one field; each splits the graph into G_s and the graph without G_s."""

    field: Any  # the value that the backend's `load` returned
    bits: np.ndarray  # [n, U] bool, on the host


class Backend(Protocol):
    """The part of an inference backend that the verifier uses."""

    name: str

    def load(self, graph: Graph, field: Field) -> Any:
        """The field on the device, and with it all values that no candidate changes."""

    def cost(self, field: Any) -> int:
        """Bytes of working memory that one candidate of this field takes, both graphs."""

    def infer(self, batches: Sequence[CandidateBatch]) -> list[Tensor]:
        """Outputs [2, n, C] of the targets: on every G_s, then on every G \\ G_s."""
