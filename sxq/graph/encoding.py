"""Columns of a table as features: categories one-hot, booleans, dates as numbers, NULLs imputed and marked.

`learn` looks at a table and decides; the `Encoding` that it returns is a plain value that a graph keeps, so
that the rows of another table are encoded alike. What it decides for a column, by the values in it:

    numbers       the number; a NULL is the median
    booleans      0 or 1; a NULL is 0
    dates         days since the first one, with their fraction; a NULL is the median
    text          one-hot: a feature for each of the MOST most frequent values, and `other` for the rest
    lists         their numbers; a NULL is the medians
    anything else is no feature, and neither is text that hardly ever repeats, such as a name

A column that held NULL has one more feature that marks it. With `scale` numbers, dates and lists have mean 0
and standard deviation 1. Text and dates stay attributes of the nodes as well. `learn_edges` scales the numbers of
edges alike, where nothing else is decided for them.
"""

import datetime
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from sxq.errors import GraphError
from sxq.graph.keys import kind_word, shown

MOST = 32  # categories of a column that have a feature of their own
NUMBERS = (int, float, Decimal, np.number, np.bool_)  # bool is an int
LISTS = (list, tuple, np.ndarray)
DAY = 86_400  # seconds
KINDS = ("number", "boolean", "date", "category", "list", "attribute")
Columns = Mapping[str, Sequence[Any]]  # values by name


