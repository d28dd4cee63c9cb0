"""The simple exact backend: a block-diagonal batch of edge-dropped copies of the field.

It is exact for every model that passes messages along `edge_index`, whatever the model does inside.
It is slow, because every copy repeats the features and the first linear map. The layered backend is
measured against it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.graph import EdgeKind, Field, Graph
from sxq.inference import CandidateBatch
from sxq.models.borrow import Inputs, Model, edge_tensors, node_tensor


@dataclass(frozen=True, eq=False)
class LoadedField:
    """The tensors of a field on the device."""

    x: Tensor  # [n, d]
    edge_index: Tensor  # [2, m] local
    edge_weight: Tensor | None  # [m]
    edge_attr: Tensor | None  # [m, D]
    unit: Tensor  # [m]: unit, or a kind of edge that is no candidate (`EdgeKind`)

    def present(self, kept: Tensor, context: bool) -> Tensor:
        """The edges of each graph: kept [n, U] -> [n, m]; the halo is there if `context`."""
        always = self.unit == EdgeKind.LOOP
        if context:
            always = always | (self.unit == EdgeKind.HALO)
        if not kept.shape[1]:
            return always.expand(len(kept), -1)
        return torch.where(self.unit >= 0, kept[:, self.unit.clamp(min=0)], always)


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
            x,
            torch.from_numpy(field.edge_index).to(device),
            weight,
            attr,
            torch.from_numpy(field.unit).to(device),
        )

    def cost(self, field: LoadedField) -> int:
        nodes, features = field.x.shape
        return (
            2 * 4 * (nodes * (features + 3 * self._width) + len(field.unit) * (3 * self._width + 8))
        )

    def infer(self, batches: Sequence[CandidateBatch]) -> list[Tensor]:
        """Outputs [2, n, C] of the targets: on every G_s, then on every G \\ G_s."""
        bits = [
            torch.from_numpy(np.ascontiguousarray(batch.bits)).to(batch.field.x.device)
            for batch in batches
        ]
        present = [
            batch.field.present(units, context)
            for batch, kept in zip(batches, bits)
            for units, context in ((kept, False), (~kept, True))
        ]
        outputs = self._forward([batch.field for batch in batches for _ in range(2)], present)
        return [torch.stack(pair) for pair in zip(outputs[::2], outputs[1::2])]

    def _forward(self, fields: Sequence[LoadedField], present: Sequence[Tensor]) -> list[Tensor]:
        """Outputs [n, C] of the targets on copies of each field with the edges `present` [n, m]."""
        graphs = []
        targets = []
        offset = 0
        for field, edges in zip(fields, present):
            copies = len(edges)
            nodes = len(field.x)
            copy, edge = edges.nonzero(as_tuple=True)
            starts = offset + nodes * torch.arange(copies, device=copy.device)
            graphs.append(
                (
                    field.x.repeat(copies, 1),
                    field.edge_index[:, edge] + starts[copy],
                    None if field.edge_weight is None else field.edge_weight[edge],
                    None if field.edge_attr is None else field.edge_attr[edge],
                )
            )
            targets.append(starts)
            offset += copies * nodes
        xs, ends, weights, attrs = zip(*graphs)
        x, edge_index, weight, attr = _join(xs), torch.cat(ends, 1), _join(weights), _join(attrs)
        with torch.inference_mode():
            out = self.model(x, edge_index, weight, attr)[torch.cat(targets)].float()
        return list(out.split([len(edges) for edges in present]))


def _join(parts: tuple[Any, ...]) -> Any:
    """Concatenate along nodes or edges; the parts are tensors, or all None."""
    if parts[0] is None:
        return None
    return torch.cat(parts, dim=0)


class Pooled(Disjoint):
    """Runs a graph classifier on many edge-dropped graphs at once; fields are `WholeGraph`s.

    A model that a batch confuses (`Model.alone`) gets one graph at a time.
    """

    def infer(self, batches: Sequence[CandidateBatch]) -> list[Tensor]:
        """Outputs [2, n, C] of the graphs: every G_s, then every G \\ G_s."""
        sizes = np.repeat([len(batch.bits) for batch in batches], 2).tolist()
        with torch.inference_mode():
            if self.model.alone:
                outputs = [self._one_by_one(*half) for half in _halves(batches)]
            else:
                parts = [_cut_out(*half) for half in _halves(batches)]
                outputs = list(self.model(*_side_by_side(parts, sizes)).float().split(sizes))
        return [torch.stack(pair) for pair in zip(outputs[::2], outputs[1::2])]

    def _one_by_one(self, field: LoadedField, kept: Tensor, all_nodes: bool) -> Tensor:
        graphs = (_cut_out(field, row[None], all_nodes) for row in kept)
        rows = [self.model(*graph).float() for graph in graphs]
        return torch.cat(rows) if rows else kept.new_zeros((0, self.model.full.shape[1])).float()


def _halves(batches: Sequence[CandidateBatch]) -> Iterator[tuple[LoadedField, Tensor, bool]]:
    """For each batch G_s, then G \\ G_s: the field, the units kept [n, U], whether all nodes stay."""
    for batch in batches:
        kept = torch.from_numpy(np.ascontiguousarray(batch.bits)).to(batch.field.x.device)
        yield batch.field, kept, False
        yield batch.field, ~kept, True


def _cut_out(field: LoadedField, kept: Tensor, all_nodes: bool = False) -> Inputs:
    """x, edge_index, edge_weight, edge_attr and batch of the graphs with the units kept [n, U]."""
    edges = field.present(kept, context=all_nodes)
    tail, head = field.edge_index
    alive = torch.ones(len(kept), len(field.x), dtype=torch.bool, device=kept.device)
    if not all_nodes:
        copy, edge = (edges & (field.unit >= 0)).nonzero(as_tuple=True)
        alive[kept.any(dim=1)] = False
        alive[copy, tail[edge]] = alive[copy, head[edge]] = True
        edges = edges & alive[:, tail]  # a loop exists only if its node does
    number = alive.flatten().cumsum(0).view_as(alive) - 1
    batch, node = alive.nonzero(as_tuple=True)
    copy, edge = edges.nonzero(as_tuple=True)
    edge_index = torch.stack([number[copy, tail[edge]], number[copy, head[edge]]])
    weight, attr = (
        None if values is None else values[edge] for values in (field.edge_weight, field.edge_attr)
    )
    return field.x[node], edge_index, weight, attr, batch


def _side_by_side(parts: Sequence[Inputs], sizes: Sequence[int]) -> Inputs:
    """Several batches as one; nodes and graphs are renumbered."""
    nodes = np.cumsum([0, *(len(x) for x, *_ in parts)]).tolist()
    graphs = np.cumsum([0, *sizes]).tolist()
    x, edge_index, weight, attr, batch = zip(*parts)
    return (
        torch.cat(x),
        torch.cat([index + start for index, start in zip(edge_index, nodes)], dim=1),
        _join(weight),
        _join(attr),
        torch.cat([own + start for own, start in zip(batch, graphs)]),
    )
