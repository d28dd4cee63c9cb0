"""EXPLAIN, from its statement to a stored result, in the four steps that `Connection` takes.

    plan      the sub-query of the targets runs, and `planning.plan` makes the plan
    run       the query is written as pending; `execution.run` will yield a report for each target
    save      each report is committed as it comes
    result    the query is finished in the store, and the caller gets a `Result`

`show_plan` runs PLAN EXPLAIN; `show_profile` shows the profile of a run for PROFILE EXPLAIN.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import Any

from sxq import planning
from sxq.errors import DataError, Error
from sxq.graph import EdgeType, Graph, GraphSet, TypedKey, shown_type
from sxq.graph.keys import written
from sxq.language import placeholders, write
from sxq.language import statements as st
from sxq.planning import Plan
from sxq.planning.nodes import CONNECTED, Asked, Choose, FieldScan, Generate, Rank, Verify
from sxq.session import engine, key_tables
from sxq.session.commits import Unsaved
from sxq.session.context import Session
from sxq.session.mining import PatternSearch, stops
from sxq.session.registered_models import RegisteredModel
from sxq.session.stored_result import stored_reports
from sxq.storage import NewTable
from sxq.storage.user_sql import SqlResult
from sxq.values.explanation import TargetReport
from sxq.values.many_targets import HELD, Reports
from sxq.values.pattern import ClassFindings
from sxq.values.result import PlanText, Result
from sxq.values.table import counted


@dataclass(frozen=True, eq=False, kw_only=True)
class Unfinished:
    """The part of a stored query that was not done, as a statement of its own."""

    statement: st.Explain
    query_id: int
    ordinals: tuple[int, ...]  # of its targets in the query
    settings: Mapping[str, Any]  # as they were written when the query ran
    seconds: float  # that the query has taken
    complete: bool  # whether its other targets are


@dataclass(frozen=True, eq=False)
class PlannedQuery:
    """An EXPLAIN with its plan."""

    statement: st.Explain
    plan: Plan
    named: RegisteredModel
    started: float  # when the statement began, by time.perf_counter(): planning counts for WITHIN
    part_of: Unfinished | None = None  # of RESUME


@dataclass(frozen=True, eq=False)
class RunningQuery:
    """A planned query that is stored as pending; taking from `reports` runs it."""

    query: PlannedQuery
    query_id: int | None  # None where nothing is stored
    reports: Iterator[TargetReport]
    profile: Any  # sxq.execution.Profile, filled by the run
    unsaved: Unsaved


@dataclass(frozen=True, eq=False)
class SavedReports:
    """The reports of a run, and the KeyboardInterrupt or the error that cut it short."""

    reports: Reports
    cut_short: BaseException | None


def plan(
    session: Session, statement: st.Explain, part_of: Unfinished | None = None
) -> PlannedQuery:
    """Plan a statement that will run; measuring its fields ends with WITHIN or an interrupt."""
    started = time.perf_counter()
    if statement.into or not session.store.read_only:
        session.store.require_writable("INTO" if statement.into else "EXPLAIN")

    def late(within: float | None) -> bool:
        passed = within is not None and time.perf_counter() - started >= within
        return session.should_stop() or passed

    made, named = planned(session, statement, late)
    return PlannedQuery(statement, made, named, started, part_of)


def run(session: Session, query: PlannedQuery) -> RunningQuery:
    """Write the query and its targets as pending, and make the iterator that runs it."""
    registry = session.registry
    execution = engine.execution()
    profile = execution.Profile()
    targets = len(query.plan.find(FieldScan).targets)
    workers = min(session.settings["sxq_workers"], targets)
    pool = session.executor if targets > 1 else None
    if query.plan.find(Choose).jointly:
        workers = 1
        pool = None
    if pool is not None:
        workers = 1
    if workers > 1:
        execution.require_workers(query.named.model.device)
    query_id = _begin(session, query)
    ordinals = query.part_of.ordinals if query.part_of else None
    unsaved = Unsaved(session, query_id, ordinals, profile)
    job = execution.Job(
        plan=query.plan,
        graph=registry.graphs[query.named.graph],
        model=query.named.model,
        measures=registry.measures,
        learned=registry.learned.needed(query.plan),
    )
    if pool is not None:
        reports = execution.run_in_executor(
            job, pool, session.should_stop, profile, report=session.report, started=query.started
        )
    elif workers > 1:
        reports = execution.run_in_workers(
            job,
            workers,
            unsaved.stop_or_save,
            profile,
            report=session.report,
            started=query.started,
        )
    else:
        reports = execution.run(job, unsaved.stop_or_save, profile, session.report, query.started)
    return RunningQuery(query, query_id, reports, profile, unsaved)


def require_executor(pool: Any) -> None:
    """Raise InvalidValue for what is no executor."""
    engine.execution().require_executor(pool)


def save(session: Session, running: RunningQuery) -> SavedReports:
    """Commit reports as they come, those that come together as one. On an interrupt, finished reports are saved first.

    A second interrupt may cost the answers that are not chosen yet; one while they are stored aborts.
    """
    plan = running.query.plan
    targets = plan.find(FieldScan).targets
    reports = Reports(len(targets), _keeps_reports(running))
    unsaved = running.unsaved
    cut_short: BaseException | None = None
    coming = [running.reports]  # after the run, the reports that it left out
    ended = False
    while coming or unsaved.reports:
        try:
            if coming and (report := next(coming[0], None)) is not None:
                reports.add(report)
                unsaved.reports.append(report)
                if unsaved.waits(report):
                    continue  # hundreds may come at once: they are stored together
            elif coming:
                coming = [] if ended else [_without_report(targets, reports.missing(), cut_short)]
                ended = True
            unsaved.save()
        except (KeyboardInterrupt, Exception) as reason:
            if cut_short:
                raise
            cut_short = reason
            session.stopping = True
    return SavedReports(reports, cut_short)


def _keeps_reports(running: RunningQuery) -> bool:
    """Whether all reports are held in memory; where they are many, the store has them."""
    plan = running.query.plan
    together = plan.patterns is not None or plan.find(Choose).jointly
    few = len(plan.find(FieldScan).targets) <= HELD
    return few or together or running.query_id is None


def _without_report(
    targets: Sequence[Any], missing: Sequence[int], cut_short: BaseException | None
) -> Iterator[TargetReport]:
    """Reports of the targets that the run left without one: it was cut short while it stopped."""
    pressed = isinstance(cut_short, KeyboardInterrupt)
    reason = "interrupted" if pressed else f"stopped by an error: {cut_short};"
    for ordinal in missing:
        yield TargetReport(
            target=targets[ordinal],
            ordinal=ordinal,
            status="stopped",
            note=f"{reason} before the answer of this target was chosen",
        )


def result(session: Session, running: RunningQuery, saved: SavedReports) -> Result:
    """Finish the query in the store and make its result; raises an error that cut the run short."""
    query = running.query
    patterns, cut_short = _patterns(session, running, saved)
    found = Result(
        _reports(session, running, saved.reports),
        _columns(session, query.plan),
        query_id=running.query_id,
        plan=str(query.plan),
        seconds=time.perf_counter() - query.started,
        profile=running.profile.seconds,
        text=query.statement.text,
        epsilon=query.plan.find(Rank).epsilon,
        kind=query.plan.find(FieldScan).kind,
        classes=query.statement.for_class is not None or query.statement.against is not None,
        over=query.plan.find(FieldScan).over,
        found=patterns,
    )
    session.last = found
    try:
        _finish(session, found, running)
    except KeyboardInterrupt as reason:
        if isinstance(cut_short, KeyboardInterrupt):
            raise  # the second one aborts
        cut_short = reason
        _finish(session, found, running)
    if cut_short:
        raise cut_short
    return found


def _reports(session: Session, running: RunningQuery, reports: Reports) -> Sequence[TargetReport]:
    """The reports as a result has them: in memory, or read from the store when they are asked for."""
    if reports.keeps:
        return reports.listed
    query_id = running.query_id
    assert query_id is not None, "it is stored"
    part_of = running.query.part_of

    def read(places: Sequence[int]) -> Sequence[TargetReport]:
        ordinals = places if part_of is None else [part_of.ordinals[place] for place in places]
        return stored_reports(session, query_id, ordinals)

    return reports.stored(read)


def _patterns(
    session: Session, running: RunningQuery, saved: SavedReports
) -> tuple[ClassFindings | None, BaseException | None]:
    """The patterns of EXPLAIN CLASS, and what cut the statement short; a stop keeps what was found."""
    query = running.query
    cut_short = saved.cut_short
    if query.plan.patterns is None:
        return None, cut_short
    clock = time.perf_counter()
    stopped = stops(session.should_stop, query.plan, query.started)
    search = PatternSearch(query.plan, saved.reports.listed, query.named.predictions, stopped)
    try:
        for line in search.run():
            session.say(line)
    except (KeyboardInterrupt, Exception) as reason:
        cut_short = cut_short or reason
    running.profile.charge("Patterns", clock)
    return search.found, cut_short


def show_plan(session: Session, statement: st.Explain) -> PlanText:
    """PLAN EXPLAIN: the plan of a statement, of which only the sub-query runs."""
    made, _ = planned(session, statement, late=lambda within: False)
    return PlanText(str(made))


def show_profile(found: Result, running: RunningQuery) -> PlanText:
    """PROFILE EXPLAIN: the plan of a run, with counts and times on the line of each operator."""
    profile = running.profile
    seconds = {name: f"{spent:.3f} s" for name, spent in profile.seconds.items()}
    rate = profile.candidates / max(profile.seconds.get("Verify", 0), 1e-9)
    pruned = found.pruned
    if estimates := seconds.pop("Estimate", None):  # the model ran while a generator waited
        seconds["Generate"] += f", estimates {estimates}"
    missing = ""
    if reasons := profile.missing.most_common():
        number = profile.missing.total()
        missing = f"{number} estimate{'s' * (number > 1)} not available: {'; '.join(dict(reasons))}"
    counts = {
        "Generate": ", ".join(filter(None, (f"{pruned} pruned" if pruned else "", missing))),
        "Verify": f"{profile.candidates} candidates in {profile.rounds} rounds, {rate:,.0f}/s",
        "Lattice": f"{found.explanatory} explanatory, front {found.front}",
        "Answer": f"{len(found)} explanations, coverage {found.coverage or 0:.1%}",
        "Store": f"{len(found.targets)} targets",
    }
    if found.found is not None:
        counts["Patterns"] = f"{len(found.patterns)} patterns"
    notes = {
        name: ", ".join(filter(None, (counts.get(name), seconds.get(name))))
        for name in {**seconds, **counts}
    }
    return PlanText(planning.render(running.query.plan, notes))


def planned(
    session: Session, statement: st.Explain, late: Callable[[float | None], bool]
) -> tuple[Plan, RegisteredModel]:
    """The plan of a statement, and its model; `late` as in `planning.plan`."""
    if statement.into:
        session.store.require_free_table(statement.into)
    named = session.registry.models.get(statement.model, statement.graph)
    statement = _with_restrictions(session, statement, named)
    catalog = _catalog(session, statement, named)
    keys = key_tables.listed(session, statement, named.graph, "explain")
    return planning.plan(statement, catalog, keys, late), named


def _catalog(session: Session, statement: st.Explain, named: RegisteredModel) -> planning.Catalog:
    """Everything that the plan of a statement can refer to."""
    registry = session.registry
    return planning.Catalog(
        graphs=registry.graphs,
        models={statement.model: named.info(statement.model, registry.graphs[named.graph])},
        measures=registry.measures,
        generators=registry.generators(),
        default_generators=registry.default_generators(),
        settings=session.settings,
        learned=registry.learned.models() if statement.generators else {},
        explainers=tuple(registry.learned.explainers),
        stores=not session.store.read_only,
    )


def _with_restrictions(
    session: Session, statement: st.Explain, named: RegisteredModel
) -> st.Explain:
    """The statement with the units that the sub-queries of INCLUDE and EXCLUDE find."""
    graph = session.registry.graphs.get(named.graph)
    include = _restricted(session, "INCLUDE", statement.include, graph)
    exclude = _restricted(session, "EXCLUDE", statement.exclude, graph)
    return replace(statement, include=include, exclude=exclude)


def _restricted(session: Session, clause: str, given: Any, graph: Graph | GraphSet | None) -> Any:
    """What a clause names, without sub-queries; they run on the user's connection."""
    known = graph.keys if isinstance(graph, Graph) else None
    if not isinstance(given, st.Units):
        return _edges(session, clause, given, graph)
    if not isinstance(given.listed, st.Subquery):
        return given
    keys = known if given.over == "nodes" else None
    table = key_tables.targets(session, given.listed, keys)
    _check_units(f"{clause} {given.over.upper()}", 1, f"the {given.over}", table)
    return replace(given, listed=tuple(unit for (unit,) in table.rows))


