"""The gate to the rooms that import torch, which takes seconds.

The only late imports of the session: a connection that runs SQL, shows or describes never waits for them.
torch cannot be imported again after an import that was cut short, so Ctrl-C waits for its end.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType


@contextmanager
def _whole(name: str) -> Iterator[None]:
    """Hold back a KeyboardInterrupt while a module is imported for the first time."""
    before = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if name in sys.modules or not main or not callable(before):
        yield
        return
    pressed: list[KeyboardInterrupt] = []

    def hold_back(number: int, frame: FrameType | None) -> None:
        try:
            before(number, frame)
        except KeyboardInterrupt as reason:
            pressed.append(reason)

    signal.signal(signal.SIGINT, hold_back)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def execution() -> ModuleType:
    """`sxq.execution`: plans are run, answers audited."""
    with _whole("sxq.execution"):
        from sxq import execution
    return execution


def registration() -> ModuleType:
    """`sxq.inference.registration`: a user's module becomes a model, with its hops and backend."""
    with _whole("sxq.inference.registration"):
        from sxq.inference import registration
    return registration


def models() -> ModuleType:
    """`sxq.models` builds, trains and hashes modules, and turns PyG's data into graphs."""
    with _whole("sxq.models"):
        from sxq import models
    return models


def datasets() -> ModuleType:
    """`sxq.datasets` reads data sets by name."""
    with _whole("sxq.datasets"):
        from sxq import datasets
    return datasets


def refine() -> ModuleType:
    """`sxq.models.refine` writes and reads pre-trained attributors."""
    with _whole("sxq.models.refine"):
        from sxq.models import refine
    return refine


def pretraining() -> ModuleType:
    """`sxq.models.refine.pretrain`: attributors learn from a registered model."""
    with _whole("sxq.models.refine.pretrain"):
        from sxq.models.refine import pretrain
    return pretrain


def patterns() -> ModuleType:
    """The search for patterns, which imports networkx."""
    import sxq.scoring.patterns

    return sxq.scoring.patterns
