"""The checks of AUDIT for the patterns of EXPLAIN CLASS: each lies where its matches say, and its counts are right.

Support and fidelity are computed again from the stored matches and explanations; every match must lie in
the edges of its explanation, node by node, with the labels that the pattern has.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sxq.errors import Error
from sxq.graph import Graph, GraphSet, TypedKey, node_labels
from sxq.graph.node_labels import PREDICTION, type_in_label
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
            places = _full_names(pattern, places, answers.graph)
            for words in _of_match(pattern, members[number], places):
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
            places = _full_names(pattern, places, answers.graph)
            for words in _labels(pattern, members[number], places, answers.graph, classes):
                yield _at(members[number], pattern, words)


def _full_names(
    pattern: StoredPattern, places: Iterable[tuple[int, Any]], graph: Graph | GraphSet | None
) -> list[tuple[int, Any]]:
    """The nodes of a match with their types, which the labels of the pattern begin with."""
    if graph is None or graph.types is None:
        return list(places)
    labels = dict(pattern.nodes)
    kinds = {node: type_in_label(label, graph.types.node_types) for node, label in labels.items()}
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
    if columns["size"] != len(set(pattern.edges)) or len(set(pattern.edges)) < len(pattern.edges):
        yield f"size is {columns['size']}, but it has {len(set(pattern.edges))} edges"
    if {end for edge in pattern.edges for end in edge} != set(numbers):
        yield "its edges join other nodes than its own"
    if answers.directed is not None and columns["directed"] != answers.directed:
        yield f"directed is {columns['directed']}, but the query's units say {answers.directed}"
    classes = {target.columns["prediction"] for target in answers.query.targets}
    if wrong := classes - {columns["class"], None}:
        yield f"class is {columns['class']}, but targets are predicted as {sorted(wrong)[0]}"
    yield from _wrong_support(pattern, answers, members)


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
    held = {(identity(u), identity(v)) for u, v in member.edges}
    if not pattern.columns["directed"]:
        held |= {(v, u) for u, v in held}
    for u, v in pattern.edges:
        if (at.get(u), at.get(v)) not in held:
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