def _edges(
    session: Session, clause: str, query: Any, graph: Graph | GraphSet | None
) -> tuple[tuple[Any, Any], ...]:
    """The edges of a clause, by key; a sub-query runs on the user's connection.

    Of a heterogeneous graph it may have a third column, the type of the edge, which says those of the ends.
    """
    if not isinstance(query, st.Subquery):
        return query
    table = key_tables.edges(session, query, graph.keys if isinstance(graph, Graph) else None)
    types = None if graph is None else graph.types
    if types is not None and len(table.columns) == 3:
        _check_units(clause, 3, "the keys of source and target, and the type of the edge", table)
        ends = {shown_type(name): name for name in types.edge_types}
        return tuple(_with_types(clause, row, ends) for row in table.rows)
    _check_units(clause, 2, "the keys of source and target", table)
    return tuple((source, head) for source, head in table.rows)


def _with_types(clause: str, row: Sequence[Any], ends: Mapping[str, EdgeType]) -> tuple[Any, Any]:
    """The ends of an edge, each with its type; raises DataError."""
    source, head, kind = row
    if kind not in ends:
        raise DataError(
            f"the sub-query of {clause} returned the edge type {kind!r}; those of the graph are "
            f"{', '.join(ends)}"
        )
    source_type, _, head_type = ends[kind]
    return (source_type, source), (head_type, head)


