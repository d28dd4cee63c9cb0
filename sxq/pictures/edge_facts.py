"""The facts of an explanation's edges: weight, attributes, and what each is worth."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from sxq.graph.edge_texts import NUMBER, WHOLE, sql_type
from sxq.values.explanation import Explanation
from sxq.values.table import cell

MOST = 12  # columns of edge_attr that are named
Facts = list[tuple[str, str]]  # a name and a value as text


def edge_facts(
    explanation: Explanation, edges: Iterable[tuple[int, int]], pairs: bool
) -> list[Facts]:
    """The facts of each edge that is drawn, given by positions; of a pair those of either direction."""
    places: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, (u, v) in enumerate(explanation.edge_index.T.tolist()):
        places[u, v].append(place)
    return [_facts(explanation, places[u, v] or places[v, u] * pairs) for u, v in edges]


def _facts(e: Explanation, places: Sequence[int]) -> Facts:
    """The facts of the parallel edges at some places of an explanation."""
    return [*_values(e, places), *_worth(e, places[:1])]


def _values(e: Explanation, places: Sequence[int]) -> Facts:
    """Weights and attributes as the graph has them; those of parallel edges one after the other."""
    graph = e.graph
    if e.edge_numbers is None or not places:
        return []
    numbers = e.edge_numbers[list(places)]
    facts = []
    if graph.edge_weight is not None:
        facts.append(("weight", _amounts(graph.edge_weight[numbers])))
    if graph.edge_attr is not None:
        attributes = graph.edge_attr[numbers].reshape(len(numbers), -1)
        width = attributes.shape[1]
        names = graph.edge_names or _unnamed(width)
        facts += [
            (name, _amounts(attributes[:, i]))
            for i, name in enumerate(names[:MOST])
            if name not in graph.edge_attributes  # the user's own number, where this one is scaled
        ]
    for name, values in graph.edge_attributes.items():
        kind = sql_type(values)
        known = [_shown(values[number], kind) for number in numbers.tolist()]
        if any(known) or graph.types is None:  # with types, a column is often one of other edges
            facts.append((name, ", ".join(known)))
    return facts


def _shown(text: str | None, kind: str) -> str:
    """An attribute for people: a number as those of edge_attr."""
    if text is None:
        return ""
    return f"{float(text):,.7g}" if kind in (WHOLE, NUMBER) else text


def _unnamed(width: int) -> list[str]:
    """Names for columns of edge_attr that have none."""
    return ["attr"] if width == 1 else [f"attr[{column}]" for column in range(width)]


def _amounts(values: np.ndarray) -> str:
    return ", ".join(f"{value:,.7g}" for value in values.tolist())


def _worth(e: Explanation, places: Sequence[int]) -> Facts:
    """The worth of the unit of an edge, where that was measured."""
    if e.worth is None or e.over != "edges":
        return []
    return [
        fact
        for place in places
        for fact in (
            ("worth kept", cell(float(e.worth.kept[place]))),
            ("worth removed", cell(float(e.worth.removed[place]))),
            ("needed", "yes" if e.worth.needed[place] else "no"),
        )
    ]
