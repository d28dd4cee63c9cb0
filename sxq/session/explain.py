"""EXPLAIN, from its statement to a stored result: steps 3 to 6 of the life of a query.

Part of the corridor: it hands what each room gives to the next one, and owns what happens when a run is cut short.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from itertools import takewhile
from typing import Any

from sxq import language, planning
from sxq.errors import DataError
from sxq.language import statements as st
from sxq.planning import Plan
from sxq.planning.nodes import Choose, FieldScan, Generate, Rank
from sxq.session import Registry
from sxq.values.explanation import TargetReport
from sxq.values.result import PlanText, Result


@dataclass
class Stop:
    """Whether what runs shall stop: a plain flag, no lock, so that a signal handler may set it."""

    wanted: bool = False


class Explaining:
    """Plans and runs EXPLAIN on what a connection has registered, and keeps what is found."""

    def __init__(
        self, names: Registry, store, settings: dict[str, Any], written: dict[str, Any], stop: Stop
    ):
        self._names, self._store, self._settings, self._written, self._stop = (
            names,
            store,
            settings,
            written,
            stop,
        )
        self.report: Callable[[Any], None] | None = None  # progress of a run
        self.last: Result | None = None  # of the last run, also when it was cut short

    def run(self, statement: st.Explain) -> Result:
        return self._run(statement)[0]

    def plan(self, statement: st.Explain) -> PlanText:
        return PlanText(str(self._plan(statement)[0]))

    def profile(self, statement: st.Explain) -> PlanText:
        """The plan of a run with what PROFILE adds to the line of each operator: counts and times."""
        result, plan, profile = self._run(statement)
        seconds = {name: f"{spent:.3f} s" for name, spent in profile.seconds.items()}
        rate = profile.candidates / max(profile.seconds.get("Verify", 0), 1e-9)
        pruned = sum(report.pruned for report in result.targets)
        if estimates := seconds.pop("Estimate", None):  # the model runs while a generator waits
            seconds["Generate"] += f", estimates {estimates}"
        missing = ""
        if reasons := profile.missing.most_common():
            number = profile.missing.total()
            missing = (
                f"{number} estimate{'s' * (number > 1)} not available: {'; '.join(dict(reasons))}"
            )
        counts = {
            "Generate": ", ".join(filter(None, (f"{pruned} pruned" if pruned else "", missing))),
            "Verify": f"{profile.candidates} candidates in {profile.rounds} rounds, {rate:,.0f}/s",
            "Lattice": f"{result.explanatory} explanatory, front {result.front}",
            "Answer": f"{len(result)} explanations, coverage {result.coverage or 0:.1%}",
            "Store": f"{len(result.targets)} targets",
        }
        notes = {
            name: ", ".join(filter(None, (counts.get(name), seconds.get(name))))
            for name in {**seconds, **counts}
        }
        return PlanText(planning.render(plan, notes))

    def _run(self, statement: st.Explain):
        """The result, its plan and the profile of its run; the clock runs from here, so that planning counts."""
        started = time.perf_counter()
        if statement.into or not self._store.read_only:
            self._store.require_writable("INTO" if statement.into else "EXPLAIN")
        plan, named = self._plan(
            statement,
            lambda within: (
                self._stop.wanted
                or (within is not None and time.perf_counter() - started >= within)
            ),
        )
        from sxq import execution

        profile = execution.Profile()
        query_id = self._begin(statement, plan, named)
        job = execution.Job(
            plan=plan,
            graph=self._names.graphs[named.graph],
            model=named.model,
            measures=self._names.measures,
            learned=self._names.learned.needed(plan),
        )
        running = execution.run(job, lambda: self._stop.wanted, profile, self.report, started)
        reports, cut_short = self._keep(running, query_id, profile)
        result = Result(
            reports,
            self._columns(plan),
            query_id=query_id,
            plan=str(plan),
            seconds=time.perf_counter() - started,
            profile=profile.seconds,
            text=statement.text,
            epsilon=plan.find(Rank).epsilon,
            kind=statement.kind,
        )
        self._finish(result, plan, profile)
        if cut_short:
            raise cut_short
        return result, plan, profile

    def _plan(
        self, statement: st.Explain, late: Callable[[float | None], bool] = lambda within: False
    ):
        """The plan of a statement, and the model at hand; `late` as in `planning.plan`."""
        if statement.into:
            self._store.require_free_table(statement.into)
        names, named = self._names, self._names.model(statement.model, statement.graph)
        catalog = planning.Catalog(
            graphs=names.graphs,
            models={statement.model: names.info(statement.model, statement.graph)},
            measures=names.measures,
            generators=names.generators(),
            default_generators=names.default_generators(),
            settings=self._settings,
            learned=names.learned.models() if statement.generators else {},
            explainers=tuple(names.learned.explainers),
            stores=not self._store.read_only,
        )
        return planning.plan(
            statement, catalog, self._keys(statement.keys, statement.kind), late
        ), named

    def _keys(self, keys, kind: str) -> tuple[Any, ...]:
        """The targets of a statement; a sub-query runs on the user's connection."""
        if not isinstance(keys, st.Subquery):
            return keys
        table, query = (
            self._store.select(keys.sql, language.arguments(keys)),
            f"the sub-query of {kind.upper()}S",
        )
        if len(table.columns) != 1:
            raise DataError(
                f"{query} returned {len(table.columns)} columns "
                f"({', '.join(table.columns)}); expected one, the keys of the {kind}s to explain"
            )
        if not table.rows:
            raise DataError(f"{query} returned no rows; there is nothing to explain")
        if (None,) in table.rows:
            raise DataError(
                f"{query} returned NULL in row {table.rows.index((None,)) + 1}; a key is never NULL"
            )
        return tuple(row[0] for row in table.rows)

    def _begin(self, statement: st.Explain, plan: Plan, named) -> int | None:
        """Write the query and its targets as pending, before anything runs."""
        if self._store.read_only:
            return None
        lattice, generate = plan.find(Rank), plan.find(Generate)
        return self._store.begin_query(
            text=statement.text,
            plan=str(plan),
            model_id=named.model_id,
            graph_id=self._names.graphs.id_of(named.graph),
            settings={
                **self._written,
                "edges_directed": plan.find(FieldScan).directed,
                "optimize": list(lattice.measures),
            },
            seed=generate.seed,
            epsilon=lattice.epsilon,
            k=plan.find(Choose).k,
            device=str(named.model.device),
            versions=versions(),
            targets=plan.find(FieldScan).targets,
        )

    def _keep(self, running: Iterator[TargetReport], query_id: int | None, profile):
        """Commit each report as it comes; the reports, and the KeyboardInterrupt or error that cut the run short.

        Wherever it strikes, what was found is finished and saved first; a second one aborts.
        """
        reports: list[TargetReport] = []
        unsaved: list[TargetReport] = []
        cut_short: BaseException | None = None
        running_on = True
        while running_on or unsaved:
            try:
                if running_on and (report := next(running, None)) is not None:
                    reports.append(
                        replace(report, kept=())
                    )  # they are many, and the store has them
                    unsaved.append(report)
                    if not report.reached:
                        continue  # there may be hundreds, all at once: they are stored together
                else:
                    running_on = False
                clock = time.perf_counter()
                while unsaved:
                    del unsaved[: self._save(query_id, unsaved)]
                profile.charge("Store", clock)
            except (KeyboardInterrupt, Exception) as reason:
                if cut_short:
                    raise
                cut_short = reason
                self._stop.wanted = True
        return reports, cut_short

    def _save(self, query_id: int | None, reports: list[TargetReport]) -> int:
        """Store the first of some reports; how many. Targets that were not reached are stored together."""
        unreached = list(takewhile(lambda report: not report.reached, reports))
        if query_id is not None and unreached:
            self._store.save_unreached(query_id, unreached)
        elif query_id is not None:
            self._store.save_target(query_id, reports[0])
        return len(unreached) or 1

    def _finish(self, result: Result, plan: Plan, profile) -> None:
        clock = time.perf_counter()
        if result.query_id is not None:
            everything = len(result.targets) == len(
                plan.find(FieldScan).targets
            )  # else a second Ctrl-C aborted
            self._store.finish_query(
                result.query_id, result.seconds, result.complete and everything
            )
        if plan.into:
            self._store.save_into(plan.into, result.columns, result.types, result.rows)
        profile.charge("Store", clock)
        self.last = result

    def _columns(self, plan: Plan) -> dict[str, str]:
        """Names and columns of what a result shows: the objectives, what is always measured, what is reported."""
        names = dict.fromkeys([*plan.find(Rank).measures, "fdl+", "fdl-", "conc"])
        shown = {name: self._names.measures[name].column for name in names}
        for name in plan.find(Choose).report:
            shown |= self._names.measures[name].columns
        return {
            name: column for name, column in shown.items() if name != "size"
        }  # a column of every result


@cache
def versions() -> dict[str, str]:
    """Versions of everything that can change an answer."""
    return {name: version(name) for name in ("sxq", "torch", "torch-geometric", "numpy", "duckdb")}
