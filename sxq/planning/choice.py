"""How the answer is chosen and what is reported of it: TOP and the settings sxq_answer and sxq_report."""

from sxq.errors import InvalidValue
from sxq.language.statements import Explain
from sxq.planning.catalog import Catalog
from sxq.planning.checks import whole
from sxq.planning.nodes import Answer, Lattice
from sxq.scoring.measures import Measure, resolve

DEFAULT_TOP = 10
MOST_ANSWERS = 2**31 - 1  # what the column `k` of the store holds


def choice(statement: Explain, catalog: Catalog, lattice: Lattice, targets: int) -> Answer:
    """The operator that chooses the answer from the fronts of so many targets."""
    k = whole("TOP", statement.top, DEFAULT_TOP, 1, MOST_ANSWERS)
    report = dict.fromkeys(resolve(name, catalog.measures).name for name in catalog.settings["sxq_report"])
    return Answer(lattice, k, catalog.settings["sxq_answer"], tuple(report))


def refuse_reported(clause: str, measure: Measure) -> Measure:
    """The measure, or InvalidValue for one that is measured for the answers only."""
    if measure.reported:
        raise InvalidValue(f"{clause} names {measure.name!r}, which is measured for the answers only "
                           f"({measure.cost}); SET sxq_report = '{measure.name}' shows it beside them")
    return measure
