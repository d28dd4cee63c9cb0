"""Do the answers hold the motif? Edge precision and recall against the ground truth of BA-Shapes and Tree-Cycles.

50 nodes of motifs each, a model of 3 layers of 20 that is trained here (a GCN; a GIN where only
counting helps), default budget, ten answers. The truth of a node are the edges of its house or its cycle. Of every
answer the best member, by f1, and the union of all members; means. The truth says what the graph was made of, not what
the model looks at: no search can find what the model does not use.

    python benchmarks/truth.py [--quick] [--json]
"""

import argparse
import json

import numpy as np
import torch
from quality import calls
from suites import TOP, Suite

from sxq.graph.generated import ba_shapes, motif_edges, tree_cycles
from sxq.inference.registration import register
from sxq.models import train
from sxq.planning.settings import SETTINGS
from sxq.scoring.indicators import Agreement, agreement

GRAPHS = {
    "BA-Shapes": (ba_shapes, "gcn", 3000),
    "Tree-Cycles": (tree_cycles, "gin", 1000),
}  # and the epochs
METHODS = ("default", "onion & growing", "random")
TRAINING = (("hidden", 20), ("weight_decay", 0))
WIDTHS = (22, 7, 7, 18, 7, 7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="10 targets each, the default search")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name, (make, *model) in GRAPHS.items():
        stage, accuracy = suite(name, make(), *model, 10 if options.quick else 50)
        found[name] = {"accuracy": accuracy}
        print(
            f"{name}: the model is right on {100 * accuracy:.0f} % of the nodes\n  {'':<18}"
            f"{'best member: precision, recall, f1':>36}{'union: precision, recall, f1':>32}"
        )
        for method in METHODS[: 1 if options.quick else None]:
            found[name][method] = row = means(
                [judge(stage, target, method) for target in stage.targets]
            )
            print(
                f"  {method:<18}"
                + "".join(f"{value:{wide}.3f}" for value, wide in zip(row.values(), WIDTHS))
            )
    if options.json:
        print(json.dumps(found))


def suite(name: str, graph, architecture: str, epochs: int, targets: int) -> tuple[Suite, float]:
    """Nodes of motifs, and how often the model is right."""
    trained = train(graph, (("architecture", architecture), ("epochs", epochs), *TRAINING))
    model = register(trained.module, graph, layers=3)
    inside = np.flatnonzero(np.array(graph.attributes["motif"]) >= 0)
    chosen = np.random.default_rng(0).choice(inside, targets, replace=False).tolist()
    return Suite(name, graph, model, tuple(chosen)), float(
        (model.full.argmax(dim=1).numpy() == graph.y).mean()
    )


def judge(stage: Suite, target: int, method: str) -> Agreement:
    """The answer of one target against its motif."""
    run = stage.search(target, calls(method), SETTINGS["sxq_budget"].default)
    members = run.bits_of(run.lattice.answer(TOP).members)
    ends = stage.graph.edge_index.T
    answer = [map(tuple, ends[run.loaded.field.edges_of(bits)].tolist()) for bits in members]
    return agreement(answer, map(tuple, ends[motif_edges(stage.graph, target)].tolist()))


def means(found: list[Agreement]) -> dict[str, float]:
    return {
        f"{part}_{figure}": float(
            np.nanmean([getattr(getattr(each, part), figure) for each in found])
        )
        for part in ("best", "union")
        for figure in ("precision", "recall", "f1")
    }


if __name__ == "__main__":
    main()
