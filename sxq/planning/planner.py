"""The planner: it resolves every name once, checks every range and measures the size of every field."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sxq.errors import DataError, InvalidValue, UnknownName
from sxq.graph import EdgeType, Graph, GraphSet, link_name
from sxq.language.statements import Condition, Explain, GeneratorCall
from sxq.planning.catalog import Catalog, GeneratorInfo, ModelInfo
from sxq.planning.checks import look_up, number, option_value, whole_number
from sxq.planning.choice import choice, refuse_reported
from sxq.planning.class_targets import (
    class_targets,
    every_target,
    mine_patterns,
    refuse_class_clauses,
)
from sxq.planning.judged import require_judged
from sxq.planning.link_targets import check_links, link_positions, scored_type
from sxq.planning.nodes import (
    CONNECTED,
    SHOWN_FIELDS,
    Asked,
    FieldScan,
    Filter,
    Generate,
    Plan,
    Rank,
    Verify,
)
from sxq.planning.restriction import check_restriction, restricted_units
from sxq.planning.typed_targets import positions_of, require_one_type
from sxq.planning.units import check_over, field_size
from sxq.scoring.measures import Measure, resolve

DEFAULT_EPSILON = 0.1
DEFAULT_SEED = 0
MOST_SIZED = 32  # fields that are measured for the plan: a statement may have a million targets
FLAGS = ("factual", "counterfactual", CONNECTED)
DEEPENING = "deepening"  # the generator of SMALLEST

Generators = tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]  # (name, options given)


def plan(
    statement: Explain,
    catalog: Catalog,
    keys: Sequence[Any],
    late: Callable[[float | None], bool] = lambda within: False,
) -> Plan:
    """The plan of an EXPLAIN for the given target keys (the session has run its sub-queries).

    late    whether the statement was stopped or its WITHIN has passed; ends the measuring of fields

    Raises UnknownName, InvalidValue, NodeNotFound or DataError; the message says what would be right.
    """
    model = look_up("model", statement.model, catalog.models)
    graph_name = statement.graph or model.graph
    graph = look_up("graph", graph_name, catalog.graphs)
    if statement.of_class is None:
        refuse_class_clauses(statement)
    _check_kind(statement, model, graph)
    settings = catalog.settings
    seed = whole_number("SEED", statement.seed, DEFAULT_SEED, 0)
    predicted = 0
    if statement.of_class is not None:
        most = whole_number("TARGETS", statement.most_targets, settings["sxq_class_targets"], 1)
        keys, predicted = class_targets(statement, keys, graph, model=model, most=most, seed=seed)
    measures = _measures(statement.measures, catalog.measures)
    generators = _generators(_calls(statement, catalog), catalog, measures)
    check_over(statement, catalog, [name for name, _ in generators], measures)
    check_restriction(statement, graph, [name for name, _ in generators])
    check_links(statement, model, graph, [name for name, _ in generators])
    _check_learned(generators, catalog, model.name)
    within = _within(statement.within)
    scan = _scan(
        graph_name,
        graph,
        model,
        keys,
        directed=statement.directed or not graph.undirected,
        late=lambda: late(within),
        over=statement.over,
        node_type=statement.node_type,
        without_itself=statement.without_itself,
    )
    scan = replace(
        scan,
        baseline=settings["sxq_baseline"],
        anywhere=statement.anywhere,
        include=restricted_units("INCLUDE", statement.include, statement.over, graph),
        exclude=restricted_units("EXCLUDE", statement.exclude, statement.over, graph),
    )
    generate = Generate(
        scan,
        generators,
        budget=whole_number("BUDGET", statement.budget, settings["sxq_budget"], 1),
        within=within,
        seed=seed,
        patience=settings["sxq_patience"],
    )
    verify = Verify(
        generate,
        model.name,
        *_backend(_for_units(model, statement.over), settings["sxq_inference"]),
        settings["sxq_batch_memory"],
        asked=_asked(statement, model, settings["sxq_tolerance"]),
    )
    conditions = tuple(_condition(condition, catalog.measures) for condition in statement.where)
    lattice = Rank(
        Filter(verify, conditions) if conditions else verify,
        measures,
        epsilon=number("EPSILON", statement.epsilon, DEFAULT_EPSILON, 0),
        front_limit=settings["sxq_front_limit"],
        resolution=settings["sxq_resolution"],
        pruning=settings["sxq_pruning"],
    )
    answer = choice(statement, catalog, lattice, len(scan.targets))
    of_class = statement.of_class is not None
    return Plan(
        mine_patterns(statement, catalog, answer, graph=graph, predicted=predicted)
        if of_class
        else answer,
        catalog.stores,
        statement.into,
        keeps=catalog.stores and settings["sxq_keep_candidates"],
    )


def _check_kind(statement: Explain, model: ModelInfo, graph: Graph | GraphSet) -> None:
    """Check that nodes are explained for a node classifier, graphs for a graph classifier, links for a model of them."""
    has = _kind(model, graph)
    kind = statement.kind
    if has == "link" and statement.of_class is not None:
        raise InvalidValue(
            f"EXPLAIN CLASS, but model {model.name!r} scores links, of which patterns are not supported: "
            "say EXPLAIN LINKS (SELECT u, v ...)"
        )
    if kind == has or every_target(statement):
        return
    if "link" in (has, kind):
        what = "scores links" if has == "link" else f"classifies the {has}s"
        how = "LINK u TO v" if has == "link" else has.upper()
        raise InvalidValue(
            f"EXPLAIN {kind.upper()}, but model {model.name!r} {what} of {model.graph!r}: say EXPLAIN {how}"
        )
    of_class = statement.of_class is not None
    found = f"FROM {kind.upper()}S" if of_class else f"EXPLAIN {kind.upper()}"
    right = f"FROM {has.upper()}S" if of_class else f"EXPLAIN {has.upper()}"
    raise InvalidValue(
        f"{found}, but model {model.name!r} classifies the {has}s of {model.graph!r}: say {right}"
    )


def _kind(model: ModelInfo, graph: Graph | GraphSet) -> str:
    """What a target on the graph is: a graph of a collection, or what the model judges."""
    return "graph" if isinstance(graph, GraphSet) else model.kind


def _asked(statement: Explain, model: ModelInfo, tolerance: float) -> Asked:
    """The question of a statement; raises InvalidValue where the model has no answer to it."""
    column = _class("FOR CLASS", statement.for_class, model)
    against = _class("AGAINST", statement.against, model)
    if against is not None and model.task == "regression":
        raise InvalidValue(
            f"AGAINST {against}, but model {model.name!r} is a regression: AGAINST is for classes and "
            f"labels; FOR CLASS {against} asks about one of its numbers"
        )
    if against is not None and model.classes == 1:
        raise InvalidValue(
            f"AGAINST {against}, but model {model.name!r} has only one label: leave AGAINST out"
        )
    if against is not None and against == column:
        raise InvalidValue(
            f"FOR CLASS {column} AGAINST {against} names one class twice: name two, or leave AGAINST "
            f"out to ask why class {column}"
        )
    return Asked(task=model.task, column=column, against=against, tolerance=tolerance)


def _class(clause: str, given: Any, model: ModelInfo) -> int | None:
    """The class of a clause, which the model must have."""
    if given is None:
        return None
    found = whole_number(clause, given, 0, 0)
    if model.classes is not None and found >= model.classes:
        named = {"multilabel": "label", "regression": "number"}.get(model.task, "class")
        last = model.classes - 1
        has = (
            f"one {named}, 0"
            if last == 0
            else f"{named}{'es' if named == 'class' else 's'} 0 to {last}"
        )
        raise InvalidValue(f"{clause} {found}, but model {model.name!r} has {has}")
    return found


def _within(seconds: Any) -> float | None:
    """The seconds of WITHIN, or None."""
    return None if seconds is None else number("WITHIN", seconds, None, 0, above=True)


def _scan(
    name: str,
    graph: Graph | GraphSet,
    model: ModelInfo,
    keys: Sequence[Any],
    *,
    directed: bool,
    late: Callable[[], bool],
    over: str = "edges",
    node_type: str | EdgeType | None = None,
    without_itself: bool = False,
) -> FieldScan:
    """The operator that cuts out the fields of the targets, with their sizes."""
    kind = _kind(model, graph)
    if not keys:
        raise DataError(f"no target: the list or sub-query of {kind.upper()}S holds no {kind}")
    # a target named twice is explained once
    if kind == "link":
        assert isinstance(graph, Graph)
        edge_type = scored_type(model, graph, node_type)
        positions = tuple(link_positions(graph, keys, edge_type))
        targets: tuple[Any, ...] = tuple(link_name(graph, each, edge_type) for each in positions)
    else:
        assert node_type is None or isinstance(node_type, str), "only links have edge types"
        edge_type = None
        positions = tuple(positions_of(graph, keys, node_type, model))
        require_judged(model, graph, positions)
        require_one_type(graph, positions)
        targets = tuple(map(graph.name, positions))
    whole = isinstance(graph, GraphSet)
    scan = FieldScan(
        graph=name,
        directed=directed,
        hops=0 if whole else model.hops,
        halo=0 if whole else model.halo,
        targets=targets,
        positions=positions,
        kind=kind,
        without_itself=without_itself,
        edge_type=edge_type,
        depth=model.depth if kind != "graph" else "",
        over=over,
    )
    return replace(scan, sizes=tuple(_field_sizes(scan, graph, late)))


def _field_sizes(scan: FieldScan, graph: Graph | GraphSet, late: Callable[[], bool]) -> list[int]:
    """Units of the fields of the first targets, which the plan shows: the run cuts each out again."""
    if isinstance(graph, GraphSet) and scan.over == "edges":
        return graph.units(scan.directed, np.array(scan.positions)).tolist()
    sizes: list[int] = []
    for position in scan.positions:
        if len(sizes) > SHOWN_FIELDS and (late() or len(sizes) >= MOST_SIZED):
            break
        sizes.append(field_size(scan, graph, position))
    return sizes


def _for_units(model: ModelInfo, over: str) -> ModelInfo:
    """The model with the backend for these units; raises InvalidValue where it cannot have them."""
    if over != "features":
        return model
    backend, reason = model.over_features()
    return replace(model, backend=backend, reason=reason)


def _backend(model: ModelInfo, setting: str) -> tuple[str, str]:
    """(inference backend, why): what registration found, unless sxq_inference says otherwise."""
    if setting == "auto":
        return model.backend, model.reason
    if setting != model.backend == "disjoint":
        raise InvalidValue(
            f"sxq_inference = {setting!r}, but model {model.name!r} needs 'disjoint': {model.reason}"
        )
    return setting, "" if setting == model.backend else "as set"


def _calls(statement: Explain, catalog: Catalog) -> tuple[GeneratorCall, ...]:
    """The generators after BY, or the default ones; SMALLEST adds, or is, its own."""
    calls = statement.generators
    if statement.smallest:
        others = tuple(call for call in calls if call.name != DEEPENING)
        return (*others, GeneratorCall(DEEPENING, (("until", statement.smallest),)))
    return calls or tuple(GeneratorCall(name) for name in catalog.default_generators)


def _generators(
    calls: tuple[GeneratorCall, ...], catalog: Catalog, measures: tuple[str, ...]
) -> Generators:
    """The generators, each with the options that were given."""
    objectives = {name: catalog.measures[name] for name in measures}
    names = [call.name for call in calls]
    if len(set(names)) != len(names):
        raise InvalidValue(f"BY names {next(n for n in names if names.count(n) > 1)!r} twice")
    for name in names:
        look_up("generator", name, catalog.generators)
    return tuple(
        (call.name, _options(call, catalog.generators[call.name], objectives)) for call in calls
    )


def _options(
    call: GeneratorCall, generator: GeneratorInfo, objectives: Mapping[str, Measure]
) -> tuple[tuple[str, Any], ...]:
    """The options of a call, each in the type of its default."""
    found = []
    for name, value in call.options:
        default = look_up(f"option of {call.name}", name, generator.options)
        found.append((name, option_value(f"{call.name}({name})", value, default, objectives)))
    return tuple(found)


def _check_learned(generators: Generators, catalog: Catalog, model: str) -> None:
    """Check that `pretrained` attributors exist and fit the model; also a named `explainer`."""
    for name, options in generators:
        entry = catalog.generators[name]
        chosen = dict(options)
        if "explainer" in entry.options:
            _check_explainer(name, chosen.get("explainer", ""), catalog.explainers)
        if entry.pretrained:
            _check_pretrained(name, chosen.get("pretrained"), catalog, model)


def _check_explainer(generator: str, chosen: str, registered: tuple[str, ...]) -> None:
    """Raise InvalidValue if no explainer is named or none is registered, UnknownName for another name."""
    if not chosen or not registered:
        example = registered[0] if registered else chosen or "e"
        add = "" if registered else f"con.register_explainer({example!r}, make), then "
        raise InvalidValue(
            f"BY {generator} needs a registered explainer: {add}BY {generator} (explainer = {example})"
        )
    look_up("explainer", chosen, dict.fromkeys(registered))


def _check_pretrained(generator: str, chosen: str | None, catalog: Catalog, model: str) -> None:
    """Raise InvalidValue or UnknownName if the chosen attributors are not for the model."""
    if chosen is None:
        raise InvalidValue(
            f"BY {generator} needs pre-trained attributors: PRETRAIN REFINE r FOR MODEL {model}, "
            f"then {generator}(pretrained = r)"
        )
    if look_up("refine", chosen, catalog.learned) != model:
        raise InvalidValue(
            f"refine {chosen!r} was pre-trained for model {catalog.learned[chosen]!r}, "
            f"not for {model!r}; PRETRAIN OR REPLACE REFINE {chosen} trains it anew"
        )


def _measures(names: tuple[str, ...], measures: Mapping[str, Measure]) -> tuple[str, ...]:
    """The names of the objectives as the measures spell them."""
    found = tuple(refuse_reported("OPTIMIZE", resolve(name, measures)).name for name in names)
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice:
        raise InvalidValue(f"OPTIMIZE names {twice!r} twice")
    return found


def _condition(condition: Condition, measures: Mapping[str, Measure]) -> Condition:
    """A condition of WHERE with the measure's own name."""
    if condition.op == "is":
        if condition.name not in FLAGS:
            raise UnknownName("flag", condition.name, FLAGS)
        return condition
    try:
        measure = refuse_reported("WHERE", resolve(condition.name, measures))
    except UnknownName:
        raise UnknownName("measure or flag", condition.name, [*measures, *FLAGS]) from None
    value = number(f"WHERE {condition.name}", condition.value, None, -math.inf)
    return Condition(measure.name, condition.op, value)
