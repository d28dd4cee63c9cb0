"""The experiments of the skyline paper (Qiu, Che, Khan, Wu), with sxq's rows beside its own.

Cells of data set x architecture x layers, searched with every method (cells.py); k and epsilon vary over the same
searches. The rows:

    ApxSX-OP      onion peeling, answers by the paper's swap rule          (BY onion, sxq_answer = 'swap')
    ApxSX-I       edge growing, answers by the swap rule                   (BY growing, sxq_answer = 'swap')
    DivSX         onion peeling, answers by the paper's diversified rule   (BY onion, sxq_answer = 'divsx')
    DivSX, first k    the same, and the search ends once k members are there   (sxq_answer = 'divsx_first')
    search        the engine's default; also with DIVERSIFY
    GNNExplainer, PGExplainer, CF2, MOExp    as generators: sxq verifies their subgraphs and chooses k of them
    reference     what the authors' code stored for 26 targets of Cora, where it is at hand

Departures: CF2 and GNNExplainer learn masks of edges only; their masks of features have no counterpart. The peers get
sxq's verification and choice of k members, which the paper's did not have; so they do better here.

    python benchmarks/paper_skyline.py [--quick] [--data NAME ...] [--targets N] [--budget N] [--keep FOLDER]
                                       [--pictures FOLDER] [--rows FILE] [--json]

Data sets come from the folder SXQ_DATA, or a download, or a generated stand-in, and the output says which. `--quick`
takes Cora and FacebookPage with a few targets and a small budget. With `--keep` a run that was stopped goes on; empty
the folder when the code changes.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import cells
import data
import numpy as np
import published
import quality_indicators as quality
import torch
from cells import Cell
from suites import EPSILON, TOP

KS = (1, 5, 10, 25)
EPSILONS = (0.01, 0.1, 0.5)
ARCHITECTURES = ("gcn", "gat", "gin")
LAYERS = (1, 2, 3)
DATA = ("cora", "pubmed", "facebook", "computers")  # arxiv on demand
HEADS = ("ipf", "igd", "ms", "our ipf", "our igd", "our ms", "answers", "coverage", "hypervolume")
HEADS += ("front", "candidates", "seconds")
PEERS = ("GNNExplainer", "PGExplainer", "CF2", "MOExp")
POINT = (TOP, EPSILON)
Tables = dict[tuple, dict[str, dict[str, float]]]


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    started = time.perf_counter(), time.process_time()
    tables: Tables = {}
    curves = {}
    for cell in plan(options):
        began = time.process_time()
        found = cells.run(cell, options.keep)
        for point in cell.points:
            tables[cell.data, cell.architecture, cell.layers, *point] = quality.table(found, point)
        curves[cell.data, cell.architecture, cell.layers] = quality.anytime(found)
        taken = time.process_time() - began
        print(
            f"\n{cell.label} ({data.source(cell.data)}): {cell.targets} targets, {taken:.0f} s of CPU"
        )
        show(tables[cell.data, cell.architecture, cell.layers, *POINT], HEADS)
    figures(tables, curves)
    rows = compared(tables)
    if options.pictures:
        import skyline_pictures

        skyline_pictures.draw(tables, curves, options.pictures)
        skyline_pictures.cases(case_cells(options), options.pictures)
    published.finish(rows, options.rows, started)
    if options.json:
        print(json.dumps({" ".join(map(str, key)): table for key, table in tables.items()}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few targets, a small budget")
    parser.add_argument("--data", nargs="+", choices=[*DATA, "arxiv"], help="data sets of Fig. 3")
    parser.add_argument("--targets", type=int, default=20, help="of each cell; of Cora 26")
    parser.add_argument("--budget", type=int, default=5000, help="candidates for a target")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where what was found is kept")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="where pictures go")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="where the rows of the table go")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    return parser.parse_args()


def plan(options: argparse.Namespace) -> Iterator[Cell]:
    """The cells of all figures, each once: data sets, then on Cora architectures and layers."""
    size = {"targets": options.targets, "budget": options.budget}
    names = options.data or DATA
    if options.quick:
        size = {"targets": 3, "budget": 1000, "epochs": 60}
        names = options.data or ("cora", "facebook")
        cells.PRETRAINING["cora"] = (10, 10)
        cells.LARGE = (2, 3)
    varied = tuple(
        {POINT: None} | {(k, EPSILON): None for k in KS} | {(TOP, e): None for e in EPSILONS}
    )
    for name in names:
        own = size | {"targets": 26} if name == "cora" and not options.quick else size
        fewer = {"targets": 1, "methods": FAST} if options.quick and name != "cora" else {}
        if name == "computers":
            fewer = {"targets": min(size["targets"], HUGE)}
        yield Cell(data=name, points=varied if name == "cora" else (POINT,), **own | fewer)
    if "cora" not in names:
        return
    small = size | {"targets": min(size["targets"], 10)}
    for architecture in ARCHITECTURES[1:]:
        yield Cell(data="cora", architecture=architecture, **small)
    for layers in LAYERS[:-1]:
        yield Cell(data="cora", layers=layers, **small)


HUGE = 5  # targets of AmazonComputer: in fields of 10^5 edges GNNExplainer and CF2 take minutes
FAST = tuple(method for method in cells.METHODS if method not in ("CF2",))


def case_cells(options: argparse.Namespace) -> list[Cell]:
    """Figures 5 and 7: one product and one page; in a hurry only what is at hand."""
    names = ("facebook",) if options.quick else ("computers", "facebook")
    epochs = 60 if options.quick else 200
    return [Cell(data=name, budget=1000, epochs=epochs, targets=1) for name in names]


def show(table: dict[str, dict[str, float]], heads: tuple[str, ...]) -> None:
    print(f"  {'':<19}" + "".join(f"{head:>12}" for head in heads))
    for method, row in table.items():
        print(f"  {method:<19}" + "".join(f"{_number(head, row[head]):>12}" for head in heads))


def _number(head: str, value: float) -> str:
    if np.isnan(value):
        return ""
    return f"{value:,.0f}" if head == "candidates" else f"{value:.3f}"


def figures(tables: Tables, curves: dict) -> None:
    """The counterparts of the paper's figures, as tables: one row for each method."""
    sets = dict.fromkeys(key[0] for key in tables)
    by_data = {name: (name, "gcn", 3, *POINT) for name in sets}
    cora = {key: key for key in tables if key[0] == "cora"}
    by_k = {f"k = {k}": ("cora", "gcn", 3, k, EPSILON) for k in KS}
    by_epsilon = {f"eps {e:g}": ("cora", "gcn", 3, TOP, e) for e in EPSILONS}
    by_model = {name: ("cora", name, 3, *POINT) for name in ARCHITECTURES}
    by_layers = {f"L = {n}": ("cora", "gcn", n, *POINT) for n in LAYERS}
    wanted = [
        ("Fig. 3a, IPF by data set", "ipf", by_data),
        ("Fig. 3b, IGD by data set", "igd", by_data),
        *((f"Fig. 3c and d, MS of {name}", f"ms {name}", by_data) for name in quality.MEASURES),
        ("Fig. 4a, seconds of CPU for a target, by data set", "seconds", by_data),
    ]
    if cora:
        wanted += [
            ("Fig. 4b, seconds by k (Cora)", "seconds", by_k),
            ("Fig. 4c, seconds by architecture (Cora)", "seconds", by_model),
            ("Fig. 4d, seconds by layers (Cora)", "seconds", by_layers),
            ("Fig. 6a, IPF by k (Cora)", "ipf", by_k),
            ("Fig. 6b, IGD by k (Cora)", "igd", by_k),
            ("Fig. 6c, IPF by architecture (Cora)", "ipf", by_model),
            ("Fig. 6d, IGD by layers (Cora)", "igd", by_layers),
            ("IPF by epsilon (Cora)", "ipf", by_epsilon),
            ("coverage by epsilon (Cora)", "coverage", by_epsilon),
            ("diversity: share of the field's nodes in the answer", "nodes", by_data),
            ("diversity: mean cosine distance of two members", "apart", by_data),
            ("Fig. 7: directed edges of a member", "edges", by_data),
            ("Fig. 7: share of members that are factual", "factual", by_data),
            ("Fig. 7: share of members that are counterfactual", "counterfactual", by_data),
        ]
    for title, head, keys in wanted:
        columns = {name: tables[key] for name, key in keys.items() if key in tables}
        if columns:
            _figure(title, head, columns)
    for key, curve in curves.items():
        print(f"\nanytime, {' '.join(map(str, key))}: share of the best front known (median)")
        print(f"  {'':<19}" + "".join(f"{f'{100 * s:g} %':>12}" for s in cells.SHARES))
        for generator, values in curve.items():
            print(f"  {generator:<19}" + "".join(f"{value:>12.3f}" for value in values))


