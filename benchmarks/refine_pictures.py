"""Pictures of paper_refine.py: what attributors think of whole classes, and of one graph before and after fine-tuning.

class-wise   one graph of each class; the darker an edge, the higher the attributor of that class ranks it
instance     one graph at ratios 0.1 to 0.5: the edges chosen before (above) and after (below) fine-tuning
"""

import sys
from pathlib import Path

import networkx as nx
import numpy as np
from contenders import learned
from refine import Table

from sxq.scoring.ratios import RATIOS

try:
    from matplotlib.figure import Figure
except ImportError:
    sys.exit("--pictures needs matplotlib: pip install 'sxq[plot]'")

PANELS = 5  # in a row
SHOWN = (0.1, 0.2, 0.3, 0.4, 0.5)  # ratios, as in the paper's figure 4


def draw(table: Table, folder: Path) -> None:
    """Both pictures of a case whose attributors were learned in this run."""
    if ("refine", 0) not in table.learned:
        return
    folder.mkdir(parents=True, exist_ok=True)
    before = learned(table.case, table.learned["refine_ft", 0], 0)
    after = learned(table.case, table.learned["refine", 0], 0)
    _classes(table, before, folder / f"paper-refine-classes-{table.case.name}.png")
    _instance(table, before, after, folder / f"paper-refine-instance-{table.case.name}.png")


def _classes(table: Table, saliency: list[np.ndarray], file: Path) -> None:
    case = table.case
    chosen = [int(np.flatnonzero(case.classes == label)[0]) for label in np.unique(case.classes)]
    chosen = chosen[:PANELS]
    figure = Figure(figsize=(3 * len(chosen), 3.2), layout="constrained")
    for axes, number in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen):
        own = saliency[number]
        rank = np.argsort(np.argsort(own)) / max(len(own) - 1, 1)
        _graph(axes, case, number, rank)
        axes.set_title(f"class {case.classes[number]}", fontsize=9)
    figure.savefig(file, dpi=100)


def _instance(table: Table, before: list, after: list, file: Path) -> None:
    """The first graph whose chosen edges change at some ratio shown, else the first one."""
    case = table.case
    number = next((i for i in range(len(case)) if _changes(case, i, before, after)), 0)
    figure = Figure(figsize=(3 * len(SHOWN), 6), layout="constrained")
    for row, name in zip(figure.subplots(2, len(SHOWN)), ("pre-trained", "fine-tuned")):
        for axes, ratio in zip(row, SHOWN):
            own = before[number] if name == "pre-trained" else after[number][RATIOS.index(ratio)]
            _graph(axes, case, number, _top(case, number, own, ratio).astype(float))
            axes.set_title(f"{name}, {ratio:.0%} of the edges", fontsize=9)
    figure.savefig(file, dpi=100)


def _changes(case, number: int, before: list, after: list) -> bool:
    return any(
        (_top(case, number, before[number], ratio) != _top(case, number, tuned, ratio)).any()
        for ratio, tuned in zip(RATIOS, after[number])
        if ratio in SHOWN
    )


def _top(case, number: int, ranking: np.ndarray, ratio: float) -> np.ndarray:
    """The units [U] chosen at a ratio."""
    size = case.sizes[number][RATIOS.index(ratio)]
    chosen = np.zeros(len(ranking), bool)
    chosen[np.argsort(-ranking, kind="stable")[:size]] = True
    return chosen


def _graph(axes, case, number: int, weight: np.ndarray) -> None:
    """A graph with its edges as dark as their weight [U] in [0, 1]; known ones on yellow."""
    field, graph = case.fields[number], case.graphs.member(int(case.numbers[number]))
    places = _places(graph)
    for unit in np.argsort(weight, kind="stable"):
        u, v = field.nodes[field.ends[:, unit]]
        if case.truths[number][unit]:
            axes.plot(*places[[u, v]].T, color="#fbe3a1", lw=7, zorder=0)
        shade = 0.85 * (1 - weight[unit])
        width = 0.7 + 1.8 * weight[unit]
        axes.plot(*places[[u, v]].T, color=(shade,) * 3, lw=width, zorder=1 + weight[unit])
    colour = graph.x.argmax(axis=1) if graph.num_features > 1 else 1 - graph.x[:, 0]
    cmap = "tab10" if graph.num_features > 1 else "gray"
    axes.scatter(*places.T, c=colour, cmap=cmap, s=26, edgecolors="#888888", lw=0.4, zorder=3)
    axes.axis("off")
    axes.set_aspect("equal")


def _places(graph) -> np.ndarray:
    """Positions [n, 2]: those of an image, or a layout by springs."""
    if "pos_x" in graph.attributes:
        x, y = (np.array(graph.attributes[name], float) for name in ("pos_x", "pos_y"))
        return np.stack([x, -y], axis=1)
    drawn = nx.Graph()
    drawn.add_nodes_from(range(graph.num_nodes))
    drawn.add_edges_from(graph.edge_index.T.tolist())
    placed = (
        nx.kamada_kawai_layout(drawn) if nx.is_connected(drawn) else nx.spring_layout(drawn, seed=0)
    )
    return np.array([placed[node] for node in range(graph.num_nodes)])
