"""Keys of a graph on disk: read one at a time, and found by binary search among sorted keys."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from sxq.graph.disk import manifest
from sxq.graph.disk.stored_list import TEXTS, StoredList, write_list
from sxq.graph.keys import Keys, kind_of_keys

KEYS = "keys"


class DiskKeys(Keys):
    """Keys in a folder, as `write_keys` wrote them."""

    def __init__(self, folder: Path, kind: str):
        self.names: Any = StoredList(folder, KEYS, kind)
        self.kind = kind_of_keys(self.names[:1])
        order = manifest.array(folder, f"{KEYS}.order")
        assert order is not None, "a manifest that holds has the file"
        self._places: Any = _SortedKeys(self.names, order)


class _SortedKeys(Mapping[Any, int]):
    """The place of a key; the keys are in ascending `order` [n] of their `_sorted_by`."""

    def __init__(self, names: StoredList, order: np.ndarray):
        self._names = names
        self._order = order

    def __getitem__(self, key: Any) -> int:
        wanted = _sorted_by(key)
        low = 0
        high = len(self._order)
        while low < high:
            middle = (low + high) // 2
            if self._at(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        if low < len(self._order) and self._at(low) == wanted:
            return int(self._order[low])
        raise KeyError(key)

    def _at(self, place: int) -> Any:
        return _sorted_by(self._names[int(self._order[place])])

    def __iter__(self) -> Iterator[Any]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._order)


def _sorted_by(key: Any) -> Any:
    """What keys of one type are sorted by: equal keys have an equal one."""
    return key.normalize() if isinstance(key, Decimal) else key


def write_keys(folder: Path, keys: Sequence[Any]) -> str:
    """Write unique keys of one type, and their order; return the kind of the list."""
    kind = write_list(folder, KEYS, keys, "a key")
    if kind not in TEXTS:
        values = manifest.array(folder, f"{KEYS}.values")
        assert values is not None, "it was just written"
        order = np.argsort(values, kind="stable")
    else:
        order = np.array(sorted(range(len(keys)), key=lambda i: _sorted_by(keys[i])), np.int64)
    manifest.created(folder, f"{KEYS}.order", np.int64, (len(keys),))[:] = order
    return kind
