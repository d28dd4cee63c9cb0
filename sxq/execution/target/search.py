"""The state of a target's search: candidate table, lattice, the filter of WHERE, and pruning.

It measures, records and ranks candidates. It does not call generators or the verifier.
"""

from dataclasses import dataclass, replace

import numpy as np

from sxq.execution.candidate_table import CandidateTable, Entry
from sxq.execution.target.load import Job, Loaded
from sxq.execution.target.memory_bound import most_candidates
from sxq.execution.target.pruning import within_epsilon
from sxq.execution.verifier import Verdict
from sxq.generators.catalog import GENERATORS
from sxq.generators.protocol import FIRST, PRUNED, Candidates, Scored
from sxq.graph.bits import pack, row_keys, sizes
from sxq.planning.nodes import CONNECTED, FieldScan, Filter, Generate, Rank, Verify
from sxq.scoring.lattice import Lattice
from sxq.scoring.measures import Prospect, ceilings, evaluate, forecast

# Measured for every candidate, so that the columns of the store are filled.
ALWAYS = ("fdl+", "fdl-", "conc")
COMPARE = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "=": np.equal,
    "!=": np.not_equal,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Round:
    """The candidates that the generators of a target ask for at once, looked up in its table."""

    candidates: Candidates  # n of them
    owner: np.ndarray  # [n] the number of the generator that asks for each
    packed: np.ndarray  # [n, ceil(U / 8)] uint8, their bits
    numbers: np.ndarray  # [n] in the candidate table; a new one has the number that it will have
    new: np.ndarray  # rows that must be verified
    cut: bool  # whether the budget ends here, so that some new candidates are left out


