"""The plan: frozen operators, innermost first, and how they print.

A plan is a plain value: it can be pickled and sent to another process. Its text is deterministic: it
has no ids and no addresses, and shows settings as they were set. Each operator declares its line next
to its fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any, ClassVar, TypeVar

from sxq.graph.keys import shown
from sxq.language.statements import Condition

Operator = TypeVar("Operator")

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
    # candidate units of each field; of the first ones only, if time was up while planning
    sizes: tuple[int, ...] = ()
    kind: str = "node"  # of the targets: "node", or "graph" for those of a collection
    depth: str = ""  # a remark on the hops

    def line(self) -> str:
        unit = "directed edges" if self.directed else "pairs"
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

    def line(self) -> str:
        calls = [
            name + (f"({', '.join(f'{k} = {v}' for k, v in options)})" if options else "")
            for name, options in self.generators
        ]
        turns = " in turn" if len(calls) > 1 else ""
        limit = f"; within {self.within:g} seconds" if self.within is not None else ""
        return f"{', '.join(calls)}{turns}; budget {self.budget} candidates per target{limit}; seed {self.seed}"


@dataclass(frozen=True)
class Verify:
    """Run the model on G_s and on G \\ G_s for every candidate."""

    title: ClassVar[str] = "Verify"

    child: Generate
    model: str
    backend: str
    reason: str
    batch_memory: int  # bytes

    def line(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"model {self.model}; backend {self.backend}{why}; batch size from {_bytes(self.batch_memory)}"


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

    def line(self) -> str:
        return (
            f"{', '.join(self.measures)}; epsilon {self.epsilon:g}; front limit {self.front_limit}"
        )


@dataclass(frozen=True, kw_only=True)
class Choose:
    """Choose at most k members of the front."""

    title: ClassVar[str] = "Answer"

    child: Rank
    k: int
    rule: str  # 'coverage', 'optimum', 'diversity', or the streaming rules 'swap' and 'divsx'
    alpha: float = 0.5  # weight of node coverage against difference in 'diversity' and 'divsx'
    jointly: bool = False  # one answer for all targets together
    report: tuple[str, ...] = ()  # further measures that are reported for the answers
    # 'features' or 'node2vec': how 'diversity' and 'divsx' measure difference
    embedding: str = "features"
    robust_budget: int = 2000  # most removals that robust and robust2 try for a member
    worth_budget: int = 2000  # most units whose worth is measured, of all members of a target

    def line(self) -> str:
        how = {
            "coverage": "by coverage, then hypervolume",
            "diversity": f"by diversity, alpha {self.alpha:g}",
            "optimum": "by an exact search for coverage, then hypervolume",
            "swap": "by the streaming swap rule",
            "divsx": f"by the streaming rule of DivSX, alpha {self.alpha:g}",
        }[self.rule]
        if self.rule in ("diversity", "divsx") and self.embedding != "features":
            how += f", by {self.embedding}"
        if self.k == 1 and self.rule == "coverage" and not self.jointly:
            how = "the recommended one of the top 10 by coverage, then hypervolume"
        jointly = " of all targets jointly" if self.jointly else ""
        return f"top {self.k}{jointly} {how}" + (
            f"; reports {', '.join(self.report)}" if self.report else ""
        )


@dataclass(frozen=True)
class Plan:
    """The sink, and with it the whole plan."""

    title: ClassVar[str] = "Store"

    child: Choose
    stores: bool  # false on a read-only database
    into: str | None
    keeps: bool = False  # the candidates, too

    def line(self) -> str:
        tables = "queries, targets, explanations" + (", candidates" if self.keeps else "")
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


def _condition(condition: Condition) -> str:
    if condition.op == "is":
        return condition.name if condition.value else f"NOT {condition.name}"
    return f"{condition.name} {condition.op} {condition.value:g}"


def _bytes(size: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6)):
        if size >= scale:
            return f"{size / scale:g} {unit}"
    return f"{size} B"
