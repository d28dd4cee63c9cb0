"""Finished targets are stored together: those that end within a tenth of a second share a transaction.

A transaction costs ten times what a target in it costs. The first report is stored at once, later ones wait until
a tenth of a second has passed since the last commit, or up to a second where commits take so long that they would
slow the search down; while the run goes on it asks `stop_or_save`, which stores what is due. So a process that is
killed loses at most what ended within that time, and its targets stay pending.
"""

import time
from dataclasses import dataclass, field, replace
from typing import Any

from sxq.errors import Error
from sxq.session import snapshots
from sxq.session.context import Session
from sxq.values.explanation import TargetReport

TOGETHER = 0.1  # seconds between two commits
CHEAP = 0.005  # seconds of a commit for which TOGETHER is enough: the store takes a twentieth of the time
LONGEST = 10  # times TOGETHER that reports wait at most
MOST_UNSAVED = 10_000  # reports that wait


@dataclass(eq=False)
class Unsaved:
    """The reports of a query that are not stored yet."""

    session: Session
    query_id: int | None  # None where nothing is stored
    ordinals: tuple[int, ...] | None  # of RESUME: those of its targets in the whole query
    profile: Any  # sxq.execution.Profile
    reports: list[TargetReport] = field(default_factory=list)
    saved: float = float("-inf")  # when reports were last stored, by time.perf_counter()
    took: float = 0.0  # seconds that this took

    def due(self) -> bool:
        """Whether reports wait, and it is time to store them."""
        pause = TOGETHER * min(max(self.took / CHEAP, 1), LONGEST)
        return bool(self.reports) and time.perf_counter() - self.saved >= pause

    def waits(self, last: TargetReport) -> bool:
        """Whether reports go on waiting after the last one came; of targets that were not reached thousands do."""
        return len(self.reports) < MOST_UNSAVED and not (last.reached and self.due())

    def stop_or_save(self) -> bool:
        """Whether the run must stop; while it need not, reports that are due are stored."""
        if self.due():
            try:
                self.save()
            except Error:
                return True  # it is raised by the next `save`, once the run has ended in order
        return self.session.should_stop()

    def save(self) -> None:
        """Store all reports; those that were stored when an error comes are no longer here."""
        clock = time.perf_counter()
        try:
            while self.reports:
                del self.reports[: self._save_first()]
        finally:
            self.saved = time.perf_counter()
            self.took = self.saved - clock
            self.profile.charge("Store", clock)
        snapshots.renew(self.session, within=True)

    def _save_first(self) -> int:
        """Store the first reports of one kind; returns how many."""
        first = self.reports[0]
        count = 0
        while count < len(self.reports) and self.reports[count].reached == first.reached:
            count += 1
        if self.query_id is None:
            return count
        some = [self._in_query(report) for report in self.reports[:count]]
        if not first.reached:
            self.session.store.save_unreached(self.query_id, some)
            return count
        return self._save_targets(some)

    def _save_targets(self, reports: list[TargetReport]) -> int:
        store = self.session.store
        assert self.query_id is not None, "it is stored"
        if len(reports) > 1:
            try:
                with store.together():
                    for report in reports:
                        store.save_target(self.query_id, report)
                return len(reports)
            except Error:
                pass  # one by one, so that it costs no other target
        store.save_target(self.query_id, reports[0])
        return 1

    def _in_query(self, report: TargetReport) -> TargetReport:
        """A report with the place of its target in the stored query."""
        if self.ordinals is None:
            return report
        return replace(report, ordinal=self.ordinals[report.ordinal])
