"""The layers of a traced model under an edge mask, differentiated with respect to the mask.

Every column of a tile is a copy of the field with other weights. The mask acts as PyG's `set_masks`
does: it multiplies messages after normalisation or softmax, whose degrees and sums stay those of
the whole field. So the scalars of edges are the same for all columns and one column wide, and only
the sums differ. The constants of the field, the rows that are needed and the operations are those
of the layered backend.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sxq.inference.tiles.layout import EXTRA_ROWS, FieldLayout, Loops
from sxq.inference.tiles.tile import Edges, Rows, Tile
from sxq.inference.tracing.rowwise import Untraceable


class MaskedTile(Tile):
    """Copies of one field, whose layout was loaded outside of inference mode."""

    def __init__(self, layout: FieldLayout, mask: Tensor):
        self.frame = layout
        self.columns = mask.shape[1]
        self.mask = mask  # [U + EXTRA_ROWS, W]: units, loops, halo
        # Degrees are those of the whole field: everything is present.
        self.masks = torch.ones(layout.units + EXTRA_ROWS, 1, device=layout.device)
        self._memory = {}

    def edges(self, hop: int, loops: Loops) -> "MaskedEdges":
        return self.memo((hop, loops), lambda: MaskedEdges(self, hop, loops))


class SharedFeatures(MaskedTile):
    """Copies of one field with other shares of its features; all messages are there."""

    def __init__(self, layout: FieldLayout, shares: Tensor, context: bool):
        super().__init__(layout, torch.ones(EXTRA_ROWS, len(shares), device=layout.device))
        self._shares = shares
        self.in_context = context

    @property
    def shares(self) -> Tensor:
        return self._shares

    def sides(self, base: Tensor, whole: Tensor, change: Tensor) -> Tensor:
        """One side only: the rows of every copy."""
        return (base + change).flatten(0, 1)


class MaskedEdges(Edges):
    """Messages that are multiplied by the mask where they are summed.

    Scalars are [E, 1] or [E, 1, H] as long as they do not depend on rows that vary.
    """

    tile: MaskedTile

    @property
    def factors(self) -> Tensor:
        """The mask [E, W] of every edge."""
        return self.shared("mask", lambda edges: self.tile.mask.index_select(0, edges.list.mask))

    def _masked(self, weights: Tensor) -> Tensor:
        return weights * (self.factors if weights.ndim == 2 else self.factors.unsqueeze(-1))

    def weight(self, weights: Tensor) -> Tensor:
        return self.total(self._masked(weights))

    def sum(self, rows: Rows, weights: Tensor) -> Tensor:
        return super().sum(rows, self._masked(weights))

    def sum_messages(self, messages: Tensor, weights: Tensor) -> Tensor:
        return super().sum_messages(messages, self._masked(weights))

    def softmax(self, logits: Tensor) -> Tensor:
        """The same attention, in steps that can be differentiated."""
        weights = (logits - self.heads(self.largest(logits.detach()))).exp()
        return weights / (self.heads(self.total(weights)) + 1e-16)

    def maximum(self, rows: Rows) -> Tensor:
        raise Untraceable("a maximum of masked messages is no sum")

    def sum_constant(self, values: Tensor, weights: Tensor) -> Tensor:
        raise Untraceable("a sum of the edges' own values takes no mask")


def mask_gradient(
    run: Callable[[Tile], Tensor],
    odds: Callable[[Tensor], Tensor],
    layout: FieldLayout,
    weights: Tensor,
) -> Tensor:
    """Derivatives [U + EXTRA_ROWS, W] of odds(output [W, C]) [W] with respect to message weights.

    `weights` has the shape of the result. Raises Untraceable or RuntimeError for layers that cannot
    be differentiated this way.
    """
    mask = weights.requires_grad_()
    with torch.enable_grad(), MaskedTile(layout, mask) as tile:
        (gradient,) = torch.autograd.grad(odds(run(tile)).sum(), mask, allow_unused=True)
    return torch.zeros_like(weights) if gradient is None else gradient


def share_gradient(
    run: Callable[[Tile], Tensor],
    odds: Callable[[Tensor], Tensor],
    layout: FieldLayout,
    shares: Tensor,
    context: bool,
) -> Tensor:
    """Derivatives [n, U] of odds(output [n, C]) [n] with respect to the shares [n, U] of features.

    Features that are context are there if `context`.
    """
    own = shares.requires_grad_()
    with torch.enable_grad(), SharedFeatures(layout, own, context) as tile:
        (gradient,) = torch.autograd.grad(odds(run(tile)).sum(), own, allow_unused=True)
    return torch.zeros_like(shares) if gradient is None else gradient
