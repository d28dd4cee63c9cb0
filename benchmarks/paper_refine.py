"""The evaluation of ReFine (Wang et al., NeurIPS 2021): tables 1 to 4 and figures 3 and 4, with the skyline beside it.

Cases of classified.py, rows and columns of refine.py: gradients (SA), GNNExplainer, PGM-Explainer (where pgmpy is
installed), PGExplainer, ReFine-CT, ReFine-FT, ReFine, the skyline, a random order as floor and the ceiling.

    python benchmarks/paper_refine.py [--quick] [--case NAME ...] [--graphs N] [--seeds N] [--keep FOLDER]
                                      [--pictures FOLDER] [--rows FILE] [--json]

Data sets come from the folder SXQ_DATA, or a download, or a stand-in, and the output says which. A case whose files
cannot be had at all (VG-5) is left out, and the output says so. With `--keep` a run that was stopped goes on; empty the
folder when the code changes.
"""

import argparse
import json
import time
from pathlib import Path

import contenders
import data
import numpy as np
import published
import standins
import torch
from classified import CASES, Case
from refine import LEARNED, ROWS, SEEDLESS, Table, interval

from sxq.errors import DataError, ModelError
from sxq.models.refine import PRESETS

PAPER = ("sa", "gnnexplainer", "pgm", *LEARNED)
NAMES = {
    "random": "floor (random order)",
    "sa": "SA",
    "gnnexplainer": "GNNExplainer",
    "pgm": "PGM-Explainer",
    "pgexplainer": "PGExplainer",
    "refine_ct": "ReFine-CT",
    "refine_ft": "ReFine-FT",
    "refine": "ReFine",
    "skyline": "skyline",
    "ceiling": "ceiling",
}
COLUMNS = {
    "acc_auc": "ACC-AUC",
    "acc_at_0.2": "ACC@0.2",
    "acc_at_0.4": "ACC@0.4",
    "acc_at_0.6": "ACC@0.6",
    "recall_at_5": "Recall@5",
    "recall_of_best": "best member",
    "recall_of_union": "union",
    "seconds_per_graph_and_ratio": "seconds",
}
QUICK = {"graphs": 5, "epochs": 3, "training": 8, "beam": 20, "digits": 300}
FEWER = {"superpixels": 2}  # graphs of --quick, of 420 edges each
Columns = dict[str, dict[str, np.ndarray]]


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    started = time.perf_counter(), time.process_time()
    show_variants()
    rows, found = [], {}
    for name in options.case or CASES:
        began = time.process_time()
        try:
            table = fill(name, options)
        except DataError as error:
            print(f"\n{name}: left out: {error}")
            continue
        found[name] = columns = table.columns()
        show(name, table, columns, time.process_time() - began)
        rows += compared(name, columns)
        if options.pictures:
            import refine_pictures

            refine_pictures.draw(table, options.pictures)
    published.finish(rows, options.rows, started)
    if options.json:
        print(json.dumps(means(found)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few graphs, short training")
    parser.add_argument("--case", nargs="+", choices=CASES, help="data sets and models")
    parser.add_argument("--graphs", type=int, default=200, help="graphs explained in each case")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where finished rows are kept")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="where pictures go")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="where the rows of the table go")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    if options.quick and options.keep:
        parser.error("--keep is not for --quick")
    return options


def fill(name: str, options: argparse.Namespace) -> Table:
    """All rows of a case."""
    quick = options.quick
    if quick:
        contenders.BEAM[name] = QUICK["beam"]
        standins.DIGITS = QUICK["digits"]
    count = FEWER.get(name, QUICK["graphs"]) if quick else options.graphs
    case = Case(name, count, QUICK["training"] if quick else None)
    table = Table(case, options.keep, QUICK["epochs"] if quick else None)
    for seed in range(1 if quick else options.seeds):
        for row in ROWS:
            try:
                table.fill(row, 0 if row in SEEDLESS else seed)
            except ModelError as error:  # an explainer that does not suit the model
                print(f"{name}: {row} is left out: {error}")
    table.fill("ceiling", 0)
    return table


def show_variants() -> None:
    """Table 1: what tells the variants apart."""
    print("Table 1, PRESET of PRETRAIN REFINE\n  " + " " * 14 + "class-wise  contrast  fine-tuned")
    for name, preset in PRESETS.items():
        marks = [preset["classwise"], preset["gamma"] > 0, preset["fine_tune"]]
        print(f"  {NAMES[name]:<14}" + "".join(f"{'yes' if mark else '-':>10}" for mark in marks))


def show(name: str, table: Table, columns: Columns, seconds: float) -> None:
    """Tables 2 to 4 of one case."""
    case = table.case
    accuracy = ", ".join(f"{split} {share:.1%}" for split, share in case.accuracy.items())
    source = data.source(name.removesuffix("-asap"))
    kind = type(case.module).__name__
    print(
        f"\n{name} ({source}), {kind}: {len(case)} graphs, accuracy {accuracy}; {seconds:.0f} s of CPU"
    )
    print(f"  {'':<21}" + "".join(f"{head:>16}" for head in COLUMNS.values()))
    for row, shown in NAMES.items():
        if row in table.found:
            values = [interval(columns[measure][row]) for measure in COLUMNS]
            print(f"  {shown:<21}" + "".join(f"{value:>16}" for value in values))
    if "pgm" not in ROWS:
        print("  PGM-Explainer: left out, pgmpy is not installed (pip install 'sxq[explainers]')")


def compared(name: str, columns: Columns) -> list[published.Row]:
    """What the paper prints, and what is measured here."""
    rows: list[published.Row] = []
    base = name.removesuffix("-asap")
    on = f"{name} ({data.source(base)})"

    def add(where: str, what: str, printed: float, measure: str, row: str) -> None:
        values = columns[measure].get(row)
        if values is not None and not np.isnan(values).any():
            here = f"{values.mean():.3f}"
            rows.append(("refine", where, f"{what} of {NAMES[row]}", f"{printed:.3f}", here, on))

    for row in PAPER:
        add("table 2", "ACC-AUC", published.REFINE[base].get(row, np.nan), "acc_auc", row)
    for row in PAPER if base == "ba3motif" else ():
        add("table 2", "Recall@5", published.RECALL[row], "recall_at_5", row)
    for row, pair in published.AT_RATIOS[base].items():
        for ratio, value in zip((0.4, 0.6), pair):
            add("table 3", f"ACC@{ratio}", value, f"acc_at_{ratio}", row)
    for row, value in published.SECONDS[base].items():
        add("table 4", "seconds", value, "seconds_per_graph_and_ratio", row)
    return rows


def means(found: dict[str, Columns]) -> dict:
    """Means over seeds, by case, measure and row."""
    return {
        name: {
            measure: {row: float(np.mean(values)) for row, values in rows.items()}
            for measure, rows in columns.items()
        }
        for name, columns in found.items()
    }


if __name__ == "__main__":
    main()
