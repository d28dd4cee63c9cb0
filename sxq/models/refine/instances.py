"""What ReFine learns from: many targets' fields side by side, batched without a loop over graphs or edges.

An instance is a graph of a collection, or the receptive field of a node with its halo. Self-loops are left out: PyG
puts an edge mask on the wrong edges of a graph that has them on every node. Units, not edges, carry the masks, so
that the two directions of a pair are kept or dropped together; halo edges are always present.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sxq.graph import EdgeKind, Field, Graph


@dataclass(frozen=True, eq=False)
class Batch:
    """B instances as one graph of N nodes, E edges and U units, on a device."""

    x: Tensor  # [N, d]
    edge_index: Tensor  # [2, E]
    edge_weight: Tensor | None  # [E]
    edge_attr: Tensor | None  # [E, D]
    owner: Tensor  # [N] the instance of each node
    unit: Tensor  # [E] the unit of each edge, or EdgeKind.HALO
    unit_owner: Tensor  # [U] the instance of each unit
    root: (
        Tensor | None
    )  # [B] the target node of each instance; None where whole graphs are explained
    size: int  # B

    def spread(self, mask: Tensor) -> Tensor:
        """From units [U] to edges [E]: halo edges are there whatever happens."""
        return (
            torch.where(self.unit >= 0, mask[self.unit.clamp(min=0)], mask.new_ones(()))
            if len(mask)
            else mask.new_ones(len(self.unit))
        )

    def copies(self, count: int) -> "Batch":
        """The same instances `count` times, one round behind the other."""
        rounds = torch.arange(count, device=self.x.device)

        def again(values: Tensor | None, step: int = 0) -> Tensor | None:
            if values is None:
                return None
            shift = step * rounds.repeat_interleave(len(values))
            return values.repeat(count, *[1] * (values.ndim - 1)) + (shift if step else 0)

        numbered = again(self.unit, len(self.unit_owner))
        unit = torch.where(self.unit.repeat(count) >= 0, numbered, EdgeKind.HALO.value)
        edge_index = torch.stack([again(ends, len(self.x)) for ends in self.edge_index])
        return Batch(
            again(self.x),
            edge_index,
            again(self.edge_weight),
            again(self.edge_attr),
            again(self.owner, self.size),
            unit,
            again(self.unit_owner, self.size),
            again(self.root, len(self.x)),
            count * self.size,
        )

    def gather(self, values: Tensor) -> Tensor:
        """Means of edge values [E, ...] over the edges of each unit: [U, ...]."""
        unit, values = self.unit[self.unit >= 0], values[self.unit >= 0]
        total = values.new_zeros(len(self.unit_owner), *values.shape[1:]).index_add(0, unit, values)
        count = torch.bincount(unit, minlength=len(self.unit_owner)).clamp(min=1)
        return total / count.view(-1, *[1] * (values.ndim - 1))


class Instances:
    """The fields of n targets, concatenated once; `batch` picks some of them.

    pairs  (graph, field) of each target: its own graph for a graph of a collection, the same for nodes
    """

    def __init__(self, pairs: Sequence[tuple[Graph, Field]]):
        edges = [np.flatnonzero(field.unit != EdgeKind.LOOP) for _, field in pairs]
        self.rooted = bool(pairs) and pairs[0][1].rooted
        self._nodes, self._edges, self._units = (
            _pointer(sizes)
            for sizes in (
                [field.num_nodes for _, field in pairs],
                map(len, edges),
                [field.num_units for _, field in pairs],
            )
        )
        self.x = _join([graph.features(field.nodes) for graph, field in pairs])
        self.edge_index = _join(
            [field.edge_index[:, own].T for (_, field), own in zip(pairs, edges)]
        )
        self.unit = _join([field.unit[own] for (_, field), own in zip(pairs, edges)])
        self.edges = [
            field.edges[own] for (_, field), own in zip(pairs, edges)
        ]  # numbers in their own graph
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
        """Some instances, in the order given."""
        (nodes, owner), (edges, of) = (
            _ranges(pointer, numbers) for pointer in (self._nodes, self._edges)
        )
        node_start, unit_start = (
            np.cumsum([0, *np.diff(pointer)[numbers][:-1]])
            for pointer in (self._nodes, self._units)
        )
        unit = self.unit[edges]
        arrays = (
            self.x[nodes],
            (self.edge_index[edges] + node_start[of][:, None]).T,
            self.edge_weight,
            self.edge_attr,
            owner,
            np.where(unit >= 0, unit + unit_start[of], EdgeKind.HALO),
            np.repeat(np.arange(len(numbers)), self.num_units[numbers]),
            node_start if self.rooted else None,
        )
        picked = [
            array if place not in (2, 3) or array is None else array[edges]
            for place, array in enumerate(arrays)
        ]
        tensors = (
            None if array is None else torch.from_numpy(np.ascontiguousarray(array)).to(device)
            for array in picked
        )
        return Batch(*tensors, len(numbers))


def _pointer(sizes) -> np.ndarray:
    return np.cumsum([0, *sizes])


def _join(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts)


def _ranges(pointer: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All of pointer[i] .. pointer[i + 1] - 1 for i in `numbers`, and the place in `numbers` each is from."""
    size = np.diff(pointer)[numbers]
    owner = np.repeat(np.arange(len(size)), size)
    return np.arange(len(owner)) + (pointer[numbers] - np.cumsum(size) + size)[owner], owner
