"""Storage: one DuckDB database that holds graphs, models, queries and their answers, and runs the user's SQL.

`Store` is the door. Every table and column is documented in `schema.sql`.

    store.py            the verbs, each of them one transaction
    database.py         opening a file
    schema.py           schema `sxq` of a file: created, brought up by migrations/, cleared of foreign views
    quoting.py          names in SQL
    backup.py           a copy of a database in a new file
    snapshot.py         a copy that is replaced while the database changes
    process.py          a database belongs to the process that opened it
    ctrl_c.py           Ctrl-C inside DuckDB
    access.py           what SQL may reach outside of the database (`Access`)
    user_sql.py         the user's SQL, and its result (`SqlResult`)
    registered_frames.py  frames of pandas, Polars and Arrow as tables of SQL
    caller_frames.py    FROM df: frames in the caller's variables
    rows.py             the ways to read and write rows
    checked.py          the door for values that others may have changed
    checked_graphs.py   the rows of a graph, checked before arrays are made of them
    named_rows.py       names: claimed, replaced, dropped
    key_columns.py      keys in tables, by their SQL type
    graph_rows.py       graphs (`GraphRow`)
    graph_folders.py    graphs on disk: folders beside the database
    graph_input_rows.py the inputs of models that the tables of a graph cannot hold
    type_rows.py        the types of nodes and edges of a heterogeneous graph
    collection_rows.py  collections of graphs
    graph_schemas.py    a graph is also a schema: made, renewed, dropped
    graph_views.py      the views in it
    model_rows.py       models (`ModelRow`)
    refine_rows.py      pre-trained attributors (`RefineRow`)
    answer_rows.py      writing the answers of a query
    carried_rows.py     answers that REFRESH carries over (`QueryVersion`)
    pattern_rows.py     patterns of a class (`StoredPattern`)
    stored_answers.py   reading queries (`QueryRow`) and answers (`StoredExplanation`) back
    integrity.py        relations between the tables: missing, doubled, dangling (`Broken`)
"""

from sxq.storage.access import Access
from sxq.storage.carried_rows import QueryVersion
from sxq.storage.checked import CheckedRow
from sxq.storage.graph_rows import GraphRow
from sxq.storage.integrity import Broken
from sxq.storage.model_rows import ModelRow
from sxq.storage.pattern_rows import StoredPattern
from sxq.storage.refine_rows import RefineRow
from sxq.storage.store import NewTable, Store
from sxq.storage.stored_answers import (
    NO_TARGETS,
    LeftTargets,
    QueryRow,
    StoredExplanation,
    StoredQuery,
    StoredTarget,
    StoredUnit,
)
from sxq.storage.user_sql import SqlResult

__all__ = [
    "NO_TARGETS",
    "Access",
    "Broken",
    "CheckedRow",
    "GraphRow",
    "LeftTargets",
    "ModelRow",
    "NewTable",
    "QueryRow",
    "QueryVersion",
    "RefineRow",
    "SqlResult",
    "Store",
    "StoredExplanation",
    "StoredPattern",
    "StoredQuery",
    "StoredTarget",
    "StoredUnit",
]
