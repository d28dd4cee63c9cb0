"""Pictures by matplotlib: subgraphs in their context, and the skyline as a scatter of scores.

The only file that knows matplotlib, an optional dependency (`pip install 'sxq[plot]'`) that is imported when
first needed. Figures are made without pyplot: it would need a window system and leave figures open.
"""

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sxq.errors import DataError
from sxq.graph import TypedKey, TypedLinkKey
from sxq.pictures import colours, words
from sxq.pictures.scene import Scene, scene
from sxq.values.explanation import Explanation, TargetReport
from sxq.values.files import replacing
from sxq.values.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3  # of pictures in a row
BARS = 12  # most features of a member
NAMED = 40  # most nodes with their key written on them


def plot_explanation(explanation: Explanation, path: str | None = None) -> "Figure":
    """One explanation in its context as a Figure; see `Explanation.plot`."""
    figure = _figure(5.2, 4.8)
    if explanation.over == "features":
        _reasons(figure.add_subplot(), explanation)
        return _saved(figure, path)
    drawn = scene([explanation])
    _subgraph(figure.add_subplot(), drawn, 0, explanation)
    _legend(figure, drawn)
    return _saved(figure, path)


def plot_result(result: Result, path: str | None = None, target: Any = None) -> "Figure":
    """Members and skyline of one target as a Figure; see `Result.plot`."""
    report = _report(result, target)
    members = report.explanations
    pairs = list(combinations(result.objectives, 2))[:COLUMNS]
    rows = -(-len(members) // COLUMNS)
    figure = _figure(4 * COLUMNS, 3.6 * rows + (3.4 if pairs else 0))
    grid = figure.add_gridspec(rows + bool(pairs), COLUMNS)
    drawn = None if result.over == "features" else scene(members)
    for number, member in enumerate(members):
        axes = figure.add_subplot(grid[divmod(number, COLUMNS)])
        if drawn is None:
            _reasons(axes, member)
        else:
            _subgraph(axes, drawn, number, member)
    for number, pair in enumerate(pairs):
        _scatter(figure.add_subplot(grid[rows, number]), report, *pair)
    if drawn is not None:
        _legend(figure, drawn)
    said = report.why or f"class {report.prediction}"
    shown = "" if report.task == "regression" else f", p = {report.probability:.2f}"
    title = f"{result.kind} {report.target}: {said}{shown}"
    figure.suptitle(title, fontsize=12)
    return _saved(figure, path)


def _report(result: Result, target: Any) -> TargetReport:
    """The report of a target, or of the first that has explanations; raises DataError."""
    found = [
        report
        for report in result.targets
        if report.explanations and (target is None or target in _keys_of(report))
    ]
    if not found:
        none = "no target has explanations"
        if target is not None:
            none = f"no explanations of target {target!r}"
        raise DataError(f"there is nothing to draw: {none}")
    return found[0]


def _keys_of(report: TargetReport) -> tuple[Any, ...]:
    """What a caller may call a target: its key, also without its type."""
    key = report.target
    if isinstance(key, TypedLinkKey):
        return key, (key.u.key, key.v.key)
    return (key, key.key) if isinstance(key, TypedKey) else (key,)


def _figure(width: float, height: float):
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise DataError("pictures need matplotlib: pip install 'sxq[plot]'") from None
    return Figure(figsize=(width, height), layout="constrained", dpi=110)


def _saved(figure, path: str | None):
    if path is not None:
        try:
            named = Path(path) if Path(path).suffix else Path(f"{path}.png")
            with replacing(named) as file:
                figure.savefig(file)
        except (OSError, ValueError) as error:
            raise DataError(f"cannot write {path!r}: {error}") from None
    return figure


def _subgraph(axes, drawn: Scene, number: int, e: Explanation) -> None:
    """One member: its edges dark, everything else grey, the target ringed."""
    inside = drawn.inside(number)
    size = min(
        1.0, 40 / max(len({n for edges in drawn.members for edge in edges for n in edge}), 1)
    )
    _lines(axes, drawn.places, drawn.truth, colors=colours.TRUTH, lw=9, capstyle="round", zorder=0)
    _lines(axes, drawn.places, drawn.context, colors=colours.CONTEXT, lw=0.7, zorder=1)
    if drawn.directed:
        _arrows(axes, drawn.places, drawn.members[number], drawn.widths[number])
    else:
        width = max(2.2 * size, 0.8)
        own = drawn.members[number]
        widths = [width * share for share in drawn.widths[number]]
        _lines(axes, drawn.places, own, colors=colours.MEMBER, lw=widths, zorder=2)
    _dots(axes, drawn, sorted(inside), size)
    if len(inside) <= NAMED:
        _keys(axes, drawn, inside)
        _relations(axes, drawn, number)
    axes.set_title(_title(e, drawn.left_out[number]), fontsize=8.5)
    axes.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.2), xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_color("#e3e6ea")


