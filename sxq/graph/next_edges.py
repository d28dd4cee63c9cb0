"""Edges added to a graph, and edges removed: rows that begin with the keys of source and target.

Both are for a graph without types. `next_typed.py` says for edges of one type which these are and where ends are found.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sxq.errors import GraphError, NodeNotFound
from sxq.graph.csr import Graph, rows_of
from sxq.graph.edge_texts import EdgeTexts, number_texts, sql_type
from sxq.graph.encoding import LISTS, EncodedColumn
from sxq.graph.keys import shown
from sxq.graph.next_columns import (
    Columns,
    at_edge,
    groups,
    like,
    lower,
    pop,
    problem,
    refuse_others,
    take,
)
from sxq.graph.readers import are_numbers, edge_text, scaled_edges, table_columns, without_partner
from sxq.graph.table_problems import SqlRows

ENDS = ["key of source", "key of target"]  # the two may be called alike in a SELECT
Positions = Sequence[
    Callable[[Any], int]
]  # from a key of a source to its position, and of a target


@dataclass(frozen=True, eq=False, kw_only=True)
class NewEdges:
    """Edges that are added to a graph."""

    ends: np.ndarray  # [2, k] positions
    values: Mapping[str, np.ndarray]  # by the names of `held`, [k, ...]
    texts: Mapping[str, list]  # edge attributes by name
    kinds: np.ndarray | None = None  # [k] of a graph with types, the numbers of their edge types

    def reversed_too(
        self, again: np.ndarray | Sequence[int], reverses: np.ndarray | None
    ) -> "NewEdges":
        """These, and the reverses of some of them; with types, of the types that mirror theirs."""
        again = np.asarray(again, np.int64)
        kinds = self.kinds
        if kinds is not None and reverses is not None:
            kinds = np.concatenate([kinds, reverses[kinds[again]]])
        return NewEdges(
            ends=np.concatenate([self.ends, self.ends[::-1, again]], axis=1),
            values={
                name: np.concatenate([array, array[again]]) for name, array in self.values.items()
            },
            texts={
                name: [*text, *(text[i] for i in again.tolist())]
                for name, text in self.texts.items()
            },
            kinds=kinds,
        )


def in_pairs(graph: Graph) -> bool:
    """Whether edges come in pairs u -> v and v -> u. A graph without edges between two nodes does not say so."""
    source, head = graph.edge_index
    return bool((source != head).any()) and graph.undirected


def add_edges(graph: Graph, table: SqlRows, pairs: bool) -> Graph:
    """The graph with new edges; the first two columns are the keys of source and target.

    With `pairs`, the reverse of each is added, unless the table has it. Raises GraphError for ends that are no
    nodes, and for columns that do not fit.
    """
    new = read_edges(graph, table, (graph.position, graph.position))
    if not len(new.ends.T):
        return graph
    return with_edges(
        graph, np.arange(graph.num_edges), new.reversed_too(lacking(new), None) if pairs else new
    )


def read_edges(graph: Graph, table: SqlRows, positions: Positions) -> NewEdges:
    """The edges of a table with the columns of the graph's edges."""
    names, rows = table
    _require_ends("ADD EDGES", names)
    if not rows:
        return no_edges(graph)
    (_, sources), (_, heads), *columns = table_columns("ADD EDGES", ENDS + [*names[2:]], rows)
    ends = _ends("ADD EDGES", positions, sources, heads)
    given: Columns = dict(columns)
    texts: dict[str, list] = dict(_scaled_texts(graph, given))
    values = _edge_values(graph, given, at_edge(sources, heads))
    texts |= {
        name: list(map(edge_text, take("ADD EDGES", given, name)))
        for name in graph.edge_attributes
        if name not in texts
    }
    refuse_others("ADD EDGES", given, _edge_columns(graph))
    return NewEdges(ends=ends, values=values, texts=texts)


def no_edges(graph: Graph) -> NewEdges:
    """None, in the form in which the graph holds its edges."""
    return NewEdges(
        ends=np.zeros((2, 0), np.int64),
        values={name: array[:0] for name, array in held(graph).items()},
        texts={name: [] for name in graph.edge_attributes},
        kinds=None if graph.types is None else np.zeros(0, np.int64),
    )


def lacking(new: NewEdges) -> list[int]:
    """The edges whose reverses are not among the new ones."""
    parts = [rows_of(array) for name, array in new.values.items() if name != "edge_truth"]
    return without_partner(np.column_stack([new.ends.T, *parts]))


