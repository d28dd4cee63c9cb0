"""The checks of AUDIT for the patterns of EXPLAIN CLASS: each lies where its matches say, and its counts are right.

Support and fidelity are computed again from the stored matches and explanations; every match must lie in
the edges of its explanation, node by node, with the labels that the pattern has.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sxq.errors import Error
from sxq.graph import Graph, GraphSet, TypedKey, node_labels
from sxq.graph.node_labels import PREDICTION
from sxq.graph.types import shown_type
from sxq.scoring.dominance import dominated
from sxq.session.audited import NEAR, StoredAnswers, identity
from sxq.storage import Broken, StoredExplanation, StoredPattern
from sxq.values.pattern import fidelity

Words = Iterator[str]


def check_patterns(
    patterns: Sequence[StoredPattern],
    answers: StoredAnswers,
    predictions: Callable[[], np.ndarray] | None = None,
) -> Iterator[Broken]:
    """Everything that is wrong with the patterns of a query.

    predictions  the class that the model predicts for each node; without it labels that are
                 predictions are not checked
    """
    query_id = answers.query.query_id
    members = {member.explanation_id: member for member in answers.members}
    for words in _of_all(patterns, answers):
        yield Broken(query_id, None, None, words)
    for pattern in patterns:
        for words in _of_pattern(pattern, answers, members):
            yield Broken(query_id, None, None, f"pattern {pattern.number}: {words}")
        for number, places in pattern.matches.items():
            if number not in members:
                continue  # `storage.integrity` says so
            named = _full_names(pattern, places, answers.graph)
            for words in _of_match(pattern, members[number], named):
                yield _at(members[number], pattern, words)
    yield from check_labels(patterns, answers, predictions)


def check_labels(
    patterns: Sequence[StoredPattern],
    answers: StoredAnswers,
    predictions: Callable[[], np.ndarray] | None,
) -> Iterator[Broken]:
    """Matches whose nodes have other labels than the pattern."""
    members = {member.explanation_id: member for member in answers.members}
    for pattern in patterns:
        name = pattern.columns["labelled_by"]
        if answers.graph is None or (name == PREDICTION) != (predictions is not None):
            continue
        classes = predictions() if predictions is not None else np.zeros(0, np.int64)
        for number, places in pattern.matches.items():
            if number not in members:
                continue
            named = _full_names(pattern, places, answers.graph)
            for words in _labels(pattern, members[number], named, answers.graph, classes):
                yield _at(members[number], pattern, words)


def _full_names(
    pattern: StoredPattern, places: Iterable[tuple[int, Any]], graph: Graph | GraphSet | None
) -> list[tuple[int, Any]]:
    """The nodes of a match with their types."""
    kinds = {node: kind for (node, _), kind in zip(pattern.nodes, pattern.node_types)}
    if graph is None or graph.types is None:
        return list(places)
    return [
        (node, key if (kind := kinds.get(node)) is None else TypedKey(kind, key))
        for node, key in places
    ]


def _at(member: StoredExplanation, pattern: StoredPattern, words: str) -> Broken:
    said = f"match of pattern {pattern.number}: {words}"
    return Broken(member.query_id, member.target, member.explanation_id, said)


def _of_all(patterns: Sequence[StoredPattern], answers: StoredAnswers) -> Words:
    numbers = [pattern.number for pattern in patterns]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"the patterns are numbered {', '.join(map(str, numbers[:10]))}, expected 1, 2, ..."
    values = [[p.columns[name] for name in ("support", "fidelity", "size")] for p in patterns]
    if values:
        table = np.array(values, np.float64)
        table[:, 1] = table[:, 1].round(6)
        for pattern, out in zip(patterns, dominated(table, table)):
            if out:
                yield f"another pattern dominates pattern {pattern.number}"


def _of_pattern(
    pattern: StoredPattern, answers: StoredAnswers, members: Mapping[int, StoredExplanation]
) -> Words:
    columns = pattern.columns
    numbers = [number for number, _ in pattern.nodes]
    if numbers != list(range(len(numbers))) or columns["num_nodes"] != len(numbers):
        yield f"num_nodes is {columns['num_nodes']}, but its nodes are {numbers[:10]}"
    distinct = set(zip(pattern.edges, pattern.edge_types))
    if columns["size"] != len(distinct) or len(distinct) < len(pattern.edges):
        yield f"size is {columns['size']}, but it has {len(distinct)} edges"
    yield from _wrong_types(pattern, answers.graph)
    if {end for edge in pattern.edges for end in edge} != set(numbers):
        yield "its edges join other nodes than its own"
    if answers.directed is not None and columns["directed"] != answers.directed:
        yield f"directed is {columns['directed']}, but the query's units say {answers.directed}"
    classes = {target.columns["prediction"] for target in answers.query.targets}
    if wrong := classes - {columns["class"], None}:
        yield f"class is {columns['class']}, but targets are predicted as {sorted(wrong)[0]}"
    yield from _wrong_support(pattern, answers, members)


def _wrong_types(pattern: StoredPattern, graph: Graph | GraphSet | None) -> Words:
    """Types that the graph does not have, or that do not fit each other."""
    if graph is None:
        return
    types = graph.types
    for (node, label), kind in zip(pattern.nodes, pattern.node_types):
        if (kind is not None) != (types is not None) or types and kind not in types.node_types:
            yield f"node {node} has node_type {kind!r:.40}"
        elif kind is not None and label != kind and not label.startswith(f"{kind} "):
            yield f"node {node} is of type {kind!r:.40}, but its label is {label!r:.40}"
    known = {} if types is None else {shown_type(kind): kind for kind in types.edge_types}
    kinds = dict(zip((node for node, _ in pattern.nodes), pattern.node_types))
    for (src, dst), name in zip(pattern.edges, pattern.edge_types):
        if name is None:
            continue  # a version wrote it that did not tell relations apart
        if name not in known:
            yield f"edge {src} - {dst} has edge_type {name!r:.60}, which the graph does not have"
        elif (kinds.get(src), kinds.get(dst)) != known[name][::2]:
            yield f"edge {src} - {dst} of type {name:.60} joins {kinds.get(src)} and {kinds.get(dst)}"


def _wrong_support(
    pattern: StoredPattern, answers: StoredAnswers, members: Mapping[int, StoredExplanation]
) -> Words:
    """Support and fidelity, computed again from the matches."""
    columns = pattern.columns
    own = [members[number] for number in pattern.matches if number in members]
    best: dict[Any, float] = {}
    for member in own:
        target = identity(member.target)
        best[target] = max(best.get(target, -np.inf), _fidelity(member))
    total = len({identity(member.target) for member in answers.members})
    for name, count in (("held_by", len(best)), ("targets", total)):
        if columns[name] != count:
            yield f"{name} is {columns[name]}, found {count}"
    share = len(best) / max(total, 1)
    if not abs(columns["support"] - share) <= NEAR:
        yield f"support is {columns['support']:.6g}, found {share:.6g}"
    mean = float(np.mean(list(best.values()))) if best else np.nan
    if not abs(columns["fidelity"] - mean) <= NEAR:
        yield f"fidelity is {columns['fidelity']:.6g}, found {mean:.6g}"


def _fidelity(member: StoredExplanation) -> float:
    try:
        return fidelity(member.raw)
    except (KeyError, TypeError):  # said with the explanation
        return np.nan


def _of_match(
    pattern: StoredPattern, member: StoredExplanation, places: Iterable[tuple[int, Any]]
) -> Words:
    """It gives each node of the pattern one node of the explanation, and each edge one of its edges."""
    given = list(places)
    at = {node: identity(key) for node, key in given}
    if sorted(node for node, _ in given) != [node for node, _ in pattern.nodes]:
        yield "it does not name one node for each node of the pattern"
        return
    if len(set(at.values())) < len(at):
        yield "it names a node twice"
    ends = [(identity(u), identity(v)) for u, v in member.edges]
    held: dict[str | None, set] = {None: set(ends)}  # by type; None: of any
    for end, kind in zip(ends, member.edge_types):
        held.setdefault(kind, set()).add(end)
    for (u, v), kind, one_way in zip(pattern.edges, pattern.edge_types, pattern.one_way):
        own = held.get(kind, set())
        way = (at.get(u), at.get(v))
        if way not in own and (one_way or way[::-1] not in own):
            yield f"edge {u} - {v} is not among the edges of the explanation"
            return


def _labels(
    pattern: StoredPattern,
    member: StoredExplanation,
    places: Iterable[tuple[int, Any]],
    graph: Graph | GraphSet,
    classes: np.ndarray,
) -> Words:
    labels = dict(pattern.nodes)
    try:
        own = graph.member(graph.position(member.target)) if isinstance(graph, GraphSet) else graph
        nodes = np.array([own.position(key) for _, key in places], np.int64)
    except Error as error:
        yield str(error)
        return
    found = node_labels(own, nodes, pattern.columns["labelled_by"], classes)
    for (node, key), label in zip(places, found):
        if node in labels and labels[node] != label:
            yield f"node {key!s:.40} has label {label!r:.40}, the pattern {labels[node]!r:.40}"
            return
