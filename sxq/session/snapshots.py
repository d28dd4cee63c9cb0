"""The snapshot file of `SET sxq_snapshot`: written when it is set, and again after what is stored.

It is written after every statement, and during a long one as targets are stored: then at most every few seconds, and so
rarely that it takes a tenth of the time.
"""

import time
import warnings
from dataclasses import dataclass
from typing import Any

from sxq.errors import Error, StoreWarning

EVERY = 5.0  # seconds between two snapshots within a statement, at least
SHARE = 10  # times as long as a snapshot took must pass before the next one


@dataclass(eq=False)
class SnapshotState:
    """Which state of the store the snapshot shows."""

    path: str = ""
    changes: int = -1  # of the store, when it was last written
    finished: float = 0.0  # then, by time.perf_counter()
    took: float = 0.0  # seconds


def write(session: Any, path: str) -> None:
    """Write the snapshot; raises InvalidValue, StoreError."""
    session.store.require_writable("SET sxq_snapshot")
    started = time.perf_counter()
    changes = session.store.changes
    session.store.write_snapshot(path)
    finished = time.perf_counter()
    session.snapshot = SnapshotState(path, changes, finished, finished - started)


def renew(session: Any, within: bool = False) -> None:
    """Write the snapshot again if there is one and something was stored; `within` a statement only when it is due.

    Where it cannot be written, a StoreWarning says why, and the statement goes on.
    """
    path = session.settings["sxq_snapshot"]
    state = session.snapshot
    if not path or (state.path, state.changes) == (path, session.store.changes):
        return
    if session.store.in_transaction():
        return  # of the user: what was stored before it has been written
    waited = time.perf_counter() - state.finished
    if within and waited < max(EVERY, SHARE * state.took):
        return
    try:
        write(session, path)
    except Error as error:
        session.snapshot = SnapshotState(path, session.store.changes, time.perf_counter(), 0.0)
        warnings.warn(f"the snapshot was not written: {error}", StoreWarning, stacklevel=2)
