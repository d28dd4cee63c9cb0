"""Symmetric normalisation, shared by the kernels that start with PyG's `gcn_norm`.

    weight of edge u -> v = w(u, v) / sqrt(d(u) d(v)),   d(v) = sum of w over the in-edges of v and its loop

Degrees depend on the candidate, so they are summed for each anew; halo edges enter as one constant.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from sxq.inference.kernels.base import LayerContext, as_column
from sxq.inference.tiles.field import FieldPlan, Incidence
from sxq.inference.tiles.tile import Edges, Weights


class Norm:
    """How a layer normalises; layers that agree share one of these, and with it their weights."""

    def __init__(self, add_loops: bool, fill: float):
        self.add_loops, self.fill = add_loops, fill
        self.loops = "replace" if add_loops else "keep"

    def edges(self, site: LayerContext, further: int = 0) -> Edges:
        """The messages into the rows within `site.hop + further` steps."""
        return site.edges(self.loops, further)

    def weights(self, site: LayerContext, edges: Edges) -> Tensor | Weights:
        """Scalars [E, W], not to be written to."""
        name = site.given.get("edge_weight")
        if edges.near:
            return Weights((self, name), lambda plan: self._incidence(plan, name), _rsqrt, _rsqrt)
        return edges.shared((self, name), lambda outermost: self._weights(site, outermost, name))

    def _weights(self, site: LayerContext, edges: Edges, name: str | None) -> Tensor:
        frame, tile = edges.tile.frame, edges.tile
        scale = tile.degrees((self, name), lambda plan: self._incidence(plan, name)).rsqrt_()
        if name or not self.add_loops:  # a degree may be zero
            scale.masked_fill_(scale == torch.inf, 0.0)
        own = scale if frame.nested else scale.index_select(0, tile.inner(frame.depth, edges.hop))
        weights = edges.tails(scale).mul_(edges.heads(own)).mul_(edges.present)
        if name:
            added = self._loop_weights if self.add_loops else None
            weights *= site.listed("edge_weight", edges, as_column, added)
        return weights

    def _incidence(self, plan: FieldPlan, name: str | None) -> Incidence:
        if name is None:
            return plan.degrees(None, np.ones(plan.field.num_nodes) if self.add_loops else None)
        weight = plan.values[name].view(-1).cpu().numpy()
        return plan.degrees(
            weight, plan.loop_weights(weight, self.fill) if self.add_loops else None
        )

    def _loop_weights(self, plan: FieldPlan, values: Tensor) -> Tensor:
        """[n, 1]"""
        return plan.to_device(
            plan.loop_weights(values.view(-1).cpu().numpy(), self.fill)
        ).unsqueeze(-1)


def _rsqrt(degrees: np.ndarray) -> np.ndarray:
    """One over the root, 0 where there is no edge."""
    return np.where(degrees > 0, 1 / np.sqrt(np.maximum(degrees, 0.5)), 0.0)


@cache
def norm(add_loops: bool, fill: float = 1.0) -> Norm:
    """`add_loops`: every row gets one loop, those of the graph keep their weight; `fill`: the weight of an
    added one where edges are weighted (PyG ignores `improved` where they are not)."""
    return Norm(add_loops, fill)
