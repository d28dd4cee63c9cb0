"""Do several explainers together find more than the best of them alone?

Cora, the 26 published targets, pairs, default budget: every generator that is applicable (no model here has attention;
`captum` and `pgm` where their packages are), alone and united into one lattice, once with the budget of all of them
and once with that of one. PGExplainer and ReFine are pre-trained on 50 random nodes (30 epochs), which is not in
the seconds.

    front       hypervolume of the front / that of the best front known (known.py) : median and least
    nIPF, nIGD, nMS   of the ten answers on the paper's scale, nIGD and nMS against the union of all rows' answers:
                means over targets, nMS over the three measures too
    candidates, seconds    means; seconds of CPU

A generator that is united with others and has the same share of candidates as alone proposes the same ones, so the
union holds all that each part holds. It is checked: `worst` is the least ratio of the union's hypervolume to that of its
best part, and the program ends with an error where it is below 1.

    SXQ_DATA=... python benchmarks/peers.py [--quick] [--json]
"""

import argparse
import importlib.util
import json
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from known import Known
from suites import TOP, Suite, suite

from sxq.graph import induced_edges
from sxq.models.refine.pretrain import pretrain
from sxq.planning.settings import SETTINGS
from sxq.scoring.hypervolume import hypervolume
from sxq.scoring.indicators import nigd, nipf, nms

OPTIONAL = {"captum": "captum", "pgm": "pgmpy"}  # generators by the package that they need
PLAIN = (
    "search",
    "onion",
    "growing",
    "random",
    "moexp",
    "sa",
    "gnnexplainer",
    "graphmask",
    "cf2",
    *(name for name, package in OPTIONAL.items() if importlib.util.find_spec(package)),
)
PRESETS = ("pgexplainer", "refine")
PRETRAINING = (("nodes", 50), ("epochs", 30))
SAME = 1e-9  # hypervolumes nearer than this are the same


@dataclass(frozen=True, eq=False)
class Found:
    """What a row found for one target."""

    front: np.ndarray  # [f, 3] scores
    answer: np.ndarray  # [k, 3] on the paper's scale
    candidates: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the first three targets")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stage, budget = suite("published"), SETTINGS["sxq_budget"].default
    targets = stage.targets[:3] if options.quick else stage.targets
    learned = {
        name: pretrain(stage.model, stage.graph, (("preset", name), *PRETRAINING)).pretrained
        for name in PRESETS
    }
    parts = {name: ((name, ()),) for name in PLAIN}
    parts |= {name: ((name, (("pretrained", name),)),) for name in PRESETS}
    together = tuple(call for (call,) in parts.values())
    rows = {name: (calls, budget) for name, calls in parts.items()}
    rows |= {"united": (together, budget * len(together)), "united, one budget": (together, budget)}
    found = {}
    for name, row in rows.items():
        found[name] = [examine(stage, target, *row, learned) for target in targets]
        print(f"{name}: {sum(one.seconds for one in found[name]):.0f} s", flush=True)
    figures = summary(stage, targets, found)
    show(figures)
    worst = least_gain(found, list(parts))
    print(
        f"worst: the union's front has at least {worst:.4f} times the hypervolume of its best part, on every target"
    )
    if options.json:
        print(json.dumps({"targets": len(targets), "worst": worst, "rows": figures}))
    if worst < 1 - SAME:
        sys.exit("the union is worse than one of its parts")


def examine(stage: Suite, target: int, calls, budget: int, learned) -> Found:
    """One target searched."""
    started = time.process_time()
    found = stage.search(target, calls, budget, learned=learned)
    answer = found.lattice.answer(TOP)
    seconds = time.process_time() - started
    return Found(
        found.lattice.front_scores,
        paper_scale(stage, found, answer.members),
        found.table.count,
        seconds,
    )


def paper_scale(stage: Suite, found, members) -> np.ndarray:
    """(fdl+, 1 - fdl-, 1 - log|E_s| / log|E|) of members [k, 3], on directed edges."""
    if not members:
        return np.zeros((0, 3))
    total = induced_edges(stage.graph, found.loaded.position, stage.model.hops)
    edges = np.array([len(found.loaded.field.edges_of(bits)) for bits in found.bits_of(members)])
    raw = found.table.rows(list(members)).raw
    return np.stack([raw[:, 0], 1 - raw[:, 1], 1 - np.log(edges) / np.log(total)], axis=1)


def summary(stage: Suite, targets, found: dict[str, list[Found]]) -> dict[str, dict[str, float]]:
    """The columns of every row."""
    known = Known()
    for table in found.values():
        for target, one in zip(targets, table):
            known.add(stage.name, target, one.front)
    best = np.array([known.hypervolume(stage.name, target) for target in targets])
    unions = [
        np.concatenate(answers)
        for answers in zip(*([one.answer for one in table] for table in found.values()))
    ]
    return {name: columns(table, best, unions) for name, table in found.items()}


def columns(table: list[Found], best: np.ndarray, unions: list[np.ndarray]) -> dict[str, float]:
    volume = np.array([hypervolume(one.front) for one in table])
    pairs = [(one.answer, union) for one, union in zip(table, unions) if len(one.answer)]
    return {
        "front_median": float(np.median(volume / best)),
        "front_min": float((volume / best).min()),
        "hypervolume": float(volume.mean()),
        "nipf": float(np.mean([nipf(answer) for answer, _ in pairs])),
        "nigd": float(np.mean([nigd(answer, union) for answer, union in pairs])),
        "nms": float(np.mean([np.nanmean(nms(answer, union)) for answer, union in pairs])),
        "answered": len(pairs),
        "candidates": float(np.mean([one.candidates for one in table])),
        "seconds": float(np.mean([one.seconds for one in table])),
    }


def least_gain(found: dict[str, list[Found]], parts: list[str]) -> float:
    """The least of: hypervolume of the union's front / that of the best part's, over targets."""
    alone = np.array([[hypervolume(one.front) for one in found[name]] for name in parts]).max(
        axis=0
    )
    united = np.array([hypervolume(one.front) for one in found["united"]])
    return float((united[alone > 0] / alone[alone > 0]).min(initial=1.0))


def show(figures: dict[str, dict[str, float]]) -> None:
    heads = {
        "front_median": "front",
        "front_min": "least",
        "nipf": "nIPF",
        "nigd": "nIGD",
        "nms": "nMS",
        "candidates": "candidates",
        "seconds": "seconds",
    }
    print(f"{'':<20}" + "".join(f"{head:>11}" for head in heads.values()))
    for name, row in figures.items():
        print(
            f"{name:<20}"
            + "".join(
                f"{row[key]:>11,.0f}" if key == "candidates" else f"{row[key]:>11.3f}"
                for key in heads
            )
        )


if __name__ == "__main__":
    main()
