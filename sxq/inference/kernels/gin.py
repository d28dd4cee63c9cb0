"""GINConv (Xu et al. 2019) and GINEConv (Hu et al. 2020): a network on the sum of neighbours and node.

GIN's sum commutes with the first linear map of its network, which is therefore taken first where the rows are
the same for every candidate: with 1,433 features and 16 hidden channels that is where the time would go.
"""

from torch import Tensor
from torch.nn.functional import linear

from sxq.inference.kernels.base import SCALARS, Kernel, LayerContext, linear_sum
from sxq.inference.tiles.tile import Rows
from sxq.inference.tracing.record import require_rowwise, split_first_linear
from sxq.inference.tracing.rowwise import Untraceable


class GIN(Kernel):
    def __init__(self, layer, given):
        super().__init__(layer, given)
        self.require_sum()
        self.first, self.rest = split_first_linear(layer.nn)
        self.sums = self.first is not None

    def run(self, x: Rows, site: LayerContext) -> Tensor:
        edges, own, scale = site.edges(), x.within(site.hop), 1 + self.layer.eps
        if self.first is None or x.varies:
            return self.layer.nn(edges.sum(x, edges.present) + scale * own.table)
        weight = self.first.weight
        mapped = own.apply(lambda rows: scale * linear(rows, weight), self).table
        return self.rest(linear_sum(edges, x, edges.present, weight, self.first.bias) + mapped)


class GINE(Kernel):
    takes = ("edge_attr",)

    def __init__(self, layer, given):
        super().__init__(layer, given)
        self.require_sum()
        if not given:
            raise Untraceable("GINEConv without edge_attr")
        require_rowwise(layer.nn)

    def held(self, channels: int) -> int:
        return SCALARS + 3 * channels

    def run(self, x: Rows, site: LayerContext) -> Tensor:
        edges = site.edges()
        messages = edges.gather(x).add_(site.listed("edge_attr", edges, self._embed)).relu_()
        own = x.within(site.hop).table
        return self.layer.nn(
            edges.sum_messages(messages, edges.present) + (1 + self.layer.eps) * own
        )

    def _embed(self, attributes: Tensor) -> Tensor:
        return attributes if self.layer.lin is None else self.layer.lin(attributes)
