"""Onion peeling (ApxSX-OP): find large counterfactual explanations by taking a field apart from the outside.

Source: Qiu et al., "Generating Skyline Explanations for Graph Neural Networks", Algorithm 2, with candidate
prioritisation (section 4).

    for l = L down to 1                             one `_peel` per hop, in lockstep
    s0 = the l-hop subgraph, verified               `state`, a prefix of the units
    while E_l is not empty                          `while len(layer)`
    for e in E_l: verify state - e, update          one batch of siblings
    rank by the mean loss over the measures         `loss`, or that of one `objective`
    remove the best-ranked e                        `state[drop] = False`

Shapes: a field of U units; yields bits [n, U]. Cost of a full peel: n (n + 1) / 2 candidates for a layer of n units.

Departures. The layers' peels do not depend on each other, so they run in lockstep: fewer and larger batches. A layer
whose full peel exceeds its share of the budget is peeled in blocks that shrink towards the target, and each step
verifies only the most promising siblings (`pace`): never quadratic in the field.

The edge table `loss` [U] ranks the siblings. It holds the cost of each unit's removal when it was
last verified; until then, the first-order estimate, scaled below everything measured. A step
verifies the cheapest units of the table again, as many as the budget allows, and corrects them; the
others wait. How the table is filled hardly matters: on the published targets of Cora a full peel
takes 10,100 candidates, but 50 candidates reach 0.557 of the best known front (median, pairs), and
20,000 reach no more. The rest of the front lies elsewhere: every candidate of layer l contains all
inner hops, in whatever order they are peeled.

Whole graphs (ours; the paper explains nodes): hops are the layers of the onion decomposition, and a
removal may split the rest. Then every part with an edge is a candidate, a removal is worth its best
part, and the search continues in the best one.
"""

from collections.abc import Callable, Generator

import numpy as np

from sxq.generators.protocol import (
    FIRST,
    NONE,
    Candidates,
    Context,
    Estimate,
    Proposals,
    Scored,
    Search,
    gradient,
    judge,
    lockstep,
)
from sxq.graph import Field, WholeGraph


def onion(field: Field, context: Context, objective: str = "mean") -> Search:
    """Peel every hop, L to 1; within a hop the unit with the smallest loss of the objective goes first."""
    worth = judge(context, objective)
    shares = share_out(context.allowance, field.layer_sizes)
    loss = yield from first_guess(field)
    rows = context.rows // field.hops
    peel: Callable[..., Proposals] = _peel_core if field.alone else _peel
    peels = [
        peel(field, hop, loss.copy(), worth, left=int(shares[hop - 1]), rows=rows)
        for hop in range(field.hops, 0, -1)
    ]
    return (yield from lockstep(peels))


def _peel(
    field: Field,
    hop: int,
    loss: np.ndarray,
    worth: Callable[[np.ndarray], np.ndarray],
    *,
    left: int,
    rows: int,
) -> Proposals:
    """Remove the units of one hop from its subgraph, with about `left` candidates."""
    state = field.unit_hop <= hop
    layer = np.flatnonzero(field.unit_hop == hop)
    parent = NONE
    whole = True
    while len(layer) and state.any():
        width, block = pace(len(layer), left)
        tried = layer[np.argsort(loss[layer], kind="stable")][: min(width, max(1, rows - 1))]
        whole &= len(tried) == len(layer)
        tried = tried if state.sum() > 1 else tried[:0]
        scored = yield Candidates(
            np.concatenate([state[None], _each_without(state, tried)]),
            np.append(parent, np.full(len(tried), FIRST)),
            np.concatenate([[NONE], tried]),
        )
        parent = scored.ids[0]
        score = worth(scored.scores)
        loss[tried] = score[0] - score[1:]
        layer = layer[np.argsort(loss[layer], kind="stable")]
        state[layer[:block]] = False
        layer = layer[block:]
        left -= len(tried)
    return whole


def _peel_core(
    field: WholeGraph,
    hop: int,
    loss: np.ndarray,
    worth: Callable[[np.ndarray], np.ndarray],
    *,
    left: int,
    rows: int,
) -> Proposals:
    """Remove the units of one onion layer from a core; continue in its best connected part."""
    state, score, parent = yield from _best_part(field, field.unit_hop <= hop, NONE, worth)
    whole = True
    while (layer := np.flatnonzero(state & (field.unit_hop == hop))).size and state.sum() > 1:
        width, block = pace(len(layer), left)
        tried = layer[np.argsort(loss[layer], kind="stable")][: min(width, max(1, rows // 2))]
        whole &= len(tried) == len(layer)
        parts, owner = field.split(_each_without(state, tried))
        scored = yield Candidates.of(parts, parent, tried[owner])
        best = np.maximum.reduceat(worth(scored.scores), np.unique(owner, return_index=True)[1])
        loss[tried] = score - best
        left -= len(parts)
        layer = layer[np.argsort(loss[layer], kind="stable")]
        rest = state.copy()
        rest[layer[: min(block, int(state.sum()) - 1)]] = False
        state, score, parent = yield from _best_part(field, rest, parent, worth)
    return whole


def _best_part(
    field: WholeGraph, bits: np.ndarray, parent: int, worth: Callable[[np.ndarray], np.ndarray]
) -> Generator[Candidates, Scored, tuple[np.ndarray, float, int]]:
    """Verify every connected part of bits [U]; the best of them [U], its mean score, and its number."""
    parts, _ = field.split(bits[None])
    scored = yield Candidates.of(parts, parent)
    score = worth(scored.scores)
    return parts[score.argmax()].copy(), float(score.max()), int(scored.ids[score.argmax()])


def share_out(allowance: int, sizes: np.ndarray) -> np.ndarray:
    """Candidates per layer [L]: a full peel's number if that is small; the rest shared evenly."""
    need = sizes * (sizes + 1) // 2
    shares = np.zeros_like(need)
    left = max(0, allowance)
    for rank, layer in enumerate(np.argsort(need, kind="stable")):
        shares[layer] = min(need[layer], left // (len(need) - rank))
        left -= shares[layer]
    return shares


def pace(size: int, left: int) -> tuple[int, int]:
    """(siblings to verify, units to move) at a step with `size` units to go and `left` candidates to spend.

    If the budget lasts to the end: all siblings and one unit, as in the paper. Otherwise an eighth
    of the units, so that their number falls geometrically, and as many siblings at each step as the
    budget allows to the end.
    """
    if size * (size + 1) // 2 <= left:
        return size, 1
    return int(np.clip(left / steps(size), 1, size)), max(1, size // 8)


def steps(size: int) -> float:
    """The number of steps that remove `size` units, an eighth of the rest (at least one) each."""
    return min(size, 8) + 8 * np.log(max(size, 8) / 8)


def first_guess(field: Field) -> Generator[Estimate, np.ndarray, np.ndarray]:
    """The expected cost of removing each unit [U] before anything is measured.

    It is the first-order estimate, scaled so small that a measured loss outranks a guess.
    """
    guess = yield from gradient(field)
    return 1e-3 * guess / (np.abs(guess).max(initial=0) or 1)


def _each_without(state: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The state [U] without each of the units [n] in turn: [n, U]."""
    siblings = np.repeat(state[None], len(units), axis=0)
    siblings[np.arange(len(units)), units] = False
    return siblings
