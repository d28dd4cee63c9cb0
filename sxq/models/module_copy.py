"""A copy of the user's module, and what is asked of its parameters: the original is never changed."""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch_geometric.explain.algorithm.utils import clear_masks

from sxq.errors import ModelError
from sxq.models.blame import guarded
from sxq.models.wrappers import unwrapped


def copy_of(module: nn.Module, device: torch.device) -> nn.Module:
    """A copy of the user's module on a device: eval mode, no caches, no masks, no gradients."""
    remedy = (
        "sxq works on a copy to leave yours as it is; tensors that a forward keeps as attributes must "
        "be detached, and locks, files and the like left out (__deepcopy__)"
    )
    with guarded(f"the model {type(module).__name__} cannot be copied: copy.deepcopy", remedy):
        own = copy.deepcopy(module)
    with guarded(f"preparing a copy of {type(module).__name__} (eval, to {device})"), converting():
        own = own.to(device)
        _unwrap_parts(own)
        clear_masks(own)
        part: Any  # torch takes every attribute of a module for a tensor or a module
        for part in own.modules():
            if getattr(part, "cached", None) is True:
                part.cached = False  # a cached layer silently ignores a changed edge_index
            for name in [name for name in vars(part) if name.startswith("_cached")]:
                setattr(part, name, None)
        if not isinstance(own, torch.jit.ScriptModule):  # it does not allow this
            for parameter in own.parameters():
                if not is_lazy(parameter):
                    parameter.requires_grad_(False)
        return own.eval()


@contextmanager
def converting() -> Iterator[None]:
    """Within, torch does not warn of the gradients of a traced module, whose parameters are views."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The .grad attribute of a Tensor", UserWarning)
        yield


def _unwrap_parts(own: nn.Module) -> None:
    """Replace what torch.compile and DataParallel made of parts of a module by the parts themselves."""
    for part in list(own.modules()):
        for name, inner in list(part._modules.items()):
            if inner is not None and unwrapped(inner) is not inner:
                part._modules[name] = unwrapped(inner)


def uninitialized(module: nn.Module) -> set[str]:
    """The names of lazy parameters and buffers that no forward has given values yet."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name for name, tensor in named if is_lazy(tensor)}


def drop_unused(own: nn.Module) -> None:
    """Remove lazy parameters and buffers that the forward does not use."""
    part: Any
    for part in own.modules():
        for held in (part._parameters, part._buffers):
            for name, tensor in held.items():
                if tensor is not None and is_lazy(tensor):
                    held[name] = None


def require_data(module: nn.Module) -> None:
    """Raise ModelError if parameters or buffers have no values."""
    empty = [
        name
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]
        if tensor.is_meta
    ]
    if empty:
        raise ModelError(
            f"{', '.join(empty[:3])} of the model holds no data (it is on the device meta); load the "
            f"weights first: module.to_empty(device='cpu'), then load_state_dict"
        )
