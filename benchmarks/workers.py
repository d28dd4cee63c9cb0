"""How many targets a second one process explains, and how many several do, in one run, on Cora.

    python benchmarks/workers.py [--targets 60] [--workers 2] [--budget 2000]

Each process has one thread. The answers of both runs are compared, value by value. The first run of each
warms what a process keeps; a second is timed.
"""

import argparse
import os
import time
from pathlib import Path

import torch
from same_answers import fill, keys

import sxq

STORED = """SELECT t.* EXCLUDE (query_id, seconds), e.* EXCLUDE (query_id, explanation_id)
            FROM targets t LEFT JOIN explanations e USING (query_id, target)
            WHERE t.query_id = ? ORDER BY ALL"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--targets", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--budget", type=int, default=2000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with sxq.connect() as con:
        fill(con, Path(os.environ.get("SXQ_DATA") or "/nowhere"))
        targets = keys(con, "cora pairs", options.targets)
        text = (
            "EXPLAIN NODES ? USING MODEL cora OPTIMIZE fdl+, fdl-, conc "
            f"BUDGET {options.budget} CANDIDATES"
        )
        rates = []
        stored = []
        for count in (1, options.workers):
            con.execute("SET sxq_workers = ?", [count])
            con.query(text, [targets[:4]])
            started = time.perf_counter()
            result = con.query(text, [targets])
            rates.append(len(targets) / (time.perf_counter() - started))
            stored.append(con.sql(STORED, [result.query_id]).fetchall())
            print(f"{count} process{'es' if count > 1 else ''}: {rates[-1]:.2f} targets a second")
        same = "the same answers, bit for bit" if stored[0] == stored[1] else "ANSWERS DIFFER"
        print(f"{rates[1] / rates[0]:.2f} times as many; {same}")


if __name__ == "__main__":
    main()
