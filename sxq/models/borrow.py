"""A borrowed model: a copy in eval mode, the way to call it, and how its output becomes probabilities.

The user's module is never changed. The copy has no masks and no cached normalisation, and none are
written to the original. A fingerprint of the original at registration is kept, so that the engine
notices if the model was trained further, and does not explain the old one.
"""

import re
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sxq.errors import InvalidValue, ModelError, ModelOutputError
from sxq.graph import EdgeType, Graph, GraphSet
from sxq.models.blame import guarded, said_by
from sxq.models.call import Call
from sxq.models.calling import way_to_call
from sxq.models.fingerprint import fingerprint
from sxq.models.forward import forward_all, forward_full
from sxq.models.links import of_links, sample_pairs, scored_type
from sxq.models.model import Model
from sxq.models.module_copy import copy_of, drop_unused, require_data, uninitialized
from sxq.models.output_meaning import NUMBERS, OUTPUTS, Meaning, meaning_of
from sxq.models.typed_call import ByTypes, by_types, ways
from sxq.models.typed_links import link_ways
from sxq.models.wrappers import Adapted, Picked, Wrapper, unwrapped
from sxq.scoring.question import TASKS


def borrow(
    module: nn.Module,
    graph: Graph | GraphSet,
    output: str | None,
    device: torch.device,
    task: str | None = None,
    *,
    node_type: str | None = None,
    kind: str | None = None,
    edge_type: Any = None,
    output_key: Any = None,
    inputs: Mapping[str, str] | None = None,
) -> Model:
    """Copy a module, run it once on the whole graph or on every graph of a collection, check the output.

    Without `output` or `task` their meaning is inferred, where nothing else is possible. `node_type` says
    which nodes of a heterogeneous graph the model is about, where its outputs do not. `kind` is "node" or
    "link"; without, it is "link" for a module that takes pairs of nodes, or where `edge_type` says the
    links of which type of a heterogeneous graph it scores. `output_key` picks one of several outputs;
    `inputs` says which field of the data an argument of forward gets. Raises ModelError for a forward
    that cannot be called, and ModelOutputError for an output that is not [N, C], or may mean two things.
    """
    if output is not None and output not in (*OUTPUTS, NUMBERS):
        raise ModelError(f"output = {output!r}; expected one of {', '.join(OUTPUTS)}")
    if task is not None and task not in TASKS:
        raise ModelError(f"task = {task!r}; expected one of {', '.join(TASKS)}")
    if not isinstance(module, nn.Module):
        raise ModelError(f"expected a torch.nn.Module, found {type(module).__name__}")
    with guarded(f"reading the parameters of {type(module).__name__}"):
        module = unwrapped(module)
        require_data(module)
        lazy = uninitialized(module)
        found_weights = fingerprint(module)
    said = "link" if edge_type is not None and kind is None else kind
    links = of_links(module, said, graph, inputs)
    scored = None
    if links:
        assert isinstance(graph, Graph), "a collection has no links"
        _refuse_node_type(node_type)
        scored = scored_type(graph, edge_type)
    elif edge_type is not None:
        raise ModelError(f"edge_type = {edge_type!r} with kind = 'node': leave one of the two out")
    asked = AsGiven(output_key, tuple((inputs or {}).items()))
    own, draft, full = _called(
        module, graph, device, node_type, links=links, edge_type=scored, asked=asked
    )
    if uninitialized(own) != lazy:
        raise ModelError(
            f"{', '.join(sorted(lazy - uninitialized(own))[:3])} of the model has no values yet "
            f"(a lazy layer); run one forward of your own model first, then train or load it"
        )
    drop_unused(own)
    _check_shape(full, draft, graph)
    judged = full[torch.from_numpy(draft.targets(graph))]
    meant = meaning_of(judged, None if links else graph, output, task)
    _check_values(judged, meant)
    return replace(
        draft,
        output=meant.output,
        task=meant.task,
        spread=spreads(judged) if meant.task == "regression" else (),
        full=full,
        meant=meant.reason,
        output_key=output_key,
        inputs=asked.inputs,
        original=weakref.ref(module),
        fingerprint=found_weights,
    )


@dataclass(frozen=True)
class AsGiven:
    """What the user says about the arguments and the outputs of forward."""

    output_key: Any = None
    inputs: tuple[tuple[str, str], ...] = ()


def _way_to_call(way: nn.Module, graph: Graph | GraphSet, links: bool, asked: AsGiven) -> Call:
    """How a module is called; raises ModelError for what the user cannot say of it."""
    if links and isinstance(way, Wrapper) and asked.output_key is not None:
        raise ModelError("output_key= is for what forward returns; decode must return one tensor")
    # A ByTypes knows the module's own names of what it asks for.
    return way_to_call(way, graph, links, {} if isinstance(way, ByTypes) else dict(asked.inputs))


