"""From what was searched to what is shown: the rules that need more than the lattice to choose an answer."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sxq.graph import embed, embed_by_nodes, node2vec
from sxq.scoring import diversify, joint
from sxq.scoring.lattice import Answer

if TYPE_CHECKING:
    from sxq.execution.target import TargetRun


def alone(run: "TargetRun") -> Answer:
    """The answer of one target, by the rule of its plan."""
    return RULES[run.choice.rule](run)


def jointly(
    runs: Sequence["TargetRun"], k: int
) -> Iterator[tuple["TargetRun", Answer, tuple[int, ...]]]:
    """One answer of k members for many targets: each target's own members, and their ranks in the whole."""
    chosen = joint.choose([run.lattice.dominated() for run in runs], k)
    for number, run in enumerate(runs):
        own = {
            rank: place for rank, (target, place) in enumerate(chosen, start=1) if target == number
        }
        yield run, run.lattice.answer_of(run.lattice.front[list(own.values())]), tuple(own)


def _by_lattice(run: "TargetRun") -> Answer:
    return run.lattice.answer(run.choice.k, run.choice.rule)


def _diverse(run: "TargetRun") -> Answer:
    """DIVERSIFY: members of the front by nodes and angles."""
    front = run.lattice.front
    nodes, embeddings = _shape(run, front)
    chosen = diversify.greedy(nodes, diversify.angular(embeddings), run.choice.k, run.choice.alpha)
    return run.lattice.answer_of(front[chosen])


def _divsx(run: "TargetRun") -> Answer:
    """The streaming rule of DivSX, over the skyline members in order of arrival."""
    ids, vectors = run.lattice.skyline_arrivals()
    nodes, embeddings = _shape(run, ids)
    distance = 1 - diversify.cosine(embeddings)
    chosen = diversify.stream(
        vectors,
        nodes,
        distance,
        k=run.choice.k,
        alpha=run.choice.alpha,
        epsilon=run.lattice.epsilon,
    )
    return run.lattice.answer_of(ids[chosen])


def _shape(run: "TargetRun", ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [n, V] bool of candidates among the V nodes of the field, and their embeddings [n, d]."""
    bits = run.bits_of(ids) if len(ids) else np.zeros((0, run.field.num_units), bool)
    nodes = run.field.reached(bits)[:, run.field.node_hop <= run.field.hops]
    if run.choice.embedding == "node2vec":
        rng = np.random.default_rng([run.generate.seed, run.position])
        return nodes, embed_by_nodes(run.field, bits, node2vec(run.field, rng))
    return nodes, embed(run.field, bits, run.graph.features(run.field.nodes))


RULES = {
    "coverage": _by_lattice,
    "optimum": _by_lattice,
    "swap": _by_lattice,
    "diversity": _diverse,
    "divsx": _divsx,
}