def _figure(title: str, head: str, columns: dict[str, dict[str, dict[str, float]]]) -> None:
    print(f"\n{title}\n  {'':<19}" + "".join(f"{name:>12}" for name in columns))
    for method in cells.METHODS:
        values = [table[method][head] if method in table else np.nan for table in columns.values()]
        if not np.isnan(values).all():
            print(f"  {method:<19}" + "".join(f"{_number(head, value):>12}" for value in values))


def compared(tables: Tables) -> list[published.Row]:
    """What the paper says in numbers, and what is measured here."""
    rows: list[published.Row] = []

    def add(where: str, what: str, printed: str, value: float, on: str) -> None:
        if not np.isnan(value):
            rows.append(("skyline", where, what, printed, f"{value:.2f}", on))

    cora = tables.get(("cora", "gcn", 3, *POINT))
    if cora:
        on = f"cora ({data.source('cora')})"
        for peer, ratio in published.IPF_RATIOS.items():
            value = cora["ApxSX-OP"]["ipf"] / cora[peer]["ipf"]
            add("Exp-1", f"IPF of ApxSX-OP / {peer}", f"{ratio:.2f}", value, on)
        for method, value in published.STORED_IPF.items():
            add("their code", f"IPF of {method}", f"{value:.2f}", cora[method]["ipf"], on)
        add("Exp-1", "MS of MOExp in fdl-", "<= 0.03", cora["MOExp"]["ms fdl-"], on)
    sets = [key for key in tables if key[1:] == ("gcn", 3, *POINT)]
    where = ", ".join(f"{key[0]} ({data.source(key[0])})" for key in sets)
    for method, ratios in published.TIME_RATIOS.items():
        for peer, ratio in ratios.items():
            own = [tables[key] for key in sets if peer in tables[key]]
            value = [table[peer]["seconds"] / table[method]["seconds"] for table in own]
            add("Exp-2", f"time of {peer} / {method}", f"{ratio:.2f}", float(np.mean(value)), where)
    return rows


if __name__ == "__main__":
    main()
