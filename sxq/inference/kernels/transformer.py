"""TransformerConv (Shi et al. 2021): attention by scaled products of queries and keys.

With edge attributes, keys and values are vectors per message, so messages are stored.
"""

import math

import torch
from torch import Tensor

from sxq.inference.kernels.base import SCALARS, Kernel, LayerContext, as_column
from sxq.inference.tiles.tile import Edges, Rows
from sxq.inference.tracing.rowwise import Untraceable


class TransformerKernel(Kernel):
    """Attention softmax(q_i . (k_j + e_ji) / sqrt(C)) over values v_j + e_ji, plus the skip."""

    takes = ("edge_attr",)

    def __init__(self, layer, given):
        super().__init__(layer, given)
        self.require_sum()
        if given and layer.lin_edge is None:
            raise Untraceable("TransformerConv is given edge_attr without edge_dim")

    def scalars_per_message(self, channels: int) -> int:
        return self.layer.heads * (SCALARS + 3 * self.layer.out_channels)

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        layer = self.layer
        edges = context.edges()
        keys = edges.gather(x.apply(layer.lin_key, layer.lin_key))
        if context.given:
            keys = keys + context.listed("edge_attr", edges, self._embed)
        keys *= edges.gather_heads(x.within(context.hop).apply(layer.lin_query, layer.lin_query))
        products = keys.unflatten(-1, (layer.heads, -1)).sum(dim=-1)
        logits = products.transpose(0, 1) / math.sqrt(layer.out_channels)
        out = self._values(x, edges, edges.softmax(logits), context)
        out = out.flatten(1) if layer.concat else out.mean(dim=1)
        return self._with_root(out, x.within(context.hop)) if layer.root_weight else out

    def _values(self, x: Rows, edges: Edges, attention: Tensor, context: LayerContext) -> Tensor:
        """[T, H, C]"""
        out = edges.sum(x.apply(self.layer.lin_value, self.layer.lin_value), attention)
        if context.given:
            values = context.listed("edge_attr", edges, self._embed)
            split = values.unflatten(-1, (self.layer.heads, -1)).unbind(1)
            out += torch.stack(
                [
                    edges.sum_constant(values.contiguous(), weights)
                    for values, weights in zip(split, attention.unbind(2))
                ],
                dim=1,
            )
        return out

    def _with_root(self, out: Tensor, own: Rows) -> Tensor:
        root = own.apply(self.layer.lin_skip, self.layer.lin_skip).table
        if self.layer.lin_beta is None:
            return out + root
        beta = self.layer.lin_beta(torch.cat([out, root, out - root], dim=-1)).sigmoid()
        return beta * root + (1 - beta) * out

    def _embed(self, values: Tensor) -> Tensor:
        return self.layer.lin_edge(as_column(values))
