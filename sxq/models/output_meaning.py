"""What the numbers that a model returns mean: logits, log-probabilities or probabilities.

Given `output`, the values are only checked against it. Without, the meaning is inferred where
nothing else is possible: rows that sum to one are probabilities, whole-number labels 0 and 1 make a
single column a log-odds. Where two readings are possible, an error names both, and `output` decides.
"""

import torch
from torch import Tensor

from sxq.errors import ModelOutputError
from sxq.graph import Graph, GraphSet

OUTPUTS = ("logits", "log_probs", "probs")
SUMS = 1e-3  # of probabilities; half precision is no better
ENOUGH = 25  # values in [0, 1]: of fewer, logits may lie there by chance
DECIDES = "register the model with output='logits'"


def meaning(full: Tensor, graph: Graph | GraphSet) -> tuple[str, str]:
    """The meaning of outputs [n, C], and a reason if it is not the usual one; raises ModelOutputError."""
    _refuse_other_labels(graph)
    if full.shape[1] == 1:
        return _of_one_column(
            full[:, 0], graph
        ), "one column: class 1 by sigmoid, as labels are 0 and 1"
    if _are_shares(full):
        return "probs", "inferred: every row lies in [0, 1] and sums to one"
    if _are_logarithms(full):
        return "log_probs", "inferred: the exponentials of every row sum to one"
    if _within(full) and full.numel() >= ENOUGH and full.any():
        raise ModelOutputError(
            f"the values of all {full.shape[1]} columns lie in [0, 1], but rows do not sum to one: "
            f"they may be a probability for each label (multilabel, which sxq does not explain), or "
            f"logits that are small; {DECIDES} if they are logits"
        )
    return "logits", ""


def check_meaning(full: Tensor, output: str) -> None:
    """Raise ModelOutputError if outputs [n, C] contradict what the user said of them."""
    if output == "logits":
        return
    if full.shape[1] == 1:
        shares = full.exp() if output == "log_probs" else full
        if not _within(shares):
            low, high = full.min().item(), full.max().item()
            raise ModelOutputError(
                f"output = {output!r}, but the one column holds values from {low:.3g} to {high:.3g}, "
                f"which are no {_WORDS[output]}; is it 'logits'?"
            )
        return
    shares = full.exp() if output == "log_probs" else full
    if not _are_shares(shares):
        raise ModelOutputError(
            f"output = {output!r}, but rows do not sum to one; is it 'logits'? (a probability for "
            f"each label, multilabel, is not explained)"
        )


def doubtful(full: Tensor, output: str) -> str:
    """What is strange about outputs that the user said are logits; or empty."""
    if output != "logits" or len(full) < 2:
        return ""
    if full.shape[1] > 1 and _are_shares(full):
        return (
            "output = 'logits', but every row lies in [0, 1] and sums to one, as probabilities do"
        )
    return ""


_WORDS = {"probs": "probabilities", "log_probs": "logarithms of probabilities"}


def _of_one_column(values: Tensor, graph: Graph | GraphSet) -> str:
    found = f"the one column holds values from {values.min():.3g} to {values.max():.3g}"
    if _within(values):
        raise ModelOutputError(
            f"{found}: they may be probabilities of class 1 (output='probs'), or logits of class 1 "
            f"(output='logits'); give output"
        )
    labels = graph.y
    known = None if labels is None else labels[labels >= 0]
    if known is None or not len(known):
        raise ModelOutputError(
            f"{found}, and without labels they may be logits of class 1 (output='logits') or numbers "
            f"(regression, which sxq does not explain); give output='logits' if they are logits"
        )
    if known.max() > 1:
        raise ModelOutputError(
            f"{found}, but the labels are classes 0 to {known.max()}: one column tells two classes "
            f"apart (output='logits'), or is a number (regression, which sxq does not explain)"
        )
    if (values <= 0).all():
        raise ModelOutputError(
            f"{found}: they may be logits of class 1 (output='logits'), or logarithms of its "
            f"probability (output='log_probs'); give output"
        )
    return "logits"


def _refuse_other_labels(graph: Graph | GraphSet) -> None:
    held = graph.union if isinstance(graph, GraphSet) else graph
    if "y" not in held.left_out:
        return
    raise ModelOutputError(
        f"the labels y are {held.left_out['y']}, which are no classes: the outputs may be numbers "
        f"(regression) or one probability for each label (multilabel), which sxq does not explain, "
        f"or logits of classes all the same; {DECIDES} if they are"
    )


def _within(values: Tensor) -> bool:
    return bool(((values >= 0) & (values <= 1 + 1e-6)).all())


def _are_shares(values: Tensor) -> bool:
    near = (values.double().sum(dim=1) - 1).abs() <= SUMS
    return bool(((values >= -1e-6) & (values <= 1 + SUMS)).all() and near.all())


def _are_logarithms(values: Tensor) -> bool:
    return bool((values <= 1e-6).all() and torch.logsumexp(values.double(), 1).abs().le(1e-4).all())