def remove_edges(graph: Graph, table: SqlRows, pairs: bool) -> Graph:
    """The graph without some edges: those between the keys in the first two columns.

    Further columns are those of the graph's edges; then only edges with these values are removed. With `pairs`,
    their reverses go with them. Raises GraphError for what is no edge of the graph.
    """
    gone = find_edges(graph, table, (graph.position, graph.position))
    return without_edges(graph, gone, pairs) if len(gone) else graph


def find_edges(graph: Graph, table: SqlRows, positions: Positions) -> np.ndarray:
    """The numbers of the edges of a graph that the rows of a table name; raises GraphError for a row of none."""
    names, rows = table
    _require_ends("REMOVE EDGES", names)
    if not rows:
        return np.zeros(0, np.int64)
    (_, sources), (_, heads), *columns = table_columns("REMOVE EDGES", ENDS + [*names[2:]], rows)
    ends = _ends("REMOVE EDGES", positions, sources, heads)
    given: Columns = dict(columns)
    place = at_edge(sources, heads)
    wanted = _contents(graph, given, place)
    refuse_others("REMOVE EDGES", given, _edge_columns(graph))
    code = ends[0] * graph.num_nodes + ends[1]
    own = graph.edge_index[0] * graph.num_nodes + graph.edge_index[1]
    near = np.flatnonzero(np.isin(own, code))
    found = _agreeing(near, own[near], code, wanted)
    missing = [place(row) for row, edges in enumerate(found) if not len(edges)]
    if missing:
        also = " with these values" if wanted else ""
        raise problem("REMOVE EDGES", missing, f"no edge of the graph{also}", "leave it out")
    return np.unique(np.concatenate(found))


def without_edges(graph: Graph, gone: np.ndarray, pairs: bool) -> Graph:
    """The graph without the edges `gone`; with `pairs`, without their reverses."""
    if pairs:
        gone = np.union1d(gone, _partners(graph, gone))
    return with_edges(graph, np.setdiff1d(np.arange(graph.num_edges), gone), no_edges(graph))


def with_edges(graph: Graph, stay: np.ndarray, new: NewEdges) -> Graph:
    """The graph with the edges `stay` of its own, and new ones behind them; with types, behind those of their type."""
    types = graph.types
    kinds = (
        None if types is None or new.kinds is None else np.append(types.of_edge[stay], new.kinds)
    )
    order = (
        np.arange(len(stay) + new.ends.shape[1]) if kinds is None else _by_type(kinds, len(stay))
    )
    joined = {
        name: np.concatenate([array[stay], new.values[name]])[order]
        for name, array in held(graph).items()
    }
    inputs = {name: joined.pop(name) for name in graph.edge_inputs}
    texts = {}
    for name, column in graph.edge_attributes.items():
        both = [*(column[edge] for edge in stay.tolist()), *new.texts[name]]
        texts[name] = EdgeTexts((both[edge] for edge in order.tolist()), sql_type(column))
    edge_index = np.concatenate([graph.edge_index[:, stay], new.ends], axis=1)
    return Graph(
        **{
            **graph.columns(),
            "edge_index": edge_index[:, order],
            **joined,
            "edge_inputs": inputs,
            "edge_attributes": texts,
            "types": types
            if types is None or kinds is None
            else replace(types, of_edge=kinds[order]),
        }
    )


def _by_type(kinds: np.ndarray, before: int) -> np.ndarray:
    """An order of edges in which new ones, from number `before`, come behind the last of their type.

    Where there is none of their type, they come behind the types before it.
    """
    behind = 2 * np.arange(len(kinds)) + 1
    for kind in np.unique(kinds[before:]).tolist():
        own = np.flatnonzero(kinds[:before] == kind)
        if not len(own):
            own = np.flatnonzero(kinds[:before] < kind)
        behind[before:][kinds[before:] == kind] = 2 * (own[-1] + 1) if len(own) else 0
    return np.lexsort([kinds, behind])


# -- what edges hold -----------------------------------------------------------------------------


def _require_ends(what: str, names: Sequence[str]) -> None:
    if len(names) < 2:
        raise GraphError(
            f"{what} has {len(names)} column, expected the keys of source and target first"
        )