class SearchState:
    """Everything that was verified of one target, measured and ranked."""

    def __init__(self, job: Job, loaded: Loaded):
        self.loaded = loaded
        asked = job.plan.find(Generate).budget
        memory = job.plan.find(Verify).batch_memory
        targets = len(job.plan.find(FieldScan).targets)
        self.budget = min(asked, most_candidates(memory, loaded.field.num_units, targets))
        self._less_than_asked = self.budget < asked
        self.filter = job.plan.filter
        self.rank = job.plan.find(Rank)
        self.objectives = len(self.rank.measures)
        self.names = _needed(self.rank, self.filter)
        self.measures = [job.measures[name] for name in self.names]
        self.table = CandidateTable()
        self.lattice = Lattice(self.objectives, self.rank.epsilon, self.rank.front_limit)
        self.incomparable = 0  # explanatory candidates with an objective that is NaN
        self.pruned: set[bytes] = set()  # packed; not verified, as they cannot enter the front
        self.bound = 0  # every candidate of at most so many units was verified
        generators = job.plan.find(Generate).generators
        self._prunes = all(GENERATORS[name].prunes for name, _ in generators)

    @property
    def full(self) -> bool:
        """Whether the table holds as many candidates as the memory allows, which are fewer than the budget."""
        return self._less_than_asked and self.table.count >= self.budget

    def prove(self, size: int) -> None:
        """Note that every candidate of at most `size` units was verified; false where units were left out."""
        if not self.loaded.field.left_out:
            self.bound = max(self.bound, size)

    def look_up(self, candidates: Candidates, owner: np.ndarray) -> Round:
        """Find candidates that must be verified, within the budget; the others are known or pruned."""
        packed = pack(candidates.bits)
        numbers = np.full(len(packed), PRUNED)
        hopeful = np.flatnonzero(~self._hopeless(candidates, packed))
        numbers[hopeful], new = self.table.look_up(packed[hopeful])
        left = self.budget - self.table.count
        return Round(
            candidates=candidates,
            owner=owner,
            packed=packed,
            numbers=numbers,
            new=hopeful[new][:left],
            cut=len(new) > left,
        )

    def record(self, asked: Round, verdict: Verdict) -> None:
        """Measure, record and rank the new candidates of a round."""
        packed = asked.packed[asked.new]
        bits = asked.candidates.bits[asked.new]
        raw, scores = self.measure(bits, verdict.p_kept, verdict.p_removed)
        explanatory = (verdict.factual | verdict.counterfactual) & self._admitted(
            bits, raw, verdict
        )
        ids = self.table.append(
            Entry(
                bits=packed,
                parent=_parents(asked)[asked.new],
                edited=asked.candidates.edited[asked.new],
                generator=asked.owner[asked.new],
                raw=raw,
                scores=scores,
                factual=verdict.factual,
                counterfactual=verdict.counterfactual,
                explanatory=explanatory,
                tie=verdict.tie,
                p=np.stack([verdict.p_kept, verdict.p_removed], axis=1),
            )
        )
        comparable = ~np.isnan(scores[:, : self.objectives]).any(axis=1)
        self.incomparable += int((explanatory & ~comparable).sum())
        ranked = explanatory & comparable
        packed = packed[ranked]
        objectives = scores[ranked, : self.objectives]
        self.lattice.add(ids[ranked], objectives, sizes(packed), packed)

    def scored(self, asked: Round, rows: np.ndarray) -> Scored:
        """The outcome for rows [n] bool of a round; pruned ones get upper bounds as scores."""
        scored = self.table.scored(asked.numbers[rows], self.objectives)
        scored = replace(scored, p=self.loaded.question.as_share(scored.p))
        if len(pruned := np.flatnonzero(scored.ids == PRUNED)):
            scored.p[pruned] = np.nan
            scored.scores[pruned] = self._ceilings(asked.candidates.bits[rows][pruned])
            for flags in (scored.factual, scored.counterfactual, scored.explanatory):
                flags[pruned] = False
        return scored

    def measure(
        self, bits: np.ndarray, p_kept: np.ndarray, p_removed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Raw values and scores [n, M] of candidates [n, U], with p(c) [n] on G_s and G \\ G_s."""
        batch = self.loaded.batch(bits, p_kept, p_removed)
        return evaluate(self.measures, batch, self.rank.resolution)

    def predict(self, sizes: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Scores [n, M] of the objectives, given sizes [n] and probabilities p [n, 2] as in `scored`.

        They may lie below the resolution, so that a search still sees progress there. They are NaN
        for measures that depend on more.
        """
        loaded = self.loaded
        p_kept, p_removed = loaded.question.from_share(p).T
        prospect = Prospect(
            field=loaded.field,
            sizes=sizes,
            p_full=loaded.p_full,
            p_empty=loaded.p_empty,
            p_kept=p_kept,
            p_removed=p_removed,
            numeric=loaded.question.numeric,
        )
        return forecast(self.measures[: self.objectives], prospect)

    def _hopeless(self, candidates: Candidates, packed: np.ndarray) -> np.ndarray:
        """[n] bool: candidates that need not be verified, by the rule of sxq_pruning (pruning.py)."""
        bits = candidates.bits
        if not self._prunes:
            return np.zeros(len(bits), bool)
        best = self._ceilings(bits)
        hopeless = self.lattice.dominates(best)
        if self.rank.pruning != "sound":
            bounded = np.array([m.ceiling is not None for m in self.measures[: self.objectives]])
            parents = self._scores_of_parents(candidates, packed)
            epsilon = self.rank.epsilon
            hopeless |= within_epsilon(self.rank.pruning, best, parents, bounded, epsilon)
        for row in np.flatnonzero(hopeless):
            hopeless[row] = not self.table.knows(packed[row])
        self.pruned.update(row_keys(packed[hopeless]))
        return hopeless

    def _scores_of_parents(self, candidates: Candidates, packed: np.ndarray) -> np.ndarray:
        """Scores [n, M] of the candidates' parents; NaN where they are not yet known, or explain nothing."""
        found = np.full((len(packed), self.objectives), np.nan)
        rows = FIRST - np.minimum(candidates.parent, FIRST)
        numbers = [
            self.table.number(packed[row]) if parent <= FIRST else parent
            for parent, row in zip(candidates.parent.tolist(), rows.tolist())
        ]
        known = np.array(numbers) >= 0
        if known.any():
            entries = self.table.rows(np.array(numbers)[known])
            scores = entries.scores[:, : self.objectives]
            found[known] = np.where(entries.explanatory[:, None], scores, np.nan)
        return found

    def _ceilings(self, bits: np.ndarray) -> np.ndarray:
        """Upper bounds [n, M] of the candidates' scores in the objectives."""
        unknown = np.full(len(bits), np.nan)
        batch = self.loaded.batch(bits, unknown, unknown)
        return ceilings(self.measures[: self.objectives], batch, self.rank.resolution)

    def _admitted(self, bits: np.ndarray, raw: np.ndarray, verdict: Verdict) -> np.ndarray:
        """Which candidates WHERE admits, as [n] bool."""
        admitted = np.ones(len(raw), bool)
        for condition in self.filter.conditions if self.filter else ():
            if condition.name == CONNECTED:
                admitted &= self.loaded.field.connects(bits) == condition.value
            elif condition.op == "is":
                admitted &= getattr(verdict, condition.name) == condition.value
            else:
                values = raw[:, self.names.index(condition.name)]
                admitted &= COMPARE[condition.op](values, condition.value)
        return admitted


def _parents(asked: Round) -> np.ndarray:
    """Numbers [n] of the parents; those that name a row of the round (FIRST, ...) are looked up."""
    parent = asked.candidates.parent
    rows = FIRST - np.minimum(parent, FIRST)
    return np.where(parent <= FIRST, asked.numbers[rows], parent)


def _needed(rank: Rank, conditions: Filter | None) -> tuple[str, ...]:
    """Names of the measures to compute: the objectives, then those of WHERE and of the store."""
    asked = [c.name for c in conditions.conditions if c.op != "is"] if conditions else []
    return tuple(dict.fromkeys([*rank.measures, *asked, *ALWAYS]))
