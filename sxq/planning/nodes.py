"""The plan: frozen operators, innermost first, and how they print.

A plan is a plain value: it can be pickled and sent to another process. Its text is deterministic: it
has no ids and no addresses, and shows settings as they were set. Each operator declares its line next
to its fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any, ClassVar, NamedTuple, TypeVar

from sxq.graph import EdgeType, Field, Graph, extract, extract_link
from sxq.graph.keys import shown
from sxq.language.statements import Condition
from sxq.scoring.question import TOLERANCE

Operator = TypeVar("Operator")
EdgeKey = tuple[Any, Any]  # the keys of the source and the head of an edge


class Column(NamedTuple):
    """A feature: a column of x."""

    number: int
    name: str


# what INCLUDE and EXCLUDE name: edges, or OVER NODES keys of nodes, or OVER FEATURES columns
Named = tuple[EdgeKey, ...] | tuple[Any, ...] | tuple[Column, ...]

CONNECTED = "connected"  # a flag of WHERE, of links: a path joins the two ends
SHOWN_FIELDS = 5  # more fields than this are shown as minimum / median / maximum


@dataclass(frozen=True, kw_only=True)
class FieldScan:
    """Cut the receptive field of every target out of the graph; if the target is a graph, take all of it."""

    title: ClassVar[str] = "Field"

    graph: str
    directed: bool  # a unit is a directed edge, else a pair
    hops: int
    halo: int
    targets: tuple[Any, ...]  # keys
    positions: tuple[int, ...]  # the same, by position
    # candidate units of each field; of the first ones only where they are many, or time was up
    sizes: tuple[int, ...] = ()
    kind: str = "node"  # of the targets: "node", "link", or "graph" for those of a collection
    without_itself: bool = False  # of links: their own edges are in no graph
    edge_type: EdgeType | None = None  # of links in a heterogeneous graph
    depth: str = ""  # a remark on the hops
    over: str = "edges"  # what units are: "edges", "nodes" or "features"
    baseline: str = "zero"  # of removed features: "zero" or "mean"
    anywhere: bool = False  # candidates need not be connected
    include: Named = ()  # edges of which every candidate holds the unit, or these units
    exclude: Named = ()  # edges of which no candidate holds the unit, or these units

    def field(self, graph: Graph, position: int, halo: int) -> Field:
        """The field of a node or of a link, with edges as units and so many rings of context."""
        if self.kind == "link":
            itself = not self.without_itself
            return extract_link(
                graph,
                position,
                self.hops,
                halo,
                self.directed,
                itself=itself,
                edge_type=self.edge_type,
            )
        return extract(graph, position, self.hops, halo, self.directed)

    def line(self) -> str:
        return self._fields() + self._restriction()

    def _restriction(self) -> str:
        """What candidates must hold, must not hold, or need not be."""
        parts = [
            f"; {word} {_named(self.over, units)}"
            for word, units in (("include", self.include), ("exclude", self.exclude))
            if units
        ]
        return "".join(
            [*parts, "; anywhere" * self.anywhere, "; without itself" * self.without_itself]
        )

    def _fields(self) -> str:
        unit = {
            "edges": "directed edges" if self.directed else "pairs",
            "nodes": "nodes",
            "features": f"features (baseline {self.baseline})",
        }[self.over]
        if len(self.sizes) <= SHOWN_FIELDS:
            fields = ", ".join(
                f"{self.kind} {shown(key)}: {size}" for key, size in zip(self.targets, self.sizes)
            )
        else:
            low = min(self.sizes)
            mid = median_low(self.sizes)
            high = max(self.sizes)
            some = (
                "" if len(self.sizes) == len(self.targets) else f" of the first {len(self.sizes)}"
            )
            fields = f"{len(self.targets)} {self.kind}s: {low} / {mid} / {high} (least / median / most{some})"
        if self.kind == "graph":
            return f"graphs {self.graph}; whole graphs; {unit} of {fields}"
        depth = f" ({self.depth})" if self.depth else ""
        return f"graph {self.graph}; {self.hops} hops + {self.halo} halo{depth}; {unit} of {fields}"


@dataclass(frozen=True)
class Generate:
    """Propose candidates: several generators take turns on one lattice."""

    title: ClassVar[str] = "Generate"

    child: FieldScan
    generators: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]  # (name, options)
    budget: int  # distinct candidates verified per target
    within: float | None  # seconds for the statement
    seed: int
    # share of the budget over which a front must grow, or its search ends; 1 never ends it early
    patience: float = 1.0

    def line(self) -> str:
        calls = [
            name + (f"({', '.join(f'{k} = {v}' for k, v in options)})" if options else "")
            for name, options in self.generators
        ]
        turns = " in turn" if len(calls) > 1 else ""
        limit = f"; within {self.within:g} seconds" if self.within is not None else ""
        patience = f"; patience {self.patience:g}" if self.patience < 1 else ""
        return (
            f"{', '.join(calls)}{turns}; budget {self.budget} candidates per target{patience}{limit}; "
            f"seed {self.seed}"
        )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The question of a statement: the task of its model, and what its clauses chose."""

    task: str = "multiclass"
    column: int | None = None  # of FOR CLASS
    against: int | None = None  # of AGAINST
    tolerance: float = TOLERANCE  # of regression, in spreads

    def __str__(self) -> str:
        """In words; empty for the predicted class."""
        named = {"multilabel": "label", "regression": "column"}.get(self.task, "class")
        parts = [] if self.task in ("multiclass", "binary") else [self.task]
        if self.column is not None:
            parts.append(f"for {named} {self.column}")
        if self.against is not None:
            parts.append(f"against {named} {self.against}")
        if self.task == "regression":
            parts.append(f"kept within {self.tolerance:g} spreads")
        return ", ".join(parts)


