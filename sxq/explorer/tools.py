"""The tools of `sxq mcp`, as plain functions that return text: JSON of at most 50,000 characters.

Answers carry explanation ids, and what AUDIT measures of these explanations, so that what a program writes
about them can be checked.
"""

import json
from collections.abc import Iterable
from typing import Any

from sxq.errors import InvalidValue
from sxq.explorer.answers import ROWS, Answers, first_rows, plain, records, stored
from sxq.explorer.audit_figures import AuditFigures
from sxq.explorer.running import RunningExplain
from sxq.pictures import words
from sxq.values.explanation import Explanation, TargetReport
from sxq.values.result import Result, Table

# by explanation: the query and the place of the target
_PLACES = """
    SELECT explanation_id, query_id, ordinal
    FROM sxq.explanations e JOIN sxq.targets t USING (query_id, target)
    WHERE list_contains($ids, explanation_id) ORDER BY explanation_id"""
_MEMBERS = """
    SELECT explanation_id, target, rank, recommended, size, factual, counterfactual, raw
    FROM sxq.explanations WHERE query_id = $q ORDER BY explanation_id"""
_RANK = "SELECT rank FROM sxq.explanations WHERE explanation_id = $id"
LARGEST = 2**63 - 1  # of ids
CHARACTERS = 50_000  # most of an answer
AUDITED = 20  # explanations that the rows of one SELECT may name to have their figures


class Tools:
    """Tools over the stored answers of a database; close it at the end."""

    def __init__(self, path: str, write: bool = False):
        self.answers = Answers(path, write)
        self._con = self.answers.explaining()
        self._audit = AuditFigures(self._con)

    def close(self) -> None:
        """Stop what runs, and close the database."""
        self.answers.close()

    def list_graphs(self) -> str:
        """List the graphs: name, nodes, edges, features, whether it is directed, or a collection of graphs."""
        return _text({"graphs": _records(self._con.execute("SHOW GRAPHS"))})

    def list_models(self) -> str:
        """List the models: name, the graph each was trained on, architecture, what it predicts."""
        return _text({"models": _records(self._con.execute("SHOW MODELS"))})

    def plan(self, statement: str) -> str:
        """Show how an EXPLAIN statement would run, without running it. It checks names, keys and options.

        Example: EXPLAIN NODE 42 USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 5
        """
        asked = _stated("statement", statement)
        text = asked if asked.upper().startswith("PLAN") else f"PLAN {asked}"
        return _text({"plan": self.answers.run(text).rows[0][0]})

    def explain(self, statement: str) -> str:
        """Run one EXPLAIN (or RESUME QUERY n) and store its answer; returns its explanations with AUDIT figures.

        Bound it with BUDGET n CANDIDATES or WITHIN t SECONDS. Each explanation has an explanation_id, with
        which the tool `explanation` gives its edges.
        """
        if not self.answers.write:
            raise InvalidValue("this server only reads; sxq mcp --write runs EXPLAIN")
        event = RunningExplain(self._con, _stated("statement", statement)).wait()
        if event["kind"] == "error":
            raise InvalidValue(event["text"])
        query = event["query"]
        found = records(first_rows(self._con, _MEMBERS, ROWS, {"q": query}))
        own = {name: event[name] for name in ("text", "notes")}
        audit = self._audited(row["explanation_id"] for row in found)
        return _text({"query_id": query, **own, "audit": audit, "explanations": found})

    def query(self, sql: str) -> str:
        """Run one SELECT (or SHOW, DESCRIBE) on the stored answers; it only reads.

        Tables: queries, targets, explanations, explanation_edges, graphs, models, nodes, edges, patterns.
        Macros: best('fdl+', of_query := 1), compare(1, 2), unit_scores(1), counterfactuals(1). At most 1,000
        rows and 50,000 characters come back, and `cut` says so if there are more. Select explanation_id to
        get AUDIT figures for these explanations.
        """
        found = self.answers.run(_stated("sql", sql))
        rows = [dict(zip(found.columns, map(plain, row))) for row in found.rows]
        named = [row.get("explanation_id") for row in rows]
        ids = list(dict.fromkeys(number for number in named if type(number) is int))
        audit = {"audit": self._audited(ids[:AUDITED])} if ids else {}
        cut = f"only the first {ROWS:,} rows; there are more" if found.cut else None
        return _text({"columns": found.columns, **audit, "cut": cut, "rows": rows}, more=found.cut)

    def explanation(self, explanation_id: int) -> str:
        """One explanation: the question, its measures, its edges (or nodes, features) with their worth, AUDIT figures.

        worth_kept is what the probability loses if the edge is left out of the subgraph alone; worth_removed is
        what it regains if only this edge is put back; `needed` edges cannot be left out.
        """
        if type(explanation_id) is not int:
            raise InvalidValue(
                f"explanation_id is {explanation_id!r:.80}; expected a whole number, such as the tools explain "
                "and query return"
            )
        places = self._places([explanation_id]) if 0 <= explanation_id <= LARGEST else []
        if not places:
            raise InvalidValue(f"no explanation {explanation_id!r} is stored")
        ((number, query, ordinal),) = places
        ((rank,),) = first_rows(self._con, _RANK, 1, {"id": number}).rows
        result = stored(self._con, query, ordinal)
        (report,) = result.targets
        (own,) = [e for e in report.explanations if e.rank == rank]
        about = {"explanation_id": number, "query_id": query, "statement": result.text}
        return _text(about | _described(own, report, result) | {"audit": self._audit.of(places)})

    def _places(self, ids: Iterable[Any]) -> list[tuple[int, int, int]]:
        """(explanation_id, query_id, place of the target) of explanations that are stored."""
        numbers = {"ids": list(ids)}
        return [tuple(row) for row in first_rows(self._con, _PLACES, ROWS, numbers).rows]

    def _audited(self, ids: Iterable[int]) -> dict[str, Any]:
        return self._audit.of(self._places(ids))


