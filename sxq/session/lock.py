"""The lock of a connection: it does one thing at a time, for all threads.

`locked` marks the methods of `Connection` that use the database or change what is registered.
"""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from sxq.errors import ConnectionBusy

Method = TypeVar("Method", bound=Callable[..., Any])


class ConnectionLock:
    """A lock, and the thread that holds it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.thread: int | None = None

    def require_none_of_mine(self, name: str) -> None:
        """Raise ConnectionBusy if this thread holds the lock: it would wait for itself."""
        if self.lock.locked() and self.thread == threading.get_ident():
            raise ConnectionBusy(
                f"{name} was called from inside a statement of the same connection (by a report, a"
                f" measure or a model); only interrupt() and last_result may be used there"
            )


def locked(method: Method) -> Method:
    """Make a method of a connection, which has a `session`, wait until no other method runs.

    Raises ConnectionBusy inside another one, and ForkedConnection in a forked process, which must not
    wait, because no thread there would release the lock. Ctrl-C ends the wait.
    """

    @wraps(method)
    def alone(con, *arguments, **options):
        con.session.store.require_own_process()
        held = con.session.lock
        held.require_none_of_mine(method.__name__)
        with held.lock:  # used directly: no Ctrl-C can come between taking it and this block
            held.thread = threading.get_ident()
            try:
                return method(con, *arguments, **options)
            finally:
                held.thread = None

    # It takes and returns what the method does, which its own signature does not say.
    return alone  # type: ignore[return-value]
