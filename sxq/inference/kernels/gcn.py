"""GCNConv (Kipf and Welling 2017): a normalised sum of mapped rows."""

from torch import Tensor

from sxq.inference.kernels.base import Kernel, LayerContext, edge_weights, linear_sum
from sxq.inference.kernels.norm import norm
from sxq.inference.tiles.tile import Rows


class GCNKernel(Kernel):
    """out = sum of w lin(x_j), with or without symmetric normalisation."""

    of_rows = True
    by_degree = True
    takes = ("edge_weight",)

    def __init__(self, layer, given):
        super().__init__(layer, given)
        self.require_sum()
        self.sums = not given
        self.norm = (
            norm(layer.add_self_loops, 2.0 if layer.improved else 1.0) if layer.normalize else None
        )

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        if self.norm:
            edges = self.norm.edges(context)
            weights = self.norm.weights(context, edges)
        else:
            edges = context.edges()
            weights = edge_weights(context, edges)
        return linear_sum(edges, x, weights, self.layer.lin.weight, self.layer.bias)
