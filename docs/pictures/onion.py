"""Draws onion.svg: a walk of onion peeling through candidates that were verified. `python docs/pictures/onion.py`"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import sxq
from sxq.generators import GENERATORS, GeneratorEntry
from sxq.generators.paper.onion import onion
from sxq.pictures import colours
from sxq.pictures.scene import scene

SIZES = (41, 28, 16, 8, 3, 2)  # edges left, in the panels
MEASURES = ("fdl+", "fdl-", "conc")


def states() -> tuple[sxq.Result, object, dict]:
    """The states that the peels of member 19 went through: {size: (bits, scores, factual, counterfactual)}."""
    seen, fields = {}, []

    def watched(field, context):
        fields.append(field)
        search, scored = onion(field, context), None
        while True:
            try:
                candidates = search.send(scored)
            except StopIteration:
                return
            scored = yield candidates
            for row in np.flatnonzero(candidates.edited < 0):
                bits = candidates.bits[row].copy()
                seen.setdefault(
                    int(bits.sum()),
                    (bits, scored.scores[row], scored.factual[row], scored.counterfactual[row]),
                )

    GENERATORS["watched"] = GeneratorEntry(
        name="watched", function=watched, help="onion peeling, looked at"
    )
    with sxq.connect() as con:
        con.execute(
            "CREATE GRAPH karate FROM DATASET 'KarateClub'; "
            "TRAIN MODEL gcn ON GRAPH karate (ARCHITECTURE = gcn, LAYERS = 2, EPOCHS = 100)"
        )
        result = con.explain(node=19).using("gcn").optimize(*MEASURES).by("watched").run()
    return result, fields[0], seen


def main() -> None:
    result, field, seen = states()
    key = [result[0].graph.key(int(p)) for p in field.nodes]
    whole = [(key[u], key[v]) for u, v in field.ends.T]
    ends = np.array([edge for e in whole for edge in (e, e[::-1])]).T
    full = sxq.Explanation(
        19,
        1,
        ends,
        np.unique(ends),
        tuple(map(tuple, ends.T.tolist())),
        len(whole),
        {},
        {},
        True,
        True,
        graph=result[0].graph,
    )
    drawn = scene([full], nodes=len(np.unique(ends)))
    place = {name: drawn.places[i] for i, name in enumerate(drawn.keys())}
    colour = dict(zip(drawn.keys(), map(colours.of_class, drawn.labels())))
    figure = Figure(figsize=(12, 7.2), layout="constrained")
    for axes, size in zip(figure.subplots(2, 3).flat, SIZES):
        bits, scores, *flags = seen[size]
        for (u, v), kept, hop in zip(whole, bits, field.unit_hop):
            axes.plot(
                *np.array([place[u], place[v]]).T,
                color=colours.MEMBER if kept else colours.CONTEXT,
                lw=(2.4 if hop == 1 else 1.3) if kept else 0.6,
                zorder=2 if kept else 1,
            )
        inside = {19, *(name for edge, kept in zip(whole, bits) if kept for name in edge)}
        for name, at in place.items():
            axes.scatter(
                *at,
                s=60 if name in inside else 14,
                c=colour[name],
                alpha=1 if name in inside else 0.35,
                zorder=3,
                edgecolors="white",
                linewidths=0.6,
            )
        axes.scatter(
            *place[19],
            s=190,
            facecolors="none",
            edgecolors=colours.TARGET,
            linewidths=2.2,
            zorder=4,
        )
        said = (
            " and ".join(name for name, holds in zip(("factual", "counterfactual"), flags) if holds)
            or "explains nothing"
        )
        axes.set_title(
            f"{size} edges: {said}\n"
            + "   ".join(f"{n} {s:.2f}" for n, s in zip(MEASURES, scores)),
            fontsize=9,
        )
        axes.set_axis_off()
    figure.savefig(Path(__file__).with_name("onion.png"), dpi=90)


if __name__ == "__main__":
    main()
