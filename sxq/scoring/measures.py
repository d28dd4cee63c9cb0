"""The measures: the values that users read (raw), and the values that are compared (score).

Each is declared once. The *raw* value is the literature's; the *score* is larger-is-better in (0, 1], and
only scores are compared, so no other file knows a sign. Definitions: Qiu et al., "Generating
Skyline Explanations for Graph Neural Networks", Table 2; the scales of the scores were chosen by trial: with
linear conciseness and (1 + raw) / 2, one small subgraph 0.1-dominates everything. A new measure is one entry
and one golden.

Some measures run the model again (`sampled.py`), at the cost of further inferences. Those that cost
too much for every candidate are only *reported*: measured for the k answers.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sxq.errors import Error, InvalidValue, UnknownName
from sxq.scoring import robust, sampled
from sxq.scoring.batch import MeasureBatch, Prospect
from sxq.scoring.minimal import minimal

STEP = 1e-4  # scores are rounded to this before anything compares them; raw values are not
SLACK = 1e-6  # a user's raw value may leave [0, 1] by this, through rounding

# The words that DuckDB reserves: no column can have such a name (duckdb_keywords(), category 'reserved').
RESERVED = frozenset(
    """
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint
    create default deferrable desc describe distinct do else end except false fetch for foreign from group
    having in initially intersect into lambda lateral leading limit not null offset on only or order pivot
    pivot_longer pivot_wider placing primary qualify references returning select show some summarize
    symmetric table then to trailing true union unique unpivot using variadic when where window
    with""".split()
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Measure:
    """One way to judge a candidate."""

    name: str  # as written after OPTIMIZE
    column: str  # as written in SQL
    raw: Callable[[MeasureBatch], np.ndarray]  # batch -> [n], the literature's value
    larger_is_better: bool  # of the raw value
    # raw [n], batch -> [n], larger is better
    score: Callable[[np.ndarray, MeasureBatch], np.ndarray]
    formula: str  # one line for SHOW MEASURES
    source: str  # who defined it
    cost: str = ""  # inferences beyond the two of every candidate
    # batch -> [n, R]; the raw value is their mean
    samples: Callable[[MeasureBatch], np.ndarray] | None = None
    # batch -> [n] values and [n] standard errors, 0 where a value is exact; instead of samples
    estimate: Callable[[MeasureBatch], tuple[np.ndarray, np.ndarray]] | None = None
    reported: bool = False  # measured for the k answers only: no objective, no condition
    plain: bool = False  # needs only the fields of a Prospect
    # batch -> [n], an upper bound of the score, known before any inference on the candidates; None: 1
    ceiling: Callable[[MeasureBatch], np.ndarray] | None = None

    def __reduce__(self) -> Any:
        """A built-in measure is sent to another process by its name."""
        if MEASURES.get(self.name) is self:
            return resolve, (self.name,)
        return super().__reduce__()

    @property
    def draws(self) -> bool:
        """Whether values may depend on what is drawn at random for a target: of a user's measure nobody knows."""
        own = MEASURES.get(self.name) is self
        return not own or bool(self.samples or self.estimate)

    @property
    def columns(self) -> dict[str, str]:
        """Names in a report -> SQL columns: the value, and the standard error of a sampled measure."""
        sampled = self.samples or self.estimate
        error = {f"{self.name} se": f"{self.column}_se"} if sampled else {}
        return {self.name: self.column, **error}


def _as_is(raw: np.ndarray, batch: MeasureBatch) -> np.ndarray:
    return raw


def _log_conciseness(raw: np.ndarray, batch: MeasureBatch) -> np.ndarray:
    return conciseness(batch.sizes, batch.field.all_units)


def conciseness(sizes: np.ndarray, units: int) -> np.ndarray:
    """1 for one unit, just above 0 for all `units`, and equal steps for equal ratios of sizes [n]."""
    return 1 - np.log(np.maximum(sizes, 1)) / np.log(units + 1)


def _near_zero(raw: np.ndarray, batch: MeasureBatch) -> np.ndarray:
    return 1 - np.abs(raw)


