"""The instances that ReFine learns from: many targets' fields, batched without a loop over them.

An instance is a graph of a collection, or the receptive field of a node with its halo. Self-loops
are left out: PyG puts an edge mask on the wrong edges of a graph that has a loop at every node.
Masks belong to units, not edges, so that the two directions of a pair are kept or dropped together;
halo edges are always present.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.graph import EdgeKind, Field, Graph
from sxq.graph.collection import ranges
from sxq.models import device as devices


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """B instances as one graph of N nodes, E edges and U units, on a device."""

    x: Tensor  # [N, d]
    edge_index: Tensor  # [2, E]
    edge_weight: Tensor | None  # [E]
    edge_attr: Tensor | None  # [E, D]
    owner: Tensor  # [N] the instance of each node
    unit: Tensor  # [E] the unit of each edge, or EdgeKind.HALO
    unit_owner: Tensor  # [U] the instance of each unit
    root: Tensor | None  # [B] the target node of each instance; None if these are whole graphs
    size: int  # B

    def spread(self, mask: Tensor) -> Tensor:
        """The mask of units [U] as one of edges [E]; it is one for halo edges."""
        if not len(mask):
            return mask.new_ones(len(self.unit))
        return torch.where(self.unit >= 0, mask[self.unit.clamp(min=0)], mask.new_ones(()))

    def copies(self, count: int) -> "Batch":
        """The same instances `count` times, round by round."""
        rounds = torch.arange(count, device=self.x.device)

        def again(values: Any, step: int = 0) -> Any:  # a Tensor, or None for None
            if values is None:
                return None
            shift = step * rounds.repeat_interleave(len(values))
            return values.repeat(count, *[1] * (values.ndim - 1)) + (shift if step else 0)

        numbered = again(self.unit, len(self.unit_owner))
        unit = torch.where(self.unit.repeat(count) >= 0, numbered, EdgeKind.HALO.value)
        edge_index = torch.stack([again(ends, len(self.x)) for ends in self.edge_index])
        return Batch(
            x=again(self.x),
            edge_index=edge_index,
            edge_weight=again(self.edge_weight),
            edge_attr=again(self.edge_attr),
            owner=again(self.owner, self.size),
            unit=unit,
            unit_owner=again(self.unit_owner, self.size),
            root=again(self.root, len(self.x)),
            size=count * self.size,
        )

    def gather(self, values: Tensor) -> Tensor:
        """Means of edge values [E, ...] over the edges of each unit: [U, ...]."""
        values = values[self.unit >= 0]
        unit = self.unit[self.unit >= 0]
        total = values.new_zeros(len(self.unit_owner), *values.shape[1:]).index_add(0, unit, values)
        count = torch.bincount(unit, minlength=len(self.unit_owner)).clamp(min=1)
        return total / count.view(-1, *[1] * (values.ndim - 1))


class Instances:
    """The fields of n targets, concatenated once; `batch` picks some of them.

    pairs  (graph, field) of each target: its own graph for a graph of a collection, the same for
    nodes
    """

    def __init__(self, pairs: Sequence[tuple[Graph, Field]]):
        edges = [np.flatnonzero(field.unit != EdgeKind.LOOP) for _, field in pairs]
        self.rooted = bool(pairs) and pairs[0][1].rooted
        self._nodes = _pointer([field.num_nodes for _, field in pairs])
        self._edges = _pointer(map(len, edges))
        self._units = _pointer([field.num_units for _, field in pairs])
        self.x = _join([graph.features(field.nodes) for graph, field in pairs])
        self.edge_index = _join(
            [field.edge_index[:, own].T for (_, field), own in zip(pairs, edges)]
        )
        self.unit = _join([field.unit[own] for (_, field), own in zip(pairs, edges)])
        # Edge numbers in the graph of each instance.
        self.edges = [field.edges[own] for (_, field), own in zip(pairs, edges)]
        self.edge_weight, self.edge_attr = (
            None
            if getattr(pairs[0][0], name) is None
            else _join([getattr(graph, name)[own] for (graph, _), own in zip(pairs, self.edges)])
            for name in ("edge_weight", "edge_attr")
        )

    def __len__(self) -> int:
        return len(self._nodes) - 1

    @property
    def num_units(self) -> np.ndarray:
        """Units of each instance, as [n]."""
        return np.diff(self._units)

    def unit_of(self, number: int) -> np.ndarray:
        """The unit of each edge of one instance, or EdgeKind.HALO."""
        return self.unit[self._edges[number] : self._edges[number + 1]]

    def batch(self, numbers: np.ndarray, device: torch.device) -> Batch:
        """Some instances, in the given order."""
        nodes, owner = ranges(self._nodes, numbers)
        edges, of = ranges(self._edges, numbers)
        node_start = _starts(self._nodes, numbers)
        unit_start = _starts(self._units, numbers)
        unit = self.unit[edges]
        arrays = {
            "x": self.x[nodes],
            "edge_index": (self.edge_index[edges] + node_start[of][:, None]).T,
            "edge_weight": None if self.edge_weight is None else self.edge_weight[edges],
            "edge_attr": None if self.edge_attr is None else self.edge_attr[edges],
            "owner": owner,
            "unit": np.where(unit >= 0, unit + unit_start[of], EdgeKind.HALO),
            "unit_owner": np.repeat(np.arange(len(numbers)), self.num_units[numbers]),
            "root": node_start if self.rooted else None,
        }
        tensors: dict[str, Any] = {
            name: None if array is None else devices.to_device(array, device)
            for name, array in arrays.items()
        }
        return Batch(**tensors, size=len(numbers))


def _pointer(sizes) -> np.ndarray:
    return np.cumsum([0, *sizes])


def _starts(pointer: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Where each of `numbers` begins if they follow each other."""
    return np.cumsum([0, *np.diff(pointer)[numbers][:-1]])


def _join(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts)
