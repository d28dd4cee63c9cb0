"""Slow twins of sxq/scoring: quadratic or exponential, in whole numbers and fractions, obviously right.

A candidate is (id, scores, size, bits): scores a tuple of whole steps of 1e-4, bits packed bytes.
Larger scores are better; `epsilon` is a float of at most six decimals.
"""

from fractions import Fraction
from itertools import combinations
from math import inf, prod
from typing import NamedTuple

import networkx as nx
from networkx.algorithms.isomorphism import categorical_multiedge_match


class Candidate(NamedTuple):
    id: int
    scores: tuple[int, ...]
    size: int
    bits: bytes


def dominates(b, a):
    """b dominates a: no score of a is larger and one is smaller."""
    return all(x <= y for x, y in zip(a, b)) and any(x < y for x, y in zip(a, b))


def epsilon_dominates(b, a, epsilon):
    """Every score of a is <= (1 + epsilon) x b's and at least one is <= b's."""
    factor = 1 + Fraction(str(epsilon))
    return all(x <= factor * y for x, y in zip(a, b)) and any(x <= y for x, y in zip(a, b))


def front(candidates):
    """Nobody dominates them; of equal vectors the smaller, then the lexicographically smallest bits."""
    best = {}
    for c in sorted(candidates, key=lambda c: (c.size, c.bits), reverse=True):
        best[c.scores] = c
    members = [
        c
        for c in best.values()
        if not any(dominates(other.scores, c.scores) for other in candidates)
    ]
    return sorted(members, key=lambda c: c.scores, reverse=True)


def dominance(members, candidates, epsilon):
    """DS: how many candidates the members epsilon-dominate together."""
    return sum(
        any(epsilon_dominates(m.scores, c.scores, epsilon) for m in members) for c in candidates
    )


def best_dominance(candidates, epsilon, k):
    """The largest DS of at most k candidates, by trying all."""
    k = min(k, len(candidates))
    return max(
        (dominance(chosen, candidates, epsilon) for chosen in combinations(candidates, k)),
        default=0,
    )


def epsilon_achieved(members, candidates):
    """The smallest epsilon at which the members epsilon-dominate every candidate: a fraction, or infinity."""

    def needed(b, a):
        if all(x > y for x, y in zip(a, b)):
            return inf
        return max(0, *(Fraction(x, y) - 1 for x, y in zip(a, b)))

    return max(min(needed(m.scores, c.scores) for m in members) for c in candidates)


def volume(points):
    """Hypervolume above 0 by inclusion and exclusion over all subsets."""
    return sum(
        (-1) ** (r + 1) * prod(map(min, zip(*subset)))
        for r in range(1, len(points) + 1)
        for subset in combinations(points, r)
    )


def greedy(members, candidates, epsilon, k):
    """Largest gain in DS until it is 0, then largest gain in hypervolume; the first of equals."""
    chosen = []
    while len(chosen) < min(k, len(members)):
        covered = dominance(chosen, candidates, epsilon)
        gains = [(dominance([*chosen, m], candidates, epsilon) - covered, 0) for m in members]
        if max(gains)[0] == 0:
            gains = [(0, volume([c.scores for c in [*chosen, m]])) for m in members]
        left = [i for i, m in enumerate(members) if m not in chosen]
        chosen.append(members[max(left, key=lambda i: (gains[i], -i))])
    return chosen


def swap(arrived, epsilon, k):
    """Procedure 1 of Qiu et al., one candidate at a time."""
    answer = []
    for t, new in enumerate(arrived):
        seen = arrived[: t + 1]
        if any(c.scores == new.scores or dominates(c.scores, new.scores) for c in arrived[:t]):
            continue
        answer = [m for m in answer if not dominates(new.scores, m.scores)]
        if len(answer) < k:
            answer.append(new)
            continue
        weakest = min(answer, key=lambda m: dominance([m], seen, epsilon))
        swapped = [*(m for m in answer if m is not weakest), new]
        if k * dominance(swapped, seen, epsilon) >= (k + 1) * dominance(answer, seen, epsilon):
            answer = swapped
    return answer


