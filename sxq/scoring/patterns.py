"""The patterns of a class: connected subgraphs that recur in its explanations, up to isomorphism.

Patterns grow one edge at a time, from single edges, and only while enough targets hold them: a
pattern is never held by more targets than a part of it (Kuramochi and Karypis, "Frequent subgraph
discovery", ICDM 2001). Two subgraphs have the same pattern if a renaming of nodes that keeps labels
and edges turns one into the other. A hash by colour refinement (Weisfeiler and Leman) sorts
subgraphs into buckets; inside a bucket networkx decides exactly. In a heterogeneous graph the renaming
also keeps the relations of edges: two subgraphs that differ in one relation have different patterns.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from networkx.algorithms.isomorphism import DiGraphMatcher, GraphMatcher

from sxq.scoring.dominance import dominated

ROUNDS = 2  # of colour refinement: enough to tell most patterns of a few edges apart
LOOKS = 500  # subgraphs between two looks at whether the search was stopped
OCCURRENCES = 20_000  # most subgraphs of one size that are looked at, in all members together


class Relation(NamedTuple):
    """What kind of edge an edge is."""

    name: str  # of its type; empty in a graph without types
    one_way: bool  # whether its tail and its head differ, so that its reverse is another edge


@dataclass(frozen=True, eq=False, kw_only=True)
class Member:
    """A member of an answer, as a labelled graph: the place where patterns are looked for."""

    target: Hashable
    labels: tuple[Hashable, ...]  # of its nodes 0..n-1
    # (tail, head) by node, without loops and repetitions; a pair of an undirected graph comes once
    edges: tuple[tuple[int, int], ...]
    fidelity: float  # a number that is better if it is larger
    relations: tuple[Relation, ...] = ()  # of its edges; empty in a graph without types

    @cached_property
    def edges_at(self) -> list[list[int]]:
        """The edges at each node."""
        found: list[list[int]] = [[] for _ in self.labels]
        for number, (tail, head) in enumerate(self.edges):
            found[tail].append(number)
            found[head].append(number)
        return found


@dataclass(frozen=True, eq=False, kw_only=True)
class Pattern:
    """A labelled connected graph that members hold."""

    labels: tuple[Hashable, ...]  # of its nodes 0..n-1
    edges: tuple[tuple[int, int], ...]
    relations: tuple[Relation, ...]  # of its edges
    support: float  # the share of the targets of which some member holds it
    fidelity: float  # the mean over these targets of the largest fidelity of a member that holds it
    alike: int  # patterns with the same support, fidelity and size, itself among them
    place: Callable[[], dict[int, tuple[int, ...]]]

    @property
    def size(self) -> int:
        """The number of edges."""
        return len(self.edges)

    @cached_property
    def places(self) -> dict[int, tuple[int, ...]]:
        """For every member that holds it, the member's node for each node of the pattern.

        A member may hold it in several places; this is one of them.
        """
        return self.place()


@dataclass(frozen=True)
class Mined:
    """The patterns that no other pattern dominates, and whether the search left any out.

    Of patterns with equal values there is one, that with the fewest nodes: it closes most cycles.
    """

    patterns: tuple[Pattern, ...]  # by support, then size
    frequent: int  # patterns that enough targets hold, dominated ones included
    complete: bool  # whether every subgraph was looked at
    largest: int  # most edges of the subgraphs looked at


def mine(
    members: Sequence[Member], directed: bool, largest: int = 6, least_support: float = 0.1
) -> Mined:
    """The skyline of patterns over support, fidelity and size; all three are better if larger.

    Patterns have at most `largest` edges and a support of at least `least_support`, and at least
    two targets hold them, where there are two. Size counts as better if larger because a part of a
    pattern always has at least its support.
    """
    *_, last = levels(members, directed, largest, least_support)
    return last


def levels(
    members: Sequence[Member],
    directed: bool,
    largest: int = 6,
    least_support: float = 0.1,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Mined]:
    """What `mine` finds among the patterns of one edge, then of at most two, and so on.

    It ends early once `stopped()`; what was yielded until then is whole for its sizes.
    """
    targets = {member.target for member in members}
    enough = max(min(2, len(targets)), int(np.ceil(least_support * len(targets) - 1e-9)))
    search = _Patterns(members, directed, stopped)
    level = search.classify(
        (m, 1 << edge) for m, member in enumerate(members) for edge in range(len(member.edges))
    )
    found: dict[int, Masks] = {}
    complete = True
    for size in range(1, largest + 1):
        frequent = {
            number: masks
            for number, masks in level.items()
            if len({members[m].target for m in masks}) >= enough
        }
        found |= frequent
        best = _skyline([search.pattern(number, masks) for number, masks in found.items()])
        yield Mined(tuple(best), len(found), complete, size)
        if size == largest or not frequent:
            return
        level, whole = search.extend(frequent)
        complete &= whole
        if stopped():
            return


def _skyline(patterns: list[Pattern]) -> list[Pattern]:
    if not patterns:
        return []
    # Means of the same numbers in another order differ in their last digits.
    values = np.array([[one.support, round(one.fidelity, 9), one.size] for one in patterns])
    equal: dict[tuple, list[Pattern]] = defaultdict(list)
    for pattern, point, out in zip(patterns, values.tolist(), dominated(values, values)):
        if not out:
            equal[tuple(point)].append(pattern)
    kept = [
        replace(min(alike, key=lambda one: len(one.labels)), alike=len(alike))
        for alike in equal.values()
    ]
    return sorted(kept, key=lambda pattern: (-pattern.support, -pattern.size, -pattern.fidelity))


Edge = tuple[int, int, Relation]  # tail, head
# A set of edges of a member, one bit for each edge.
Masks = dict[int, set[int]]  # by member


class _Patterns:
    """Sorts subgraphs of members, given as masks of their edges, by pattern."""

    def __init__(self, members: Sequence[Member], directed: bool, stopped: Callable[[], bool]):
        self.members = members
        self.stopped = stopped
        typed = any(member.relations for member in members)
        plain = Relation("", directed)
        # The relations of each member's edges; all are alike in a graph without types.
        self._relations = [member.relations or (plain,) * len(member.edges) for member in members]
        # Some relations may be one-way and others not; then the latter run in both directions.
        self._new: Callable[[], nx.Graph] = nx.DiGraph if directed or typed else nx.Graph
        self._match: Any = partial(
            DiGraphMatcher if directed or typed else GraphMatcher,
            node_match=_same_label,
            edge_match=_same_relations if typed else None,
        )
        # Labels by number: the hash of a text differs from process to process.
        self._codes: dict[Hashable, int] = {}
        self._relation_codes: dict[Relation, int] = {}
        self._known: list[nx.Graph] = []
        self._numbers: dict[tuple, int] = {}  # of a pattern, by any form of it that was met
        self._buckets: dict[Hashable, list[int]] = defaultdict(list)  # patterns by hash

    def classify(self, subgraphs: Iterable[tuple[int, int]]) -> dict[int, Masks]:
        """Subgraphs (member, mask) by the number of their pattern; a part of them once stopped."""
        found: dict[int, Masks] = {}
        for place, (member, mask) in enumerate(subgraphs):
            if place % LOOKS == 0 and self.stopped():
                break
            masks = found.setdefault(self._number(member, mask), {})
            masks.setdefault(member, set()).add(mask)
        return found

    def extend(self, level: Mapping[int, Masks]) -> tuple[dict[int, Masks], bool]:
        """All connected subgraphs with one edge more than some, and whether none was left out."""
        grown: dict[int, set[int]] = defaultdict(set)
        for masks in level.values():
            for m, held in masks.items():
                for mask in held:
                    grown[m].update(mask | 1 << edge for edge in _beside(self.members[m], mask))
        share = max(1, OCCURRENCES // max(1, len(grown)))
        complete = all(len(masks) <= share for masks in grown.values())
        return self.classify(
            (m, mask) for m, masks in grown.items() for mask in _spread(sorted(masks), share)
        ), complete

    def pattern(self, number: int, masks: Masks) -> Pattern:
        """A pattern with its support and fidelity."""
        graph = self._known[number]
        best: dict[Hashable, float] = {}
        for m in masks:
            member = self.members[m]
            best[member.target] = max(best.get(member.target, -np.inf), member.fidelity)
        return Pattern(
            labels=tuple(graph.nodes[node]["label"] for node in range(len(graph))),
            edges=tuple((tail, head) for tail, head, _ in graph.graph["edges"]),
            relations=tuple(relation for *_, relation in graph.graph["edges"]),
            support=len(best) / len({member.target for member in self.members}),
            fidelity=float(np.mean(list(best.values()))),
            alike=1,
            place=partial(self._places, graph, masks),
        )

    def _places(self, graph: nx.Graph, masks: Masks) -> dict[int, tuple[int, ...]]:
        return {m: self._place(graph, m, min(held)) for m, held in masks.items()}

    def _number(self, m: int, mask: int) -> int:
        """The number of the pattern of a subgraph; a new pattern gets the next one."""
        nodes, edges, key = self._form(m, mask)
        form = (tuple(self.members[m].labels[node] for node in nodes), tuple(edges))
        if (known := self._numbers.get(form)) is None:
            graph = self._graph(*form)
            bucket = self._buckets[key]
            known = next((n for n in bucket if self._equal(self._known[n], graph)), None)
            if known is None:
                known = len(self._known)
                self._known.append(graph)
                bucket.append(known)
            self._numbers[form] = known
        return known

    def _form(self, m: int, mask: int) -> tuple[list[int], list[Edge], Hashable]:
        """A subgraph with its nodes in the order of their colours: (nodes, edges by place, hash)."""
        member = self.members[m]
        edges = [(*member.edges[edge], self._relations[m][edge]) for edge in _edges(mask)]
        colours = self._colours(member, edges)
        nodes = sorted(colours, key=lambda node: (colours[node], node))
        place = {node: i for i, node in enumerate(nodes)}
        ends = [(place[tail], place[head], relation) for tail, head, relation in edges]
        ends = [
            edge if edge[2].one_way or edge[0] < edge[1] else (edge[1], edge[0], edge[2])
            for edge in ends
        ]
        return nodes, sorted(ends), tuple(sorted(colours.values()))

    def _colours(self, member: Member, edges: list[Edge]) -> dict[int, int]:
        """Colours of the nodes: equal where no round of refinement tells two nodes apart."""
        around: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for tail, head, relation in edges:
            side = 2 * self._relation_codes.setdefault(relation, len(self._relation_codes))
            around[tail].append((head, side))
            around[head].append((tail, side + int(relation.one_way)))
        colours = {
            node: self._codes.setdefault(member.labels[node], len(self._codes)) for node in around
        }
        for _ in range(ROUNDS):
            colours = {
                node: hash(
                    (colours[node], *sorted((side, colours[other]) for other, side in beside))
                )
                for node, beside in around.items()
            }
        return colours

    def _graph(self, labels: Sequence[Hashable], edges: Sequence[Edge]) -> nx.Graph:
        graph = self._new()
        graph.graph["edges"] = edges
        graph.add_nodes_from((node, {"label": label}) for node, label in enumerate(labels))
        for tail, head, relation in edges:
            _add(graph, tail, head, relation)
            if graph.is_directed() and not relation.one_way:
                _add(graph, head, tail, relation)
        return graph

    def _equal(self, pattern: nx.Graph, other: nx.Graph) -> bool:
        return self._match(pattern, other).is_isomorphic()

    def _place(self, pattern: nx.Graph, m: int, mask: int) -> tuple[int, ...]:
        """The node of a subgraph for each node of its pattern."""
        nodes, edges, _ = self._form(m, mask)
        labels = [self.members[m].labels[node] for node in nodes]
        found = self._match(pattern, self._graph(labels, edges))
        assert found.is_isomorphic(), "a subgraph has the pattern that it was sorted into"
        return tuple(nodes[found.mapping[node]] for node in range(len(pattern)))


def _add(graph: nx.Graph, tail: int, head: int, relation: Relation) -> None:
    """Add an edge; of parallel ones there is one, with the relations of all."""
    before = graph.edges[tail, head]["relations"] if graph.has_edge(tail, head) else ()
    graph.add_edge(tail, head, relations=tuple(sorted((*before, relation))))


def _spread(masks: list[int], most: int) -> list[int]:
    """At most so many of the masks, evenly spread."""
    return masks[:: max(1, -(-len(masks) // most))]


def _same_label(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one["label"] == other["label"]


def _same_relations(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one["relations"] == other["relations"]


def _edges(mask: int) -> list[int]:
    """The numbers of the bits that are set."""
    found = []
    while mask:
        lowest = mask & -mask
        found.append(lowest.bit_length() - 1)
        mask ^= lowest
    return found


def _beside(member: Member, mask: int) -> set[int]:
    """The edges that share a node with a subgraph and are not in it."""
    nodes = {node for edge in _edges(mask) for node in member.edges[edge]}
    return {edge for node in nodes for edge in member.edges_at[node] if not mask >> edge & 1}