def _called(
    module: nn.Module,
    graph: Graph | GraphSet,
    device: torch.device,
    node_type: str | None,
    *,
    links: bool = False,
    edge_type: EdgeType | None = None,
    asked: AsGiven = AsGiven(),
) -> tuple[nn.Module, Model, Tensor]:
    """The copy of a module, the model of it, and its output, in the first way of calling it that works."""
    failed: list[ModelError] = []
    inputs = dict(asked.inputs)
    known = (
        link_ways(module, graph, edge_type, inputs)
        if links
        else ways(module, graph, node_type, inputs)
    )
    for way in known:
        own = copy_of(module, device)
        inner = own if asked.output_key is None else Picked(own, asked.output_key).eval()
        try:
            call = _way_to_call(way, graph, links, asked)
            if isinstance(way, Wrapper):
                way.module = inner
            draft, full = _first_forward(
                way if isinstance(way, Wrapper) else inner, call, graph, device, edge_type
            )
            judged = () if links else _judged(draft, graph, node_type)
            return own, replace(draft, node_type=node_type, judged=judged), full
        except ModelOutputError:
            raise
        except ModelError as error:
            failed.append(error)
    said = list(dict.fromkeys(map(str, failed)))
    if len(said) == 1:
        raise failed[0]
    raise ModelError(
        f"called with dictionaries by type, {said[0]}; called with x and edge_index of all nodes and "
        f"edges, {said[1]}"
    ) from failed[0]


def _refuse_node_type(node_type: str | None) -> None:
    if node_type is not None:
        raise ModelError(
            f"node_type = {node_type!r} for a model of links; say edge_type= for the type of its links"
        )


def _judged(draft: Model, graph: Graph | GraphSet, node_type: str | None) -> tuple[str, ...]:
    """The types of the nodes of a heterogeneous graph that the model has outputs for."""
    if isinstance(graph, GraphSet) or graph.types is None:
        return ()
    typed = by_types(draft.module)
    if typed is not None:
        return tuple(graph.types.node_types[number] for number in typed.judged)
    return graph.types.node_types if node_type is None else (node_type,)


def spreads(full: Tensor) -> tuple[float, ...]:
    """The spread of every column of outputs [n, C]: its standard deviation over the targets.

    Where all are equal, as for a single graph, it is their size, or 1 if they are 0.
    """
    values = full.double()
    spread = values.std(dim=0, correction=0)
    size = values.abs().amax(dim=0)
    # Less is the rounding of float32.
    spread = torch.where(spread > 1e-6 * size, spread, size)
    return tuple(torch.where(spread > 0, spread, 1.0).tolist())


def _first_forward(
    own: nn.Module,
    call: Call,
    graph: Graph | GraphSet,
    device: torch.device,
    edge_type: EdgeType | None = None,
) -> tuple[Model, Tensor]:
    """The model and its output; inputs that a forward with **kwargs refuses are no longer passed."""
    while True:
        module = own if call.plain else Adapted(own, call).eval()
        draft = Model(module, "logits", call.arguments, device, full=torch.empty(0), call=call)
        if draft.links:
            assert isinstance(graph, Graph), "a collection has no links"
            draft = replace(draft, pairs=sample_pairs(graph, edge_type), edge_type=edge_type)
        try:
            if isinstance(graph, GraphSet):
                return draft, forward_all(draft, graph)
            return draft, forward_full(draft, graph)
        except ModelError as error:
            refused = re.search(r"unexpected keyword argument '(\w+)'", said_by(error.__cause__))
            if refused is None or refused[1] not in call.guesses:
                raise
            held = graph.union if isinstance(graph, GraphSet) else graph
            call = call.without(refused[1], held)


def choose_device(setting: str) -> torch.device:
    """The device of sxq_device: `auto` is CUDA if there is one; other values are torch device names.

    Raises InvalidValue.
    """
    name = ("cuda" if torch.cuda.is_available() else "cpu") if setting == "auto" else setting
    device = torch.device(name)
    if device.type == "cuda" and not (device.index or 0) < torch.cuda.device_count():
        raise InvalidValue(
            f"sxq_device is {setting!r}, but torch finds no such device here; use auto or cpu"
        )
    return device


def _check_shape(full: Tensor, model: Model, graph: Graph | GraphSet) -> None:
    rows = len(graph) if isinstance(graph, GraphSet) else graph.num_nodes
    rows = rows if model.pairs is None else model.pairs.shape[1]
    each = "pair" if model.links else "graph" if model.pools else "node"
    if full.ndim != 2 or full.shape[0] != rows or full.shape[1] < 1:
        raise ModelOutputError(
            f"the model returned shape {list(full.shape)}, expected [{rows}, classes]: "
            f"one row for each {each}{', even of one class; is it squeezed?' * (full.ndim == 1)}"
        )
    if full.isnan().any() or full.isposinf().any():
        raise ModelOutputError("the model returned NaN or infinite values on the registered graph")


def _check_values(full: Tensor, meant: Meaning) -> None:
    if not _tells(full, meant):
        raise ModelOutputError("the model returned NaN or infinite values on the registered graph")


def _tells(full: Tensor, meant: Meaning) -> bool:
    """Whether every row of outputs gives probabilities; minus infinity is an impossible class."""
    separate = full.shape[1] == 1 or meant.task == "multilabel"
    if meant.output in ("probs", "numbers") or separate and meant.output == "logits":
        return bool(torch.isfinite(full).all())
    if separate:
        return bool((torch.isfinite(full) | full.isneginf()).all())
    ruled_out = full.isneginf()
    return not ruled_out.all(dim=1).any() and bool((torch.isfinite(full) | ruled_out).all())
