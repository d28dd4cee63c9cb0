"""Everything that is wrong in the tables of a graph, counted, with examples by key: a load is mended in one go."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sxq.graph.encoding import LISTS, NUMBERS, is_null
from sxq.graph.keys import shown

SqlRows = tuple[Sequence[str], Sequence[Sequence[Any]]]  # column names and rows, fetched from SQL
EXAMPLES = 3
NAMED = ("label", "split")  # columns of NODES that are no features


@dataclass(frozen=True)
class TableProblem:
    """A kind of problem: how many rows have it, what it is, examples, and what would help."""

    count: int
    what: str
    examples: tuple[str, ...]
    remedy: str

    def __str__(self) -> str:
        rows = f"{self.count:,} {'row' if self.count == 1 else 'rows'}"
        such = f", such as {', '.join(self.examples)}" if self.examples else ""
        return f"{rows} {self.what}{such}: {self.remedy}"


def listed(found: Sequence[TableProblem]) -> str:
    """The message about all problems."""
    if len(found) == 1:
        return str(found[0])
    return "\n".join([f"{len(found)} problems in the tables:", *(f"- {each}" for each in found)])


def problems(
    nodes: SqlRows, edges: SqlRows, encoded: bool, drop_dangling: bool
) -> list[TableProblem]:
    """All problems of the two tables that this file knows; empty where the problem is another one.

    encoded        NULL is allowed, because it is imputed
    drop_dangling  edges may end where no node is
    """
    return [each for each in _all(nodes, edges, encoded, drop_dangling) if each.count]


def _all(
    nodes: SqlRows, edges: SqlRows, encoded: bool, drop_dangling: bool
) -> Iterator[TableProblem]:
    names, rows = nodes
    keys = [row[0] for row in rows]
    yield problem("of NODES with a NULL key", _rows_without(keys), "leave them out")
    counts = Counter(key for key in keys if key is not None and not isinstance(key, (*LISTS, dict)))
    twice = [shown(key) for key, count in counts.items() for _ in range(count - 1) if count > 1]
    yield problem("of NODES with a repeated key", twice, "SELECT DISTINCT, or GROUP BY the key")
    for place, name in enumerate(names[1:], start=1):
        if name.lower() not in NAMED:
            yield from _of_feature(name, keys, [row[place] for row in rows], encoded)
    if not drop_dangling and len(edges[0]) > 1:
        yield from _of_ends(edges, counts)
    for place, name in enumerate(edges[0][2:], start=2):
        yield from _of_edge_column(name, [row[place] for row in edges[1]])


def _of_feature(
    name: str, keys: Sequence[Any], values: Sequence[Any], encoded: bool
) -> Iterator[TableProblem]:
    present = [value for value in values if not is_null(value)]
    if not present or not all(isinstance(value, NUMBERS) for value in present):
        return
    where = [shown(key) for key, value in zip(keys, values) if _infinite(value)]
    yield problem(f"of NODES with an infinite {name!r}", where, "make it NULL or a number")
    if not encoded:
        empty = [shown(key) for key, value in zip(keys, values) if is_null(value)]
        yield problem(
            f"of NODES with NULL or NaN in {name!r}", empty, "say ENCODE = auto, or coalesce it"
        )


def _of_ends(edges: SqlRows, known: Counter) -> Iterator[TableProblem]:
    names, rows = edges
    for place, name in enumerate(names[:2]):
        ends = [row[place] for row in rows]
        yield problem(
            f"of EDGES with NULL in {name!r}",
            _rows_without(ends),
            "say DANGLING = drop, or leave them out",
        )
        strange = [
            f"{shown(end)} in row {number}"
            for number, end in enumerate(ends, start=1)
            if end is not None and (isinstance(end, (*LISTS, dict)) or end not in known)
        ]
        yield problem(
            f"of EDGES with a key in {name!r} that is not in NODES",
            strange,
            "say DANGLING = drop, or add the nodes",
        )


def _of_edge_column(name: str, values: Sequence[Any]) -> Iterator[TableProblem]:
    present = [value for value in values if not is_null(value)]
    if not present or not all(isinstance(value, NUMBERS) for value in present):
        return
    empty = [f"row {n}" for n, value in enumerate(values, start=1) if is_null(value)]
    yield problem(f"of EDGES with NULL or NaN in {name!r}", empty, "coalesce it")
    where = [f"row {n}" for n, value in enumerate(values, start=1) if _infinite(value)]
    yield problem(f"of EDGES with an infinite {name!r}", where, "make it a number")


def _rows_without(values: Sequence[Any]) -> list[str]:
    return [f"row {number}" for number, value in enumerate(values, start=1) if value is None]


def _infinite(value: Any) -> bool:
    return isinstance(value, float | np.floating) and math.isinf(value)


def problem(what: str, where: Iterable[str], remedy: str) -> TableProblem:
    """What is wrong with the rows named by `where`."""
    found = list(where)
    examples = tuple(dict.fromkeys(found))[:EXAMPLES]
    return TableProblem(len(found), what, examples, remedy)
