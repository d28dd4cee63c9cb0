"""What the numbers that a model returns mean: their task, and whether they are logits or probabilities.

The *task* says what the columns are: classes of which one applies (multiclass), class 1 of two
(binary), labels that each apply or not (multilabel), or numbers (regression). Given `task` and
`output`, the values are only checked against them. Without, the meaning is inferred where nothing
else is possible: rows that sum to one are probabilities, whole-number labels 0 and 1 make a single
column a log-odds. Where two readings are possible, an error names both, and the argument that
decides.
"""

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from sxq.errors import ModelOutputError
from sxq.graph import Graph, GraphSet

OUTPUTS = ("logits", "log_probs", "probs")
SUMS = 1e-3  # of probabilities; half precision is no better
ENOUGH = 25  # values in [0, 1]: of fewer, logits may lie there by chance
NUMBERS = "numbers"  # the output of a regression


@dataclass(frozen=True)
class Meaning:
    """What outputs mean, and the reason if that was inferred and is not the usual."""

    output: str  # one of OUTPUTS, or NUMBERS
    task: str  # one of scoring.question.TASKS
    reason: str = ""


def meaning_of(
    full: Tensor, graph: Graph | GraphSet, output: str | None = None, task: str | None = None
) -> Meaning:
    """The meaning of outputs [n, C], of which `output` and `task` may be given; raises ModelOutputError."""
    if task is not None:
        return _of_task(full, output, task)
    columns = "binary" if full.shape[1] == 1 else "multiclass"
    if output is None:
        found, reason = _inferred(full, graph)
        return Meaning(found, columns, reason)
    check_meaning(full, output)
    return Meaning(output, columns, doubtful(full, output))


def _of_task(full: Tensor, output: str | None, task: str) -> Meaning:
    """The meaning of outputs whose task is known."""
    columns = full.shape[1]
    if task == "regression":
        if output not in (None, NUMBERS):
            raise ModelOutputError(
                f"task = 'regression', but output = {output!r}: a regression returns numbers, and has no "
                f"output=; for classes, give another task"
            )
        return Meaning(NUMBERS, task)
    if task == "multiclass" and columns == 1:
        raise ModelOutputError(
            "task = 'multiclass', but the model returns one column: is it 'binary' (two classes by "
            "one column), or 'regression' (a number)?"
        )
    if task == "binary" and columns > 1:
        raise ModelOutputError(
            f"task = 'binary', but the model returns {columns} columns: is it 'multiclass' (one of "
            f"{columns} classes applies), or 'multilabel' (each column is a label that applies or not)?"
        )
    if output is not None:
        check_meaning(full, output, task)
        return Meaning(output, task, doubtful(full, output) if task != "multilabel" else "")
    if task == "multiclass":
        found = "probs" if _are_shares(full) else "log_probs" if _are_logarithms(full) else "logits"
        return Meaning(
            found, task, "" if found == "logits" else "inferred: the shares of a row sum to one"
        )
    _refuse_doubtful_shares(full)
    return Meaning("logits", task)


def _inferred(full: Tensor, graph: Graph | GraphSet) -> tuple[str, str]:
    """The output of a model about which nothing was said, and a reason if it is not the usual one."""
    _refuse_other_labels(graph)
    if full.shape[1] == 1:
        return _of_one_column(
            full[:, 0], graph
        ), "one column: class 1 by sigmoid, as labels are 0 and 1"
    if _are_shares(full):
        return "probs", "inferred: every row lies in [0, 1] and sums to one"
    if _are_logarithms(full):
        return "log_probs", "inferred: the exponentials of every row sum to one"
    _refuse_other_scales(full)
    if _within(full) and full.numel() >= ENOUGH and full.any():
        raise ModelOutputError(
            f"the values of all {full.shape[1]} columns lie in [0, 1], but rows do not sum to one: "
            f"they may be a probability for each label (task='multilabel', output='probs'), numbers "
            f"(task='regression'), or logits that are small (output='logits'); give task or output"
        )
    return "logits", ""


