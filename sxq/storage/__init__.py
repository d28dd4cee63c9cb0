"""Storage: one DuckDB database that holds graphs, models, queries and their answers, and runs the user's SQL.

`Store` is the door. Every table and column is documented in `schema.sql`. Values in this folder:

    Table              the complete result of the user's SQL
    GraphRow ModelRow  what is registered
    QueryRow           one EXPLAIN, as SHOW QUERIES lists it
    StoredExplanation  one member of a stored answer, as AUDIT re-measures it
"""

from sxq.storage.graphs import GraphRow
from sxq.storage.history import QueryRow, StoredExplanation
from sxq.storage.models import ModelRow
from sxq.storage.store import Store
from sxq.storage.table import Table

__all__ = ["GraphRow", "ModelRow", "QueryRow", "Store", "StoredExplanation", "Table"]