def _stated(name: str, given: Any) -> str:
    """A statement; raises InvalidValue for what is none."""
    if not isinstance(given, str) or not given.strip():
        raise InvalidValue(f"{name} is {given!r:.80}; expected the text of one statement")
    return given.strip()


def _described(e: Explanation, report: TargetReport, result: Result) -> dict[str, Any]:
    """One explanation in words and numbers."""
    edges = [
        {"src": plain(u), "dst": plain(v), **_worth(e, place if e.over == "edges" else None)}
        for place, (u, v) in enumerate(e.edges)
    ]
    units = [{"unit": plain(unit), **_worth(e, place)} for place, unit in enumerate(e.units)]
    return {
        "target": plain(report.target),
        "meaning_of_the_answer": words.meaning(report, result.kind),
        "prediction": report.prediction,
        "probability": report.probability,
        "probability_without_any_unit": report.p_empty,
        "self_sufficient": report.self_sufficient,
        "note": report.note,
        "rank": e.rank,
        "recommended": e.recommended,
        "size": e.size,
        "factual": e.factual,
        "counterfactual": e.counterfactual,
        "tie": e.tie,
        "raw": {name: plain(value) for name, value in e.raw.items()},
        "over": e.over,
        **({"units": units} if units else {}),
        "edges": edges,
    }


def _worth(e: Explanation, place: int | None) -> dict[str, Any]:
    """What one unit is worth, where that was measured."""
    if e.worth is None or place is None:
        return {}
    return {
        "worth_kept": plain(float(e.worth.kept[place])),
        "worth_removed": plain(float(e.worth.removed[place])),
        "needed": bool(e.worth.needed[place]),
    }


def _records(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, map(plain, row))) for row in table.rows]


def _text(answer: dict[str, Any], more: bool = False) -> str:
    """An answer as JSON; the longest list in it is shortened until it fits, and `cut` says so.

    more  whether rows were left out before
    """
    text = _json(answer)
    if len(text) <= CHARACTERS:
        return text
    lists = {name: value for name, value in answer.items() if isinstance(value, list)}
    name = max(lists, key=lambda one: len(_json(lists[one])), default="")
    everything = lists.get(name, [])
    kept = len(everything)
    total = f"more than {kept:,}" if more else f"{kept:,}"
    while kept and len(text) > CHARACTERS:
        kept = kept * 3 // 4
        said = f"only {kept:,} of {total} {name}: an answer has at most {CHARACTERS:,} characters"
        text = _json({**answer, name: everything[:kept], "cut": said})
    return text if len(text) <= CHARACTERS else _json({"cut": text[: CHARACTERS // 2]})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
