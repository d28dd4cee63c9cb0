"""What `execute` returns: a table read completely, or the skylines of an EXPLAIN.

Both have `columns`, `fetchall`, `fetchone`, `df` and iteration; neither needs the connection.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from sxq.errors import shown
from sxq.graph.link_field import LinkKey, TypedLinkKey
from sxq.graph.types import shown_type
from sxq.values import arrow, frames
from sxq.values.explanation import Explanation, TargetReport
from sxq.values.many_targets import PAGE, Noted, StoredMembers, StoredReports, Totals
from sxq.values.pattern import COLUMNS as PATTERN_COLUMNS
from sxq.values.pattern import ClassFindings, ClassPattern
from sxq.values.table import printable, text_table
from sxq.values.views import view

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow
    from matplotlib.figure import Figure

FIXED = {  # columns of every skyline and their types in SQL; the measures' columns follow, DOUBLE
    "target": "VARIANT",
    "rank": "INTEGER",
    "recommended": "BOOLEAN",
    "size": "BIGINT",
    "num_nodes": "BIGINT",
    "factual": "BOOLEAN",
    "counterfactual": "BOOLEAN",
    "generator": "VARCHAR",
    "dominance": "BIGINT",
}
TYPED = {"node_type": "VARCHAR"}  # follows the target where nodes have types
CLASSES = {"class": "INTEGER", "against": "INTEGER"}  # follow where a statement names one
UNITS = {
    "units": "VARCHAR[]"
}  # follow OVER NODES and OVER FEATURES: keys or names, worth most first


# How a target keeps its prediction without any unit.
ALONE = {
    "edges": "with no edges at all",
    "nodes": "with no other node",
    "features": "with every feature at its baseline",
}


MOST_ROWS = 40  # of a printed AUDIT; more are counted by query
MOST_TARGETS = 20  # of a printed EXPLAIN; more get a row each, in place of all their members
OVERVIEW = (
    *("target", "prediction", "probability", "p_empty", "explanations", "rank", "size"),
    *("factual", "counterfactual", "status"),
)


class Table:
    """Rows of named columns, read completely; iterates over its rows as tuples."""

    def __init__(
        self,
        columns: Sequence[str],
        rows: Sequence[tuple],
        frame: "Callable[[], pandas.DataFrame] | None" = None,
        types: Sequence[str] = (),
    ):
        self._types = list(types)
        self.columns = list(columns)
        self._rows = rows if isinstance(rows, StoredMembers) else list(rows)
        self._next = 0  # the row that `fetchone` gives next
        self._frame = frame  # makes it where the types of the columns are known elsewhere

    def fetchall(self) -> list[tuple]:
        """All rows that `fetchone` has not given yet."""
        rows = self.rows[self._next :] if self._next else self.rows
        self._next = len(self._rows)
        return rows

    def fetchone(self) -> tuple | None:
        """The next row, or None after the last."""
        if self._next >= len(self._rows):
            return None
        self._next += 1
        row: tuple = self._rows[self._next - 1]
        return row

    def df(self) -> "pandas.DataFrame":
        """All rows as a `pandas.DataFrame`."""
        return self._frame() if self._frame else frames.frame(self.columns, self._rows)

    def arrow(self) -> "pyarrow.Table":
        """All rows as a table of Arrow, each column in the type that SQL gave it; extra `frames`."""
        return arrow.arrow_table(self.columns, self._rows, self.types)

    def pl(self) -> "polars.DataFrame":
        """All rows as a `polars.DataFrame`, typed as `arrow`; extra `frames`."""
        return arrow.polars_frame(self.columns, self._rows, self.types)

    @property
    def types(self) -> list[str]:
        """SQL types of the columns; empty for tables of sxq's own, such as SHOW GRAPHS."""
        return self._types

    @property
    def rows(self) -> list[tuple]:
        """All rows, whatever was fetched."""
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return (
            text_table(self.columns, self._rows, types=self._types) if self.columns else "(no rows)"
        )

    def _repr_html_(self) -> str:
        return view("Table._repr_html_", self)


class PlanText(Table):
    """A plan: one row with one column, printed as plain lines."""

    def __init__(self, text: str):
        super().__init__(["plan"], [(text,)])

    def __repr__(self) -> str:
        return printable(self._rows[0][0])


