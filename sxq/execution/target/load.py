"""Load a target: cut out its field, load it on the device, and run the model on both ends.

The two ends are the whole graph and the graph without any candidate unit. A field is widened, one
ring of context at a time, until the model's output on it agrees with the output on the full graph.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.errors import ModelError, ModelNotLocal
from sxq.execution.target import memory_bound
from sxq.execution.target.restricting import exclude, in_units, restriction, worth_included
from sxq.graph import Field, Graph, GraphSet, Restriction, between, link_ends, whole
from sxq.inference import Backend, CandidateBatch
from sxq.inference.agreement import agree, difference, rounding
from sxq.inference.batches import infer_batches
from sxq.inference.choose import open_backend
from sxq.inference.disjoint import Pooled
from sxq.inference.edge_gradients import EdgeGradients
from sxq.inference.independence import whole_graph_alone
from sxq.inference.locality import WIDEST
from sxq.inference.node_influence import node_influence
from sxq.models.blame import blaming
from sxq.models.forward import forward_full, scores
from sxq.models.model import Model
from sxq.models.thread_count import one_thread
from sxq.planning.nodes import FieldScan, Generate, Plan, Verify
from sxq.scoring.measures import Measure, MeasureBatch
from sxq.scoring.question import Question, ask

ANCHORS = 256  # most nodes of a field to which all others are likened
SAMPLED = 1  # of the seed of the units that are searched, where the field is too large for all


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A plan with all objects that its names refer to; all targets of a run share it."""

    plan: Plan
    graph: Graph | GraphSet
    model: Model
    measures: Mapping[str, Measure]  # by name
    learned: Mapping[str, object] = field(default_factory=dict)  # pre-trained attributors, by name
    # By ordinal: the edges of explanations, by their numbers in the graph, to measure in place of a search.
    members: Mapping[int, Sequence[np.ndarray]] = field(default_factory=dict)

    @property
    def whole_graph(self) -> Graph:
        """The graph whose nodes are the targets."""
        assert isinstance(self.graph, Graph)
        return self.graph

    @property
    def collection(self) -> GraphSet:
        """The collection whose graphs are the targets."""
        assert isinstance(self.graph, GraphSet)
        return self.graph

    def roots(self, position: int) -> tuple[int, ...]:
        """The positions of the nodes that a target is: one, both ends of a link, or none of a graph."""
        kind = self.plan.find(FieldScan).kind
        if kind == "link":
            return link_ends(self.whole_graph, position)
        return () if kind == "graph" else (position,)

    def full(self, position: int) -> Tensor:
        """The output [1, C] of a target on the whole graph, of a link perhaps without itself."""
        scan = self.plan.find(FieldScan)
        if scan.kind != "link":
            return self.model.full[[position]]
        if not scan.without_itself:
            return self._links[[scan.positions.index(position)]]
        graph = self.whole_graph
        ends = link_ends(graph, position)
        keep = np.ones(graph.num_edges, bool)
        keep[between(graph, *ends, scan.edge_type)] = False
        return forward_full(self.model, graph, keep, np.array(ends)[:, None])

    @cached_property
    def _links(self) -> Tensor:
        """The outputs [n, C] of all links of the statement."""
        positions = np.array(self.plan.find(FieldScan).positions, np.int64)
        pairs = np.stack(np.divmod(positions, self.whole_graph.num_nodes))
        return scores(self.model, self.whole_graph, pairs)

    @cached_property
    def backend(self) -> Backend:
        """The inference backend, opened once."""
        return open_backend(self.plan.find(Verify).backend, self.model)


