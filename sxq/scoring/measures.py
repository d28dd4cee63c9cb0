"""The measures: what users read (raw), and what is compared (score).

Each is declared once. The *raw* value is the literature's; the *score* is larger-is-better in (0, 1], and
only scores are compared, so nothing behind this file knows a sign. Definitions: Qiu et al., "Generating
Skyline Explanations for Graph Neural Networks", Table 2; the scales of the scores were chosen by trial: with
linear conciseness and (1 + raw) / 2, one small subgraph 0.1-dominates everything. A new measure is one entry
and one golden.

Some measures ask the model again (`sampled.py`), at the cost of further inferences. Those that cost too much to
be weighed against others are *reported* only: measured for the k answers.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from sxq.errors import InvalidValue, UnknownName
from sxq.scoring import sampled

STEP = 1e-4  # scores are rounded to this before anything compares them; raw values are not
SLACK = 1e-6  # by which a user's raw value may leave [0, 1] through rounding

# What DuckDB reserves and a column could not be called (duckdb_keywords(), category 'reserved').
RESERVED = frozenset(
    """
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint
    create default deferrable desc describe distinct do else end except false fetch for foreign from group
    having in initially intersect into lambda lateral leading limit not null offset on only or order pivot
    pivot_longer pivot_wider placing primary qualify references returning select show some summarize
    symmetric table then to trailing true union unique unpivot using variadic when where window
    with""".split()
)


class Field(Protocol):
    """What a measure may ask of a receptive field."""

    num_units: int
    directed: bool  # a unit is a directed edge, else a pair
    reached: Callable[
        [np.ndarray], np.ndarray
    ]  # bits [n, num_units] -> [n, nodes] bool, the nodes of candidates


@dataclass(frozen=True, eq=False)
class MeasureBatch:
    """n verified candidates of one field; p is always the probability of the predicted class c."""

    field: Field  # the receptive field: `.num_units` candidate units
    bits: np.ndarray  # [n, E_field] bool, the units of each candidate
    p_full: float  # p of M(v, G)
    p_empty: float  # p of M(v, no candidate unit)
    p_kept: np.ndarray  # [n] float64, p of M(v, G_s)
    p_removed: np.ndarray  # [n] float64, p of M(v, G \ G_s)
    predicted: int = 0  # the class c
    infer: Callable[[np.ndarray], np.ndarray] | None = (
        None  # any units [n, E_field] -> class probabilities
    )
    # [2, n, C] of the target: on these units alone, and on G without them
    seed: tuple[int, ...] = (0,)  # the start of every random choice: (SEED, target)

    @cached_property
    def sizes(self) -> np.ndarray:
        """[n] int64, units per candidate."""
        return np.bitwise_count(np.packbits(self.bits, axis=1)).sum(axis=1, dtype=np.int64)

    @cached_property
    def node_counts(self) -> np.ndarray:
        """[n] int64, nodes per candidate, the target among them."""
        return np.count_nonzero(self.field.reached(self.bits), axis=1)


@dataclass(frozen=True, eq=False)
class Prospect:
    """n candidates that nobody has verified: their sizes, and the p that a search expects of them."""

    field: Field
    sizes: np.ndarray  # [n]
    p_full: float
    p_empty: float
    p_kept: np.ndarray  # [n] float64
    p_removed: np.ndarray  # [n] float64


@dataclass(frozen=True, eq=False)
class Measure:
    """One way to judge a candidate."""

    name: str  # as written after OPTIMIZE
    column: str  # as written in SQL
    raw: Callable[[MeasureBatch], np.ndarray]  # batch -> [n], the literature's value
    larger_is_better: bool  # of the raw value
    score: Callable[
        [np.ndarray, MeasureBatch], np.ndarray
    ]  # raw [n], batch -> [n], larger is better
    formula: str  # one line for SHOW MEASURES
    source: str  # who defined it
    cost: str = ""  # what it costs beyond the two inferences of every candidate
    samples: Callable[[MeasureBatch], np.ndarray] | None = (
        None  # batch -> [n, R], where raw is their mean
    )
    reported: bool = False  # measured for the k answers only: no objective, no condition
    plain: bool = False  # needs no more than a Prospect says
    ceiling: Callable[[MeasureBatch], np.ndarray] | None = (
        None  # batch -> [n], no score is above it, known
    )
    # before any inference on the candidates; 1 where None

    @property
    def columns(self) -> dict[str, str]:
        """SQL columns by name, of what a report says: the value, and of samples the standard error."""
        error = {f"{self.name} se": f"{self.column}_se"} if self.samples else {}
        return {self.name: self.column, **error}


def _as_is(raw: np.ndarray, batch: MeasureBatch) -> np.ndarray:
    return raw


def _log_conciseness(raw: np.ndarray, batch: MeasureBatch) -> np.ndarray:
    """1 for one unit, just above 0 for the whole field, and equal steps for equal ratios of sizes."""
    return 1 - np.log(np.maximum(batch.sizes, 1)) / np.log(batch.field.num_units + 1)


def _near_zero(raw: np.ndarray, batch: MeasureBatch) -> np.ndarray:
    return 1 - np.abs(raw)


def _density(batch: MeasureBatch) -> np.ndarray:
    nodes = batch.node_counts
    possible = nodes * (nodes - 1) // (1 if batch.field.directed else 2)
    return batch.sizes / np.maximum(possible, 1)


def _sampled(
    name: str,
    column: str,
    samples: Callable,
    larger_is_better: bool,
    score: Callable,
    formula: str,
    source: str,
    cost: str,
    reported: bool = True,
) -> Measure:
    """A measure that is the mean of samples."""
    return Measure(
        name,
        column,
        lambda batch: samples(batch).mean(axis=1),
        larger_is_better,
        score,
        formula,
        source,
        cost,
        samples,
        reported,
    )


MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure(
            "fdl+",
            "fdl_plus",
            lambda batch: batch.p_full - batch.p_removed,
            True,
            _as_is,
            "p(G) - p(G \\ G_s)",
            "fidelity+, Yuan et al. 2021; Qiu et al., Table 2",
            plain=True,
            ceiling=lambda batch: np.full(len(batch.bits), batch.p_full),
        ),
        Measure(
            "fdl-",
            "fdl_minus",
            lambda batch: batch.p_full - batch.p_kept,
            False,
            _near_zero,
            "p(G) - p(G_s), nearer to 0 is better",
            "fidelity-, Luo et al. 2020; Qiu et al., Table 2",
            plain=True,
        ),
        Measure(
            "conc",
            "conc",
            lambda batch: 1 - batch.sizes / batch.field.num_units,
            True,
            _log_conciseness,
            "1 - size / |E_field|",
            "conciseness, Luo et al. 2020; Qiu et al., Table 2",
            plain=True,
            ceiling=lambda batch: _log_conciseness(batch.sizes, batch),
        ),
        Measure(
            "size",
            "size",
            lambda batch: batch.sizes.astype(np.float64),
            False,
            _log_conciseness,
            "number of units",
            "sxq",
            plain=True,
            ceiling=lambda batch: _log_conciseness(batch.sizes, batch),
        ),
        Measure(
            "lift",
            "lift",
            lambda batch: batch.p_kept - batch.p_empty,
            True,
            _as_is,
            "p(G_s) - p(empty)",
            "sxq",
            plain=True,
            ceiling=lambda batch: np.full(len(batch.bits), 1 - batch.p_empty),
        ),
        Measure(
            "density",
            "density",
            _density,
            True,
            _as_is,
            "size / units possible among its nodes",
            "sxq",
            ceiling=_density,
        ),
        _sampled(
            "shapley",
            "shapley",
            sampled.shapley,
            True,
            _as_is,
            "mean of p(S + G_s) - p(S), S earlier in a random order",
            "Shapley 1953; of subgraphs: SubgraphX, Yuan et al. 2021",
            f"{4 * sampled.ORDERS} inferences per candidate",
            reported=False,
        ),
        _sampled(
            "rfdl+",
            "rfdl_plus",
            sampled.robust_fidelity_plus,
            True,
            _as_is,
            f"mean of p(G) - p(G \\ R), R is {sampled.ALPHA_PLUS:.0%} of G_s, at random",
            "robust fidelity+, Zheng et al. 2024",
            f"{2 * sampled.REMOVALS} inferences per answer",
        ),
        _sampled(
            "rfdl-",
            "rfdl_minus",
            sampled.robust_fidelity_minus,
            False,
            _near_zero,
            f"mean of p(G) - p(G \\ R), R is {sampled.ALPHA_MINUS:.0%} of the rest, at random",
            "robust fidelity-, Zheng et al. 2024",
            f"{2 * sampled.REMOVALS} inferences per answer",
        ),
        _sampled(
            "stability",
            "stability",
            sampled.stability,
            True,
            _as_is,
            f"how often G_s explains when {sampled.SHARE:.0%} of the rest is removed",
            "sxq",
            f"{4 * sampled.CONTEXTS} inferences per answer",
        ),
    )
}


class Objective(str):
    """The default of a generator's option that names what to search by: `mean`, or a measure of the query."""