def _reasons(axes, e: Explanation) -> None:
    """The features of a member, worth most first: bars of what p loses and regains with each."""
    shown = e.reasons[:BARS][::-1]
    places = range(len(shown))
    for side, colour, height in (
        ("kept", colours.CLASSES[0], 0.2),
        ("removed", colours.CLASSES[1], -0.2),
    ):
        worths = [getattr(one, side) or 0.0 for one in shown]
        axes.barh([place + height for place in places], worths, 0.38, color=colour, label=side)
    axes.set_yticks(places, [words.reason_name(one) for one in shown], fontsize=7.5)
    axes.set_ylim(len(shown) - max(len(shown), 6) - 0.6, len(shown) - 0.4)
    axes.tick_params(axis="x", labelsize=7.5)
    axes.set_title(_title(e, len(e.units) - len(shown)), fontsize=8.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="worth", fontsize=7, title_fontsize=7, frameon=False)


def _lines(axes, places, edges, **style) -> None:
    from matplotlib.collections import LineCollection

    axes.add_collection(LineCollection([places[list(edge)] for edge in edges], **style))


def _arrows(axes, places, edges, widths) -> None:
    from matplotlib.patches import FancyArrowPatch

    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "shrinkA": 6, "shrinkB": 6}
    for (u, v), width in zip(edges, widths):
        arrow = FancyArrowPatch(
            places[u], places[v], color=colours.MEMBER, zorder=2, lw=1.8 * width, **style
        )
        axes.add_patch(arrow)


def _dots(axes, drawn: Scene, inside: list[int], size: float) -> None:
    """The nodes: those of the member large, the others small and pale, a ring around the target."""
    places = drawn.places
    others = sorted(set(range(len(places))) - set(inside))
    fills = drawn.fills()
    axes.scatter(
        *places[others].T,
        s=22 * size,
        c=[fills[i] for i in others],
        alpha=0.35,
        linewidths=0,
        zorder=3,
    )
    axes.scatter(
        *places[inside].T,
        s=95 * size,
        c=[fills[i] for i in inside],
        edgecolors="white",
        linewidths=0.8 * size,
        zorder=4,
    )
    axes.scatter(
        *places[: drawn.rooted].T,
        s=230,
        facecolors="none",
        edgecolors=colours.TARGET,
        linewidths=2.4,
        zorder=5,
    )


def _keys(axes, drawn: Scene, inside: set[int]) -> None:
    """The key above each node of the member."""
    from matplotlib.patheffects import withStroke

    for i, key in enumerate(drawn.keys()):
        if i in inside:
            axes.annotate(
                str(key),
                drawn.places[i],
                (0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=7.5,
                zorder=6,
                color="#222222",
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )


def _relations(axes, drawn: Scene, number: int) -> None:
    """The relation on each edge of the member, where edges have types."""
    from matplotlib.patheffects import withStroke

    for (u, v), said in zip(drawn.members[number], drawn.relations[number]):
        if said:
            x, y = (drawn.places[u] + drawn.places[v]) / 2
            halo = [withStroke(linewidth=2, foreground="white")]
            style: dict[str, Any] = {"fontsize": 6, "ha": "center", "va": "center", "zorder": 6}
            axes.text(x, y, said, color="#5a6672", path_effects=halo, **style)


def _title(e: Explanation, left_out: int) -> str:
    flags = " and ".join(name for name in ("factual", "counterfactual") if getattr(e, name))
    shown = {name: value for name, value in e.raw.items() if name != "size" and name in e.scores}
    values = "   ".join(f"{name} {value:.3g}" for name, value in shown.items())
    hidden = f" ({left_out} not drawn)" if left_out else ""
    return f"{e.rank}: {e.size} {e.noun}{hidden}, {flags or 'explanatory'}\n{values}"


def _scatter(axes, report, x: str, y: str) -> None:
    """The members in front of the other candidates; both axes are scores: up and right is better."""
    axes.scatter(
        report.examined[x], report.examined[y], s=7, c="#c3cad3", linewidths=0, label="examined"
    )
    members = report.explanations
    axes.scatter(
        [e.scores[x] for e in members],
        [e.scores[y] for e in members],
        s=60,
        c="#d1495b",
        edgecolors="white",
        linewidths=0.8,
        label="answer",
        zorder=3,
    )
    for e in members:
        axes.annotate(
            str(e.rank),
            (e.scores[x], e.scores[y]),
            (0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            zorder=4,
        )
    axes.set_xlabel(f"score of {x}", fontsize=9)
    axes.set_ylabel(f"score of {y}", fontsize=9)
    axes.margins(0.08, 0.1)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7.5, loc="best", frameon=False)


def _legend(figure, drawn: Scene) -> None:
    from matplotlib.lines import Line2D

    dots = [
        Line2D([], [], marker="o", ls="", color=colour, label=name)
        for name, colour in drawn.legend()
    ]
    ring = Line2D(
        [], [], marker="o", ls="", mfc="none", mec=colours.TARGET, mew=2, ms=10, label="target"
    )
    band = Line2D(
        [], [], color=colours.TRUTH, lw=9, solid_capstyle="round", label="named by the ground truth"
    )
    handles = [*[ring] * bool(drawn.rooted), *dots, *[band] * bool(drawn.truth)]
    figure.legend(handles=handles, loc="outside lower center", ncols=8, fontsize=8, frameon=False)
