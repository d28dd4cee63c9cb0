"""One target on its way through the search: its field, its generators in turn, its ledger and its lattice.

The executor drives many of these at once: `ask` for candidates to verify, `tell` what the verifier said.
"""

import time
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from sxq.errors import ModelNotLocal
from sxq.execution.candidate_table import CandidateTable, Entry
from sxq.execution.verifier import TIE, Request, Verdict
from sxq.generators.catalog import GENERATORS, load
from sxq.generators.protocol import FIRST, PRUNED, Candidates, Context, Scored, Subject
from sxq.graph import Graph, GraphSet, extract, whole
from sxq.inference import Backend, CandidateBatch
from sxq.inference.agreement import agree, difference, rounding
from sxq.inference.batches import infer_batches
from sxq.inference.edge_gradients import EdgeGradients
from sxq.inference.locality import WIDEST
from sxq.inference.memory_usage import memory_usage
from sxq.models.borrow import Model, blaming
from sxq.planning.nodes import Answer, FieldScan, Filter, Generate, Plan, Verify
from sxq.planning.nodes import Lattice as LatticeNode
from sxq.scoring.lattice import Lattice
from sxq.scoring.measures import Measure, MeasureBatch, Prospect, ceilings, evaluate, forecast

ALWAYS = (
    "fdl+",
    "fdl-",
    "conc",
)  # measured for every candidate, so that the columns of the store are filled
PATIENCE = (
    64  # requests in a row that are answered from memory, before the other targets have their turn
)
GROWS = 3  # times as much as just after loading is held in the end: caches of a field, measured on FacebookPage
BITS_MEMORY = 64 * 2**20  # bytes of candidates' bits a generator may yield at once
COMPARE = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "=": np.equal,
    "!=": np.not_equal,
}


