"""First layers by differences: a candidate that changes little of a graph changes little of its sums.

The outermost layer has by far the most messages: on a hub of FacebookPage 89,000 of 97,000. What it reads is the same
for every candidate, so its sums are those of a state (see `states`), plus what the candidate changes. With u -> v in
the state, s the scale of a tail (1, or what normalises it by its degree), s' and present' those of the candidate, and
Y the rows that are read:

    sum(v) = state's sum(v)
           + sum of (s'(u) - s(u)) Y(u)                     over edges of the state where s(u) changed
           + sum of (present' - present)(u, v) s'(u) Y(u)   over edges of the units that changed

The inner layers run as ever, on a plan that ends one hop earlier. Sums are kept in double precision: where a hub loses
all but one of its edges, what is left is as exact as if it had been summed directly, and a state may follow its
generator through a thousand batches.
"""

from collections.abc import Callable, Hashable

import numpy as np
import torch
from torch import Tensor

from sxq.inference.delta.bases import Layer, sparse
from sxq.inference.delta.changes import Terms
from sxq.inference.delta.match import Near
from sxq.inference.tiles.field import FieldPlan, Incidence, Loops
from sxq.inference.tiles.threads import one_thread
from sxq.inference.tiles.tile import Rows, Tile, Weights


class NearTile(Tile):
    """Candidates near to states. Its frame is the plan without the outermost hop."""

    def __init__(self, near: Near):
        self.near, self.changes = near, near.changes
        inner, bits = self.changes.plan.inner, self.changes.bits
        super().__init__(inner, [np.ascontiguousarray(bits[:, : inner.units])], len(bits))

    def edges(self, hop: int, loops: Loops):
        if hop < self.frame.depth:
            return super().edges(hop, loops)
        return self.memo((hop, loops), lambda: Differences(self, loops))

    def degrees(self, key: Hashable, make: Callable[[FieldPlan], Incidence]) -> Tensor:
        changes, rows = self.changes, self.frame.rows(self.frame.depth)
        degrees = changes.states.counted(Weights(key, make))[changes.places, :rows]
        degrees += changes.moved.reshape(self.columns, -1)[:, :rows]
        return torch.from_numpy(degrees.T.astype(np.float32, order="C"))


class Differences:
    """The messages of a first layer, for kernels that sum rows by `Weights`: in the place of `Edges`."""

    near, present = True, Weights()

    def __init__(self, tile: NearTile, loops: Loops):
        self.tile, self.loops, self.changes = tile, loops, tile.changes

    def sum(self, rows: Rows, weights: Weights) -> Tensor:
        """Weighted sums of the tails' rows: table [2 W * R, C]."""
        changes, states, key = (
            self.changes,
            self.changes.states,
            (rows.key, weights.key, self.loops),
        )
        layer = states.layer(key, doubled(changes.plan, rows), weights, self.loops)
        terms, matrix = self._terms(weights.tail is not None)
        column, row = np.divmod(terms.keys, changes.rows)
        at = torch.from_numpy(changes.places[column] * layer.sums.shape[1] + row)
        sums = scaled = layer.sums.flatten(0, 1).index_select(0, at) + matrix @ self._messages(
            layer
        )
        if weights.head:
            degrees = (
                states.counted(weights)[changes.places[column], row] + changes.moved[terms.keys]
            )
            scaled = sums * torch.from_numpy(weights.head(degrees))[:, None]
        scaled = scaled.float()
        self.tile.near.found[key] = terms, sums, scaled
        table = layer.table.index_select(0, torch.from_numpy(changes.places)).flatten(0, 1)
        return table.index_copy_(0, torch.from_numpy(column * layer.sums.shape[1] + row), scaled)

    def _terms(self, scaled: bool) -> tuple[Terms, Tensor]:
        """Which rows differ, and as a sparse matrix [d, messages] by which messages."""

        def make() -> tuple[Terms, Tensor]:
            terms = self.changes.terms(self.loops, scaled)
            return terms, sparse(
                terms.start, terms.source, len(self.changes.senders) + len(self.changes.edge) + 1
            )

        return self.tile.memo(("terms", self.loops, scaled), make)

    def _messages(self, layer: Layer) -> Tensor:
        """[t + e + 1, C] what `Terms` adds."""
        changes, weights = self.changes, layer.weights
        row, now, before = changes.senders % changes.rows, np.ones(1), np.ones(1)
        if weights.tail:
            degrees = changes.states.counted(weights)[changes.at(changes.senders)]
            now, before = (
                weights.tail(degrees + changes.moved[changes.senders]),
                weights.tail(degrees),
            )
        edges = changes.sign * (now[changes.edge] if weights.tail else 1.0)
        scale = np.concatenate([np.broadcast_to(now - before, len(row)), edges, np.zeros(1)])
        rows = np.concatenate([row, row[changes.edge], np.zeros(1, np.int64)])
        return layer.source.index_select(0, torch.from_numpy(rows)).mul_(
            torch.from_numpy(scale)[:, None]
        )


def settle(near: Near) -> None:
    """After a batch: move states to the candidates that they are to follow; but not where somebody else has looked at
    the states meanwhile, nor to values that are no numbers."""
    changes, states, moves = near.changes, near.changes.states, near.moves
    if not moves or near.clock != states.clock:
        return
    if not all(np.isfinite(sums.numpy()).all() for _, sums, _ in near.found.values()):
        return
    slots = np.full(changes.width, -1)
    slots[list(moves)] = list(moves.values())
    with states.setting(list(moves.values()), changes.bits[list(moves)]), one_thread():
        for candidate, slot in moves.items():
            states.copy(changes.slots[candidate], slot)
        places = np.concatenate([2 * slots, 2 * slots + 1])
        column, row = np.divmod(changes.senders, changes.rows)
        chosen = (places[column] >= 0).nonzero()[0]
        for _, degrees in states.degrees.values():
            degrees[places[column[chosen]], row[chosen]] += changes.moved[changes.senders[chosen]]
        for key, (terms, *values) in near.found.items():
            column, row = np.divmod(terms.keys, changes.rows)
            chosen, layer = (places[column] >= 0).nonzero()[0], states.layers[key]
            to = torch.from_numpy(places[column[chosen]] * layer.sums.shape[1] + row[chosen])
            for kept, value in zip((layer.sums, layer.table), values):
                kept.flatten(0, 1).index_copy_(
                    0, to, value.index_select(0, torch.from_numpy(chosen))
                )


def doubled(plan: FieldPlan, rows: Rows) -> Tensor:
    """Rows that are the same for every candidate, in double precision."""
    return plan.memo(("double", rows.key), lambda: rows.source.double())