@dataclass(frozen=True, eq=False)
class FieldModel:
    """The model on one field. The backend loads the field when it is first needed."""

    model: Model
    backend: Backend
    graph: Graph
    field: Field
    batch_memory: int  # bytes
    alone: bool = False  # of a whole graph: whether its candidates run one at a time

    @cached_property
    def on_device(self) -> Any:
        """The field as loaded by the backend."""
        loaded = self.backend.load(self.graph, self.field)
        return replace(loaded, alone=True) if self.alone else loaded

    def ends(self) -> Tensor:
        """Outputs [2, C] on the whole graph and on the graph without any candidate unit."""
        nothing = np.zeros((1, self.field.num_units), bool)
        empty, full = self.backend.infer([CandidateBatch(self.on_device, nothing)])[0][:, 0]
        return torch.stack([full, empty])

    def infer(self, bits: np.ndarray) -> np.ndarray:
        """Class probabilities [2, n, C] on any units [n, U] alone, and on G without them."""
        return infer_batches(self.model, self.backend, self.on_device, bits, self.batch_memory)

    def unloaded(self) -> "FieldModel":
        """The same without the loaded field, which is loaded again on the next use."""
        return replace(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """A target with its field, and the model's output on both ends."""

    ordinal: int  # its place among the targets of the statement
    position: int  # of the node or link in its graph, or of the graph in its collection
    key: Any  # the same, as users name it
    kind: str  # "node", "link" or "graph"
    roots: tuple[int, ...]  # the positions of the nodes that the target is
    on_field: FieldModel
    probabilities: np.ndarray  # [C] on the whole graph
    predicted: int  # what the model says: the class; of regression the column that is explained
    question: Question
    probability: (
        float  # p(c) on the whole graph, of the class in question; of regression the number
    )
    empty: float  # the same without any candidate unit
    p_full: float  # p on the whole graph, as measures take it
    p_empty: float  # p without any candidate unit
    self_sufficient: bool  # whether the model gives the same answer without any candidate unit, too
    rounding: float  # largest change of a log-odds by rounding to float32
    # (SEED, position), of a link (SEED, u, v): the start of every random choice
    seed: tuple[int, ...]
    # what generators see of the field, where INCLUDE, EXCLUDE or ANYWHERE restrict candidates
    restriction: Restriction | None = None
    anywhere: bool = False  # candidates need not be connected
    first_edge: int = 0  # number of its graph's first edge in the collection

    @property
    def graph(self) -> Graph:
        """The graph that the field was cut out of."""
        return self.on_field.graph

    @property
    def field(self) -> Field:
        """The candidate units and their surroundings."""
        return self.on_field.field

    def batch(
        self, bits: np.ndarray, p_kept: np.ndarray, p_removed: np.ndarray, robust_budget: int = 0
    ) -> MeasureBatch:
        """Candidates [n, U] as measures see them, with p [n] on G_s and on G \\ G_s."""
        return MeasureBatch(
            field=self.field,
            bits=bits,
            p_full=self.p_full,
            p_empty=self.p_empty,
            p_kept=p_kept,
            p_removed=p_removed,
            predicted=self.question.column,
            infer=self.on_field.infer,
            seed=self.seed,
            question=self.question,
            able=self.able,
            robust_budget=robust_budget,
            influence=lambda: self._influence,
            likeness=lambda: self._likeness,
        )

    @cached_property
    def _influence(self) -> np.ndarray:
        """How much each node of the field moves the answer, [N]."""
        on = self.on_field
        return node_influence(on.model, on.graph, on.field, self.question, self.question.favoured)

    def gradients(self) -> EdgeGradients:
        """The first-order estimates of the worth of its units, for generators."""
        on = self.on_field
        return EdgeGradients(
            on.model,
            on.graph,
            on.field,
            self.question,
            on.backend,
            alone=on.alone or on.model.alone,
        )

    @cached_property
    def _likeness(self) -> np.ndarray:
        """Cosines [N, A], not below 0, of the nodes' features with those of an even sample of ANCHORS nodes."""
        x = self.graph.features(self.field.nodes).astype(np.float64)
        length = np.linalg.norm(x, axis=1, keepdims=True)
        x = np.divide(x, length, out=np.zeros_like(x), where=length > 0)
        return np.clip(x @ x[:: max(1, -(-len(x) // ANCHORS))].T, 0, 1)

    def able(self, bits: np.ndarray) -> np.ndarray:
        """Which sets of units [n, U] are candidates, as [n] bool."""
        found = np.asarray(bits.any(axis=1))
        if self.restriction:
            found &= (bits | ~self.restriction.included).all(axis=1)
        if not self.anywhere:
            found &= (self.field.component(bits) == bits).all(axis=1)
        return found

    def unloaded(self) -> "Loaded":
        """The same without the loaded field."""
        return replace(self, on_field=self.on_field.unloaded())


def load(job: Job, ordinal: int) -> Loaded:
    """The target at this place in the statement, ready to be searched.

    Raises ModelNotLocal if the model's output on the field differs from that on the full graph.
    """
    scan = job.plan.find(FieldScan)
    position = scan.positions[ordinal]
    on_field, ends = (_load_whole if scan.kind == "graph" else _load_field)(job, position)
    # The full graph decides the class: rounding on the field may reverse a tie.
    full = ends[:1] if on_field.alone else job.full(position)
    with one_thread():
        values = job.model.probabilities(ends).cpu().numpy()
        registered = job.model.probabilities(full).cpu().numpy()[0]
    question = _question(job, registered, values)
    roots = job.roots(position)
    seed = (job.plan.find(Generate).seed, *(roots or (position,)))
    on_field = _without_excluded(job, on_field)
    on_field = _searchable(job, on_field, question, seed)
    probability, empty = _as_stored(job.model, question, values)
    p_full, p_empty = question.p(values).tolist()
    return Loaded(
        ordinal=ordinal,
        position=position,
        key=scan.targets[ordinal],
        kind=scan.kind,
        roots=roots,
        on_field=on_field,
        probabilities=values[0],
        predicted=question.column if question.numeric else int(registered.argmax()),
        question=question,
        probability=probability,
        empty=empty,
        p_full=p_full,
        p_empty=p_empty,
        self_sufficient=bool(question.kept(values[1:])[0]),
        rounding=float(rounding(job.model, ends).max()),
        seed=seed,
        restriction=restriction(scan, on_field.graph, on_field.field, scan.targets[ordinal]),
        anywhere=scan.anywhere,
        first_edge=int(job.collection.edge_ptr[position]) if scan.kind == "graph" else 0,
    )


def _question(job: Job, registered: np.ndarray, values: np.ndarray) -> Question:
    """What the statement asks of a target, given what the model says [C] of it on the whole graph.

    `values` [2, C] are those on the field, and without any candidate unit.
    """
    asked = job.plan.find(Verify).asked
    question = ask(
        registered,
        job.model.task,
        column=asked.column,
        against=asked.against,
        tolerance=asked.tolerance,
    )
    full, empty = values[:, question.column]
    return replace(question, falls=not question.numeric or bool(empty <= full))


def _as_stored(model: Model, question: Question, values: np.ndarray) -> list[float]:
    """The probability of the class in question [2]; of a regression the number itself."""
    scale = model.spread[question.column] if question.numeric else 1.0
    return (question.of_class(values) * scale).tolist()


def _load_field(job: Job, position: int) -> tuple[FieldModel, Tensor]:
    """The field of a node or a link, wide enough to agree with the full graph, and outputs [2, C]."""
    scan = job.plan.find(FieldScan)
    model = job.model
    graph = job.whole_graph
    full = job.full(position)
    named = f"{scan.kind} {scan.targets[scan.positions.index(position)]!r}"
    for wider in range(WIDEST + 1):
        field = scan.field(graph, position, scan.halo + wider)
        field = in_units(scan, graph, field)
        on_field = _on_field(job, graph, field)
        with blaming(model, f"the receptive field of {named}"):
            ends = on_field.ends()
        if agree(model, ends[:1], full):
            if scan.directed and graph.undirected and position == scan.positions[0]:
                _require_single_directions(job, on_field, scan.halo + wider)
            return on_field, ends
    apart = difference(model, ends[:1], full)
    raise ModelNotLocal(
        f"on the {scan.hops}-hop field of {named} the model's output differs by "
        f"{apart:.2g} from the full graph's, with up to {scan.halo + WIDEST} rings of context; "
        f"register the model with layers= its true depth"
    )


def _require_single_directions(job: Job, on_field: FieldModel, halo: int) -> None:
    """Raise ModelError where single directions are no units, because forward adds the other of each pair again.

    On a field that ends a ring earlier the other direction may be missing, so that outputs differ.
    """
    scan = job.plan.find(FieldScan)
    field = scan.field(on_field.graph, on_field.field.target, halo + 1)
    wider = _on_field(job, on_field.graph, in_units(scan, on_field.graph, field))
    tail, head = on_field.field.nodes[on_field.field.ends]
    halves = np.stack([tail > head, tail < head])
    outputs, expected = (
        own.backend.infer([CandidateBatch(own.on_device, halves)])[0] for own in (on_field, wider)
    )
    if not agree(job.model, outputs.flatten(0, 1), expected.flatten(0, 1)):
        raise ModelError(
            "EDGES DIRECTED removes single directions, but forward adds the reverse of each edge, as "
            "to_undirected does, so that removing one changes nothing; leave EDGES DIRECTED out"
        )


@one_thread()
def _load_whole(job: Job, number: int) -> tuple[FieldModel, Tensor]:
    """A whole graph of a collection as a field, and the outputs [2, C] on both ends.

    A batch may decide a tie in another way than the graph alone, where a model ranks nodes. What the
    model says of the graph alone counts; where a batch changes it, all candidates run one at a time.
    """
    scan = job.plan.find(FieldScan)
    graph = job.collection.member(number)
    on_field = _on_field(job, graph, in_units(scan, graph, whole(graph, scan.directed)))
    named = f"graph {scan.targets[scan.positions.index(number)]!r}"
    with blaming(job.model, named):
        ends = on_field.ends()
    known = job.model.full[[number]]
    if not isinstance(job.backend, Pooled) or job.model.alone:
        if agree(job.model, ends[:1], known):
            return on_field, ends
        raise ModelNotLocal(f"{named} gets another output than at registration")
    with blaming(job.model, named):
        alone = whole_graph_alone(job.model, job.collection, number)
        if all(agree(job.model, each, alone) for each in (ends[:1], known)):
            return on_field, ends
        on_field = replace(on_field, alone=True)
        ends = on_field.ends()
    if agree(job.model, ends[:1], alone):
        return on_field, ends
    raise ModelNotLocal(f"{named} alone gets another output in a second run")


def _without_excluded(job: Job, on_field: FieldModel) -> FieldModel:
    """The same field without the units that EXCLUDE keeps out of candidates."""
    scan = job.plan.find(FieldScan)
    if not scan.exclude:
        return on_field
    field = exclude(scan, on_field.graph, on_field.field)
    return _on_field(job, on_field.graph, field, on_field.alone)


def _searchable(
    job: Job, on_field: FieldModel, question: Question, seed: tuple[int, ...]
) -> FieldModel:
    """The same field, or one with fewer units to search, if all would not fit the memory."""
    field = on_field.field
    most = memory_bound.searched_units(field.num_units, on_field.batch_memory)
    if field.num_units == most:
        return on_field
    worth = np.zeros(field.num_units)
    if job.backend.cost(on_field.on_device) <= on_field.batch_memory:
        gradients = EdgeGradients(job.model, on_field.graph, field, question, job.backend)
        worth = gradients(np.ones((1, field.num_units), bool), True)[0]
    worth = worth_included(job.plan.find(FieldScan), on_field.graph, field, worth)
    rng = np.random.default_rng([*seed, SAMPLED])
    units = memory_bound.strongest(field, worth, most, rng)
    return _on_field(job, on_field.graph, field.narrowed(units), on_field.alone)


def _on_field(job: Job, graph: Graph, field: Field, alone: bool = False) -> FieldModel:
    memory = job.plan.find(Verify).batch_memory
    on_field = FieldModel(job.model, job.backend, graph, field, memory, alone=alone)
    on_field.on_device  # noqa: B018 (loads the field: the model is not to blame if that fails)
    return on_field