def resolve(name: str, measures: Mapping[str, Measure] = MEASURES) -> Measure:
    """The measure of that name or column, in any case of letters. Raises UnknownName."""
    for measure in measures.values():
        if name.lower() in (measure.name.lower(), measure.column.lower()):
            return measure
    raise UnknownName("measure", name, measures)


def evaluate(
    measures: Sequence[Measure], batch: MeasureBatch, resolution: float = 0.01
) -> tuple[np.ndarray, np.ndarray]:
    """Raw values and scores [n, M] float64; scores in [resolution, 1] and rounded, NaN where incomparable.

    Below the resolution no difference is meaningful, and a multiplicative epsilon would resolve noise;
    rounding keeps batch size and thread count from deciding dominance. Raises InvalidValue.
    """
    if not STEP <= resolution <= 1:
        raise InvalidValue(f"sxq_resolution is {resolution!r}, it must be in [{STEP}, 1]")
    raw = [measure.raw(batch) for measure in measures]
    scores = [measure.score(values, batch) for measure, values in zip(measures, raw)]
    return _side_by_side(raw), _rounded(scores, resolution)


def ceilings(
    measures: Sequence[Measure], batch: MeasureBatch, resolution: float = 0.01
) -> np.ndarray:
    """Scores [n, M] that `evaluate` will not exceed, known before the model is asked: reads no p_kept, no p_removed."""
    ones = np.ones(len(batch.bits))
    return _rounded(
        [measure.ceiling(batch) if measure.ceiling else ones for measure in measures], resolution
    )


