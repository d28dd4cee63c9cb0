"""How good is the skyline for the time: how much of the best front known does a search find, and does it show?

Default budget and settings, k = 10, hypervolume of scores above 0. The best front known of a target is the union of
every run ever made (known.py), this one included, so no ratio exceeds 1; ratios are over the targets whose best is
above 0.05. Columns: the front found and the ten answers, as shares of the best known and of the own front (median and
least over the targets), the front after 10 and 30 % of the budget, seconds for a target.

    SXQ_DATA=... python benchmarks/quality.py [--quick] [--json] [--plot FILE] [--by NAME ...] [--suite NAME ...]
"""

import argparse
import json
import time
from dataclasses import dataclass

import numpy as np
import torch
from known import Known
from suites import SUITES, TOP, Call, Suite, suite

from sxq.execution import DEFAULT, GENERATORS, answering
from sxq.planning.settings import SETTINGS
from sxq.scoring.hypervolume import hypervolume

WORTH = 0.05  # targets whose best hypervolume is below this have no trade-off to show
SHARES = (0.1, 0.3, 1.0)  # of the budget
QUICK = "published"  # the suite of --quick


@dataclass(frozen=True, eq=False)
class Found:
    """What one method found for one target."""

    target: int
    scores: np.ndarray  # [n, 3] of everything verified, in order; NaN where it explains nothing
    front: np.ndarray  # [f, 3]
    answer: float  # hypervolume of the answers
    answers: int
    seconds: float

    def reached(self, candidates: int) -> float:
        """Hypervolume of what the first so many candidates hold."""
        return hypervolume(np.nan_to_num(self.scores[:candidates]))


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    methods = {name: method(name) for name in options.by or ["default"]}
    known, tables = Known(), {}
    for name in options.suite or ([QUICK] if options.quick else SUITES):
        stage = suite(name)
        tables[name] = {label: examine(stage, calls, options.budget) for label, calls in methods.items()}
        for table in tables[name].values():
            for found in table:
                known.add(stage.name, found.target, found.front)
        known.save()
        tables[name] = {label: summary(stage, table, known, options.budget) for label, table in tables[name].items()}
        show(name, stage, tables[name])
    if options.json:
        first = next(iter(tables.values()))
        print(json.dumps({**next(iter(first.values())), "suites": tables}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the 26 published targets in pairs, the default search")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--by", nargs="+", help="generators, several joined by +: onion growing onion+growing")
    parser.add_argument("--suite", nargs="+", choices=SUITES, help="suites of targets")
    parser.add_argument("--budget", type=int, default=SETTINGS["sxq_budget"].default, help="candidates for a target")
    return parser.parse_args()


def method(name: str) -> tuple[Call, ...]:
    """The generators that a name such as `onion+growing` stands for."""
    names = DEFAULT if name == "default" else tuple(name.split("+"))
    for each in names:
        assert each in GENERATORS, f"{each!r} is no generator; known are {', '.join(GENERATORS)}"
    return tuple((each, ()) for each in names)


def examine(stage: Suite, calls: tuple[Call, ...], budget: int) -> list[Found]:
    """Every target of a suite, searched by one method."""
    stage.search(stage.targets[0], calls, min(budget, 200))  # warm
    found = []
    for target in stage.targets:
        started = time.perf_counter()
        run = stage.search(target, calls, budget)
        answer = answering.alone(run)
        seconds = time.perf_counter() - started
        if not run.field.num_units:
            continue
        rows = run.ledger.rows(slice(None))
        scores = np.where(rows.explanatory[:, None], rows.scores[:, :3], np.nan)
        found.append(Found(target, scores, run.lattice.front_scores, answer.hypervolume, len(answer.members), seconds))
    return found


def summary(stage: Suite, table: list[Found], known: Known, budget: int) -> dict:
    """The figures of one method on one suite."""
    best = np.array([known.hypervolume(stage.name, found.target) for found in table])
    worth = best > WORTH
    reached = np.array([[found.reached(int(share * budget)) for share in SHARES] for found in table])
    front = np.array([hypervolume(found.front) for found in table])
    answer = np.array([found.answer for found in table])
    ratios, shown = (front / best)[worth], (answer / front)[worth]
    return {"targets": len(table), "worth": int(worth.sum()),
            "front_ratio_median": float(np.median(ratios)), "front_ratio_min": float(ratios.min()),
            "answer_ratio_median": float(np.median(shown)), "answer_ratio_min": float(shown.min()),
            **{f"front_ratio_median_{share:.0%}": float(np.median((reached[:, i] / best)[worth]))
               for i, share in enumerate(SHARES)},
            "answers": float(np.mean([found.answers for found in table])),
            "candidates": float(np.mean([len(found.scores) for found in table])),
            "seconds_per_target": float(np.mean([found.seconds for found in table])),
            "ratios": {str(found.target): round(float(f / b), 4) for found, f, b in zip(table, front, best)}}


def show(name: str, stage: Suite, rows: dict[str, dict]) -> None:
    first = next(iter(rows.values()))
    print(f"{name}: {first['targets']} targets, {first['worth']} with a best above {WORTH}")
    print(f"  {'':<20}{'front':>15}{'answers':>15}{'10 %':>8}{'30 %':>8}{'answers':>9}{'verified':>10}{'seconds':>9}")
    for label, row in rows.items():
        print(f"  {label:<20}{row['front_ratio_median']:8.3f}{row['front_ratio_min']:7.3f}"
              f"{row['answer_ratio_median']:8.3f}{row['answer_ratio_min']:7.3f}"
              f"{row['front_ratio_median_10%']:8.3f}{row['front_ratio_median_30%']:8.3f}"
              f"{row['answers']:9.1f}{row['candidates']:10,.0f}{row['seconds_per_target']:9.2f}", flush=True)


if __name__ == "__main__":
    main()
