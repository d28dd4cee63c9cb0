"""A database belongs to the process that opened it; a process forked from that one leaves it alone.

A fork copies DuckDB's memory but not its threads. If the child used the copy, two processes would
write one file from different states. If it closed the copy, or collected it as garbage, DuckDB would
crash while joining threads that do not exist, or write a checkpoint. So the child never uses the copy
and never frees it. (A child that ends like a main program then gets nanobind's report of leaks on
stderr; children of multiprocessing end without it.)
"""

import ctypes
import os
from pathlib import Path
from weakref import WeakSet

import duckdb

from sxq.errors import ForkedConnection

_ADVICE = (
    "a forked process opens its own connection: close this one before the fork and call sxq.connect(path,"
    " read_only=True) in each process, or start processes with multiprocessing's 'spawn' method"
)


class Owner:
    """The process that opened a database, and the connections that it has there."""

    def __init__(self, path: str | None, *connections: duckdb.DuckDBPyConnection):
        self.path = path
        self.connections = connections
        self.process = os.getpid()
        _OPEN.add(self)

    def here(self) -> bool:
        """Whether this is the process that opened the database."""
        return self.process == os.getpid()

    def require(self) -> None:
        """Raise ForkedConnection in a process that was forked from the one that opened the database."""
        if not self.here():
            raise ForkedConnection(
                f"this connection was opened by process {self.process}, and this is process"
                f" {os.getpid()}, forked from it; {_ADVICE}"
            )

    def close(self) -> None:
        """Close the connections, the last first."""
        _OPEN.discard(self)
        for connection in reversed(self.connections):
            connection.close()


_OPEN: "WeakSet[Owner]" = WeakSet()
_INHERITED: dict[
    Path, int
] = {}  # files that were open at a fork -> the process that had opened them


def require_not_inherited(path: str) -> None:
    """Raise ForkedConnection for a file that was open at the fork: DuckDB would reuse the copy of it."""
    owner = _INHERITED.get(Path(path).resolve())
    if owner is not None:
        raise ForkedConnection(
            f"{path!r} was open in process {owner} when it forked process {os.getpid()}; {_ADVICE}"
        )


def _leave_alone() -> None:
    """In a forked child, never free the copied connections, not even at the end of the process."""
    for owner in list(_OPEN):
        for connection in owner.connections:
            # this reference is never released
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        if owner.path is not None:
            _INHERITED[Path(owner.path).resolve()] = owner.process
    _OPEN.clear()


os.register_at_fork(after_in_child=_leave_alone)
