"""What can go wrong, split by whose fault it is.

    Error
    ├── QueryError              the query text, or the values bound to it
    │   ├── ParseError          not the language: line, caret, what would have been legal
    │   ├── UnknownName         a name that is not known, with the known ones
    │   ├── InvalidValue        a name or value that is out of range or of the wrong type
    │   ├── NotAllowed          what an untrusted or read-only connection must not do
    │   └── FieldTooLarge       a receptive field with more subgraphs than the budget
    ├── DataError               the graph, a file, a key
    │   ├── NodeNotFound        a key that the graph does not hold
    │   └── GraphError          arrays that do not form a graph: shapes, ranges, NaN
    ├── ModelError              the user's model
    │   ├── ModelNotLocal       the prediction depends on more than a receptive field
    │   ├── ModelOutputError    the output is not [num_nodes, classes]
    │   ├── ModelChanged        the weights are not those that were registered
    │   └── ModelDetached       the database knows the model's name but not its code
    ├── StoreError              the database file
    │   ├── DatabaseLocked      another process holds it
    │   ├── ForkedConnection    it was opened before this process was forked
    │   ├── ConnectionBusy      a statement from inside a statement
    │   ├── NameTaken           the name stands for other content
    │   └── TransactionOpen     a statement that stores, inside the user's open transaction
    └── SQLError                DuckDB's own message, unchanged

Messages are lower-case, echo what was found, and say what would be right.
"""

import difflib
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID


class Error(Exception):
    """The root: everything sxq raises on purpose."""


class QueryError(Error):
    """The query text, or a value bound to it, cannot be run."""


class ParseError(QueryError):
    """The text is not in the language; `line` and `column` count from 1."""

    def __init__(self, message: str, line: int = 0, column: int = 0):
        super().__init__(message)
        self.line = line
        self.column = column


class UnknownName(QueryError):
    """A graph, model, measure, generator, option or setting that does not exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        known = sorted(known)
        if name in known:  # it was missing a moment ago
            reason = "another connection has just made it; run the statement again"
        else:
            reason = _listing(kind, known)
        super().__init__(f"no {kind} named {name!r}{did_you_mean(name, known)}; {reason}")
        self.kind = kind
        self.name = name
        self.known = known


class InvalidValue(QueryError):
    """A value out of range or of the wrong type."""


class NotAllowed(QueryError):
    """A statement reaches further than its connection may: it is untrusted, or read-only."""


class FieldTooLarge(QueryError):
    """All subgraphs of a receptive field were asked for, and there are more than the budget allows."""


class DataError(Error):
    """The graph, a file or a key is not what it should be."""


class NodeNotFound(DataError):
    """A key that the graph does not hold."""


class GraphError(DataError):
    """Arrays that do not form a graph: wrong shapes, edges out of range, NaN features."""


class ModelError(Error):
    """The user's model cannot be explained as it is."""


class ModelNotLocal(ModelError):
    """A prediction depends on more of the graph than a receptive field and its halo."""


class ModelOutputError(ModelError):
    """The output is not one row of finite class values per node."""


class ModelChanged(ModelError):
    """The weights are no longer those that were registered."""


class ModelDetached(ModelError):
    """The database knows the model by name and hash, but its code is not registered."""


class InputWarning(UserWarning):
    """At registration: an input that the model does not take or that is converted, or a doubtful output."""


class StoreWarning(UserWarning):
    """What a process that was ended had left in a database that opens, or why a snapshot could not be written."""


class SpeedWarning(UserWarning):
    """At registration: the model cannot run layer by layer, and what of it stands in the way."""


class StoreError(Error):
    """The database file cannot be used as asked."""


class DatabaseLocked(StoreError):
    """Another process holds the database file."""


class ForkedConnection(StoreError):
    """A connection, or its file, in a process that was forked from the one that opened it."""


class ConnectionBusy(StoreError):
    """A statement was started from inside another one of the same connection."""


class NameTaken(StoreError):
    """The name already stands for other content."""


class TransactionOpen(StoreError):
    """A statement that stores was run inside the user's open transaction."""


class SQLError(Error):
    """DuckDB's own error, its message unchanged; the original is `__cause__`."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` for the nearest known name, or nothing."""
    others = [other for other in known if other != name]
    near = difflib.get_close_matches(str(name).lower(), others, n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""


def shown(key: Any) -> str:
    """A key of a node or a graph in a message or a plan, as a query writes it."""
    if key is None:
        return "NULL"
    if type(key) is bytes:
        return repr(key.hex())
    return repr(str(key) if type(key) in (UUID, date, datetime, time, Decimal) else key)


def _listing(kind: str, known: list[str]) -> str:
    if not known and kind.startswith("option of "):
        return f"{kind.removeprefix('option of ')} takes none"
    if not known:
        return f"there is no {kind} yet"
    shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    return f"known: {shown}"
