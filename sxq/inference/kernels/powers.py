"""Layers that apply one normalised adjacency matrix A several times: SGConv (Wu et al. 2019), TAGConv
(Du et al. 2017) and APPNP (Gasteiger et al. 2019).

    SGConv  A^K x W          mapped first, and A applied K times to the narrow result
    TAGConv sum of A^k x W_k by Horner's rule: x W_0 + A (x W_1 + A (x W_2 + ...)), all maps first
    APPNP   z = (1 - alpha) A z + alpha x, K times

Each application needs the rows of one hop less, so the last one computes the target alone.
"""

from torch import Tensor
from torch.nn.functional import linear

from sxq.inference.kernels.base import Kernel, LayerContext, edge_weights
from sxq.inference.kernels.norm import norm
from sxq.inference.tiles.tile import Rows


class _PowersKernel(Kernel):
    takes = ("edge_weight",)

    def __init__(self, layer, given):
        super().__init__(layer, given)
        self.require_sum()
        self.hops = layer.K
        normalised = getattr(layer, "normalize", True)
        self.norm = norm(getattr(layer, "add_self_loops", False)) if normalised else None

    def step(self, z: Rows, context: LayerContext) -> Rows:
        """A z, on the rows of one hop less."""
        further = z.hop - context.hop - 1
        edges = self.norm.edges(context, further) if self.norm else context.edges(further=further)
        weights = self.norm.weights(context, edges) if self.norm else edge_weights(context, edges)
        return Rows(context.tile, z.hop - 1, edges.sum(z, weights))


class SGKernel(_PowersKernel):
    """out = A^K (x W) + bias."""

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        weight = self.layer.lin.weight
        bias = self.layer.lin.bias
        z = x.apply(lambda rows: linear(rows, weight), self)
        for _ in range(self.hops):
            z = self.step(z, context)
        return z.table if bias is None else z.table + bias


class TAGKernel(_PowersKernel):
    """out = sum over k of A^k (x W_k) + bias."""

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        *nearer, farthest = self.layer.lins
        z = x.apply(farthest, farthest)
        for lin in reversed(nearer):
            z = self.step(z, context)
            z = Rows(context.tile, z.hop, z.table + x.within(z.hop).apply(lin, lin).table)
        return z.table if self.layer.bias is None else z.table + self.layer.bias


class APPNPKernel(_PowersKernel):
    """z = (1 - alpha) A z + alpha x, K times."""

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        z = x
        alpha = self.layer.alpha
        for _ in range(self.hops):
            z = self.step(z, context)
            z = Rows(context.tile, z.hop, (1 - alpha) * z.table + alpha * x.within(z.hop).table)
        return z.table