def divsx(arrived, nodes, distance, k, alpha, epsilon, first=False):
    """Procedure 4 of Qiu et al., one candidate (score tuple, set of nodes) at a time; then the largest gains.

    With `first` nothing more is looked at once k are in the answer.

    `nodes` is (sets, size of the field); all of `arrived` were new skyline members when they came.
    """
    sets, size = nodes

    def divs(chosen):
        pairs = sum(distance[a][b] for a, b in combinations(chosen, 2))
        return alpha * len(set().union(*(sets[c] for c in chosen))) / size + (1 - alpha) * pairs

    answer = []
    for new in range(len(arrived)):
        answer = [old for old in answer if not dominates(arrived[new], arrived[old])]
        gain = divs([*answer, new]) - divs(answer)
        if len(answer) < k and gain >= ((1 + epsilon) / 2 - divs(answer)) / (k - len(answer)):
            answer.append(new)
        if first and len(answer) == k:
            return answer
    free = [
        c for c in range(len(arrived)) if not any(dominates(other, arrived[c]) for other in arrived)
    ]
    while len(answer) < min(k, len(free)):
        left = [c for c in free if c not in answer]
        answer.append(max(left, key=lambda c: (round(divs([*answer, c]) - divs(answer), 9), -c)))
    return answer


def best_joint_dominance(fronts, candidates, epsilon, k):
    """The largest sum of DS over targets of k members of the fronts, at least one of each, by trying all."""
    union = [(target, member) for target, front in enumerate(fronts) for member in front]
    best = 0
    for chosen in combinations(union, min(k, len(union))):
        members = [[m for t, m in chosen if t == target] for target in range(len(fronts))]
        if all(own or not front for own, front in zip(members, fronts)):
            best = max(
                best, sum(dominance(own, all_, epsilon) for own, all_ in zip(members, candidates))
            )
    return best


def union_members(targets):
    """The (target, scores) that no candidate of any target dominates."""
    pool = [(t, scores) for t, rows in enumerate(targets) for scores in rows]
    return [one for one in pool if not any(dominates(other, one[1]) for _, other in pool)]


def union_dominance(chosen, targets, epsilon):
    """DS over all targets: how many candidates of any target some chosen score vector epsilon-dominates."""
    pool = [scores for rows in targets for scores in rows]
    return sum(any(epsilon_dominates(m, scores, epsilon) for m in chosen) for scores in pool)


def best_union_dominance(targets, epsilon, k):
    """The largest such DS of at most k members of the union's front, by trying all."""
    vectors = sorted({scores for _, scores in union_members(targets)})
    return max(
        (
            union_dominance(chosen, targets, epsilon)
            for chosen in combinations(vectors, min(k, len(vectors)))
        ),
        default=0,
    )


def graph_of(labels, edges, directed):
    graph = nx.DiGraph() if directed else nx.Graph()
    for edge in edges:
        graph.add_edge(*edge)
    for node in graph:
        graph.nodes[node]["label"] = labels[node]
    return graph


def same(one, other):
    return nx.is_isomorphic(one, other, node_match=lambda a, b: a["label"] == b["label"])


def typed_graph_of(labels, edges, relations):
    """As `graph_of`, with parallel edges of several relations; edges that go both ways are two."""
    graph = nx.MultiDiGraph()
    for (u, v), (name, one_way) in zip(edges, relations):
        graph.add_edge(u, v, relation=name)
        if not one_way:
            graph.add_edge(v, u, relation=name)
    for node in graph:
        graph.nodes[node]["label"] = labels[node]
    return graph


def same_typed(one, other):
    return nx.is_isomorphic(
        one,
        other,
        node_match=lambda a, b: a["label"] == b["label"],
        edge_match=categorical_multiedge_match("relation", None),
    )


def every_typed_pattern(members, largest):
    """[(graph, size, {target: best fidelity})], as `every_pattern`."""
    found = []
    for member in members:
        for size in range(1, largest + 1):
            for chosen in combinations(range(len(member.edges)), size):
                edges = [member.edges[i] for i in chosen]
                graph = typed_graph_of(member.labels, edges, [member.relations[i] for i in chosen])
                if not nx.is_weakly_connected(graph):
                    continue
                held = next((held for other, _, held in found if same_typed(other, graph)), None)
                if held is None:
                    held = {}
                    found.append((graph, size, held))
                held[member.target] = max(held.get(member.target, -1), member.fidelity)
    return found


def every_pattern(members, directed, largest):
    """[(graph, {target: best fidelity})] of all connected sets of edges, by pairwise comparison."""
    found = []
    for member in members:
        for size in range(1, largest + 1):
            for chosen in combinations(member.edges, size):
                graph = graph_of(member.labels, chosen, directed)
                if not nx.is_connected(graph.to_undirected()):
                    continue
                held = next((held for other, held in found if same(other, graph)), None)
                if held is None:
                    held = {}
                    found.append((graph, held))
                held[member.target] = max(held.get(member.target, -1), member.fidelity)
    return found
