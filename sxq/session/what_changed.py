"""What REFRESH has to do with a stored target: copy its answer, measure it again, search it again, or let it go."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sxq.errors import GraphError, NodeNotFound
from sxq.graph import Graph, GraphSet, LinkKey, whole
from sxq.graph.difference import GONE, Difference
from sxq.language import statements as st
from sxq.planning.nodes import FieldScan
from sxq.session import resume
from sxq.session.stored_page import StoredPage
from sxq.storage import StoredExplanation, StoredTarget

SAME = 1e-5  # between a target's probability that is stored, and the model's on the new version
ENOUGH = ("coverage", "diversity")  # rules of answers that need only the members that there were


@dataclass(frozen=True)
class Sorted:
    """Targets that are to be done, by their place in the query."""

    carried: tuple[int, ...]
    measured: tuple[int, ...]
    searched: tuple[int, ...]
    gone: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Sorter:
    """Compares stored targets with the present version of their graph."""

    graph: Graph | GraphSet  # the present version
    model: Any  # on it
    differ: Difference
    scan: FieldScan  # of the statement on it
    measurable: bool  # whether explanations can be measured without a search
    draws: bool  # whether a measure draws at random, from a seed that the position of the target is part of

    def sort(self, page: StoredPage, left: np.ndarray) -> Sorted:
        """What is to be done with each target of a page.

        left  by place, whether a target is still to be done; others are nowhere
        """
        found: dict[str, list[int]] = {"carried": [], "measured": [], "searched": [], "gone": []}
        for ordinal, target in page.targets.items():
            if left[ordinal]:
                found[self._to_do(page, target)].append(ordinal)
        return Sorted(**{name: tuple(own) for name, own in found.items()})

    def _to_do(self, page: StoredPage, target: StoredTarget) -> str:
        there = positions(self.graph, target.target)
        if there is None:
            return "gone"
        if not resume.answered(target):
            return "searched"
        if self._unchanged(there) and self._still(target):
            return "carried"
        known = self.measurable and self._all_there(page.members(target.ordinal))
        return "measured" if known and self._in_one_part(there) else "searched"

    def _unchanged(self, there: list[int]) -> bool:
        """Whether no node or edge that matters to a target changed, nor what is drawn at random for it."""
        stays = not self.draws or all(self.differ.stays(position) for position in there)
        return stays and not self._affected[there].any()

    @cached_property
    def _affected(self) -> np.ndarray:
        """Whether a change is near enough to each node [N] to matter to it."""
        return self.differ.affected(self.graph, self.scan.hops + self.scan.halo)

    def _still(self, target: StoredTarget) -> bool:
        """Whether the model says of a target what is stored: a guard where the field did not change."""
        model = self.model
        columns = target.columns
        of_graphs = isinstance(self.graph, GraphSet)  # their hops are layers of their own
        if columns["hops"] != model.hops and not of_graphs:
            return False
        if model.links:
            return True
        p = model.probabilities(model.full[positions(self.graph, target.target)])[0].numpy()
        asked = columns.get("class") if columns.get("class") is not None else columns["prediction"]
        if model.task == "regression":
            near = SAME * max(1.0, abs(float(columns["probability"])))
            return bool(abs(p[asked] * model.spread[asked] - columns["probability"]) < near)
        if columns.get("against") is not None:
            share = p[asked] / (p[asked] + p[columns["against"]])
            return bool(abs(share - columns["probability"]) < SAME)
        said = int(p.argmax()) == columns["prediction"]
        return bool(said and abs(p[asked] - columns["probability"]) < SAME)

    def _all_there(self, members: Sequence[StoredExplanation]) -> bool:
        """Whether there are explanations, and the new version has all their edges."""
        edges = [worth.edge for member in members for worth in member.worths]
        known = [edge for edge in edges if edge is not None]
        there = bool(edges) and len(known) == len(edges)
        return there and bool((self.differ.edges[known] != GONE).all())

    def _in_one_part(self, there: list[int]) -> bool:
        """Whether the edges of a graph of a collection hang together: then its search begins with all of them."""
        if isinstance(self.graph, Graph):
            return True
        field = whole(self.graph.member(there[0]), directed=True)
        return bool(field.component(np.ones((1, field.num_units), bool)).all())


def can_measure(asked: st.Explain, rule: str) -> bool:
    """Whether explanations of a statement can be measured without a search; `rule` is that of its answer."""
    plain = asked.kind in ("node", "graph") and asked.over == "edges" and not asked.smallest
    free = not (asked.include or asked.exclude or asked.anywhere)
    return plain and free and rule in ENOUGH


def positions(graph: Graph | GraphSet, key: Any) -> list[int] | None:
    """The position of a node or of a graph, or those of both ends of a link; None if it is gone."""
    ends = key if isinstance(key, LinkKey) else (key,)
    try:
        return [graph.position(end) for end in ends]
    except (NodeNotFound, GraphError):  # there may be no nodes of its type
        return None
