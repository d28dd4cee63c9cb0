"""Pooling: from one row per node to one row per graph, for graph classifiers.

Which nodes are pooled depends on the candidate. Only the nodes of its units exist in G_s. G \\ G_s
keeps all nodes. The empty candidate is the graph of all nodes without any edge.
"""

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch_geometric.nn import aggr
from torch_geometric.utils import scatter

from sxq.inference.tiles.layout import FieldLayout, Incidence
from sxq.inference.tiles.tile import LOWEST, Tile, bag, by_column, largest
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models import device as devices

REDUCTIONS = {"sum": "sum", "add": "sum", "mean": "mean", "max": "max"}
MODULES = {aggr.SumAggregation: "sum", aggr.MeanAggregation: "mean", aggr.MaxAggregation: "max"}


class Pool:
    """One pooling step: "sum", "mean" or "max" over the nodes that exist."""

    def __init__(self, reduction: str):
        if reduction not in REDUCTIONS:
            raise Untraceable(f"pooling by {reduction!r}")
        self.reduction = REDUCTIONS[reduction]

    def run(self, table: Tensor, tile: Tile) -> Tensor:
        """Rows of all nodes [W * R, C] -> rows of the graphs [W * slabs, C]."""
        slabs = tile.memo("slabs", lambda: _Slabs(tile))
        if self.reduction == "max":
            return slabs.largest(table)
        total = slabs.sum(table)
        return total if self.reduction == "sum" else total / slabs.size.clamp(min=1)


class _Slabs:
    """The graphs of a tile: which of their rows exist in which column."""

    def __init__(self, tile: Tile):
        frame = tile.frame
        self.columns = tile.columns
        rows = np.repeat([layout.rows(0) for layout in frame.fields], frame.counts)
        self.rows = int(rows.sum())
        self.count = len(rows)
        device = frame.device
        owner = np.repeat(np.arange(len(rows)), rows)
        self.owner = devices.to_device(owner, device)  # [R] slab of a row
        start = devices.to_device(np.cumsum(rows) - rows, device)
        column = torch.arange(self.columns, device=device)[:, None]
        self.start = (start + column * self.rows).view(-1)
        self.exists = by_column(_exists(tile, self.owner))  # [W * R]
        self.size = self.sum(torch.ones(len(self.exists), 1, device=device))  # [W * slabs, 1]

    def sum(self, table: Tensor) -> Tensor:
        return bag(table, torch.arange(len(table), device=table.device), self.start, self.exists)

    def largest(self, table: Tensor) -> Tensor:
        column = torch.arange(self.columns, device=table.device)[:, None]
        graph = (self.owner + column * self.count).view(-1)
        return largest(
            table.masked_fill(self.exists[:, None] == 0, LOWEST), graph, self.columns * self.count
        )


def _exists(tile: Tile, owner: Tensor) -> Tensor:
    """[R, W] one for every node that is in the graph."""
    units_of_nodes = tile.degrees("ends", _ends)
    units = tile.degrees("units", _units)
    exists = (units_of_nodes > 0) | (units == 0).index_select(0, owner)
    exists[:, tile.width :] = True
    return exists.float()


def _ends(layout: FieldLayout) -> Incidence:
    """The parts by which each node exists."""
    return _incidence(layout, *layout.field.parts_of_nodes)


def _units(layout: FieldLayout) -> Incidence:
    """The parts that tell whether any unit is chosen, as one row."""
    return _incidence(layout, layout.field.choosing_parts, np.zeros(1))


def _incidence(layout: FieldLayout, index: np.ndarray, start: np.ndarray) -> Incidence:
    weight = np.ones(len(index), np.float32)
    return Incidence(
        *map(layout.to_device, (index.astype(np.int32), weight, start.astype(np.int32)))
    )


def pool_of(node: fx.Node, module: nn.Module | None) -> Pool | None:
    """The pooling of a recorded call, or None: `scatter` over the batch, or an aggregation module."""
    if module is not None:
        return Pool(MODULES[type(module)]) if type(module) in MODULES else None
    return Pool(node.kwargs.get("reduce", "sum")) if node.target is scatter else None
