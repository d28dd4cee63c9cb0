"""Time and memory of a graph on disk against its number of edges, at the same size of field.

    python benchmarks/big.py [--edges 1e5,3e5,1e6] [--features 32] [--folder DIR] [--memory]

A power-law graph is generated in blocks, straight into files: in-degrees follow a Zipf law with hubs, tails are
uniform, so that the size of a field is the in-degree of its target times the mean degree, whatever the size of
the graph. Each step runs in a process of its own:

    create    register_graph(storage = "disk") from the mapped files
    register  CREATE MODEL: a GCN of two layers of 32, its depth and halo found, its outputs on all nodes computed
    first     a new process: connect, attach the model, explain a target; and the part of it before the answer that is
              the import of torch
    later     the mean of the next targets, with fields of the same size

CPU seconds of all threads, and the peak of anonymous memory (what is mapped from files belongs to the page cache and
is given back under pressure). `--memory` measures the same on the graph in memory. Exponents are slopes of log time
against log edges.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

BLOCK = 1 << 20
DEGREE = 10  # edges for each node
POWER = 2.2  # in-degree of the r-th node falls as r ** (1 / POWER - 1)
CLASSES = 4
FIELD = (600, 900)  # units of the fields of targets
TARGETS = 6
ASK = "EXPLAIN NODE ? USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 10 BUDGET 1000 CANDIDATES"
STEPS = ("create", "register", "first", "later")


def generate(folder: Path, edges: int, features: int, half: bool = False, seed: int = 0) -> None:
    """Write x.npy, y.npy and edge_index.npy of a power-law graph, a block at a time.

    half  features are values of float16, which the engine stores in half the room
    """
    rng = np.random.default_rng(seed)
    nodes = edges // DEGREE
    folder.mkdir(parents=True, exist_ok=True)
    x = open_memmap(folder / "x.npy", "w+", np.float32, (nodes, features))
    y = open_memmap(folder / "y.npy", "w+", np.int64, (nodes,))
    for first in range(0, nodes, BLOCK // 8):
        some = slice(first, min(first + BLOCK // 8, nodes))
        y[some] = rng.integers(0, CLASSES, some.stop - some.start)
        noise = rng.standard_normal((some.stop - some.start, features), np.float32)
        noise[np.arange(len(noise)), y[some]] += 1
        x[some] = noise.astype(np.float16) if half else noise
    ends = open_memmap(folder / "edge_index.npy", "w+", np.int64, (2, edges))
    step = _scatter(nodes)
    for first in range(0, edges, BLOCK):
        count = min(BLOCK, edges - first)
        rank = (nodes * rng.random(count) ** POWER).astype(np.int64)
        ends[1, first : first + count] = rank * step % nodes  # hubs lie anywhere
        ends[0, first : first + count] = rng.integers(0, nodes, count)


def _scatter(nodes: int) -> int:
    """A number without a common divisor with `nodes`, so that its multiples are a permutation."""
    step = int(nodes * 0.6180339887) | 1
    while math.gcd(step, nodes) > 1:
        step += 2
    return step


def targets(con: Any, count: int) -> list[int]:
    """Nodes whose fields have about as many units, whatever the size of the graph."""
    from sxq.graph import extract

    graph = con.session.registry.graphs["g"]
    rng = np.random.default_rng(1)
    found: list[int] = []
    while len(found) < count:
        some = rng.integers(0, graph.num_nodes, 20_000)
        degree = graph.in_degrees(some)
        near = some[(degree >= FIELD[0] // 20) & (degree <= FIELD[1] // 4)]
        for node in near[:500].tolist():
            if FIELD[0] <= extract(graph, node, 2, 0, True).num_units <= FIELD[1]:
                found.append(node)
            if len(found) == count:
                break
    return found


class Peak:
    """The largest anonymous memory of this process while it runs, in bytes, read every 10 milliseconds."""

    def __enter__(self) -> "Peak":
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, anonymous_bytes())
            if self._stop.wait(0.01):
                return

    def __exit__(self, *_: object) -> None:
        self.bytes = max(self.bytes, anonymous_bytes())
        self._stop.set()
        self._thread.join()


def anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


def measure(step: Callable[[], None]) -> dict[str, float]:
    with Peak() as peak:
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        found = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return {**found, "bytes": peak.bytes}


def create(folder: Path, storage: str) -> dict[str, Any]:
    import torch
    from torch_geometric.data import Data

    import sxq
    import sxq.models

    names = ("x", "y", "edge_index")
    mapped = {name: np.load(folder / f"{name}.npy", mmap_mode="c") for name in names}
    data = Data(**{name: torch.from_numpy(array) for name, array in mapped.items()})
    with sxq.connect(str(folder / f"{storage}.duckdb")) as con:
        return measure(lambda: con.register_graph("g", data, storage=storage))


def register(folder: Path, storage: str) -> dict[str, Any]:
    import torch
    from safetensors.torch import save_file

    import sxq
    from sxq.models import ArchitectureSpec, build

    features = np.load(folder / "x.npy", mmap_mode="r").shape[1]
    torch.manual_seed(0)
    spec = ArchitectureSpec("gcn", features, CLASSES, layers=2, hidden=32)
    save_file(build(spec).state_dict(), folder / "m.safetensors")
    with sxq.connect(str(folder / f"{storage}.duckdb")) as con:
        file = folder / "m.safetensors"
        text = f"CREATE MODEL m ON GRAPH g FROM FILE '{file}' (ARCHITECTURE = gcn, LAYERS = 2, HIDDEN = 32)"
        found = measure(lambda: con.execute(text))
        return {**found, "targets": targets(con, TARGETS)}


def explain(folder: Path, storage: str, asked: list[int]) -> dict[str, Any]:
    started = time.perf_counter()
    import torch  # noqa: F401

    import sxq
    import sxq.execution  # what the first statement would import

    imported = time.perf_counter() - started
    path = str(folder / f"{storage}.duckdb")
    con = sxq.connect(path)
    first = measure(lambda: con.execute(ASK, [asked[0]]))
    later = measure(lambda: [con.execute(ASK, [node]) for node in asked[1:]])
    con.close()
    later = {**later, **{name: later[name] / len(asked[1:]) for name in ("cpu", "wall")}}
    return {"first": first, "later": later, "import": imported}


def one_size(folder: Path, edges: int, features: int, storage: str, half: bool) -> dict[str, Any]:
    """Every step of one size, each in a process of its own."""

    def run(step: str, *more: str) -> dict[str, Any]:
        words = [sys.executable, __file__, "--step", step, str(folder), storage, *more]
        return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    if not (folder / "edge_index.npy").exists():
        generate(folder, edges, features, half)
    created = run("create")
    registered = run("register")
    asked = registered.pop("targets")
    return {"create": created, "register": registered, **run("explain", json.dumps(asked))}


def show(found: dict[int, dict[str, Any]], storage: str) -> None:
    print(
        f"\nThe graph {'on disk' if storage == 'disk' else 'in memory'}: CPU seconds (peak of anonymous MB)\n"
    )
    print("| edges | " + " | ".join(STEPS) + " | first, wall |")
    print("|" + "---|" * (len(STEPS) + 2))
    for edges, steps in found.items():
        cells = [f"{steps[s]['cpu']:.2f} ({steps[s]['bytes'] / 1e6:.0f})" for s in STEPS]
        print(f"| {edges:,} | {' | '.join(cells)} | {steps['first']['wall']:.2f} s |")
    if len(found) > 1:
        cells = [
            f"{exponent(found, s, 'cpu'):.2f} ({exponent(found, s, 'bytes'):.2f})" for s in STEPS
        ]
        print(f"| exponent | {' | '.join(cells)} | {exponent(found, 'first', 'wall'):.2f} |")


def exponent(found: dict[int, dict[str, Any]], step: str, what: str) -> float:
    """The slope of the log of a figure against the log of the number of edges."""
    values = [steps[step][what] for steps in found.values()]
    return float(np.polyfit(np.log(list(found)), np.log(values), 1)[0])


def main() -> None:
    if sys.argv[1:2] == ["--step"]:
        step, folder, storage, *more = sys.argv[2:]
        run = {"create": create, "register": register}
        given = Path(folder), storage
        found = explain(*given, json.loads(more[0])) if step == "explain" else run[step](*given)
        print(json.dumps(found))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--edges", default="1e5,3e5,1e6", help="numbers of edges, 1e5 to 1e8")
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--half", action="store_true", help="features that float16 holds exactly")
    parser.add_argument("--folder", help="where graphs are kept; by default they are removed")
    parser.add_argument("--memory", action="store_true", help="also with the graph in memory")
    options = parser.parse_args()
    sizes = [int(float(text)) for text in options.edges.split(",")]
    with tempfile.TemporaryDirectory() as own:
        base = Path(options.folder or own)
        for storage in ("disk", "memory") if options.memory else ("disk",):
            found = {}
            for edges in sizes:
                folder = base / f"{edges}"
                found[edges] = one_size(folder, edges, options.features, storage, options.half)
                print(f"{storage}, {edges:,} edges: {json.dumps(found[edges])}", flush=True)
            show(found, storage)


if __name__ == "__main__":
    main()
