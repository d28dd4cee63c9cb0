"""The rules that choose members of the front: for one target, or for several jointly."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from sxq.execution.across import across_targets
from sxq.execution.target import Found
from sxq.execution.target.shapes import shape as shape_of
from sxq.graph.bits import sizes
from sxq.scoring import diversify, joint, selection
from sxq.scoring.lattice import Answer

RECOMMENDED_OF = 10  # members of the answer out of which TOP 1 is recommended


def alone(found: Found) -> Answer:
    """The answer of one target, by the rule of its plan; TOP 1 is the member recommended of TOP 10."""
    if found.choice.k > 1 or found.choice.rule != "coverage":
        return RULES[found.choice.rule](found)
    wider = found.lattice.answer(RECOMMENDED_OF, found.choice.rule)
    if len(wider.members) < 2:
        return wider
    return found.lattice.answer_of([wider.members[recommended(found, wider.members)]])


def recommended(found: Found, members: Sequence[int]) -> int:
    """The place of the member to look at first: most like the others, weighted by their fidelities.

    Chosen by trial on data with a known truth (benchmarks/recommended.py): rank 1 covers most, but
    is often too small or too large.
    """
    weights = np.ones(len(members))
    scores = found.table.rows(list(members)).scores
    for column, measure in enumerate(found.measures):
        if measure.name in ("fdl+", "fdl-"):
            weights *= np.nan_to_num(scores[:, column])
    return selection.central(found.bits_of(members), weights)


def jointly(targets: Sequence[Found], k: int) -> Iterator[tuple[Found, Answer, tuple[int, ...]]]:
    """One answer of k members for many targets: the members of each target, and their ranks."""
    across = targets[0].choice.across
    if across:
        chosen, remark = across_targets(targets, k)
        targets = [replace(found, remark=remark) for found in targets]
    else:
        chosen = joint.choose([found.lattice.dominated() for found in targets], k)
    for number, found in enumerate(targets):
        ranks = tuple(rank for rank, (owner, _) in enumerate(chosen, start=1) if owner == number)
        members = found.lattice.front[[chosen[rank - 1][1] for rank in ranks]]
        yield found, found.lattice.answer_of(members), ranks


def _by_lattice(found: Found) -> Answer:
    return found.lattice.answer(found.choice.k, found.choice.rule)


def _smallest(found: Found) -> Answer:
    """SMALLEST: the smallest candidate with the flag; of equals, the best by the mean of its scores."""
    if not found.table.count:
        return found.lattice.answer_of([])
    rows = found.table.rows(slice(None))
    objectives = rows.scores[:, : found.objectives]
    able = rows.explanatory & getattr(rows, found.choice.smallest)
    numbers = np.flatnonzero(able & ~np.isnan(objectives).any(axis=1))
    best = np.lexsort((numbers, -objectives[numbers].mean(axis=1), sizes(rows.bits[numbers])))
    return found.lattice.answer_of(numbers[best[:1]], exactly=True)


def _diverse(found: Found) -> Answer:
    """DIVERSIFY: members of the front, chosen by node coverage and angles."""
    front = found.lattice.front
    nodes, embeddings = shape(found, front)
    chosen = diversify.greedy(
        nodes, diversify.angular(embeddings), found.choice.k, found.choice.alpha
    )
    return found.lattice.answer_of(front[chosen])


def _divsx(found: Found) -> Answer:
    """The streaming rule of DivSX, over the skyline members in order of arrival, as far as it goes."""
    ids, vectors = found.lattice.skyline_arrivals()
    nodes, embeddings = shape(found, ids)
    distance = 1 - diversify.cosine(embeddings)
    chosen = diversify.stream(
        vectors,
        nodes,
        distance,
        k=found.choice.k,
        alpha=found.choice.alpha,
        epsilon=found.lattice.epsilon,
        first=found.choice.rule == "divsx_first",
    )
    return found.lattice.answer_of(ids[chosen])


def shape(found: Found, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nodes [n, V] bool of candidates, out of V in the field, and their embeddings [n, d]."""
    units = found.loaded.field.num_units
    bits = found.bits_of(ids) if len(ids) else np.zeros((0, units), bool)
    return shape_of(found.loaded, bits, found.choice.embedding)


RULES = {
    "coverage": _by_lattice,
    "optimum": _by_lattice,
    "swap": _by_lattice,
    "diversity": _diverse,
    "divsx": _divsx,
    "divsx_first": _divsx,
    "smallest": _smallest,
}
