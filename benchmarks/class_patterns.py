"""Does EXPLAIN CLASS find the house? Patterns of the classes of BA-Shapes, whose truth is known.

    python benchmarks/class_patterns.py [--targets 40] [--budget 1000] [--epochs 3000]

The classes 1, 2 and 3 are the middle, the bottom and the roof of houses that hang on a random graph; a
GCN of 3 layers of 20 is trained here. Each class is explained with patterns told apart by predicted
class (the default) and by shape alone. `foremost` is the pattern that holds most edges over all
targets, and `in house` whether the house contains it, by shape. `house` is the support of the whole
house where the skyline of patterns has it. `largest` is the largest pattern that the house contains.
`truth` is the share of edges, over all places where a target's explanation holds a pattern, that lie
in the target's own house. The truth says what the graph was made of, not what the model looks at.
"""

import argparse
import os

import networkx
import numpy as np
import torch

import sxq
from sxq.graph.generated import HOUSE, ba_shapes
from sxq.values.pattern import ClassPattern

HOUSE_SHAPE = networkx.Graph(HOUSE.tolist())
CLASSES = (1, 2, 3)
LABELS = ("prediction", "none")
TRAINED = "ARCHITECTURE = gcn, LAYERS = 3, HIDDEN = 20, WEIGHT_DECAY = 0, SEED = 0"
HEAD = "class  labels      patterns  foremost            support  fidelity  in house  house  largest  truth"


def in_house(pattern: ClassPattern) -> bool:
    """Whether the house contains the pattern, by shape alone."""
    shape = networkx.Graph(pattern.edges)
    return networkx.isomorphism.GraphMatcher(HOUSE_SHAPE, shape).subgraph_is_monomorphic()


def share_of_truth(patterns: tuple[ClassPattern, ...], motif: np.ndarray) -> float:
    """The share of matched edges that lie in the house of their target."""
    inside = []
    for pattern in patterns:
        for match in pattern.matches:
            own = motif[match.target]
            ends = motif[[[match.nodes[u], match.nodes[v]] for u, v in pattern.edges]]
            inside.extend((own >= 0) & (ends == own).all(axis=1))
    return float(np.mean(inside)) if inside else 0.0


def row(found: sxq.Result, of_class: int, labels: str, motif: np.ndarray) -> str:
    """One line of the table."""
    foremost = found.found.foremost
    if foremost is None:
        return f"{of_class:5}  {labels:10}  no pattern recurs"
    houses = [p.support for p in found.patterns if p.shape == "house"]
    largest = max((p.size for p in found.patterns if in_house(p)), default=0)
    named = f"{foremost.shape} of {foremost.size} edges"
    return (
        f"{of_class:5}  {labels:10}  {len(found.patterns):8}  {named:18}  {foremost.support:7.2f}  "
        f"{foremost.fidelity:8.2f}  {'yes' if in_house(foremost) else 'no':8}  "
        f"{max(houses) if houses else '-':5}  {largest:7}  {share_of_truth(found.patterns, motif):5.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--targets", type=int, default=40)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=3000)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with sxq.connect() as con:
        con.execute("CREATE GRAPH shapes FROM DATASET 'BA-Shapes'")
        print(con.execute(f"TRAIN MODEL m ON GRAPH shapes ({TRAINED}, EPOCHS = {options.epochs})"))
        con.execute("SET sxq_worth_budget = 0")
        motif = np.array(ba_shapes().attributes["motif"])
        print(HEAD)
        for of_class in CLASSES:
            for labels in LABELS:
                found = con.query(
                    f"EXPLAIN CLASS {of_class} USING MODEL m OPTIMIZE fdl+, fdl-, conc "
                    f"BUDGET {options.budget} CANDIDATES TARGETS {options.targets} LABELS {labels}"
                )
                print(row(found, of_class, labels, motif), flush=True)


if __name__ == "__main__":
    main()
