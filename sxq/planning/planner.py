"""The planner: resolves every name once, checks every range, sizes every field."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sxq.errors import DataError, InvalidValue, UnknownName
from sxq.graph import Graph, extract
from sxq.language.statements import Condition, Explain, GeneratorCall
from sxq.planning.catalog import Catalog, GeneratorInfo, ModelInfo
from sxq.planning.nodes import Answer, FieldScan, Filter, Generate, Lattice, Plan, Verify
from sxq.planning.settings import MOST
from sxq.scoring.measures import Measure, resolve

DEFAULT_TOP, DEFAULT_EPSILON, DEFAULT_SEED = 10, 0.1, 0
MOST_ANSWERS = 2**31 - 1  # what the column `k` of the store holds
FLAGS = ("factual", "counterfactual")


def plan(statement: Explain, catalog: Catalog, keys: Sequence[Any]) -> Plan:
    """The plan of an EXPLAIN for the given target keys (a sub-query has been run by the corridor).

    Raises UnknownName, InvalidValue, NodeNotFound or DataError; the message says what would be right.
    """
    model = _known("model", statement.model, catalog.models)
    graph_name = statement.graph or model.graph
    graph = _known("graph", graph_name, catalog.graphs)
    settings = catalog.settings
    scan = _scan(graph_name, graph, model, keys, statement.directed)
    generate = Generate(
        scan, _generators(statement.generators, catalog),
        budget=_whole("BUDGET", statement.budget, settings["sxq_budget"], 1),
        within=None if statement.within is None else _number("WITHIN", statement.within, None, 0, above=True),
        seed=_whole("SEED", statement.seed, DEFAULT_SEED, 0))
    verify = Verify(generate, model.name, model.backend, model.reason, settings["sxq_batch_memory"])
    conditions = tuple(_condition(condition, catalog.measures) for condition in statement.where)
    lattice = Lattice(
        Filter(verify, conditions) if conditions else verify, _measures(statement.measures, catalog.measures),
        epsilon=_number("EPSILON", statement.epsilon, DEFAULT_EPSILON, 0),
        front_limit=settings["sxq_front_limit"], resolution=settings["sxq_resolution"])
    answer = Answer(lattice, _whole("TOP", statement.top, DEFAULT_TOP, 1, MOST_ANSWERS), settings["sxq_answer"])
    return Plan(answer, stores=catalog.stores, into=statement.into)


def _scan(name: str, graph: Graph, model: ModelInfo, keys: Sequence[Any], directed: bool) -> FieldScan:
    if not keys:
        raise DataError("no target: the list or sub-query of NODES gave no node")
    positions = tuple(dict.fromkeys(map(graph.position, keys)))  # a node named twice is explained once
    directed = directed or not graph.undirected
    sizes = tuple(extract(graph, position, model.hops, 0, directed).num_units for position in positions)
    return FieldScan(name, directed, model.hops, model.halo, tuple(map(graph.key, positions)), positions, sizes)


def _generators(calls: tuple[GeneratorCall, ...], catalog: Catalog):
    calls = calls or tuple(GeneratorCall(name) for name in catalog.default_generators)
    names = [call.name for call in calls]
    if len(set(names)) != len(names):
        raise InvalidValue(f"BY names {next(n for n in names if names.count(n) > 1)!r} twice")
    return tuple((call.name, _options(call, _known("generator", call.name, catalog.generators))) for call in calls)


def _options(call: GeneratorCall, generator: GeneratorInfo) -> tuple[tuple[str, Any], ...]:
    for option, value in call.options:
        if option not in generator.options:
            raise UnknownName(f"option of {call.name}", option, generator.options)
        default = generator.options[option]
        if isinstance(default, int) and not isinstance(default, bool):
            _whole(f"{call.name}({option})", value, default, 0)
    return call.options


def _measures(names: tuple[str, ...], known: Mapping[str, Measure]) -> tuple[str, ...]:
    found = tuple(resolve(name, known).name for name in names)
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice:
        raise InvalidValue(f"OPTIMIZE names {twice!r} twice")
    return found


def _condition(condition: Condition, known: Mapping[str, Measure]) -> Condition:
    if condition.op == "is":
        if condition.name not in FLAGS:
            raise UnknownName("flag", condition.name, FLAGS)
        return condition
    try:
        measure = resolve(condition.name, known)
    except UnknownName:
        raise UnknownName("measure or flag", condition.name, [*known, *FLAGS]) from None
    value = _number(f"WHERE {condition.name}", condition.value, None, -math.inf)
    return Condition(measure.name, condition.op, value)


def _known(kind: str, name: str, entries: Mapping[str, Any]) -> Any:
    if name not in entries:
        raise UnknownName(kind, name, entries)
    return entries[name]


def _whole(clause: str, value: Any, default: int, least: int, most: int = MOST) -> int:
    value = default if value is None else value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not least <= value <= most or value != int(value):
        limit = f"of {least} or more" if not number or not value > most else f"from {least} to {most}"
        raise InvalidValue(f"{clause} {value!r}; expected a whole number {limit}")
    return int(value)


def _number(clause: str, value: Any, default: float | None, least: float, above: bool = False) -> float:
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) \
            or value < least or (above and value == least):
        bound = "" if least == -math.inf else f" above {least:g}" if above else f" of {least:g} or more"
        raise InvalidValue(f"{clause} {value!r}; expected a number{bound}")
    return float(value)
