"""Symmetric normalisation, shared by the kernels that start with PyG's `gcn_norm`.

    weight of edge u -> v = w(u, v) / sqrt(d(u) d(v)),   d(v) = sum of w over the in-edges of v, its loop included

Degrees depend on the candidate, so they are summed for every candidate anew; halo edges enter as one constant.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sxq.execution.inference.kernels.base import Site
from sxq.execution.inference.plan import EdgeList, FieldPlan, Incidence
from sxq.execution.inference.tile import Edges


@dataclass(frozen=True)
class Norm:
    """How a layer normalises; two layers that agree share their degrees."""

    add_loops: bool  # every row gets one loop, those of the graph keep their weight
    fill: float = 1.0  # weight of an added loop where edges are weighted (PyG ignores `improved` where they are not)

    def edges(self, site: Site, further: int = 0) -> Edges:
        return site.edges("replace" if self.add_loops else "keep", further)

    def weights(self, site: Site, further: int = 0) -> Tensor:
        """[M] for the messages into the rows within `site.hop + further` steps."""
        edges, tile = self.edges(site, further), site.tile
        values = site.values("edge_weight")
        scale = tile.memo((self, site.given.get("edge_weight")), lambda: self._scale(site, values))
        weights = edges.tails(scale, tile.depth).mul_(edges.heads(scale, tile.depth)).mul_(edges.present)
        if values is not None:
            key = ("weights", self, site.given["edge_weight"], edges.hop)
            weights.mul_(edges.constant([plan.memo(key, lambda p=plan, v=v, e=e: self._weights(p, v, e))
                                         for plan, v, e in zip(tile.plans, values, edges.lists)]))
        return weights

    def _scale(self, site: Site, values: list[Tensor] | None) -> Tensor:
        """Scalars d^-1/2 of every row, 0 where a row has no edge."""
        tile = site.tile
        key = ("incidence", self, site.given.get("edge_weight"))
        degrees = tile.degrees([plan.memo(key, lambda p=plan, i=i: self._incidence(p, tile.depth, values and values[i]))
                                for i, plan in enumerate(tile.plans)])
        scale = degrees.rsqrt_()
        if self.add_loops and values is None:  # then no degree is zero
            return scale
        return scale.masked_fill_(scale == torch.inf, 0.0)

    def _incidence(self, plan: FieldPlan, depth: int, values: Tensor | None) -> Incidence:
        if values is None:
            return plan.incidence(depth, None, np.ones(plan.field.num_nodes) if self.add_loops else None)
        weight = values.view(-1).cpu().numpy()
        return plan.incidence(depth, weight, plan.loop_weights(weight, self.fill) if self.add_loops else None)

    def _weights(self, plan: FieldPlan, values: Tensor, edges: EdgeList) -> Tensor:
        """[E] edge weights in the order of an edge list."""
        weights = torch.cat([values.view(-1), values.new_zeros(1)])[edges.edge]
        if not self.add_loops:
            return weights
        loops = plan.to_device(plan.loop_weights(values.view(-1).cpu().numpy(), self.fill))
        return torch.where(edges.edge < 0, loops[edges.head], weights)
