"""Random connected subgraphs: the baseline that every comparison of explainers needs.

Each candidate grows from the target by random units of its frontier up to a size drawn log-uniformly from
1 .. U (or the option `size`), so that small subgraphs are as frequent as large ones.

Shapes: a field of U units; yields bits [n, U]. Cost: as many candidates as the generator is
allowed; it ends earlier if it finds nothing new. Ours, not from a paper: users of explainers often
ask for a baseline on the same footing.
"""

import numpy as np

from sxq.generators.protocol import Candidates, Context, Search
from sxq.graph import Field

BATCH = 64
PATIENCE = 512  # proposals in a row without a new one


def random(field: Field, context: Context, size: int = 0) -> Search:
    """Propose `allowance` distinct connected subgraphs besides the whole field.

    They have `size` units each, or log-uniform sizes when that is 0.
    """
    seen = {context.full_id}
    most = context.allowance + 1  # the whole field was verified before
    idle = 0
    while (left := most - len(seen)) > 0 and idle < PATIENCE:
        count = min(BATCH, context.rows, left)
        if size:
            sizes = np.full(count, max(1, min(size - context.included, field.num_units)))
        else:
            sizes = any_sizes(field, count, context.rng)
        scored = yield Candidates.of(grow(field, sizes, context.rng))
        seen.update(scored.ids.tolist())
        idle = idle + count if left == most - len(seen) else 0


def any_sizes(field: Field, count: int, rng: np.random.Generator) -> np.ndarray:
    """Sizes [count], log-uniform in 1 .. U."""
    sizes = np.exp(rng.uniform(0, np.log(field.num_units + 1), count)).astype(int)
    return np.clip(sizes, 1, field.num_units)


def grow(field: Field, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """n connected subgraphs of the given sizes [n], all grown at once: bits [n, U].

    A step adds one unit to small subgraphs and up to an eighth of their size to large ones: some 8 log(U) steps.
    Only newly reached nodes change the frontiers: on hubs that costs little compared with n times
    U. Where units need not be joined, they are any that many units.
    """
    if field.free:
        return rng.permuted(np.arange(field.num_units) < sizes[:, None], axis=1)
    bits, frontier = np.zeros((2, len(sizes), field.num_units), bool)
    reached = np.zeros((len(sizes), field.num_nodes), bool)
    missing = sizes.copy()
    rows = np.arange(len(sizes))
    row = rows
    nodes = np.zeros(len(sizes), int)
    if field.alone:
        first = rng.integers(0, field.num_units, len(sizes))
        bits[rows, first] = True
        missing = sizes - 1
        row = np.tile(rows, 2)
        nodes = field.ends[:, first].ravel()
    while True:
        reached[row, nodes] = True
        near, owner = field.units_at(nodes)
        frontier[row[owner], near] = ~bits[row[owner], near]
        # in a disconnected graph, a part may have no frontier left
        open_ = frontier[rows].any(axis=1) & (missing[rows] > 0)
        if not (rows := rows[open_]).size:
            return bits
        most = np.minimum(missing[rows], 1 + (sizes - missing)[rows] // 8)
        row, units = _drawn(frontier[rows], most, rng)
        row = rows[row]
        bits[row, units] = True
        frontier[row, units] = False
        missing -= np.bincount(row, minlength=len(sizes))
        row = np.tile(row, 2)
        nodes = field.ends[:, units].ravel()
        fresh = ~reached[row, nodes]
        row = row[fresh]
        nodes = nodes[fresh]


def _drawn(
    table: np.ndarray, most: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of up to `most` [n] random true entries of each row of a table [n, U].

    Every row has one. Entries are drawn with replacement and taken once each, so at least one is.
    """
    count = np.count_nonzero(table, axis=1)
    start = np.cumsum(count) - count
    places = np.flatnonzero(table)
    owner = np.repeat(np.arange(len(table)), most)
    drawn = (rng.random(len(owner)) * count[owner]).astype(int) + start[owner]
    return np.divmod(np.unique(places[drawn]), table.shape[1])
