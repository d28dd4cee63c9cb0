"""Running plans: batched verification, with generators in conversation with lattices.

The verbs: `run(plan, graph, model, ...)` yields the report of each target; `audit(graph, model,
explanations)` measures stored explanations again by plain forward passes.
"""

from sxq.execution.audit import Stored, audit
from sxq.execution.executor import Profile, Progress, run

__all__ = ["Profile", "Progress", "Stored", "audit", "run"]
