"""Symmetric normalisation, shared by the kernels that start with PyG's `gcn_norm`.

    weight of edge u -> v = w(u, v) / sqrt(d(u) d(v)),   d(v) = sum of w over the in-edges of v and its loop

Degrees depend on the candidate, so they are summed for each candidate; halo edges add one constant.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from sxq.inference.kernels.base import LayerContext, as_column
from sxq.inference.tiles.layout import FieldLayout, Incidence, OneLoop
from sxq.inference.tiles.tile import Edges, Weights


class Norm:
    """How a layer normalises; layers with equal settings share one, and with it their weights."""

    def __init__(self, loops: OneLoop, fill: float):
        self.add_loops = loops == "replace"
        self.fill = fill
        self.loops: OneLoop = loops

    def edges(self, context: LayerContext, further: int = 0) -> Edges:
        """The messages into the rows within `context.hop + further` steps."""
        return context.edges(self.loops, further)

    def weights(self, context: LayerContext, edges: Edges) -> Tensor | Weights:
        """Scalars [E, W], read-only."""
        name = context.given.get("edge_weight")
        if edges.as_delta:
            return Weights(
                (self, name), lambda layout: self._incidence(layout, name), _rsqrt, _rsqrt
            )
        return edges.shared((self, name), lambda outermost: self._weights(context, outermost, name))

    def _weights(self, context: LayerContext, edges: Edges, name: str | None) -> Tensor:
        tile = edges.tile
        frame = tile.frame
        scale = tile.degrees((self, name), lambda layout: self._incidence(layout, name)).rsqrt_()
        if name or not self.add_loops:  # a degree may be zero
            scale.masked_fill_(scale == torch.inf, 0.0)
        own = scale if frame.nested else scale.index_select(0, tile.inner(frame.depth, edges.hop))
        senders = edges.hop + 1
        if senders != frame.depth:  # only where each layer has edges of its own
            scale = scale.index_select(0, tile.inner(frame.depth, senders))
        weights = edges.tails(scale).mul_(edges.heads(own)).mul_(edges.present)
        if name:
            added = self._loop_weights if self.add_loops else None
            weights *= context.listed("edge_weight", edges, as_column, added)
        return weights

    def _incidence(self, layout: FieldLayout, name: str | None) -> Incidence:
        weight = None if name is None else layout.values[name].view(-1).cpu().numpy()
        if self.loops == "keep":
            return layout.degrees(weight, None)
        if self.loops == "drop":
            return layout.degrees(weight, np.zeros(layout.field.num_nodes))
        if weight is None:
            return layout.degrees(None, np.ones(layout.field.num_nodes))
        return layout.degrees(weight, layout.loop_weights(weight, self.fill))

    def _loop_weights(self, layout: FieldLayout, values: Tensor) -> Tensor:
        """[n, 1]"""
        return layout.to_device(
            layout.loop_weights(values.view(-1).cpu().numpy(), self.fill)
        ).unsqueeze(-1)


def _rsqrt(degrees: np.ndarray) -> np.ndarray:
    """One over the square root, 0 where there is no edge."""
    return np.where(degrees > 0, 1 / np.sqrt(np.maximum(degrees, 0.5)), 0.0)


@cache
def norm(add_loops: bool, fill: float = 1.0) -> Norm:
    """`add_loops`: every row gets one loop, and loops of the graph keep their weight. `fill`: the weight
    of an added loop where edges have weights (PyG ignores `improved` where they have none)."""
    return Norm("replace" if add_loops else "keep", fill)


@cache
def norm_without_loops() -> Norm:
    """The loops of the graph are left out."""
    return Norm("drop", 0.0)
