"""Decides whether two outputs are equal, as far as float32 can tell.

Two things are compared. *Probabilities*, because they are stored. *Margins*, the logits minus the
logit of the predicted class, because a saturated softmax hides a wrong field. Each margin is
measured relative to its own size: a class masked by -1e9 loosens the comparison of that class only,
and an offset that all classes share cancels.

Probabilities are compared by their logarithms, too. Rounding does not cancel: float32 separates
logits near 1e5 by 0.008 at best. Both comparisons allow for it, and `uncertainty` turns it into an
error of a probability, so that a query can report how exact its values are.
"""

import numpy as np
from torch import Tensor

from sxq.models.model import Model

TOLERANCE = 1e-5  # on probabilities, and on margins relative to their size
SMALL = 10  # smaller margins are measured relative to this: there probabilities are stricter
# Units of float32 by which two ways to compute a logit may differ, as they sum in different orders.
ROUNDINGS = 4
RESOLUTION = float(np.finfo(np.float32).eps)
DENORMAL = 1e-36  # probabilities below this lose precision in float32
VANISHED = -80  # a class with a margin below this has probability 0 in float32


def agree(model: Model, found: Tensor, expected: Tensor, times: float = 1) -> bool:
    """Whether outputs [..., C] equal the expected ones, in probabilities and in margins.

    `times` is a factor for the tolerance.
    """
    if found.shape != expected.shape:
        return False
    found, expected = (output.flatten(0, -2).cpu() for output in (found, expected))
    ours, theirs = (model.probabilities(output).numpy() for output in (found, expected))
    rounded = rounding(model, expected)[:, None]
    if not _near(ours, theirs, times * (TOLERANCE + inexactness(model, theirs, rounded))):
        return False
    if model.task == "regression":
        return True  # a number hides nothing
    noise = model.error + _probability_noise(model, theirs)
    logits = _logits(model, found), _logits(model, expected)
    return _same_margins(*logits, noise, times, model.separate)


def difference(model: Model, found: Tensor, expected: Tensor) -> float:
    """The largest difference of probabilities or, if these hide it, of margins; NaN if one is NaN."""
    if found.shape != expected.shape:
        return float("nan")
    found, expected = (output.flatten(0, -2).cpu() for output in (found, expected))
    apart = _apart(*(model.probabilities(output).numpy() for output in (found, expected)))
    if apart.max(initial=0) <= TOLERANCE:
        logits = _logits(model, expected)
        top = None if model.separate else logits.argmax(axis=1)[:, None]
        margins = _apart(_margins(_logits(model, found), top), _margins(logits, top))
        apart = np.where(np.isfinite(margins), margins, apart)
    return float(apart.max(initial=0))


def rounding(model: Model, output: Tensor) -> np.ndarray:
    """The error of the log-odds of output rows [n, C] that float32 logits may cause: [n].

    It counts the errors that the output shows, and `Model.error`, which registration measured
    inside the model.
    """
    if model.output == "probs":
        return np.full(len(output), model.error)
    logits = _logits(model, output)
    alone = output.shape[1] == 1 or model.separate
    top = np.abs(logits).max(axis=1) if alone else np.abs(logits.max(axis=1))
    shown = ROUNDINGS * RESOLUTION * np.where(np.isfinite(top), top, 0)
    return np.maximum(shown, model.error)


def uncertainty(p: np.ndarray, rounding: np.ndarray | float) -> np.ndarray:
    """The largest error of probabilities whose log-odds are off by `rounding`; any shapes.

    For a small rounding it is p (1 - p) rounding; a large one also moves a probability that looks
    saturated.
    """
    less = np.clip(np.minimum(p, 1 - p), 1e-16, 1)
    odds = np.expm1(np.minimum(rounding, 50))
    return less * (1 - less) * odds / (1 + less * odds)


def inexactness(model: Model, p: np.ndarray, rounding: np.ndarray | float) -> np.ndarray:
    """The largest error of a model's outputs: of probabilities, or of numbers in spreads."""
    if model.task == "regression":
        return np.broadcast_to(rounding, np.shape(p))
    return uncertainty(p, rounding)


def too_coarse(rounding: float) -> str:
    """The reason, in words, for an error of values by `rounding`."""
    return f"float32 tells logits near {rounding / (ROUNDINGS * RESOLUTION):.1g} no better"


def _same_margins(
    found: np.ndarray,
    expected: np.ndarray,
    noise: np.ndarray | float,
    times: float,
    separate: bool = False,
) -> bool:
    top = None if separate else expected.argmax(axis=1)[:, None]
    ours = _margins(found, top)
    theirs = _margins(expected, top)
    size = np.where(np.isfinite(theirs), np.abs(theirs), 0)
    largest = np.abs(expected)
    if top is not None:
        largest = np.maximum(largest, np.take_along_axis(largest, top, axis=1))
    noise = noise + ROUNDINGS * RESOLUTION * np.where(np.isfinite(largest), largest, 0)
    gone = (np.isinf(ours) | np.isinf(theirs)) & (ours < VANISHED) & (theirs < VANISHED)
    if separate:  # a certain label
        gone |= (np.isinf(ours) | np.isinf(theirs)) & (ours > -VANISHED) & (theirs > -VANISHED)
    unknown = np.isnan(found).any(axis=1) & np.isnan(expected).any(axis=1)
    tolerance = times * (TOLERANCE * np.maximum(size, SMALL) + noise)
    return _near(ours, theirs, tolerance, gone | unknown[:, None])


def _logits(model: Model, output: Tensor) -> np.ndarray:
    """Output rows [n, C] as logits in double; a single column becomes those of two classes.

    Numbers of a regression are in spreads.
    """
    if model.task == "regression":
        return model.probabilities(output.detach()).cpu().numpy()
    if model.task == "multilabel" and model.output != "logits":
        p = model.probabilities(output.detach()).cpu().numpy()
        with np.errstate(divide="ignore"):
            return np.log(p) - np.log1p(-p)
    if model.output == "probs" or model.output == "log_probs" and output.shape[1] == 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(model.probabilities(output.detach()).cpu().numpy())
    values = output.detach().cpu().double().numpy()
    return (
        np.concatenate([np.zeros_like(values), values], axis=1)
        if values.shape[1] == 1 and not model.separate
        else values
    )


def _probability_noise(model: Model, p: np.ndarray) -> np.ndarray | float:
    """The error of the logarithms of probabilities [n, C] that float32 probabilities cause.

    A small probability has the relative precision of float32, except where it is 1 minus the
    single column.
    """
    if model.output == "logits":
        return 0.0
    if model.task == "multilabel":
        less = np.maximum(np.minimum(p, 1 - p), 1e-300)
        one_minus = np.where(p > 0.5, RESOLUTION / less, 0)
        return np.where((one_minus > 0.1) | (p < DENORMAL), np.inf, ROUNDINGS * one_minus)
    if model.full.shape[1] > 1:
        return np.where(p < DENORMAL, np.inf, 0.0) if model.output == "probs" else 0.0
    less = np.maximum(np.minimum(p[:, :1], p[:, 1:]), 1e-300)
    one_minus = np.where(p[:, 1:] > 0.5, RESOLUTION / less, 0)
    return np.where(one_minus > 0.1, np.inf, ROUNDINGS * one_minus)


def _margins(logits: np.ndarray, top: np.ndarray | None) -> np.ndarray:
    """Logits [n, C] minus the logit of the class `top` [n, 1]; as they are where none competes."""
    if top is None:
        return logits
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
