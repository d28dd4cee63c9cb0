"""GINConv (Xu et al. 2019) and GINEConv (Hu et al. 2020): a network on the sum of neighbours and node.

GIN's sum commutes with the first linear map of its network. Where the rows are the same for every
candidate the map is applied first: with 1,433 features and 16 hidden channels the sum would take
most of the time.
"""

from torch import Tensor
from torch.nn.functional import linear

from sxq.inference.kernels.base import SCALARS, Kernel, LayerContext, linear_sum
from sxq.inference.tiles.tile import Rows
from sxq.inference.tracing.fx_graph import require_rowwise, split_first_linear
from sxq.inference.tracing.rowwise import Untraceable


class GINKernel(Kernel):
    """out = network(sum of x_j + (1 + eps) x_i)."""

    of_rows = True
    between_types = True

    def __init__(self, layer, given):
        super().__init__(layer, given)
        self.require_sum()
        self.first, self.rest = split_first_linear(layer.nn)
        self.sums = self.first is not None

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        edges = context.edges()
        own = context.own(x)
        scale = 1 + self.layer.eps
        if self.first is None or not x.maps_first:
            return self.layer.nn(edges.sum(x, edges.present) + scale * own.table)
        weight = self.first.weight
        mapped = own.apply(lambda rows: scale * linear(rows, weight), self).table
        return self.rest(linear_sum(edges, x, edges.present, weight, self.first.bias) + mapped)


class GINEKernel(Kernel):
    """out = network(sum of relu(x_j + e_ji) + (1 + eps) x_i): messages are stored."""

    takes = ("edge_attr",)

    def __init__(self, layer, given):
        super().__init__(layer, given)
        self.require_sum()
        if not given:
            raise Untraceable("GINEConv without edge_attr")
        require_rowwise(layer.nn)

    def scalars_per_message(self, channels: int) -> int:
        return SCALARS + 3 * channels

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        edges = context.edges()
        messages = edges.gather(x).add_(context.listed("edge_attr", edges, self._embed)).relu_()
        own = x.within(context.hop).table
        return self.layer.nn(
            edges.sum_messages(messages, edges.present) + (1 + self.layer.eps) * own
        )

    def _embed(self, attributes: Tensor) -> Tensor:
        return attributes if self.layer.lin is None else self.layer.lin(attributes)
