"""Storage: one DuckDB database that holds graphs, models, queries and their answers, and runs the user's SQL.

`Store` is the door. Every table and column is documented in `schema.sql`.

    store.py            the verbs, each of them one transaction
    database.py         opening a file, and creating the tables of schema.sql and views.sql
    process.py          a database belongs to the process that opened it
    ctrl_c.py           Ctrl-C inside DuckDB
    user_sql.py         the user's SQL, and its result (`SqlResult`)
    rows.py             the ways to read and write rows
    named_rows.py       names: claimed, replaced, dropped
    key_columns.py      keys in tables, by their SQL type
    graph_rows.py       graphs (`GraphRow`)
    collection_rows.py  collections of graphs
    model_rows.py       models (`ModelRow`)
    refine_rows.py      pre-trained attributors (`RefineRow`)
    answer_rows.py      writing the answers of a query
    stored_answers.py   reading queries (`QueryRow`) and answers (`StoredExplanation`) back
"""

from sxq.storage.graph_rows import GraphRow
from sxq.storage.model_rows import ModelRow
from sxq.storage.store import Store
from sxq.storage.stored_answers import QueryRow, StoredExplanation
from sxq.storage.user_sql import SqlResult

__all__ = ["GraphRow", "ModelRow", "QueryRow", "Store", "StoredExplanation", "SqlResult"]