def _check_units(clause: str, columns: int, what: str, table: SqlResult) -> None:
    """Raise DataError where the sub-query of a clause gives no units."""
    if len(table.columns) != columns:
        raise DataError(
            f"the sub-query of {clause} returned {counted(len(table.columns), 'column')} "
            f"({', '.join(table.columns)}); expected {('one', 'two', 'three')[columns - 1]}, {what}"
        )
    empty = next((row for row, unit in enumerate(table.rows, 1) if None in unit), None)
    if empty:
        raise DataError(
            f"the sub-query of {clause} returned NULL in row {empty}; a key is never NULL"
        )
    if not table.rows and clause.startswith("INCLUDE"):
        raise DataError(f"the sub-query of {clause} returned no rows; leave out INCLUDE")


def _begin(session: Session, query: PlannedQuery) -> int | None:
    """Write the query and its targets as pending, before anything runs."""
    if session.store.read_only:
        return None
    if query.part_of is not None:
        session.store.resume_query(query.part_of.query_id, query.part_of.ordinals)
        return query.part_of.query_id
    return begin(session, query, query.plan.find(FieldScan).targets)


def begin(
    session: Session, query: PlannedQuery, targets: Sequence[Any], refreshes: int | None = None
) -> int:
    """Write a query and its targets (keys) as pending; `refreshes` is the query that REFRESH goes on with."""
    rank = query.plan.find(Rank)
    scan = query.plan.find(FieldScan)
    model_id = query.named.model_id
    graph_id = session.registry.graphs.id_of(query.named.graph)
    assert model_id is not None and graph_id is not None, "what can be written has ids"
    settings = {
        **session.settings.kept(),
        "edges_directed": scan.directed,
        "optimize": list(rank.measures),
        **_clauses(query.plan.find(Verify).asked),
        **({"anywhere": True} if scan.anywhere else {}),
        **({"links": True} if scan.kind == "link" else {}),
        **({"without_itself": True} if scan.without_itself else {}),
        **_path(query.plan),
        **({"over": scan.over} if scan.over != "edges" else {}),
        **({"smallest": query.plan.find(Choose).smallest} if query.statement.smallest else {}),
        **_restricted_units(scan),
        **_restricted_types(scan),
        **({"statement": _written(query.statement)} if placeholders(query.statement.text) else {}),
    }
    return session.store.begin_query(
        text=query.statement.text,
        plan=str(query.plan),
        model_id=model_id,
        graph_id=graph_id,
        settings=settings,
        seed=query.plan.find(Generate).seed,
        epsilon=rank.epsilon,
        k=query.plan.find(Choose).k,
        device=str(query.named.model.device),
        versions=versions(),
        targets=targets,
        refreshes=refreshes,
        restrictions={"include": scan.include, "exclude": scan.exclude}
        if scan.over == "edges"
        else {},
    )


