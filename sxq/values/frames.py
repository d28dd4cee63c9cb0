"""Rows as pandas DataFrames. The only file that imports pandas, and only when somebody asks: that takes 0.5 s."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas


def frame(
    columns: Sequence[str], rows: Sequence[tuple], dtypes: Sequence[str | None] | None = None
) -> "pandas.DataFrame":
    """Rows as a DataFrame. Without `dtypes`, or where one is None, pandas infers the type of the column."""
    import pandas

    if dtypes is None:
        return pandas.DataFrame(rows, columns=list(columns))
    values = ([row[i] for row in rows] for i in range(len(columns)))
    series = [pandas.Series(column, dtype=dtype) for column, dtype in zip(values, dtypes)]
    made = pandas.DataFrame(dict(enumerate(series)))  # two columns may have one name
    made.columns = list(columns)
    return made