def _rounded(scores: Sequence[np.ndarray], resolution: float) -> np.ndarray:
    """Columns [n] as scores [n, M]: clipped, and rounded to STEP."""
    table = _side_by_side(scores)
    np.minimum(np.maximum(table, resolution, out=table), 1, out=table)
    return table.round(4, out=table)


def _side_by_side(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Columns [n] as [n, M]; a third of the time of np.stack, for a few hundred rows."""
    table = np.empty((len(columns[0]), len(columns)))
    for place, column in enumerate(columns):
        table[:, place] = column
    return table


def forecast(measures: Sequence[Measure], prospect: Prospect) -> np.ndarray:
    """Scores [n, M] as they would be, neither clipped nor rounded; NaN for measures that are not plain."""
    unknown = np.full(len(prospect.sizes), np.nan)
    return _side_by_side(
        [
            measure.score(measure.raw(prospect), prospect) if measure.plain else unknown
            for measure in measures
        ]
    )


def report(measures: Sequence[Measure], batch: MeasureBatch) -> dict[str, np.ndarray]:
    """Raw values [n] by name; of a sampled measure also their standard errors, under `<name> se`."""
    values = {}
    for measure in measures:
        if measure.samples is None:
            values[measure.name] = measure.raw(batch)
        else:
            drawn = measure.samples(batch)
            error = drawn.std(axis=1, ddof=1) / np.sqrt(drawn.shape[1])
            values |= {measure.name: drawn.mean(axis=1), f"{measure.name} se": error}
    return values


def user_measure(
    name: str,
    fn: Callable[[MeasureBatch], Iterable[float]],
    larger_is_better: bool,
    score: Callable[[np.ndarray], Iterable[float]] | None = None,
) -> Measure:
    """A measure from the user's `fn(batch) -> [n]`; NaN makes a candidate incomparable.

    `score(raw [n]) -> [n]` makes it larger-is-better in (0, 1]. Without it raw must lie in [0, 1], and the
    score is raw, or 1 - raw where smaller is better. Raises InvalidValue: now for the name, on every batch
    for what `fn` and `score` gave.
    """
    if not _is_column(name):
        raise InvalidValue(
            f"measure name {name!r} cannot be an SQL column: letters, digits, _, no keyword"
        )

    def raw(batch: MeasureBatch) -> np.ndarray:
        values = _column(f"measure {name!r}", fn(batch), len(batch.bits))
        return values if score else _unit_interval(name, values)

    def scored(values: np.ndarray, batch: MeasureBatch) -> np.ndarray:
        if score:
            return _column(f"score of measure {name!r}", score(values), len(values))
        return values if larger_is_better else 1 - values

    return Measure(
        name, name, raw, larger_is_better, scored, _first_line(fn), "registered by the user"
    )


def _is_column(name: object) -> bool:
    identifier = isinstance(name, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
    return bool(identifier) and name.lower() not in RESERVED


def _column(what: str, values: Iterable[float], n: int) -> np.ndarray:
    """User's values as [n] float64. Raises InvalidValue."""
    try:
        array = np.asarray(values)
    except (
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:  # ragged lists, tensors that require a gradient
        raise InvalidValue(f"{what} gave no array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InvalidValue(f"{what} gave values of type {array.dtype}, they must be real numbers")
    if array.shape != (n,):
        raise InvalidValue(
            f"{what} gave shape {array.shape}, it must be ({n},): one value per candidate"
        )
    return array.astype(np.float64)


def _unit_interval(name: str, values: np.ndarray) -> np.ndarray:
    outside = values[(values < -SLACK) | (values > 1 + SLACK)]
    if len(outside):
        raise InvalidValue(
            f"measure {name!r} gave {outside[0]:.6g}, outside [0, 1]; register it with score="
        )
    return values


def _first_line(fn: Callable) -> str:
    lines = (fn.__doc__ or "").strip().splitlines()
    return lines[0] if lines else f"{getattr(fn, '__name__', type(fn).__name__)}(batch)"
