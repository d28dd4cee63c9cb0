"""What a search found, written down: the ledger and the answer of a target become its report."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sxq.inference.agreement import TOLERANCE, too_coarse, uncertainty
from sxq.scoring.lattice import Answer
from sxq.scoring.measures import report as measure_again
from sxq.values.explanation import CandidateRow, Explanation, TargetReport

if TYPE_CHECKING:
    from sxq.execution.target import TargetRun

SHOWN = 1000  # most candidates that a report keeps for pictures


def write(run: "TargetRun", answer: Answer, ranks: Sequence[int] = ()) -> TargetReport:
    """The report of a target that was closed; `ranks` of the members, where they are not simply 1, 2, ..."""
    explanations = _explanations(run, answer, ranks or range(1, len(answer.members) + 1))
    status = "stopped" if run.stopped else "done" if explanations else "empty"
    return TargetReport(
        target=run.key,
        ordinal=run.ordinal,
        status=status,
        prediction=run.predicted,
        probability=run.p_full,
        p_empty=run.p_empty,
        self_sufficient=run.self_sufficient,
        field_size=run.field.num_units,
        hops=run.field.hops,
        candidates=run.ledger.count,
        pruned=run.pruned,
        explanatory=run.lattice.explanatory,
        front=answer.front,
        dominance=answer.dominance,
        coverage=answer.coverage,
        epsilon_achieved=answer.epsilon_achieved,
        hypervolume=answer.hypervolume,
        complete=run.exhausted and not run.stopped,
        seconds=run.seconds,
        note=_note(run, answer, bool(explanations)),
        explanations=explanations,
        kept=_state_graph(run) if run.keeps and run.ledger.count else (),
        examined=_examined(run),
    )


def _examined(run: "TargetRun") -> dict[str, np.ndarray]:
    """Scores by objective of explanatory candidates, evenly sampled: what a picture shows behind the front."""
    if not run.ledger.count:
        return {}
    rows = run.ledger.rows(slice(None))
    numbers = np.flatnonzero(rows.explanatory)
    numbers = numbers[:: max(1, -(-len(numbers) // SHOWN))]
    return {
        measure.name: rows.scores[numbers, i].astype(np.float32)
        for i, measure in enumerate(run.measures[: run.objectives])
    }


def _explanations(
    run: "TargetRun", answer: Answer, ranks: Sequence[int]
) -> tuple[Explanation, ...]:
    """The members in rank order, with what is measured for them only."""
    if not answer.members:
        return ()
    bits = run.bits_of(answer.members)
    reported = (
        measure_again(run.reported, run.batch(bits, *_again(run, bits))) if run.reported else {}
    )
    rows = [
        {name: float(values[row]) for name, values in reported.items()} for row in range(len(bits))
    ]
    return tuple(
        _explanation(run, *member)
        for member in zip(ranks, answer.members, bits, answer.member_dominance, rows)
    )


def _again(run: "TargetRun", bits: np.ndarray) -> np.ndarray:
    """p(c) on every G_s and on every G \\ G_s: [2, n]."""
    return run.infer(bits)[:, :, run.predicted]


def _explanation(
    run: "TargetRun",
    rank: int,
    number: int,
    bits: np.ndarray,
    power: int,
    reported: dict[str, float],
) -> Explanation:
    row, names = run.ledger.rows([number]), [measure.name for measure in run.measures]
    edges = run.field.edges_of(bits)
    edge_index = run.graph.edge_index[:, edges]
    nodes = np.unique([*[run.position][run.kind == "graph" :], *edge_index.ravel()])
    return Explanation(
        target=run.key,
        rank=rank,
        edge_index=edge_index,
        nodes=nodes,
        edges=tuple((run.graph.key(u), run.graph.key(v)) for u, v in edge_index.T),
        size=int(bits.sum()),
        raw=dict(zip(names, row.raw[0].tolist())) | reported,
        scores=dict(zip(names, row.scores[0].tolist())),
        factual=bool(row.factual[0]),
        counterfactual=bool(row.counterfactual[0]),
        tie=bool(row.tie[0]),
        generator=run.proposer(int(row.generator[0])),
        dominance=power,
        kind=run.kind,
        graph=run.graph,
        edge_numbers=edges,
    )


def _state_graph(run: "TargetRun") -> tuple[CandidateRow, ...]:
    """Every verified candidate with the one it was made from, and the unit in which they differ."""
    rows, names = run.ledger.rows(slice(None)), [measure.name for measure in run.measures]
    sizes = run.bits_of(range(run.ledger.count)).sum(axis=1)
    columns = (
        rows.parent,
        rows.edited,
        rows.generator,
        sizes,
        rows.factual,
        rows.counterfactual,
        rows.explanatory,
    )
    return tuple(
        CandidateRow(
            number,
            None if parent < 0 else parent,
            *_ends(run, edited),
            run.proposer(by),
            *facts,
            dict(zip(names, scores)),
        )
        for number, (parent, edited, by, *facts, scores) in enumerate(
            zip(*(column.tolist() for column in columns), rows.scores.tolist())
        )
    )


def _ends(run: "TargetRun", unit: int) -> tuple[Any, Any]:
    """The ends of a unit by key; nothing where no single unit was edited."""
    if unit < 0:
        return None, None
    source, head = run.field.nodes[run.field.ends[:, unit]].tolist()
    return run.graph.key(source), run.graph.key(head)


def _note(run: "TargetRun", answer: Answer, answered: bool) -> str:
    notes = [run.stopped] if run.stopped else []
    if run.choice.jointly and not answered:
        notes.append("no member of the joint answer")
    if not run.field.num_units:
        nothing = (
            "the graph has no edges"
            if run.kind == "graph"
            else "no edge can carry a message to this node"
            if run.field.hops
            else "the model does not look at edges"
        )
        notes.append(f"no candidate: {nothing}")
    elif not answered and run.ledger.count:
        notes.append(_why_empty(run))
    if run.incomparable:
        notes.append(f"{run.incomparable} candidates left out: a measure gave NaN")
    if run.choice.rule == "optimum" and not answer.proven:
        notes.append("the exact search was cut short: other members may cover more")
    if run.lattice.thinned:
        notes.append(
            "front thinned to one member per box of the (1+eps) grid: it outgrew sxq_front_limit = "
            f"{run.lattice.front_limit}"
        )
    inexact = _inexact(run, answer)
    return "; ".join([*notes, inexact] if inexact else notes)


def _inexact(run: "TargetRun", answer: Answer) -> str:
    """What to say where float32 is too coarse for the logits behind an answer; nothing for nearly all models."""
    stored = [run.p_full, run.p_empty]
    if answer.members:
        stored += run.ledger.rows(list(answer.members)).p.ravel().tolist()
    off = uncertainty(np.array(stored), run.rounding)
    worst = off[0] + off.max()  # fidelities are differences to p(G)
    if worst <= TOLERANCE:
        return ""
    return (
        f"fidelities are exact to about {worst:.1g} only: {too_coarse(run.rounding)}; register a model that "
        "subtracts from its logits what all classes share"
    )


def _why_empty(run: "TargetRun") -> str:
    rows = run.ledger.rows(slice(None))
    refused = int((rows.factual | rows.counterfactual).sum())
    if refused and run.incomparable:
        return f"all {refused} explanatory of {run.ledger.count} candidates were refused"
    if refused:
        return f"WHERE refused all {refused} explanatory of {run.ledger.count} candidates"
    return f"none of {run.ledger.count} candidates keeps the prediction alone or changes it when removed"
