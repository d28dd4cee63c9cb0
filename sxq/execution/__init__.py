"""Running plans: borrowed models, batched verification, generators in conversation with lattices.

The verbs: `register(module, graph)` gives a `Model`; `run(plan, graph, model, ...)` yields the report of each
target; `audit(graph, model, explanations)` measures stored explanations again by plain forward passes.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from sxq.execution.audit import Stored, audit
from sxq.execution.executor import Profile, Progress, run
from sxq.execution.target import Job
from sxq.graph import Graph, GraphSet
from sxq.inference.choose import choose
from sxq.inference.locality import locate, require_alone
from sxq.models.borrow import Model, borrow, choose_device
from sxq.models.refine.pretrain import Learned, pretrain

__all__ = [
    "Job",
    "Learned",
    "Model",
    "Profile",
    "Progress",
    "Stored",
    "attach",
    "audit",
    "pretrain",
    "register",
    "run",
    "transfer",
]


def register(
    module: nn.Module,
    graph: Graph | GraphSet,
    output: str = "logits",
    layers: int | None = None,
    device: str = "auto",
) -> Model:
    """Borrow a model for a graph: check its output, find its depth and halo. For a collection of graphs, whose
    targets are the graphs: check that each is judged on its own.

    Raises ModelError, ModelOutputError or ModelNotLocal; the module is left exactly as it was.
    """
    if isinstance(graph, GraphSet):
        return _with_backend(
            require_alone(borrow(module, graph, output, choose_device(device)), graph), graph
        )
    return _with_backend(
        locate(borrow(module, graph, output, choose_device(device)), graph, layers), graph
    )


def attach(
    module: nn.Module, graph: Graph | GraphSet, found: Mapping[str, Any], device: str = "auto"
) -> Model:
    """Borrow a model again whose `hops`, `halo` and `backend` were found when it was first registered."""
    model = borrow(module, graph, found["output"], choose_device(device))
    return replace(model, **{name: found[name] for name in ("hops", "halo", "backend", "reason")})


def transfer(model: Model, graph: Graph | GraphSet) -> Model:
    """The same model on another graph or collection; its depth is its own, its halo is found anew."""
    if isinstance(graph, GraphSet):
        return _with_backend(
            require_alone(borrow(model.module, graph, model.output, model.device), graph), graph
        )
    return _with_backend(
        locate(borrow(model.module, graph, model.output, model.device), graph, model.hops), graph
    )


def _with_backend(model: Model, graph: Graph | GraphSet) -> Model:
    backend, reason = choose(model, graph)
    return replace(model, backend=backend, reason=reason)
