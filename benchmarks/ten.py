"""How much of a front can so few members show? The most hypervolume that any k of them have, by integer programming.

The space that a front [n, 3] dominates is cut at its members' coordinates; cells with the same members above them are
one. A cell counts where one of its members is chosen:

    max sum of v_c y_c    with y_c <= sum of x_s over the members s above c, sum of x_s <= k, x in {0, 1}, y in [0, 1]

Solved by HiGHS (scipy). Beyond the time limit the figure is what is proven by then: no k members show more.
"""

import sys

import numpy as np

from sxq.scoring.dominance import GRID, frontier, to_grid

LARGEST = 600  # members of a front that is still cut into cells
SECONDS = 120.0
SCALE = 1e5  # of volumes, so that the solver's tolerances are nothing beside the smallest cell


def most(scores: np.ndarray, k: int) -> float:
    """Hypervolume that no k of the scores [n, 3] exceed; NaN for a front of more than LARGEST members."""
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_matrix, eye, hstack
    except ImportError:
        sys.exit("--ten needs scipy")
    front = frontier(to_grid(scores)).astype(float)
    if not 0 < len(front) <= LARGEST:
        return float("nan") if len(front) else 0.0
    above, volumes = cells(front)
    (m, n), total = above.shape, volumes.sum()
    covered = LinearConstraint(hstack([csr_matrix(above.astype(float)), -eye(m)]).tocsr(), 0, np.inf)
    few = LinearConstraint(csr_matrix((np.arange(n + m) < n)[None].astype(float)), -np.inf, k)
    found = milp(np.concatenate([np.zeros(n), -SCALE * volumes / total]), constraints=[covered, few],
                 bounds=Bounds(0, 1), integrality=np.arange(n + m) < n,
                 options={"time_limit": SECONDS, "mip_rel_gap": 1e-6})
    return min(1.0, -found.mip_dual_bound / SCALE) * total / GRID ** 3


def cells(front: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Members above each of the c cells, [c, n] bool, and the cells' volumes [c]; front [n, 3], all different."""
    levels = [np.unique(column) for column in front.T]
    steps = [np.diff(level, prepend=0) for level in levels]
    reach = [np.packbits(column >= level[:, None], axis=1) for column, level in zip(front.T, levels)]
    held = np.zeros((0, reach[0].shape[1]), np.uint8), np.zeros(0)
    for slab, height in zip(reach[0], steps[0]):
        above = (slab & reach[1])[:, None] & reach[2]
        some = above.any(axis=2)
        volumes = height * np.outer(steps[1], steps[2])[some]
        held = _merged(np.concatenate([held[0], above[some]]), np.concatenate([held[1], volumes]))
    return np.unpackbits(held[0], axis=1, count=len(front)).astype(bool), held[1]


def _merged(above: np.ndarray, volumes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells [c, W] with the same members above them as one."""
    names = np.ascontiguousarray(above).view(np.dtype((np.void, above.shape[1]))).ravel()
    _, first, owner = np.unique(names, return_index=True, return_inverse=True)
    return above[first], np.bincount(owner, weights=volumes)
