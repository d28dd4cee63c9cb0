"""Plain values that every room may hold. They import nothing of sxq but its errors.

explanation   `Explanation`, one member of a skyline; `TargetReport`, what a query says of one target
many_targets  `Totals`, what the reports of a query say together; `StoredReports`, those that stay in the store
pattern       `ClassPattern`, what the explanations of a class have in common; `ClassFindings`
result        `Table`, rows read completely; `Result`, the skylines of one EXPLAIN; `PlanText`
table         how a table prints, the same for a repr, a terminal and a golden test
sql_text      values as DuckDB writes them, and as literals of SQL
files         files written whole or not at all
frames        rows as pandas DataFrames; the only file that knows pandas
arrow         rows as tables of Arrow and frames of Polars, in their SQL types
views         `view`: how a method such as `Result.plot` reaches the room that draws

Their methods that draw, convert and write files call functions that other rooms attach.
"""
