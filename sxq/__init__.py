"""sxq: a skyline query engine that explains the predictions of graph neural networks.

con = sxq.connect("tx.duckdb")
con.execute("EXPLAIN NODE 42 USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 10 EPSILON 0.1")
"""

from sxq import pictures
from sxq.connection import Connection
from sxq.errors import (
    ConnectionBusy,
    DatabaseLocked,
    DataError,
    Error,
    ForkedConnection,
    GraphError,
    InvalidValue,
    ModelChanged,
    ModelDetached,
    ModelError,
    ModelNotLocal,
    ModelOutputError,
    NameTaken,
    NodeNotFound,
    ParseError,
    QueryError,
    SQLError,
    StoreError,
    TransactionOpen,
    UnknownName,
)
from sxq.session.builder import ExplainQuery, explain
from sxq.values.explanation import Explanation, TargetReport
from sxq.values.result import Result, Table
from sxq.values.views import attach

__version__ = "0.1.0"

__all__ = [
    "Connection",
    "ConnectionBusy",
    "DataError",
    "DatabaseLocked",
    "Error",
    "ExplainQuery",
    "Explanation",
    "ForkedConnection",
    "GraphError",
    "InvalidValue",
    "ModelChanged",
    "ModelDetached",
    "ModelError",
    "ModelNotLocal",
    "ModelOutputError",
    "NameTaken",
    "NodeNotFound",
    "ParseError",
    "QueryError",
    "Result",
    "SQLError",
    "StoreError",
    "Table",
    "TargetReport",
    "TransactionOpen",
    "UnknownName",
    "connect",
    "explain",
]


def connect(path: str | None = None, read_only: bool = False) -> Connection:
    """Open a database of graphs, models and explanations: a DuckDB file, made if missing, or one in memory.

    Raises StoreError for a file that is no database, DatabaseLocked for one that another process holds.
    """
    return Connection(path, read_only)


def _to_data(explanation: Explanation):
    from sxq.pyg import to_data  # imports torch

    return to_data(explanation)


attach({**pictures.VIEWS, "Explanation.to_data": _to_data})


def load_ipython_extension(ipython) -> None:
    """`%load_ext sxq`: the magics `%sxq` and `%%sxq`; see `sxq.notebook`."""
    from sxq.notebook import load

    load(ipython)
