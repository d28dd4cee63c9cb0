"""Running plans: generators propose candidates, the verifier runs the model, lattices rank.

In reading order:

    executor.py         the one loop over all targets of a statement
    target/             one target: its field, its generators, its candidates, and what was found
    candidate_table.py  every candidate of a target, verified once
    verifier.py         both inferences for candidates of many targets, in batches
    answer.py           chooses members of the front
    report.py           makes the report of a target
    audit.py            measures stored explanations again, without any of the above

The verbs: `register(module, graph)` gives a `Model`; `run(job, ...)` yields the report of each
target; `audit(graph, model, explanations)` re-measures stored explanations by plain forward passes.
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
    """Borrow a model for a graph: check its output, find its depth and halo.

    For a collection, whose graphs are the targets: check that the output of each depends on nothing
    else.

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
    """Borrow a model again; `found` has `hops`, `halo` and `backend` of its first registration."""
    model = borrow(module, graph, found["output"], choose_device(device))
    return replace(model, **{name: found[name] for name in ("hops", "halo", "backend", "reason")})


def transfer(model: Model, graph: Graph | GraphSet) -> Model:
    """The same model on another graph or collection: it keeps its depth, its halo is found anew."""
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
