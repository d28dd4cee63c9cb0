"""The log-odds of the answer that a question asks for, as a differentiable function of a model's output.

They do not saturate where the probability does, so gradients and masks can follow them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sxq.models.model import Model
from sxq.scoring.question import ODDS, Question

LEAST = 1e-12  # probabilities are clamped to this before their logarithm is taken
MOST = 1 - 1e-7


def answer_odds(model: Model, output: Tensor, question: Question) -> Tensor:
    """The log-odds [n] of the answer that the model gives on G, for output rows [n, C]."""
    if question.numeric:
        return _numeric_odds(model, output, question)
    if question.against is not None:
        odds = _preference(model, output, question.column, question.against)
    elif question.task == "multilabel":
        odds = _label_odds(output[:, question.column], model.output)
    else:
        odds = log_odds(output, model.output, question.column)
    return odds if question.says else -odds


def log_odds(output: Tensor, kind: str, predicted: int) -> Tensor:
    """log p(c) - log (1 - p(c)) of the classes of output rows [n, C], as [n]."""
    if output.shape[1] == 1:
        odds = _label_odds(output[:, 0], kind)
        return odds if predicted == 1 else -odds
    if kind == "probs":
        output = output.clamp(LEAST, MOST).log()
    others = torch.cat([output[:, :predicted], output[:, predicted + 1 :]], dim=1)
    return output[:, predicted] - others.logsumexp(1)


def as_two_classes(odds: Tensor) -> Tensor:
    """Log-odds [n] as log-probabilities [n, 2]: of the other answer, and of this one."""
    return torch.stack([F.logsigmoid(-odds), F.logsigmoid(odds)], dim=1)


def _label_odds(values: Tensor, kind: str) -> Tensor:
    """The log-odds [n] of one label or of class 1, given its column."""
    if kind == "logits":
        return values
    logs = values.clamp(LEAST, MOST).log() if kind == "probs" else values
    return logs - torch.log1p(-logs.exp())


def _preference(model: Model, output: Tensor, c: int, d: int) -> Tensor:
    """log p(c) - log p(d), as [n]."""
    if output.shape[1] == 1 and model.task != "multilabel":  # the only two classes
        return log_odds(output, model.output, c)
    own, other = output[:, c], output[:, d]
    if model.output == "probs":
        own, other = (values.clamp(min=LEAST).log() for values in (own, other))
    elif model.output == "logits" and model.task == "multilabel":
        own, other = F.logsigmoid(own), F.logsigmoid(other)
    return own - other


def _numeric_odds(model: Model, output: Tensor, question: Question) -> Tensor:
    """How far a number is above that on G, or below it if removing edges lets it rise."""
    rise = output[:, question.column] / model.spread[question.column] - question.full
    return ODDS * (rise if question.falls else -rise)
