"""How many targets a second one process explains, and how many several do, in one run, on Cora.

    python benchmarks/workers.py [--targets 60] [--workers 2] [--budget 2000] [--kills 50]

Each process has one thread. The answers of both runs are compared, value by value. The first run of each
warms what a process keeps; a second is timed. With `--kills`, workers are killed at random meanwhile, in as many runs
as it takes: every target must be done, and stored once.
"""

import argparse
import math
import multiprocessing
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from same_answers import fill, keys

import sxq

STORED = """SELECT t.* EXCLUDE (query_id, seconds), e.* EXCLUDE (query_id, explanation_id)
            FROM targets t LEFT JOIN explanations e USING (query_id, target)
            WHERE t.query_id = ? ORDER BY ALL"""
ONCE = (
    "SELECT status, count(*), count(DISTINCT target) FROM targets WHERE query_id = ? GROUP BY ALL"
)
PAUSE = 0.1, 2.0  # seconds between two kills, the least and the most


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--targets", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--budget", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=0)
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
        killed = 0
        while killed < options.kills:
            killed += under_fire(con, text, targets, stored[0], options.kills - killed)


def under_fire(con: Any, text: str, targets: list[Any], expected: list[tuple], most: int) -> int:
    """Run a statement while workers are killed at random; returns how many were."""
    with killing(most) as killed:
        result = con.query(text, [targets])
    failed = sum(report.status == "failed" for report in result.targets)
    if failed:  # three processes died of each: RESUME tries them again
        con.execute(f"RESUME QUERY {result.query_id}")
    once = con.sql(ONCE, [result.query_id]).fetchall()
    same = alike(con.sql(STORED, [result.query_id]).fetchall(), expected)
    print(
        f"{len(killed)} workers killed, {failed} targets resumed; status, rows, targets: {once}; "
        f"{'the same answers to 1e-6' if same else 'ANSWERS DIFFER'}"
    )
    return len(killed)


def alike(found: Any, expected: Any) -> bool:
    """Whether values are equal, numbers to 1e-6: a target that is searched alone is in other batches."""
    if isinstance(expected, float):
        return isinstance(found, float) and math.isclose(found, expected, abs_tol=1e-6)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and alike([*found.values()], [*expected.values()])
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(alike, found, expected))
    return bool(found == expected)


@contextmanager
def killing(most: int) -> Iterator[list[int]]:
    """Kill a random worker again and again, at most so often; the list of those that were."""
    killed: list[int] = []
    over = threading.Event()
    chance = random.Random(most)

    def kill() -> None:
        while len(killed) < most and not over.wait(chance.uniform(*PAUSE)):
            if children := multiprocessing.active_children():
                child = chance.choice(children)
                child.kill()
                killed.append(child.pid or 0)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


if __name__ == "__main__":
    main()
