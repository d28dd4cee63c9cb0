"""How long does one warm EXPLAIN NODE take, and where does the time go?

Cora, the 3-layer GCN of hidden 16 that the skyline paper's authors published, default settings, in-memory
database. Every target is explained once before the clock starts. Prints the median and the 95th percentile
over the targets and the share of each operator, as PROFILE gives them; inference is Verify and Estimate (the model
runs for first-order estimates of the search). With `--many N` also N random targets in one
EXPLAIN NODES: candidates per second in it, over those of its first ONE_BY_ONE targets in statements of their own; and
how far memory grows in the statement of N and in one of N / 10.

    SXQ_DATA=... python benchmarks/query.py [--quick] [--json] [--plot FILE] [--many N]
"""

import argparse
import json
import sys
import time
from collections import Counter

import data
import memory
import numpy as np

import sxq

ONE_BY_ONE = 26  # targets of --many explained in statements of their own
QUERY = "EXPLAIN NODE ? USING MODEL gcn OPTIMIZE fdl+, fdl-, conc"
MANY = QUERY.replace("NODE ?", "NODES ?")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="6 targets instead of 26")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--plot", metavar="FILE", help="draw where the time of a query goes")
    parser.add_argument(
        "--many", type=int, default=0, metavar="N", help="also N targets in one statement"
    )
    options = parser.parse_args()
    targets = data.published_targets()
    found = measure(targets[:6] if options.quick else targets)
    print(f"{found['targets']} targets, {found['candidates_per_target']:,.0f} candidates each")
    print(f"median {found['median_ms']:.0f} ms, 95th percentile {found['p95_ms']:.0f} ms")
    for operator, share in found["share"].items():
        print(f"  {operator:<10}{share:6.1%}")
    if options.many:
        found["many"] = many = at_once(options.many)
        print(
            f"{options.many} targets in one statement: {many['seconds']:.1f} s, {many['candidates_per_second']:,.0f} "
            f"candidates/s, {many['ratio']:.2f} times as many as one by one; memory grows by {many['megabytes']:.0f} MB "
            f"({many['megabytes_tenth']:.0f} MB with a tenth of the targets)"
        )
    if options.plot:
        plot(found, options.plot)
    if options.json:
        print(json.dumps(found))


def connect() -> sxq.Connection:
    """A database in memory with the graph and its model."""
    con = sxq.connect()
    cora = data.graph("cora")
    con.register_graph("cora", cora)
    con.register_model("gcn", data.model("cora", cora), graph="cora")
    return con


def at_once(count: int) -> dict:
    """Random targets in one statement, against the same number one by one."""
    with connect() as con:
        targets = (
            np.random.default_rng(0).permutation(data.graph("cora").num_nodes)[:count].tolist()
        )
        con.execute(MANY, [targets[:ONE_BY_ONE]])  # warm
        results, alone = timed(
            lambda: [con.execute(QUERY, [target]) for target in targets[:ONE_BY_ONE]]
        )
        with memory.Growth() as tenth:
            con.execute(MANY, [targets[: count // 10]])
        with memory.Growth() as growth:
            result, seconds = timed(lambda: con.execute(MANY, [targets]))
        single = sum(one.candidates for one in results) / alone
        return {
            "targets": count,
            "seconds": seconds,
            "candidates_per_second": result.candidates / seconds,
            "ratio": result.candidates / seconds / single,
            "megabytes": growth.megabytes,
            "megabytes_tenth": tenth.megabytes,
        }


def timed(work):
    """What `work()` returns, and its seconds."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def measure(targets: list[int]) -> dict:
    """Explain every target twice; the second time counts."""
    with connect() as con:
        seconds, spent, candidates = [], Counter(), 0
        for target in targets:
            con.execute(QUERY, [target])
            started = time.perf_counter()
            result = con.execute(QUERY, [target])
            seconds.append(time.perf_counter() - started)
            spent.update(result.profile)
            candidates += result.candidates
        spent["other"] = sum(seconds) - sum(spent.values())
    total = sum(seconds)
    return {
        "targets": len(targets),
        "candidates_per_target": candidates / len(targets),
        "median_ms": 1e3 * float(np.median(seconds)),
        "p95_ms": 1e3 * float(np.percentile(seconds, 95)),
        "milliseconds": [1e3 * one for one in seconds],
        "share": {operator: time / total for operator, time in spent.most_common()},
    }


def plot(found: dict, file: str) -> None:
    """Left the time of every target, sorted; right what share of all time each operator takes."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        sys.exit("--plot needs matplotlib")
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    each, parts = figure.subplots(1, 2, width_ratios=(3, 2))
    each.bar(range(found["targets"]), sorted(found["milliseconds"]), color="#4269d0")
    each.axhline(found["median_ms"], color="#444444", lw=1, ls="--")
    each.set(
        xlabel="targets, sorted",
        ylabel="milliseconds",
        xticks=[],
        title="one warm EXPLAIN NODE (dashed: median)",
    )
    names = [name for name, share in found["share"].items() if share >= 0.005][::-1]
    bars = parts.barh(names, [100 * found["share"][name] for name in names], color="#4269d0")
    parts.bar_label(bars, fmt="%.0f%%", padding=3, fontsize=8)
    parts.set(title="where it goes", xticks=[])
    for axes in (each, parts):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main()
