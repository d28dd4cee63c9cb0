"""Registration: a user's module becomes a `Model`, with hops, halo and backend found by experiment.

`register` does it for the first time, `attach` with facts that were found before, `transfer`
brings a registered model to another graph, `follow` to the next version of its own, and `again` to an
earlier one.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from sxq.graph import Graph, GraphSet
from sxq.inference.choose import choose, choose_over_features
from sxq.inference.independence import ONE_BY_ONE, one_by_one, require_alone
from sxq.inference.locality import locate
from sxq.inference.on_disk import MEMORY, on_part, on_whole, part_of
from sxq.models.borrow import borrow, choose_device
from sxq.models.model import Model

__all__ = ["again", "attach", "follow", "more_facts", "over_features_of", "register", "transfer"]

FACTS = ("hops", "halo", "backend", "reason")  # of a model, found by registration
MORE_FACTS = (
    "error",
    "alone",
    "depth",
    "shallow",
    "node_type",
    "edge_type",
)  # which files of older versions lack


def register(
    module: nn.Module,
    graph: Graph | GraphSet,
    output: str | None = None,
    layers: int | None = None,
    device: str = "auto",
    *,
    task: str | None = None,
    node_type: str | None = None,
    kind: str | None = None,
    memory: int = MEMORY,
    edge_type: Any = None,
    output_key: Any = None,
    inputs: Mapping[str, str] | None = None,
) -> Model:
    """Borrow a model for a graph: check its output, and find its depth, halo and backend.

    For a collection, whose targets are its graphs, check that each graph is judged on its own. For a large graph on
    disk, all is found on a part of it; its outputs on the whole graph take `memory` bytes at once.
    Raises ModelError, ModelOutputError or ModelNotLocal; the module is left exactly as it was.
    """
    with on_part(graph) as part:
        model = borrow(
            module,
            part,
            output,
            choose_device(device),
            task,
            node_type=node_type,
            kind=kind,
            edge_type=edge_type,
            output_key=output_key,
            inputs=inputs,
        )
        model = _examined(model, part, layers)
    return on_whole(model, graph, memory)


def attach(
    module: nn.Module,
    graph: Graph | GraphSet,
    found: Mapping[str, Any],
    device: str = "auto",
    memory: int = MEMORY,
) -> Model:
    """Borrow a model again with the facts and the output that were found at its registration."""
    task = found.get("task")  # which files of older versions lack
    own = choose_device(device)
    model = borrow(
        module,
        part_of(graph),
        found["output"],
        own,
        task,
        node_type=found.get("node_type"),
        kind=found.get("kind", "node"),
        edge_type=found.get("edge_type"),
    )
    known = {name: found[name] for name in (*FACTS, *MORE_FACTS) if name in found}
    known.pop("edge_type", None)
    if "spread" in found:
        known["spread"] = tuple(found["spread"])
    model = on_whole(replace(model, **known), graph, memory, checked=False)
    return one_by_one(model, graph) if isinstance(graph, GraphSet) and model.alone else model


def transfer(model: Model, graph: Graph | GraphSet, memory: int = MEMORY) -> Model:
    """The same model on another graph or collection; keeps its depth, finds its halo again."""
    with on_part(graph) as part:
        own = _borrowed_again(model, part)
        found = replace(_examined(own, part, model.hops), depth=model.depth, shallow=model.shallow)
    return on_whole(found, graph, memory)


def follow(model: Model, graph: Graph | GraphSet, memory: int = MEMORY) -> Model:
    """A model on the next version of its graph: what it is stays, its depth and halo are found there.

    On a small graph a model may have looked less deep than it does on a larger one. Never is it less deep.
    """
    with on_part(graph) as part:
        own = _borrowed_again(model, part)
        found = _examined(own, part, model.hops if model.shallow else None)
        if found.hops < model.hops:
            found = replace(_examined(own, part, model.hops), depth=model.depth)
    return on_whole(found, graph, memory)


def again(
    model: Model, graph: Graph | GraphSet, found: Mapping[str, Any], memory: int = MEMORY
) -> Model:
    """A model on an earlier version of its graph, with the facts that were found there."""
    own = _borrowed_again(model, part_of(graph))
    known = {name: found[name] for name in (*FACTS, *MORE_FACTS) if name in found}
    return on_whole(replace(own, **known), graph, memory, checked=False)


def _borrowed_again(model: Model, graph: Graph | GraphSet) -> Model:
    """The same module on another graph, with the meaning that its output has, and still the user's."""
    own = borrow(
        model.module,
        graph,
        model.output,
        model.device,
        model.task,
        node_type=model.node_type,
        kind="link" if model.links else "node",
        edge_type=model.edge_type,
        output_key=model.output_key,
        inputs=dict(model.inputs),
    )
    return replace(own, spread=model.spread, original=model.original, fingerprint=model.fingerprint)


def over_features_of(model: Model, graph: Graph | GraphSet) -> tuple[str, str]:
    """`choose_over_features` on a graph, or on a part of a large one on disk."""
    return choose_over_features(model, part_of(graph))


def more_facts(model: Model) -> dict[str, Any]:
    """Those of MORE_FACTS that a model has."""
    found = {name: value for name in MORE_FACTS if (value := getattr(model, name))}
    return {**found, "kind": model.kind} if model.links else found


def _examined(model: Model, graph: Graph | GraphSet, layers: int | None) -> Model:
    """A borrowed model with its FACTS; those of a collection have no hops and no halo."""
    if isinstance(graph, GraphSet):
        model = require_alone(model, graph)
    else:
        model = locate(model, graph, layers)
    backend, reason = choose(model, graph)
    if model.alone and backend == "disjoint":
        reason = f"{reason}; {ONE_BY_ONE}"
    return replace(model, backend=backend, reason=reason)
