"""The patterns of a class, as the user gets them: what recurs in the explanations of its targets."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sxq.graph.types import read_type
from sxq.values.views import view

if TYPE_CHECKING:
    import networkx


def fidelity(raw: Mapping[str, float]) -> float:
    """How faithful a member is, from its raw measures: the mean of fdl+ and 1 - |fdl-|."""
    return (raw["fdl+"] + 1 - abs(raw["fdl-"])) / 2


@dataclass(frozen=True, eq=False, kw_only=True)
class PatternMatch:
    """An explanation that holds a pattern, and one place where it does."""

    target: Any  # key of the explanation's target
    rank: int  # of the explanation in its answer
    nodes: tuple[Any, ...]  # key of the explanation's node for each node of the pattern


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassPattern:
    """A small labelled graph that explanations of a class have in common."""

    number: int  # place in the result, from 1: by support, then size
    of_class: int
    labels: tuple[str, ...]  # of its nodes 0..n-1
    labelled_by: str  # what the labels are: prediction, label, feature, none, or a node column
    edges: tuple[tuple[int, int], ...]  # by node; a pair of an undirected graph comes once
    directed: bool
    held_by: int  # targets of which some explanation holds it
    targets: int  # that have explanations
    fidelity: float  # mean over these targets of that of their best member that holds it
    alike: int = 1  # patterns with the same support, fidelity and size, this one among them
    kind: str = "node"  # of the targets
    matches: tuple[PatternMatch, ...] = field(default=(), repr=False)
    node_types: tuple[str, ...] = ()  # of its nodes; empty in a graph without types
    # Of its edges, such as `account -pays-> merchant`; empty in a graph without types, and in patterns
    # of older files, which did not tell relations apart.
    edge_types: tuple[str, ...] = ()
    # Whether each edge goes from u to v; false for a pair of edges of one type. Empty: all as `directed`.
    one_way: tuple[bool, ...] = ()

    @property
    def arrows(self) -> tuple[bool, ...]:
        """Whether each edge goes from u to v, and not both ways."""
        return self.one_way or (self.directed,) * self.size

    @property
    def relations(self) -> tuple[str, ...]:
        """The relation of each edge; empty texts in a graph without types."""
        if not self.edge_types:
            return ("",) * self.size
        return tuple(kind[1] if (kind := read_type(text)) else text for text in self.edge_types)

    @property
    def support(self) -> float:
        """The share of the targets that hold it."""
        return self.held_by / self.targets

    @property
    def size(self) -> int:
        """The number of edges."""
        return len(self.edges)

    @property
    def num_nodes(self) -> int:
        """The number of nodes."""
        return len(self.labels)

    @property
    def shape(self) -> str:
        """Its shape in words: edge, path, star, tree, triangle, cycle, house, clique or subgraph."""
        return _shape(self.num_nodes, self.edges)

    @property
    def row(self) -> tuple:
        """The pattern as a row of `COLUMNS`."""
        edges = ", ".join(
            f"{u}{_line(relation, arrow)}{v}"
            for (u, v), relation, arrow in zip(self.edges, self.relations, self.arrows)
        )
        named = " ".join(f"{i}:{label}" for i, label in enumerate(self.labels))
        labels = "" if self.labelled_by == "none" else named
        measured = (round(self.support, 4), self.held_by, self.fidelity)
        shape = (self.number, self.shape, self.size, self.num_nodes)
        return (*shape, *measured, self.alike, labels, edges)

    def sentence(self) -> str:
        """How many targets hold it: `41 of 50 nodes of class 2 have ... a house of 6 edges`."""
        s = "" if self.targets == 1 else "s"
        verb = "has" if self.held_by == 1 else "have"
        edges = f"{self.size} edge{'' if self.size == 1 else 's'}"
        what = "a single edge" if self.size == 1 else f"a {self.shape} of {edges}"
        return (
            f"{self.held_by} of {self.targets} {self.kind}{s} of class {self.of_class} {verb} an "
            f"explanation that holds pattern {self.number}, {what}{self._kinds()} "
            f"(mean fidelity {self.fidelity:.2f})."
        )

    def _kinds(self) -> str:
        """The types of its edges in words: ` (account -pays-> merchant, 2 device -used_by-> account)`."""
        counts = Counter(self.edge_types)
        if not counts:
            return ""
        texts = [name if count == 1 else f"{count} times {name}" for name, count in counts.items()]
        return f" ({', '.join(texts)})"

    def to_networkx(self) -> "networkx.Graph":
        """The pattern as a networkx graph; the node attribute `label` holds the labels.

        Of a heterogeneous graph it is a MultiDiGraph whose nodes have a `node_type` and whose edges have
        an `edge_type`; a pair of edges of one type comes in both directions.
        """
        return view("ClassPattern.to_networkx", self)

    def _repr_html_(self) -> str:
        return view("ClassPattern._repr_html_", self)


COLUMNS = (
    "pattern",
    "shape",
    "size",
    "num_nodes",
    "support",
    "held_by",
    "fidelity",
    "alike",
    "labels",
    "edges",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassFindings:
    """What EXPLAIN CLASS found beyond the answers of its targets."""

    of_class: int
    patterns: tuple[ClassPattern, ...]
    notes: tuple[str, ...]  # what a reader must know to read them right

    @property
    def foremost(self) -> ClassPattern | None:
        """The pattern to look at first: the one that holds most edges over all targets."""
        return max(
            self.patterns, key=lambda p: (p.held_by * p.size, p.fidelity, -p.number), default=None
        )

    def summary(self) -> str:
        """One sentence: what recurs most."""
        if self.foremost is None:
            return f"No pattern recurs in the explanations of class {self.of_class}."
        return self.foremost.sentence()


def _line(relation: str, arrow: bool) -> str:
    """An edge between two numbers: `-`, `>`, ` -pays-> `, ` -knows- `."""
    if not relation:
        return ">" if arrow else "-"
    return f" -{relation}-> " if arrow else f" -{relation}- "


def _shape(nodes: int, edges: tuple[tuple[int, int], ...]) -> str:
    pairs = {frozenset(edge) for edge in edges}
    degrees = Counter(node for pair in pairs for node in pair)
    most = max(degrees.values(), default=0)
    if len(pairs) == 1:
        return "edge"
    if len(pairs) == nodes - 1:
        return "path" if most == 2 else "star" if most == len(pairs) else "tree"
    if len(pairs) == nodes and set(degrees.values()) == {2}:
        return "triangle" if nodes == 3 else f"cycle of {nodes} nodes"
    if len(pairs) == nodes * (nodes - 1) // 2:
        return f"clique of {nodes} nodes"
    if sorted(degrees.values()) == [2, 2, 2, 3, 3] and _triangle(pairs):
        return "house"
    return "subgraph"


def _triangle(pairs: set[frozenset[int]]) -> bool:
    """Whether three pairs close a triangle."""
    ends = [tuple(pair) for pair in pairs]
    nodes = {node for pair in pairs for node in pair}
    return any(
        {frozenset((u, w)), frozenset((v, w))} <= pairs for u, v in ends for w in nodes - {u, v}
    )
