"""Random connected subgraphs: the baseline that every comparison of explainers needs.

Each candidate grows from the target by random units of its frontier up to a size drawn log-uniformly from
1 .. U (or the option `size`), so that small subgraphs are as frequent as large ones.

Shapes: a field of U units; yields bits [n, U]. Cost: one candidate each, as many as the generator is allowed.
Ours, not from a paper; the need is stated in many issue threads about explainers (compared on one footing).
"""

import numpy as np

from sxq.execution.conversation import Candidates, Context, Search
from sxq.graph import Field

BATCH = 64


def random(field: Field, context: Context, size: int = 0) -> Search:
    """Propose `allowance` seeded connected subgraphs; `size` units each, or log-uniform sizes when 0."""
    batch = min(BATCH, context.rows)
    for start in range(0, context.allowance, batch):
        count = min(batch, context.allowance - start)
        sizes = np.exp(context.rng.uniform(0, np.log(field.num_units + 1), count)).astype(int)
        sizes = np.full(count, size) if size else sizes
        yield Candidates.of(grow(field, np.clip(sizes, 1, field.num_units), context.rng))


def grow(field: Field, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """n connected subgraphs of the given sizes [n], all grown at once: bits [n, U].

    A step adds one unit to small subgraphs and an eighth of their size to large ones: some 8 log(U) steps.
    """
    rows = np.arange(len(sizes))[:, None]
    bits = np.zeros((len(sizes), field.num_units), bool)
    if not field.rooted:
        bits[rows[:, 0], rng.integers(0, field.num_units, len(bits))] = True
    reached = field.reached(bits)
    while (missing := sizes - bits.sum(axis=1)).any():
        frontier = (reached[:, field.ends[0]] | reached[:, field.ends[1]]) & ~bits
        if not frontier[missing > 0].any():
            break  # parts of a graph that is not connected: they are as large as they can be
        step = np.minimum(missing, 1 + bits.sum(axis=1) // 8)
        lottery = np.where(frontier, rng.random(bits.shape), -1.0)
        best = np.argpartition(-lottery, min(step.max(), bits.shape[1] - 1), axis=1)[:, : step.max()]
        best = np.take_along_axis(best, np.argsort(-lottery[rows, best], axis=1), axis=1)
        won = (np.arange(best.shape[1]) < step[:, None]) & (lottery[rows, best] >= 0)
        bits[np.broadcast_to(rows, best.shape)[won], best[won]] = True
        for end in field.ends:
            reached[np.broadcast_to(rows, best.shape)[won], end[best[won]]] = True
    return bits
