"""What does pruning spare, and what does it lose? The rules of sxq_pruning on 12 targets of Cora, epsilon 0.1.

    sound     candidates that the front dominates whatever the model says
    epsilon   those that their parent epsilon-dominates whatever the model says
    paper     those of which one bounded measure says so, as the skyline paper prints it

For each generator and rule: candidates verified and spared, hypervolume of the front and of the answers as a share of
that without a loss (median and least), and the coverage of everything that the sound run verified.

    SXQ_DATA=... python benchmarks/pruning.py [--quick] [--json]
"""

import argparse
import json

import numpy as np
import torch
from suites import EPSILON, TOP, suite

from sxq.execution.target.pruning import RULES
from sxq.planning.settings import SETTINGS
from sxq.scoring.hypervolume import hypervolume
from sxq.scoring.indicators import coverage

TARGETS = 12
GENERATORS = ("onion", "growing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="three targets")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stage, budget = suite("published"), SETTINGS["sxq_budget"].default
    targets = stage.targets[: 3 if options.quick else TARGETS]
    found = {}
    print(
        f"{stage.name}, {len(targets)} targets{'':<10}verified    spared     front   answers  covered"
    )
    for generator in GENERATORS:
        runs = {
            rule: [
                stage.search(target, ((generator, ()),), budget, pruning=rule) for target in targets
            ]
            for rule in RULES
        }
        for rule, own in runs.items():
            row = found[f"{generator} {rule}"] = compare(own, runs["sound"])
            print(
                f"  {generator:<9}{rule:<20}{row['verified']:>10,}{row['spared']:>10,}"
                f"{row['front']:>7.3f} {row['front_least']:.2f}{row['answers']:>7.3f}"
                f"{row['covered']:>9.3f}"
            )
    if options.json:
        print(json.dumps(found))


def compare(own: list, sound: list) -> dict[str, float]:
    """The figures of one rule against the sound one, over targets."""
    fronts = [
        hypervolume(one.lattice.front_scores) / hypervolume(other.lattice.front_scores)
        for one, other in zip(own, sound)
    ]
    answers = [one.lattice.answer(TOP) for one in own]
    best = [other.lattice.answer(TOP).hypervolume for other in sound]
    covered = [
        coverage(_scores(one, answer.members), _scores(other, None), EPSILON)
        for one, other, answer in zip(own, sound, answers)
    ]
    return {
        "verified": sum(one.table.count for one in own),
        "spared": sum(len(one.pruned) for one in own),
        "front": float(np.median(fronts)),
        "front_least": float(min(fronts)),
        "answers": float(np.median([a.hypervolume / b for a, b in zip(answers, best)])),
        "covered": float(np.mean(covered)),
    }


def _scores(found, members) -> np.ndarray:
    """Scores [n, 3] of some members, or of all explanatory candidates."""
    rows = found.table.rows(slice(None) if members is None else list(members))
    return rows.scores[rows.explanatory, :3]


if __name__ == "__main__":
    main()
