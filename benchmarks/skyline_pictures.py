"""Pictures of paper_skyline.py: the counterparts of figures 3 to 7 of the skyline paper."""

import sys
from pathlib import Path

import cells
import numpy as np
from suites import EPSILON, TOP

import sxq
from sxq.graph import extract
from sxq.models.forward import forward_full
from sxq.pictures import colours
from sxq.pictures.scene import scene

try:
    from matplotlib.figure import Figure
except ImportError:
    sys.exit("--pictures needs matplotlib: pip install 'sxq[plot]'")

PEERS = ("GNNExplainer", "PGExplainer", "CF2", "MOExp")
COLOURS = {method: f"C{i}" for i, method in enumerate(cells.METHODS)} | {"reference": "k"}


def draw(tables: dict, curves: dict, folder: Path) -> None:
    """Figures 3, 4 and 6, and the anytime curve."""
    folder.mkdir(parents=True, exist_ok=True)
    point = (TOP, EPSILON)
    by_data = {key[0]: table for key, table in tables.items() if key[1:] == ("gcn", 3, *point)}
    heads = {"ipf": "IPF (larger is better)", "igd": "IGD (smaller is better)"}
    heads |= {"ms": "MS, mean of measures", "seconds": "CPU seconds for a target"}
    figure = Figure(figsize=(4 * len(heads), 4.2), layout="constrained")
    for axes, (head, title) in zip(figure.subplots(1, len(heads)), heads.items()):
        _bars(axes, by_data, head)
        axes.set_title(title, fontsize=10)
        if head == "seconds":
            axes.set_yscale("log")
    _legend(figure)
    figure.savefig(folder / "paper-skyline-methods.png", dpi=110)
    _varied(tables, folder)
    _anytime(curves, folder)


def _bars(axes, tables: dict, head: str) -> None:
    """Groups by data set, one bar for each method."""
    methods = [m for m in cells.METHODS if any(m in table for table in tables.values())]
    width = 0.8 / len(methods)
    for place, method in enumerate(methods):
        values = [table[method][head] if method in table else np.nan for table in tables.values()]
        x = np.arange(len(tables)) + width * (place - len(methods) / 2)
        axes.bar(x, values, width, color=COLOURS[method], label=method)
    axes.set_xticks(range(len(tables)), list(tables))
    axes.spines[["top", "right"]].set_visible(False)


def _varied(tables: dict, folder: Path) -> None:
    """IPF, IGD and seconds against k, epsilon and layers on Cora."""
    panels = {
        "k": {key[3]: t for key, t in tables.items() if _is(key, "cora", "gcn", 3, None, EPSILON)},
        "epsilon": {
            key[4]: t for key, t in tables.items() if _is(key, "cora", "gcn", 3, TOP, None)
        },
        "layers": {
            key[2]: t for key, t in tables.items() if _is(key, "cora", "gcn", None, TOP, EPSILON)
        },
    }
    panels = {name: found for name, found in panels.items() if len(found) > 1}
    if not panels:
        return
    heads = ("ipf", "igd", "seconds")
    figure = Figure(figsize=(4 * len(panels), 8), layout="constrained")
    grid = figure.subplots(len(heads), len(panels), squeeze=False)
    for column, (name, found) in enumerate(panels.items()):
        for row, head in enumerate(heads):
            axes = grid[row][column]
            for method in cells.METHODS:
                xs = sorted(x for x in found if method in found[x])
                values = [found[x][method][head] for x in xs]
                axes.plot(xs, values, marker="o", ms=3, color=COLOURS[method], label=method)
            axes.set(xlabel=name, ylabel=head)
            axes.spines[["top", "right"]].set_visible(False)
            if name == "epsilon":
                axes.set_xscale("log")
            if head == "seconds":
                axes.set_yscale("log")
    _legend(figure)
    figure.savefig(folder / "paper-skyline-factors.png", dpi=100)


def _is(key: tuple, *pattern) -> bool:
    return all(want is None or have == want for have, want in zip(key, pattern))


def _anytime(curves: dict, folder: Path) -> None:
    curves = {key: curve for key, curve in curves.items() if key[1:] == ("gcn", 3)}
    if not curves:
        return
    figure = Figure(figsize=(3.6 * len(curves) + 1.8, 3.4), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False, sharey=True)[0]
    for axes, (key, curve) in zip(panels, curves.items()):
        for place, (generator, values) in enumerate(curve.items()):
            shares = [100 * share for share in cells.SHARES]
            axes.plot(shares, values, marker="o", ms=4, color=f"C{place}", label=generator)
        axes.set(title=key[0], xlabel="% of the budget", xscale="log")
        axes.set_xticks([3, 10, 30, 100], ["3", "10", "30", "100"])
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("hypervolume / best known, median")
    _legend(figure)
    figure.savefig(folder / "paper-skyline-anytime.png", dpi=110)