def _ends(
    what: str, positions: Positions, sources: Sequence[Any], heads: Sequence[Any]
) -> np.ndarray:
    """The positions [2, k] of both ends; raises GraphError for ends that are no nodes."""
    strange = []
    found = np.zeros((2, len(sources)), np.int64)
    for side, keys in enumerate((sources, heads)):
        for row, key in enumerate(keys):
            try:
                if key is None:
                    raise NodeNotFound("NULL")
                found[side, row] = positions[side](key)
            except NodeNotFound:
                strange.append(f"{'NULL' if key is None else shown(key)} in row {row + 1}")
    if strange:
        raise problem(
            what,
            strange,
            "an end that is no node of the graph",
            "ADD NODES first, or leave it out" if what == "ADD EDGES" else "leave it out",
        )
    return found


def held(graph: Graph) -> dict[str, np.ndarray]:
    """The arrays of the graph with a row for each edge, by the names of their columns."""
    held = {"edge_weight": graph.edge_weight, "edge_attr": graph.edge_attr}
    held |= {"edge_truth": graph.edge_truth, **graph.edge_inputs}
    return {name: array for name, array in held.items() if array is not None}


def _edge_columns(graph: Graph) -> list[str]:
    """The names of the columns of edges, besides their ends."""
    found = ["weight"] if graph.edge_weight is not None else []
    if graph.edge_attr is not None:
        found += [name for name, _, _ in groups(graph.edge_names or ("edge_attr",))]
    found += ["truth"] if graph.edge_truth is not None else []
    return list(dict.fromkeys([*found, *graph.edge_inputs, *graph.edge_attributes]))


def _scaling(graph: Graph) -> dict[str, EncodedColumn]:
    """How columns of the graph's edges are scaled, by name."""
    return {} if graph.encoding is None else graph.encoding.scaling()


def names_by_order(
    what: str, columns: Mapping[str, Sequence[Any]], width: int, scaling: Iterable[str] = ()
) -> list[str] | None:
    """The names of the columns of edge_attr, by the columns of a table; None: it has them as one list, or none.

    A graph with types and a collection keep no names of these columns, which stand in the order of CREATE GRAPH.
    """
    numbers = {name: values for name, values in columns.items() if are_numbers(values)}
    if "edge_attr" in map(str.lower, columns):
        return None
    by_lower = {name.lower(): name for name in scaling}
    found = _names(numbers, by_lower)
    every = _names(columns, by_lower)
    if len(found) != width and len(every) == width:
        return every  # of which one is not numbers: reading it says so
    if not numbers and what == "REMOVE EDGES":
        return None
    if len(found) != width:
        counted = f"{len(found)} number{'s' * (len(found) != 1)} for each edge ({', '.join(found) or 'none'})"
        raise GraphError(
            f"{what} has {counted}, expected {width}: SELECT the numeric columns in the order in which the graph was made "
            "from them"
        )
    order = [name for name, _, _ in groups(found) if name in by_lower.values()]
    if order != list(scaling):
        raise GraphError(
            f"{what} has the columns {', '.join(order)}, expected {', '.join(scaling)}, in this order"
        )
    return found


def _names(columns: Mapping[str, Sequence[Any]], by_lower: Mapping[str, str]) -> list[str]:
    """A name for each number of some columns, of which lists have several."""
    found = []
    for column, values in columns.items():
        first = next((value for value in values if value is not None), None)
        count = len(first) if isinstance(first, LISTS) else 1
        name = by_lower.get(column.lower(), column)
        found += [f"{name}[{i}]" for i in range(count)] if count > 1 else [name]
    return found


def _scaled_texts(graph: Graph, given: Columns) -> dict[str, list[str | None]]:
    """The user's own numbers in the columns that the graph has scaled."""
    known = lower(given)
    found: dict[str, list[str | None]] = {}
    for name in _scaling(graph):
        values = given.get(name, given.get(known.get(name.lower(), "")))
        if values and are_numbers(values) and None not in values:  # `_like_edges` refuses the rest
            found[name] = number_texts(values)
    return found


def _like_edges(
    graph: Graph, column: tuple[str, int, int], values: Sequence[Any], place: Callable[[int], str]
) -> np.ndarray:
    """Values of a named column of edge_attr as the graph holds them: scaled, if it has them scaled."""
    assert graph.edge_attr is not None
    name, width, first = column
    held = graph.edge_attr[:, first : first + width]
    scale = _scaling(graph).get(name)
    if scale is None:
        return like(held, values, name, place)
    like(held.astype(np.float64), values, name, place)
    return scaled_edges(scale, values, [place(row) for row in range(len(values))])


