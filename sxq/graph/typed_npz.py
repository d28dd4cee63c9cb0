"""The types of nodes and edges as arrays of an .npz file, and back.

node_type_name [types] and edge_type_name [types, 3]: text, of the ends and the relation
node_type [n] and edge_type [E]: numbers of them; nodes of a type lie together, in this order
node_type_width, edge_type_width [types]: columns of x and edge_attr that each type has
feature_name_TYPE [width]: the names of the columns of x of a type
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sxq.errors import GraphError
from sxq.graph.named_columns import FEATURE_NAMES, TYPE_NAMES, text_column
from sxq.graph.types import GraphTypes

NODE_NAMES, EDGE_NAMES = TYPE_NAMES


def type_arrays(types: GraphTypes) -> dict[str, np.ndarray]:
    """The arrays that hold the types of a graph."""
    arrays = {
        NODE_NAMES: np.array(types.node_types),
        EDGE_NAMES: np.array(types.edge_types, dtype=np.str_).reshape(-1, 3),
        "node_type": types.of_node,
        "edge_type": types.of_edge,
        "node_type_width": np.array(types.widths, np.int64),
        "edge_type_width": np.array(types.edge_widths, np.int64),
    }
    for name, columns in zip(types.node_types, types.feature_names):
        if columns is not None:
            arrays[f"{FEATURE_NAMES}_{name}"] = np.array(columns, dtype=np.str_)
    return arrays


def types_of_arrays(
    arrays: Mapping[str, np.ndarray], width: int, edge_width: int, scattered: bool = False
) -> GraphTypes | None:
    """The types in the arrays of a file whose x and edge_attr have so many columns; None: it has no types.

    Raises GraphError.
    """
    if NODE_NAMES not in arrays:
        return None
    names = text_column(NODE_NAMES, arrays[NODE_NAMES], 1)
    edges = text_column(EDGE_NAMES, _needed(arrays, EDGE_NAMES), 2)
    if any(len(parts) != 3 for parts in edges):
        raise GraphError(
            f"{EDGE_NAMES} has {len(edges[0])} columns, expected [edge types, 3]: the source type, the "
            f"relation, the type of the head"
        )
    return GraphTypes(
        node_types=tuple(names),
        edge_types=tuple((source, relation, head) for source, relation, head in edges),
        of_node=_numbers(arrays, "node_type"),
        of_edge=_numbers(arrays, "edge_type"),
        widths=_widths(arrays, "node_type_width", len(names), width),
        edge_widths=_widths(arrays, "edge_type_width", len(edges), edge_width),
        feature_names=tuple(_feature_names(arrays, name) for name in names),
        scattered=scattered,
    )


def _needed(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in arrays:
        raise GraphError(f"{NODE_NAMES} without {name}: a graph with types needs both")
    return arrays[name]


def _numbers(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    array = _needed(arrays, name)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise GraphError(
            f"{name} is {array.dtype} of shape {list(array.shape)}, expected the number of a type for each row"
        )
    return array.astype(np.int64)


def _widths(
    arrays: Mapping[str, np.ndarray], name: str, count: int, widest: int
) -> tuple[int, ...]:
    """The columns of each type; all columns where the file does not say."""
    if name not in arrays:
        return (widest,) * count
    array = arrays[name]
    fits = array.shape == (count,) and array.dtype.kind in "iu"
    if not fits or (array < 0).any() or (array > widest).any():
        raise GraphError(
            f"{name} is {array.tolist()[:8]}, expected {count} numbers of columns, from 0 to {widest}"
        )
    return tuple(array.tolist())


def _feature_names(arrays: Mapping[str, np.ndarray], node_type: str) -> tuple[str, ...] | None:
    name = f"{FEATURE_NAMES}_{node_type}"
    found: Any = text_column(name, arrays[name], 1) if name in arrays else None
    return None if found is None else tuple(found)
