"""The layers of a traced model under a soft mask, for gradients: every column a copy of the field with other weights.

What PyG's `set_masks` does: a mask multiplies messages, after normalisation or softmax, whose degrees and sums stay
those of the whole field. So what kernels work out about edges is the same for all columns, one column wide, and only
the sums differ; the constants of the field, the rows that are needed and the operations are those of the layered
backend.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sxq.inference.tiles.field import EXTRA, FieldPlan, Loops
from sxq.inference.tiles.tile import Edges, Rows, Tile
from sxq.inference.tracing.rowwise import Untraceable


class SoftTile(Tile):
    """Copies of one field, whose plan was loaded outside of inference mode."""

    def __init__(self, plan: FieldPlan, mask: Tensor):
        self.frame, self.columns, self.mask = (
            plan,
            mask.shape[1],
            mask,
        )  # [U + EXTRA, W]: units, loops, halo
        self.masks = torch.ones(
            plan.units + EXTRA, 1, device=plan.device
        )  # all there is, for degrees
        self._memory = {}

    def edges(self, hop: int, loops: Loops) -> "Soft":
        return self.memo((hop, loops), lambda: Soft(self, hop, loops))


class Soft(Edges):
    """Messages that are multiplied by the mask where they are summed. Scalars are [E, 1] or [E, 1, H] as long as
    they do not depend on rows that vary."""

    @property
    def factors(self) -> Tensor:
        """[E, W] the mask of every edge."""
        return self.shared("mask", lambda edges: edges.tile.mask.index_select(0, edges.list.mask))

    def _masked(self, weights: Tensor) -> Tensor:
        return weights * (self.factors if weights.ndim == 2 else self.factors.unsqueeze(-1))

    def weight(self, weights: Tensor) -> Tensor:
        return self.total(self._masked(weights))

    def sum(self, rows: Rows, weights: Tensor) -> Tensor:
        return super().sum(rows, self._masked(weights))

    def sum_messages(self, messages: Tensor, weights: Tensor) -> Tensor:
        return super().sum_messages(messages, self._masked(weights))

    def softmax(self, logits: Tensor) -> Tensor:
        """As ever, in steps that can be differentiated."""
        weights = (logits - self.heads(self.largest(logits.detach()))).exp()
        return weights / (self.heads(self.total(weights)) + 1e-16)

    def maximum(self, rows: Rows) -> Tensor:
        raise Untraceable("a maximum of masked messages is no sum")

    sum_constant = maximum


def slopes(
    run: Callable[[Tile], Tensor],
    odds: Callable[[Tensor], Tensor],
    plan: FieldPlan,
    weights: Tensor,
) -> Tensor:
    """Derivatives [U + EXTRA, W] of odds(output [W, C]) [W] with respect to the weights [U + EXTRA, W] of messages.

    Raises Untraceable or RuntimeError for layers that cannot be differentiated this way.
    """
    mask = weights.requires_grad_()
    with torch.enable_grad(), SoftTile(plan, mask) as tile:
        (slope,) = torch.autograd.grad(odds(run(tile)).sum(), mask, allow_unused=True)
    return torch.zeros_like(weights) if slope is None else slope
