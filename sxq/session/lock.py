"""The lock of a connection: it does one thing at a time, for all threads.

`locked` marks the methods of `Connection` that use the database or change what is registered.
"""

import math
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from sxq.errors import ConnectionBusy

Method = TypeVar("Method", bound=Callable[..., Any])

# Seconds. Python hears a Ctrl-C that comes just before a wait only when the wait ends.
SLICE = 0.5


class ConnectionLock:
    """A lock, and the thread that holds it."""

    def __init__(self) -> None:
        # Reentrant only because such a lock knows its thread: its `release` fails in any other one.
        self.lock = threading.RLock()
        self.thread: int | None = None

    def require_none_of_mine(self, name: str) -> None:
        """Raise ConnectionBusy if this thread holds the lock: it would wait for itself."""
        if self.thread == threading.get_ident():
            raise ConnectionBusy(
                f"{name} was called from inside a statement of the same connection (by a report, a"
                f" measure or a model); only interrupt() and last_result may be used there"
            )

    def take(self, name: str, patience: float | None) -> None:
        """Wait for the lock, at most `patience` seconds; raises ConnectionBusy after that."""
        end = math.inf if patience is None else time.monotonic() + patience
        while not self.lock.acquire(timeout=max(0.0, min(SLICE, end - time.monotonic()))):
            if time.monotonic() >= end:
                raise ConnectionBusy(
                    f"{name} waited {patience:g} second{'s' * (patience != 1)} for the statement of"
                    " another thread; wait longer (sxq_lock_timeout), or end that one with interrupt()"
                )
        self.thread = threading.get_ident()


def locked(method: Method) -> Method:
    """Make a method of a connection, which has a `session`, wait until no other method runs.

    Raises ConnectionBusy inside another one, or after the seconds of `sxq_lock_timeout`, and
    ForkedConnection in a forked process, which must not wait, because no thread there would release the
    lock. Ctrl-C ends the wait.
    """

    @wraps(method)
    def alone(con, *arguments, **options):
        con.session.store.require_own_process()
        held = con.session.lock
        held.require_none_of_mine(method.__name__)
        thread = threading.get_ident()
        try:
            held.take(method.__name__, con.session.settings["sxq_lock_timeout"])
            return _with_gradients(method, con, *arguments, **options)
        finally:  # no Python function is called before the lock is free: Ctrl-C could come there
            if held.thread == thread:
                held.thread = None
            try:
                held.lock.release()
            except RuntimeError:
                pass  # Ctrl-C or the timeout ended the wait for it

    # It takes and returns what the method does, which its own signature does not say.
    return alone  # type: ignore[return-value]


def _with_gradients(method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a method outside the caller's `torch.no_grad` and `inference_mode`: training needs gradients."""
    torch: Any = sys.modules.get("torch")
    if not (hasattr(torch, "enable_grad") and hasattr(torch, "inference_mode")):
        return method(*arguments, **options)  # it is not imported, or only half
    with torch.inference_mode(False), torch.enable_grad():
        return method(*arguments, **options)
