"""GCNConv (Kipf and Welling 2017): a normalised sum of mapped rows."""

from torch import Tensor

from sxq.inference.kernels.base import Kernel, LayerContext, linear_sum, weighted
from sxq.inference.kernels.norm import norm
from sxq.inference.tiles.tile import Rows


class GCN(Kernel):
    takes = ("edge_weight",)

    def __init__(self, layer, given):
        super().__init__(layer, given)
        self.require_sum()
        self.sums = not given
        self.norm = (
            norm(layer.add_self_loops, 2.0 if layer.improved else 1.0) if layer.normalize else None
        )

    def run(self, x: Rows, site: LayerContext) -> Tensor:
        if self.norm:
            edges = self.norm.edges(site)
            weights = self.norm.weights(site, edges)
        else:
            edges = site.edges()
            weights = weighted(site, edges)
        return linear_sum(edges, x, weights, self.layer.lin.weight, self.layer.bias)
