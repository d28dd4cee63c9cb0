"""SAGEConv (Hamilton et al. 2017): mean, sum or maximum of the neighbours, plus the node itself.

A node without neighbours gets 0 for them, whatever the aggregation.
"""

from torch import Tensor
from torch.nn.functional import normalize
from torch_geometric.nn.aggr import MaxAggregation, MeanAggregation, SumAggregation

from sxq.inference.kernels.base import SCALARS, Kernel, LayerContext, linear_sum, mean_weights
from sxq.inference.tiles.tile import Rows
from sxq.inference.tracing.rowwise import Untraceable


class SAGEKernel(Kernel):
    """out = lin_l(mean, sum or maximum of x_j) + lin_r(x_i)."""

    of_rows = True
    between_types = True

    def __init__(self, layer, given):
        super().__init__(layer, given)
        if type(layer.aggr_module) not in (MeanAggregation, SumAggregation, MaxAggregation):
            raise Untraceable(f"SAGEConv with aggr={layer.aggr!r}")
        self.sums = type(layer.aggr_module) is not MaxAggregation

    def scalars_per_message(self, channels: int) -> int:
        return SCALARS + 3 * channels if type(self.layer.aggr_module) is MaxAggregation else SCALARS

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        layer = self.layer
        edges = context.edges()
        source = x
        if layer.project:
            source = x.apply(lambda rows: layer.lin(rows).relu(), self, affine=False)
        if type(layer.aggr_module) is MaxAggregation:
            out = layer.lin_l(edges.maximum(source))
        else:
            sums = type(layer.aggr_module) is SumAggregation
            weights = edges.present if sums else mean_weights(edges)
            out = linear_sum(edges, source, weights, layer.lin_l.weight, layer.lin_l.bias)
        if layer.root_weight:
            out += context.own(x).apply(layer.lin_r, layer.lin_r).table
        return normalize(out, p=2.0, dim=-1) if layer.normalize else out
