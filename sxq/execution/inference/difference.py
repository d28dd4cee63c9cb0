"""First layers by differences: a candidate that changes little of a graph changes little of its sums.

The outermost layer has by far the most messages: on a hub of FacebookPage 89,000 of 97,000. What it reads is
the same for every candidate, so its sums are those of a *reference* (no unit, all units, or what a batch has
in common), computed once, plus what the candidate changes. With u -> v in the reference, s the scale of a
tail (1, or what normalises it by its degree), s' and present' those of the candidate, and Y the rows that are
read:

    sum(v) = reference sum(v)
           + sum of (s'(u) - s(u)) Y(u)                     over edges of the reference where s(u) changed
           + sum of (present' - present)(u, v) s'(u) Y(u)   over edges of the units that changed

The inner layers run as ever, on a plan that ends one hop earlier. Sums that are subtracted from are kept in
double precision: where a hub loses all but one of its edges, what is left is as exact as if it had been
summed directly.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.execution.inference.edges import bag
from sxq.execution.inference.plan import EXTRA, FieldPlan, Incidence, Loops
from sxq.execution.inference.tile import Rows, Tile
from sxq.execution.inference.wiring import Runs, compact, set_in, wiring

Scale = Callable[[np.ndarray], np.ndarray]  # degrees to factors of messages


@dataclass(frozen=True, eq=False)
class Weights:
    """How a sum weighs the message u -> v: tail(degree of u) * head(degree of v); None stands for 1."""

    key: Hashable = None
    incidence: Callable[[FieldPlan], Incidence] | None = None  # what counts as degree
    tail: Scale | None = None
    head: Scale | None = None


class Reference:
    """One way to cut a field in two; sides are G_s and G \\ G_s."""

    def __init__(self, plan: FieldPlan, bits: np.ndarray):
        self.plan, self.bits, self.packed = plan, bits, np.packbits(bits)
        self.masks = np.ones((2, plan.units + EXTRA), np.float32)  # units; what is always there; the halo
        self.masks[:, : plan.units] = bits, ~bits
        self.masks[0, -1] = 0
        self._memory: dict[Hashable, Any] = {}

    def memo(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    def degrees(self, weights: Weights) -> np.ndarray:
        """[2, R]: of the rows that may send, on both sides."""
        def make() -> np.ndarray:
            one = self.plan.incidence(weights.key, weights.incidence)
            masks = torch.from_numpy(self.masks.T.copy())
            return bag(masks, one.index, one.start, one.weight).T.double().numpy()
        return self.memo(("degrees", weights.key), make)

    def sums(self, rows: Rows, weights: Weights, loops: Loops) -> Tensor:
        """[2, R, C] double: sums of the rows that receive, before they are scaled."""
        def make() -> Tensor:
            one, source = self.plan.edges(self.plan.depth - 1, loops), doubled(self.plan, rows)
            tail, mask, start = one.tail.numpy(), one.mask.numpy(), one.start.numpy()
            sums = []
            for side, present in enumerate(self.masks):
                there = np.flatnonzero(present[mask] > 0)
                first = np.searchsorted(there, start).astype(np.int32)
                factor = weights.tail(self.degrees(weights)[side])[tail[there]] if weights.tail else None
                arrays = tail[there], first, np.ones(len(there)) if factor is None else factor
                sums.append(bag(source, *map(torch.from_numpy, arrays)))
            return torch.stack(sums)
        return self.memo(("sums", rows.key, weights.key, loops), make)

    def sent(self, side: int, loops: Loops) -> Runs:
        """The heads of the edges that leave each row, on one side."""
        def make() -> Runs:
            heads, mask = wiring(self.plan).leaving(loops)
            return heads.only(self.masks[side, mask] > 0)
        return self.memo(("sent", side, loops), make)


class Changes:
    """What W candidates change in a reference: on both sides the same units, in opposite directions."""

    def __init__(self, reference: Reference, bits: np.ndarray):
        self.reference, self.bits, self.plan = reference, bits, reference.plan
        self.rows, self.rows_in = self.plan.rows(self.plan.depth - 1), self.plan.rows(self.plan.depth)
        self.column, self.unit = set_in(bits != reference.bits)  # [n] each
        self.sign = np.where(reference.bits[self.unit], -1.0, 1.0)  # on the side of G_s
        which, head = wiring(self.plan).heads.of(self.unit)
        place, size = self.column[which] * self.rows_in + head, len(bits) * self.rows_in
        moved = np.bincount(place, self.sign[which], minlength=size)
        self.moved = moved.reshape(len(bits), -1)  # [W, R]: by how much in-degrees change
        self.touched = set_in(self.moved != 0)  # (column, row) wherever a degree changed

    def degrees(self, weights: Weights, rows: int) -> np.ndarray:
        """[2, W, rows]"""
        moved = self.moved[:, :rows]
        return self.reference.degrees(weights)[:, None, :rows] + np.stack([moved, -moved])


class NearTile(Tile):
    """Candidates near a reference. Its frame is the plan without the outermost hop."""

    def __init__(self, changes: Changes):
        inner = changes.plan.inner
        super().__init__(inner, [np.ascontiguousarray(changes.bits[:, : inner.units])], len(changes.bits))
        self.changes = changes

    def edges(self, hop: int, loops: Loops):
        if hop < self.frame.depth:
            return super().edges(hop, loops)
        return self.memo((hop, loops), lambda: Differences(self, loops))

    def degrees(self, key: Hashable, make: Callable[[FieldPlan], Incidence]) -> Tensor:
        found = self.changes.degrees(Weights(key, make), self.changes.rows)
        return torch.from_numpy(found.astype(np.float32)).flatten(0, 1).T.contiguous()


class Differences:
    """The messages of a first layer, for kernels that sum rows by `Weights`: in the place of `Edges`."""

    near = True
    present = Weights()

    def __init__(self, tile: NearTile, loops: Loops):
        self.loops, self.changes = loops, tile.changes

    def sum(self, rows: Rows, weights: Weights) -> Tensor:
        """Weighted sums of the tails' rows: table [2 W * R, C]."""
        changes, width = self.changes, len(self.changes.bits)
        base, source = changes.reference.sums(rows, weights, self.loops), doubled(changes.plan, rows)
        table = base.float()[:, None].expand(-1, width, -1, -1).flatten(0, 2)
        place, tail, factor = (np.concatenate(parts) for parts in zip(*self._terms(weights)))
        dirty, place = compact(place, len(table))
        side, row = dirty // (width * changes.rows), dirty % changes.rows
        messages = source[torch.from_numpy(tail)].mul_(torch.from_numpy(factor)[:, None])
        sums = base[torch.from_numpy(side), torch.from_numpy(row)]
        table[torch.from_numpy(dirty)] = sums.index_add_(0, torch.from_numpy(place), messages).float()
        if weights.head:
            scale = weights.head(changes.degrees(weights, changes.rows)).astype(np.float32)
            table.mul_(torch.from_numpy(scale).view(-1, 1))
        return table

    def _terms(self, weights: Weights) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(row of the table, row that is read, factor) of everything that changes, part by part."""
        changes, wires = self.changes, wiring(self.changes.plan)
        which, edge = wires.edges.of(changes.unit)
        column, tail, sign = changes.column[which], wires.tail[edge], changes.sign[which]
        place = column * changes.rows + wires.head[edge]
        for side, direction in enumerate((1, -1)):
            offset, factor = side * len(changes.bits) * changes.rows, direction * sign
            if weights.tail:
                degree, (at, row) = changes.reference.degrees(weights)[side], changes.touched
                now = weights.tail(degree[row] + direction * changes.moved[at, row])
                each, head = changes.reference.sent(side, self.loops).of(row)
                change = now - weights.tail(degree[row])
                yield offset + at[each] * changes.rows + head, row[each], change[each]
                factor = factor * weights.tail(degree[tail] + direction * changes.moved[column, tail])
            yield offset + place, tail, factor


def doubled(plan: FieldPlan, rows: Rows) -> Tensor:
    """Rows that are the same for every candidate, in double precision."""
    return plan.memo(("double", rows.key), lambda: rows.source.double())
