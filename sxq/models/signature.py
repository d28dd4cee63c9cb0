"""What forward asks for: its signature, also of compiled and sequential modules."""

import inspect
from typing import Any

import torch
from torch import nn
from torch_geometric.nn import Sequential

from sxq.errors import ModelError
from sxq.models.wrappers import Wrapper


def signature_of(module: nn.Module) -> inspect.Signature:
    """The signature of forward; raises ModelError."""
    try:
        if isinstance(module, Wrapper) and module.asks is not None:
            return module.asks
        if isinstance(module, Sequential):
            names = list(module.signature.param_dict)
            return inspect.Signature(
                [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
            )
        if isinstance(module, torch.jit.ScriptModule):
            return _of_schema(module)
        return inspect.signature(module.forward)
    except Exception as error:
        raise ModelError(
            f"the arguments of {type(module).__name__}.forward cannot be read "
            f"({type(error).__name__}: {error}); wrap the model in a module with "
            f"forward(x, edge_index)"
        ) from error


def _of_schema(module: torch.jit.ScriptModule) -> inspect.Signature:
    parameters = []
    forward: Any = module.forward
    for argument in forward.schema.arguments[1:]:
        default = (
            argument.default_value if argument.has_default_value() else inspect.Parameter.empty
        )
        kind = (
            inspect.Parameter.KEYWORD_ONLY
            if argument.kwarg_only
            else inspect.Parameter.POSITIONAL_OR_KEYWORD
        )
        parameters.append(inspect.Parameter(argument.name, kind, default=default))
    return inspect.Signature(parameters)
