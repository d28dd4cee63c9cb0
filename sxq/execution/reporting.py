"""What a search found, written down: the ledger and the answer of a target become its report."""

import time
from typing import TYPE_CHECKING

import numpy as np

from sxq.explanation import Explanation, TargetReport
from sxq.scoring.lattice import Answer
from sxq.scoring.measures import report as measure_again

if TYPE_CHECKING:
    from sxq.execution.target import TargetRun


def write(run: "TargetRun", answer: Answer, stopped: str = "") -> TargetReport:
    """The report of a target; `stopped` says why its search was not let run to its end."""
    explanations = _explanations(run, answer)
    return TargetReport(
        run.key, run.ordinal, "stopped" if stopped else "done" if explanations else "empty", run.predicted,
        run.p_full, run.p_empty, run.self_sufficient, run.field.num_units, run.field.hops, run.ledger.count,
        run.lattice.explanatory, answer.front, answer.dominance, answer.coverage, answer.epsilon_achieved,
        answer.hypervolume, run.exhausted and not stopped, time.perf_counter() - run.started,
        _note(run, stopped, bool(explanations)), explanations)


def _explanations(run: "TargetRun", answer: Answer) -> tuple[Explanation, ...]:
    """The members in rank order, with what is measured for them only."""
    if not answer.members:
        return ()
    bits = run.bits_of(answer.members)
    reported = measure_again(run.reported, run.batch(bits, *_again(run, bits))) if run.reported else {}
    return tuple(_explanation(run, rank, number, bits[rank - 1], power,
                              {name: float(values[rank - 1]) for name, values in reported.items()})
                 for rank, (number, power) in enumerate(zip(answer.members, answer.member_dominance), start=1))


def _again(run: "TargetRun", bits: np.ndarray) -> np.ndarray:
    """p(c) on every G_s and on every G \\ G_s: [2, n]."""
    return run.infer(bits)[:, :, run.predicted]


def _explanation(run: "TargetRun", rank: int, number: int, bits: np.ndarray, power: int,
                 reported: dict[str, float]) -> Explanation:
    row, names = run.ledger.rows([number]), [measure.name for measure in run.measures]
    edges = run.field.edges_of(bits)
    edge_index = run.graph.edge_index[:, edges]
    return Explanation(
        target=run.key, rank=rank, edge_index=edge_index, nodes=np.unique([run.position, *edge_index.ravel()]),
        edges=tuple((run.graph.key(u), run.graph.key(v)) for u, v in edge_index.T), size=int(bits.sum()),
        raw=dict(zip(names, row.raw[0].tolist())) | reported, scores=dict(zip(names, row.scores[0].tolist())),
        factual=bool(row.factual[0]), counterfactual=bool(row.counterfactual[0]), tie=bool(row.tie[0]),
        generator=run.proposer(int(row.generator[0])), dominance=power, graph=run.graph, edge_numbers=edges)


def _note(run: "TargetRun", stopped: str, answered: bool) -> str:
    notes = [stopped] if stopped else []
    if not run.field.num_units:
        notes.append("no candidate: no edge can carry a message to this node")
    elif not answered and run.ledger.count:
        notes.append(_why_empty(run))
    if run.incomparable:
        notes.append(f"{run.incomparable} candidates left out: a measure gave NaN")
    if run.lattice.thinned:
        notes.append("front thinned to one member per box of the (1+eps) grid: it outgrew sxq_front_limit = "
                     f"{run.lattice.front_limit}")
    return "; ".join(notes)


def _why_empty(run: "TargetRun") -> str:
    rows = run.ledger.rows(slice(None))
    refused = int((rows.factual | rows.counterfactual).sum())
    if refused and not run.incomparable:
        return f"WHERE refused all {refused} explanatory of {run.ledger.count} candidates"
    return f"none of {run.ledger.count} candidates keeps the prediction alone or changes it when removed"
