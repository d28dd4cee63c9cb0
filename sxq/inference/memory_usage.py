"""Counts the memory that values hold: tensors and arrays, also inside objects of this package."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor


def memory_usage(*values: object, shared: tuple[object, ...] = ()) -> int:
    """Bytes of all reachable tensors and arrays, every storage once, without `shared` values.

    Looks into tuples, lists, dicts and the attributes of objects whose class is in this package.
    """
    seen = {id(value) for value in shared}
    size = 0
    for owner, count in _storages(list(values), seen):
        if owner not in seen:
            seen.add(owner)
            size += count
    return size


def _storages(waiting: list, seen: set[int]) -> Iterator[tuple[int, int]]:
    """(address of the storage, its bytes) of every tensor and array, perhaps more than once."""
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            storage = value.untyped_storage()
            yield storage.data_ptr(), storage.nbytes()
        elif isinstance(value, np.ndarray):
            while isinstance(value.base, np.ndarray):
                value = value.base
            yield value.ctypes.data, value.nbytes
        elif id(value) not in seen:
            seen.add(id(value))
            waiting.extend(_parts(value))


def _parts(value: object) -> list:
    if isinstance(value, (tuple, list)):
        return list(value)
    if isinstance(value, dict):
        return list(value.values())
    inside = type(value).__module__.partition(".")[0] == __name__.partition(".")[0]
    return list(vars(value).values()) if inside and hasattr(value, "__dict__") else []
