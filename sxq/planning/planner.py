"""The planner: resolves every name once, checks every range, sizes every field."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sxq.errors import DataError, InvalidValue, UnknownName
from sxq.graph import Graph, GraphSet, extract
from sxq.language.statements import Condition, Explain, GeneratorCall
from sxq.planning.catalog import Catalog, GeneratorInfo, ModelInfo
from sxq.planning.checks import known, number, option, whole
from sxq.planning.choice import choice, refuse_reported
from sxq.planning.nodes import SHOWN_FIELDS, FieldScan, Filter, Generate, Plan, Rank, Verify
from sxq.scoring.measures import Measure, resolve

DEFAULT_EPSILON, DEFAULT_SEED = 0.1, 0
FLAGS = ("factual", "counterfactual")


def plan(
    statement: Explain,
    catalog: Catalog,
    keys: Sequence[Any],
    late: Callable[[float | None], bool] = lambda within: False,
) -> Plan:
    """The plan of an EXPLAIN for the given target keys (a sub-query has been run by the corridor).

    late    whether the statement was stopped, or its seconds WITHIN have passed: then no more fields are sized

    Raises UnknownName, InvalidValue, NodeNotFound or DataError; the message says what would be right.
    """
    model = known("model", statement.model, catalog.models)
    graph_name = statement.graph or model.graph
    graph = known("graph", graph_name, catalog.graphs)
    _check_kind(statement.kind, model, graph)
    settings = catalog.settings
    measures = _measures(statement.measures, catalog.measures)
    generators = _generators(statement.generators, catalog, measures)
    _check_learned(generators, catalog, model.name)
    within = (
        None
        if statement.within is None
        else number("WITHIN", statement.within, None, 0, above=True)
    )
    scan = _scan(graph_name, graph, model, keys, statement.directed, lambda: late(within))
    generate = Generate(
        scan,
        generators,
        budget=whole("BUDGET", statement.budget, settings["sxq_budget"], 1),
        within=within,
        seed=whole("SEED", statement.seed, DEFAULT_SEED, 0),
    )
    verify = Verify(
        generate,
        model.name,
        *_backend(model, settings["sxq_inference"]),
        settings["sxq_batch_memory"],
    )
    conditions = tuple(_condition(condition, catalog.measures) for condition in statement.where)
    lattice = Rank(
        Filter(verify, conditions) if conditions else verify,
        measures,
        epsilon=number("EPSILON", statement.epsilon, DEFAULT_EPSILON, 0),
        front_limit=settings["sxq_front_limit"],
        resolution=settings["sxq_resolution"],
    )
    answer = choice(statement, catalog, lattice, len(scan.targets))
    return Plan(
        answer,
        catalog.stores,
        statement.into,
        keeps=catalog.stores and settings["sxq_keep_candidates"],
    )


def _check_kind(kind: str, model: ModelInfo, graph: Graph | GraphSet) -> None:
    """Nodes are targets of a model of nodes, graphs of a model of graphs."""
    has = "graph" if isinstance(graph, GraphSet) else "node"
    if kind != has:
        raise InvalidValue(
            f"EXPLAIN {kind.upper()}, but model {model.name!r} classifies the {has}s of "
            f"{model.graph!r}: say EXPLAIN {has.upper()}"
        )


def _scan(
    name: str,
    graph: Graph | GraphSet,
    model: ModelInfo,
    keys: Sequence[Any],
    directed: bool,
    late: Callable[[], bool],
) -> FieldScan:
    kind = "graph" if isinstance(graph, GraphSet) else "node"
    if not keys:
        raise DataError(f"no target: the list or sub-query of {kind.upper()}S gave no {kind}")
    positions = tuple(
        dict.fromkeys(map(graph.position, keys))
    )  # a target named twice is explained once
    directed = directed or not graph.undirected
    if kind == "graph":
        sizes = tuple(graph.units(directed)[list(positions)].tolist())
        return FieldScan(
            name, directed, 0, 0, tuple(map(graph.key, positions)), positions, sizes, kind
        )
    sizes: list[int] = []
    for position in positions:
        if len(sizes) > SHOWN_FIELDS and late():
            break
        sizes.append(extract(graph, position, model.hops, 0, directed).num_units)
    return FieldScan(
        name,
        directed,
        model.hops,
        model.halo,
        tuple(map(graph.key, positions)),
        positions,
        tuple(sizes),
    )


def _backend(model: ModelInfo, setting: str) -> tuple[str, str]:
    """(inference backend, why): what registration found, unless sxq_inference says otherwise."""
    if setting == "auto":
        return model.backend, model.reason
    if setting != model.backend == "disjoint":
        raise InvalidValue(
            f"sxq_inference = {setting!r}, but model {model.name!r} needs 'disjoint': {model.reason}"
        )
    return setting, "" if setting == model.backend else "as set"


def _generators(calls: tuple[GeneratorCall, ...], catalog: Catalog, measures: tuple[str, ...]):
    objectives = {name: catalog.measures[name] for name in measures}
    calls = calls or tuple(GeneratorCall(name) for name in catalog.default_generators)
    names = [call.name for call in calls]
    if len(set(names)) != len(names):
        raise InvalidValue(f"BY names {next(n for n in names if names.count(n) > 1)!r} twice")
    for name in names:
        known("generator", name, catalog.generators)
    return tuple(
        (call.name, _options(call, catalog.generators[call.name], objectives)) for call in calls
    )


def _options(
    call: GeneratorCall, generator: GeneratorInfo, objectives: Mapping[str, Measure]
) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (
            name,
            option(
                f"{call.name}({name})",
                value,
                known(f"option of {call.name}", name, generator.options),
                objectives,
            ),
        )
        for name, value in call.options
    )


def _check_learned(generators, catalog: Catalog, model: str) -> None:
    """Whatever is `pretrained` must be there, and be made for the model; an `explainer` must be registered."""
    for name, options in generators:
        if "explainer" in catalog.generators[name].options:
            known(
                "explainer", dict(options).get("explainer", ""), dict.fromkeys(catalog.explainers)
            )
        if "pretrained" not in catalog.generators[name].options:
            continue
        chosen = dict(options).get("pretrained")
        if chosen is None:
            raise InvalidValue(
                f"BY {name} needs what was learned: {name}(pretrained = r), after PRETRAIN REFINE r "
                f"FOR MODEL {model}"
            )
        if known("refine", chosen, catalog.learned) != model:
            raise InvalidValue(
                f"refine {chosen!r} was pre-trained for model {catalog.learned[chosen]!r}, "
                f"not for {model!r}; PRETRAIN OR REPLACE REFINE {chosen} trains it anew"
            )


def _measures(names: tuple[str, ...], measures: Mapping[str, Measure]) -> tuple[str, ...]:
    found = tuple(refuse_reported("OPTIMIZE", resolve(name, measures)).name for name in names)
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice:
        raise InvalidValue(f"OPTIMIZE names {twice!r} twice")
    return found


def _condition(condition: Condition, measures: Mapping[str, Measure]) -> Condition:
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
