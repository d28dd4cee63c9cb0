"""How good is the skyline for the time: how much of the best front known does a search find, and does it show?

Default budget and settings, k = 10, hypervolume of scores above 0. The best front known of a target is the union of
every run ever made (known.py), this one included, so no ratio exceeds 1; ratios are over the targets whose best is
above 0.05. The columns:

    front      the front found / the best known: median and least
    answers    the answers / the own front: median and least
    10%, 30%   the front after that much of the budget / the best known: median
    ten        (with --ten, of the first method) the most that ten members could show / the own front (ten.py): likewise
    DS         what the answers cover / a proven bound of the most that as many could: median and least
    nodes      share of the field's nodes that the answers hold, and those of DIVERSIFY: means
    IPF        of the answers, paper scale;  number of answers, candidates verified, seconds of CPU: means
    wins       targets on which the first method's front is better / as good / worse, cut to as many candidates
               (whole, against methods that propose a few and cannot go on)

    SXQ_DATA=... python benchmarks/quality.py [--quick] [--json] [--plot FILE] [--by NAME ...] [--suite NAME ...]
                                              [--keep FOLDER] [--ten]

With `--keep` what a method found for a target is kept in a folder once it is there (kept.py), and read where it is.
A name is a generator with options as in a query, or several joined by `&`: growing "growing(objective=fdl+)"
"onion & growing"; or `default`, or a rival (rivals.py).
"""

import argparse
import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import rivals
import torch
from kept import Found, Kept
from known import Known
from suites import EPSILON, SUITES, TOP, Call, Suite, suite
from ten import most

from sxq.execution.answer import RULES
from sxq.generators.catalog import DEFAULT, GENERATORS
from sxq.generators.protocol import OPENING
from sxq.graph import induced_edges
from sxq.planning.settings import SETTINGS
from sxq.scoring import selection
from sxq.scoring.hypervolume import hypervolume
from sxq.scoring.lattice import Answer, Lattice