def _path(plan: Plan) -> dict[str, bool]:
    """Whether WHERE asks for a path between the ends of links, or for none."""
    conditions = plan.filter.conditions if plan.filter else ()
    return {one.name: bool(one.value) for one in conditions if one.name == CONNECTED}


def _restricted_units(scan: FieldScan) -> dict[str, list[int | str]]:
    """The nodes, as a query writes their keys, or columns that INCLUDE and EXCLUDE name; edges have a table."""
    clauses = {"include": scan.include, "exclude": scan.exclude}
    if scan.over == "nodes":
        return {name: list(map(_bare, units)) for name, units in clauses.items() if units}
    if scan.over == "features":
        return {name: [column for column, _ in units] for name, units in clauses.items() if units}
    return {}


def _restricted_types(scan: FieldScan) -> dict[str, list[Any]]:
    """Types of the nodes that INCLUDE and EXCLUDE name in a heterogeneous graph: of each node, or of both ends."""
    found: dict[str, list[Any]] = {}
    for clause, units in (("include", scan.include), ("exclude", scan.exclude)):
        types = []
        for unit in units if scan.over != "features" else ():
            ends = unit if scan.over == "edges" else (unit,)
            types += [end.node_type for end in ends if isinstance(end, TypedKey)]
        if types:
            found[f"{clause}_types"] = types
    return found


