"""Modules of ours around the user's: one output of several, or a call in the module's own way."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from sxq.errors import ModelOutputError
from sxq.models.call import EDGE_TYPE, PAIRS, WEIGHTS, Call, Part
from sxq.models.part_masks import Known, Parts, masks_of_parts


class Wrapper(nn.Module):
    """A module of ours around the user's `module`, which messages name."""

    module: nn.Module
    # The signature of forward, where it depends on that of the module.
    asks: inspect.Signature | None = None


class Picked(Wrapper):
    """One of the several outputs of a module: an entry of its tuple or dictionary."""

    def __init__(self, module: nn.Module, key: Any):
        super().__init__()
        self.module = module
        self.key = key

    def forward(self, *args: Any, **given: Any) -> Any:
        return picked(self.module(*args, **given), self.key)


def picked(found: Any, key: Any) -> Any:
    """An entry of an output; raises ModelOutputError."""
    if isinstance(found, Mapping):
        if key in found:
            return found[key]
        has = f"a {type(found).__name__} with {', '.join(map(repr, list(found)[:8]))}"
    elif isinstance(found, Sequence) and not isinstance(found, str):
        if isinstance(key, int) and not isinstance(key, bool) and -len(found) <= key < len(found):
            return found[key]
        names = getattr(found, "_fields", ())
        if key in names:
            return getattr(found, key)
        has = f"a {type(found).__name__} of {len(found)}"
    elif isinstance(key, str) and not isinstance(found, Tensor) and hasattr(found, key):
        return getattr(found, key)
    else:
        has = f"a {type(found).__name__}"
    raise ModelOutputError(
        f"output_key = {key!r}, but the model returned {has}: give the position in a tuple, the key of a "
        f"dictionary, or no output_key for a single tensor"
    )


class Adapted(Wrapper):
    """Calls a module in its own way; forward(x, edge_index, ...) is the engine's."""

    def __init__(self, module: nn.Module, call: Call):
        super().__init__()
        self.module = module
        self.call = call

    def forward(self, x: Tensor, edge_index: Tensor, **given: Tensor | None) -> Any:
        inputs = self.inputs(x, given) | _of_engine(given)
        named = {
            argument: _as_weight(inputs[source])
            if argument in WEIGHTS and argument != source
            else inputs[source]
            for argument, source in self.call.named
        }
        if EDGE_TYPE not in inputs:
            return self.called(inputs["x"], edge_index, named)
        known = lambda: (_parts_by_type(edge_index, inputs[EDGE_TYPE]), None)
        with masks_of_parts(self.module, known):
            return self.called(inputs["x"], edge_index, named)

    def inputs(self, x: Tensor, given: dict[str, Tensor | None]) -> dict[str, Tensor]:
        """Every input of the graph by its name, in its own form, of the engine's tables."""
        call = self.call
        found = _parted(x, call.node_parts)
        for part in call.node_parts:
            found[part.name] = part.of_graphs(found[part.name], given.get("batch"))
        if (attr := given.get("edge_attr")) is not None:
            found |= _parted(attr, call.edge_parts)
        if (weight := given.get("edge_weight")) is not None:
            assert call.weight is not None, "the graph has weights"
            found["edge_weight"] = call.weight.cut(weight[:, None], 0)
        return found

    def called(self, x: Any, edge_index: Any, named: dict[str, Any]) -> Any:
        """What the module returns for x, edge_index and its other arguments by name."""
        if self.call.order == "data":
            return self.module(Data(x=x, edge_index=edge_index, **named))
        if self.call.order == "by name":
            first_two = zip(self.call.ends, (x, edge_index))
            return self.module(**{name: value for name, value in first_two if name}, **named)
        first = (x, edge_index) if self.call.order == "x, edge_index" else (edge_index, x)
        placed = [named.pop(name, default) for name, default in self.call.positional]
        return self.module(*first, *placed, **named)


def _parts_by_type(edge_index: Tensor, kinds: Tensor) -> Known:
    """All edges, and those of each type, with their numbers."""
    known = [(edge_index, torch.arange(edge_index.shape[1], device=edge_index.device))]
    if kinds.is_floating_point() or not kinds.numel() or kinds.min() < 0:
        return known
    parts = Parts(kinds.reshape(-1).long(), 0)
    return known + list(zip([ends.T for ends in parts.split(edge_index.T)], parts.rows))


def unwrapped(module: Any) -> Any:
    """The eager module inside of torch.compile, DataParallel and our own wrappers."""
    while True:
        if isinstance(module, Wrapper | nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif isinstance(getattr(module, "_orig_mod", None), nn.Module):
            module = module._orig_mod
        else:
            return module


def _of_engine(given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ("batch", PAIRS[0]) if name in given}


def _parted(table: Tensor, parts: Sequence[Part]) -> dict[str, Tensor]:
    found = {}
    start = 0
    for part in parts:
        found[part.name] = part.cut(table, start)
        start += part.width
    return found


def _as_weight(values: Tensor) -> Tensor:
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