@dataclass(frozen=True)
class Verify:
    """Run the model on G_s and on G \\ G_s for every candidate."""

    title: ClassVar[str] = "Verify"

    child: Generate
    model: str
    backend: str
    reason: str
    batch_memory: int  # bytes
    asked: Asked = Asked()

    def line(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        question = f" {self.asked}" if str(self.asked) else ""
        return f"model {self.model}{question}; backend {self.backend}{why}; batch size from {_bytes(self.batch_memory)}"


@dataclass(frozen=True)
class Filter:
    """Refuse candidates that WHERE does not admit: hard constraints come before dominance."""

    title: ClassVar[str] = "Filter"

    child: Verify
    conditions: tuple[Condition, ...]  # names canonical

    def line(self) -> str:
        return " AND ".join(_condition(condition) for condition in self.conditions)


@dataclass(frozen=True)
class Rank:
    """Keep the exact front of the explanatory candidates."""

    title: ClassVar[str] = "Lattice"

    child: Verify | Filter
    measures: tuple[str, ...]
    epsilon: float
    front_limit: int
    resolution: float
    pruning: str = "sound"  # which candidates are not verified: 'sound', 'epsilon' or 'paper'

    @property
    def scan(self) -> FieldScan:
        """The scan that everything begins with."""
        verify = self.child.child if isinstance(self.child, Filter) else self.child
        return verify.child.child

    def line(self) -> str:
        return (
            f"{', '.join(self.measures)}; epsilon {self.epsilon:g}; front limit {self.front_limit}"
            + ("" if self.pruning == "sound" else f"; pruning by {self.pruning}")
        )


@dataclass(frozen=True, kw_only=True)
class Choose:
    """Choose at most k members of the front."""

    title: ClassVar[str] = "Answer"

    child: Rank
    k: int
    rule: str  # 'coverage', 'optimum', 'diversity', 'smallest', or the streaming rules 'swap', 'divsx', 'divsx_first'
    alpha: float = 0.5  # weight of node coverage against difference in 'diversity' and 'divsx'
    jointly: bool = False  # one answer for all targets together
    across: bool = False  # of those, a candidate of any target can dominate those of others
    report: tuple[str, ...] = ()  # further measures that are reported for the answers
    # 'features' or 'node2vec': how 'diversity' and 'divsx' measure difference
    embedding: str = "features"
    smallest: str = ""  # 'factual' or 'counterfactual', for the rule 'smallest'
    robust_budget: int = 2000  # most removals that robust and robust2 try for a member
    worth_budget: int = 2000  # most units whose worth is measured, of all members of a target

    def line(self) -> str:
        if self.smallest:
            reports = f"; reports {', '.join(self.report)}" if self.report else ""
            return f"the smallest {self.smallest} candidate, with the bound that is proved{reports}"
        how = {
            "coverage": "by coverage, then hypervolume",
            "diversity": f"by diversity, alpha {self.alpha:g}",
            "optimum": "by an exact search for coverage, then hypervolume",
            "swap": "by the streaming swap rule",
            "divsx": f"by the streaming rule of DivSX, alpha {self.alpha:g}",
            "divsx_first": f"by DivSX, until there are k members, alpha {self.alpha:g}",
        }[self.rule]
        if self.rule in ("diversity", "divsx", "divsx_first") and self.embedding != "features":
            how += f", by {self.embedding}"
        if self.k == 1 and self.rule == "coverage" and not self.jointly:
            how = "the recommended one of the top 10 by coverage, then hypervolume"
        jointly = " of all targets jointly" if self.jointly else ""
        jointly += ", compared across targets," if self.across else ""
        return f"top {self.k}{jointly} {how}" + (
            f"; reports {', '.join(self.report)}" if self.report else ""
        )


@dataclass(frozen=True, kw_only=True)
class MinePatterns:
    """Look for the patterns that recur in the answers for a class."""

    title: ClassVar[str] = "Patterns"

    child: Choose
    of_class: int
    predicted: int  # targets that the model predicts as this class, of which `chosen` are explained
    chosen: int
    pooled: bool  # whether FROM named those that the targets are taken from
    labels: str  # what nodes are told apart by, as `sxq.graph.node_labels` names it
    largest: int  # most edges of a pattern
    least_support: float

    def line(self) -> str:
        kind = self.child.child.scan.kind
        labelled = (
            "nodes unlabelled" if self.labels == "none" else f"nodes labelled by {self.labels}"
        )
        return (
            f"class {self.of_class}; {self.targets(kind)}; {labelled}; at most "
            f"{self.largest} edges; support {self.least_support:g} or more"
        )

    def targets(self, kind: str) -> str:
        """The targets in words: how many of those predicted as the class are explained."""
        of = " of FROM" if self.pooled else ""
        if self.chosen == self.predicted:
            s = "" if self.chosen == 1 else "s"
            return f"{self.chosen:,} {kind}{s}{of} predicted as it"
        return f"{self.chosen:,} of the {self.predicted:,} {kind}s{of} predicted as it, by seed"


@dataclass(frozen=True)
class Plan:
    """The sink, and with it the whole plan."""

    title: ClassVar[str] = "Store"

    child: Choose | MinePatterns
    stores: bool  # false on a read-only database
    into: str | None
    keeps: bool = False  # the candidates, too

    def line(self) -> str:
        tables = "queries, targets, explanations" + (", candidates" if self.keeps else "")
        tables += ", patterns" if self.patterns else ""
        sink = tables if self.stores else "nothing: the database is read-only"
        return sink + (f"; table {self.into}" if self.into else "")

    @property
    def operators(self) -> tuple[Any, ...]:
        """From the sink down to the scan."""
        chain: list[Any] = [self]
        while hasattr(chain[-1], "child"):
            chain.append(chain[-1].child)
        return tuple(chain)

    def find(self, kind: type[Operator]) -> Operator:
        """The operator of a kind that every plan has; for a Filter, which is optional, see `filter`."""
        return next(node for node in self.operators if isinstance(node, kind))

    @property
    def filter(self) -> Filter | None:
        """The conditions of WHERE; None if the statement has none."""
        return next((node for node in self.operators if isinstance(node, Filter)), None)

    @property
    def patterns(self) -> MinePatterns | None:
        """What is mined; None unless the statement is EXPLAIN CLASS."""
        return self.child if isinstance(self.child, MinePatterns) else None

    def __str__(self) -> str:
        return render(self)


def render(plan: Plan, notes: Mapping[str, str] | None = None) -> str:
    """The plan as text, one line per operator; `notes` by operator name follow on the line (PROFILE)."""
    lines = []
    for depth, node in enumerate(plan.operators):
        note = f"  [{notes[node.title]}]" if notes and node.title in notes else ""
        branch = "   " * (depth - 1) + "└─ " if depth else ""
        lines.append(f"{branch}{node.title}: {node.line()}{note}")
    return "\n".join(lines)


def _named(over: str, units: Named) -> str:
    if len(units) > SHOWN_FIELDS:
        return f"{len(units)} {over}"
    return ", ".join(unit_text(over, unit) for unit in units)


def unit_text(over: str, unit: Any) -> str:
    """What INCLUDE or EXCLUDE names, as it shows it."""
    if over == "edges":
        source, head = unit
        return f"{shown(source)}->{shown(head)}"
    return shown(unit.name if over == "features" else unit)


def _condition(condition: Condition) -> str:
    if condition.op == "is":
        return condition.name if condition.value else f"NOT {condition.name}"
    return f"{condition.name} {condition.op} {condition.value:g}"


def _bytes(size: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6)):
        if size >= scale:
            return f"{size / scale:g} {unit}"
    return f"{size} B"
