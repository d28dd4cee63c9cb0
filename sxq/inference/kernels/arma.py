"""ARMAConv (Bianchi et al. 2021): several stacks of z = act(A z W + x V + bias), whose mean is taken.

The stacks lie side by side in the columns of one table, so that A is applied once for all of them.
"""

import torch
from torch import Tensor, nn

from sxq.inference.kernels.base import Kernel, LayerContext
from sxq.inference.kernels.norm import norm
from sxq.inference.tiles.tile import Rows
from sxq.inference.tracing.rowwise import Untraceable, check_module


class ARMAKernel(Kernel):
    """The mean over stacks of z, after num_layers steps."""

    takes = ("edge_weight",)

    def __init__(self, layer, given):
        super().__init__(layer, given)
        self.require_sum()
        if isinstance(layer.act, nn.Module):
            check_module(layer.act)
        elif layer.act is not None:
            raise Untraceable("ARMAConv with act= that is no module of torch.nn")
        self.hops = layer.num_layers
        self.width = layer.num_stacks * layer.out_channels
        self.norm = norm(False)

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        layer = self.layer
        z = x
        for number in range(self.hops):
            edges = self.norm.edges(context, z.hop - context.hop - 1)
            weights = self.norm.weights(context, edges)
            mapped = z.apply(self._first, (self, 0)) if number == 0 else self._mapped(z, number)
            table = edges.sum(mapped, weights)
            own = x.within(z.hop - 1)
            shared = 0 if layer.shared_weights else number
            table = (
                table + own.apply(_side_by_side(layer.root_weight[shared]), (self, shared, 1)).table
            )
            if layer.bias is not None:
                table = table + layer.bias[shared].reshape(1, -1)
            z = Rows(context.tile, z.hop - 1, table if layer.act is None else layer.act(table))
        return z.table.unflatten(1, (layer.num_stacks, -1)).mean(dim=1)

    def _first(self, rows: Tensor) -> Tensor:
        return _side_by_side(self.layer.init_weight)(rows)

    def _mapped(self, z: Rows, number: int) -> Rows:
        """Each stack mapped by its own matrix."""
        weight = self.layer.weight[0 if self.layer.shared_weights else number - 1]
        stacks = z.table.unflatten(1, (len(weight), -1))
        return Rows(z.tile, z.hop, torch.einsum("nki,kio->nko", stacks, weight).flatten(1))


def _side_by_side(weight: Tensor):
    """The map of rows by weights [K, in, out] to the columns of all K stacks."""
    matrix = weight.transpose(0, 1).flatten(1)
    return lambda rows: rows @ matrix
