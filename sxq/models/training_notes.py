"""What a user should know about a training: edge values that the layers never see, rare classes, a model of one class."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sxq.graph import GraphSet
from sxq.graph.csr import Graph
from sxq.models.architectures import EDGE_VALUES

UNEVEN = 10  # how many times as frequent as the rarest class the most frequent one may be, without a note
SAID = {"edge_weight": "edge weights", "edge_attr": "edge attributes"}


def training_notes(
    graph: Graph | GraphSet, split: np.ndarray, values: Mapping[str, Any], found: Mapping[str, Any]
) -> tuple[str, ...]:
    """Notes, the most important first; `values` are the options and `found` is the confusion."""
    return (
        *_one_answer(found),
        *_uneven(graph, split, values["class_weights"]),
        *unused_values(graph, values["architecture"].lower()),
    )


def settings(values: Mapping[str, Any], own_split: bool) -> dict[str, str]:
    """How a model was trained, in words, defaults included."""
    split = values["split"]
    shares = "the graph's own" if own_split else "random 80, 10 and 10 % of each class"
    if isinstance(split, tuple):
        shares = f"random {', '.join(f'{share:.0%}' for share in split)} of each class"
    weights = values["class_weights"]
    weighted = weights if isinstance(weights, str) else ", ".join(f"{w:g}" for w in weights)
    patience = values["patience"]
    ends = f"{patience} epochs without a better validation state" if patience else "none"
    return {"trained on": shares, "class weights": weighted, "patience": ends}


def by_class(rows: Sequence[Sequence[int]]) -> list[tuple[float | None, float | None]]:
    """Precision and recall of each class, from a row of counts for each label; None where there is none."""
    counts = np.array(rows)
    right = np.diag(counts)
    predicted = counts.sum(axis=0)
    labelled = counts.sum(axis=1)
    return [
        (hits / of if of else None, hits / all_ if all_ else None)
        for hits, of, all_ in zip(right.tolist(), predicted.tolist(), labelled.tolist())
    ]


def _one_answer(found: Mapping[str, Any]) -> Iterator[str]:
    """A model that predicts one class for everything has learned nothing, however high its accuracy."""
    counts = np.array(found.get("counts", []))
    if not counts.size:
        return
    predicted = np.flatnonzero(counts.sum(axis=0))
    if len(predicted) == 1 and (counts.sum(axis=1) > 0).sum() > 1:
        where = "of all" if found["split"] == "all" else f"of split {found['split']}"
        yield f"the model predicts class {predicted[0]} for every labelled target {where}"


def _uneven(graph: Graph | GraphSet, split: np.ndarray, weights: Any) -> Iterator[str]:
    """Rare classes that the loss does not weigh."""
    y = graph.y
    if y is None or weights != "none":
        return
    counts = np.bincount(y[(split == "train") & (y >= 0)])
    present = np.flatnonzero(counts)
    rarest = present[counts[present].argmin()]
    if counts.max() < UNEVEN * counts[rarest]:
        return
    yield (
        f"class {rarest} has {counts[rarest]:,} of {counts.sum():,} training labels: accuracy hides how it "
        "fares (DESCRIBE MODEL has precision and recall); CLASS_WEIGHTS = balanced weighs all classes alike"
    )


def unused_values(graph: Graph | GraphSet, architecture: str) -> Iterator[str]:
    """Values on edges that the layers of an architecture do not take, and who does."""
    held = graph.union if isinstance(graph, GraphSet) else graph
    for name, said in SAID.items():
        if getattr(held, name) is None or EDGE_VALUES.get(architecture) == name:
            continue
        able = sorted(other for other, taken in EDGE_VALUES.items() if taken == name)
        called = (
            f" ({', '.join(held.edge_names)})" if name == "edge_attr" and held.edge_names else ""
        )
        yield f"{architecture} does not use the graph's {said}{called}; {', '.join(able)} do"
