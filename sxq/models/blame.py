"""Errors of the user's own code: each becomes a ModelError that says what was done, and a remedy."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from sxq.errors import Error, ModelError
from sxq.models.model import Model
from sxq.models.wrappers import unwrapped


@contextmanager
def blaming(model: Model, where: str, remedy: str = "") -> Iterator[None]:
    """Within, every exception of a forward pass becomes a ModelError that names its input, and a remedy."""
    try:
        yield
    except Error:
        raise
    except (Exception, SystemExit) as error:
        own = unwrapped(model.module)
        raise ModelError(
            f"the forward pass of {type(own).__name__} failed on {where}: {told(error)}"
            f"{_remedy(own, error) or (remedy and f'; {remedy}')}"
        ) from error


@contextmanager
def guarded(doing: str, remedy: str = "") -> Iterator[None]:
    """Within, every exception of the user's code becomes a ModelError: `doing` failed, and a remedy."""
    try:
        yield
    except Error:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"{doing} failed: {told(error)}{remedy and f'; {remedy}'}") from error


def told(error: BaseException) -> str:
    """An exception in words; where it has none, the line that raised it."""
    if said := said_by(error):
        return f"{type(error).__name__}: {said}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in line {frames[-1].lineno} of {frames[-1].name}" if frames else ""
    return f"{type(error).__name__}{where}"


def said_by(error: BaseException | None) -> str:
    try:
        return str(error)
    except Exception:  # its __str__ is the user's code, too
        return ""


def _remedy(module: nn.Module, error: BaseException) -> str:
    said = said_by(error)
    if isinstance(module, torch.jit.ScriptModule):
        return "; a traced module may hold the sizes of its example: pass the eager module"
    if "dtype" in said or "scalar type" in said:
        return "; make the data and the model of one type, such as data.x.float() or model.double()"
    return ""
