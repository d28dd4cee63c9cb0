"""The colours of every picture. Classes have Paul Tol's bright palette, safe for colour-blind readers."""

from collections.abc import Sequence

CLASSES = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bb7744", "#999933")
UNKNOWN = "#9aa0a6"  # a node without a label
TARGET = "#f28e2b"  # the ring around the target
MEMBER = "#2b3a4a"  # edges of a member
CONTEXT = "#d5dae0"  # edges around it
TRUTH = "#fbe3a1"  # a band below the edges that a ground truth names


def of_class(label: int | None) -> str:
    """The colour of a class; the palette repeats where there are more classes than colours."""
    return UNKNOWN if label is None else CLASSES[label % len(CLASSES)]


def of_nodes(labels: Sequence[int | None]) -> list[str]:
    """A colour for each node of a picture; where no node has a label, one that is easy to see."""
    if all(label is None for label in labels):
        return [CLASSES[0]] * len(labels)
    return [of_class(label) for label in labels]
