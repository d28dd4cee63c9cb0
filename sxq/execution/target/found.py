"""The result of a search: the only input of the answer and the report."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from sxq.execution.candidate_table import CandidateTable
from sxq.execution.target.load import Loaded
from sxq.generators.protocol import OPENING
from sxq.graph.bits import unpack
from sxq.planning.nodes import Choose
from sxq.scoring.lattice import Lattice
from sxq.scoring.measures import Measure


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """A target after its search. For a joint answer, which may wait long, it keeps nothing on the device."""

    loaded: Loaded
    choice: Choose  # how the answer is chosen
    generators: tuple[str, ...]  # names, by number
    measures: tuple[Measure, ...]  # of the table's columns: the objectives first
    objectives: int
    reported: tuple[Measure, ...]  # measured for the answers only
    keeps: bool  # whether the store keeps every candidate
    table: CandidateTable  # every candidate that was verified
    lattice: Lattice  # its front
    pruned: Set[bytes]  # packed candidates that were not verified, as they cannot enter the front
    incomparable: int  # explanatory candidates with an objective that is NaN
    bound: int  # every candidate of at most so many units was verified
    scope: str  # which candidates that proves something about, as a note says it
    exhausted: bool  # every generator came to its end, and left nothing out for lack of budget
    full: bool  # the memory for candidates was used up before the budget
    first: bool  # the search ended with the first k members that DivSX admitted
    rested: int  # the front did not grow over the last so many candidates, which ended the search; else 0
    stopped: str  # the reason why the search was cut short; empty if it was not
    seconds: float
    remark: str = ""  # what a joint answer covers of all targets

    def bits_of(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """The units [n, U] bool of verified candidates."""
        packed = self.table.rows(list(numbers)).bits
        return unpack(packed, self.loaded.field.num_units)

    def proposer(self, number: int) -> str:
        """The name of a generator by its number in the candidate table."""
        return "field" if number == OPENING else self.generators[number]
