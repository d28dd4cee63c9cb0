"""MOExp: explanations as a search for the Pareto front of two objectives, without gradients.

Source: Liu et al., "Multi-objective Explanations of GNN Predictions", ICDM 2021: an explanation should let the user
simulate the prediction (here p(c) on G_s, the score of fdl-) and be relevant counterfactually (p(c) falls without it,
the score of fdl+); the search keeps the subgraphs that no other dominates.

    population of random connected subgraphs            `random.grow`
    rank by non-dominated layers                        `layers`
    parents by binary tournament, children by one edit  `edit`: add a unit of the frontier, or drop a unit
    survivors from parents and children                 the best layers

Shapes: a field of U units; yields bits [n, U]. Cost: `size` candidates per generation.

Departures. The objectives are the first two of the query (or its only one). The published search
starts at candidate edges scored by sampling and adds edges greedily; ours is the plain evolutionary
form (NSGA-II's ranking).
"""

from typing import Any

import numpy as np

from sxq.generators.baselines.random import any_sizes, grow
from sxq.generators.protocol import Candidates, Context, Search
from sxq.graph import Field
from sxq.graph.bits import first_of_each


def moexp(field: Field, context: Context, size: int = 32, generations: int = 20) -> Search:
    """Evolve `size` subgraphs for some generations, judged by the first two objectives."""
    size = max(2, min(size, context.rows))
    rng = context.rng
    bits = grow(field, any_sizes(field, size, rng), rng)
    scored = yield Candidates.of(bits)
    scores = np.nan_to_num(scored.scores[:, :2])
    for _ in range(generations):
        rank = layers(scores)
        rivals = rng.integers(0, len(bits), (2, size))
        parents = np.where(rank[rivals[0]] <= rank[rivals[1]], *rivals)
        children = np.stack([edit(field, bits[parent], rng) for parent in parents])
        scored = yield Candidates.of(children)
        pool = np.concatenate([bits, children])
        values = np.concatenate([scores, np.nan_to_num(scored.scores[:, :2])])
        first = first_of_each(pool)
        best = first[np.argsort(layers(values[first]), kind="stable")][:size]
        bits = pool[best]
        scores = values[best]


def layers(scores: np.ndarray) -> np.ndarray:
    """The non-dominated layer of each row [n, M], from 0."""
    better: Any = (scores[:, None] >= scores).all(axis=2) & (scores[:, None] > scores).any(axis=2)
    layer = np.full(len(scores), -1)
    number = 0
    while (left := layer < 0).any():
        layer[left & ~better[left].any(axis=0)] = number
        number += 1
    return layer


def edit(field: Field, bits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A neighbour [U] of a connected subgraph: one unit more, or the connected rest without one."""
    frontier = field.frontier(bits)
    child = bits.copy()
    if len(frontier) and (bits.sum() == 1 or rng.random() < 0.5):
        child[rng.choice(frontier)] = True
        return child
    child[rng.choice(np.flatnonzero(bits))] = False
    child = field.component(child[None])[0]
    return child if child.any() else bits.copy()
