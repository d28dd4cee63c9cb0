"""What the search of a target takes, counted beforehand; a field that is too large for it is searched in part.

Half of `sxq_batch_memory` is for the candidate table, half for what a generator holds at once. Where a field
has more units than that allows, the strongest ones are searched, by the model's gradient, with the units that
join them to the target. The others become context: they are present in G \\ G_s and in no candidate.
"""

import numpy as np

from sxq.graph import Field

# Bytes for each unit that `search`, the largest of the generators, holds at once: the tables of walks and of
# moves; measured on hubs of 5,000 and 10,000 neighbours.
PER_UNIT = 6000
SEARCHED = (
    2**15
)  # most units of a field that is searched in part: a round of these takes about a second
# Bytes of a candidate in the table, for each unit: bits, the key, and room to grow by doubling. And besides.
PER_BIT = 0.5
PER_CANDIDATE = 500
SHARING = 16  # most targets that share the memory for candidates
USUAL = (
    5000  # candidates of a search that is counted before it begins; more are counted as they come
)
KEPT = 64 * 2**20  # most bytes of the candidates that a generator continues from


def searched_units(units: int, memory: int) -> int:
    """How many of a field's units are searched within a batch memory of so many bytes."""
    most = max(1, memory // 2 // PER_UNIT)
    return units if units <= most else min(most, SEARCHED)


def most_candidates(memory: int, units: int, targets: int) -> int:
    """The most candidates that the table of a target may hold, where so many targets are searched."""
    tables = min(targets, SHARING)
    return max(1000, int(memory // 2 / tables / (PER_CANDIDATE + PER_BIT * units)))


def expected(units: int, budget: int) -> int:
    """Bytes that the search of a field comes to hold between two rounds."""
    return int(min(budget, USUAL) * (PER_CANDIDATE + PER_BIT * units)) + min(KEPT, 200 * units)


def strongest(field: Field, worth: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """The units, ascending, of largest `worth` [U], with the units that join them: `most` at most.

    Of equals those nearer to the target come first, then random ones.
    """
    size = np.abs(worth)
    order = np.lexsort((rng.random(field.num_units), field.unit_hop, -size))
    link = field.links(size)
    steps = int(field.unit_hop.max(initial=1)) if not field.alone else 1
    chosen = np.zeros(field.num_units, bool)
    if most < steps:
        order = order[field.unit_hop[order] == 1]
    units = order[: max(1, most // steps)]
    while len(units):
        chosen[units] = True
        units = link[units]
        units = units[units >= 0]
        units = units[~chosen[units]]
    joined = order[~chosen[order] & ((link[order] < 0) | chosen[link[order]])]
    chosen[joined[: max(0, most - np.count_nonzero(chosen))]] = True
    return np.flatnonzero(chosen)
