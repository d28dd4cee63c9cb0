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

from sxq.errors import ModelNotLocal
from sxq.graph import Field, Graph, extract
from sxq.inference import CandidateBatch
from sxq.inference.agreement import agree, difference
from sxq.inference.causes import AGAINST, against_edges, mixing_cause, watch
from sxq.inference.depth import (
    Depth,
    NotProbed,
    distances,
    find_depth,
    heads_of,
    require_repeatable,
)
from sxq.inference.disjoint import Disjoint
from sxq.inference.precision import hides_logits, in_double, measured_error, unsaturated
from sxq.inference.probes import changed
from sxq.models.borrow import Model, blaming, forward_full

TARGETS = 4  # fields compared with the full graph
REMOVALS = 1  # random removals per field; each costs two full-graph forwards
WIDEST = 3  # rings of halo tried before giving up
FAINT = 1e-3  # times the features, for models whose output is saturated on the graph


def locate(model: Model, graph: Graph, layers: int | None = None) -> Model:
    """The model with `hops` (given, or found) and the smallest sufficient `halo`.

    It also gets the `error` of its log-odds, and `depth`, a remark on how the hops were found.
    Raises ModelError or ModelNotLocal.
    """
    rng = np.random.default_rng(0)
    require_repeatable(model, graph)
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
    reaching = distances(graph, [target], graph.edge_index[::-1]) >= 0
    if against_edges(model, graph, target, reaching):
        cause = AGAINST
    else:
        cause = (
            "a model is explained by the receptive field of its target, so layers that mix all "
            f"nodes cannot be ({mixing_cause(model, watch(model, graph))})"
        )
    return ModelNotLocal(
        f"with {hops} hop{'s' * (hops != 1)} and {WIDEST} rings of context the output of node "
        f"{graph.key(target)!r} still differs from the full graph's by "
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
        field = extract(graph, target, hops, 0)
        nothing = np.zeros((1, field.num_units), bool)
        some = rng.random((REMOVALS, field.num_units)) < 0.5
        self.bits = np.concatenate(
            [nothing, some]
        )  # the complement of the first is the whole graph
        halves = [_halves(graph, field, bits) for bits in self.bits]
        self.expected = torch.stack(
            [
                torch.stack([forward_full(model, graph, keep)[target] for keep in side])
                for side in zip(*halves)
            ]
        )

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
        loaded = backend.load(self.graph, extract(self.graph, self.target, self.hops, halo))
        with blaming(self.model, f"the receptive field of node {self.graph.key(self.target)!r}"):
            return backend.infer([CandidateBatch(loaded, self.bits)])[0].cpu(), self.expected


def _halves(graph: Graph, field: Field, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges [E] of the whole graph in G_s and in its complement, for bits [U]; loops are in both."""
    inside = np.zeros(graph.num_edges, bool)
    inside[field.edges_of(bits)] = True
    return inside | (graph.edge_index[0] == graph.edge_index[1]), ~inside
