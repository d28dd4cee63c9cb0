"""Two versions of a graph hold the arrays that did not change once."""

import numpy as np

from sxq.graph.csr import Graph

ARRAYS = ("x", "y", "split", "edge_index", "edge_weight", "edge_attr", "edge_truth")


def share_arrays(earlier: Graph, later: Graph) -> None:
    """Give the later version those arrays of the earlier one that equal its own; a graph never changes its arrays."""
    for name in ARRAYS:
        held = getattr(earlier, name)
        if _equal(held, getattr(later, name)):
            setattr(later, name, held)
    for inputs, own in (
        (earlier.node_inputs, later.node_inputs),
        (earlier.edge_inputs, later.edge_inputs),
    ):
        own.update({name: held for name, held in inputs.items() if _equal(held, own.get(name))})


def _equal(held: np.ndarray | None, own: np.ndarray | None) -> bool:
    if held is None or own is None:
        return False
    return held.dtype == own.dtype and np.array_equal(held, own)
