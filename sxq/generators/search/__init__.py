"""Search, what EXPLAIN does without BY: peeling, growing and local improvement on one edge table and one archive.

    begin     random connected subgraphs of all sizes, and quick walks from the target to the whole field, each after a
              corner of the front of its own, by first-order estimates alone: something to show at once
    improve   members of the front with one or two units added, dropped or exchanged, those first that promise most
              hypervolume; children of survivors crossed (`moves.py`); survivors with many units changed (`leaps.py`)
    probe     units with the paths that join them to the target, all of them or the strongest: what a small candidate
              gains by each
    improve   a little more, by what the probe said
    walk      again, thoroughly: siblings are verified, estimates are taken anew (`walks.py`)
    improve   until the budget is spent

All of them begin with the same edge table (what a unit changes in the log-odds of the predicted class, on G_s and on
G \\ G_s), which probe, moves and walks correct, and fill the same archive, which holds the search's front and the space
above it that is still free.
The budget goes where hypervolume grows: a move is ranked by the hypervolume it promises, times the share of their
promises that moves of its kind have kept so far.

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
from sxq.generators.search.memory import Memory
from sxq.generators.search.moves import improve
from sxq.generators.search.walks import Walks, probe
from sxq.graph import Field

SEEDS = 64  # random subgraphs to begin with
EARLY = 10  # share of the budget, one of so many, that improves before the probe, and again before the thorough walks
PATIENCE = 8  # rounds in a row without a candidate that is new


def search(field: Field, context: Context) -> Search:
    """Begin, probe and walk with some improvement in between, improve until the allowance is spent."""
    memory = Memory(field, context)
    early = context.allowance // EARLY
    sizes = any_sizes(field, min(SEEDS, memory.batch, memory.left), memory.rng)
    yield from memory.verify(grow(field, sizes, memory.rng))
    yield from Walks.start(memory, thorough=False).go(memory)
    yield from _improve(memory, early, memory.batch // 4)
    yield from probe(memory)
    thorough = Walks.start(
        memory, thorough=True
    )  # by what the probe said; moves from here on learn of larger ones
    yield from _improve(memory, early, memory.batch)
    yield from thorough.go(memory)
    memory.worth = thorough.table.mean(axis=0)
    yield from _improve(memory, memory.left, memory.batch)
    if (
        2**field.num_units - 2 <= context.allowance
    ):  # but for the empty one and the whole, which is verified
        return (yield from exhaustive(field, context))  # what is left of a tiny field


def _improve(memory: Memory, most: int, batch: int) -> Search:
    """Batches of neighbours, children and leaps until `most` candidates are spent or nothing is left to try."""
    end, idle = memory.left - most, 0
    while memory.left > max(end, 0) and idle < PATIENCE:
        before = memory.left
        yield from improve(memory, batch)
        idle = 0 if memory.left < before or memory.archive.refine() else idle + 1