class TargetRun:
    """The search for one target's skyline."""

    def __init__(
        self,
        plan: Plan,
        graph: Graph | GraphSet,
        model: Model,
        backend: Backend,
        measures: Mapping[str, Measure],
        ordinal: int,
        learned: Mapping[str, object] | None = None,
    ):
        scan, self.generate, self.choice = (
            plan.find(FieldScan),
            plan.find(Generate),
            plan.find(Answer),
        )
        self.lattice_plan, self.filter = plan.find(LatticeNode), plan.find(Filter)
        self.position, self.key, self.kind = (
            scan.positions[ordinal],
            scan.targets[ordinal],
            scan.kind,
        )
        self.graph = graph.member(self.position) if self.kind == "graph" else graph
        self.model, self.backend, self.ordinal = model, backend, ordinal
        self.batch_memory = plan.find(Verify).batch_memory
        self.objectives = len(self.lattice_plan.measures)
        self.measures = [measures[name] for name in _needed(self.lattice_plan, self.filter)]
        self.keeps = plan.keeps
        self.reported = [measures[name] for name in self.choice.report]
        self.started = time.perf_counter()
        self.field, self.loaded, ends = _load_field(scan, self.graph, model, backend, self.position)
        full, empty = model.probabilities(ends).cpu().numpy()
        self.rounding = float(rounding(model, ends).max())
        self.predicted = int(
            model.probabilities(model.full[[self.position]]).argmax()
        )  # the field may round it away
        self.subject = Subject(model, self.graph, full, self.predicted, learned or {})
        self.p_full, self.p_empty = float(full[self.predicted]), float(empty[self.predicted])
        self.self_sufficient = int(empty.argmax()) == self.predicted
        self.ledger, self._slopes, self._told = CandidateTable(), None, 0
        self.bytes = GROWS * self._held()  # memory it holds on to, looked up ever more rarely
        self.lattice = Lattice(
            self.objectives, self.lattice_plan.epsilon, self.lattice_plan.front_limit
        )
        self.incomparable = 0
        self.prunes = all(GENERATORS[name].prunes for name, _ in self.generate.generators)
        self._pruned: set[bytes] = set()  # what was not verified: it cannot enter the front
        self.stopped, self.seconds = "", 0.0
        self._estimating = (
            0.0  # seconds that the model ran for first-order estimates; see `take_estimating`
        )
        self._turns = {-1: self._opening()} if self.field.num_units else {}  # generators, by number
        self._answers: dict[int, Scored] = {}
        self._pending: tuple | None = None
        self._heard: dict[
            int, list[np.ndarray]
        ] = {}  # candidate numbers that each generator was answered
        self._whole = True  # whether the generators that ended left nothing out for lack of budget
        self._cut = False  # the budget ended in the middle of a request: nobody will be asked again

    @property
    def over(self) -> bool:
        """Whether there is nothing more to ask: every generator ended by itself, or the budget is spent."""
        return self._cut or not self._turns

    @property
    def exhausted(self) -> bool:
        """Whether every generator came to its end, and none left anything out for lack of budget."""
        return not self._turns and self._whole

    @property
    def share(self) -> int:
        """Candidates that each generator may expect to have verified; one is the whole field."""
        return (self.generate.budget - 1) // len(self.generate.generators)

    @property
    def pruned(self) -> int:
        """Distinct candidates that were not verified, as they cannot enter the front."""
        return len(self._pruned)

    def _held(self) -> int:
        """Bytes that the field, loaded, and what was found out about it take; not what all targets share."""
        return memory_usage(
            self.field,
            self.loaded,
            self._slopes,
            self.ledger,
            shared=(self.graph, self.model, self.backend),
        )

    def ask(self) -> Request | None:
        """Candidates nobody has verified yet, from every generator that has not ended; None when there are none.

        A repeated candidate is answered from the ledger, at no cost. Generators that only repeat themselves are
        left after PATIENCE answers, so that whoever wants to stop the run is heard; `over` says if they have ended.
        """
        for _ in range(PATIENCE):
            candidates, owner = (None, None) if self._cut else self._propose()
            if self.over:
                return None
            packed = np.packbits(candidates.bits, axis=1)
            numbers, open_ = (
                np.full(len(packed), PRUNED),
                np.flatnonzero(~self._hopeless(candidates.bits, packed)),
            )
            numbers[open_], new = self.ledger.look_up(packed[open_])
            new = open_[new]
            self._cut = len(new) > self.generate.budget - self.ledger.count
            new = new[: self.generate.budget - self.ledger.count]
            self._pending = candidates, owner, packed, numbers, new
            if len(new):
                return Request(
                    self.loaded,
                    candidates.bits[new],
                    self.predicted,
                    tie=max(TIE, self.rounding / 2),
                )
            self._answer()
        return None

    def _propose(self) -> tuple[Candidates, np.ndarray]:
        """What each generator wants to know now, as one batch, and who wants each row [n]."""
        asked = []
        for number, search in list(self._turns.items()):
            try:
                asked.append((number, search.send(self._answers.get(number))))
            except StopIteration as end:
                del self._turns[number]
                self._whole &= self._has_left(number) if end.value is None else end.value
        if not asked:
            return (
                self._propose() if self._turns else (None, None)
            )  # the opening made room for the others
        owner = np.repeat(
            [number for number, _ in asked], [len(candidates.bits) for _, candidates in asked]
        )
        return Candidates.join([candidates for _, candidates in asked]), owner

    def _has_left(self, number: int) -> bool:
        """Whether a generator that ended had some of its share left."""
        heard = np.unique(np.concatenate(self._heard.pop(number, [np.zeros(0, int)])))
        return number < 0 or np.count_nonzero(heard != PRUNED) < self.share

    def _answer(self) -> None:
        """Tell each generator what it wanted to know."""
        candidates, owner, packed, numbers, new = self._pending
        for number in self._turns if not self._cut else ():
            mine = owner == number
            self._answers[number] = scored = self.ledger.scored(numbers[mine], self.objectives)
            self._heard.setdefault(number, []).append(numbers[mine])
            if len(pruned := np.flatnonzero(scored.ids == PRUNED)):
                scored.raw[pruned] = scored.p[pruned] = np.nan
                scored.scores[pruned] = self._ceilings(candidates.bits[mine][pruned])
                for flags in (scored.factual, scored.counterfactual, scored.explanatory):
                    flags[pruned] = False

    def _hopeless(self, bits: np.ndarray, packed: np.ndarray) -> np.ndarray:
        """Which candidates [n] cannot enter the front: it dominates the best scores they could have."""
        if not self.prunes:
            return np.zeros(len(bits), bool)
        hopeless = self.lattice.dominates(self._ceilings(bits))
        for row in np.flatnonzero(hopeless):
            hopeless[row] = not self.ledger.knows(packed[row])
        self._pruned.update(map(bytes, packed[hopeless]))
        return hopeless

    def _ceilings(self, bits: np.ndarray) -> np.ndarray:
        """Scores [n, M] of the objectives that candidates cannot exceed."""
        unknown = np.full(len(bits), np.nan)
        return ceilings(
            self.measures[: self.objectives],
            self.batch(bits, unknown, unknown),
            self.lattice_plan.resolution,
        )

    def tell(self, verdict: Verdict) -> None:
        """Measure, record and rank what the verifier said about the candidates last asked for."""
        candidates, owner, packed, numbers, new = self._pending
        packed, raw, scores = (
            packed[new],
            *self._measure(candidates.bits[new], verdict.p_kept, verdict.p_removed),
        )
        explanatory = (verdict.factual | verdict.counterfactual) & self._admitted(raw, verdict)
        parent = candidates.parent
        parent = np.where(parent <= FIRST, numbers[FIRST - np.minimum(parent, FIRST)], parent)
        entry = Entry(
            packed,
            parent[new],
            candidates.edited[new],
            owner[new],
            raw,
            scores,
            verdict.factual,
            verdict.counterfactual,
            explanatory,
            verdict.tie,
            np.stack([verdict.p_kept, verdict.p_removed], axis=1),
        )
        ids = self.ledger.append(entry)
        comparable = ~np.isnan(scores[:, : self.objectives]).any(axis=1)
        self.incomparable += int((explanatory & ~comparable).sum())
        rank = explanatory & comparable
        packed = packed[rank]
        self.lattice.add(
            ids[rank],
            scores[rank, : self.objectives],
            np.bitwise_count(packed).sum(axis=1, dtype=np.int64),
            packed,
        )
        self._answer()
        self._told += 1
        if self._told.bit_count() == 1 and self._told.bit_length() % 4 == 1:  # 1, 16, 256, ...
            self.bytes = self._held()

    def close(self, stopped: str = "") -> None:
        """End the search; `stopped` says why it was not let run to its end."""
        self.stopped, self.seconds = stopped, time.perf_counter() - self.started
        self.loaded = self._slopes = None  # a joint answer may be long in coming

    def bits_of(self, numbers: Sequence[int]) -> np.ndarray:
        """The units [n, U] bool of verified candidates."""
        packed = self.ledger.rows(list(numbers)).bits
        return np.unpackbits(packed, axis=1, count=self.field.num_units).astype(bool)

    def proposer(self, number: int) -> str:
        """The name of a generator by its number in the ledger."""
        return self.generate.generators[number][0] if number >= 0 else "field"

    def _opening(self):
        """The whole field is verified first; only then do the generators know where they start from."""
        scored = yield Candidates.of(np.ones((1, self.field.num_units), bool))
        _, empty = self._measure(
            np.zeros((1, self.field.num_units), bool),
            np.array([self.p_empty]),
            np.array([self.p_full]),
        )
        gradient = _once(lambda: self.slopes(np.ones((1, self.field.num_units), bool), True)[0])
        for number, (name, options) in enumerate(self.generate.generators):
            rng = np.random.default_rng(
                [self.generate.seed, self.position, zlib.crc32(name.encode())]
            )
            context = Context(
                scored.scores[0],
                empty[0, : self.objectives],
                int(scored.ids[0]),
                self.share,
                max(1, BITS_MEMORY // self.field.num_units),
                rng,
                gradient,
                self.slopes,
                self.p_full,
                self.p_empty,
                self.predict,
                self.lattice_plan.measures,
                self.subject,
            )
            self._turns[number] = load(name)(self.field, context, **dict(options))

    def batch(self, bits: np.ndarray, p_kept: np.ndarray, p_removed: np.ndarray) -> MeasureBatch:
        """Candidates [n, U] as measures see them, with p(c) [n] on G_s and on G \\ G_s."""
        return MeasureBatch(
            self.field,
            bits,
            self.p_full,
            self.p_empty,
            p_kept,
            p_removed,
            self.predicted,
            self.infer,
            (self.generate.seed, self.position),
        )

    def predict(self, sizes: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Scores [n, M] of the objectives at sizes [n] and probabilities p [n, 2], kept and removed.

        Below the resolution too, where a search still sees progress; NaN for measures that ask for more.
        """
        return forecast(
            self.measures[: self.objectives],
            Prospect(self.field, sizes, self.p_full, self.p_empty, *p.T),
        )

    def slopes(self, bits: np.ndarray, context: bool) -> np.ndarray:
        """How much the log-odds rise with each unit's messages, to first order, at the sets of units `bits`: [c, U]."""
        started = time.perf_counter()
        self._slopes = self._slopes or EdgeGradients(
            self.model, self.graph, self.field, self.predicted, self.backend
        )
        found = self._slopes(bits, context)
        self._estimating += time.perf_counter() - started
        return found

    def take_estimating(self) -> float:
        """Seconds that the model ran for estimates since this was last asked: inference, not the generators' work."""
        seconds, self._estimating = self._estimating, 0.0
        return seconds

    def infer(self, bits: np.ndarray) -> np.ndarray:
        """Class probabilities [2, n, C] on any units [n, U] alone, and on G without them."""
        if self.loaded is None:
            self.loaded = self.backend.load(self.graph, self.field)
        return infer_batches(self.model, self.backend, self.loaded, bits, self.batch_memory)

    def _measure(self, bits, p_kept, p_removed) -> tuple[np.ndarray, np.ndarray]:
        return evaluate(
            self.measures, self.batch(bits, p_kept, p_removed), self.lattice_plan.resolution
        )

    def _admitted(self, raw: np.ndarray, verdict: Verdict) -> np.ndarray:
        """Which candidates WHERE admits, as [n] bool."""
        admitted = np.ones(len(raw), bool)
        names = [measure.name for measure in self.measures]
        for condition in self.filter.conditions if self.filter else ():
            if condition.op == "is":
                admitted &= getattr(verdict, condition.name) == condition.value
            else:
                admitted &= COMPARE[condition.op](
                    raw[:, names.index(condition.name)], condition.value
                )
        return admitted


def _needed(lattice: LatticeNode, conditions: Filter | None) -> tuple[str, ...]:
    """Names of the measures to compute: the objectives first, then what WHERE asks, then what the store keeps."""
    asked = [c.name for c in conditions.conditions if c.op != "is"] if conditions else []
    return tuple(dict.fromkeys([*lattice.measures, *asked, *ALWAYS]))


def _load_field(scan: FieldScan, graph: Graph, model: Model, backend: Backend, position: int):
    """The field, loaded, with the outputs [2, C] on G and on nothing; widened until it agrees with the full graph.

    Raises ModelNotLocal where no field does.
    """
    if scan.kind == "graph":
        return _load_whole(scan, graph, model, backend, position)
    for wider in range(WIDEST + 1):
        field = extract(graph, position, scan.hops, scan.halo + wider, scan.directed)
        loaded = backend.load(graph, field)
        with blaming(model, f"the receptive field of node {graph.key(position)!r}"):
            empty, full = backend.infer(
                [CandidateBatch(loaded, np.zeros((1, field.num_units), bool))]
            )[0][:, 0]
        if agree(model, full[None], model.full[[position]]):
            return field, loaded, torch.stack([full, empty])
    apart = difference(model, full[None], model.full[[position]])
    raise ModelNotLocal(
        f"on the {scan.hops}-hop field of node {graph.key(position)!r} the model's output differs by "
        f"{apart:.2g} from the full graph's, with up to {scan.halo + WIDEST} rings of context; "
        f"register the model with layers= its true depth"
    )


def _load_whole(scan: FieldScan, graph: Graph, model: Model, backend: Backend, number: int):
    """The same for a graph of a collection: all of it."""
    field = whole(graph, scan.directed)
    loaded, where = (
        backend.load(graph, field),
        f"graph {scan.targets[scan.positions.index(number)]!r}",
    )
    with blaming(model, where):
        empty, full = backend.infer([CandidateBatch(loaded, np.zeros((1, field.num_units), bool))])[
            0
        ][:, 0]
    if not agree(model, full[None], model.full[[number]]):
        raise ModelNotLocal(f"{where} gets another output than at registration")
    return field, loaded, torch.stack([full, empty])


def _once(compute):
    """A function that computes its value when first asked, and remembers it."""
    memory = []

    def value() -> np.ndarray:
        if not memory:
            memory.append(compute())
        return memory[0]

    return value
