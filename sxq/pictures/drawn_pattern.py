"""The patterns of a class as pictures: each node a coloured dot with its label, at a place of its own."""

from html import escape
from typing import Any

from sxq.pictures import colours
from sxq.pictures.scene import packed
from sxq.values.pattern import ClassPattern

SIZE = 180  # pixels of a picture
ROOM = 26  # pixels around the nodes


def drawn_pattern(pattern: ClassPattern) -> dict[str, Any]:
    """A pattern as plain values: its sentence, and nodes with places in [-1, 1] and colours."""
    places = packed(pattern.num_nodes, [], [list(pattern.edges)])
    nodes = [
        {"label": label, "colour": colour, "x": round(float(x), 4), "y": round(float(y), 4)}
        for label, colour, (x, y) in zip(pattern.labels, _colours(pattern), places)
    ]
    return {
        "number": pattern.number,
        "title": f"{pattern.shape}, {pattern.size} edge{'s' * (pattern.size > 1)}",
        "sentence": pattern.sentence(),
        "alike": pattern.alike,
        "nodes": nodes,
        "edges": [list(edge) for edge in pattern.edges],
        "arrows": list(pattern.arrows),
        "relations": _relations(pattern),
    }


def _relations(pattern: ClassPattern) -> list[str]:
    """What stands at each edge: the relations of all edges between its ends, at the first of them."""
    found: dict[frozenset[int], list[str]] = {}
    for edge, relation in zip(pattern.edges, pattern.relations):
        if relation not in (own := found.setdefault(frozenset(edge), [])):
            own.append(relation)
    return [", ".join(found.pop(frozenset(edge), [])) for edge in pattern.edges]


def pattern_html(pattern: ClassPattern) -> str:
    """One pattern as SVG with its sentence below; everything escaped, no scripts."""
    drawn = drawn_pattern(pattern)
    middle = SIZE / 2
    at = [
        (middle + node["x"] * (middle - ROOM), middle - node["y"] * (middle - ROOM))
        for node in drawn["nodes"]
    ]
    lines = "".join(
        _line(at[u], at[v], arrow) for (u, v), arrow in zip(drawn["edges"], drawn["arrows"])
    )
    lines += "".join(
        _relation(at[u], at[v], text)
        for (u, v), text in zip(drawn["edges"], drawn["relations"])
        if text
    )
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="{node["colour"]}"/>'
        f'<text x="{x:.1f}" y="{y - 11:.1f}" font-size="10" text-anchor="middle" '
        f'fill="currentColor">{escape(node["label"][:14])}</text>'
        for node, (x, y) in zip(drawn["nodes"], at)
    )
    caption = escape(drawn["sentence"])
    return (
        f'<span style="display:inline-block;margin:4px;max-width:{SIZE + 40}px;vertical-align:top">'
        f'<svg width="{SIZE}" height="{SIZE}" role="img" aria-label="{caption}">{lines}{dots}</svg>'
        f"<br>{caption}</span>"
    )


def _line(start: tuple[float, float], end: tuple[float, float], directed: bool) -> str:
    """An edge; of a directed one the half at its head is thick."""
    (x, y), (u, v) = start, end
    line = f'<path d="M{x:.1f} {y:.1f}L{u:.1f} {v:.1f}" stroke="#778899" stroke-width="2"/>'
    if not directed:
        return line
    half = f"M{(x + u) / 2:.1f} {(y + v) / 2:.1f}L{u:.1f} {v:.1f}"
    return line + f'<path d="{half}" stroke="#778899" stroke-width="4.5"/>'


def _relation(start: tuple[float, float], end: tuple[float, float], text: str) -> str:
    """The relation of an edge at its middle."""
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    return (
        f'<text x="{x:.1f}" y="{y - 3:.1f}" font-size="9" text-anchor="middle" fill="#778899">'
        f"{escape(text[:20])}</text>"
    )


def _colours(pattern: ClassPattern) -> list[str]:
    """The colour of each node: those of classes where the labels are numbers, else in their order."""
    if pattern.labelled_by == "none":
        return colours.of_nodes([None] * pattern.num_nodes)
    if pattern.node_types:
        kinds = sorted(set(pattern.node_types))
        return [colours.of_class(kinds.index(kind)) for kind in pattern.node_types]
    order = sorted(set(pattern.labels))
    return [
        colours.of_class(int(label) if label.isdecimal() and len(label) < 9 else order.index(label))
        for label in pattern.labels
    ]
