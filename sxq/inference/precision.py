"""Finds the logits behind a model's output, in double precision where the model allows it.

A softmax or sigmoid at the end hides differences, as a probability of 1 - 1e-30 is 1. Registration
therefore compares the tensor that went into it. If something else comes after it, registration
compares logarithms of the probabilities in double.

One forward pass in double also shows how exact the model's own float32 output is: an offset that
cancels inside the model leaves its rounding behind, though no output shows the offset.
"""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sxq.errors import ModelError
from sxq.graph import Graph, GraphSet
from sxq.inference.agreement import RESOLUTION, TOLERANCE, rounding
from sxq.inference.probes import without_edges
from sxq.models.blame import blaming
from sxq.models.forward import GRAPHS_AT_ONCE, batch_tensors, forward_full
from sxq.models.model import Model
from sxq.models.module_copy import converting
from sxq.models.typed_call import by_types
from sxq.models.wrappers import Adapted, Wrapper

# Log-odds: if float32 is coarser than this for most nodes, the experiments run in double.
COARSE = 1e-4
TELLING = 1e-4  # probabilities with less variance do not show the error of log-odds
SAFETY = 2  # the error on cut graphs may be this many times the one measured


def in_double(model: Model, graph: Graph | GraphSet) -> Model | None:
    """The model with logits for its output, in double; None if it does not run in double.

    Its `full` holds the outputs on the graph, or on the first graphs of a collection.
    """
    return _open(model, graph, double=True)


def unsaturated(model: Model, double: Model | None, graph: Graph) -> Model:
    """The model to experiment with: with logits if its output hides them, in double if float32 is coarse."""
    if hides_logits(model):
        return double or _open(model, graph, double=False) or model
    judged = model.full[model.targets(graph)]
    coarse = np.median(rounding(model, judged)) > COARSE
    return double if coarse and double is not None else model


def hides_logits(model: Model) -> bool:
    """Whether the output is so near to 0 or 1 for a sure model that differences vanish."""
    alone = model.full.shape[1] == 1 or model.task == "multilabel"
    return model.output == "probs" or model.output == "log_probs" and alone


def measured_error(model: Model, double: Model | None, graph: Graph | GraphSet) -> float:
    """The error of the log-odds in float32, by comparison with double; 0 if it is within tolerance.

    It is also 0 where the outputs themselves show it (`rounding`), or where nothing can be measured.
    """
    if double is None:
        return 0.0
    pairs = [(model.full[: len(double.full)], double.full)]
    if isinstance(graph, Graph):
        bare = without_edges(graph)
        try:
            pairs.append((forward_full(model, bare), forward_full(double, bare)))
        except ModelError:
            pass  # the model needs edges
    worst = max(_log_odds_apart(model, double, *pair) for pair in pairs)
    shown = float(rounding(model, model.full).max(initial=0))
    return SAFETY * worst if worst > max(TOLERANCE, shown) else 0.0


def _log_odds_apart(model: Model, double: Model, coarse: Tensor, fine: Tensor) -> float:
    ours = model.probabilities(coarse).numpy()
    theirs = double.probabilities(fine).numpy()
    variance = np.ones_like(theirs) if model.task == "regression" else theirs * (1 - theirs)
    telling = variance > TELLING
    apart = np.abs(ours - theirs)[telling] - RESOLUTION  # by which probabilities in float32 are off
    return float((apart / variance[telling]).max(initial=0))


def _open(model: Model, graph: Graph | GraphSet, double: bool) -> Model | None:
    try:
        module = _Logits(model, double)
    except Exception:  # the module cannot be copied again or converted: only its output is compared
        return None
    output = "numbers" if model.task == "regression" else "logits"
    opened = replace(model, module=module, output=output, error=0.0)
    try:
        full = _some_graphs(opened, graph) if isinstance(graph, GraphSet) else None
        full = forward_full(opened, graph) if isinstance(graph, Graph) else full
    except ModelError:
        return None
    assert full is not None
    fits = full.ndim == 2 and full.shape[1] == model.full.shape[1] and not full.isnan().any()
    return replace(opened, full=full) if fits else None


def _some_graphs(model: Model, graphs: GraphSet) -> Tensor:
    numbers = np.arange(min(len(graphs), GRAPHS_AT_ONCE))
    with blaming(model, "the registered collection"), torch.inference_mode():
        return model(*batch_tensors(graphs, numbers, model.device, model.call)).float().cpu()


class _Logits(Wrapper):
    """Runs a model; returns logits less each row's largest, taken before rows are rounded."""

    def __init__(self, model: Model, double: bool):
        super().__init__()
        module = copy.deepcopy(model.module)
        if double:
            with converting():
                module.double()
        for part in module.modules() if double else ():
            if isinstance(part, Adapted):
                part.call = part.call.in_double()
        self.module = module
        self.output = model.output
        self.separate = model.separate
        self.double_inputs = double

    def forward(self, x: Tensor, edge_index: Tensor, **given: Tensor) -> Tensor:
        x = self._convert(x)
        given = {name: self._convert(value) for name, value in given.items()}
        if self.output in ("logits", "numbers"):
            logits = self.module(x, edge_index, **given)
        else:
            logits = self._behind(x, edge_index, given)
        alone = logits.shape[1] == 1 or self.separate
        return logits if alone else logits - logits.amax(dim=1, keepdim=True)

    def _convert(self, value: Any) -> Any:
        floats = isinstance(value, Tensor) and value.is_floating_point()
        return value.double() if self.double_inputs and floats else value

    def _behind(self, x: Tensor, edge_index: Tensor, given: dict[str, Tensor]) -> Tensor:
        typed = by_types(self.module)
        with _Squashing() as last:

            def logits(out: Tensor) -> Tensor:
                return last.behind(out, self.output, self.separate)

            if typed is None:
                return logits(self.module(x, edge_index, **given))
            plainly = typed.read
            typed.read = logits  # rows of nodes that are not judged have no logits
            try:
                return self.module(x, edge_index, **given)
            finally:
                typed.read = plainly


class _Squashing(TorchFunctionMode):
    """Remembers each softmax and sigmoid that was called: what went in, and its result."""

    NAMES = ("softmax", "sigmoid")

    def __init__(self):
        super().__init__()
        self.calls: list[tuple[Any, Any]] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if getattr(function, "__name__", "") in self.NAMES and args:
            self.calls.append((args[0], result))
        return result

    def behind(self, out: Tensor, output: str, separate: bool) -> Tensor:
        """What was squashed into an output; logits that give the same, where nothing is known to be."""
        for given, result in reversed(self.calls):
            if result is out and given.shape == out.shape:
                return given.double()
        return _log_odds(out.double(), output, separate)


def _log_odds(out: Tensor, output: str, separate: bool) -> Tensor:
    """Logits that give the same probabilities; infinite where a probability is 0 or 1."""
    if out.shape[1] > 1 and not separate:
        return out if output == "log_probs" else out.log()
    logs = out if output == "log_probs" else out.log()
    return logs - (-torch.expm1(logs)).log()
