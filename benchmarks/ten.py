"""How much of a front can so few members show? The most hypervolume that any k of them have, by integer programming.

The space that a front [n, 3] dominates is cut at its members' coordinates; cells with the same members above them are
one. A cell counts if one of the members above it is chosen. All but a few of these are also above the next cell in
the third direction, so it counts if that one does, or one of the few:

    max sum of v_c y_c    with y_c <= y_next(c) + sum of x_s over the members s above c and not above next(c),
                               sum of x_s <= k, x in {0, 1}, y in [0, 1]

Solved by HiGHS (scipy) in a second for 150 members, in a minute for 300: the relaxation is nearly always whole.
"""

import sys

import numpy as np

from sxq.scoring.dominance import GRID, frontier, to_grid

LARGEST = 600  # members of a front that is still cut into cells
SECONDS = 300.0
SCALE = 1e5  # of volumes, so that the solver's tolerances are nothing beside the smallest cell


def most(scores: np.ndarray, k: int) -> float:
    """Hypervolume that no k of the scores [n, 3] exceed: the optimum, or what is proven when the time is up.

    NaN for a front of more than LARGEST members, and where nothing is proven.
    """
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_matrix, eye, hstack
    except ImportError:
        sys.exit("--ten needs scipy")
    front = frontier(to_grid(scores)).astype(float)
    if not 0 < len(front) <= LARGEST:
        return float("nan") if len(front) else 0.0
    extra, following, volumes = cells(front)
    (m, n), total, chained = extra.shape, volumes.sum(), np.flatnonzero(following >= 0)
    after = csr_matrix((np.ones(len(chained)), (chained, following[chained])), (m, m))
    covered = LinearConstraint(
        hstack([csr_matrix(extra.astype(float)), after - eye(m)]).tocsr(), 0, np.inf
    )
    few = LinearConstraint((np.arange(n + m) < n)[None].astype(float), -np.inf, k)
    found = milp(
        np.concatenate([np.zeros(n), -SCALE * volumes / total]),
        constraints=[covered, few],
        bounds=Bounds(0, 1),
        integrality=np.arange(n + m) < n,
        options={"time_limit": SECONDS, "mip_rel_gap": 1e-6},
    )
    bound = found.mip_dual_bound
    return float("nan") if bound is None else min(1.0, -bound / SCALE) * total / GRID**3


def cells(front: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cells of a front [n, 3]: members above each that are not above the next [c, n] bool, the next [c], -1 where
    there is none, and the volumes [c]."""
    levels = [np.unique(column) for column in front.T]
    steps = [np.diff(level, prepend=0) for level in levels]
    reach = [
        np.packbits(column >= level[:, None], axis=1) for column, level in zip(front.T, levels)
    ]
    kind = np.dtype((np.void, reach[0].shape[1]))
    held = np.zeros(0, kind), np.zeros(0, kind), np.zeros(0)
    for slab, height in zip(reach[0], steps[0]):
        above = (slab & reach[1])[:, None] & reach[2]
        higher = np.concatenate([above[:, 1:], np.zeros_like(above[:, :1])], axis=1)
        some = above.any(axis=2)
        fresh = (
            above[some].view(kind)[:, 0],
            higher[some].view(kind)[:, 0],
            height * np.outer(*steps[1:])[some],
        )
        held = _merged(*map(np.concatenate, zip(held, fresh)))
    names, following, volumes = held
    place = np.minimum(np.searchsorted(names, following), len(names) - 1)
    own, next_ = (
        np.unpackbits(rows.view(np.uint8).reshape(len(rows), -1), axis=1, count=len(front)).astype(
            bool
        )
        for rows in (names, following)
    )
    return own & ~next_, np.where(names[place] == following, place, -1), volumes


def _merged(
    names: np.ndarray, following: np.ndarray, volumes: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Cells of the same name as one, sorted; of their next ones one that is another."""
    order = np.lexsort((names == following, np.unique(names, return_inverse=True)[1]))
    known, first, owner = np.unique(names[order], return_index=True, return_inverse=True)
    return known, following[order][first], np.bincount(owner, weights=volumes[order])
