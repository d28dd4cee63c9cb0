"""The joint answer whose members are compared across targets, on one scale (scoring/joint_union.py)."""

from collections.abc import Sequence

import numpy as np

from sxq.execution.target import Found
from sxq.graph.bits import sizes
from sxq.scoring.dominance import millionths, to_grid
from sxq.scoring.joint_union import choose_of_union, union_dominance
from sxq.scoring.measures import against


def across_targets(targets: Sequence[Found], k: int) -> tuple[list[tuple[int, int]], str]:
    """At most k members as (target, position in its front), and what they cover of all candidates, in words."""
    units = union_units(targets)
    epsilon = millionths(targets[0].lattice.epsilon)
    members = [_vectors(found, found.lattice.front, units) for found in targets]
    everything = np.concatenate([_vectors(found, _explanatory(found), units) for found in targets])
    chosen = choose_of_union(members, everything, k, epsilon)
    rows = [members[target][place] for target, place in chosen]
    picked = np.array(rows, np.int16).reshape(-1, everything.shape[1])
    covered = union_dominance(picked, everything, epsilon)
    share = f", {covered / len(everything):.1%}" if len(everything) else ""
    return chosen, (
        f"compared across targets on {units} units: the joint answer covers {covered} of "
        f"{len(everything)} candidates{share}"
    )


def union_units(targets: Sequence[Found]) -> int:
    """How many units the fields of all targets have together."""
    units: set[tuple[int, int]] = set()
    for found in targets:
        field = found.loaded.field
        inside = field.unit >= 0
        first = np.full(field.num_units, np.iinfo(np.int64).max)
        np.minimum.at(first, field.unit[inside], field.edges[inside])
        units.update((found.loaded.first_edge, edge) for edge in first.tolist())
    return len(units)


def _explanatory(found: Found) -> np.ndarray:
    """Numbers of the candidates that are compared."""
    if not found.table.count:
        return np.zeros(0, np.int64)
    rows = found.table.rows(slice(None))
    objectives = rows.scores[:, : found.objectives]
    return np.flatnonzero(rows.explanatory & ~np.isnan(objectives).any(axis=1))


def _vectors(found: Found, numbers: np.ndarray, units: int) -> np.ndarray:
    """Grid vectors [n, M] of candidates, with conciseness relative to `units`."""
    if not len(numbers):
        return np.zeros((0, found.objectives), np.int16)
    rows = found.table.rows(numbers)
    measures = found.measures[: found.objectives]
    scores = rows.scores[:, : found.objectives]
    resolution = found.choice.child.resolution
    return to_grid(against(measures, scores, sizes(rows.bits), units, resolution))
