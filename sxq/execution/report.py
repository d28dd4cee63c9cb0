"""The report of a target, made from its search and the answer that was chosen."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sxq.execution import worth
from sxq.execution.answer import recommended
from sxq.execution.target import Found, Loaded
from sxq.generators.protocol import NONE
from sxq.graph import FeatureField, between
from sxq.graph.bits import sizes
from sxq.graph.types import shown_type
from sxq.inference.agreement import TOLERANCE, inexactness, too_coarse
from sxq.scoring.lattice import Answer
from sxq.scoring.measures import report as measure_again
from sxq.values.explanation import CandidateRow, Explanation, TargetReport

SHOWN = 1000  # most candidates that a report keeps for pictures


def write(found: Found, answer: Answer, ranks: Sequence[int] = ()) -> TargetReport:
    """The report of a target; `ranks` of the members unless they are 1, 2, ..."""
    loaded = found.loaded
    explanations = _explanations(found, answer, ranks or range(1, len(answer.members) + 1))
    return TargetReport(
        target=loaded.key,
        ordinal=loaded.ordinal,
        status="stopped" if found.stopped else "done" if explanations else "empty",
        prediction=loaded.predicted,
        asked=loaded.question.column,
        against=loaded.question.against,
        task=loaded.question.task,
        chosen=loaded.question.chosen,
        says=loaded.question.says,
        probability=loaded.probability,
        p_empty=loaded.empty,
        self_sufficient=loaded.self_sufficient,
        field_size=loaded.field.all_units,
        hops=loaded.field.hops,
        candidates=found.table.count,
        pruned=len(found.pruned),
        explanatory=found.lattice.explanatory,
        front=answer.front,
        dominance=answer.dominance,
        coverage=answer.coverage,
        epsilon_achieved=answer.epsilon_achieved,
        hypervolume=answer.hypervolume,
        proved=_proved(found, explanations),
        bound=found.bound if found.bound or found.scope else None,
        complete=found.exhausted and not found.stopped,
        seconds=found.seconds,
        note=_note(found, answer, explanations),
        explanations=explanations,
        kept=_state_graph(found) if found.keeps and found.table.count else (),
        examined=_examined(found),
    )


def _proved(found: Found, explanations: Sequence[Explanation]) -> bool | None:
    """Whether the member of SMALLEST is the smallest: all smaller candidates were verified."""
    if not found.choice.smallest or not explanations:
        return None
    return explanations[0].size <= found.bound + 1


def _proofs(found: Found, answer: Answer) -> Iterator[str]:
    """What the verified candidates prove, if the statement asks for a proof."""
    if not found.scope or not found.table.count:
        return
    flag = found.choice.smallest
    if flag and answer.members:
        size = int(found.bits_of(answer.members).sum())
        if size <= found.bound + 1:
            yield f"proved: no smaller {flag} exists ({found.scope})"
            return
        yield "not proved to be the smallest: raise BUDGET"
    if not found.bound:
        return
    rows = found.table.rows(slice(None))
    small = sizes(rows.bits) <= found.bound
    edges = f"{found.bound} {found.loaded.field.over[:-1]}{'s' * (found.bound > 1)}"
    flags = (flag,) if flag else ("factual", "counterfactual")
    able = small & (rows.explanatory if flag else True)
    missing = [flag for flag in flags if not (able & getattr(rows, flag)).any()]
    for flag in missing:
        yield f"no {flag} of at most {edges} exists ({found.scope})"
    if not missing:
        yield f"every candidate of at most {edges} was verified ({found.scope})"


def _examined(found: Found) -> dict[str, np.ndarray]:
    """Scores by objective of an evenly spaced sample of explanatory candidates: the background of plots."""
    if not found.table.count:
        return {}
    rows = found.table.rows(slice(None))
    numbers = np.flatnonzero(rows.explanatory)
    numbers = numbers[:: max(1, -(-len(numbers) // SHOWN))]
    return {
        measure.name: rows.scores[numbers, i].astype(np.float32)
        for i, measure in enumerate(found.measures[: found.objectives])
    }


def _explanations(found: Found, answer: Answer, ranks: Sequence[int]) -> tuple[Explanation, ...]:
    """The members in rank order, with the measures that are computed for answers only."""
    if not answer.members:
        return ()
    bits = found.bits_of(answer.members)
    reported = _reported(found, bits)
    worths = worth.measure(found, answer.members, bits)
    dominance = answer.member_dominance
    first = recommended(found, answer.members)
    return tuple(
        Explanation(
            rank=rank,
            size=int(own.sum()),
            dominance=power,
            worth=measured,
            recommended=number == answer.members[first],
            **_as_verified(found, number, values),
            **_as_subgraph(found.loaded, own),
        )
        for rank, number, own, power, values, measured in zip(
            ranks, answer.members, bits, dominance, reported, worths
        )
    )


def _reported(found: Found, bits: np.ndarray) -> list[dict[str, float]]:
    """For each member [n, U], the values of the measures that are computed for answers only."""
    if not found.reported:
        return [{} for _ in bits]
    loaded = found.loaded
    p_kept, p_removed = map(loaded.question.p, loaded.on_field.infer(bits))
    batch = loaded.batch(bits, p_kept, p_removed, found.choice.robust_budget)
    columns = measure_again(found.reported, batch)
    return [
        {name: float(values[row]) for name, values in columns.items()} for row in range(len(bits))
    ]


def _as_verified(found: Found, number: int, reported: dict[str, float]) -> dict[str, Any]:
    """The part of an explanation that comes from the candidate table."""
    row = found.table.rows([number])
    names = [measure.name for measure in found.measures]
    return {
        "raw": dict(zip(names, row.raw[0].tolist())) | reported,
        "scores": dict(zip(names, row.scores[0].tolist())),
        "factual": bool(row.factual[0]),
        "counterfactual": bool(row.counterfactual[0]),
        "tie": bool(row.tie[0]),
        "generator": found.proposer(int(row.generator[0])),
    }


def _as_subgraph(loaded: Loaded, bits: np.ndarray) -> dict[str, Any]:
    """The part of an explanation that describes its units [U] in the graph."""
    graph = loaded.graph
    roots = loaded.roots
    own = UNITS[loaded.field.over](loaded, bits)
    edges = own["edge_numbers"]
    edge_index = graph.edge_index[:, edges]
    return {
        "target": loaded.key,
        "kind": loaded.kind,
        "graph": graph,
        "edge_index": edge_index,
        "first_edge": loaded.first_edge,
        "edges": tuple((graph.name(u), graph.name(v)) for u, v in edge_index.T.tolist()),
        "nodes": np.unique([*roots, *edge_index.ravel()]),
        "over": loaded.field.over,
        **own,
    }


def _edge_units(loaded: Loaded, bits: np.ndarray) -> dict[str, Any]:
    field = loaded.field
    return {"edge_numbers": field.edges_of(bits), "edge_units": field.units_of(bits)}


def _node_units(loaded: Loaded, bits: np.ndarray) -> dict[str, Any]:
    """The nodes that are kept, and all edges of the graph among them and the target."""
    field = loaded.field
    graph = loaded.graph
    own = field.nodes[field.ends[0, bits]]
    roots = loaded.roots
    nodes = np.unique([*roots, *own])
    near = graph.in_edges(nodes)
    if loaded.kind == "link":  # WITHOUT ITSELF, its own edges are in no graph
        edge_type = loaded.on_field.model.edge_type
        u, v = roots
        own_edges = between(graph, u, v, edge_type)
        near = np.setdiff1d(near, np.setdiff1d(own_edges, field.edges))
    tail, head = graph.edge_index[:, near]
    return {
        "units": tuple(map(graph.name, own.tolist())),
        "nodes": nodes,
        "edge_numbers": np.sort(near[np.isin(tail, nodes) & (tail != head)]),
    }


def _feature_units(loaded: Loaded, bits: np.ndarray) -> dict[str, Any]:
    """The features that are kept, with what they are at the target; of a graph, in the mean of its nodes."""
    field = loaded.field
    assert isinstance(field, FeatureField)
    columns = field.columns[bits]
    base = field.base
    near = field.nodes[base.node_hop <= base.hops] if base.rooted else field.nodes
    return {
        "edge_numbers": loaded.field.edges_of(bits),
        "units": tuple(map(loaded.graph.feature_name, columns.tolist())),
        "features": columns,
        "values": np.array(
            [loaded.graph.shown_value(one, loaded.roots, near) for one in columns.tolist()]
        ),
    }


UNITS = {"edges": _edge_units, "nodes": _node_units, "features": _feature_units}


def _state_graph(found: Found) -> tuple[CandidateRow, ...]:
    """Every verified candidate, with its parent and the unit in which they differ."""
    rows = found.table.rows(slice(None))
    names = [measure.name for measure in found.measures]
    size_of = sizes(rows.bits)
    types = _types_of_units(found)
    return tuple(
        CandidateRow(
            candidate=number,
            parent=None if parent == NONE else parent,
            edited_src=source,
            edited_dst=head,
            generator=found.proposer(by),
            size=size,
            factual=factual,
            counterfactual=counterfactual,
            explanatory=explanatory,
            scores=dict(zip(names, scores)),
            edge_type=edge_type,
            node_type=node_type,
        )
        for number, (
            parent,
            (source, head, edge_type, node_type),
            by,
            size,
            factual,
            counterfactual,
            explanatory,
            scores,
        ) in enumerate(
            zip(
                rows.parent.tolist(),
                (_edited(found, unit, types) for unit in rows.edited.tolist()),
                rows.generator.tolist(),
                size_of.tolist(),
                rows.factual.tolist(),
                rows.counterfactual.tolist(),
                rows.explanatory.tolist(),
                rows.scores.tolist(),
            )
        )
    )


def _edited(
    found: Found, unit: int, types: Sequence[str]
) -> tuple[Any, Any, str | None, str | None]:
    """The ends of a unit by key, a node twice, a feature's name; then its edge type and node type.

    None where no single unit was edited.
    """
    if unit == NONE:
        return None, None, None, None
    loaded = found.loaded
    if isinstance(loaded.field, FeatureField):
        name = loaded.graph.feature_name(int(loaded.field.columns[unit]))
        return name, name, None, None
    source, head = loaded.field.nodes[loaded.field.ends[:, unit]].tolist()
    kind = types[unit] if types else None
    kinds = (kind, None) if loaded.field.over == "edges" else (None, kind)
    return loaded.graph.name(source), loaded.graph.name(head), *kinds


def _types_of_units(found: Found) -> list[str]:
    """The type of each unit, where units are edges or nodes of a heterogeneous graph."""
    field, graph = found.loaded.field, found.loaded.graph
    types = graph.types
    if types is None or isinstance(field, FeatureField):
        return []
    if field.over == "nodes":
        kinds = types.of_node[field.nodes[field.ends[0]]]
        return [types.node_types[kind] for kind in kinds.tolist()]
    names = list(map(shown_type, types.edge_types))
    # Of a pair, the edge that runs as `ends` do.
    own = np.flatnonzero(field.unit >= 0)
    own = own[field.edge_index[0, own] == field.ends[0, field.unit[own]]]
    kinds = np.zeros(field.num_units, np.int64)
    kinds[field.unit[own]] = types.of_edge[field.edges[own]]
    return [names[kind] for kind in kinds.tolist()]


def _note(found: Found, answer: Answer, explanations: Sequence[Explanation]) -> str:
    answered = bool(explanations)
    notes = [found.stopped] if found.stopped else []
    if found.choice.jointly and not answered:
        notes.append("no member of the joint answer")
    if not found.loaded.field.num_units:
        notes.append(f"no candidate: {_why_no_candidate(found.loaded)}")
    elif not answered and found.table.count:
        notes.append(_why_empty(found))
    question = found.loaded.question
    if question.against == found.loaded.predicted and not question.chosen:
        notes.append(
            f"the model already predicts {question.against}: the question is why not {question.column}, "
            "the next most probable"
        )
    notes += _proofs(found, answer)
    field = found.loaded.field
    if field.left_out:
        notes.append(
            f"{field.num_units:,} of {field.all_units:,} units were searched, the strongest by the model's "
            "gradients: a search of all does not fit in sxq_batch_memory"
        )
    if found.full:
        notes.append(
            f"the search ended after {found.table.count:,} candidates, as many as sxq_batch_memory holds"
        )
    if found.rested:
        notes.append(
            f"the search ended after {found.table.count:,} candidates: over the last {found.rested:,} the "
            "front's hypervolume grew by less than 0.1 % (sxq_patience)"
        )
    if found.remark:
        notes.append(found.remark)
    if found.first:
        notes.append(f"the search ended with the first {found.choice.k} members (DivSX)")
    if found.incomparable:
        notes.append(f"{found.incomparable} candidates were left out: a measure gave NaN")
    if found.choice.rule == "optimum" and not answer.proven:
        notes.append("the exact search was cut short: other members may cover more")
    if answer.thinned is not None:
        notes.append(
            "front thinned to one member per box of the (1+eps) grid, which covers everything at epsilon "
            f"{answer.thinned:g}: it outgrew sxq_front_limit = {found.lattice.front_limit}"
        )
    if answer.sampled > 1:
        notes.append(
            f"the members were chosen by the coverage of one score vector in {answer.sampled}; "
            "the coverage shown is exact"
        )
    if found.choice.worth_budget and (unmeasured := sum(e.worth is None for e in explanations)):
        notes.append(
            f"the worth of {found.loaded.field.over} was not measured for {unmeasured} of {len(explanations)} "
            f"explanations: {_why_no_worth(found, explanations)}"
        )
    model = found.loaded.on_field.model
    if found.loaded.on_field.alone:
        notes.append(
            "explained by itself: other graphs in a batch change what the model says (ties?)"
        )
    if model.shallow:
        notes.append(model.depth)
    inexact = _inexact(found, answer)
    return "; ".join([*notes, inexact] if inexact else notes)


def _why_no_worth(found: Found, explanations: Sequence[Explanation]) -> str:
    if found.stopped:
        return "the target was stopped before"
    budget = found.choice.worth_budget
    if sum(e.size for e in explanations) > budget:
        return f"together they have more units than sxq_worth_budget = {budget}"
    return "the model failed"


def _why_no_candidate(loaded: Loaded) -> str:
    if loaded.field.excluded:
        return "EXCLUDE leaves none"
    if loaded.field.over == "features":
        return "every feature is constant on the field"
    if loaded.kind == "graph":
        return "the graph has no edges"
    if loaded.field.hops:
        return f"no edge can carry a message to this {loaded.kind}"
    return "the model does not use edges"


def _inexact(found: Found, answer: Answer) -> str:
    """A warning if float32 is too coarse for the logits behind an answer; else empty."""
    loaded = found.loaded
    stored = [loaded.p_full, loaded.p_empty]
    if answer.members:
        stored += found.table.rows(list(answer.members)).p.ravel().tolist()
    off = inexactness(loaded.on_field.model, np.array(stored), loaded.rounding)
    worst = off[0] + off.max()  # fidelities are differences to p(G)
    if worst <= TOLERANCE:
        return ""
    return (
        f"fidelities are exact to about {worst:.1g} only: {too_coarse(loaded.rounding)}; register "
        "a model that subtracts the common offset of its logits"
    )


def _why_empty(found: Found) -> str:
    count = found.table.count
    rows = found.table.rows(slice(None))
    refused = int((rows.factual | rows.counterfactual).sum())
    if refused and found.incomparable:
        return (
            f"all {refused} candidates that explain were refused by WHERE or have a NaN measure; "
            f"{count} were verified"
        )
    if refused:
        return f"WHERE refused all {refused} candidates that explain; {count} were verified"
    return f"none of {count} candidates keeps the prediction alone or changes it when removed"
