"""GraphConv (Morris et al. 2019) and LEConv (Ranjan et al. 2020): weighted sums of mapped neighbours,
plus the mapped node itself.
"""

from typing import Any

from torch import Tensor
from torch_geometric.nn.aggr import MaxAggregation, MeanAggregation, SumAggregation

from sxq.inference.kernels.base import (
    SCALARS,
    Kernel,
    LayerContext,
    edge_weights,
    linear_sum,
    mean_weights,
)
from sxq.inference.tiles.tile import Rows, by_column
from sxq.inference.tracing.rowwise import Untraceable


class GraphConvKernel(Kernel):
    """out = lin_rel(sum, mean or maximum of w x_j) + lin_root(x_i)."""

    of_rows = True
    between_types = True
    takes = ("edge_weight",)

    def __init__(self, layer, given):
        super().__init__(layer, given)
        known = (SumAggregation, MeanAggregation, *(() if given else (MaxAggregation,)))
        if type(layer.aggr_module) not in known:
            raise Untraceable(
                f"GraphConv with aggr={layer.aggr!r}{' of weighted messages' if given else ''}"
            )
        self.sums = not given and type(layer.aggr_module) is not MaxAggregation

    def scalars_per_message(self, channels: int) -> int:
        return SCALARS + 3 * channels if type(self.layer.aggr_module) is MaxAggregation else SCALARS

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        layer = self.layer
        edges = context.edges()
        if type(layer.aggr_module) is MaxAggregation:
            out = layer.lin_rel(edges.maximum(x))
        else:
            weights = edge_weights(context, edges)
            if type(layer.aggr_module) is MeanAggregation:  # over the number of edges, not weights
                mean: Any = mean_weights(edges)  # `Weights` only where no weights are given
                weights = weights * mean if context.given else mean
            out = linear_sum(edges, x, weights, layer.lin_rel.weight, layer.lin_rel.bias)
        return out.add_(context.own(x).apply(layer.lin_root, layer.lin_root).table)


class LEKernel(Kernel):
    """out = lin3(x_i) + sum of w lin1(x_j) - lin2(x_i) times the sum of w."""

    of_rows = True
    takes = ("edge_weight",)

    def __init__(self, layer, given):
        super().__init__(layer, given)
        self.require_sum()

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        layer = self.layer
        edges = context.edges()
        own = x.within(context.hop)
        weights = edge_weights(context, edges)
        total = by_column(edges.weight(weights)).unsqueeze(1)
        out = edges.sum(x.apply(layer.lin1, layer.lin1), weights)
        out += own.apply(layer.lin3, layer.lin3).table
        return out.addcmul_(own.apply(layer.lin2, layer.lin2).table, total, value=-1)
