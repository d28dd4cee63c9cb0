"""A database belongs to the process that opened it; a process forked from that one leaves it alone.

A fork copies DuckDB's memory but not its threads. If the child used the copy, two processes would
write one file from different states. If it closed the copy, or collected it as garbage, DuckDB would
crash while joining threads that do not exist, or write a checkpoint. So the child never uses the copy
and never frees it. (A child that ends like a main program then gets nanobind's report of leaks on
stderr; children of multiprocessing end without it.)

While DuckDB opens or closes a database it holds a lock that a child would find locked for ever. So a
fork waits until no thread of this process is inside `connect` or `Owner.close`.
"""

import ctypes
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakSet

import duckdb

from sxq.errors import ForkedConnection

_ADVICE = (
    "a forked process opens its own connection: close this one before the fork and call sxq.connect(path,"
    " read_only=True) in each process, or start processes with multiprocessing's 'spawn' method"
)


class Owner:
    """The process that opens a database, and the connections that it has there.

    It is made before DuckDB opens the file, so that a child forked meanwhile knows of it.
    """

    def __init__(self, path: str | None):
        self.path = path
        self.file = None if path is None else Path(path).resolve()
        self.connections: tuple[duckdb.DuckDBPyConnection, ...] = ()
        self.process = os.getpid()
        with _inside_duckdb:
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

    def alone(self) -> bool:
        """Whether no other connection of this process has the file open."""
        with _inside_duckdb:
            return not any(
                other is not self and other.file == self.file and other.connections
                for other in _OPEN
            )

    def close(self) -> None:
        """Close the connections, the last first."""
        with _inside_duckdb:
            for connection in reversed(self.connections):
                connection.close()
            _OPEN.discard(self)


_OPEN: "WeakSet[Owner]" = WeakSet()
_INHERITED: dict[
    Path, int
] = {}  # files that were open at a fork -> the process that had opened them
# Held while DuckDB opens or closes a file. A fork in the same thread must not wait for itself.
_inside_duckdb = threading.RLock()


def connect(path: str, read_only: bool, config: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    """DuckDB's connection; no fork happens meanwhile."""
    with _inside_duckdb:
        return duckdb.connect(path, read_only=read_only, config=dict(config))


def close(connection: duckdb.DuckDBPyConnection) -> None:
    """Close a connection that has no Owner; no fork happens meanwhile."""
    with _inside_duckdb:
        connection.close()


def require_not_inherited(path: str) -> None:
    """Raise ForkedConnection for a file that was open at the fork: DuckDB would reuse the copy of it."""
    owner = _INHERITED.get(Path(path).resolve())
    if owner is not None:
        raise ForkedConnection(
            f"{path!r} was open in process {owner} when it forked process {os.getpid()}; {_ADVICE}"
        )


def _wait() -> None:
    """Before a fork, wait for the threads that open or close a file."""
    _inside_duckdb.acquire()


def _go_on() -> None:
    """After a fork, allow threads to open and close databases again."""
    _inside_duckdb.release()


def _leave_alone() -> None:
    """In a forked child, never free the copied connections, not even at the end of the process."""
    for owner in list(_OPEN):
        for connection in owner.connections:
            _keep_for_ever(connection)
        if owner.file is not None:
            _INHERITED[owner.file] = owner.process
    _OPEN.clear()
    _go_on()


def _keep_for_ever(thing: Any) -> None:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))  # this reference is never released


os.register_at_fork(before=_wait, after_in_parent=_go_on, after_in_child=_leave_alone)
