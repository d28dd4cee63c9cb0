"""Edge growing (ApxSX-I): find small factual explanations early by building up from the target.

Source: Qiu et al., "Generating Skyline Explanations for Graph Neural Networks", appendix ("Edge Growing").

    start at v alone                                     `state` empty
    connect each neighbour, verify                       one batch of siblings over the frontier
    take the one with the biggest weight                 `gain`, the rise of the mean score, or of one `objective`
    continue until the L-hop field                       `while` the frontier is not empty

Shapes: a field of U units; yields bits [n, U]. Cost: the sum of the frontier sizes, at most U (U + 1) / 2 candidates.

Departures. The whole frontier competes at each step, not only the neighbours of the newest node, so
that a good branch is never abandoned. If the budget does not last to the end, a step verifies only
the most promising units, by their last measurement or else by the first-order estimate. It adds
more units the larger the state is: the small subgraphs, which growing is for, are built one edge at
a time.
"""

import numpy as np

from sxq.generators.paper.onion import first_guess, steps
from sxq.generators.protocol import NONE, Candidates, Context, Search, judge
from sxq.graph import Field


def growing(field: Field, context: Context, objective: str = "mean") -> Search:
    """Grow from the target, always by the unit whose addition raised the objective most."""
    worth = judge(context, objective)
    gain = yield from first_guess(field)  # assumes that adding a unit gains what removing it costs
    state = np.zeros(field.num_units, bool)
    parent = NONE
    here = worth(context.empty)
    left = context.allowance
    whole = True
    while len(frontier := field.frontier(state)):
        width, block = _pace(int(state.sum()), field.num_units, len(frontier), left)
        tried = frontier[np.argsort(-gain[frontier], kind="stable")][: min(width, context.rows)]
        whole &= len(tried) == len(frontier)
        scored = yield Candidates.of(_each_with(state, tried), parent, tried)
        gain[tried] = worth(scored.scores) - here
        left -= len(tried)
        state[frontier[np.argsort(-gain[frontier], kind="stable")][:block]] = True
        scored = yield Candidates.of(state[None].copy(), parent)
        parent = int(scored.ids[0])
        here = worth(scored.scores)[0]
    return whole


def _pace(size: int, units: int, frontier: int, left: int) -> tuple[int, int]:
    """(siblings to verify, units to add): all and one if the budget lasts, else a share of each."""
    if frontier * (units - size) <= left:
        return frontier, 1
    return int(np.clip(left / (1 + steps(units) - steps(size)), 1, frontier)), 1 + size // 8


def _each_with(state: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The state [U] with each of the units [n] in turn: [n, U]."""
    siblings = np.repeat(state[None], len(units), axis=0)
    siblings[np.arange(len(units)), units] = True
    return siblings
