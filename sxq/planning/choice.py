"""The choice of the answer and the measures reported for it: TOP, DIVERSIFY, JOINTLY, settings."""

from sxq.errors import InvalidValue
from sxq.language.statements import Condition, Explain
from sxq.planning.catalog import Catalog
from sxq.planning.checks import number, whole_number
from sxq.planning.nodes import Choose, Rank
from sxq.scoring.measures import Measure, resolve

DEFAULT_TOP = 10
DEFAULT_ALPHA = 0.5
MOST_ANSWERS = 2**31 - 1  # the largest value of the column `k` in the store


def choice(statement: Explain, catalog: Catalog, lattice: Rank, targets: int) -> Choose:
    """The operator that chooses the answer from the fronts; raises InvalidValue."""
    if statement.smallest:
        _check_smallest(statement, statement.smallest)
    default = 1 if statement.smallest else DEFAULT_TOP
    k = whole_number("TOP", statement.top, default, 1, MOST_ANSWERS)
    rule = _rule(statement, catalog.settings["sxq_answer"])
    if statement.jointly:
        _check_jointly(rule, k, targets)
    report = dict.fromkeys(
        resolve(name, catalog.measures).name for name in catalog.settings["sxq_report"]
    )
    return Choose(
        child=lattice,
        k=k,
        rule=rule,
        alpha=_alpha(statement),
        jointly=statement.jointly,
        across=statement.jointly and catalog.settings["sxq_jointly"] == "union",
        report=tuple(report),
        embedding=catalog.settings["sxq_embedding"],
        smallest=statement.smallest or "",
        robust_budget=catalog.settings["sxq_robust_budget"],
        worth_budget=catalog.settings["sxq_worth_budget"],
    )


def refuse_reported(clause: str, measure: Measure) -> Measure:
    """The measure; raises InvalidValue if it is measured for the answers only."""
    if measure.reported:
        raise InvalidValue(
            f"{clause} names {measure.name!r}, which is measured for the answers only "
            f"({measure.cost}); SET sxq_report = '{measure.name}' shows it beside them"
        )
    return measure


def _rule(statement: Explain, setting: str) -> str:
    """The rule by which members are chosen: sxq_answer, or what SMALLEST or DIVERSIFY ask for."""
    if statement.smallest:
        return "smallest"
    if not statement.diversify or setting in ("divsx", "divsx_first"):
        return setting
    if setting in ("swap", "optimum"):
        raise InvalidValue(
            f"DIVERSIFY with sxq_answer = {setting!r}, a rule that uses dominance only; "
            "RESET sxq_answer, or SET sxq_answer = 'divsx'"
        )
    return "diversity"


def _check_smallest(statement: Explain, flag: str) -> None:
    """Check that nothing contradicts an answer of one member."""
    asked = f"SMALLEST {flag}"
    for clause, given in (("DIVERSIFY", statement.diversify), ("JOINTLY", statement.jointly)):
        if given:
            raise InvalidValue(
                f"{asked} with {clause}: the answer of SMALLEST is one member of each target, that of "
                f"{clause} is many; leave out one of the two"
            )
    if statement.top not in (None, 1):
        raise InvalidValue(
            f"{asked} with TOP {statement.top}: the answer of SMALLEST is one member; leave out TOP, or "
            f"say WHERE {flag} for many"
        )
    unwanted = Condition(flag, "is", False)
    if unwanted in statement.where:
        raise InvalidValue(
            f"{asked} with WHERE NOT {flag}: no member can be both; leave out one of the two"
        )


def _alpha(statement: Explain) -> float:
    alpha = number("ALPHA", statement.diversify and statement.diversify.alpha, DEFAULT_ALPHA, 0)
    if alpha > 1:
        raise InvalidValue(f"ALPHA {alpha:g}; expected a number from 0 to 1")
    return alpha


def _check_jointly(rule: str, k: int, targets: int) -> None:
    """Check that a joint answer is chosen by coverage and has a member for every target."""
    if rule != "coverage":
        if rule == "diversity":
            raise InvalidValue(
                "JOINTLY with DIVERSIFY: a joint answer shares its places by how many candidates each "
                "member covers, and members of different targets differ anyway, as their fields do; "
                "leave out one of the two"
            )
        raise InvalidValue(
            f"JOINTLY with sxq_answer = {rule!r}; a joint answer is chosen by coverage"
        )
    if k < targets:
        raise InvalidValue(
            f"TOP {k} JOINTLY for {targets} targets; expected TOP {targets} or more, "
            f"one member for each"
        )
