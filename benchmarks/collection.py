"""Many small graphs in one statement: CPU seconds for each graph, and where they go.

Molecules of 20 atoms and about 23 bonds, of which those with a certain atom beside a certain other have label 1; a GIN
with three layers of 32; a budget of 200 candidates; a database in a file. Prints CPU seconds by operator, as PROFILE
names them, and what is left: planning, reports, the store.

    python benchmarks/collection.py [--graphs 1000] [--budget 200] [--profile FILE]
"""

import argparse
import cProfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data

import sxq

ATOMS = 20
BONDS = 23
KINDS = 8  # of atoms
QUERY = "EXPLAIN GRAPHS (SELECT graph FROM targets) USING MODEL gin OPTIMIZE fdl+, fdl-, conc BUDGET {} CANDIDATES"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--graphs", type=int, default=1_000)
    parser.add_argument("--budget", type=int, default=200, help="candidates for each graph")
    parser.add_argument("--profile", metavar="FILE", help="write what cProfile measures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, _connect(Path(folder), options.graphs) as con:
        query = QUERY.format(options.budget)
        con.execute(query.replace("FROM targets", "FROM targets LIMIT 4"))  # warm
        with _cpu_clock(), _profiled(options.profile):
            started = time.process_time()
            result = con.execute(query)
            seconds = time.process_time() - started
    spent = dict(result.profile)
    spent["other"] = seconds - sum(spent.values())
    print(f"{options.graphs} graphs, {result.candidates:,} candidates, {seconds:.1f} CPU seconds")
    print(f"milliseconds for each graph: {1e3 * seconds / options.graphs:.1f}")
    for operator, share in sorted(spent.items(), key=lambda entry: -entry[1]):
        print(f"  {operator:<10}{1e3 * share / options.graphs:8.2f}")


def molecules(count: int) -> list[Data]:
    """Random trees with some rings closed; label 1 where an atom of kind 1 is bonded to one of kind 2."""
    rng = np.random.default_rng(0)
    return [_molecule(rng) for _ in range(count)]


def _molecule(rng: np.random.Generator) -> Data:
    tree = np.stack(
        [
            np.arange(1, ATOMS),
            rng.integers(np.maximum(np.arange(ATOMS - 1) - 3, 0), np.arange(1, ATOMS)),
        ]
    )
    rings = np.sort(rng.integers(ATOMS, size=(2, BONDS - ATOMS + 1)), axis=0)
    bonds = np.unique(np.concatenate([tree[::-1], rings[:, rings[0] != rings[1]]], axis=1), axis=1)
    kinds = rng.integers(KINDS, size=ATOMS)
    ends = kinds[bonds]
    label = ((ends == 1).any(axis=0) & (ends == 2).any(axis=0)).any()
    return Data(
        x=torch.eye(KINDS)[kinds],
        edge_index=torch.tensor(np.concatenate([bonds, bonds[::-1]], axis=1)),
        y=torch.tensor([int(label)]),
    )


@contextmanager
def _connect(folder: Path, count: int) -> Iterator[sxq.Connection]:
    """A database in a file with the collection and its model."""
    with sxq.connect(folder / "molecules.duckdb") as con:
        con.register_graphs("molecules", molecules(count))
        con.execute(
            "TRAIN MODEL gin ON GRAPHS molecules (ARCHITECTURE = gin, LAYERS = 3, HIDDEN = 32, EPOCHS = 10, SEED = 0)"
        )
        con.execute(f"CREATE TABLE targets AS SELECT i AS graph FROM range({count}) t(i)")
        yield con


@contextmanager
def _cpu_clock() -> Iterator[None]:
    """Within, PROFILE counts CPU seconds: the machine may be busy."""
    clock = time.perf_counter
    time.perf_counter = time.process_time
    try:
        yield
    finally:
        time.perf_counter = clock


@contextmanager
def _profiled(file: str | None) -> Iterator[None]:
    if not file:
        yield
        return
    with cProfile.Profile() as profile:
        yield
    profile.dump_stats(file)


if __name__ == "__main__":
    main()
