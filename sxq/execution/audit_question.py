"""The question of a stored answer, read again from plain outputs: AUDIT's own code, apart from `scoring/question.py`."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sxq.models.model import Model


@dataclass(frozen=True)
class AskedAgain:
    """What the clauses of a stored statement said, and the spreads within which a number is kept."""

    for_class: int | None = None
    against: int | None = None
    tolerance: float = 0.25


@dataclass(frozen=True, eq=False, kw_only=True)
class Reading:
    """Outputs [n, C] of one target as its question reads them; row 0 is the whole graph."""

    column: int  # the class in question
    shown: np.ndarray  # [n] as `targets` holds it: p(c), the share of c and d, or a number
    p: np.ndarray  # [n] as measures take it
    same: np.ndarray  # [n] bool: the answer is that on the whole graph
    gap: np.ndarray  # [n] how far the answer is from another one
    scale: float = 1.0  # of `shown`, where p has the scale 1


def column_of(model: Model, outputs: Tensor, asked: AskedAgain) -> int:
    """The class in question, given outputs [n, C] whose row 0 is the whole graph."""
    if asked.for_class is not None:
        return asked.for_class
    if model.task == "regression":
        return 0
    p = model.probabilities(outputs)[0].clone()
    if asked.against is not None:
        p[asked.against] = -1
    return int(p.argmax())


def read_again(model: Model, outputs: Tensor, asked: AskedAgain, column: int) -> Reading:
    """The outputs [n, C] as the question about class `column` reads them."""
    if model.task == "regression":
        return _number(model, outputs, asked, column)
    p = model.probabilities(outputs).cpu().numpy()
    if asked.against is not None:
        return _two_sided(column, _share(model, outputs, column, asked.against), asked.against)
    if model.task == "multilabel":
        return _two_sided(column, p[:, column], None)
    top = p.argmax(axis=1)
    own = p[:, column]
    ranked = np.sort(p, axis=1)
    gap = ranked[:, -1] - ranked[:, -2]
    if asked.for_class is not None:
        gap = np.array([abs(row[column] - max(np.delete(row, column))) for row in p])
    says = top == column
    turned = own if says[0] else 1 - own
    return Reading(column=column, shown=own, p=turned, same=says == says[0], gap=gap)


def _number(model: Model, outputs: Tensor, asked: AskedAgain, column: int) -> Reading:
    number = outputs[:, column].double().cpu().numpy()
    spread = model.spread[column]
    away = np.abs(number - number[0]) / spread
    same = away <= asked.tolerance
    return Reading(
        column=column,
        shown=number,
        p=number / spread,
        same=same,
        gap=np.abs(away - asked.tolerance),
        scale=spread,
    )


def _two_sided(column: int, share: np.ndarray, against: int | None) -> Reading:
    """Of a class against another one, or of a label that applies or not: the side of a half."""
    # Of equal classes the first is preferred; a label at a half does not apply.
    first = against is not None and column < against
    says = share >= 0.5 if first else share > 0.5
    turned = share if says[0] else 1 - share
    same = says == says[0]
    return Reading(column=column, shown=share, p=turned, same=same, gap=np.abs(2 * share - 1))


def _share(model: Model, outputs: Tensor, c: int, d: int) -> np.ndarray:
    """p(c) / (p(c) + p(d)) [n]; of logits without the other classes."""
    if model.output == "logits" and model.task == "multiclass":
        return torch.sigmoid(outputs[:, c].double() - outputs[:, d].double()).cpu().numpy()
    p = model.probabilities(outputs).cpu().numpy()
    total = p[:, c] + p[:, d]
    return np.where(total > 0, p[:, c] / np.where(total > 0, total, 1), 0.5)