def _edge_values(
    graph: Graph, given: Columns, place: Callable[[int], str]
) -> dict[str, np.ndarray]:
    """The arrays of new edges, by the names of `_held`."""
    found = {}
    for name, array in held(graph).items():
        if name == "edge_weight":
            found[name] = like(array, take("ADD EDGES", given, "weight"), "weight", place)
        elif name == "edge_truth":
            values = take("ADD EDGES", given, "truth")
            found[name] = like(array, [value or 0 for value in values], "truth", place)
        elif name == "edge_attr" and graph.edge_names:
            found[name] = np.concatenate(
                [
                    _like_edges(graph, column, take("ADD EDGES", given, column[0]), place)
                    for column in groups(graph.edge_names)
                ],
                axis=1,
            )
        else:
            found[name] = like(array, take("ADD EDGES", given, name), name, place)
    return found


def _contents(
    graph: Graph, given: Columns, place: Callable[[int], str]
) -> list[tuple[np.ndarray | list, np.ndarray]]:
    """What REMOVE EDGES asks of edges beside their ends: the graph's values [E, ...] and those of the rows."""
    found: list[tuple[Any, Any]] = []
    attr = [] if graph.edge_attr is None else groups(graph.edge_names or ("edge_attr",))
    for column, width, first in attr:
        assert graph.edge_attr is not None
        width = width if graph.edge_names else graph.edge_attr.shape[1]
        held = graph.edge_attr[:, first : first + width]
        if (values := pop(given, column)) is not None:
            own = _like_edges(graph, (column, width, first), values, place)
            found.append((held, own))
    others = {"weight": graph.edge_weight, "truth": graph.edge_truth, **graph.edge_inputs}
    for column, array in others.items():
        if array is not None and (values := pop(given, column)) is not None:
            found.append((rows_of(array), rows_of(like(array, values, column, place))))
    for column, texts in graph.edge_attributes.items():
        if (values := pop(given, column)) is not None:
            wanted = np.array(list(map(edge_text, values)), object)[:, None]
            found.append((np.array(texts, object)[:, None], wanted))
    return found


def _agreeing(
    near: np.ndarray, own: np.ndarray, code: np.ndarray, wanted: Sequence[tuple]
) -> list[np.ndarray]:
    """For each row, the edges out of `near` between its ends, `code`, that have its values."""
    order = np.argsort(own, kind="stable")
    first = np.searchsorted(own[order], code, "left")
    last = np.searchsorted(own[order], code, "right")
    found = [near[order[a:b]] for a, b in zip(first.tolist(), last.tolist())]
    if wanted:
        found = [
            edges[_equal(edges, row, wanted)] if len(edges) else edges
            for row, edges in enumerate(found)
        ]
    return found


def _equal(edges: np.ndarray, row: int, wanted: Sequence[tuple]) -> np.ndarray:
    same = np.ones(len(edges), bool)
    for held, asked in wanted:
        same &= (held[edges] == asked[row]).all(axis=1)
    return same


def _partners(graph: Graph, gone: np.ndarray) -> np.ndarray:
    """The reverses of edges that are removed from an undirected graph: as many, with the same values.

    With types, in the type that mirrors theirs.
    """
    u, v = graph.edge_index
    kinds = np.zeros(graph.num_edges, np.int64) if graph.types is None else graph.types.of_edge
    mirror = [0] if graph.types is None else graph.types.reverses.tolist()
    lower = np.minimum(u, v) * graph.num_nodes + np.maximum(u, v)
    near = np.flatnonzero(np.isin(lower, lower[gone]))
    values = [rows_of(array)[near] for name, array in held(graph).items() if name != "edge_truth"]
    rows = np.column_stack([u[near], v[near], kinds[near], *values]).tolist()
    going = set(gone.tolist())
    free: dict[tuple, list[int]] = {}
    balance: dict[tuple, int] = {}
    for edge, row in zip(near.tolist(), map(tuple, rows)):
        if edge in going:
            balance[row] = balance.get(row, 0) + 1
        else:
            free.setdefault(row, []).append(edge)
    taken = []
    for row, count in balance.items():
        source, head, kind, *content = row
        reverse = (head, source, mirror[int(kind)], *content)
        missing = count - balance.get(reverse, 0)
        if reverse != row and missing > 0:
            taken += free[reverse][:missing]
    return np.array(taken, np.int64)
