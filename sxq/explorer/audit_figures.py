"""What AUDIT measures of the explanations that an answer names, so that a reader can check what it says."""

from collections.abc import Iterable
from typing import Any

from sxq.connection import Connection
from sxq.errors import Error
from sxq.session.audit import audit_target
from sxq.session.lock import locked

MOST = 50  # targets whose explanations are measured again for one answer
Figures = dict[str, Any]


class AuditFigures:
    """Measures explanations again, each target once."""

    def __init__(self, con: Connection):
        self._con = con
        self._known: dict[int, Figures] = {}  # by explanation
        self._failed: dict[tuple[int, int], str] = {}  # why a target was not measured

    def of(self, places: Iterable[tuple[int, int, int]]) -> dict[str, Any]:
        """Figures by explanation, for rows of (explanation_id, query_id, ordinal), and their totals.

        A figure is the largest difference between a stored value and one measured anew, and a verdict.
        """
        rows = list(places)
        unknown = [(query, ordinal) for number, query, ordinal in rows if number not in self._known]
        for query, ordinal in list(dict.fromkeys(unknown))[:MOST]:
            self._measure(query, ordinal)
        figures = {
            number: self._figure(number, (query, ordinal)) for number, query, ordinal in rows
        }
        exact = sum(one["verdict"].startswith("ok") for one in figures.values())
        return {
            "explanations": len(figures),
            "exact": exact,
            "figures": {str(number): one for number, one in figures.items()},
        }

    def _figure(self, number: int, target: tuple[int, int]) -> Figures:
        if number in self._known:
            return self._known[number]
        why = self._failed.get(target, f"only the first {MOST} targets of an answer are")
        return {"difference": None, "verdict": f"not measured: {why}"}

    def _measure(self, query: int, ordinal: int) -> None:
        try:
            self._known |= measured(self._con, query, ordinal)
        except Error as error:  # a model without its code, a damaged row
            self._failed[query, ordinal] = str(error)


@locked
def measured(con: Connection, query: int, ordinal: int) -> dict[int, Figures]:
    """The figures of one target's explanations; raises what AUDIT raises."""
    con.session.registry.refresh()
    with con.session.script():
        found = audit_target(con.session, query, ordinal)
    return {
        number: {"difference": one.difference, "verdict": one.verdict}
        for number, one in found.items()
    }