@dataclass(frozen=True, kw_only=True)
class EncodedColumn:
    """How one column becomes features."""

    name: str
    kind: str  # one of KINDS
    why: str = ""  # of an attribute: why it is no feature
    categories: tuple[str, ...] = ()  # with a feature of their own, most frequent first
    other: bool = False  # there is a feature for all other categories
    seen: int = 0  # categories in the table that was learned from
    since: str = ""  # of dates: the first one
    fill: tuple[float, ...] = ()  # what stands for NULL, before scaling
    nulls: int = 0  # NULLs in the table; if there were any, a feature marks them
    mean: tuple[float, ...] = ()  # with SCALE
    spread: tuple[float, ...] = ()

    @property
    def features(self) -> list[str]:
        """The names of its features, in order."""
        marker = [f"{self.name} is NULL"] if self.nulls else []
        match self.kind:
            case "attribute":
                return []
            case "category":
                rest = [f"{self.name}=(other)"] if self.other else []
                return [*(f"{self.name}={value}" for value in self.categories), *rest, *marker]
            case "list" if len(self.fill) > 1:
                return [*(f"{self.name}[{i}]" for i in range(len(self.fill))), *marker]
        return [self.name, *marker]

    @property
    def summary(self) -> str:
        """What was decided, in words."""
        if self.kind == "attribute":
            return f"attribute only: {self.why}"
        parts = [self._in_words()]
        if self.mean:
            parts.append("scaled to mean 0 and standard deviation 1")
        if self.nulls and self.kind == "category":
            parts.append(f"{self.nulls:,} NULL marked")
        elif self.nulls:
            fill = ", ".join(f"{value:g}" for value in self.fill[:4])
            parts.append(f"{self.nulls:,} NULL set to {fill} and marked")
        return "; ".join(parts)

    def _in_words(self) -> str:
        match self.kind:
            case "category":
                count = f"one-hot of {len(self.categories)} values"
                return f"{count} of {self.seen:,}, the rest is other" if self.other else count
            case "date":
                return f"days since {self.since}"
            case "boolean":
                return "0 or 1"
            case "list":
                return f"{len(self.fill)} numbers"
        return "number"

    def text(self, feature: int, value: float) -> str:
        """A value of one of its features, counted from 0, as it was in the table: unscaled, a date as a date."""
        if feature >= len(self.fill) or self.kind == "category":
            return number_text(value)
        if self.mean:
            value = value * self.spread[feature] + self.mean[feature]
        if self.kind != "date":
            return number_text(value)
        try:
            moment = datetime.datetime.fromisoformat(self.since) + datetime.timedelta(days=value)
        except OverflowError:
            return number_text(value)
        return str(moment.date())

    def encode(self, values: Sequence[Any], keys: Sequence[Any]) -> np.ndarray:
        """The features [n, width] of a column; raises GraphError for a value of another kind."""
        missing = np.array([is_null(value) for value in values])
        marker = [missing.astype(np.float64)[:, None]] if self.nulls else []
        if self.kind == "attribute":
            return np.zeros((len(values), 0))
        if self.kind == "category":
            own = self._one_hot(values, keys)
        else:
            own = self._numbers(values, keys)
            own[missing] = self.fill
            own = self._scaled(own) if self.mean else own
        return np.concatenate([own, *marker], axis=1)

    def _scaled(self, numbers: np.ndarray) -> np.ndarray:
        """With mean 0 and standard deviation 1; infinite for what float64 does not hold."""
        power = _power(np.concatenate([numbers, [self.mean]]))
        own = _power([self.spread])
        distance = np.ldexp(numbers, -power) - np.ldexp(self.mean, -power)
        ratio = distance / np.ldexp(self.spread, -own)
        with np.errstate(over="ignore"):  # a row that is far from those that were learned from
            return np.ldexp(ratio, power - own)

    def _one_hot(self, values: Sequence[Any], keys: Sequence[Any]) -> np.ndarray:
        place = {value: number for number, value in enumerate(self.categories)}
        rest = len(self.categories) if self.other else None
        own = np.zeros((len(values), len(self.categories) + self.other))
        for row, value in enumerate(values):
            if is_null(value):
                continue
            if not isinstance(value, str):
                raise self._unlike(value, keys[row])
            column = place.get(value, rest)
            if column is not None:
                own[row, column] = 1
        return own

    def _numbers(self, values: Sequence[Any], keys: Sequence[Any]) -> np.ndarray:
        """The numbers [n, width], NaN for NULL."""
        own = np.full((len(values), len(self.fill)), np.nan)
        for row, value in enumerate(values):
            if is_null(value):
                continue
            try:
                own[row] = self._number(value)
            except (TypeError, ValueError, OverflowError):
                raise self._unlike(value, keys[row]) from None
        far = np.flatnonzero(np.isinf(own).any(axis=1))
        if len(far):
            key = shown(keys[far[0]])
            raise GraphError(
                f"column {self.name!r} is infinite at {len(far):,} key{'s' * (len(far) > 1)}, such as {key}; "
                "make it NULL or a number"
            )
        return own

    def _number(self, value: Any) -> Any:
        if self.kind == "date":
            return days_between(datetime.datetime.fromisoformat(self.since), value)
        if self.kind == "list":
            if len(value) != len(self.fill) or any(map(is_null, value)):
                raise ValueError
            return [float(item) for item in value]
        if not isinstance(value, NUMBERS):
            raise TypeError
        return float(value)

    def _unlike(self, value: Any, key: Any) -> GraphError:
        wanted = {"category": "text", "date": "a date", "list": f"{len(self.fill)} numbers"}
        return GraphError(
            f"column {self.name!r} is {value!r:.60} ({kind_word(type(value))}) at key {shown(key)}; "
            f"the encoding expects {wanted.get(self.kind, f'a {self.kind}')}"
        )


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the columns of a table become features, and its text labels classes."""

    columns: tuple[EncodedColumn, ...]
    labels: tuple[str, ...] = ()  # of text labels: the names of the classes, in order
    edge_columns: tuple[EncodedColumn, ...] = ()  # of edge_attr, those that are scaled

    def encode(
        self, columns: Columns, keys: Sequence[Any]
    ) -> tuple[np.ndarray, list[str], dict[str, Sequence[Any]]]:
        """Features [n, d] with their names, and the columns that are attributes; raises GraphError.

        Columns that the encoding does not know are attributes.
        """
        known = {column.name for column in self.columns}
        absent = [name for name in known if name not in columns]
        if absent:
            raise GraphError(
                f"NODES has no column {sorted(absent)[0]!r}, which the encoding needs; it has "
                f"{', '.join(columns) or 'none but the key'}"
            )
        parts = [column.encode(columns[column.name], keys) for column in self.columns]
        names = [name for column in self.columns for name in column.features]
        kept: dict[str, Sequence[Any]] = {
            name: list(map(_without_zone, values))
            for name, values in columns.items()
            if name not in known or self._kind(name) in ("category", "date", "attribute")
        }
        return np.concatenate(parts or [np.zeros((len(keys), 0))], axis=1), names, kept

    @staticmethod
    def by_type(encodings: Mapping[str, "Encoding"]) -> "Encoding":
        """The encodings of the types of a heterogeneous graph as one, whose columns begin with their types.

        Raises GraphError where types have labels of different names.
        """
        labelled = {name: own.labels for name, own in encodings.items() if own.labels}
        if len(set(labelled.values())) > 1:
            raise GraphError(
                f"labels of nodes {' and '.join(labelled)} are text; ENCODE keeps the names of one type: "
                f"make the others whole numbers"
            )
        columns = [
            replace(column, name=f"{name}.{column.name}")
            for name, own in encodings.items()
            for column in own.columns
        ]
        labels = next(iter(labelled.values()), ())
        return Encoding(columns=tuple(columns), labels=labels)

    def scaling(self, edge_type: str = "") -> dict[str, EncodedColumn]:
        """How columns of edges are scaled, by name; of a graph with types, those of one type."""
        start = f"{edge_type}." if edge_type else ""
        return {
            column.name.removeprefix(start): column
            for column in self.edge_columns
            if column.name.startswith(start)
        }

    def of_type(self, node_type: str) -> "Encoding":
        """The part of one type; names of classes are of whichever type has text labels."""
        start = f"{node_type}."
        own = [
            replace(column, name=column.name.removeprefix(start))
            for column in self.columns
            if column.name.startswith(start)
        ]
        return Encoding(columns=tuple(own), labels=self.labels)

    def text(self, feature: int, value: float) -> str:
        """A value of a feature as it was in the table."""
        for column in self.columns:
            width = len(column.features)
            if feature < width:
                return column.text(feature, value)
            feature -= width
        return number_text(value)

    def _kind(self, name: str) -> str:
        return next(column.kind for column in self.columns if column.name == name)

    def as_dict(self) -> dict[str, Any]:
        """The encoding as JSON can hold it."""
        given = asdict(self)
        if not self.edge_columns:
            del given["edge_columns"]  # so that graphs without it keep the hash they always had
        return given

    @staticmethod
    def from_dict(given: Mapping[str, Any]) -> "Encoding":
        """The encoding that `as_dict` wrote; raises GraphError for anything else."""
        try:
            columns, of_edges = (
                tuple(EncodedColumn(**_tuples(column)) for column in part)
                for part in (given["columns"], given.get("edge_columns", ()))
            )
            if any(column.kind not in KINDS for column in (*columns, *of_edges)):
                raise ValueError
            return Encoding(columns=columns, labels=tuple(given["labels"]), edge_columns=of_edges)
        except (TypeError, KeyError, ValueError, AttributeError):
            raise GraphError(
                "the stored encoding of the features is none that sxq writes"
            ) from None


def _tuples(given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a column as JSON holds them, its lists as tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }


def learn(columns: Columns, scale: bool) -> Encoding:
    """Decide how each column becomes features."""
    return Encoding(columns=tuple(_learn(name, columns[name], scale) for name in columns))


def learn_edges(columns: Columns) -> dict[str, EncodedColumn]:
    """How columns of edges that are numbers, or lists of them, are scaled; booleans stay 0 or 1."""
    found = {name: _learn(name, values, True) for name, values in columns.items() if len(values)}
    return {name: column for name, column in found.items() if column.mean}


def _learn(name: str, values: Sequence[Any], scale: bool) -> EncodedColumn:
    present = [value for value in values if not is_null(value)]
    nulls = len(values) - len(present)
    kind, why = _kind_of(present)
    if kind == "attribute":
        return EncodedColumn(name=name, kind=kind, why=why)
    if kind == "category":
        return _categories(name, present, nulls)
    if kind == "boolean":
        return EncodedColumn(name=name, kind=kind, fill=(0.0,), nulls=nulls)
    since = ""
    if kind == "date":
        first = min(map(_moment, present))
        since = first.isoformat(sep=" ") if first.time() != datetime.time() else str(first.date())
    width = len(present[0]) if kind == "list" else 1
    bare = EncodedColumn(name=name, kind=kind, since=since, fill=(0.0,) * width)
    numbers = np.array([bare._number(value) for value in present], np.float64)
    numbers = numbers.reshape(len(present), width)
    fill, mean, spread = _statistics(numbers)
    mean_of, spread_of = (mean, spread) if scale else ((), ())
    return EncodedColumn(
        name=name, kind=kind, since=since, fill=fill, nulls=nulls, mean=mean_of, spread=spread_of
    )


def _statistics(numbers: np.ndarray) -> list[tuple[float, ...]]:
    """Median, mean, and standard deviation or 1, of each column.

    A square of a huge number would be infinite and that of a tiny one 0. So they are taken of numbers below 1.
    """
    power = _power(numbers)
    small = np.ldexp(numbers, -power)
    with np.errstate(invalid="ignore"):  # infinity, which `encode` refuses with its key
        found = [np.median(small, axis=0), small.mean(axis=0), small.std(axis=0)]
    fill, mean, spread = (np.ldexp(each, power) for each in found)
    spread = np.where(spread > 0, spread, 1.0)
    return [tuple(each.tolist()) for each in (fill, mean, spread)]


def _power(numbers: Any) -> np.ndarray:
    """The powers of 2 above the largest number of each column: to divide by them changes no digit."""
    return np.frexp(np.max(np.abs(numbers), axis=0))[1]


def _categories(name: str, present: Sequence[str], nulls: int) -> EncodedColumn:
    counts = Counter(present)
    if len(counts) > MOST and len(counts) > len(present) / 2:
        why = f"{len(counts):,} different values in {len(present):,} rows, nearly a name"
        return EncodedColumn(name=name, kind="attribute", why=why)
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    return EncodedColumn(
        name=name,
        kind="category",
        categories=tuple(ranked[:MOST]),
        other=len(ranked) > MOST,
        seen=len(ranked),
        nulls=nulls,
    )


def _kind_of(present: Sequence[Any]) -> tuple[str, str]:
    """The kind of a column by its values that are not NULL, and for an attribute why."""
    if not present:
        return "attribute", "every value is NULL"
    if all(isinstance(value, bool | np.bool_) for value in present):
        return "boolean", ""
    if all(isinstance(value, NUMBERS) for value in present):
        return "number", ""
    if all(isinstance(value, datetime.date) for value in present):  # and every datetime is one
        return "date", ""
    if all(isinstance(value, str) for value in present):
        return "category", ""
    if all(isinstance(value, LISTS) for value in present):
        why = _no_numbers(present)
        return "attribute" if why else "list", why
    return "attribute", f"{kind_word(type(present[0]))} is no feature"


def _no_numbers(lists: Sequence[Sequence[Any]]) -> str:
    """Why lists are no feature; empty if they are of numbers and equally long."""
    empty = sum(any(map(is_null, value)) for value in lists)
    if empty:
        return f"{empty:,} of {len(lists):,} lists hold NULL or NaN; coalesce it, or make the list NULL"
    for item in (item for value in lists for item in value):
        if not isinstance(item, NUMBERS):
            return f"lists that hold {kind_word(type(item))}, not only numbers"
    lengths = sorted({len(value) for value in lists})
    if lengths == [0]:
        return "lists without values"
    return f"lists of unequal length, {lengths[0]} to {lengths[-1]}" if lengths[1:] else ""


def number_text(value: float) -> str:
    """A number for people: four significant digits, and every whole digit, in groups."""
    return f"{value:,.2f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def is_null(value: Any) -> bool:
    """Whether a value stands for nothing: NULL, or NaN as pandas writes it."""
    return value is None or (isinstance(value, float | np.floating) and math.isnan(value))


def _moment(value: datetime.date) -> datetime.datetime:
    """A date at midnight, a time stamp in UTC without its zone."""
    if not isinstance(value, datetime.datetime):
        return datetime.datetime(value.year, value.month, value.day)
    return _without_zone(value)


def _without_zone(value: Any) -> Any:
    """A time stamp in UTC without its zone, which no attribute keeps; another value as it is."""
    if not isinstance(value, datetime.datetime) or value.tzinfo is None:
        return value
    return value.astimezone(datetime.UTC).replace(tzinfo=None)


def days_between(first: datetime.datetime, value: Any) -> float:
    """Days from the first moment to another, with their fraction; raises TypeError for no date."""
    if not isinstance(value, datetime.date):
        raise TypeError
    return (_moment(value) - first).total_seconds() / DAY
