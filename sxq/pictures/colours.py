"""Colours that every picture uses: classes by a palette that colour-blind people can tell apart (Paul Tol's bright)."""

CLASSES = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bb7744", "#999933")
UNKNOWN = "#9aa0a6"  # a node without a label
TARGET = "#f28e2b"  # the ring around the target
MEMBER = "#2b3a4a"  # edges of a member
CONTEXT = "#d5dae0"  # edges around it


def of_class(label: int | None) -> str:
    """The colour of a class; more classes than colours begin again."""
    return UNKNOWN if label is None else CLASSES[label % len(CLASSES)]
