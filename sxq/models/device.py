"""Moves arrays to the device of a model. All arrays of a batch go through `to_device`, which a test replaces."""

from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

Device: TypeAlias = torch.device | str


def to_device(array: np.ndarray, device: Device) -> Tensor:
    """An array as a tensor on a device; on the CPU it shares the memory of a contiguous array."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
