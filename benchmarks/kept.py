"""What a method found for a target, and a folder in which it is kept, so that a run that was stopped goes on.

One file for every suite, method and budget, written after every target. It knows nothing of the code that made it:
delete it when the method has changed.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from sxq.scoring.dominance import GRID, to_grid
from sxq.scoring.hypervolume import hypervolume


@dataclass(frozen=True, eq=False)
class Found:
    """What one method found for one target; scores without rows where it proposes nothing."""

    target: int
    scores: np.ndarray  # [n, 3] of everything verified, in order; 0 where it explains nothing
    front: float  # hypervolume
    answer: float  # hypervolume of the answers
    covered: float  # DS / a proven bound of the most that k could cover
    ipf: float
    answers: int
    seconds: float
    nodes: float = float("nan")  # share of the field's nodes that the answers hold
    diverse: float = float("nan")  # and the answers of DIVERSIFY
    ten: float = float("nan")  # hypervolume that no ten of the front exceed; NaN where nobody asked

    def reached(self, candidates: int) -> float:
        """Hypervolume of what the first so many candidates hold."""
        return hypervolume(self.scores[:candidates])

    def explanatory(self) -> np.ndarray:
        """Scores [e, 3] of the candidates that explain something."""
        return self.scores[(self.scores > 0).any(axis=1)]


class Kept:
    """What one method found in one suite, by target; in a file where a folder is given."""

    def __init__(self, folder: Path | None, suite: str, method: str, budget: int):
        name = "-".join(
            re.sub(r"[^\w=+-]+", "_", part).strip("_") for part in (suite, method, str(budget))
        )
        self.file = folder and folder / f"{name}.npz"
        self.found = _read(self.file) if self.file and self.file.exists() else {}

    def lacks(self, targets: Sequence[int]) -> list[int]:
        """The targets that nothing is kept of."""
        return [target for target in targets if target not in self.found]

    def add(self, found: Found) -> None:
        """One more target; the file is whole at any time."""
        self.found[found.target] = found
        if not self.file:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.file.with_suffix(f".{os.getpid()}")
        with scratch.open("wb") as out:
            np.savez_compressed(out, **_columns(list(self.found.values())))
        scratch.replace(self.file)


def _columns(rows: list[Found]) -> dict[str, np.ndarray]:
    """The arrays of a file: scores on the grid end to end, with `ends` [targets]; of all else one value a target."""
    columns = {
        field.name: np.array([getattr(row, field.name) for row in rows])
        for field in fields(Found)
        if field.name != "scores"
    }
    return columns | {
        "scores": np.concatenate([_grid(row.scores) for row in rows]),
        "ends": np.cumsum([len(row.scores) for row in rows]),
    }


def _grid(scores: np.ndarray) -> np.ndarray:
    """Scores [n, 3] on the grid; rows of 0 stay so."""
    return np.where(scores > 0, to_grid(np.maximum(scores, 1 / GRID)), 0).astype(np.int16)


def _read(file: Path) -> dict[int, Found]:
    columns = dict(np.load(file))
    scores = np.split(columns.pop("scores") / GRID, columns.pop("ends")[:-1])
    rows = zip(*[columns[name].tolist() for name in columns])
    return {
        row[0]: Found(**dict(zip(columns, row)), scores=part) for row, part in zip(rows, scores)
    }
