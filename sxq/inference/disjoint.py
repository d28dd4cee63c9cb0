"""The simple exact backend: a block-diagonal batch of edge-dropped copies of the field.

It is exact for every model that passes messages along `edge_index`, whatever the model does inside.
It is slow, because every copy repeats the features and the first linear map. The layered backend is
measured against it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.graph import EdgeKind, FeatureField, Field, Graph
from sxq.inference import CandidateBatch
from sxq.models import device as devices
from sxq.models.forward import Inputs, edge_tensors, node_tensor
from sxq.models.model import Model


@dataclass(frozen=True, eq=False)
class LoadedField:
    """The tensors of a field on the device."""

    x: Tensor  # [n, d]
    edge_index: Tensor  # [2, m] local
    edge_weight: Tensor | None  # [m]
    edge_attr: Tensor | None  # [m, D]
    unit: Tensor  # [m]: part, or a kind of edge that is in none (`EdgeKind`)
    field: Field
    alone: bool = False  # of a whole graph: whether its candidates run one at a time

    def sides(self, bits: np.ndarray) -> "tuple[Side, Side]":
        """G_s and G \\ G_s of candidates bits [n, U]."""
        return (
            Side(self, bits, self.field.kept(bits), self.field.existing, context=False),
            Side(self, ~bits, self.field.left(bits), None, context=True),
        )


class Side:
    """G_s or G \\ G_s of n candidates of a field."""

    def __init__(
        self,
        loaded: LoadedField,
        units: np.ndarray,
        parts: np.ndarray,
        existing: Callable[[np.ndarray], np.ndarray] | None,
        context: bool,
    ):
        self.loaded = loaded
        self.units = units  # [n, U] bool: those that are there
        self.parts = devices.to_device(parts, loaded.x.device)  # [n, P]
        self._existing = existing  # tells the nodes of a whole graph; None: all are there
        self.context = context  # whether the halo is there

    def __len__(self) -> int:
        return len(self.units)

    @property
    def edges(self) -> Tensor:
        """The edges [n, m] bool of each graph."""
        unit = self.loaded.unit
        always = unit == EdgeKind.LOOP
        if self.context:
            always = always | (unit == EdgeKind.HALO)
        if not self.parts.shape[1]:
            return always.expand(len(self), -1)
        return torch.where(unit >= 0, self.parts[:, unit.clamp(min=0)], always)

    @property
    def nodes(self) -> Tensor:
        """The nodes [n, num_nodes] bool of each whole graph."""
        if self._existing is None:
            return self.parts.new_ones((len(self), len(self.loaded.x)))
        return devices.to_device(self._existing(self.units), self.loaded.x.device)

    @property
    def rows(self) -> Tensor:
        """The features [n, num_nodes, d] of each graph."""
        loaded = self.loaded
        x = loaded.x.expand(len(self), *loaded.x.shape)
        if not isinstance(loaded.field, FeatureField):
            return x
        field = loaded.field
        present = devices.to_device(self.units, x.device)[:, None]
        x = x.clone()
        _put_baseline(x, field.places(field.columns), field.baseline, present)
        if not self.context:
            _put_baseline(x, field.places(field.context_columns), field.context_baseline, None)
        return x

    def one_by_one(self) -> "Iterator[Side]":
        """Each candidate alone."""
        for row in range(len(self)):
            own = slice(row, row + 1)
            parts = self.parts[own].cpu().numpy()
            yield Side(self.loaded, self.units[own], parts, self._existing, self.context)


def _put_baseline(
    x: Tensor, places: Sequence[tuple], baseline: np.ndarray, present: Tensor | None
) -> None:
    """Put the baseline [k] of columns where they are not `present` [n, 1, k] into x [n, num_nodes, d]."""
    for rows, columns, own in places:
        values = devices.to_device(baseline[own], x.device).to(x)
        at = devices.to_device(columns, x.device)
        if not isinstance(rows, slice):
            rows = devices.to_device(rows, x.device)[:, None]
        held = x[:, rows, at]
        if present is None:
            x[:, rows, at] = values.expand_as(held)
        else:
            x[:, rows, at] = torch.where(present[..., own], held, values)


class Disjoint:
    """Runs the model itself on many copies of the field at once."""

    name = "disjoint"

    def __init__(self, model: Model):
        self.model = model
        self._width = max([1] + [p.shape[0] for p in model.module.parameters() if p.ndim])

    def load(self, graph: Graph, field: Field) -> LoadedField:
        device = self.model.device
        x = node_tensor(self.model, graph, field.nodes)
        _, weight, attr = edge_tensors(graph, field.edges, device, self.model.call.edge_inputs)
        return LoadedField(
            x=x,
            edge_index=devices.to_device(field.edge_index, device),
            edge_weight=weight,
            edge_attr=attr,
            unit=devices.to_device(field.unit, device),
            field=field,
        )

    def cost(self, field: LoadedField) -> int:
        nodes, features = field.x.shape
        return (
            2 * 4 * (nodes * (features + 3 * self._width) + len(field.unit) * (3 * self._width + 8))
        )

    def infer(self, batches: Sequence[CandidateBatch]) -> list[Tensor]:
        """Outputs [2, n, C] of the targets: on every G_s, then on every G \\ G_s."""
        sides = [side for batch in batches for side in batch.field.sides(batch.bits)]
        outputs = self._forward(sides)
        return [torch.stack(pair) for pair in zip(outputs[::2], outputs[1::2])]

    def _forward(self, sides: Sequence[Side]) -> list[Tensor]:
        """Outputs [n, C] of the targets on the graphs of each side."""
        graphs = []
        targets = []
        offset = 0
        for side in sides:
            field = side.loaded
            copies = len(side)
            nodes = len(field.x)
            copy, edge = side.edges.nonzero(as_tuple=True)
            starts = offset + nodes * torch.arange(copies, device=copy.device)
            graphs.append(
                (
                    side.rows.flatten(0, 1),
                    field.edge_index[:, edge] + starts[copy],
                    None if field.edge_weight is None else field.edge_weight[edge],
                    None if field.edge_attr is None else field.edge_attr[edge],
                )
            )
            targets.append(starts)
            offset += copies * nodes
        xs, ends, weights, attrs = zip(*graphs)
        x, edge_index, weight, attr = join(xs), torch.cat(ends, 1), join(weights), join(attrs)
        with torch.inference_mode():
            out = self.model.at_targets(
                x, edge_index, weight, attr, starts=torch.cat(targets), owner=None
            ).float()
        return list(out.split([len(side) for side in sides]))


def join(parts: Sequence[Any]) -> Any:
    """Concatenate along nodes or edges; the parts are tensors, or all None."""
    if parts[0] is None:
        return None
    return torch.cat(tuple(parts), dim=0)


class Pooled(Disjoint):
    """Runs a graph classifier on many edge-dropped graphs at once; fields are whole graphs.

    A model that a batch confuses (`Model.alone`) gets one graph at a time, and so do the candidates of
    a graph that it confuses (`LoadedField.alone`).
    """

    def infer(self, batches: Sequence[CandidateBatch]) -> list[Tensor]:
        """Outputs [2, n, C] of the graphs: every G_s, then every G \\ G_s."""
        sides = [side for batch in batches for side in batch.field.sides(batch.bits)]
        with torch.inference_mode():
            together = iter(self._together([side for side in sides if not self._alone(side)]))
            outputs = [
                self._one_by_one(side) if self._alone(side) else next(together) for side in sides
            ]
        return [torch.stack(pair) for pair in zip(outputs[::2], outputs[1::2])]

    def _alone(self, side: Side) -> bool:
        return self.model.alone or side.loaded.alone

    def _together(self, sides: Sequence[Side]) -> list[Tensor]:
        if not sides:
            return []
        sizes = [len(side) for side in sides]
        parts = [_cut_out(side) for side in sides]
        return list(self.model(*_side_by_side(parts, sizes)).float().split(sizes))

    def _one_by_one(self, side: Side) -> Tensor:
        # nodes in the graph's own order, which may decide ties
        order = devices.to_device(np.argsort(side.loaded.field.nodes), side.parts.device)
        rows = [self.model(*_cut_out(one, order)).float() for one in side.one_by_one()]
        empty = (0, self.model.full.shape[1])
        return torch.cat(rows) if rows else side.parts.new_zeros(empty).float()


def _cut_out(side: Side, order: Tensor | None = None) -> Inputs:
    """x, edge_index, edge_weight, edge_attr and batch of the graphs of a side, nodes in this order."""
    field = side.loaded
    tail, head = field.edge_index
    alive = side.nodes
    edges = side.edges & alive[:, tail]  # a loop exists only if its node does
    if order is None:
        order = torch.arange(alive.shape[1], device=alive.device)
    ordered = alive[:, order]
    number = torch.empty_like(alive, dtype=torch.long)
    number[:, order] = ordered.flatten().cumsum(0).view_as(alive) - 1
    batch, node = ordered.nonzero(as_tuple=True)
    node = order[node]
    copy, edge = edges.nonzero(as_tuple=True)
    edge_index = torch.stack([number[copy, tail[edge]], number[copy, head[edge]]])
    weight, attr = (
        None if values is None else values[edge] for values in (field.edge_weight, field.edge_attr)
    )
    return side.rows[batch, node], edge_index, weight, attr, batch


def _side_by_side(parts: Sequence[Inputs], sizes: Sequence[int]) -> Inputs:
    """Several batches as one; nodes and graphs are renumbered."""
    nodes = np.cumsum([0, *(len(x) for x, *_ in parts)]).tolist()
    graphs = np.cumsum([0, *sizes]).tolist()
    x, edge_index, weight, attr, batch = zip(*parts)
    return (
        torch.cat(x),
        torch.cat([index + start for index, start in zip(edge_index, nodes)], dim=1),
        join(weight),
        join(attr),
        torch.cat([own + start for own, start in zip(batch, graphs)]),
    )
