"""The public interface as a user's type checker sees it: `make lint` checks this file, nothing runs it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sxq


def explained(model: torch.nn.Module, data: Any) -> list[str]:
    """From a model and a PyG graph to the status of every target."""
    result: sxq.Result = sxq.explain(model, data)
    status: str = result.targets[0].status
    return [status, *(target.status for target in result.targets)]


def queried(path: Path) -> str:
    """A session with a database."""
    con = sxq.connect(str(path))
    rows: list[tuple[Any, ...]] = con.execute("SELECT 1").fetchall()
    summary: str = con.query("EXPLAIN NODES (1) USING gnn OPTIMIZE fdl+, conc").summary()
    return f"{rows}: {summary}"


def chosen(result: sxq.Result) -> dict[str, np.ndarray]:
    """A skyline is a sequence of explanations."""
    best = result[0]
    scores: Mapping[str, float] = best.scores
    sizes: list[int] = [explanation.size for explanation in result]
    return {"scores": np.array(list(scores.values())), "sizes": np.array(sizes)}
