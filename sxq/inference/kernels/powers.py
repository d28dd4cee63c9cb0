"""Layers that apply one normalised adjacency matrix A several times: SGConv (Wu et al. 2019), TAGConv
(Du et al. 2017), APPNP (Gasteiger et al. 2019) and ChebConv (Defferrard et al. 2016).

    SGConv  A^K x W          mapped first, and A applied K times to the narrow result
    TAGConv sum of A^k x W_k by Horner's rule: x W_0 + A (x W_1 + A (x W_2 + ...)), all maps first
    APPNP   z = (1 - alpha) A z + alpha x, K times
    ChebConv sum of T_k(-A) x W_k, T_k the Chebyshev polynomials, by Clenshaw's rule, all maps first

Each application needs the rows of one hop less, so the last one computes the target alone.
"""

from torch import Tensor
from torch.nn.functional import linear

from sxq.inference.kernels.base import Kernel, LayerContext, edge_weights
from sxq.inference.kernels.norm import norm, norm_without_loops
from sxq.inference.tiles.tile import Rows
from sxq.inference.tracing.rowwise import Untraceable


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


class ChebKernel(_PowersKernel):
    """out = sum over k of T_k(L) (x W_k) + bias, with L = -A: the loops of the graph do not count."""

    def __init__(self, layer, given):
        Kernel.__init__(self, layer, given)
        self.require_sum()
        self.hops = len(layer.lins) - 1
        if layer.normalization != "sym":
            raise Untraceable(f"ChebConv with normalization={layer.normalization!r}")
        if not self.hops:
            raise Untraceable("ChebConv with K=1 passes no messages")
        self.norm = norm_without_loops()

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        maps = self.layer.lins
        nearer = x.apply(maps[-1], maps[-1])  # b of the degree before
        farther: Rows | None = None
        for lin in reversed(list(maps)[:-1]):
            z = self.step(nearer, context)
            own = x.within(z.hop).apply(lin, lin).table
            times = 1 if lin is maps[0] else 2
            table = own - times * z.table
            if farther is not None:
                table = table - farther.within(z.hop).table
            nearer, farther = Rows(context.tile, z.hop, table), nearer
        return nearer.table if self.layer.bias is None else nearer.table + self.layer.bias
