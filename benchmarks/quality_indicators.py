"""The columns of the skyline paper's tables: means over targets of the indicators of every method in a cell.

ipf, igd, ms          equations 9, 10 and 11 on the paper's scale; ms is the mean over the measures
ms fdl+, fdl-, conc   of each measure
our ...               the same on the scores that the engine compares
coverage, hypervolume, answers, seconds, candidates, nodes, apart     as `cells.Shown`
front                 hypervolume of everything found / that of the union of all methods
"""

from collections.abc import Mapping

import numpy as np
from cells import METHODS, SHARES, Point, Searches, Shown, answers

from sxq.scoring.hypervolume import hypervolume
from sxq.scoring.indicators import nigd, nipf, nms

MEASURES = ("fdl+", "fdl-", "conc")
PLAIN = ("coverage", "hypervolume", "seconds", "candidates", "nodes", "apart")
PLAIN += ("factual", "counterfactual", "edges")
Row = dict[str, float]


def table(found: Searches, point: Point) -> dict[str, Row]:
    """The columns of every method of a cell, for one k and epsilon."""
    shown = dict(answers(found, point))
    best = _best(found)
    unions = {scale: _unions(shown, scale) for scale in ("paper", "scores")}
    return {
        method: _quality(own, unions, point[0]) | _plain(own) | _front(found, method, best)
        for method, own in shown.items()
    }


def anytime(found: Searches) -> dict[str, list[float]]:
    """By generator, the median share of the best front known after SHARES of the budget."""
    best = _best(found)
    return {
        generator: [
            float(np.median([own.reached[i] / best[t] for t, own in targets.items() if best[t]]))
            for i in range(len(SHARES))
        ]
        for generator, targets in found.items()
        if not generator.startswith("reference") and "first" not in generator
    }


def _points(one: Shown, scale: str) -> np.ndarray:
    return np.array(getattr(one, scale), float).reshape(-1, 3)


def _unions(shown: Mapping[str, Mapping[int, Shown]], scale: str) -> dict[int, np.ndarray]:
    """By target, what all methods show together."""
    targets = next(iter(shown.values()))
    return {
        target: np.concatenate([_points(own[target], scale) for own in shown.values()])
        for target in targets
    }


def _quality(own: Mapping[int, Shown], unions: Mapping[str, Mapping], k: int) -> Row:
    row: Row = {}
    for scale, prefix in (("paper", ""), ("scores", "our ")):
        pairs = [(_points(one, scale), unions[scale][target]) for target, one in own.items()]
        pairs = [(answer, union) for answer, union in pairs if len(answer)]
        if not pairs:
            return dict.fromkeys(("ipf", "igd", "ms", "our ipf", "our igd", "our ms"), np.nan)
        spread = np.nanmean([nms(*pair) for pair in pairs], axis=0)
        row |= {
            f"{prefix}ipf": float(np.mean([nipf(answer) for answer, _ in pairs])),
            f"{prefix}igd": float(np.mean([nigd(*pair, k=k) for pair in pairs])),
            f"{prefix}ms": float(spread.mean()),
            **{f"{prefix}ms {name}": float(v) for name, v in zip(MEASURES, spread)},
        }
    return row


def _plain(own: Mapping[int, Shown]) -> Row:
    rows = {name: [getattr(one, name) for one in own.values()] for name in PLAIN}
    means = {
        name: float(np.nanmean(values)) if not np.isnan(values).all() else np.nan
        for name, values in rows.items()
    }
    return means | {"answers": float(np.mean([len(one.scores) for one in own.values()]))}


def _best(found: Searches) -> dict[int, float]:
    """By target, the hypervolume of what all generators found together."""
    targets = next(iter(found.values()))
    return {
        target: hypervolume(
            np.concatenate(
                [np.array(own[target].front, float).reshape(-1, 3) for own in found.values()]
            )
        )
        for target in targets
    }


def _front(found: Searches, method: str, best: Mapping[int, float]) -> Row:
    targets = found[METHODS[method][0]]
    ratios = [
        hypervolume(np.array(own.front, float).reshape(-1, 3)) / best[target]
        for target, own in targets.items()
        if best[target]
    ]
    return {"front": float(np.median(ratios)) if ratios else np.nan}
