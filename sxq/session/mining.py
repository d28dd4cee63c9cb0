"""EXPLAIN CLASS, once its targets are explained: the patterns that recur in their answers."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sxq.graph import node_labels
from sxq.graph.node_labels import PREDICTION
from sxq.graph.types import shown_type
from sxq.planning import Plan
from sxq.planning.nodes import FieldScan, Generate, MinePatterns
from sxq.session import engine
from sxq.values.explanation import Explanation, TargetReport
from sxq.values.pattern import ClassFindings, ClassPattern, PatternMatch, fidelity

if TYPE_CHECKING:
    from sxq.scoring.patterns import Member, Mined, Pattern, Relation

AFTER_A_STOP = 2.0  # seconds for the patterns of a query that was stopped before


class PatternSearch:
    """The search for the patterns of some reports; `found` holds those found so far."""

    def __init__(
        self,
        plan: Plan,
        reports: Sequence[TargetReport],
        predictions: Callable[[], np.ndarray],
        stopped: Callable[[], bool],
    ):
        assert plan.patterns is not None, "the plan is that of EXPLAIN CLASS"
        self.operator: MinePatterns = plan.patterns
        self.scan = plan.find(FieldScan)
        self.seed = plan.find(Generate).seed
        self.reports = [report for report in reports if report.explanations]
        self.explanations = [e for report in self.reports for e in report.explanations]
        self.mined: Mined = engine.patterns().Mined((), 0, True, 0)
        self._predictions = predictions
        self._stopped = stopped

    def run(self) -> Iterator[str]:
        """Look for patterns, by their size; yield a line of progress after each."""
        at_hand = self.operator.labels == PREDICTION
        predictions = self._predictions() if at_hand else np.zeros(0, np.int64)
        members = [
            self._member(report.ordinal, e, predictions)
            for report in self.reports
            for e in report.explanations
        ]
        if not members:
            return
        operator = self.operator
        for mined in engine.patterns().levels(
            members, self.scan.directed, operator.largest, operator.least_support, self._stopped
        ):
            self.mined = mined
            yield f"patterns of {mined.largest} edges: {mined.frequent} recur so far"

    def _member(self, target: int, e: Explanation, predictions: np.ndarray) -> "Member":
        """An explanation as a place where patterns are looked for."""
        place = {position: i for i, position in enumerate(e.nodes.tolist())}
        found = dict.fromkeys(
            _ordered(place[u], place[v], relation)
            for (u, v), relation in zip(e.edge_index.T.tolist(), self._relations(e))
            if u != v
        )
        return engine.patterns().Member(
            target=target,
            labels=node_labels(e.graph, e.nodes, self.operator.labels, predictions),
            edges=tuple((tail, head) for tail, head, _ in found),
            fidelity=fidelity(e.raw),
            relations=() if e.graph.types is None else tuple(relation for *_, relation in found),
        )

    def _relations(self, e: Explanation) -> "list[tuple[Relation, bool]]":
        """What kind of edge each edge is, and whether it stands for its reverse."""
        relation = engine.patterns().Relation
        types, directed = e.graph.types, self.scan.directed
        if types is None:
            return [(relation("", directed), False)] * len(e.edges)
        names = list(map(shown_type, types.edge_types))
        numbers = types.of_edge[e.edge_numbers]
        forward = numbers if directed else types.forward[numbers]
        one_way = directed | (types.reverses[forward] != forward)
        return [
            (relation(names[number], own), turned)
            for number, own, turned in zip(
                forward.tolist(), one_way.tolist(), (forward != numbers).tolist()
            )
        ]

    @property
    def found(self) -> ClassFindings:
        """The patterns found so far."""
        return ClassFindings(
            of_class=self.operator.of_class,
            patterns=tuple(
                self._pattern(number, pattern)
                for number, pattern in enumerate(self.mined.patterns, start=1)
            ),
            notes=tuple(self._notes()),
        )

    def _pattern(self, number: int, pattern: "Pattern") -> ClassPattern:
        total = len(self.reports)
        return ClassPattern(
            number=number,
            of_class=self.operator.of_class,
            labels=tuple(map(str, pattern.labels)),
            labelled_by=self.operator.labels,
            edges=pattern.edges,
            directed=self.scan.directed,
            node_types=self._node_types(pattern),
            edge_types=tuple(relation.name for relation in pattern.relations if relation.name),
            one_way=tuple(relation.one_way for relation in pattern.relations),
            held_by=round(pattern.support * total),
            targets=total,
            fidelity=pattern.fidelity,
            alike=pattern.alike,
            kind=self.scan.kind,
            matches=tuple(
                self._match(self.explanations[m], place)
                for m, place in sorted(pattern.places.items())
            ),
        )

    def _node_types(self, pattern: "Pattern") -> tuple[str, ...]:
        """The type of each node of a pattern, as a place of it shows; empty in a graph without types."""
        m, place = next(iter(pattern.places.items()))
        e = self.explanations[m]
        types = e.graph.types
        if types is None:
            return ()
        return tuple(types.node_types[types.of_node[e.nodes[node]]] for node in place)

    def _match(self, e: Explanation, place: tuple[int, ...]) -> PatternMatch:
        keys: tuple[Any, ...] = tuple(e.graph.name(int(e.nodes[node])) for node in place)
        return PatternMatch(target=e.target, rank=e.rank, nodes=keys)

    def _notes(self) -> Iterator[str]:
        operator = self.operator
        if operator.chosen < operator.predicted:
            of = " of FROM" if operator.pooled else ""
            yield (
                f"{operator.chosen:,} of the {operator.predicted:,} {self.scan.kind}s{of} predicted "
                f"as class {operator.of_class} {'is' if operator.chosen == 1 else 'are'} explained, "
                f"chosen by seed {self.seed}; TARGETS takes more."
            )
        if self.mined.largest < operator.largest and self.mined.frequent and self._stopped():
            yield (
                f"The search for patterns was stopped: those of more than {self.mined.largest} "
                "edges are missing."
            )
        if not self.mined.complete:
            yield (
                "There are too many subgraphs to look at all: some patterns may be missing, or "
                "have more support than stated."
            )


def _ordered(tail: int, head: int, kind: "tuple[Relation, bool]") -> "tuple[int, int, Relation]":
    """An edge of a member, from its source where that matters."""
    relation, turned = kind
    if turned if relation.one_way else tail > head:
        return head, tail, relation
    return tail, head, relation


def stops(stopping: Callable[[], bool], plan: Plan, started: float) -> Callable[[], bool]:
    """When to stop looking for patterns: on an interrupt, or soon if the query was stopped already."""
    begun = time.perf_counter()
    within = plan.find(Generate).within
    late = within is not None and begun - started >= within
    if stopping() or late:
        return lambda: time.perf_counter() - begun >= AFTER_A_STOP
    return lambda: stopping() or (within is not None and time.perf_counter() - started >= within)
