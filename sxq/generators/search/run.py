"""One run of a search: the state that its parts share, and the one place to ask for candidates."""

from collections.abc import Generator

import numpy as np

from sxq.generators.protocol import NONE, Candidates, Context, Scored
from sxq.generators.search.archive import Archive, Members
from sxq.generators.search.edge_table import EdgeTable, log_odds
from sxq.generators.search.trust import Trust
from sxq.generators.search.unit_changes import UnitChanges
from sxq.generators.search.visited import Visited
from sxq.graph import Field

BATCH = 256  # most candidates in a batch of moves
SMALLEST = 1e-6  # least score that counts as progress


class SearchRun:
    """The edge table, the archive, the visited subgraphs and the trust; each owns its own state."""

    def __init__(self, field: Field, context: Context, estimates: np.ndarray):
        self.field = field
        self.context = context
        self.rng = context.rng
        self.batch = min(BATCH, context.rows)
        self.archive = Archive(field.num_units, len(context.full))
        self.table = EdgeTable(field, context, estimates)
        self.trust = Trust()
        self.visited = Visited(field.num_units, context.allowance, context.rng)
        self.changes = UnitChanges(self.table.link, self.visited.unit_hashes)

    @property
    def left(self) -> int:
        """Candidates that may still be asked for."""
        return self.visited.left

    def verify(
        self, bits: np.ndarray, parent: int | np.ndarray = NONE, hashes: np.ndarray | None = None
    ) -> Generator[Candidates, Scored, Members]:
        """Ask for subgraphs [n, U], repeats included; offer them to the archive and return all."""
        hashes = self.visited.hashes_of(bits) if hashes is None else hashes
        parents = np.full(len(bits), parent) if isinstance(parent, int) else parent
        found = []
        for start in range(0, max(len(bits), 1), self.context.rows):
            rows = slice(start, start + self.context.rows)
            scored = yield Candidates.of(bits[rows], parents[rows])
            self.visited.ask(hashes[rows])
            odds = log_odds(scored.p)
            sizes = np.count_nonzero(bits[rows], axis=1)
            values = self.values(sizes, odds, np.nan_to_num(scored.scores))
            found.append(Members(bits[rows], odds, values, scored.explanatory, scored.ids))
            self.archive.add(found[-1])
        return found[0] if len(found) == 1 else Members.join(*found)

    def values(
        self,
        sizes: np.ndarray,
        odds: np.ndarray,
        known: np.ndarray,
        of: np.ndarray | slice = slice(None),
    ) -> np.ndarray:
        """Scores [n, M] at sizes [n] and log-odds [n, 2], not clipped; those of `known`, at rows `of` [n], if unknown."""
        with np.errstate(over="ignore"):  # exp of very small odds is infinite, and p is 0
            p = 1 / (1 + np.exp(-odds))
        values = self.context.predict(sizes, p)
        unknown = np.isnan(values)
        if unknown.any():
            np.copyto(values, known[of], where=unknown)
        return np.minimum(np.maximum(values, SMALLEST, out=values), 1, out=values)