def _refuse_other_scales(full: Tensor) -> None:
    """Raise ModelOutputError for probabilities on another scale, such as per cent, or logits like them."""
    scales = {"100 times": full / 100, "logarithms to base 2 of": full.double().exp2()}
    scales["logarithms to base 10 of"] = (full.double() * log(10)).exp()
    for scale, shares in scales.items():
        if full.numel() >= ENOUGH and _are_shares(shares):
            raise ModelOutputError(
                f"the values are {scale} numbers that sum to one in every row: they may be such "
                f"probabilities, or logits (output='logits'); wrap the model in a module that returns "
                f"the probabilities themselves, or give output"
            )


def check_meaning(full: Tensor, output: str, task: str | None = None) -> None:
    """Raise ModelOutputError if outputs [n, C] contradict what the user said of them."""
    if output == "logits":
        return
    if full.shape[1] == 1 or task == "multilabel":
        shares = full.exp() if output == "log_probs" else full
        if not _within(shares):
            low, high = full.min().item(), full.max().item()
            where = "the one column holds" if full.shape[1] == 1 else "the columns hold"
            raise ModelOutputError(
                f"output = {output!r}, but {where} values from {low:.3g} to {high:.3g}, "
                f"which are no {_WORDS[output]}; is it 'logits'?"
            )
        return
    shares = full.exp() if output == "log_probs" else full
    if not _are_shares(shares):
        raise ModelOutputError(
            f"output = {output!r}, but rows do not sum to one; is it 'logits', or a probability for "
            f"each label (task='multilabel')?"
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
            f"{found}: they may be probabilities of class 1 (output='probs'), logits of class 1 "
            f"(output='logits'), or numbers (task='regression'); give output or task"
        )
    labels = graph.y
    known = None if labels is None else labels[labels >= 0]
    if known is None or not len(known):
        raise ModelOutputError(
            f"{found}, and without labels they may be logits of class 1 (output='logits') or numbers "
            f"(task='regression'); give output or task"
        )
    if known.max() > 1:
        raise ModelOutputError(
            f"{found}, but the labels are classes 0 to {known.max()}: one column tells two classes "
            f"apart (output='logits'), or is a number (task='regression'); give output or task"
        )
    if (values <= 0).all():
        raise ModelOutputError(
            f"{found}: they may be logits of class 1 (output='logits'), logarithms of its "
            f"probability (output='log_probs'), or numbers (task='regression'); give output or task"
        )
    return "logits"


def _refuse_doubtful_shares(full: Tensor) -> None:
    """Raise ModelOutputError if columns that are each for themselves may be logits or not."""
    found = f"the values go from {full.min():.3g} to {full.max():.3g}"
    if _within(full):
        raise ModelOutputError(
            f"{found}: they may be probabilities (output='probs'), or logits (output='logits'); give output"
        )
    if (full <= 0).all():
        raise ModelOutputError(
            f"{found}: they may be logits (output='logits'), or logarithms of probabilities "
            f"(output='log_probs'); give output"
        )


def _refuse_other_labels(graph: Graph | GraphSet) -> None:
    held = graph.union if isinstance(graph, GraphSet) else graph
    labels = [what for name, what in held.left_out.items() if name.rpartition(".")[2] == "y"]
    if not labels:
        return
    raise ModelOutputError(
        f"the labels y are {labels[0]}, which are no classes: the outputs may be numbers "
        f"(task='regression'), labels that each apply or not (task='multilabel'), or classes all the "
        f"same (task='multiclass' or 'binary'); give task"
    )


def _within(values: Tensor) -> bool:
    return bool(((values >= 0) & (values <= 1 + 1e-6)).all())


def _are_shares(values: Tensor) -> bool:
    near = (values.double().sum(dim=1) - 1).abs() <= SUMS
    return bool(((values >= -1e-6) & (values <= 1 + SUMS)).all() and near.all())


def _are_logarithms(values: Tensor) -> bool:
    return bool((values <= 1e-6).all() and torch.logsumexp(values.double(), 1).abs().le(1e-4).all())
