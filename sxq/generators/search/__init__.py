"""Search, the generator of an EXPLAIN without BY: it walks, measures and improves.

    begin     random connected subgraphs of all sizes, and quick walks from the target to the whole
              field. Each walk heads for its own corner of the front, by first-order estimates
              alone: something to show at once
    improve   add, drop or exchange one or two units of front members, the largest promised
              hypervolume first, and cross survivors (`moves.py`); change many units at once
              (`leaps.py`)
    measure   verify units with the paths that join them to the target (all units, or the strongest)
              to learn what a small candidate gains from each
    improve   a little more, with the measured values
    walk      again, thoroughly: verify siblings and take new estimates (`walks.py`)
    improve   until the budget is spent

All steps share one edge table: the change that each unit is expected to make to the log-odds of the
predicted class, on G_s and on G \\ G_s. Measuring, moves and walks correct it. All steps fill one
archive: the search's front, and the space above it that is still free. The budget goes where the
hypervolume grows: a move is ranked by the hypervolume that it promises, times the share of their
promises that moves of its kind have kept so far.

Files, in reading order:

    run.py           one run: the state that its parts share, and the one place to ask for candidates
    edge_table.py    the expected change by each unit, and how units join each other to the target
    archive.py       the front and the free space above it; survivors by rank
    visited.py       the subgraphs that were asked for, and the allowance that is left
    hashes.py        the set of hashes behind it
    walks.py         walks from the target to the whole field; measuring units
    unit_changes.py  the ways to change one unit, and what each does
    moves.py         neighbours of the front, and children of survivors
    trust.py         how far moves keep their promises
    leaps.py         many units changed at once

Hypervolume of the front as a share of the best known front's; 26 published targets of Cora, pairs,
5,000 candidates; median and least (benchmarks/quality.py; other seeds are within 0.003 and 0.04):

    search             0.991  0.92       NSGA-II, restarted until the budget is spent   0.983  0.63
    onion & growing    0.921  0.67       random                                         0.817  0.10

A field with no more connected subgraphs than the allowance is searched completely, by `exhaustive`
alone. In one with a few times as many, improvement ends when hardly any neighbour is new, and the
rest of the budget goes to subgraphs drawn from all that are left.

Shapes: a field of U units; yields bits [n, U]. Cost: `allowance` candidates; the search itself
takes O(members * U) per batch. Ours; the parts follow Qiu et al., "Generating Skyline Explanations
for Graph Neural Networks" (onion peeling, edge growing, candidate prioritisation), Pareto local
search (Paquete, Chiarandini, Stuetzle 2004), the variation of NSGA-II (Deb et al. 2002) and the
hypervolume improvement of multi-objective search (Emmerich 2005).
"""

import numpy as np

from sxq.generators.baselines.exhaustive import every, exhaustive, has_at_most
from sxq.generators.baselines.random import any_sizes, grow
from sxq.generators.protocol import Context, Search, gradient
from sxq.generators.search.moves import improve
from sxq.generators.search.run import SearchRun
from sxq.generators.search.walks import Walks, measure_units
from sxq.graph import Field

SEEDS = 64  # random subgraphs at the beginning
# One part in this many of the budget goes to improvement before units are measured, and one more
# before the thorough walks.
EARLY = 10
PATIENCE = 8  # rounds in a row without a candidate that is new
FEW = 3  # a field with at most so many times the allowance of subgraphs is small
WORTHWHILE = 8  # in a small field, a round brings at least one part in this many of a batch


def search(field: Field, context: Context) -> Search:
    """Begin, measure and walk, with some improvement in between; then improve to the end."""
    # the whole field was verified before
    if has_at_most(field, context, context.allowance + 1):
        return (yield from exhaustive(field, context))  # a tiny field
    run = SearchRun(field, context, (yield from gradient(field)))
    early = context.allowance // EARLY
    sizes = any_sizes(field, min(SEEDS, run.batch, run.left), run.rng)
    yield from run.verify(grow(field, sizes, run.rng))
    yield from Walks.start(run, thorough=False).go(run)
    yield from _improve(run, early, run.batch // 4)
    yield from measure_units(run)
    # Start from measured values, before further moves learn from larger candidates.
    thorough = Walks.start(run, thorough=True)
    yield from _improve(run, early, run.batch)
    yield from thorough.go(run)
    run.table.replace(thorough.table.mean(axis=0))
    if has_at_most(field, context, FEW * context.allowance):
        yield from _improve(run, run.left, run.batch, least=run.batch // WORTHWHILE)
        yield from _draw_rest(run)
    else:
        yield from _improve(run, run.left, run.batch)


def _improve(run: SearchRun, most: int, batch: int, least: int = 0) -> Search:
    """Batches of neighbours, children and leaps until `most` candidates are spent or nothing is left to try.

    Nothing is worth a try any more when a round brings fewer than `least` new candidates.
    """
    end = run.left - most
    idle = 0
    while run.left > max(end, 0) and idle < PATIENCE:
        before = run.left
        yield from improve(run, batch)
        if before - run.left < min(least, before):
            return
        idle = 0 if run.left < before or run.archive.refine() else idle + 1


def _draw_rest(run: SearchRun) -> Search:
    """Spend what is left on connected subgraphs not visited yet, drawn at random from all of them."""
    bits = every(run.field, run.context)
    unseen = run.visited.unseen(run.visited.hashes_of(bits))
    drawn = run.rng.permutation(unseen)[: run.left]
    for rows in np.array_split(drawn, -(-len(drawn) // run.batch)) if len(drawn) else ():
        yield from run.verify(bits[rows])