def _change(batch: MeasureBatch) -> np.ndarray:
    """The fall of p without the candidate; a number may change either way."""
    fall = batch.p_full - batch.p_removed
    return np.abs(fall) if batch.numeric else fall


def _at_most(batch: MeasureBatch, bound: float) -> np.ndarray:
    """A bound that holds for probabilities; numbers have none but that of every score."""
    return np.full(len(batch.bits), 1.0 if batch.numeric else bound)


def _density(batch: MeasureBatch) -> np.ndarray:
    nodes = batch.node_counts
    possible = nodes * (nodes - 1) // (1 if batch.field.directed else 2)
    return batch.sizes / np.maximum(possible, 1)


def _influence(batch: MeasureBatch) -> np.ndarray:
    return batch.field.reached(batch.bits) @ batch.influence()


def _variety(batch: MeasureBatch) -> np.ndarray:
    """The mean over the field's nodes of how like the nearest node of each candidate is to them."""
    like = batch.likeness()
    nearest = [like[nodes].max(axis=0, initial=0) for nodes in batch.field.reached(batch.bits)]
    return np.array([own.mean() if len(own) else 0.0 for own in nearest])


def _sampled(*, samples: Callable[[MeasureBatch], np.ndarray], **entry) -> Measure:
    """A measure whose raw value is the mean of samples; `entry` holds the other fields of `Measure`."""
    return Measure(raw=lambda batch: samples(batch).mean(axis=1), samples=samples, **entry)


def _estimated(
    *, estimate: Callable[[MeasureBatch], tuple[np.ndarray, np.ndarray]], **entry
) -> Measure:
    """A measure for answers only that is exact, or a share of draws with its standard error."""
    return Measure(
        raw=lambda batch: estimate(batch)[0],
        estimate=estimate,
        larger_is_better=True,
        score=_as_is,
        source="sxq",
        reported=True,
        **entry,
    )