WORTH = 0.05  # targets whose best hypervolume is below this have no trade-off to show
SHARES = (0.03, 0.1, 0.3, 1.0)  # of the budget
QUICK = "published"  # the suite of --quick
ONE_SHOT = set(rivals.NAMES) - {"nsga2", "nsga2_restarted"}
SAME = 1e-9  # hypervolumes nearer than this are the same
OURS = (
    "default",
    "onion & growing",
    "onion",
    "growing",
    "growing(objective=fdl+)",
    "growing(objective=fdl-)",
    "growing(objective=conc)",
    "random",
)


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    known, found = Known(), {}
    names = options.by or (["default"] if options.quick else [*OURS, *rivals.NAMES])
    for name in options.suite or ([QUICK] if options.quick else SUITES):
        stage = suite(name)
        kept = {label: Kept(options.keep, name, label, options.budget) for label in names}
        spent = rivals.enter(stage, [label for label in names if kept[label].lacks(stage.targets)])
        tables = {
            label: examine(stage, label, options.budget, spent.get(label, 0), known, kept[label])
            for label in names
        }
        if options.ten:
            tables[names[0]] = [_ten(kept[names[0]], each) for each in tables[names[0]]]
        known.save()
        found[name] = summarise(
            stage, {label: table for label, table in tables.items() if table}, known, options.budget
        )
        show(name, found[name])
    if options.plot:
        plot(found, options.plot)
    if options.json:
        print(json.dumps({**overall(found, names[0]), "suites": found}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="the 26 published targets in pairs, the default search"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument(
        "--plot", metavar="FILE", help="quality against the budget spent, as a picture"
    )
    parser.add_argument(
        "--by", nargs="+", metavar="NAME", help="methods; the first is compared with the others"
    )
    parser.add_argument("--suite", nargs="+", choices=SUITES, help="suites of targets")
    parser.add_argument(
        "--ten", action="store_true", help="the most that ten members could show (scipy; minutes)"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where what was found is kept")
    parser.add_argument(
        "--budget", type=int, default=SETTINGS["sxq_budget"].default, help="candidates for a target"
    )
    return parser.parse_args()


def calls(name: str) -> tuple[Call, ...]:
    """The generators, with their options, that a name stands for."""
    if name == "default":
        return tuple((each, ()) for each in DEFAULT)
    parsed = []
    for part in name.split("&"):
        generator, _, options = re.fullmatch(r"(\w+)(\((.*)\))?", part.strip()).groups()
        assert generator in GENERATORS, (
            f"{generator!r} is no generator; known are {', '.join(GENERATORS)}"
        )
        pairs = [option.split("=") for option in options.split(",")] if options else []
        parsed.append(
            (generator, tuple((key.strip(), _value(value.strip())) for key, value in pairs))
        )
    return tuple(parsed)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def examine(
    stage: Suite, label: str, budget: int, spent: float, known: Known, kept: Kept
) -> list[Found]:
    """Every target of a suite, searched by one method; `spent` seconds went into all targets together before."""
    if missing := kept.lacks(stage.targets):
        stage.search(missing[0], calls(label), min(budget, 200))  # warm
    for target in missing:
        kept.add(_search(stage, label, target, budget, spent / len(stage.targets)))
    found = [kept.found[target] for target in stage.targets if len(kept.found[target].scores)]
    for each in found:
        known.add(stage.name, each.target, each.explanatory())
    return found


def _search(stage: Suite, label: str, target: int, budget: int, spent: float) -> Found:
    """One target, searched by one method."""
    started = time.process_time()
    run = stage.search(target, calls(label), budget)
    mine = run.table.rows(slice(None)).generator != OPENING
    if label not in rivals.NAMES:
        mine[:] = True  # the field is no rival's find
    lattice = _rank(run, mine)
    answer = lattice.answer(TOP)
    seconds = time.process_time() - started + spent
    rows = run.table.rows(mine)
    return Found(
        target,
        np.where(rows.explanatory[:, None], rows.scores[:, :3], 0.0),
        hypervolume(lattice.front_scores),
        answer.hypervolume,
        _covered(lattice, answer),
        _ipf(stage, run, answer.members),
        len(answer.members),
        seconds,
        _nodes(run, answer.members),
        _nodes(run, RULES["diversity"](run).members) if mine.all() else float("nan"),
    )


def _ten(kept: Kept, found: Found) -> Found:
    """The same, with the most that TOP members of the front could show."""
    if np.isnan(found.ten):
        found = replace(found, ten=most(found.explanatory(), TOP))
        kept.add(found)
    return found


def _rank(run, mine: np.ndarray) -> Lattice:
    """The lattice of some of the candidates verified."""
    if mine.all():
        return run.lattice
    lattice, chosen = (
        Lattice(3, EPSILON),
        np.flatnonzero(mine & run.table.rows(slice(None)).explanatory),
    )
    rows = run.table.rows(chosen)
    lattice.add(chosen, rows.scores[:, :3], run.bits_of(chosen).sum(axis=1), rows.bits)
    return lattice


def _covered(lattice: Lattice, answer: Answer) -> float:
    """DS of the answer / the bound of the optimum; the quotient with the optimum itself is at least that."""
    cover = lattice.dominated()
    most = selection.bound(cover, selection.greedy(cover, TOP), TOP)
    return answer.dominance / most if most else 1.0


def _ipf(stage: Suite, run, members: tuple[int, ...]) -> float:
    """The mean of (fdl+, 1 - fdl-, 1 - log|E_s| / log|E|) over the answers, on directed edges."""
    if not members:
        return float("nan")
    total = induced_edges(stage.graph, run.loaded.position, stage.model.hops)
    edges = np.array([len(run.loaded.field.edges_of(bits)) for bits in run.bits_of(members)])
    raw = run.table.rows(list(members)).raw
    return float(np.mean([raw[:, 0], 1 - raw[:, 1], 1 - np.log(edges) / np.log(total)]))


def _nodes(run, members: tuple[int, ...]) -> float:
    """The share of the field's nodes that some member holds; the target counts as held."""
    nodes = (
        run.loaded.field.reached(run.bits_of(members))
        if members
        else np.zeros((1, run.loaded.field.num_nodes), bool)
    )
    return float(nodes.any(axis=0)[run.loaded.field.node_hop <= run.loaded.field.hops].mean())


def summarise(
    stage: Suite, tables: dict[str, list[Found]], known: Known, budget: int
) -> dict[str, dict]:
    """The figures of every method on one suite, the first compared with each other one."""
    first = next(iter(tables.values()))
    return {
        label: _summary(stage, table, known, budget)
        | {"wins": _wins(first, table, label in ONE_SHOT)}
        for label, table in tables.items()
    }


def _summary(stage: Suite, table: list[Found], known: Known, budget: int) -> dict:
    best = np.array([known.hypervolume(stage.name, found.target) for found in table])
    table, best = zip(*[(found, b) for found, b in zip(table, best) if b > WORTH])
    ratios = np.array([found.front for found in table]) / best
    shown = np.array([found.answer / found.front if found.front else np.nan for found in table])
    ten = np.array([found.ten / found.front if found.front else np.nan for found in table])
    reached = [
        np.median([found.reached(int(share * budget)) / b for found, b in zip(table, best)])
        for share in SHARES
    ]
    return {
        "targets": len(table),
        "front_ratio_median": float(np.median(ratios)),
        "front_ratio_min": float(ratios.min()),
        "answer_ratio_median": float(np.nanmedian(shown)),
        "answer_ratio_min": float(np.nanmin(shown)),
        "ten_ratio_median": float(np.median(ten)),
        "ten_ratio_min": float(ten.min()),
        "of_ten_median": float(np.median(shown / ten)),
        "of_ten_min": float((shown / ten).min()),
        "dominance_ratio_median": float(np.median([found.covered for found in table])),
        "dominance_ratio_min": float(min(found.covered for found in table)),
        "shares": dict(zip(map(str, SHARES), map(float, reached))),
        "node_coverage": float(np.mean([found.nodes for found in table])),
        "node_coverage_diversified": float(np.mean([found.diverse for found in table])),
        "ipf": float(np.nanmean([found.ipf for found in table])),
        "answers": float(np.mean([found.answers for found in table])),
        "candidates": float(np.mean([len(found.scores) for found in table])),
        "seconds_per_target": float(np.mean([found.seconds for found in table])),
        "ratios": {
            str(found.target): round(float(ratio), 4) for found, ratio in zip(table, ratios)
        },
        "shown": {str(found.target): round(float(ratio), 4) for found, ratio in zip(table, shown)},
    }


def _wins(first: list[Found], other: list[Found], one_shot: bool) -> list[int]:
    """Targets on which the first method's front is better, as good, worse: at equal counts of candidates, or
    whole against what proposes a few and cannot go on."""
    by_target, signs = {found.target: found for found in other}, []
    for one in first:
        if two := by_target.get(one.target):
            count = len(one.scores) if one_shot else min(len(one.scores), len(two.scores))
            lead = one.reached(count) - two.reached(count)
            signs.append(0 if abs(lead) < SAME else 1 if lead > 0 else -1)
    return [signs.count(1), signs.count(0), signs.count(-1)]


def overall(found: dict[str, dict], label: str) -> dict[str, float]:
    """The figures of one method over all suites: medians of medians are none, so the targets are pooled."""
    rows = [methods[label] for methods in found.values()]
    ratios = [ratio for row in rows for ratio in row["ratios"].values()]
    shown = [ratio for row in rows for ratio in row["shown"].values()]
    seconds = np.average(
        [row["seconds_per_target"] for row in rows], weights=[row["targets"] for row in rows]
    )
    return {
        "front_ratio_median": float(np.median(ratios)),
        "front_ratio_min": min(ratios),
        "answer_ratio_median": float(np.median(shown)),
        "answer_ratio_min": min(shown),
        "dominance_ratio_min": min(row["dominance_ratio_min"] for row in rows),
        "seconds_per_target": float(seconds),
    }


def show(name: str, rows: dict[str, dict]) -> None:
    print(f"\n{name}: {next(iter(rows.values()))['targets']} targets whose best is above {WORTH}")
    print(
        f"  {'':<24}{'front':>12}{'answers':>13}{'ten':>13}{'10%':>7}{'30%':>7}{'DS':>12}{'nodes':>11}{'IPF':>7}"
        f"{'answers':>8}{'verified':>9}{'seconds':>8}  wins"
    )
    for label, row in rows.items():
        print(
            f"  {label:<24}{row['front_ratio_median']:6.3f}{row['front_ratio_min']:6.2f}"
            f"{row['answer_ratio_median']:7.3f}{row['answer_ratio_min']:6.2f}"
            f"{_blank(row['ten_ratio_median'], '7.3f')}{_blank(row['ten_ratio_min'], '6.2f')}"
            f"{row['shares']['0.1']:7.3f}{row['shares']['0.3']:7.3f}{row['dominance_ratio_median']:7.3f}{row['dominance_ratio_min']:5.2f}"
            f"{_blank(row['node_coverage'], '6.2f')}{_blank(row['node_coverage_diversified'], '5.2f')}"
            f"{row['ipf']:7.3f}{row['answers']:8.1f}{row['candidates']:9,.0f}{row['seconds_per_target']:8.2f}"
            f"  {' / '.join(map(str, row['wins']))}",
            flush=True,
        )


def _blank(value: float, form: str) -> str:
    """A number, or blanks in the place of NaN."""
    text = format(value, form)
    return " " * len(text) if np.isnan(value) else text


def plot(found: dict[str, dict], file: str) -> None:
    """One panel for each suite: the median share of the best front known against the share of the budget spent, of the
    methods that can go on."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        sys.exit("--plot needs matplotlib")
    figure = Figure(figsize=(3 * len(found) + 1.6, 3.4), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    for panel, (name, rows) in zip(panels, found.items()):
        for color, (label, row) in enumerate(row for row in rows.items() if row[0] not in ONE_SHOT):
            panel.plot(
                [100 * share for share in SHARES],
                list(row["shares"].values()),
                marker="o",
                ms=4,
                label="search" if label == "default" else label,
                color=f"C{color % 10}",
                lw=2.5 if label == "default" else 1,
                zorder=3 if label == "default" else 2,
            )
        panel.set(
            title=name,
            xlabel="% of the budget",
            xscale="log",
            xticks=[3, 10, 30, 100],
            xticklabels=["3", "10", "30", "100"],
        )
        panel.minorticks_off()
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("hypervolume / best known, median")
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside right center",
        fontsize=8,
        frameon=False,
    )
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    main()