class AuditResult(Table):
    """What AUDIT found: a row for each explanation, and one for each finding about something else.

    `summary()` is one line of totals, which a printed AUDIT ends with.
    """

    COLUMNS = ("query_id", "target", "rank", "explanation_id", "difference", "verdict")

    def __init__(
        self,
        rows: Sequence[tuple],
        *,
        queries: int,
        targets: int,
        structure_only: bool = False,
        stopped: bool = False,
    ):
        super().__init__(self.COLUMNS, rows)
        self.queries = queries
        self.targets = targets
        self.structure_only = structure_only
        self.stopped = stopped  # before everything was looked at

    @property
    def explanations(self) -> int:
        """Explanations with a verdict."""
        return sum(row[3] is not None for row in self._rows)

    @property
    def findings(self) -> int:
        """Rows that are not ok."""
        return sum(not row[-1].startswith("ok") for row in self._rows)

    def __repr__(self) -> str:
        return "\n".join([*map(str, self.shown()), *self.sentences()])

    def shown(self) -> list[Table]:
        """What a printed AUDIT shows: its rows, or of many the totals of each query and the findings."""
        if len(self) <= MOST_ROWS:
            return [Table(self.columns, self._rows)]
        found = [row for row in self._rows if not row[-1].startswith("ok")]
        return [self.overview(), *([Table(self.columns, found)] if found else [])]

    def sentences(self) -> list[str]:
        """What follows the tables."""
        return [self.summary()]

    def overview(self) -> Table:
        """A row for each query: how much was measured again, and how much of it is wrong."""
        queries: dict[Any, list[tuple]] = {}
        for row in self._rows:
            queries.setdefault(row[0], []).append(row)
        rows = []
        for query_id, own in queries.items():
            right = sum(row[-1].startswith("ok") for row in own)
            worst = max((row[4] for row in own if row[4] is not None), default=None)
            explained = sum(row[3] is not None for row in own)
            rows.append(
                (query_id, len({row[1] for row in own}), explained, len(own) - right, worst)
            )
        columns = ["query_id", "targets", "explanations", "findings", "largest_difference"]
        return Table(columns, rows)

    def summary(self) -> str:
        """One line: how much was looked at, and how much of it is wrong."""
        queries = f"{self.queries:,} {'query' if self.queries == 1 else 'queries'}"
        targets = _counted(self.targets, "target")
        number = _counted(self.explanations, "explanation")
        exact = sum(row[3] is not None and row[-1].startswith("ok") for row in self._rows)
        coarse = sum(row[-1].startswith("ok to") for row in self._rows)
        whole = "whole" if self.structure_only else "exact"
        share = f"all {whole}" if exact == self.explanations else f"{exact:,} {whole}"
        share += f" ({coarse:,} as far as float32 can tell)" if coarse else ""
        line = f"{queries}, {targets}, {number}: {share}, {_counted(self.findings, 'finding')}"
        line += "; structure only: nothing was measured again" if self.structure_only else ""
        return f"{line}{'; stopped before the end' if self.stopped else ''}."


