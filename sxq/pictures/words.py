"""An answer in a sentence, and its certificate: for the demo, the page and notebooks."""

from collections.abc import Sequence
from typing import Any

from sxq.values.explanation import Explanation, Reason, TargetReport

SHOWN = 6  # most edges, nodes or features named
NOTABLE = 0.01  # a smaller change of a probability is not worth a sentence
WITHOUT = {
    "edges": "without any edge",
    "nodes": "without any other node",
    "features": "with all features at their baseline",
}


def meaning(report: TargetReport, kind: str = "node") -> str:
    """The skyline of one target, a "node" or a "graph", in a sentence or two.

    A target that needs no unit is told so first: that some unit alone preserves its prediction is
    then true and says nothing.
    """
    members = report.explanations
    if report.self_sufficient:
        return _needs_nothing(report, kind)
    keeps = min((e for e in members if e.factual), key=lambda e: e.size, default=None)
    turns = min((e for e in members if e.counterfactual), key=lambda e: e.size, default=None)
    said = _said(report, kind)
    answer = _answer(report)
    if not keeps and not turns:
        around = "its neighbourhood" if kind != "graph" else "it"
        return f"{said}, and no part of {around} explains why."
    parts = []
    if keeps:
        named = units(keeps)
        verb = (
            "preserves"
            if named.startswith(("the edge ", "the node ", "the feature "))
            else "preserve"
        )
        parts.append(f"{named} alone {verb} this {answer}")
    if turns:
        same = keeps is not None and (keeps.edges, keeps.units) == (turns.edges, turns.units)
        them = "them" if turns.size > 1 else "it"
        parts.append(f"removing {them if same else units(turns)} changes the {answer}")
    return f"{said}: {', and '.join(parts)}."


def _needs_nothing(report: TargetReport, kind: str) -> str:
    """The sentences about a target that keeps its prediction without any unit."""
    over = report.explanations[0].over if report.explanations else "edges"
    alone = WITHOUT["edges" if (kind, over) == ("graph", "nodes") else over]
    noun = _answer(report)
    told = (
        f"{report.p_empty:.4g}"
        if report.task == "regression"
        else f"probability {report.p_empty:.2f}"
    )
    first = f"{_said(report, kind)}, and keeps this {noun} {alone} ({told})."
    if not report.explanations:
        return first
    turns = [e for e in report.explanations if e.counterfactual]
    if turns:
        smallest = min(turns, key=lambda e: e.size)
        return f"{first} Yet removing {units(smallest)} changes the {noun}."
    strongest = max(report.explanations, key=_lost)
    if report.task == "regression" or _lost(strongest) < NOTABLE:
        return f"{first} Removing any one explanation leaves it as it is."
    lowers = "lowers" if report.says else "raises"
    return (
        f"{first} No explanation changes it when removed; removing {units(strongest)} {lowers} the "
        f"probability most, by {_lost(strongest):.2f}."
    )


def _lost(explanation: Explanation) -> float:
    """What p loses without an explanation; of no use where the measure was not asked for."""
    return explanation.raw.get("fdl+", 0.0)


def _answer(report: TargetReport) -> str:
    if not report.why:
        return "prediction"
    return "number" if report.task == "regression" else "answer"


def _said(report: TargetReport, kind: str) -> str:
    """What the model says of a target, after the question if that is not about the predicted class."""
    why = f"{report.why[:1].upper()}{report.why[1:]}? " if report.why else ""
    named = f"{kind} {report.target}"
    if report.task == "regression":
        return f"{why}The model gives {named} the number {report.probability:.4g}"
    noun = "label" if report.task == "multilabel" else "class"
    if report.against is not None:
        own = report.probability or 0.0
        share = own if report.says else 1 - own
        pair = (report.asked, report.against) if report.says else (report.against, report.asked)
        return f"{why}The model prefers {noun} {pair[0]} of {named} to {pair[1]} with probability {share:.2f}"
    if report.task == "multilabel":
        return f"{why}The model gives {named} label {report.asked} with probability {report.probability:.2f}"
    said = f"{why}The model puts {named} in class {report.prediction}"
    if report.asked != report.prediction:
        return f"{said}, and in class {report.asked} with probability {report.probability:.2f}"
    return f"{said} with probability {report.probability:.2f}"


def edges(explanation: Explanation) -> str:
    """`the 2 edges 19-33, 31-33`: pairs by their ends, single directions as `a → b`."""
    given = set(explanation.edges)
    named = list(dict.fromkeys(_named(u, v, (v, u) in given) for u, v in explanation.edges))
    shown = ", ".join(named[:SHOWN]) + (", ..." if len(named) > SHOWN else "")
    return f"the edge {shown}" if len(named) == 1 else f"the {len(named)} edges {shown}"


def units(explanation: Explanation) -> str:
    """What an explanation consists of: `the 2 edges 19-33, 31-33`, `the node 7`, `the 2 features age = 41, city = 3`."""
    if explanation.over == "edges":
        return edges(explanation)
    named = [reason_name(reason) for reason in explanation.reasons]
    shown = ", ".join(named[:SHOWN]) + (", ..." if len(named) > SHOWN else "")
    return f"the {'' if len(named) == 1 else f'{len(named)} '}{explanation.noun} {shown}"


def reason_name(reason: Reason) -> str:
    """A node by its key, a feature with its value."""
    return str(reason.unit) if reason.value is None else f"{reason.unit} = {reason.text}"


def _end(report: TargetReport) -> str:
    if report.complete:
        return "came to its end, leaving nothing out for lack of budget"
    if "sxq_patience" in report.note:
        return "ended before its budget was spent, as the front had stopped growing"
    stopped = report.status == "stopped"
    return "stopped before its end" if stopped else "came to the end of its budget"


def _named(u: Any, v: Any, both: bool) -> str:
    if both:
        u, v = sorted((u, v), key=lambda key: (str(type(key)), key))
    return f"{u}-{v}" if both else f"{u} → {v}"


def certificate(
    report: TargetReport, epsilon: float | None, kind: str = "node", over: str = "edges"
) -> Sequence[tuple[str, str]]:
    """The facts that are proven about the answer, with their values as text."""
    share = "" if report.coverage is None else f"{report.coverage:.1%}"
    where = f"within {report.hops} hops" if kind != "graph" else "in the whole graph"
    alone = "edges" if (kind, over) == ("graph", "nodes") else over
    at = "" if epsilon is None else f" at epsilon {epsilon:g}"
    rows = [
        (f"{over} that could matter", f"{report.field_size:,} {where}"),
        (
            "candidates verified",
            f"{report.candidates:,}, each by two inferences on the edited graph",
        ),
        ("of these, explanatory", f"{report.explanatory:,}"),
        ("exact front", f"{report.front:,} that nothing examined dominates"),
        ("covered by the answer", f"{report.dominance:,} ({share}){at}"),
        (
            "all covered at epsilon",
            "" if report.epsilon_achieved is None else f"{report.epsilon_achieved:.3g}",
        ),
        (
            f"{'number' if report.task == 'regression' else 'probability'} {WITHOUT[alone]}",
            f"{report.p_empty:.3f}"
            + (
                f": the same {'answer' if report.why else 'class'}, so 'factual' is weak evidence"
                if report.self_sufficient
                else ""
            ),
        ),
        ("search", _end(report)),
    ]
    return [row for row in rows if row[1]] + ([("note", report.note)] if report.note else [])
