"""Large fronts: a million candidates in five measures; CPU per candidate, memory, and CPU of the answer.

Of the first 4,096 vectors hardly one dominates another; all others lie below them. The goals are ten microseconds a
candidate, 500 MB and two seconds.

    python benchmarks/fronts.py [--candidates 1000000] [--k 10]
"""

import argparse
import time

import memory
import numpy as np

from sxq.scoring.lattice import Lattice

MEASURES = 5
MEMBERS = 4096  # vectors of which hardly one dominates another
BATCH = 1024
POWERS = {"round": 1.0, "flat": 0.3, "square": 0.1}  # shapes of the front, from a sphere to a cube


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--k", type=int, default=10, help="members of the answer")
    options = parser.parse_args()
    for shape, power in POWERS.items():
        with memory.Growth() as growth:
            lattice, spent = filled(options.candidates, power)
            started = time.process_time()
            answer = lattice.answer(options.k)
            seconds = time.process_time() - started
        print(
            f"{shape:8} {1e6 * spent / options.candidates:5.1f} microseconds a candidate, front {answer.front:,}, "
            f"answer of {options.k} in {seconds:.2f} s, coverage {answer.coverage:.3f}, {growth.megabytes:.0f} MB"
        )


def filled(candidates: int, power: float) -> tuple[Lattice, float]:
    """A lattice of so many candidates, and the CPU seconds that adding them took."""
    rng = np.random.default_rng(0)
    top = _surface(rng, MEMBERS, power)
    lattice = Lattice(MEASURES, epsilon=0.1)
    spent = 0.0
    for first in range(0, candidates, BATCH):
        ids = np.arange(first, min(first + BATCH, candidates))
        below = top[rng.integers(MEMBERS, size=len(ids))]
        scores = below * rng.uniform(0.6, 0.99, size=(len(ids), 1))
        members = top[first : first + BATCH]  # of the first few batches
        scores[: len(members)] = members[: len(ids)]
        bits = rng.integers(0, 256, size=(len(ids), 8), dtype=np.uint8)
        sizes = np.full(len(ids), 10)
        started = time.process_time()
        lattice.add(ids, np.clip(scores, 0.01, 1).round(4), sizes, bits)
        spent += time.process_time() - started
    return lattice, spent


def _surface(rng: np.random.Generator, count: int, power: float) -> np.ndarray:
    """Points [n, M] at the same distance from the origin, of which the largest score is 1."""
    points = np.abs(rng.normal(size=(count, MEASURES))) ** power
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points / points.max()


if __name__ == "__main__":
    main()
