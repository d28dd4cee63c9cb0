"""The best fronts known: the union of runs that were asked to add theirs, kept in known_fronts.json.

A front is a set of grid vectors (scores times 10,000), stored sorted, column by column as differences, deflated, in
base 85, one target a line. Only what our own runs measured is written; the fronts of reference_cora_gcn.json are
joined to it when the file is read.

    python benchmarks/known.py OTHER.json ...        joins the fronts of other copies to this one
"""

import base64
import json
import os
import sys
import zlib
from pathlib import Path

import data
import numpy as np

from sxq.scoring.dominance import GRID, frontier, to_grid
from sxq.scoring.hypervolume import hypervolume

FILE = Path(__file__).with_name("known_fronts.json")


class Known:
    """The best front known of every (suite, target), and what of it our own runs found."""

    def __init__(self, file: Path = FILE):
        self.file, self.own, self.given = file, _read(file), _published()
        self.changed = False

    def add(self, suite: str, target: int, scores: np.ndarray) -> None:
        """Join a front [f, 3] that was measured."""
        old, key = self.own.get(f"{suite} {target}"), f"{suite} {target}"
        joined = (
            frontier(to_grid(scores))
            if old is None
            else frontier(np.concatenate([old, to_grid(scores)]))
        )
        if old is None or len(joined) != len(old) or (joined != old).any():
            self.own[key], self.changed = joined, True

    def hypervolume(self, suite: str, target: int) -> float:
        """Of the best front known, above 0."""
        key = f"{suite} {target}"
        parts = [fronts[key] for fronts in (self.own, self.given) if key in fronts]
        return hypervolume(np.concatenate(parts) / GRID) if parts else 0.0

    def save(self) -> None:
        """Write what changed; other processes' additions since it was read are kept."""
        if not self.changed:
            return
        for key, front in _read(self.file).items():
            suite, _, target = key.rpartition(" ")
            self.add(suite, int(target), front / GRID)
        lines = [
            f"{json.dumps(key)}: {json.dumps(_pack(self.own[key]))}" for key in sorted(self.own)
        ]
        scratch = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        scratch.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        scratch.replace(self.file)
        self.changed = False


def _read(file: Path) -> dict[str, np.ndarray]:
    return (
        {key: _unpack(text) for key, text in json.loads(file.read_text()).items()}
        if file.exists()
        else {}
    )


def _published() -> dict[str, np.ndarray]:
    """The fronts that came with the data."""
    return {
        f"cora {unit} {target}": to_grid(np.array(found[unit]["front"]))
        for target, found in data.reference().items()
        for unit in ("pairs", "directed")
    }


def _pack(front: np.ndarray) -> str:
    steps = np.diff(front.T, axis=1, prepend=0).astype("<i2")
    return f"{front.shape[1]} {base64.b85encode(zlib.compress(steps.tobytes(), 9)).decode()}"


def _unpack(text: str) -> np.ndarray:
    columns, packed = text.split(" ", 1)
    steps = np.frombuffer(zlib.decompress(base64.b85decode(packed)), "<i2").reshape(
        int(columns), -1
    )
    return np.ascontiguousarray(steps.cumsum(axis=1).T.astype(np.int16))


if __name__ == "__main__":
    known = Known()
    for other in map(Path, sys.argv[1:]):
        for name, found in _read(other).items():
            known.add(*name.rsplit(" ", 1), found / GRID)
    known.save()
    print(f"{len(known.own)} fronts")