_ENTRIES = (
    Measure(
        name="fdl+",
        column="fdl_plus",
        raw=lambda batch: _change(batch),
        larger_is_better=True,
        score=_as_is,
        formula="p(G) - p(G \\ G_s)",
        source="fidelity+, Yuan et al. 2021; Qiu et al., Table 2",
        plain=True,
        ceiling=lambda batch: _at_most(batch, batch.p_full),
    ),
    Measure(
        name="fdl-",
        column="fdl_minus",
        raw=lambda batch: batch.p_full - batch.p_kept,
        larger_is_better=False,
        score=_near_zero,
        formula="p(G) - p(G_s), nearer to 0 is better",
        source="fidelity-, Luo et al. 2020; Qiu et al., Table 2",
        plain=True,
    ),
    Measure(
        name="conc",
        column="conc",
        raw=lambda batch: 1 - batch.sizes / batch.field.all_units,
        larger_is_better=True,
        score=_log_conciseness,
        formula="1 - size / |E_field|",
        source="conciseness, Luo et al. 2020; Qiu et al., Table 2",
        plain=True,
        ceiling=lambda batch: _log_conciseness(batch.sizes, batch),
    ),
    Measure(
        name="size",
        column="size",
        raw=lambda batch: batch.sizes.astype(np.float64),
        larger_is_better=False,
        score=_log_conciseness,
        formula="number of units",
        source="sxq",
        plain=True,
        ceiling=lambda batch: _log_conciseness(batch.sizes, batch),
    ),
    Measure(
        name="lift",
        column="lift",
        raw=lambda batch: batch.p_kept - batch.p_empty,
        larger_is_better=True,
        score=_as_is,
        formula="p(G_s) - p(empty)",
        source="sxq",
        plain=True,
        ceiling=lambda batch: _at_most(batch, 1 - batch.p_empty),
    ),
    Measure(
        name="density",
        column="density",
        raw=_density,
        larger_is_better=True,
        score=_as_is,
        formula="size / units possible among its nodes",
        source="sxq",
        ceiling=_density,
    ),
    Measure(
        name="influence",
        column="influence",
        raw=_influence,
        larger_is_better=True,
        score=_as_is,
        formula="share of |d log p / d x| that the nodes of G_s have",
        source="influence, Xu et al. 2018; total influence, Qiu et al., section 4",
        cost="1 gradient per target",
        ceiling=_influence,
    ),
    Measure(
        name="variety",
        column="variety",
        raw=_variety,
        larger_is_better=True,
        score=_as_is,
        formula="mean over the field's nodes of the largest cosine of their features with a node of G_s",
        source="diversity of embeddings, Qiu et al., section 4",
        ceiling=_variety,
    ),
    _sampled(
        name="shapley",
        column="shapley",
        samples=sampled.shapley,
        larger_is_better=True,
        score=_as_is,
        formula="mean of p(S + G_s) - p(S), S earlier in a random order",
        source="Shapley 1953; of subgraphs: SubgraphX, Yuan et al. 2021",
        cost=f"{4 * sampled.ORDERS} inferences per candidate",
    ),
    _sampled(
        name="rfdl+",
        column="rfdl_plus",
        samples=sampled.robust_fidelity_plus,
        larger_is_better=True,
        score=_as_is,
        formula=f"mean of p(G) - p(G \\ R), R is {sampled.ALPHA_PLUS:.0%} of G_s, at random",
        source="robust fidelity+, Zheng et al. 2024",
        cost=f"{2 * sampled.REMOVALS} inferences per answer",
        reported=True,
    ),
    _sampled(
        name="rfdl-",
        column="rfdl_minus",
        samples=sampled.robust_fidelity_minus,
        larger_is_better=False,
        score=_near_zero,
        formula=f"mean of p(G) - p(G \\ R), R is {sampled.ALPHA_MINUS:.0%} of the rest, at random",
        source="robust fidelity-, Zheng et al. 2024",
        cost=f"{2 * sampled.REMOVALS} inferences per answer",
        reported=True,
    ),
    _sampled(
        name="stability",
        column="stability",
        samples=sampled.stability,
        larger_is_better=True,
        score=_as_is,
        formula=f"how often G_s explains when {sampled.SHARE:.0%} of the rest is removed",
        source="sxq",
        cost=f"{4 * sampled.CONTEXTS} inferences per answer",
        reported=True,
    ),
    Measure(
        name="minimal",
        column="minimal",
        raw=minimal,
        larger_is_better=True,
        score=_as_is,
        formula="1 if no unit can be left out of G_s: the rest would not be factual or counterfactual as it is",
        source="sxq",
        cost="2 inferences for each unit of an answer",
        reported=True,
    ),
    _estimated(
        name="robust",
        column="robust",
        estimate=robust.robust,
        formula="share of single units outside G_s whose removal leaves it explanatory",
        cost="4 inferences per unit outside, up to sxq_robust_budget",
    ),
    _estimated(
        name="robust2",
        column="robust2",
        estimate=robust.robust_pairs,
        formula="share of pairs of units outside G_s whose removal leaves it explanatory",
        cost="4 inferences per pair outside, up to sxq_robust_budget",
    ),
)
MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in _ENTRIES}


class Objective(str):
    """The default of an option that names an objective: `mean`, or a measure of the query."""


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
        raise InvalidValue(f"sxq_resolution is {resolution!r}; expected a number from {STEP} to 1")
    raw = [measure.raw(batch) for measure in measures]
    scores = [measure.score(values, batch) for measure, values in zip(measures, raw)]
    return _side_by_side(raw), _rounded(scores, resolution)


def against(
    measures: Sequence[Measure],
    scores: np.ndarray,
    sizes: np.ndarray,
    units: int,
    resolution: float,
) -> np.ndarray:
    """The scores [n, M] of candidates of sizes [n], with conciseness relative to other `units` than their field's."""
    columns = [
        conciseness(sizes, units) if measure.score is _log_conciseness else scores[:, place]
        for place, measure in enumerate(measures)
    ]
    return _rounded(columns, resolution)


def ceilings(
    measures: Sequence[Measure], batch: MeasureBatch, resolution: float = 0.01
) -> np.ndarray:
    """Upper bounds [n, M] of the scores of `evaluate`, without p_kept and p_removed."""
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
    """Columns [n] as [n, M]; takes a third of the time of np.stack for a few hundred rows."""
    table = np.empty((len(columns[0]), len(columns)))
    for place, column in enumerate(columns):
        table[:, place] = column
    return table


