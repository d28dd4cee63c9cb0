"""Where does the time go, and is it less than before? One table, beside an earlier version in the same run.

    SXQ_DATA=... python benchmarks/speed.py [--against FOLDER] [--only PART ...] [--repeat N] [--json]

FOLDER holds another version of the package: an earlier tree, or an unpacked wheel. Both versions run the parts in turn,
each in processes of their own, and the median of the repetitions counts; the last column is new / old. All times are
CPU seconds of one thread, since a shared machine changes its pace, except those of `threads`, which are wall seconds.

    cold       a fresh process: import and connect; graph and model; the first query
    queries    one warm EXPLAIN NODE (Cora, the published GCN, default settings) on each of 26 published targets:
               milliseconds, full-graph forwards that take as long, candidates, and what the operators take of it
    verifier   candidates verified per second in the generators' own batches, and as a multiple of one dense full-graph
               forward after the other (verifier.py has more models and graphs)
    store      a target that is committed to a file: all of it, and what lattice, answer and store take; result.df() of
               10,000 explanations
    threads    candidates per second with two threads / with one, in batches of one target

A part that a version cannot run has a dash; the reason is printed below the table.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
QUERY = "EXPLAIN NODE ? USING MODEL gcn OPTIMIZE fdl+, fdl-, conc"
STORED = "EXPLAIN NODES ? USING MODEL gcn OPTIMIZE fdl+, fdl-, conc BUDGET 200 CANDIDATES"
TARGETS = 60  # committed in one statement
ROWS = 10_000  # of the frame
FORWARDS = 20
VERIFIED = 6  # targets of the verifier's rate
BUDGET = 1000  # candidates of each of these
OPERATORS = ("Field", "Generate", "Estimate", "Verify", "Lattice", "Answer", "Store")


def main() -> None:
    options = arguments()
    if options.part:
        print(json.dumps(PARTS[options.part]()))
        return
    versions = {"new": HERE.parent} | ({"old": options.against} if options.against else {})
    found: dict[str, list[dict]] = {name: [] for name in versions}
    reasons = []
    for part in options.only:
        for _ in range(options.repeat):
            for name, folder in versions.items():
                rows, reason = run(part, folder)
                found[name].append(rows)
                reasons += [f"{part}, {name}: {reason}"] if reason else []
    medians = {name: summarised(measured) for name, measured in found.items()}
    show(medians)
    print(*dict.fromkeys(reasons), sep="\n", end="\n" if reasons else "")
    if options.json:
        print(json.dumps(medians))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--against",
        type=Path,
        metavar="FOLDER",
        help="another version: a tree or an unpacked wheel",
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--repeat", type=int, default=2, metavar="N", help="of every part")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)  # of a child process
    options = parser.parse_args()
    if options.against and not (options.against / "sxq" / "__init__.py").exists():
        parser.error(f"--against {options.against}: no package sxq in that folder")
    return options


def run(part: str, folder: Path) -> tuple[dict[str, float], str]:
    """The rows of a part, measured on the version in a folder; or none, and the reason."""
    own_helpers = (
        folder / "benchmarks"
    )  # of a tree; those of another version may not fit its package
    helpers = own_helpers if (own_helpers / "data.py").exists() else HERE
    paths = [str(folder.resolve()), str(helpers.resolve())]
    own = {
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "2" if part == "threads" else "1",
    }
    command = [sys.executable, "-P", str(HERE / "speed.py"), "--part", part]
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True)
    if done.returncode:
        return {}, (done.stderr.strip().splitlines() or ["no message"])[-1]
    return json.loads(done.stdout.splitlines()[-1]), ""


def summarised(measured: list[dict[str, float]]) -> dict[str, float]:
    """The median of every row."""
    values: dict[str, list[float]] = {}
    for rows in measured:
        for name, value in rows.items():
            values.setdefault(name, []).append(value)
    return {name: sorted(each)[len(each) // 2] for name, each in values.items()}


def show(medians: dict[str, dict[str, float]]) -> None:
    """The table: a row for each figure, a column for each version, and their ratio."""
    names = dict.fromkeys(name for rows in medians.values() for name in rows)
    print(f"{'':<44}" + "".join(f"{version:>12}" for version in medians) + f"{'new / old':>12}")
    for name in names:
        values = [rows.get(name) for rows in medians.values()]
        shown = [f"{'-' if value is None else format(value, ',.4g'):>12}" for value in values]
        known = len(values) == 2 and None not in values and values[1]
        ratio = f"{values[0] / values[1]:12.2f}" if known else ""
        print(f"{name:<44}{''.join(shown)}{ratio}")


def cold() -> dict[str, float]:
    """Seconds of a fresh process until its first answer."""
    time.perf_counter = time.process_time
    started = time.process_time()
    import sxq

    con = sxq.connect()
    opened = time.process_time()
    target = _registered(con)[0]
    registered = time.process_time()
    con.execute(QUERY, [target])
    return {
        "cold: import and connect, s": opened - started,
        "cold: graph and model, s": registered - opened,
        "cold: first query, s": time.process_time() - registered,
    }


def queries() -> dict[str, float]:
    """One warm query on each published target, and the time of a full-graph forward."""
    time.perf_counter = time.process_time
    import sxq

    con = sxq.connect()
    targets = _registered(con)
    seconds, candidates, spent = [], [], dict.fromkeys(OPERATORS, 0.0)
    forward = _forward_seconds()
    for target in targets:
        con.execute(QUERY, [target])
        started = time.process_time()
        result = con.execute(QUERY, [target])
        seconds.append(time.process_time() - started)
        candidates.append(result.candidates)
        for operator in OPERATORS:
            spent[operator] += result.profile.get(operator, 0.0)
    middle = sorted(seconds)[len(seconds) // 2]
    shares = {f"query: share of {name}": time_ / sum(seconds) for name, time_ in spent.items()}
    return {
        "query: median, ms": 1e3 * middle,
        "query: mean, ms": 1e3 * sum(seconds) / len(seconds),
        "query: median, full-graph forwards": middle / forward,
        "query: candidates, mean": sum(candidates) / len(candidates),
        "query: us per candidate": 1e6 * sum(seconds) / sum(candidates),
        **shares,
    }


def verified() -> dict[str, float]:
    """Candidates verified per second, and the naive verifier's."""
    time.perf_counter = time.process_time
    found = {}
    for architecture in ("gcn", "gat"):
        rates, naive = _rates(architecture)
        middle = sorted(rates)[len(rates) // 2]
        found[f"verifier: {architecture}, candidates/s"] = middle
        found[f"verifier: {architecture}, times naive"] = middle * naive
    return found


def store() -> dict[str, float]:
    """A committed target, and a large frame."""
    time.perf_counter = time.process_time
    import numpy as np

    import sxq

    with tempfile.TemporaryDirectory() as folder:
        con = sxq.connect(str(Path(folder) / "speed.duckdb"))
        known = _registered(con)
        con.execute(STORED, [known[:2]])  # warm
        nodes = np.random.default_rng(0).permutation(2000)[:TARGETS].tolist()
        started = time.process_time()
        result = con.execute(STORED, [nodes])
        spent = time.process_time() - started
        con.close()
    each = {
        f"store: {name} of a target, ms": 1e3 * result.profile.get(name, 0.0) / TARGETS
        for name in ("Lattice", "Answer", "Store")
    }
    return {
        "store: a committed target, ms": 1e3 * spent / TARGETS,
        **each,
        "store: df() of 10,000 rows, s": _frame_seconds(result),
    }


def threads() -> dict[str, float]:
    """How much faster two threads verify than one."""
    import torch

    rates = {}
    for count in (1, 2):
        torch.set_num_threads(count)
        each, _ = _rates("gcn")
        rates[count] = sorted(each)[len(each) // 2]
    return {"threads: two / one, batches of one target": rates[2] / rates[1]}


PARTS = {"cold": cold, "queries": queries, "verifier": verified, "store": store, "threads": threads}


def _registered(con) -> list[int]:
    """Register Cora and its GCN on a connection; the targets of the queries."""
    import data

    graph = data.graph("cora")
    con.register_graph("cora", graph)
    con.register_model("gcn", data.model("cora", graph), graph="cora")
    return data.published_targets()


def _forward_seconds() -> float:
    """The median of some forwards on the whole graph."""
    import data
    import torch

    graph = data.graph("cora")
    module = data.model("cora", graph).eval()
    x = torch.from_numpy(graph.x.copy())
    edge_index = torch.from_numpy(graph.edge_index.copy())
    seconds = []
    with torch.inference_mode():
        for _ in range(FORWARDS):
            started = time.process_time()
            module(x, edge_index)
            seconds.append(time.process_time() - started)
    return sorted(seconds)[FORWARDS // 2]


def _rates(architecture: str) -> tuple[list[float], float]:
    """Candidates per second of each target alone, and the naive verifier's seconds for one."""
    import data
    import naive
    import verifier

    from sxq.inference.registration import register

    graph = data.graph("cora")
    module = data.model("cora", graph, architecture)
    model = register(module, graph, layers=3)
    targets = data.published_targets()[:VERIFIED]
    rounds = verifier.record(graph, model, targets, BUDGET)
    each = [verifier.of_target(rounds, target) for target in targets]
    sample = [(own[len(own) // 2][0].field, own[len(own) // 2][0].bits[0]) for own in each]
    return (
        [verifier.rate(graph, model, own) for own in each],
        naive.seconds_per_candidate(module, graph, sample),
    )


def _frame_seconds(result) -> float:
    """The seconds of df() on as many rows as ROWS, made of the explanations of an answer."""
    from sxq.values.result import Result

    times = -(-ROWS // len(result))
    many = Result(list(result.targets) * times, result.measures)
    many.df()  # imports pandas
    many = Result(list(result.targets) * times, result.measures)
    started = time.process_time()
    rows = len(many.df())
    return (time.process_time() - started) * ROWS / rows


if __name__ == "__main__":
    main()
