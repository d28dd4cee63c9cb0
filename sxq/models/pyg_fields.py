"""The fields of PyG's data as arrays, each with torch's name of its type.

numpy arrays, lists of numbers, pandas tables and sparse matrices count as tensors.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from sxq.errors import GraphError
from sxq.graph.readers import MASKS

GIVEN = ("x", "edge_weight", "edge_attr")  # what a model is given besides edge_index
KNOWN = {"edge_index", "y", "edge_mask", *GIVEN, *MASKS}
NUMBERING = {"num_nodes", "ptr", "batch", "adj_t"}  # read by sxq itself
LARGEST = 2**53  # integers beyond this are not exact in double, which inputs are carried in
Fields = dict[str, tuple[np.ndarray, str]]


def read_fields(data: Any) -> Fields:
    """Every field of a `Data` or of one of the stores of a `HeteroData` that is numbers.

    Raises GraphError for those that sxq knows and that are no numbers.
    """
    fields: Fields = {}
    for name in names_of(data):
        if name in NUMBERING:
            continue
        found = read_label(data[name]) if name == "y" else read_array(data[name])
        if found is not None:
            fields[name] = found
        elif name in KNOWN and data[name] is not None:
            raise GraphError(
                f"{name} is {described(data[name])}, expected a tensor or an array of numbers"
            )
    if "edge_index" not in fields and data.get("adj_t") is not None:
        fields |= _of_adjacency(data.adj_t)
    return fields


def names_of(data: Any) -> list[str]:
    """The names of the fields of a `Data` or a store, in an order that is the same in every process."""
    # A `Data` has them as a set, and a graph with its fields in another order has another hash.
    return sorted(data.keys()) if isinstance(data, Data) else list(data.keys())


def _of_adjacency(adj_t: Any) -> dict[str, tuple[np.ndarray, str]]:
    """edge_index, and edge_weight if it has values, of a transposed adjacency matrix."""
    if hasattr(adj_t, "to_torch_sparse_coo_tensor"):
        adj_t = adj_t.to_torch_sparse_coo_tensor()
    if not isinstance(adj_t, Tensor) or adj_t.layout is torch.strided:
        raise GraphError(f"adj_t is {described(adj_t)}, expected a sparse matrix [n, n]")
    adj_t = adj_t.detach().cpu().to_sparse_coo().coalesce()
    values = adj_t.values()
    fields: dict[str, Any] = {"edge_index": (adj_t.indices().flip(0).numpy(), "int64")}
    if values.ndim > 1:
        fields["edge_attr"] = read_array(values)
    elif not (values == 1).all():
        fields["edge_weight"] = read_array(values)
    return fields


def read_array(value: Any) -> tuple[np.ndarray, str] | None:
    """A field as an array, with torch's name of its type; None if it is not an array of numbers."""
    if hasattr(value, "to_torch_sparse_coo_tensor"):  # torch_sparse
        value = value.to_torch_sparse_coo_tensor()
    if isinstance(value, Tensor):
        return _of_tensor(value)
    if hasattr(value, "toarray") and hasattr(value, "tocoo"):  # scipy
        value = value.toarray()
    elif hasattr(value, "to_numpy") and not isinstance(value, np.ndarray):  # pandas
        value = value.to_numpy()
    elif isinstance(value, list | tuple) and value:
        value = _of_list(value)
    if not isinstance(value, np.ndarray) or np.ma.is_masked(value):
        return None
    if value.dtype == object:
        value = _of_list(value.tolist())
    if value is None or value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
        return None
    value = value.astype(value.dtype.newbyteorder("="), copy=False)
    return value, value.dtype.name


def read_label(y: Any) -> tuple[np.ndarray, str] | None:
    """`y` as an array, also where it is a single number."""
    return read_array(np.asarray([y]) if isinstance(y, int | float | np.generic) else y)


def _of_tensor(tensor: Tensor) -> tuple[np.ndarray, str] | None:
    if tensor.is_complex() or tensor.is_quantized or tensor.is_meta or tensor.is_nested:
        return None
    tensor = tensor.detach().cpu()
    tensor = tensor.to_dense() if tensor.layout is not torch.strided else tensor
    kind = str(tensor.dtype).removeprefix("torch.")
    try:
        return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy(), kind
    except (TypeError, RuntimeError):  # a type that numpy lacks, such as float8
        return None


def _of_list(values: Any) -> np.ndarray | None:
    """Nested lists of numbers as an array, as torch.tensor reads them; None for other lists."""
    try:
        if isinstance(values[0], Tensor):
            return torch.stack(list(values)).detach().cpu().numpy()
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError):  # not equally long
        return None
    if array.dtype.kind not in "biuf":
        return None
    return array.astype(np.float32) if array.dtype == np.float64 else array


def defect(array: np.ndarray, kind: str) -> str | None:
    """Why an array can be no input of a model, "" where its description says it; None: it can be."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return " holding NaN or infinite values"
    large = array.dtype.kind in "iu" and array.size and np.abs(array.astype(float)).max() >= LARGEST
    return "" if large or kind == "bfloat16" else None


def column_of_ones(num_nodes: int) -> np.ndarray:
    """The features of nodes that have none; raises GraphError."""
    try:
        return np.ones((num_nodes, 1), np.float32)
    except (MemoryError, ValueError):
        raise GraphError(f"num_nodes is {num_nodes}, more than the memory holds") from None


def judge_y(arrays: dict[str, np.ndarray], num_nodes: int) -> dict[str, str]:
    """Drop `y` unless it is one class for each node; what was found if it can be no classes."""
    y = arrays.get("y")
    if y is None or _is_class_per_node(y, num_nodes):
        return {}
    del arrays["y"]
    one = y.size == 1 and bool((y == np.floor(y)).all())
    return {} if one else {"y": f"{y.dtype} {list(y.shape)}"}


def unusable(data: Any, fields: Mapping[str, Any]) -> dict[str, str]:
    """The fields that are no numbers, and `batch`, which single graphs do not have."""
    return {
        name: described(data[name])
        for name in names_of(data)
        if name not in fields
        and name not in KNOWN
        and name not in ("num_nodes", "ptr", "adj_t", "feature_names")
        and data[name] is not None
    }


def described(value: Any) -> str:
    """What a field is, in words."""
    if isinstance(value, Tensor) and (value.is_nested or value.is_meta):
        return f"a {'nested tensor' if value.is_nested else 'tensor without data (on meta)'}"
    if isinstance(value, Tensor):
        return f"a tensor of {str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} {list(value.shape)}"
    if isinstance(value, list | tuple) and value:
        return f"a {type(value).__name__} of {len(value)}, the first {type(value[0]).__name__}"
    return f"of type {type(value).__name__}"


def _is_class_per_node(y: np.ndarray, num_nodes: int) -> bool:
    return (
        y.size == num_nodes
        and y.ndim > 0
        and len(y) == num_nodes
        and bool((y == np.floor(y)).all())
    )
