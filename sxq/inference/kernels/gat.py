"""GATConv (Velickovic et al. 2018) and GATv2Conv (Brody et al. 2022): attention over the neighbours.

Both drop the graph's loops and give every row one loop, whose edge attributes are `fill_value`: a
constant, or the mean (or sum) of the row's other in-edges, which depends on the candidate. A row
without any edge gets zeros.
"""

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from sxq.inference.kernels.base import SCALARS, Kernel, LayerContext, as_column
from sxq.inference.tiles.layout import FieldLayout, OneLoop
from sxq.inference.tiles.tile import Edges, Rows
from sxq.inference.tracing.rowwise import Untraceable


class _AttentionKernel(Kernel):
    """The common part of the two."""

    between_types = True
    takes = ("edge_attr",)

    def __init__(self, layer, given):
        super().__init__(layer, given)
        self.require_sum()
        self.loops: OneLoop = "replace" if layer.add_self_loops else "keep"
        self.attributes = bool(given) and layer.lin_edge is not None
        # Whether the attributes of loops are a mean or sum of those of the other edges.
        self.gathers = layer.add_self_loops and isinstance(layer.fill_value, str)
        if self.gathers and layer.fill_value not in ("mean", "add", "sum"):
            raise Untraceable(f"{self.name} with fill_value={layer.fill_value!r}")

    def change(self, values: Tensor) -> Tensor:
        """Edge attributes in the form in which they enter the logits."""
        raise NotImplementedError

    def edge_values(self, edges: Edges, context: LayerContext) -> Tensor:
        """Mapped edge attributes [E, ...], zeros for loops whose attributes are gathered."""
        constant = self._constant if self.layer.add_self_loops and not self.gathers else None
        return context.listed("edge_attr", edges, self.change, constant)

    def _constant(self, layout: FieldLayout, values: Tensor) -> Tensor:
        """[n, ...]: the attributes of every added loop."""
        fill = 1.0 if self.layer.fill_value is None else self.layer.fill_value
        fill = torch.as_tensor(fill, dtype=values.dtype, device=values.device)
        row = self.change(fill.expand(1, as_column(values).shape[1]))
        return row.expand(layout.field.num_nodes, *row.shape[1:])

    def degrees(self, edges: Edges) -> Tensor:
        """[R, W]: the divisor of gathered attributes; the added loop does not count in the mean."""
        degrees = edges.total(edges.present)
        return (
            degrees.sub_(1).clamp_(min=1) if self.layer.fill_value == "mean" else degrees.fill_(1)
        )

    def embed(self, values: Tensor) -> Tensor:
        return self.layer.lin_edge(as_column(values))

    def finish(self, out: Tensor, x: Rows, context: LayerContext) -> Tensor:
        """Heads [T, H, C] to channels; adds residual and bias."""
        layer = self.layer
        out = out.flatten(1) if layer.concat else out.mean(dim=1)
        if layer.res is not None:
            out = out + context.own(x).apply(layer.res, layer.res).table
        return out if layer.bias is None else out + layer.bias


class GATKernel(_AttentionKernel):
    """logit of u -> v = leaky_relu(a . Wu + b . Wv + c . We): each term is a scalar per head."""

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        layer = self.layer
        edges = context.edges(self.loops)
        tails = layer.lin_src if layer.lin is None else layer.lin
        heads = layer.lin_dst if layer.lin is None else layer.lin
        source = x.apply(tails, tails)
        own = context.own(x).apply(heads, heads)
        logits = edges.tails(source.apply(self._as_tail, self._as_tail).scalars)
        logits += edges.heads(own.apply(self._as_head, self._as_head).scalars)
        if self.attributes:
            self._add_attributes(logits, edges, context)
        attention = edges.softmax(leaky_relu(logits, layer.negative_slope))
        return self.finish(edges.sum(source, attention), x, context)

    def change(self, values: Tensor) -> Tensor:
        return self._project(self.embed(values), self.layer.att_edge)

    def scalars_per_message(self, channels: int) -> int:
        return SCALARS * self.layer.heads

    def _as_tail(self, rows: Tensor) -> Tensor:
        return self._project(rows, self.layer.att_src)

    def _as_head(self, rows: Tensor) -> Tensor:
        return self._project(rows, self.layer.att_dst)

    def _project(self, rows: Tensor, attention: Tensor) -> Tensor:
        """[., H * C] -> [., H]"""
        return (rows.view(-1, self.layer.heads, self.layer.out_channels) * attention).sum(dim=-1)

    def _add_attributes(self, logits: Tensor, edges: Edges, context: LayerContext) -> None:
        values = self.edge_values(edges, context)[:, None]
        logits += values
        if self.gathers:
            gathered = edges.total(values * edges.present[:, :, None]) / self.degrees(
                edges
            ).unsqueeze(-1)
            logits.index_add_(0, edges.list.last, gathered.expand(-1, logits.shape[1], -1))


class GATv2Kernel(_AttentionKernel):
    """logit of u -> v = a . leaky_relu(Wu + Vv + Ue): a vector per message, so messages are stored."""

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        layer = self.layer
        edges = context.edges(self.loops)
        source = x.apply(layer.lin_l, layer.lin_l)
        messages = edges.gather(source)
        messages += edges.gather_heads(context.own(x).apply(layer.lin_r, layer.lin_r))
        if self.attributes:
            self._add_attributes(messages, edges, context)
        messages = leaky_relu(messages, layer.negative_slope).unflatten(
            -1, (layer.heads, layer.out_channels)
        )
        logits = (messages * layer.att).sum(dim=-1).transpose(0, 1)
        return self.finish(edges.sum(source, edges.softmax(logits)), x, context)

    def scalars_per_message(self, channels: int) -> int:
        return self.layer.heads * (SCALARS + 3 * self.layer.out_channels)

    def change(self, values: Tensor) -> Tensor:
        return self.embed(values)

    def _add_attributes(self, messages: Tensor, edges: Edges, context: LayerContext) -> None:
        values = self.edge_values(edges, context)
        messages += values
        if self.gathers:
            gathered = edges.sum_constant(values, edges.present).view(
                edges.columns, edges.list.rows, -1
            )
            messages.index_add_(1, edges.list.last, gathered / self.degrees(edges).T.unsqueeze(-1))
