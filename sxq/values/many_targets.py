"""The reports of a query with their sums, and those of a query with so many targets that they stay in the store.

A report with its explanations takes tens of kilobytes. Of a stored query with more than HELD targets a result keeps
the sums, and reads reports, a page at a time, when they are asked for.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np

from sxq.graph.link_field import TypedLinkKey
from sxq.graph.typed_keys import TypedKey
from sxq.values.explanation import Explanation, TargetReport

HELD = 10_000  # most targets whose reports a result holds, if they are stored
PAGE = 1_000  # targets that are read together
_NUMBERS = re.compile(r"\d[\d,.e+-]*")

Read = Callable[[Sequence[int]], Sequence[TargetReport]]  # the reports of targets, by place


@dataclass(eq=False)
class Noted:
    """A note, and how many targets have one that differs only in numbers."""

    first: TargetReport  # without explanations
    count: int = 1


@dataclass(eq=False)
class Totals:
    """What the reports of a query say together."""

    targets: int = 0
    explanations: int = 0
    candidates: int = 0
    pruned: int = 0
    explanatory: int = 0
    front: int = 0
    dominance: int = 0
    self_sufficient: int = 0  # targets
    stopped: int = 0  # targets
    all_complete: bool = True
    epsilon_achieved: float | None = None
    proved: bool | None = None
    typed: bool = False  # whether nodes have types
    objectives: list[str] = field(default_factory=list)  # as far as any target was searched
    questions: dict[str, None] = field(default_factory=dict)  # in words, each once
    notes: dict[str, Noted] = field(default_factory=dict)  # by note without its numbers

    def add(self, report: TargetReport) -> None:
        """Add what a report says."""
        self.targets += 1
        self.explanations += len(report.explanations)
        self.candidates += report.candidates
        self.pruned += report.pruned
        self.explanatory += report.explanatory
        self.front += report.front
        self.dominance += report.dominance
        self.self_sufficient += bool(report.self_sufficient)
        self.stopped += report.status == "stopped"
        self.all_complete &= report.complete
        if report.epsilon_achieved is not None:
            self.epsilon_achieved = max(report.epsilon_achieved, self.epsilon_achieved or 0.0)
        if report.proved is not None:
            self.proved = report.proved and self.proved is not False
        self.typed |= isinstance(report.target, TypedKey | TypedLinkKey)
        self.objectives = self.objectives or list(report.examined)
        if report.why:
            self.questions[report.why] = None
        if report.note:
            self._note(report)

    def _note(self, report: TargetReport) -> None:
        alike = _NUMBERS.sub("0", report.note)
        if (known := self.notes.get(alike)) is not None:
            known.count += 1
        else:
            self.notes[alike] = Noted(replace(report, explanations=(), kept=(), examined={}))


class Reports:
    """The reports of a run as they come: each is kept, or only what all say together."""

    def __init__(self, targets: int, keeps: bool):
        self.keeps = keeps
        self.listed: list[TargetReport] = []
        self.totals = Totals()
        self.members = np.zeros(targets, np.int32)  # explanations, by place of the target
        self._known = np.zeros(targets, bool)

    def add(self, report: TargetReport) -> None:
        """Take a report."""
        self._known[report.ordinal] = True
        self.members[report.ordinal] = len(report.explanations)
        if self.keeps:
            self.listed.append(replace(report, kept=()))  # they are many, and stored
        else:
            self.totals.add(report)

    def missing(self) -> list[int]:
        """The places of the targets without a report."""
        return np.flatnonzero(~self._known).tolist()

    def stored(self, read: Read) -> "StoredReports":
        """All reports as the store has them, once they are there."""
        return StoredReports(self.members, read, self.totals)


class StoredReports(Sequence[TargetReport]):
    """The reports of all targets in order, read from the store a page at a time."""

    def __init__(self, members: np.ndarray, read: Read, totals: Totals):
        self.members = members
        self.totals = totals
        self._read = read
        self._page: tuple[int, Sequence[TargetReport]] = (-1, ())

    def __len__(self) -> int:
        return len(self.members)

    @overload
    def __getitem__(self, index: int) -> TargetReport: ...
    @overload
    def __getitem__(self, index: slice) -> list[TargetReport]: ...

    def __getitem__(self, index: int | slice) -> TargetReport | list[TargetReport]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        number = place // PAGE
        if self._page[0] != number:
            last = min((number + 1) * PAGE, len(self))
            self._page = number, self._read(range(number * PAGE, last))
        return self._page[1][place % PAGE]

    def __iter__(self) -> Iterator[TargetReport]:
        return (self[place] for place in range(len(self)))


def pages(places: np.ndarray) -> Iterator[tuple[int, int]]:
    """The first and the last place of each page that has any of some places; a page holds PAGE places at most."""
    for number in np.unique(np.asarray(places) // PAGE).tolist():
        yield number * PAGE, number * PAGE + PAGE - 1


class StoredMembers(Sequence[Any]):
    """Something of each explanation of `reports`, target by target, by rank: itself, or a row that `make` makes."""

    def __init__(self, reports: StoredReports, make: Callable[[Explanation, TargetReport], Any]):
        self._reports = reports
        self._make = make
        self._ends = np.cumsum(reports.members, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        of = int(np.searchsorted(self._ends, place, side="right"))
        report = self._reports[of]
        first = int(self._ends[of]) - int(self._reports.members[of])
        return self._make(report.explanations[place - first], report)

    def __iter__(self) -> Iterator[Any]:
        return (
            self._make(each, report) for report in self._reports for each in report.explanations
        )
