"""Rows of features that are stored in float16, where no value changes by it, and read in float32."""

from typing import Any

import numpy as np


class HalfRows:
    """An array of float32 whose values lie in a file of float16."""

    dtype = np.dtype(np.float32)
    itemsize = 4
    ndim = 2

    def __init__(self, held: np.ndarray):
        self._held = held
        self.shape = held.shape

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, place: Any) -> Any:
        return self._held[place].astype(np.float32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._held.astype(np.float32 if dtype is None else dtype)

    def astype(self, kind: Any, **_: Any) -> np.ndarray:
        """A copy of all rows in another type."""
        return self._held.astype(np.float32).astype(kind)

    def copy(self) -> np.ndarray:
        """A copy of all rows."""
        return self._held.astype(np.float32)

    @property
    def size(self) -> int:
        return self._held.size

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize


def fits_half(block: np.ndarray) -> bool:
    """Whether float16 holds every value exactly."""
    with np.errstate(over="ignore"):
        return bool((block.astype(np.float16).astype(np.float32) == block).all())
