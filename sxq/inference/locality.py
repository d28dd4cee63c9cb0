"""Finds by experiment, at registration, how many hops a model sees and how much context it needs.

The depth L is found by structure, not by equal values, because a saturated softmax hides a wrong
field (`depth.py`). The halo is the smallest one for which the target's output on the field equals
its output on the full graph, intact and with random units removed; `agreement.py` decides when two
outputs are equal, and `precision.py` looks behind outputs that hide their logits.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from sxq.errors import ModelError, ModelNotLocal
from sxq.graph import Field, Graph, extract, extract_link, link_ends, link_name
from sxq.inference import CandidateBatch
from sxq.inference.agreement import agree, difference
from sxq.inference.causes import (
    OWN_EDGES,
    against_cause,
    against_edges,
    keeps_own_edges,
    mixing_cause,
    watch,
)
from sxq.inference.depth import (
    Depth,
    NotProbed,
    distances,
    find_depth,
    heads_of,
    require_repeatable,
)
from sxq.inference.disjoint import Disjoint
from sxq.inference.link_view import as_node_model, require_separate
from sxq.inference.precision import hides_logits, in_double, measured_error, unsaturated
from sxq.inference.probe_part import DEEPEST_ON_PART, probe_part
from sxq.inference.probes import changed
from sxq.models.blame import blaming
from sxq.models.forward import forward_full
from sxq.models.model import Model

TARGETS = 4  # fields compared with the full graph
REMOVALS = 1  # random removals per field; each costs two full-graph forwards
WIDEST = 3  # rings of halo tried before giving up
FAINT = 1e-3  # times the features, for models whose output is saturated on the graph
ON_PARTS = (
    "sxq runs the model on parts of the graph; what it has for each node, such as an embedding, must come "
    "with the data: give it a field, as data.n_id = torch.arange(n), and forward an argument n_id"
)


def locate(model: Model, graph: Graph, layers: int | None = None) -> Model:
    """The model with `hops` (given, or found) and the smallest sufficient `halo`.

    It also gets the `error` of its log-odds, and `depth`, a remark on how the hops were found.
    Raises ModelError or ModelNotLocal.
    """
    if model.links:
        return _locate_links(model, graph, layers)
    require_repeatable(model, graph)
    if (part := probe_part(graph)) is not None:
        found = _located_on_part(model, graph, part, layers)
        if found is not None:
            return found
    return _located(model, graph, layers)


def _located_on_part(model: Model, graph: Graph, part: Graph, layers: int | None) -> Model | None:
    """The same, found on a part of a large graph and checked on fields of the whole; None if that tells nothing.

    The depth and the halo are properties of the model. So the experiments, which run it dozens of times, run it on
    a small part, and a few fields are then compared with the outputs on the whole graph.
    """
    rng = np.random.default_rng(0)
    try:
        small = replace(model, full=forward_full(model, part))
        if len(small.full) != part.num_nodes:
            return None
        found = _located(small, part, layers)
    except ModelError:
        return None  # what is wrong is said of the whole graph
    if layers is None and found.hops > DEEPEST_ON_PART:
        return None
    facts = {name: getattr(found, name) for name in ("hops", "error", "depth", "shallow")}
    model = replace(model, **facts)
    targets = _targets(model, graph, rng)
    for halo in range(found.halo, WIDEST + 1):
        if all(_whole_agrees(model, graph, target, halo) for target in targets):
            return replace(model, halo=halo)
    return None


def _whole_agrees(model: Model, graph: Graph, target: int, halo: int) -> bool:
    """Whether the output of a target on its field is the one on the whole graph, which is known."""
    backend = Disjoint(model)
    field = extract(graph, target, model.hops, halo)
    loaded = backend.load(graph, field)
    nothing = CandidateBatch(loaded, np.zeros((1, field.num_units), bool))
    with blaming(model, f"the receptive field of node {graph.key(target)!r}", ON_PARTS):
        found = backend.infer([nothing])[0][1].cpu()
    return agree(model, found, model.full[[target]])


def _located(model: Model, graph: Graph, layers: int | None) -> Model:
    """`locate` by experiments on the graph."""
    rng = np.random.default_rng(0)
    double = in_double(model, graph)
    model = replace(model, error=measured_error(model, double, graph))
    close = unsaturated(model, double, graph)
    hops, remark = _hops(close, double, graph, layers, rng)
    model = replace(model, hops=hops, depth=remark, shallow=layers is not None and remark != "")
    cases = [_Case(close, graph, target, hops, rng) for target in _targets(model, graph, rng)]
    if hides_logits(model) and cases and not any(case.tells() for case in cases):
        faint = changed(graph, x=graph.x * np.float32(FAINT))
        cases += [_Case(close, faint, target, hops, rng) for target in _targets(model, graph, rng)]
        if not any(case.tells() for case in cases):
            remark = f"{remark}; " if remark else ""
            remark += f"all probabilities are 0 or 1: {WIDEST} rings of context, to be safe"
            return replace(model, halo=WIDEST, depth=remark)
    for halo in range(WIDEST + 1):
        cases_left = [case for case in cases if not case.agrees(halo)]
        if not cases_left:
            return replace(model, halo=halo)
    raise _not_local(close, graph, hops, cases_left[0])


def _locate_links(model: Model, graph: Graph, layers: int | None) -> Model:
    """The same for a model of links: its depth is that at one end, and the halo is enough for pairs, too."""
    require_repeatable(model, graph)
    require_separate(model, graph)
    seen = locate(as_node_model(model, graph), graph, layers)
    assert model.pairs is not None
    rng = np.random.default_rng(0)
    some = rng.permutation(model.pairs.shape[1])[:TARGETS]
    hops = seen.hops
    cases = [
        _Case(model, graph, int(u) * graph.num_nodes + int(v), hops, rng)
        for u, v in model.pairs[:, some].T
    ]
    found = replace(model, hops=hops, error=seen.error, depth=seen.depth, shallow=seen.shallow)
    for halo in range(seen.halo, WIDEST + 1):
        cases_left = [case for case in cases if not case.agrees(halo)]
        if not cases_left:
            return replace(found, halo=halo)
    raise _not_local(model, graph, hops, cases_left[0])


def _hops(
    model: Model, double: Model | None, graph: Graph, layers: int | None, rng: np.random.Generator
) -> tuple[int, str]:
    """The depth, and a remark on it; a given depth is compared with the one found."""
    if layers is None:
        found = find_depth(model, graph, rng, double)
        return found.hops, str(found)
    try:
        found = find_depth(model, graph, np.random.default_rng(0), double)
    except NotProbed:
        return layers, ""
    except ModelNotLocal as error:
        return layers, f"layers = {layers} was given; {error}"
    return layers, _remark(found, layers)


def _remark(found: Depth, layers: int) -> str:
    if found.hops <= layers:
        return ""
    return (
        f"layers = {layers} was given, but the model looks {found.hops} hops deep: edges beyond "
        f"{layers} hops are context, in no candidate"
    )


def _not_local(model: Model, graph: Graph, hops: int, case: "_Case") -> ModelNotLocal:
    target = case.target
    reaching = distances(graph, case.roots, graph.edge_index[::-1]) >= 0
    if keeps_own_edges(model, graph):
        cause = OWN_EDGES
    elif not model.links and against_edges(model, graph, target, reaching):
        cause = against_cause(model, graph)
    else:
        cause = (
            "a model is explained by the receptive field of its target, so layers that mix all "
            f"nodes cannot be ({mixing_cause(model, watch(model, graph))})"
        )
    return ModelNotLocal(
        f"with {hops} hop{'s' * (hops != 1)} and {WIDEST} rings of context the output of "
        f"{case.named} still differs from the full graph's by "
        f"{case.difference(WIDEST):.2g}; {cause}"
    )


def _targets(model: Model, graph: Graph, rng: np.random.Generator) -> list[int]:
    heads = heads_of(model, graph)
    return [int(v) for v in rng.choice(heads, size=min(TARGETS, len(heads)), replace=False)]


class _Case:
    """One target with the full graph's outputs, intact and with edges removed: a field must match them."""

    def __init__(
        self, model: Model, graph: Graph, target: int, hops: int, rng: np.random.Generator
    ):
        self.model = model
        self.graph = graph
        self.target = target
        self.hops = hops
        field = self._field(0)
        nothing = np.zeros((1, field.num_units), bool)
        some = rng.random((REMOVALS, field.num_units)) < 0.5
        self.bits = np.concatenate(
            [nothing, some]
        )  # the complement of the first is the whole graph
        halves = [_halves(graph, field, bits) for bits in self.bits]
        self.expected = torch.stack(
            [torch.stack([self._output(keep) for keep in side]) for side in zip(*halves)]
        )

    @property
    def roots(self) -> list[int]:
        """The positions of the node, or of both ends of the link."""
        return list(link_ends(self.graph, self.target)) if self.model.links else [self.target]

    @property
    def named(self) -> str:
        """The target in messages."""
        if self.model.links:
            return f"link {link_name(self.graph, self.target)}"
        return f"node {self.graph.key(self.target)!r}"

    def _field(self, halo: int) -> Field:
        cut = extract_link if self.model.links else extract
        return cut(self.graph, self.target, self.hops, halo)

    def _output(self, keep: np.ndarray) -> Tensor:
        """The output [C] of the target on some edges of the whole graph."""
        if self.model.links:
            ends = np.array(self.roots)[:, None]
            return forward_full(self.model, self.graph, keep, ends)[0]
        return forward_full(self.model, self.graph, keep)[self.target]

    def tells(self) -> bool:
        """Whether any output could differ: a class that is neither certain nor impossible."""
        p = self.model.probabilities(self.expected.flatten(0, -2)).numpy()
        return bool(((p > 0) & (p < 1)).any())

    def agrees(self, halo: int) -> bool:
        return agree(self.model, *self._outputs(halo))

    def difference(self, halo: int) -> float:
        return difference(self.model, *self._outputs(halo))

    def _outputs(self, halo: int) -> tuple[Tensor, Tensor]:
        """The outputs [2, n, C] of the target on its field, and on the whole graph."""
        backend = Disjoint(self.model)
        loaded = backend.load(self.graph, self._field(halo))
        with blaming(self.model, f"the receptive field of {self.named}", ON_PARTS):
            return backend.infer([CandidateBatch(loaded, self.bits)])[0].cpu(), self.expected


def _halves(graph: Graph, field: Field, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges [E] of the whole graph in G_s and in its complement, for bits [U]; loops are in both."""
    inside = np.zeros(graph.num_edges, bool)
    inside[field.edges_of(bits)] = True
    return inside | (graph.edge_index[0] == graph.edge_index[1]), ~inside