def forecast(measures: Sequence[Measure], prospect: Prospect) -> np.ndarray:
    """Scores [n, M] as they would be, neither clipped nor rounded; NaN for measures that are not plain."""
    batch: Any = prospect  # a plain measure reads nothing that only a MeasureBatch has
    table = np.full((len(prospect.sizes), len(measures)), np.nan)
    for place, measure in enumerate(measures):
        if measure.plain:
            table[:, place] = measure.score(measure.raw(batch), batch)
    return table


def report(measures: Sequence[Measure], batch: MeasureBatch) -> dict[str, np.ndarray]:
    """Raw values [n] by name; of a sampled measure also their standard errors, under `<name> se`."""
    values: dict[str, np.ndarray] = {}
    for measure in measures:
        if measure.estimate is not None:
            value, error = measure.estimate(batch)
            values |= {measure.name: value, f"{measure.name} se": error}
        elif measure.samples is None:
            values[measure.name] = measure.raw(batch)
        else:
            drawn = measure.samples(batch)
            error = drawn.std(axis=1, ddof=1) / np.sqrt(drawn.shape[1])
            values |= {measure.name: drawn.mean(axis=1), f"{measure.name} se": error}
    return values


def _called(what: str, fn: Callable[[Any], Any], argument: Any) -> Any:
    """What the user's function returns; any exception of it becomes an InvalidValue."""
    try:
        return fn(argument)
    except Error:
        raise
    except Exception as error:
        raise InvalidValue(f"{what} failed: {type(error).__name__}: {error}") from error


def user_measure(
    name: str,
    fn: Callable[[MeasureBatch], Iterable[float]],
    larger_is_better: bool,
    score: Callable[[np.ndarray], Iterable[float]] | None = None,
) -> Measure:
    """A measure from the user's `fn(batch) -> [n]`; NaN makes a candidate incomparable.

    `score(raw [n]) -> [n]` makes it larger-is-better in (0, 1]. Without it raw must lie in [0, 1], and the
    score is raw, or 1 - raw where smaller is better. Raises InvalidValue: now for the name, and on every
    batch for the values of `fn` and `score`.
    """
    if not _is_column(name):
        raise InvalidValue(
            f"measure name {name!r} cannot be an SQL column: letters, digits, _, no keyword"
        )

    return Measure(
        name=name,
        column=name,
        raw=_UserRaw(name, fn, score is None),
        larger_is_better=larger_is_better,
        score=_UserScore(name, score, larger_is_better),
        formula=_first_line(fn),
        source="registered by the user",
    )


@dataclass(frozen=True)
class _UserRaw:
    """The raw values of a measure of the user's: no closure, so that it can be pickled where `fn` can."""

    name: str
    fn: Callable[[MeasureBatch], Iterable[float]]
    in_unit_interval: bool

    def __call__(self, batch: MeasureBatch) -> np.ndarray:
        found = _called(f"measure {self.name!r}", self.fn, batch)
        values = _column(f"measure {self.name!r}", found, len(batch.bits))
        return _unit_interval(self.name, values) if self.in_unit_interval else values


@dataclass(frozen=True)
class _UserScore:
    """The scores of a measure of the user's, likewise."""

    name: str
    fn: Callable[[np.ndarray], Iterable[float]] | None
    larger_is_better: bool

    def __call__(self, values: np.ndarray, batch: MeasureBatch) -> np.ndarray:
        if self.fn is not None:
            found = _called(f"score of measure {self.name!r}", self.fn, values)
            return _column(f"score of measure {self.name!r}", found, len(values))
        return values if self.larger_is_better else 1 - values


def _is_column(name: object) -> bool:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return False
    return name.lower() not in RESERVED


def _column(source: str, values: Iterable[float], n: int) -> np.ndarray:
    """User's values as [n] float64. Raises InvalidValue."""
    try:
        array = np.asarray(values)
    # ragged lists, tensors that require a gradient
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidValue(f"{source} gave no array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InvalidValue(f"{source} gave values of type {array.dtype}, they must be real numbers")
    if array.shape != (n,):
        raise InvalidValue(
            f"{source} gave shape {array.shape}, it must be ({n},): one value per candidate"
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
