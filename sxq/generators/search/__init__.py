"""Search, the generator of an EXPLAIN without BY: peeling, growing and local improvement on one table and one archive.

    begin     random connected subgraphs of all sizes, and quick walks from the target to the whole field, each after a
              corner of the front of its own, by first-order estimates alone: something to show at once
    improve   members of the front with one or two units added, dropped or exchanged, those first that promise most
              hypervolume; children of survivors crossed (`moves.py`); survivors with many units changed (`leaps.py`)
    measure   units with the paths that join them to the target, all of them or the strongest: what a small candidate
              gains by each
    improve   a little more, by what was measured
    walk      again, thoroughly: siblings are verified, estimates are taken anew (`walks.py`)
    improve   until the budget is spent

All of them begin with the same edge table (what a unit changes in the log-odds of the predicted class, on G_s and on
G \\ G_s), which measuring, moves and walks correct, and fill the same archive, which holds the search's front and the
space above it that is still free.
The budget goes where hypervolume grows: a move is ranked by the hypervolume it promises, times the share of their
promises that moves of its kind have kept so far.

Files, in reading order:

    run.py          one run: what its parts share, and the one place where candidates are asked for
    edge_table.py   what each unit is expected to change, and how units join each other to the target
    archive.py      the front and the free space above it; survivors by rank
    visited.py      which subgraphs were asked for, and what is left of the allowance
    hashes.py       the set of hashes behind it
    walks.py        walks from the target to the whole field; measuring units
    moves.py        neighbours of the front, and children of survivors
    trust.py        how far the promises of moves are kept
    leaps.py        many units changed at once

Hypervolume of the front over the best known, 26 published targets of Cora, pairs, 5,000 candidates, median and least
(benchmarks/quality.py; other seeds are within 0.003 and 0.04 of these):

    search             0.991  0.92       NSGA-II, restarted until the budget is spent   0.983  0.63
    onion & growing    0.921  0.67       random                                         0.817  0.10

A field whose subsets are no more than the allowance is seen to the last one, in that order.

Shapes: a field of U units; yields bits [n, U]. Cost: `allowance` candidates; of the search itself O(members * U) per
batch. Ours; the parts follow Qiu et al., "Generating Skyline Explanations for Graph Neural Networks" (onion peeling,
edge growing, candidate prioritisation), Pareto local search (Paquete, Chiarandini, Stuetzle 2004), the variation of
NSGA-II (Deb et al. 2002) and the hypervolume improvement of multi-objective search (Emmerich 2005).
"""

from sxq.generators.baselines.exhaustive import exhaustive
from sxq.generators.baselines.random import any_sizes, grow
from sxq.generators.protocol import Context, Search
from sxq.generators.search.moves import improve
from sxq.generators.search.run import SearchRun
from sxq.generators.search.walks import Walks, measure_units
from sxq.graph import Field

SEEDS = 64  # random subgraphs to begin with
# share of the budget, one of so many, that improves before units are measured, and again before the thorough walks
EARLY = 10
PATIENCE = 8  # rounds in a row without a candidate that is new


def search(field: Field, context: Context) -> Search:
    """Begin, measure and walk with some improvement in between, improve until the allowance is spent."""
    run = SearchRun(field, context)
    early = context.allowance // EARLY
    sizes = any_sizes(field, min(SEEDS, run.batch, run.left), run.rng)
    yield from run.verify(grow(field, sizes, run.rng))
    yield from Walks.start(run, thorough=False).go(run)
    yield from _improve(run, early, run.batch // 4)
    yield from measure_units(run)
    # by what was measured; moves from here on learn of larger candidates
    thorough = Walks.start(run, thorough=True)
    yield from _improve(run, early, run.batch)
    yield from thorough.go(run)
    run.table.replace(thorough.table.mean(axis=0))
    yield from _improve(run, run.left, run.batch)
    # the empty set is no candidate, and the whole field is verified
    if 2**field.num_units - 2 <= context.allowance:
        return (yield from exhaustive(field, context))  # what is left of a tiny field


def _improve(run: SearchRun, most: int, batch: int) -> Search:
    """Batches of neighbours, children and leaps until `most` candidates are spent or nothing is left to try."""
    end = run.left - most
    idle = 0
    while run.left > max(end, 0) and idle < PATIENCE:
        before = run.left
        yield from improve(run, batch)
        idle = 0 if run.left < before or run.archive.refine() else idle + 1
