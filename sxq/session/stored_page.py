"""A page of the targets of a stored query, with their explanations, as REFRESH compares them with new ones."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sxq.session.audited import identity
from sxq.storage import Store, StoredExplanation, StoredTarget
from sxq.values.explanation import CandidateRow, TargetReport


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredAnswer:
    """A target with its explanations."""

    target: StoredTarget
    members: Sequence[StoredExplanation]
    # what explanations scored when the target was last searched, by their edges; empty if that was in this query
    searched: Mapping[frozenset, Mapping[str, float]]

    @property
    def asked(self) -> Any:
        """The class in question."""
        columns = self.target.columns
        return columns["prediction"] if columns.get("class") is None else columns["class"]


class StoredPage:
    """Some targets of a stored query; what is not asked for is not read.

    refreshes  the query that each one refreshed, or None
    """

    def __init__(
        self,
        store: Store,
        query_id: int,
        places: tuple[int, int],
        refreshes: Mapping[int, int | None],
    ):
        self._store = store
        self._query_id = query_id
        self._places = places
        self._refreshes = refreshes
        (query,) = store.stored_queries(query_id, places)
        self.targets = {target.ordinal: target for target in query.targets}

    def answer(self, ordinal: int) -> StoredAnswer:
        """The answer of one target."""
        return StoredAnswer(
            target=self.targets[ordinal],
            members=self.members(ordinal),
            searched=self._when_searched(ordinal),
        )

    def members(self, ordinal: int) -> Sequence[StoredExplanation]:
        """The explanations of a target."""
        return self._members.get(ordinal, ())

    @cached_property
    def _members(self) -> dict[int, list[StoredExplanation]]:
        place = {identity(target.target): ordinal for ordinal, target in self.targets.items()}
        found: dict[int, list[StoredExplanation]] = {}
        for member in self._store.stored_explanations(self._query_id, self._places):
            found.setdefault(place[identity(member.target)], []).append(member)
        return found

    def _when_searched(self, ordinal: int) -> dict[frozenset, Mapping[str, float]]:
        """The scores of the explanations of a target when it was last searched, so that small moves add up."""
        page = self
        while page.targets[ordinal].columns["refreshed"] in ("carried", "measured"):
            before = page._before
            if before is None or ordinal not in before.targets:
                break
            page = before
        if page is self:
            return {}
        return {edges_by_key(member): member.scores for member in page.members(ordinal)}

    @cached_property
    def _before(self) -> "StoredPage | None":
        """The same targets of the query that this one refreshed, if it is still there."""
        number = self._refreshes[self._query_id]
        if number is None or number not in self._refreshes:
            return None
        return StoredPage(self._store, number, self._places, self._refreshes)


def moved(answer: StoredAnswer, report: TargetReport, names: Sequence[str]) -> float | None:
    """By how much scores of explanations that were measured again moved at most; None if one holds no more.

    names  the measures that are compared
    """
    if report.status not in ("done", "stopped") or report.asked != answer.asked:
        return None
    if report.prediction != answer.target.columns["prediction"]:
        return None
    most = 0.0
    for member, row in zip(answer.members, _rows_of(report, answer.members)):
        if row is None or not row.explanatory or row.size != member.columns["size"]:
            return None
        scores = answer.searched.get(edges_by_key(member), member.scores)
        for name in names:
            before, now = scores.get(name), row.scores[name]
            if before is None or not np.isfinite([before, now]).all():
                return None
            most = max(most, max(before, now) / min(before, now) - 1)
    return most


def _rows_of(
    report: TargetReport, members: Sequence[StoredExplanation]
) -> Iterator[CandidateRow | None]:
    """What was measured of each member. The first candidate is the whole field, which may be one of them."""
    rows = {row.candidate: row for row in report.kept}
    whole = report.field_size or 0
    number = 0
    for member in members:
        if member.columns["size"] == whole:
            yield rows.get(0)
        else:
            number += 1
            yield rows.get(number)


def edges_by_key(member: StoredExplanation) -> frozenset:
    """The edges of an explanation by key, which are the same in every version."""
    return frozenset(Counter(map(repr, member.edges)).items())
