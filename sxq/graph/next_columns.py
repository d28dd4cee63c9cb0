"""Columns of tables that change a graph, read as the graph holds those of the same names."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sxq.errors import GraphError
from sxq.graph.keys import kind_word, shown
from sxq.graph.readers import are_numbers, number_matrix
from sxq.graph.table_problems import EXAMPLES

_ITEM = re.compile(r"(.*)\[(\d+)\]", re.DOTALL)  # the name of a feature from a column of lists
Columns = dict[str, Sequence[Any]]


def groups(names: Sequence[str]) -> list[tuple[str, int, int]]:
    """The columns of a table that features came from: name, width, and the first feature."""
    found: list[tuple[str, int, int]] = []
    for place, name in enumerate(names):
        item = _ITEM.fullmatch(name)
        if item and int(item[2]) and found and found[-1][0] == item[1]:
            base, width, first = found[-1]
            found[-1] = base, width + 1, first
        elif item and not int(item[2]) and f"{item[1]}[1]" in names:
            found.append((item[1], 1, place))
        else:
            found.append((name, 1, place))
    return found


def like(
    held: np.ndarray, values: Sequence[Any], name: str, place: Callable[[int], str]
) -> np.ndarray:
    """Values of a column as rows of an array that the graph holds: of its type and shape."""
    if not are_numbers([int(v) if isinstance(v, bool) else v for v in values]) and len(values):
        row = next(
            (i for i, value in enumerate(values) if value is not None and not are_numbers([value])),
            0,
        )
        found = "NULL" if values[row] is None else kind_word(type(values[row]))
        raise GraphError(f"column {name!r} is {found} at {place(row)}; the graph has numbers there")
    width = int(np.prod(held.shape[1:], dtype=np.int64))
    matrix = number_matrix(f"column {name!r}", values, place)
    if matrix.shape[1] != width:
        raise GraphError(
            f"column {name!r} has {matrix.shape[1]} values at {place(0)}, {width} in the graph"
        )
    if held.dtype.kind in "iub":
        exact = np.array(values, np.float64).reshape(len(values), width)
        matrix = exact.astype(held.dtype)
        wrong = np.flatnonzero((matrix.astype(np.float64) != exact).any(axis=1))
        if len(wrong):
            raise GraphError(
                f"column {name!r} is {values[wrong[0]]} at {place(wrong[0])}; the graph has {held.dtype} there"
            )
    return matrix.astype(held.dtype).reshape(len(values), *held.shape[1:])


def joined(held: Mapping[str, np.ndarray], new: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([array, new[name]]) for name, array in held.items()}


def lower(given: Iterable[str]) -> dict[str, str]:
    return {name.lower(): name for name in given}


def pop(given: Columns, name: str) -> Sequence[Any] | None:
    """Take a column out; names are SQL's, in any case."""
    known = name if name in given else lower(given).get(name.lower())
    return None if known is None else given.pop(known)


def take(what: str, given: Columns, name: str, say: str = "") -> Sequence[Any]:
    values = pop(given, name)
    if values is None:
        others = f"; found {', '.join(given)}" if given else ""  # those not taken yet
        also = f": SELECT {say}" if say else ""
        raise GraphError(f"{what} has no column {name!r}, which the graph has{also}{others}")
    return values


def refuse_others(what: str, given: Columns, own: Sequence[str]) -> None:
    if given:
        has = ", ".join(own) or "none"
        raise GraphError(
            f"{what} has a column {next(iter(given))!r}, which the graph does not have; its columns: {has}"
        )


def at_key(keys: Sequence[Any]) -> Callable[[int], str]:
    return lambda row: f"key {shown(keys[row])}"


def at_edge(sources: Sequence[Any], heads: Sequence[Any]) -> Callable[[int], str]:
    return lambda row: f"{shown(sources[row])} -> {shown(heads[row])} in row {row + 1}"


def problem(what: str, found: Sequence[str], with_what: str, remedy: str) -> GraphError:
    rows = f"{len(found):,} row{'s' * (len(found) > 1)} of {what}"
    verb = "have" if len(found) > 1 else "has"
    verb = ("are" if len(found) > 1 else "is") if with_what.startswith("no edge") else verb
    return GraphError(f"{rows} {verb} {with_what}, such as {', '.join(found[:EXAMPLES])}: {remedy}")
