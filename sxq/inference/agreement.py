"""Decides whether two outputs are equal, as far as float32 can tell.

Two things are compared. *Probabilities*, because they are stored. *Margins*, the logits minus the
logit of the predicted class, because a saturated softmax hides a wrong field. Each margin is
measured relative to its own size: a class masked by -1e9 loosens the comparison of that class only,
and an offset that all classes share cancels.

Rounding does not cancel: float32 separates logits near 1e5 by 0.008 at best. Both comparisons allow
for it, and `uncertainty` turns it into an error of a probability, so that a query can report how
exact its values are.
"""

import numpy as np
from torch import Tensor

from sxq.models.borrow import Model

TOLERANCE = 1e-5  # on probabilities, and on margins relative to their size
SMALL = 10  # smaller margins are measured relative to this: there probabilities are stricter
# Units of float32 by which two ways to compute a logit may differ, as they sum in different orders.
ROUNDINGS = 4
RESOLUTION = float(np.finfo(np.float32).eps)
VANISHED = -80  # a class with a margin below this has probability 0 in float32


def agree(model: Model, found: Tensor, expected: Tensor) -> bool:
    """Whether outputs [..., C] equal the expected ones, in probabilities and in margins."""
    if found.shape != expected.shape:
        return False
    found, expected = (output.flatten(0, -2).cpu() for output in (found, expected))
    ours, theirs = (model.probabilities(output).numpy() for output in (found, expected))
    if not _near(ours, theirs, TOLERANCE + uncertainty(theirs, rounding(model, expected)[:, None])):
        return False
    return model.output == "probs" or _same_margins(_logits(found), _logits(expected))


def difference(model: Model, found: Tensor, expected: Tensor) -> float:
    """The largest difference of probabilities or, if these hide it, of margins; NaN if one is NaN."""
    if found.shape != expected.shape:
        return float("nan")
    found, expected = (output.flatten(0, -2).cpu() for output in (found, expected))
    apart = _apart(*(model.probabilities(output).numpy() for output in (found, expected)))
    if model.output != "probs" and apart.max(initial=0) <= TOLERANCE:
        logits = _logits(expected)
        top = logits.argmax(axis=1)[:, None]
        apart = _apart(_margins(_logits(found), top), _margins(logits, top))
    return float(apart.max(initial=0))


def rounding(model: Model, output: Tensor) -> np.ndarray:
    """The error of the log-odds of output rows [n, C] that float32 logits may cause: [n].

    It counts only errors that the output shows: if the output is probabilities or their logarithms,
    the logits are unknown.
    """
    if model.output == "probs":
        return np.zeros(len(output))
    logits = _logits(output)
    top = np.abs(logits).max(axis=1) if output.shape[1] == 1 else np.abs(logits.max(axis=1))
    return ROUNDINGS * RESOLUTION * np.where(np.isfinite(top), top, 0)


def uncertainty(p: np.ndarray, rounding: np.ndarray | float) -> np.ndarray:
    """The largest error of probabilities whose log-odds are off by `rounding`; any shapes.

    For a small rounding it is p (1 - p) rounding; a large one also moves a probability that looks
    saturated.
    """
    less = np.clip(np.minimum(p, 1 - p), 1e-16, 1)
    odds = np.expm1(np.minimum(rounding, 50))
    return less * (1 - less) * odds / (1 + less * odds)


def too_coarse(rounding: float) -> str:
    """The reason, in words, for an error of values by `rounding`."""
    return f"float32 tells logits near {rounding / (ROUNDINGS * RESOLUTION):.1g} no better"


def _same_margins(found: np.ndarray, expected: np.ndarray) -> bool:
    top = expected.argmax(axis=1)[:, None]
    ours = _margins(found, top)
    theirs = _margins(expected, top)
    size = np.where(np.isfinite(theirs), np.abs(theirs), 0)
    largest = np.maximum(np.abs(expected), np.abs(np.take_along_axis(expected, top, axis=1)))
    noise = ROUNDINGS * RESOLUTION * np.where(np.isfinite(largest), largest, 0)
    gone = (np.isinf(ours) | np.isinf(theirs)) & (ours < VANISHED) & (theirs < VANISHED)
    unknown = np.isnan(found).any(axis=1) & np.isnan(expected).any(axis=1)
    return _near(ours, theirs, TOLERANCE * np.maximum(size, SMALL) + noise, gone | unknown[:, None])


def _logits(output: Tensor) -> np.ndarray:
    """Output rows [n, C] in double; a single column, the log-odds of class 1, becomes two columns."""
    values = output.detach().cpu().double().numpy()
    return (
        np.concatenate([np.zeros_like(values), values], axis=1) if values.shape[1] == 1 else values
    )


def _margins(logits: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Logits [n, C] minus the logit of the class `top` [n, 1]."""
    with np.errstate(invalid="ignore"):  # both infinite
        return logits - np.take_along_axis(logits, top, axis=1)


def _near(
    found: np.ndarray,
    expected: np.ndarray,
    tolerance: np.ndarray,
    excused: np.ndarray | bool = False,
) -> bool:
    return bool(((_apart(found, expected) <= tolerance) | excused).all())


def _apart(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Absolute differences; 0 where both are the same infinity or both are NaN."""
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        return np.where(same, 0, np.abs(found - expected))
