"""How many candidates a second are verified OVER EDGES, OVER NODES and OVER FEATURES, on Cora.

    python benchmarks/units.py [--targets 16] [--budget 3000]

The same seeded targets, the same generator (random: candidates of all sizes, and hardly any time in the
search), one thread. PROFILE gives the rate of the verifier; the rate of the whole statement is shown
beside it, and that of the default search.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from same_answers import fill, keys

import sxq

UNITS = ("EDGES", "NODES", "FEATURES")


def rates(con: sxq.Connection, targets: list, over: str, by: str, budget: int) -> tuple[float, ...]:
    """Candidates a second: in the verifier, and in the whole statement."""
    text = (
        f"EXPLAIN NODES ? USING MODEL cora OVER {over} OPTIMIZE fdl+, fdl-, conc BY {by} "
        f"BUDGET {budget} CANDIDATES"
    )
    started = time.perf_counter()
    result = con.query(text, [targets])
    seconds = time.perf_counter() - started
    return result.candidates / result.profile["Verify"], result.candidates / seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--targets", type=int, default=16)
    parser.add_argument("--budget", type=int, default=3000)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with sxq.connect() as con:
        fill(con, Path(os.environ.get("SXQ_DATA") or "/nowhere"))
        con.execute("SET sxq_worth_budget = 0")
        targets = keys(con, "cora pairs", options.targets)
        print("units     generator  verifier  statement  (candidates a second)")
        for by in ("random", "search"):
            for over in UNITS:
                rates(con, targets[:2], over, by, 200)  # once before: caches, checks
                fast, whole = rates(con, targets, over, by, options.budget)
                print(f"{over.lower():9} {by:9} {fast:9,.0f} {whole:10,.0f}")
        sizes = {
            over: np.median(
                [
                    report.field_size
                    for report in con.query(
                        f"EXPLAIN NODES ? USING MODEL cora OVER {over} OPTIMIZE fdl+ BY random BUDGET 2 CANDIDATES",
                        [targets],
                    ).targets
                ]
            )
            for over in UNITS
        }
        print(
            "median units of a field:", ", ".join(f"{k.lower()} {v:,.0f}" for k, v in sizes.items())
        )


if __name__ == "__main__":
    main()
