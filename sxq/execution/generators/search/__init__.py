"""Search, what EXPLAIN does without BY: peeling, growing and local improvement on one edge table and one archive.

    walk      ways from the target to the whole field, each after a corner of the front of its own (`walks.py`): quick
              ones first, by first-order estimates alone, so that there is something to show at once; thorough ones
              after the probe
    probe     every unit with the path that joins it to the target: what a small candidate gains by it
    improve   in between, and until the budget is spent: members of the front with one or two units added, dropped or
              exchanged, those first that promise most hypervolume, and children of members crossed (`moves.py`)

All three read and correct the same edge table (what a unit changes in the log-odds of the predicted class, on G_s
and on G \\ G_s) and fill the same archive, which holds the search's front and the space above it that is still free.
The budget goes where hypervolume grows: a move is ranked by the hypervolume it promises, times the share of their
promises that moves of its kind have kept so far.

Hypervolume of the front over the best known, 26 published targets of Cora, pairs, 5,000 candidates, median and least
(benchmarks/quality.py):

    search             0.991  0.90       NSGA-II on the edges' bits   0.989  0.03
    onion & growing    0.935  0.68       random                       0.827  0.09

A field so small that its subsets are no more than the allowance is enumerated instead.

Shapes: a field of U units; yields bits [n, U]. Cost: `allowance` candidates; of the search itself O(members * U) per
batch. Ours; the parts follow Qiu et al., "Generating Skyline Explanations for Graph Neural Networks" (onion peeling,
edge growing, candidate prioritisation), Pareto local search (Paquete, Chiarandini, Stuetzle 2004), the variation of
NSGA-II (Deb et al. 2002) and the hypervolume improvement of multi-objective search (Emmerich 2005).
"""

from sxq.execution.conversation import Context, Search
from sxq.execution.generators.exhaustive import exhaustive
from sxq.execution.generators.search.memory import Memory
from sxq.execution.generators.search.moves import improve
from sxq.execution.generators.search.walks import Walks, probe
from sxq.graph import Field

EARLY = 20  # share of the budget, one of so many, that improves what the quick walks found
PATIENCE = 8  # rounds in a row without a candidate that is new


def search(field: Field, context: Context) -> Search:
    """Walk, probe, improve, walk again, improve until the allowance is spent; of a tiny field, see everything."""
    if 2 ** field.num_units <= context.allowance:
        return (yield from exhaustive(field, context))
    memory = Memory(field, context)
    yield from Walks.start(memory, thorough=False).go(memory)
    yield from probe(memory)
    thorough = Walks.start(memory, thorough=True)
    yield from _improve(memory, context.allowance // EARLY, memory.batch // 4)
    yield from thorough.go(memory)
    memory.worth = thorough.table.mean(axis=0)
    yield from _improve(memory, memory.left, memory.batch)


def _improve(memory: Memory, most: int, batch: int) -> Search:
    """Batches of neighbours and children until `most` candidates are spent or nothing is left to try."""
    end, idle = memory.left - most, 0
    while memory.left > max(end, 0) and idle < PATIENCE:
        before = memory.left
        yield from improve(memory, batch)
        if memory.left == before and not memory.archive.refine():
            idle += 1
