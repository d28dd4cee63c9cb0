"""The fingerprint of a module: whether it was trained further."""

import zlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


def fingerprint(module: nn.Module) -> tuple:
    """A checksum of every parameter and buffer; it changes when training goes on.

    Values are compared, because changes through `.data` or numpy leave no other trace.
    """
    tensors = [*module.parameters(), *module.buffers()]
    return tuple(_checksum(tensor) for tensor in tensors if not is_lazy(tensor))


def _checksum(tensor: Tensor) -> Any:
    try:
        values = tensor.detach().cpu().to_dense().reshape(-1).view(torch.uint8).numpy()
    except (RuntimeError, TypeError):  # a kind of tensor without plain bytes
        return tensor.data_ptr()
    return zlib.crc32(values.data)
