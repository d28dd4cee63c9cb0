"""First layers by differences: a candidate that changes little of a graph changes little of its sums.

The outermost layer has by far the most messages: on a hub of FacebookPage 89,000 of 97,000. The
rows that it reads are the same for every candidate, so its sums are those of a base (see `bases`)
plus the changes of the candidate. Let u -> v be an edge of the base, s the scale of a tail (1, or
its normalisation by degree), s' and present' those of the candidate, and Y the rows that are read:

    sum(v) = sum(v) of the base
           + sum of (s'(u) - s(u)) Y(u)                     over edges of the base where s(u) changed
           + sum of (present' - present)(u, v) s'(u) Y(u)   over edges of the units that changed

The inner layers run as usual, on a layout that ends one hop earlier. Sums are kept in double
precision: if a hub loses all but one of its edges, its sum is as exact as if it had been summed
directly, and a base may follow its generator through a thousand batches.
"""

from collections.abc import Callable, Hashable

import numpy as np
import torch
from torch import Tensor

from sxq.inference.delta.bases import LayerSums, sparse
from sxq.inference.delta.changes import Terms
from sxq.inference.delta.match import DeltaMatch
from sxq.inference.tiles.layout import FieldLayout, Incidence, Loops
from sxq.inference.tiles.tile import Rows, Tile, Weights
from sxq.models.thread_count import one_thread


class DeltaTile(Tile):
    """Candidates near bases. Its frame is the layout without the outermost hop."""

    def __init__(self, match: DeltaMatch):
        self.match = match
        self.changes = match.changes
        inner = self.changes.layout.inner
        bits = self.changes.bits
        super().__init__(inner, [np.ascontiguousarray(bits[:, : inner.units])], len(bits))

    def edges(self, hop: int, loops: Loops):
        if hop < self.frame.depth:
            return super().edges(hop, loops)
        return self.memo((hop, loops), lambda: DeltaEdges(self, loops))

    def degrees(self, key: Hashable, make: Callable[[FieldLayout], Incidence]) -> Tensor:
        changes = self.changes
        rows = self.frame.rows(self.frame.depth)
        degrees = changes.bases.counted(Weights(key, make))[changes.places, :rows]
        degrees += changes.moved.reshape(self.columns, -1)[:, :rows]
        return torch.from_numpy(degrees.T.astype(np.float32, order="C"))


class DeltaEdges:
    """The messages of a first layer, for kernels that sum rows by `Weights`; replaces `Edges`."""

    as_delta = True
    present = Weights()

    def __init__(self, tile: DeltaTile, loops: Loops):
        self.tile = tile
        self.loops = loops
        self.changes = tile.changes

    def sum(self, rows: Rows, weights: Weights) -> Tensor:
        """Weighted sums of the tails' rows: table [2 W * R, C]."""
        changes = self.changes
        bases = changes.bases
        key = (rows.key, weights.key, self.loops)
        layer = bases.layer(key, doubled(changes.layout, rows), weights, self.loops)
        terms, matrix = self._terms(weights.tail is not None)
        column, row = np.divmod(terms.keys, changes.rows)
        at = torch.from_numpy(changes.places[column] * layer.sums.shape[1] + row)
        sums = layer.sums.flatten(0, 1).index_select(0, at) + matrix @ self._messages(layer)
        scaled = sums
        if weights.head:
            degrees = (
                bases.counted(weights)[changes.places[column], row] + changes.moved[terms.keys]
            )
            scaled = sums * torch.from_numpy(weights.head(degrees))[:, None]
        scaled = scaled.float()
        self.tile.match.found[key] = terms, sums, scaled
        table = layer.table.index_select(0, torch.from_numpy(changes.places)).flatten(0, 1)
        return table.index_copy_(0, torch.from_numpy(column * layer.sums.shape[1] + row), scaled)

    def _terms(self, scaled: bool) -> tuple[Terms, Tensor]:
        """The rows that differ, and the messages of each as a sparse matrix [d, messages]."""

        def make() -> tuple[Terms, Tensor]:
            terms = self.changes.terms(self.loops, scaled)
            return terms, sparse(
                terms.start, terms.source, len(self.changes.senders) + len(self.changes.edge) + 1
            )

        return self.tile.memo(("terms", self.loops, scaled), make)

    def _messages(self, layer: LayerSums) -> Tensor:
        """The messages [t + e + 1, C] that `Terms` adds."""
        changes = self.changes
        weights = layer.weights
        row = changes.senders % changes.rows
        now = np.ones(1)
        before = np.ones(1)
        if weights.tail:
            degrees = changes.bases.counted(weights)[changes.at(changes.senders)]
            now = weights.tail(degrees + changes.moved[changes.senders])
            before = weights.tail(degrees)
        edges = changes.sign * (now[changes.edge] if weights.tail else 1.0)
        scale = np.concatenate([np.broadcast_to(now - before, len(row)), edges, np.zeros(1)])
        rows = np.concatenate([row, row[changes.edge], np.zeros(1, np.int64)])
        return layer.source.index_select(0, torch.from_numpy(rows)).mul_(
            torch.from_numpy(scale)[:, None]
        )


def commit(match: DeltaMatch) -> None:
    """After a batch, move bases to the candidates that they follow.

    They stay if another batch has used the bases meanwhile, or if a value is not finite.
    """
    changes = match.changes
    bases = changes.bases
    moves = match.moves
    if not moves or match.clock != bases.clock:
        return
    if not all(np.isfinite(sums.numpy()).all() for _, sums, _ in match.found.values()):
        return
    slots = np.full(changes.width, -1)
    slots[list(moves)] = list(moves.values())
    with bases.setting(list(moves.values()), changes.bits[list(moves)]), one_thread():
        for candidate, slot in moves.items():
            bases.copy(changes.slots[candidate], slot)
        places = np.concatenate([2 * slots, 2 * slots + 1])
        column, row = np.divmod(changes.senders, changes.rows)
        chosen = (places[column] >= 0).nonzero()[0]
        for _, degrees in bases.degrees.values():
            degrees[places[column[chosen]], row[chosen]] += changes.moved[changes.senders[chosen]]
        for key, (terms, *values) in match.found.items():
            column, row = np.divmod(terms.keys, changes.rows)
            chosen = (places[column] >= 0).nonzero()[0]
            layer = bases.layers[key]
            to = torch.from_numpy(places[column[chosen]] * layer.sums.shape[1] + row[chosen])
            for kept, value in zip((layer.sums, layer.table), values):
                kept.flatten(0, 1).index_copy_(
                    0, to, value.index_select(0, torch.from_numpy(chosen))
                )


def doubled(layout: FieldLayout, rows: Rows) -> Tensor:
    """Rows that are the same for every candidate, in double precision."""
    return layout.memo(("double", rows.key), lambda: rows.source.double())
