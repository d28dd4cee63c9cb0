"""AUDIT on a large graph on disk: each target is measured again on what lies around it, held in memory.

That is everything within one step more than its field and context reach, with all edges among these
nodes. The output of the whole graph, which registration computed in blocks, is what it must equal.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sxq.errors import InvalidValue, shown
from sxq.execution.audit import Auditor, Finding, Stored
from sxq.execution.audit_question import AskedAgain
from sxq.execution.audit_units import AskedUnits
from sxq.graph import Graph, GraphSet
from sxq.graph.disk import DiskGraph, around
from sxq.inference import on_disk
from sxq.models.model import Model

FURTHER = 1  # rings beyond field and context, whose edges must not matter
EDGE = 1000  # bytes that an edge of the surroundings takes while models run on them


def auditor(
    graph: Graph | GraphSet,
    model: Model,
    directed: bool | None,
    asked: AskedAgain,
    units: AskedUnits,
    *,
    memory: int,
) -> "Auditor | AuditorAround":
    """An `Auditor` of a graph; of a large one on disk, of the surroundings of each target, within `memory` bytes."""
    if isinstance(graph, DiskGraph) and graph.num_edges > on_disk.PART:
        make = lambda part, on_part: Auditor(part, on_part, directed, asked, units)
        return AuditorAround(graph, model, make, memory)
    return Auditor(graph, model, directed, asked, units)


class AuditorAround:
    """Makes an `Auditor` for the surroundings of one target after the other."""

    def __init__(self, graph: DiskGraph, model: Model, make: Any, memory: int):
        self.graph = graph
        self.model = model
        self._make = make
        self._most = memory // EDGE
        self._key: Any = ()
        self._held: Auditor | None = None

    def target(self, key: Any, columns: Mapping[str, Any]) -> list[str]:
        """As `Auditor.target`; what lies around a target whose search never began is not read."""
        if columns["prediction"] is None:
            return []
        return self._around(key).target(key, columns)

    def explanation(self, stored: Stored) -> Finding:
        """As `Auditor.explanation`."""
        return self._around(stored.target).explanation(stored)

    def _around(self, key: Any) -> Auditor:
        if self._held is None or self._key != (key,):
            rings = self.model.hops + self.model.halo + FURTHER
            root = self.graph.position(key)
            part, nodes, reached = around(self.graph, [root], rings, self._most)
            if reached < rings:
                raise InvalidValue(
                    f"AUDIT needs the edges within {rings} steps of node {shown(key)} in memory, and those within "
                    f"{reached + 1} are more than sxq_memory holds; SET sxq_memory to more"
                )
            full = self.model.full[np.asarray(nodes)]
            self._held = self._make(part, replace(self.model, full=full))
            self._key = (key,)
        return self._held
