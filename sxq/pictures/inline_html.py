"""Small HTML for notebooks: tables, skylines with bars, subgraphs as SVG; everything escaped, no scripts."""

from collections.abc import Iterable
from html import escape

from sxq.pictures import colours, words
from sxq.pictures.drawn_pattern import pattern_html
from sxq.pictures.scene import scene
from sxq.values.explanation import Explanation
from sxq.values.result import Result, Table
from sxq.values.table import cell, sql_cell

ROWS = 40  # most rows of a table
DRAWN = 6  # most members drawn below a skyline
SIZE = 240  # pixels of a subgraph


def table_html(table: Table) -> str:
    """A `Table` as an HTML table; a plan as its lines."""
    if table.columns == ["plan"]:
        return f"<pre>{escape(str(table))}</pre>"
    types: list[str | None] = [*table.types] or [None] * len(table.columns)
    rows = "".join(_row("td", map(sql_cell, row, types)) for row in table.rows[:ROWS])
    more = f"<p>... {len(table) - ROWS} more rows</p>" if len(table) > ROWS else ""
    return f"<table><thead>{_row('th', table.columns)}</thead><tbody>{rows}</tbody></table>{more}"


def result_html(result: Result) -> str:
    """A skyline: its members with bars, its coverage, and the first members drawn."""
    heads = [
        "target",
        "rank",
        "first",
        "size",
        "factual",
        "counterfactual",
        *result.measures.values(),
        "covers",
        "by",
    ]
    rows = "".join(_member(e, result.measures) for e in result.explanations[:ROWS])
    notes = "".join(f"<br>{escape(note)}" for note in result.notes())
    drawn = "".join(explanation_html(e) for e in result.explanations[:DRAWN])
    recurring = "".join(pattern_html(pattern) for pattern in result.patterns[:ROWS])
    return (
        f"{recurring and f'<div>{recurring}</div>'}<table><thead>{_row('th', heads)}</thead><tbody>{rows}</tbody></table>"
        f"<p>{escape(result.summary())}{notes}</p><div>{drawn}</div>"
    )


def _member(e: Explanation, measures: Iterable[str]) -> str:
    """The row of one member; its cells are HTML already."""
    cells = (
        escape(str(e.target)),
        e.rank,
        _flag(e.recommended),
        e.size,
        _flag(e.factual),
        _flag(e.counterfactual),
        *(_measured(e, name) for name in measures),
        e.dominance,
        escape(e.generator),
    )
    return "<tr>" + "".join(f"<td>{text}</td>" for text in cells) + "</tr>"


def explanation_html(e: Explanation) -> str:
    """One subgraph as SVG with its rank below; hovering shows keys and classes."""
    caption = escape(f"{e.target}: rank {e.rank}, {e.size} {e.noun}")
    if e.over == "features":
        return _reasons(e, caption)
    drawn = scene([e], nodes=30)
    at = [(SIZE / 2 + x * (SIZE / 2 - 24), SIZE / 2 - y * (SIZE / 2 - 24)) for x, y in drawn.places]

    def lines(edges, colour: str, width: float, said: str = "") -> str:
        path = "".join(
            f"M{at[u][0]:.1f} {at[u][1]:.1f}L{at[v][0]:.1f} {at[v][1]:.1f}" for u, v in edges
        )
        end = f"><title>{escape(said)}</title></path>" if said else "/>"
        return (
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{end}'
            if path
            else ""
        )

    inside = drawn.inside(0)
    labels = drawn.labels()
    nodes = zip(drawn.names(), labels, drawn.fills())
    dots = "".join(
        _dot(at[i], key, label, fill=fill, inside=i in inside, target=i < drawn.rooted)
        for i, (key, label, fill) in enumerate(nodes)
    )
    own = "".join(
        lines([edge], "#778899", round(2.4 * width, 2), said)
        for edge, width, said in zip(drawn.members[0], drawn.widths[0], drawn.relations[0])
    )
    return (
        f'<span style="display:inline-block;margin:4px"><svg width="{SIZE}" height="{SIZE}" role="img" '
        f'aria-label="{caption}">{lines(drawn.context, "#9996", 0.8)}'
        f"{own}{dots}</svg><br>{caption}</span>"
    )


def _reasons(e: Explanation, caption: str) -> str:
    """The features of an explanation, worth most first, with a bar each."""
    rows = "".join(
        f"<tr><td>{escape(words.reason_name(one))}</td><td>{_bar(one.share)}</td></tr>"
        for one in e.reasons[:ROWS]
    )
    return (
        f'<span style="display:inline-block;margin:4px;vertical-align:top"><table>{rows}</table>'
        f"{caption}</span>"
    )


def _bar(share: float) -> str:
    width = round(40 * min(max(share, 0.0), 1.0))
    return (
        f'<span style="display:inline-block;width:{width}px;height:8px;background:{colours.CLASSES[0]};'
        f'margin-right:{44 - width}px"></span>'
    )


def _dot(
    at: tuple[float, float], key, label: int | None, *, fill: str, inside: bool, target: bool
) -> str:
    """One node: a dot with a title, the key above it inside the member, a ring around the target."""
    x, y = (f"{value:.1f}" for value in at)
    ring = f'<circle cx="{x}" cy="{y}" r="10" fill="none" stroke="{colours.TARGET}" stroke-width="2.5"/>'
    known = "" if label is None else f", class {label}"
    name = (
        f'<text x="{x}" y="{at[1] - 9 - 4 * target:.1f}" font-size="10" text-anchor="middle" '
        f'fill="currentColor">{escape(str(key))}</text>'
        if inside
        else ""
    )
    dot = (
        f'<circle cx="{x}" cy="{y}" r="{6 if inside else 3}" fill="{fill}" '
        f'opacity="{1 if inside else 0.4}"><title>{escape(f"{key}{known}")}</title></circle>'
    )
    return f"{ring if target else ''}{dot}{name}"


def _row(tag: str, cells) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(str(text))}</{tag}>" for text in cells) + "</tr>"


def _flag(holds: bool) -> str:
    return "✓" if holds else ""


def _measured(e: Explanation, name: str) -> str:
    if name not in e.raw:
        return ""
    bar = ""
    if name in e.scores:
        bar = _bar(e.scores[name])
    return f"{bar}{escape(cell(e.raw[name]))}"
