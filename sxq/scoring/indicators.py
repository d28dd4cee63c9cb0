"""The quality of an answer: the indicators of the papers, stability across seeds, agreement with a ground truth.

The first group judges points: an answer is [n, M], larger is better in every column. `scale` turns an answer of
another form into such points. Without `scale`, answers are points already; `on_scores(...)` reads the
scores of explanations, `on_paper_scale(edges)` their raw values in the way the published figures are drawn.
For several targets take the mean over the targets; a union of answers is taken per target.
An empty answer, [0, M] or a plain [], gets the worst value; its mean is NaN. Everything measured
against an empty union, or when nothing was examined, is NaN without a warning.

    nipf, nigd, nms                Qiu et al., "Generating Skyline Explanations for Graph Neural Networks",
                                   equations 9, 10 and 11
    hypervolume                    Zitzler and Thiele 1998; see hypervolume.py
    coverage, epsilon_achieved     of everything examined; Papadimitriou and Yannakakis 2000

The second group judges edges: a member is a set of directed edges (`explanation.edges`).

    stability                      Jaccard similarity of the answers of several seeds
    agreement                      precision and recall against ground-truth edges
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np

from sxq.errors import InvalidValue
from sxq.scoring.dominance import (
    epsilon_dominates,
    epsilon_needed,
    millionths,
    pareto,
    slices,
    to_grid,
)
from sxq.scoring.hypervolume import Free, hypervolume

__all__ = [
    "Agreement",
    "Free",
    "Match",
    "Stability",
    "agreement",
    "coverage",
    "epsilon_achieved",
    "hypervolume",
    "nigd",
    "nipf",
    "nms",
    "on_paper_scale",
    "on_scores",
    "pareto",
    "stability",
]

Scale = Callable[[Any], np.ndarray]  # an answer -> points [n, M] float64
Edges = frozenset[tuple[Any, Any]]


def on_scores(*measures: str) -> Scale:
    """The scale of the engine: the scores of these measures, in (0, 1]."""

    def points(explanations: Iterable[Any]) -> np.ndarray:
        rows = [[e.scores[name] for name in measures] for e in explanations]
        return np.array(rows, dtype=np.float64).reshape(-1, len(measures))

    return points


def on_paper_scale(edges: int | Mapping[Any, int]) -> Scale:
    """The scale of the published figures: (fdl+, 1 - fdl-, 1 - log|E_s| / log|E|), not clipped or rounded.

    |E_s| counts the directed edges of an explanation, `edges` is |E| of the node-induced L-hop subgraph
    (`sxq.graph.induced_edges`), one number or one for each target. Where |E| = 1 the third value is 1.
    """

    def point(e: Any) -> tuple[float, float, float]:
        total = edges[e.target] if isinstance(edges, Mapping) else edges
        share = np.log(e.edge_index.shape[1]) / np.log(total) if total > 1 else 0.0
        return e.raw["fdl+"], 1 - e.raw["fdl-"], 1 - share

    return lambda explanations: np.array(
        [point(e) for e in explanations], dtype=np.float64
    ).reshape(-1, 3)


def nipf(answer: Any, scale: Scale = np.asarray) -> float:
    """Normalised integrated preference function, larger is better: the mean of all values (equation 9).

    nIPF(A) = 1 / (|A| |Phi|) sum over G in A, phi in Phi of phi(G). NaN for an empty answer.
    """
    points = _points(answer, scale)
    return float(points.mean()) if points.size else float("nan")


def nigd(answer: Any, union: Any, k: int = 10, scale: Scale = np.asarray) -> float:
    """Normalised inverted generational distance, smaller is better (equation 10).

    nIGD(A) = 1 / (k |Phi|) sum over phi, G' in top_k(phi) of min over G in A of |phi(G) - phi(G')|: for every
    measure the mean distance to the k largest values in the union of all compared answers, in which
    equal vectors count once. A union of fewer than k points is used completely. NaN for an empty
    union; otherwise infinite for an empty answer.
    """
    points = _points(answer, scale)
    reference = np.unique(_points(union, scale), axis=0)
    if not len(points) or not len(reference):
        return float("inf") if len(reference) else float("nan")
    top = -np.sort(-reference, axis=0)[:k]
    return float(np.abs(top[:, None] - points[None]).min(axis=1).mean())


def nms(answer: Any, union: Any, scale: Scale = np.asarray) -> np.ndarray:
    """Normalised maximum spread, larger is better, [M] (equation 11).

    nMS(A)^phi = max over G in A of phi(G) / max over G' in the union of phi(G'). NaN where the best is 0 or
    less, and for an empty union; else 0 for an empty answer.
    """
    points = _points(answer, scale)
    reference = _points(union, scale)
    width = max(points.shape[1], reference.shape[1])  # a plain [] has no columns
    best = reference.max(axis=0) if len(reference) else np.zeros(width)
    reached = points.max(axis=0) if len(points) else np.zeros(width)
    return np.divide(reached, best, out=np.full(width, np.nan), where=best > 0)


def _points(answer: Any, scale: Scale) -> np.ndarray:
    """An answer as points [n, M], a plain [] as [0, 0]."""
    points = scale(answer)
    return points if len(points) else points.reshape(0, *points.shape[1:] or (0,))


def coverage(answer: np.ndarray, examined: np.ndarray, epsilon: float) -> float:
    """The share of the examined score vectors [n, M] that the answer's [k, M] epsilon-dominate.

    Scores are multiples of 1e-4 in (0, 1], dominance is that of dominance.py. 0 for an empty answer; NaN
    where nothing was examined.
    """
    if len(examined) and not len(answer):
        return 0.0  # it may come without columns
    vectors = to_grid(examined)
    members = to_grid(answer)
    covered = [
        epsilon_dominates(members, vectors[rows], millionths(epsilon)).any(axis=0)
        for rows in slices(len(vectors), len(members))
    ]
    return float(np.concatenate(covered).mean()) if covered else float("nan")


def epsilon_achieved(answer: np.ndarray, examined: np.ndarray) -> float:
    """The smallest epsilon (up to 1e-6) at which `coverage` is 1; infinite where there is none, as for an empty
    answer. NaN where nothing was examined."""
    return epsilon_needed(to_grid(answer), to_grid(examined)) if len(examined) else float("nan")


@dataclass(frozen=True)
class Stability:
    """The similarity of the answers of several seeds; 1 means that they are the same."""

    members: float  # mean Jaccard similarity of a member to the most similar one of another answer
    edges: float  # mean Jaccard similarity of the unions of two answers' edges


def stability(answers: Sequence[Iterable[Iterable[tuple[Any, Any]]]]) -> Stability:
    """The similarity of answers, each a list of members, each a list of edges: the mean over pairs.

    Jaccard(a, b) = |a & b| / |a | b|. Two empty answers are alike (1), an empty and another are not (0).
    Raises InvalidValue for fewer than two answers.
    """
    held = [[frozenset(member) for member in answer] for answer in answers]
    pairs = list(combinations(held, 2))
    if not pairs:
        raise InvalidValue(f"stability compares two answers or more, {len(held)} given")
    return Stability(
        members=fmean(_matched(a, b) for a, b in pairs),
        edges=fmean(_jaccard(_union(a), _union(b)) for a, b in pairs),
    )


def _matched(a: list[Edges], b: list[Edges]) -> float:
    """The mean similarity of every member of either answer to its most similar counterpart."""
    if not a or not b:
        return float(len(a) == len(b))
    nearest = [
        max(_jaccard(m, other) for other in theirs)
        for ours, theirs in ((a, b), (b, a))
        for m in ours
    ]
    return fmean(nearest)


def _jaccard(a: Edges, b: Edges) -> float:
    return len(a & b) / len(a | b) if a | b else 1.0


def _union(answer: Iterable[Edges]) -> Edges:
    return frozenset().union(*answer)


@dataclass(frozen=True)
class Match:
    """One set of edges against the true ones."""

    precision: float  # share of its edges that are true; NaN without edges
    recall: float  # share of the true edges that it has
    f1: float  # their harmonic mean


@dataclass(frozen=True)
class Agreement:
    """An answer against the true edges."""

    best: Match  # its best member, by f1
    union: Match  # all its members' edges together


def agreement(
    answer: Iterable[Iterable[tuple[Any, Any]]], truth: Iterable[tuple[Any, Any]]
) -> Agreement:
    """Edge precision and recall of an answer against a ground truth, such as the motif of BA-Shapes.

    On an undirected graph the truth has both directions of an edge, as `explanation.edges` has. For
    an empty answer, precision is NaN, recall and f1 are 0. Raises InvalidValue for a truth without
    edges.
    """
    members = [frozenset(member) for member in answer]
    true = frozenset(truth)
    if not true:
        raise InvalidValue("the ground truth has no edge")
    matches = [_match(member, true) for member in members] or [_match(frozenset(), true)]
    return Agreement(max(matches, key=lambda match: match.f1), _match(_union(members), true))


def _match(found: Edges, true: Edges) -> Match:
    hits = len(found & true)
    precision = hits / len(found) if found else float("nan")
    return Match(precision, hits / len(true), 2 * hits / (len(found) + len(true)))
