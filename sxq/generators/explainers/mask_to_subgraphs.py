"""From a soft mask to candidates: the last step of every learned or gradient-based generator.

The mask ranks the units, and the ranking gives two chains of growing subgraphs:

    nested     the `k` highest units, of which the part connected to the target is kept (of a graph the largest part)
    connected  the subgraph that starts at the target (of a graph at the highest unit) and always takes the highest
               unit it touches: Prim's algorithm, O(U log U)
"""

import heapq
from collections.abc import Sequence

import numpy as np

from sxq.generators.protocol import Candidates, Context, Search
from sxq.graph import Field
from sxq.graph.bits import first_of_each

LONGEST = 512  # most subgraphs of a chain; larger fields skip some sizes


def mask_to_subgraphs(
    field: Field, mask: np.ndarray, sizes: Sequence[int] | np.ndarray | None = None
) -> np.ndarray:
    """Distinct candidates [n, U] of a mask [U]: both chains at `sizes`, by default at all of them."""
    sizes = all_sizes(field.num_units) if sizes is None else sizes
    nested = field.component(top(mask, sizes))
    connected = prefixes(grow_order(field, mask), sizes)
    return distinct(np.concatenate([nested, connected]))


def all_sizes(units: int) -> np.ndarray:
    """Sizes from 1 to `units`: all, or LONGEST of them, which are denser at small sizes."""
    if units <= LONGEST:
        return np.arange(1, units + 1)
    return np.unique(np.geomspace(1, units, LONGEST).round().astype(int))


def top(mask: np.ndarray, sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    """The highest units of a mask [U], as bits [n, U] for sizes [n]; the first of equals."""
    return prefixes(np.argsort(-mask, kind="stable"), sizes)


def prefixes(order: np.ndarray, sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    """The first units of an order [U], as bits [n, U] for sizes [n]."""
    rank = np.full(len(order), len(order))
    rank[order] = np.arange(len(order))
    return rank < np.asarray(sizes)[:, None]


def grow_order(field: Field, mask: np.ndarray) -> np.ndarray:
    """All units in the order in which a connected subgraph takes them; unreachable parts follow."""
    taken = np.zeros(field.num_units, bool)
    reached = np.zeros(field.num_nodes, bool)
    order: list[int] = []
    touching: list[tuple[float, int]] = []  # a heap of (-mask, unit)
    at_node = _units_at_nodes(field)

    def reach(node: int) -> None:
        if not reached[node]:
            reached[node] = True
            for unit in at_node[node]:
                if not taken[unit]:
                    heapq.heappush(touching, (-mask[unit], unit))

    if not field.alone:
        reach(0)
    for start in np.argsort(-mask, kind="stable").tolist():
        if not touching and not taken[start]:
            touching.append((-mask[start], start))
        while touching:
            _, unit = heapq.heappop(touching)
            if not taken[unit]:
                taken[unit] = True
                order.append(unit)
                for node in field.ends[:, unit].tolist():
                    reach(node)
    return np.array(order, np.int64)


def distinct(bits: np.ndarray) -> np.ndarray:
    """The distinct non-empty rows of bits [n, U], in order of first appearance."""
    bits = bits[bits.any(axis=1)]
    return bits[np.sort(first_of_each(bits))]


def propose(context: Context, bits: np.ndarray) -> Search:
    """Yield candidates [n, U] in batches of the size that the context allows; ignore answers."""
    for start in range(0, len(bits), context.rows):
        yield Candidates.of(bits[start : start + context.rows])


def _units_at_nodes(field: Field) -> list[list[int]]:
    """The units at each node."""
    ends = field.ends.ravel()
    order = np.argsort(ends, kind="stable")
    units = order % max(field.num_units, 1)
    return [
        part.tolist()
        for part in np.split(units, np.searchsorted(ends[order], np.arange(1, field.num_nodes)))
    ]