def _legend(figure) -> None:
    axes = figure.axes[0]
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", fontsize=8, frameon=False)


def cases(asked: list[cells.Cell], folder: Path) -> None:
    """Figures 5 and 7: onion peeling beside edge growing, and all candidates in score space."""
    folder.mkdir(parents=True, exist_ok=True)
    for cell in asked:
        stage = cell.stage()
        with sxq.connect() as con:
            con.register_graph("g", stage.graph)
            con.register_model("m", stage.model.module, graph="g")
            con.execute("SET sxq_answer = 'divsx'")
            target = _case(cell, stage)
            found = {name: _explained(con, target, name, cell.budget) for name in CASES}
        _subgraphs(found, folder / f"paper-skyline-case-{cell.data}.png")
        _space(found, folder / f"paper-skyline-space-{cell.data}.png")


CASES = ("onion", "growing")
FEWEST, MOST = 15, 150  # units of a field that can be drawn
DEGREES = (3, 6)  # neighbours of a case, least and most
LOOKED_AT = 60  # nodes among which a case is chosen


def _case(cell: cells.Cell, stage) -> int:
    """A node that the model would not predict without its edges, of a field that can be drawn.

    Of LOOKED_AT such nodes the one with neighbours of most classes, then with most neighbours.
    """
    graph, model = stage.graph, stage.model
    alone = forward_full(model, graph, np.zeros(graph.num_edges, bool)).argmax(dim=1)
    degree = np.bincount(graph.edge_index[1], minlength=graph.num_nodes)
    few = (degree >= DEGREES[0]) & (degree <= DEGREES[1])  # large fields take long to cut out
    needing = np.flatnonzero((alone != model.full.argmax(dim=1)).numpy() & few)
    drawn = [
        node
        for node in np.random.default_rng(0).permutation(needing)[:LOOKED_AT].tolist()
        if FEWEST <= extract(graph, node, cell.layers, 0).num_units <= MOST
    ]

    def variety(node: int) -> tuple[int, int]:
        around = graph.edge_index[0, graph.in_edges(np.array([node]))]
        return len(set(graph.y[around].tolist())), len(around)

    return max(drawn, key=variety) if drawn else stage.targets[0]


def _explained(con, target: int, generator: str, budget: int):
    query = con.explain(node=target).using("m").optimize("fdl+", "fdl-", "conc")
    return query.by(generator).budget(budget).top(3).run()


def _subgraphs(found: dict, file: Path) -> None:
    """Up to three members of each search, drawn at the same places."""
    members = {name: list(result) for name, result in found.items()}
    everything = [member for own in members.values() for member in own]
    if not everything:
        return
    drawn = scene(everything)
    figure = Figure(figsize=(11, 3.7 * len(members)), layout="constrained")
    grid = figure.subplots(len(members), 3, squeeze=False)
    for row, (name, own) in enumerate(members.items()):
        for column, axes in enumerate(grid[row]):
            axes.axis("off")
            if column < len(own):
                number = everything.index(own[column])
                _panel(axes, drawn, number, own[column], name)
    figure.savefig(file, dpi=110)


def _panel(axes, drawn, number: int, member, name: str) -> None:
    places = drawn.places
    for edges, colour, width in ((drawn.context, "#dddddd", 0.8), (drawn.members[number], "k", 2)):
        for u, v in edges:
            axes.plot(*places[[u, v]].T, color=colour, lw=width, zorder=1)
    labels = [-1 if label is None else label for label in drawn.labels()]
    colour = [colours.of_class(label) if label >= 0 else "#bbbbbb" for label in labels]
    axes.scatter(*places.T, s=28, c=colour, zorder=2)
    axes.scatter(*places[:1].T, s=110, facecolors="none", edgecolors="k", zorder=3)
    kind = "factual" * member.factual + " counterfactual" * member.counterfactual
    raw = ", ".join(f"{key} {member.raw[key]:.2f}" for key in ("fdl+", "fdl-", "conc"))
    axes.set_title(f"{name}: {member.size} edges, {kind.strip()}\n{raw}", fontsize=8)


def _space(found: dict, file: Path) -> None:
    """Figures 5b and d: everything examined, and the members, in two of the three scores."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, pair in zip(figure.subplots(1, 2), (("fdl+", "conc"), ("fdl+", "fdl-"))):
        for place, (name, result) in enumerate(found.items()):
            seen = result.targets[0].examined
            axes.scatter(*(seen[m] for m in pair), s=6, alpha=0.3, color=f"C{place}")
            own = [[member.scores[m] for m in pair] for member in result]
            points = np.array(own).reshape(-1, 2).T
            axes.scatter(*points, marker="x", s=70, color=f"C{place}", label=f"{name}: answer")
        axes.set(xlabel=f"score of {pair[0]}", ylabel=f"score of {pair[1]}")
        axes.ticklabel_format(useOffset=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(file, dpi=110)