class Result(Table):
    """The skylines of one EXPLAIN; iterates over its explanations, target by target, by rank.

    Counts are sums over the targets. `coverage` is weighted by their explanatory candidates, and
    `epsilon_achieved` is the largest of theirs. `targets` has the report of each. Of a stored query with more than
    10,000 targets, `targets`, `explanations` and the rows are read from the store when they are asked for.
    """

    def __init__(
        self,
        reports: Sequence[TargetReport],
        measures: dict[str, str],
        *,
        query_id: int | None = None,
        plan: str = "",
        seconds: float = 0.0,
        profile: Mapping[str, float] | None = None,
        text: str = "",
        epsilon: float | None = None,
        kind: str = "node",
        classes: bool = False,
        over: str = "edges",
        found: ClassFindings | None = None,
        remarks: Sequence[str] = (),
    ):
        self._take(reports)
        self._remarks = remarks  # notes on how it came about
        self.measures = measures  # column by measure name, in the order they are shown
        self.query_id = query_id  # None where nothing is stored
        self.plan = plan
        self.seconds = seconds
        self.profile = {} if profile is None else profile  # seconds by operator
        self.text = text  # the statement
        self.epsilon = epsilon  # the one that the statement asked for
        self.kind = kind  # of the targets: "node" or "graph"
        self.found = found  # of EXPLAIN CLASS: the patterns of the class; else None
        self.over = over  # what units are: "edges", "nodes" or "features"
        self._classes = classes
        listed = UNITS if over != "edges" else {}
        first = {"target": FIXED["target"]} | (TYPED if self._totals.typed else {})
        self._fixed = first | FIXED | (CLASSES if classes else {}) | listed
        super().__init__([*self._fixed, *measures.values()], self._made_rows())

    def _take(self, reports: Sequence[TargetReport]) -> None:
        """Hold the reports and their sums; those in the store stay there."""
        self.targets: Sequence[TargetReport]
        self.explanations: Sequence[Explanation]
        if isinstance(reports, StoredReports):
            self.targets = reports
            self.explanations = StoredMembers(reports, lambda member, _: member)
            self._totals = reports.totals
            return
        self.targets = sorted(reports, key=lambda report: report.ordinal)
        self.explanations = [e for report in self.targets for e in report.explanations]
        self._totals = Totals()
        for report in self.targets:
            self._totals.add(report)

    def _made_rows(self) -> Sequence[tuple]:
        if isinstance(self.targets, StoredReports):
            return StoredMembers(self.targets, self._row)
        return [self._row(e, r) for r in self.targets for e in r.explanations]

    @property
    def patterns(self) -> tuple[ClassPattern, ...]:
        """Of EXPLAIN CLASS: the skyline of patterns, by support; else nothing."""
        return self.found.patterns if self.found else ()

    @property
    def types(self) -> list[str]:
        """SQL types of the columns."""
        return [*self._fixed.values(), *["DOUBLE"] * len(self.measures)]

    def _row(self, e: Explanation, report: TargetReport) -> tuple:
        key = _typed_key(e.target) if self._totals.typed else (e.target,)
        fixed = (
            *key,
            e.rank,
            e.recommended,
            e.size,
            len(e.nodes),
            e.factual,
            e.counterfactual,
            e.generator,
            e.dominance,
        )
        classes = (report.asked, report.against) if self._classes else ()
        units = ([str(reason.unit) for reason in e.reasons],) if self.over != "edges" else ()
        return *fixed, *classes, *units, *(e.raw.get(name) for name in self.measures)

    @property
    def candidates(self) -> int:
        """Distinct candidates verified."""
        return self._totals.candidates

    @property
    def pruned(self) -> int:
        """Distinct candidates that were not verified, because they are dominated whatever the model says."""
        return self._totals.pruned

    @property
    def explanatory(self) -> int:
        """Of these, how many explain (and were admitted by WHERE)."""
        return self._totals.explanatory

    @property
    def front(self) -> int:
        """Members of the exact fronts the answers were chosen from."""
        return self._totals.front

    @property
    def dominance(self) -> int:
        """Explanatory candidates that the answers epsilon-dominate."""
        return self._totals.dominance

    @property
    def coverage(self) -> float | None:
        """`dominance` as a share of `explanatory`; None where nothing is explanatory."""
        return self.dominance / self.explanatory if self.explanatory else None

    @property
    def epsilon_achieved(self) -> float | None:
        """The smallest epsilon at which every answer covers everything examined."""
        return self._totals.epsilon_achieved

    @property
    def complete(self) -> bool:
        """Whether every generator of every target came to its end and left nothing out for lack of budget.

        False where no target was searched.
        """
        return bool(self.targets) and self._totals.all_complete

    @property
    def proved(self) -> bool | None:
        """Of SMALLEST: whether every member is proved to be the smallest; None without a member."""
        return self._totals.proved

    @property
    def objectives(self) -> list[str]:
        """The measures that were optimised, as far as any target was searched."""
        return list(self._totals.objectives)

    def plot(self, path: str | None = None, target: Any = None) -> "Figure":
        """The members and the skyline of one target as a `matplotlib.figure.Figure`; needs matplotlib.

        path    a file in which the figure is saved, too
        target  the key of the target (default: the first that has explanations)

        Raises DataError where there is nothing to draw.
        """
        return view("Result.plot", self, path, target)

    def to_html(self, path: str | None = None) -> str:
        """The answer as one self-contained page, also written to `path`.

        The page shows fronts, members, coverage, the plan and SQL to go on with. Raises DataError
        where the file cannot be written.
        """
        return view("Result.to_html", self, path)

    def export(self, path: str) -> None:
        """Write the answer as .graphml, .json or .csv.

        Raises InvalidValue for another suffix, DataError where the file cannot be written.
        """
        view("Result.export", self, path)

    def _repr_html_(self) -> str:
        return view("Result._repr_html_", self)

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.explanations)

    @overload
    def __getitem__(self, index: int) -> Explanation: ...
    @overload
    def __getitem__(self, index: slice) -> list[Explanation]: ...

    def __getitem__(self, index: int | slice) -> Explanation | list[Explanation]:
        if isinstance(index, slice):
            return list(self.explanations[index])
        return self.explanations[index]

    def __repr__(self) -> str:
        return "\n".join([*map(str, self.shown()), *map(printable, self.sentences())])

    def shown(self) -> list[Table]:
        """What a printed answer shows: its members; of a class its patterns, of many targets an overview."""
        if self.patterns:
            return [self.pattern_table()]
        if len(self.targets) > MOST_TARGETS:
            return [self.overview()]
        return [Table(self.columns, self._rows)]

    def sentences(self) -> list[str]:
        """What follows the tables: the summary, and the notes."""
        return [self.summary(), *self.notes()]

    def overview(self) -> Table:
        """A row for each target: what the model says of it, and the explanation to look at first."""
        stored = isinstance(self.targets, StoredReports)
        targets = self.targets[:PAGE] if stored else self.targets  # of those in the store a page
        members = [e for report in targets for e in report.explanations]
        firsts = {e.target: e for e in reversed([e for e in members if e.recommended] or members)}
        return Table(OVERVIEW, [_overview(r, firsts.get(r.target)) for r in targets])

    def pattern_table(self) -> Table:
        """Of EXPLAIN CLASS: the patterns as a table, a row for each."""
        return Table(PATTERN_COLUMNS, [pattern.row for pattern in self.patterns])

    def summary(self) -> str:
        """One line: what share of the explanatory candidates the answer covers, out of how many.

        Of a class, the pattern that recurs most comes first; then the targets that need no edge, for
        which the rest is weaker evidence than it sounds.
        """
        alone = self._totals.self_sufficient
        first = [self.found.summary()] if self.found else []
        first += [self._self_sufficient(alone)] if alone else []
        return " ".join([*first, self._covers()])

    def _covers(self) -> str:
        over = f", over {self.over}" if self.over != "edges" else ""
        targets = f"{_counted(len(self.targets), self.kind)}{over}{self._why()}"
        verified = f"{'was' if self.candidates == 1 else 'were'} verified"
        if self._totals.stopped:
            verified += " before the search was stopped"
        if not self.explanatory:
            seen = _counted(self.candidates, "candidate")
            return f"{targets}: no explanations; {seen} {verified}."
        verb = "covers" if len(self) == 1 else "cover"
        epsilon = "" if self.epsilon is None else f" (epsilon {self.epsilon:g})"
        return (
            f"{targets}: {_counted(len(self), 'explanation')} {verb} {self.coverage:.1%}{epsilon} "
            f"of the {_counted(self.explanatory, 'explanatory candidate')}; "
            f"{self.candidates:,} {verified}.{self._first()}"
        )

    def _why(self) -> str:
        """The questions of the targets in words; empty where all are about what the model predicts."""
        asked = list(self._totals.questions)
        if not asked:
            return ""
        more = len(asked) - 1
        others = f" and {more} other question{'s' if more > 1 else ''}" if more else ""
        return f", {asked[0]}{others}"

    @property
    def recommended(self) -> list[Explanation]:
        """The explanation to look at first, of each target that has one."""
        return [e for e in self.explanations if e.recommended]

    def _first(self) -> str:
        """Where there is a choice for the only target: which explanation to look at first."""
        if len(self.targets) != 1 or len(self) < 2 or not self.recommended:
            return ""
        return f" Look first at rank {self.recommended[0].rank}."

    def notes(self) -> list[str]:
        """What a reader must know to read the answer right; the first ten notes of many.

        Notes that differ only in numbers are counted: the first of them stands for all.
        """
        alike = map(self._noted, self._totals.notes.values())
        noted = [*self._remarks, *(self.found.notes if self.found else ()), *alike]
        return noted[:10] + ([f"... {len(noted) - 10} more notes"] if len(noted) > 10 else [])

    def _noted(self, noted: Noted) -> str:
        """One note for targets whose notes are alike."""
        first = noted.first
        if noted.count == 1:
            return f"{self.kind} {shown(first.target)}: {first.note}"
        count = _counted(noted.count, self.kind)
        return f"{count}, such as {shown(first.target)}: {first.note}"

    @property
    def _alone(self) -> str:
        # without units that are nodes, a graph has its nodes and no edges
        return ALONE["edges" if (self.kind, self.over) == ("graph", "nodes") else self.over]

    def _self_sufficient(self, alone: int) -> str:
        """The note about this many targets that keep their prediction without any edge."""
        total = len(self.targets)
        whole = {1: "1", 2: "Both"}.get(total, f"All {total}")
        some = whole if alone == total else f"{alone} of {total}"
        keep, them = ("keeps its", "it") if alone == 1 else ("keep their", "them")
        return (
            f"{some} {self.kind}{'' if total == 1 else 's'} {keep} prediction {self._alone}"
            f", so 'factual' is weak evidence for {them}."
        )


def _overview(report: TargetReport, first: Explanation | None) -> tuple:
    """The row of a target in an overview, with the explanation to look at first."""
    member = (
        (None, None, None, None)
        if first is None
        else (first.rank, first.size, first.factual, first.counterfactual)
    )
    said = (report.prediction, report.probability, report.p_empty, len(report.explanations))
    return (report.target, *said, *member, report.status)


def _counted(count: int, noun: str) -> str:
    """A count with its noun: `1 node`, `1,200 nodes`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _typed_key(target: Any) -> tuple[Any, str]:
    """The key of a node, and its type; of a link the keys of its ends, and its edge type."""
    if isinstance(target, TypedLinkKey):
        return LinkKey(target.u.key, target.v.key), shown_type(target.edge_type)
    return target.key, target.node_type
