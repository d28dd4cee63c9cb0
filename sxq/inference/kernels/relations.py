"""RGCNConv and FastRGCNConv (Schlichtkrull et al. 2018): a map of its own for each type of edges.

A type is a number in `edge_type`. Bases and blocks are ways to say the same maps with fewer
parameters, so the maps are written out once.
"""

from functools import partial

import torch
from torch import Tensor
from torch_geometric.nn import FastRGCNConv
from torch_geometric.nn.aggr import MaxAggregation, MeanAggregation, SumAggregation

from sxq.inference.kernels.base import SCALARS, Kernel, LayerContext, linear_sum, mean_weights
from sxq.inference.tiles.tile import Rows
from sxq.inference.tracing.rowwise import Untraceable


class RGCNKernel(Kernel):
    """out = sum over types r of (mean, sum or maximum of x_j along r) @ W_r, + x_i @ root + bias."""

    takes = ("edge_type",)

    def __init__(self, layer, given):
        super().__init__(layer, given)
        if not given:
            raise Untraceable(f"{self.name} without edge_type")
        self.aggregation = type(layer.aggr_module)
        fast = isinstance(layer, FastRGCNConv)
        known = (SumAggregation, MeanAggregation, *(() if fast else (MaxAggregation,)))
        if self.aggregation not in known:
            raise Untraceable(f"{self.name} with aggr={layer.aggr!r}")
        # [out, in] of each type
        self.weights = [weight.T.contiguous() for weight in _written_out(layer)]
        self.root = None if layer.root is None else partial(_times, weight=layer.root)

    def scalars_per_message(self, channels: int) -> int:
        return SCALARS + 3 * channels if self.aggregation is MaxAggregation else SCALARS

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        layer = self.layer
        by = context.given["edge_type"]
        present = {kind for one in context.tile.frame.fields for kind in one.present_kinds(by)}
        parts = [] if self.root is None else [context.own(x).apply(self.root, self.root).table]
        for kind in sorted(present & set(range(len(self.weights)))):  # others send nothing
            edges = context.edges_of(kind, by)
            if edges.list.size:
                parts.append(self._along(edges, x, self.weights[kind]))
        if not parts:
            rows = context.tile.columns * context.tile.frame.rows(context.hop)
            parts = [x.source.new_zeros(rows, layer.out_channels)]
        out = sum(parts[1:], parts[0])
        return out if layer.bias is None else out + layer.bias

    def _along(self, edges, x: Rows, weight: Tensor) -> Tensor:
        if self.aggregation is MaxAggregation:
            return edges.maximum(x) @ weight.T
        sums = self.aggregation is SumAggregation
        return linear_sum(edges, x, edges.present if sums else mean_weights(edges), weight, None)


def _times(rows: Tensor, weight: Tensor) -> Tensor:
    return rows @ weight


def _written_out(layer) -> Tensor:
    """The maps [R, in, out] of all types."""
    weight = layer.weight.detach()
    if layer.num_bases is not None:
        return torch.einsum("rb,bio->rio", layer.comp.detach(), weight)
    if layer.num_blocks is not None:
        return torch.stack([torch.block_diag(*blocks) for blocks in weight])
    return weight
