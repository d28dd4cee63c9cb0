"""Running plans: generators propose candidates, the verifier runs the model, lattices rank.

In reading order:

    executor.py         the one loop over all targets of a statement
    workers.py          the same in several processes
    remote.py           the same on the workers of an executor: a pool, or a cluster
    target/             one target: its field, its generators, its candidates, and what was found
    candidate_table.py  every candidate of a target, verified once
    verifier.py         both inferences for candidates of many targets, in batches
    answer.py           chooses members of the front
    across.py           chooses a joint answer whose members are compared across targets
    worth.py            what each unit of an answer is worth
    report.py           makes the report of a target
    audit.py            measures stored explanations again, without any of the above
    audit_on_disk.py    the same on the surroundings of each target of a large graph on disk
    audit_question.py   the question of a stored answer, read again
    audit_units.py      edges, nodes and features of a stored answer, cut out of the whole graph again
    audit_field.py      checks that edges outside of a field do not move its target

The verbs: `run(job, ...)` yields the report of each target, and so do `run_in_workers` and
`run_in_executor`; an `auditor` re-measures stored
targets and explanations by plain forward passes.
"""

from sxq.execution.audit import Auditor, Finding, Stored
from sxq.execution.audit_on_disk import auditor
from sxq.execution.audit_question import AskedAgain
from sxq.execution.audit_units import AskedUnits
from sxq.execution.executor import Profile, Progress, run
from sxq.execution.remote import require_executor, run_in_executor
from sxq.execution.target import Job
from sxq.execution.workers import require_workers, run_in_workers

__all__ = [
    "AskedAgain",
    "AskedUnits",
    "Auditor",
    "Finding",
    "Job",
    "Profile",
    "Progress",
    "Stored",
    "auditor",
    "require_executor",
    "require_workers",
    "run",
    "run_in_executor",
    "run_in_workers",
]
