"""Colours that every picture uses: classes by a palette that colour-blind people can tell apart (Paul Tol's bright)."""

from collections.abc import Sequence

CLASSES = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bb7744", "#999933")
UNKNOWN = "#9aa0a6"  # a node without a label
TARGET = "#f28e2b"  # the ring around the target
MEMBER = "#2b3a4a"  # edges of a member
CONTEXT = "#d5dae0"  # edges around it
TRUTH = "#fbe3a1"  # a band below the edges that a ground truth names


def of_class(label: int | None) -> str:
    """The colour of a class; more classes than colours begin again."""
    return UNKNOWN if label is None else CLASSES[label % len(CLASSES)]


def of_nodes(labels: Sequence[int | None]) -> list[str]:
    """A colour for each of the nodes of a picture; where nothing is known of any of them, one that is easy to see."""
    return (
        [CLASSES[0]] * len(labels)
        if not any(label is not None for label in labels)
        else list(map(of_class, labels))
    )
