"""DIVERSIFY: k members of the front that cover many nodes and differ from each other.

    F(S) = alpha |nodes of S| / |nodes of the field| + (1 - alpha) mean over pairs of S of d(a, b)

d is the angle between the embeddings of two subgraphs as a share of pi: a metric, which the cosine distance
is not. Node coverage is monotone and submodular; the mean over the pairs of exactly k members is the sum of
their distances times 2 / (k (k - 1)). So this is max-sum diversification, and greedy by *half* the marginal
coverage and the full marginal distance is a 1/2-approximation of the best k-set (Borodin, Lee, Ye 2012).

`stream` is the rule of Qiu et al., Procedure 4 (updateDivSX), kept for comparison. It judges
candidates on arrival, by the sum of cosine distances in place of the mean angle. That sum is not
submodular, and on most targets no candidate's gain reaches the printed threshold, so no bound is
claimed; places that stay empty go to the largest gains.
"""

from dataclasses import dataclass

import numpy as np

from sxq.scoring.dominance import at_least, pareto

SETTLED = 9  # gains are compared to this many decimals, so that no rounding error decides


def value(nodes: np.ndarray, distance: np.ndarray, chosen: list[int], alpha: float) -> float:
    """F of a set of candidates: nodes [n, V] bool, distance [n, n]."""
    k = len(chosen)
    pairs = distance[np.ix_(chosen, chosen)].sum() / (k * (k - 1)) if k > 1 else 0.0
    return float(alpha * nodes[chosen].any(axis=0).sum() / nodes.shape[1] + (1 - alpha) * pairs)


@dataclass(frozen=True)
class _Weights:
    """The worth of one more member: of the nodes it adds, and of its distances to the others."""

    coverage: float
    spread: float


def greedy(nodes: np.ndarray, distance: np.ndarray, k: int, alpha: float) -> list[int]:
    """At most k of n candidates in rank order: nodes [n, V] bool, distance [n, n].

    The first of equal gains wins.
    """
    k = min(k, len(nodes))
    spread = (1 - alpha) * 2 / (k * (k - 1)) if k > 1 else 0.0
    weights = _Weights(coverage=alpha / 2, spread=spread)
    return _fill(nodes, distance, [], k, weights)


def stream(
    arrived: np.ndarray,
    nodes: np.ndarray,
    distance: np.ndarray,
    *,
    k: int,
    alpha: float,
    epsilon: float,
    first: bool = False,
) -> list[int]:
    """At most k of n candidates, in order of arrival: vectors [n, M], nodes [n, V], cosine distance [n, n].

    Each was a new skyline member when it came: no earlier one equals or dominates it. It is
    admitted if there is a place and its gain is at least ((1 + epsilon) / 2 - DivS) / (k -
    |answer|), with DivS = alpha |nodes| / V + (1 - alpha) sum of the pairs' distances; the members
    that it dominates leave. Afterwards empty places are filled from those that nothing dominates.

    first    end as soon as k members are there, as DivSX does; otherwise later arrivals may take
             the places of members that were dominated
    """
    chosen = admitted(arrived, nodes, distance, k=k, alpha=alpha, epsilon=epsilon, first=first)
    if first and len(chosen) == k:
        return chosen
    weights = _Weights(coverage=alpha, spread=1 - alpha)
    return _fill(nodes, distance, chosen, k, weights, allowed=pareto(arrived))


def admitted(
    arrived: np.ndarray,
    nodes: np.ndarray,
    distance: np.ndarray,
    *,
    k: int,
    alpha: float,
    epsilon: float,
    first: bool,
) -> list[int]:
    """The members that `stream` admits, before empty places are filled."""
    chosen: list[int] = []
    for new in range(len(arrived)):
        if first and len(chosen) == k:
            break
        beaten = at_least(arrived[[new]], arrived[chosen])[0]
        chosen = [old for old, leaves in zip(chosen, beaten) if not leaves]
        before = _divs(nodes, distance, chosen, alpha)
        after = _divs(nodes, distance, [*chosen, new], alpha)
        if len(chosen) < k and after - before >= ((1 + epsilon) / 2 - before) / (k - len(chosen)):
            chosen.append(new)
    return chosen


def _divs(nodes: np.ndarray, distance: np.ndarray, chosen: list[int], alpha: float) -> float:
    covered = nodes[chosen].any(axis=0).sum() / nodes.shape[1]
    return float(alpha * covered + (1 - alpha) * distance[np.ix_(chosen, chosen)].sum() / 2)


def _fill(
    nodes: np.ndarray,
    distance: np.ndarray,
    chosen: list[int],
    k: int,
    weights: _Weights,
    *,
    allowed: np.ndarray | None = None,
) -> list[int]:
    """`chosen` and further candidates of largest gain, up to k, among those allowed [n] (None: all)."""
    allowed = np.ones(len(nodes), bool) if allowed is None else allowed
    covered = nodes[chosen].any(axis=0)
    chosen = list(chosen)
    apart = distance[chosen].sum(axis=0)
    while len(chosen) < min(k, int(np.count_nonzero(allowed))):
        fresh = (nodes & ~covered).sum(axis=1)
        gain = weights.coverage * fresh / nodes.shape[1] + weights.spread * apart
        gain = np.where(allowed, np.round(gain, SETTLED), -1.0)
        gain[chosen] = -1.0
        best = int(gain.argmax())
        chosen.append(best)
        covered = covered | nodes[best]
        apart = apart + distance[best]
    return chosen


def cosine(embeddings: np.ndarray) -> np.ndarray:
    """Cosine similarities [n, n] of embeddings [n, d]; zero vectors are orthogonal to all others."""
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = np.divide(embeddings, length, out=np.zeros_like(embeddings), where=length > 0)
    similar = np.round(np.clip(unit @ unit.T, -1.0, 1.0), 12)  # equal directions have distance 0
    nothing = length[:, 0] == 0
    similar[np.ix_(nothing, nothing)] = 1.0
    return similar


def angular(embeddings: np.ndarray) -> np.ndarray:
    """Angles between embeddings [n, d] as a share of pi, [n, n]: a metric on directions."""
    return np.arccos(cosine(embeddings)) / np.pi
