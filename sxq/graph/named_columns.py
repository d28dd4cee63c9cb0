"""The names in an .npz file: keys of nodes, attributes, features. These may be text; all else is numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sxq.errors import GraphError

ATTRIBUTE = "attribute_"  # what the array of an attribute is called, before the attribute's name
KEYS = ("key", "node_key")
FEATURE_NAMES = "feature_name"
TYPE_NAMES = ("node_type_name", "edge_type_name")  # of a heterogeneous graph
LAST_CHARACTER = 0x10FFFF  # of Unicode; 0xD800 to 0xDFFF are not characters


def may_be_text(name: str) -> bool:
    """Whether the array of this name may hold text."""
    named = (ATTRIBUTE, f"{FEATURE_NAMES}_")
    return name in (*KEYS, FEATURE_NAMES, *TYPE_NAMES) or name.startswith(named)


def text_column(name: str, array: np.ndarray, ndim: int) -> list[Any]:
    """The text of an array of so many dimensions; raises GraphError for anything else."""
    array = np.asarray(array)
    if array.dtype.kind != "U" or array.ndim != ndim:
        raise GraphError(f"{name} is {array.dtype} of shape {list(array.shape)}, expected text")
    return _values(name, array, len(array))


def named_columns(arrays: Mapping[str, np.ndarray], count: int) -> dict[str, Any]:
    """`keys` and `attributes` of a `Graph` of `count` nodes from the arrays `key` and `attribute_NAME`."""
    found: dict[str, Any] = {}
    if "key" in arrays:
        found["keys"] = key_column(arrays, "key", count)
    attributes = {
        name.removeprefix(ATTRIBUTE): _values(name, arrays[name], count)
        for name in arrays
        if name.startswith(ATTRIBUTE)
    }
    return found | ({"attributes": attributes} if attributes else {})


def key_column(arrays: Mapping[str, np.ndarray], name: str, count: int) -> list[Any] | None:
    """The `count` keys in an array; None where there is no such array."""
    return _values(name, arrays[name], count) if name in arrays else None


def _values(name: str, array: np.ndarray, count: int) -> list[Any]:
    array = np.asarray(array)
    if array.dtype.kind not in "biufU" or array.ndim not in (1, 2):
        raise GraphError(
            f"{name} is {array.dtype} of shape {list(array.shape)}, expected numbers or text"
        )
    if len(array) != count:
        raise GraphError(f"{name} has {len(array)} values, expected {count}")
    if array.dtype.kind == "U" and array.dtype.itemsize:  # numpy would make text of any bytes
        points = np.ascontiguousarray(array).view(np.uint32)
        if ((points > LAST_CHARACTER) | ((points >= 0xD800) & (points <= 0xDFFF))).any():
            raise GraphError(f"{name} holds text that is not Unicode")
    return array.tolist()