def _bare(key: Any) -> int | str:
    """A key as a query writes it, without its type, which `_restricted_types` keeps."""
    return written(key.key if isinstance(key, TypedKey) else key)


def _written(statement: st.Explain) -> str:
    """A statement with its values in place of placeholders; its targets, edges and seed are stored elsewhere.

    Queries that differ in their seed alone have the same settings (view `stability`).
    """
    keys = ((0, 0),) if statement.kind == "link" else (0,)
    return write(replace(statement, keys=keys, include=(), exclude=(), seed=None))


def _clauses(asked: Asked) -> dict[str, Any]:
    """The facts about the question that AUDIT needs, if it is not the default question."""
    given = {"for_class": asked.column, "against": asked.against}
    task = {} if asked.task in ("multiclass", "binary") else {"task": asked.task}
    return task | {name: value for name, value in given.items() if value is not None}


def _finish(session: Session, found: Result, running: RunningQuery) -> None:
    """Finish the query in the store, and create the table of INTO; once more after Ctrl-C."""
    clock = time.perf_counter()
    plan = running.query.plan
    into = _table_of(session, plan.into, found, running) if plan.into else None
    try:
        if found.query_id is not None:
            _end_query(session, found, into, running.query.part_of)
    finally:
        session.last = found
    running.profile.charge("Store", clock)


def _table_of(session: Session, name: str, found: Result, running: RunningQuery) -> NewTable:
    """The table of INTO, with keys in the type that the views of the graph have."""
    graph = session.registry.graphs[running.query.named.graph]
    target = key_tables.column_type(graph, found.kind)
    types = [target if kind == "VARIANT" else kind for kind in found.types]
    return NewTable(name, found.columns, types, found.rows)


def _end_query(
    session: Session, found: Result, into: NewTable | None, part_of: Unfinished | None
) -> None:
    """Mark the query as ended, together with its table; if that cannot be made, without the table."""
    assert found.query_id is not None
    seconds = found.seconds + (part_of.seconds if part_of else 0)
    complete = found.complete and (part_of is None or part_of.complete)
    try:
        session.store.finish_query(found.query_id, seconds, complete, into, found.patterns)
    except Error:
        if into is not None:
            session.store.finish_query(found.query_id, seconds, complete, patterns=found.patterns)
        raise


def _columns(session: Session, plan: Plan) -> dict[str, str]:
    """Columns by measure: the objectives, the measures always taken, and the reported ones."""
    measures = session.registry.measures
    names = dict.fromkeys([*plan.find(Rank).measures, "fdl+", "fdl-", "conc"])
    shown = {name: measures[name].column for name in names}
    for name in plan.find(Choose).report:
        shown |= measures[name].columns
    # The size is already a column of every result.
    return {name: column for name, column in shown.items() if name != "size"}


@cache
def versions() -> dict[str, str]:
    """Versions of everything that can change an answer."""
    return {name: version(name) for name in ("sxq", "torch", "torch-geometric", "numpy", "duckdb")}
