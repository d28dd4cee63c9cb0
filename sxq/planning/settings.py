"""The settings of `SET sxq_... = value`: their defaults, meanings and legal values."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sxq.errors import InvalidValue, UnknownName
from sxq.scoring.measures import STEP
from sxq.scoring.question import TOLERANCE

MOST = 2**62  # fits numpy's integers, with room for sums
UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


@dataclass(frozen=True)
class Setting:
    """One setting. The value is kept as the user wrote it; `read` makes the engine's value."""

    default: Any
    read: Callable[[Any], Any]  # raises ValueError
    legal: str
    meaning: str
    kept: bool = True  # stored with each query, because answers may depend on it


def memory(value: Any) -> int:
    """Bytes of '1 GB', '512 MiB' or a plain number."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?i?b)?\s*", str(value).lower())
    if not match:
        raise ValueError
    size = int(float(match[1]) * UNITS[match[2] or "b"])
    if size < 10**6:
        raise ValueError
    return size


def _whole(least: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or int(value) != float(value) or not least <= int(value) <= MOST:
            raise ValueError
        return int(value)

    return read


def _between(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not low <= float(value) <= high:
            raise ValueError
        return float(value)

    return read


def _one_of(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if str(value).lower() not in words:
            raise ValueError
        return str(value).lower()

    return read


def _patience(value: Any) -> float | None:
    return None if str(value).lower() == "auto" else _between(0, MOST)(value)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _path(value: Any) -> str:
    """The absolute path, so that a later change of the folder does not matter."""
    if not isinstance(value, str | Path) or "\0" in str(value):
        raise ValueError
    return str(Path(value).absolute()) if str(value) else ""


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, str):
        raise ValueError
    return tuple(dict.fromkeys(name.strip().lower() for name in value.split(",") if name.strip()))


def _device(value: Any) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", str(value).lower()):
        raise ValueError
    return str(value).lower()


SETTINGS = {
    "sxq_answer": Setting(
        "coverage",
        _one_of("coverage", "optimum", "swap", "divsx", "divsx_first"),
        "'coverage', 'optimum', 'swap', 'divsx' or 'divsx_first'",
        "how the k members are chosen: for coverage and hypervolume (coverage), for the greatest "
        "coverage (optimum), or by the papers' streaming rules (swap, divsx, divsx_first)",
    ),
    "sxq_baseline": Setting(
        "zero",
        _one_of("zero", "mean"),
        "'zero' or 'mean'",
        "the value of a feature that OVER FEATURES removes: 0, or the feature's mean on the field",
    ),
    "sxq_batch_memory": Setting(
        "1 GB",
        memory,
        "a size of 1 MB or more, such as '512 MB'",
        "memory of one verifier batch, and as much again for the search",
    ),
    "sxq_budget": Setting(
        5000,
        _whole(1),
        "a whole number of 1 or more",
        "distinct candidates verified per target if a query has no BUDGET",
    ),
    "sxq_class_targets": Setting(
        50,
        _whole(1),
        "a whole number of 1 or more",
        "most targets of an EXPLAIN CLASS that has no TARGETS",
    ),
    "sxq_device": Setting(
        "auto",
        _device,
        "'auto', 'cpu', 'cuda' or 'cuda:N'",
        "where models run; auto is CUDA when there is one",
    ),
    "sxq_embedding": Setting(
        "features",
        _one_of("features", "node2vec"),
        "'features' or 'node2vec'",
        "how DIVERSIFY measures difference: on features averaged over the edges, or on where the "
        "nodes lie in the field",
    ),
    "sxq_front_limit": Setting(
        4096,
        _whole(1),
        "a whole number of 1 or more",
        "front members kept before the front is thinned to one per box of the (1+eps) grid",
    ),
    "sxq_inference": Setting(
        "auto",
        _one_of("auto", "layered", "disjoint"),
        "'auto', 'layered' or 'disjoint'",
        "how candidates are verified: layer by layer, on copies of the field, or (auto) in the "
        "faster exact way",
    ),
    "sxq_jointly": Setting(
        "targets",
        _one_of("targets", "union"),
        "'targets' or 'union'",
        "which candidates JOINTLY compares: those of each target, or, as in the skyline paper, those of "
        "all targets, with conciseness relative to the union of the fields",
    ),
    "sxq_keep_candidates": Setting(
        False,
        _switch,
        "true or false",
        "store every verified candidate, with the one it was made from, in the table candidates",
    ),
    "sxq_lock_timeout": Setting(
        "auto",
        _patience,
        "'auto' or a number of seconds",
        "how long a statement waits for another thread's, and opening a file waits for another process; "
        "auto: without limit, and 1 second",
        kept=False,
    ),
    "sxq_memory": Setting(
        "2 GB",
        memory,
        "a size of 1 MB or more, such as '8 GB'",
        "memory that a graph may take: CREATE GRAPH puts a larger one on disk, and what is computed on one on disk "
        "takes no more",
        kept=False,
    ),
    "sxq_patience": Setting(
        1,
        _between(0.01, 1),
        "a number from 0.01 to 1",
        "share of the budget: a search that goes on to its budget (search, random) ends earlier for a "
        "target whose front's hypervolume grew by less than 0.1 % over so much of it; 1: never earlier",
    ),
    "sxq_pattern_size": Setting(
        6, _whole(1), "a whole number of 1 or more", "most edges of the patterns of EXPLAIN CLASS"
    ),
    "sxq_pattern_support": Setting(
        0.1,
        _between(0, 1),
        "a number from 0 to 1",
        "least share of the targets that must hold a pattern of EXPLAIN CLASS; at least two targets",
    ),
    "sxq_pruning": Setting(
        "sound",
        _one_of("sound", "epsilon", "paper"),
        "'sound', 'epsilon' or 'paper'",
        "which candidates of onion and growing are not verified: those that cannot enter the front "
        "whatever the model says (sound); those that a parent epsilon-dominates even at their best "
        "(epsilon); or those that a single bounded measure rules out, which loses members (paper)",
    ),
    "sxq_report": Setting(
        "",
        _names,
        "measure names separated by commas, such as 'rfdl+, stability'",
        "further measures that are evaluated for the answers only",
    ),
    "sxq_resolution": Setting(
        0.01,
        _between(STEP, 1),
        f"a number from {STEP} to 1",
        "smallest score: lower ones are raised to it, because their differences are noise",
    ),
    "sxq_snapshot": Setting(
        "",
        _path,
        "the name of a file, or '' for none",
        "a copy of the database that other processes can read while this one holds the file; it is written again "
        "after what is stored",
        kept=False,
    ),
    "sxq_tolerance": Setting(
        TOLERANCE,
        _between(1e-4, MOST),
        "a number of 0.0001 or more",
        "spreads by which a regression's number may change and still count as kept; a spread is the "
        "standard deviation of the model's outputs",
    ),
    "sxq_robust_budget": Setting(
        2000,
        _whole(1),
        "a whole number of 1 or more",
        "most removals that robust and robust2 try for each explanation; if there are more, a random sample",
    ),
    "sxq_workers": Setting(
        1,
        _whole(1),
        "a whole number of 1 or more",
        "processes that share the targets of a statement, on the CPU, each with sxq_batch_memory of its own; "
        "JOINTLY and a single target take one",
        kept=False,
    ),
    "sxq_worth_budget": Setting(
        2000,
        _whole(0),
        "a whole number of 0 or more",
        "most units of one answer whose worth is measured, by two inferences each; 0 measures none",
    ),
}


def parse_setting(name: str, value: Any) -> Any:
    """A legal value for a known setting, or UnknownName / InvalidValue."""
    if name not in SETTINGS:
        raise UnknownName("setting", name, SETTINGS)
    try:
        return SETTINGS[name].read(value)
    except (ValueError, TypeError, OverflowError):
        raise InvalidValue(f"{name} = {value!r}; expected {SETTINGS[name].legal}") from None
