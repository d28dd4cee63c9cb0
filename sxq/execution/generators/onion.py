"""Onion peeling (ApxSX-OP): find large counterfactual explanations by taking a field apart from the outside.

Source: Qiu et al., "Generating Skyline Explanations for Graph Neural Networks", Algorithm 2, with candidate
prioritisation (section 4).

    for l = L down to 1                             `for hop in ...`
    s0 = the l-hop subgraph, verified               `state`, a prefix of the units
    while E_l is not empty                          `while len(layer)`
    for e in E_l: verify state - e, update          one batch of siblings
    rank by the mean loss over the measures         `loss`
    remove the best-ranked e                        `state[drop] = False`

Shapes: a field of U units; yields bits [n, U]. Cost of a full peel: n (n + 1) / 2 candidates for a layer of n units.

Departures. A layer whose full peel exceeds its share of the budget is peeled in blocks that shrink towards the
target, and each step verifies only the most promising siblings (`pace`): never quadratic in the field. Units that
a step leaves out are ranked by what earlier steps measured, before that by the first-order estimate.
"""

import numpy as np

from sxq.execution.conversation import Candidates, Context, Search, mean_score
from sxq.graph import Field


def onion(field: Field, context: Context) -> Search:
    """Peel hop L, then L - 1, ...; within a hop the unit with the smallest loss of mean score goes first."""
    loss = first_guess(context)
    shares = share_out(context.allowance, field.layer_sizes)
    for hop in range(field.hops, 0, -1):
        state, layer = field.unit_hop <= hop, np.flatnonzero(field.unit_hop == hop)
        left = int(shares[hop - 1])
        while len(layer) and state.any():
            scored = yield Candidates.of(state[None].copy())
            parent, here = int(scored.ids[0]), mean_score(scored.scores)[0]
            width, block = pace(len(layer), left)
            tried = layer[np.argsort(loss[layer], kind="stable")][: min(width, context.rows)]
            if state.sum() > 1:
                scored = yield Candidates.of(_each_without(state, tried), parent, tried)
                loss[tried] = here - mean_score(scored.scores)
            layer = layer[np.argsort(loss[layer], kind="stable")]
            state[layer[:block]] = False
            layer, left = layer[block:], left - len(tried)


def share_out(allowance: int, sizes: np.ndarray) -> np.ndarray:
    """Candidates per layer [L]: what a full peel needs where that is little, the rest shared evenly."""
    need = sizes * (sizes + 1) // 2
    shares, left = np.zeros_like(need), max(0, allowance)
    for rank, layer in enumerate(np.argsort(need, kind="stable")):
        shares[layer] = min(need[layer], left // (len(need) - rank))
        left -= shares[layer]
    return shares


def pace(size: int, left: int) -> tuple[int, int]:
    """(siblings to verify, units to move) at a step with `size` units to go and `left` candidates to spend.

    All and one, as in the paper, where that can be paid to the end; else a sixteenth of each, so that both the
    units and the budget run down geometrically: some 16 log(size) steps.
    """
    if size * (size + 1) // 2 <= left:
        return size, 1
    return int(np.clip(left // 16, 1, size)), max(1, size // 16)


def first_guess(context: Context) -> np.ndarray:
    """What removing each unit costs [U] before anything is measured: the first-order estimate, scaled so small
    that a measured loss outranks a guess."""
    gradient = context.edge_gradient()
    return 1e-3 * gradient / (np.abs(gradient).max(initial=0) or 1)


def _each_without(state: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The state [U] without each of the units [n] in turn: [n, U]."""
    siblings = np.repeat(state[None], len(units), axis=0)
    siblings[np.arange(len(units)), units] = False
    return siblings
