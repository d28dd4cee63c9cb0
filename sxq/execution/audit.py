"""AUDIT: re-measure explanations by plain full-graph PyG forward passes, one at a time.

This code is independent of the verifier, the fields and the measures' batches: it finds edges by
their keys in the whole graph, really removes them, and runs the model on the rest. For a graph
classifier, the whole graph is the member of the collection that was explained.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sxq.errors import NodeNotFound, shown
from sxq.execution.audit_field import FieldTarget, field_mistake
from sxq.execution.audit_question import AskedAgain, Reading, column_of, read_again
from sxq.execution.audit_units import AskedUnits, Cut, Place, varying
from sxq.execution.verifier import TIE
from sxq.graph import Graph, GraphSet, LinkKey
from sxq.inference.agreement import TOLERANCE, inexactness, rounding, too_coarse
from sxq.models import device as devices
from sxq.models.blame import blaming
from sxq.models.forward import edge_tensors, forward_full, node_tensor
from sxq.models.model import Model


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An explanation as the database holds it."""

    target: Any  # key of the node, or of the graph
    edges: tuple[tuple[Any, Any], ...]  # by key, every directed edge
    worths: tuple[Any, ...]  # of each edge: its unit, kept, removed, needed; None where not stored
    edge_types: tuple[str | None, ...] = ()  # of each edge, by name; None without types
    nodes: tuple[Any, ...] = ()  # OVER NODES, the units: unit (a key), kept, removed, needed
    features: tuple[Any, ...] = ()  # OVER FEATURES, the same: unit (a column), ..., name, value
    raw: Mapping[str, float]
    factual: bool
    counterfactual: bool
    tie: bool


@dataclass(frozen=True)
class Finding:
    """The result of measuring an explanation again."""

    difference: float  # the largest difference to a stored raw value
    verdict: str  # "ok", "ok to" a tolerance where float32 is too coarse, or every mistake found

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict.startswith("ok")


class Auditor:
    """Measures stored targets and explanations again, on the whole graph and the model itself."""

    def __init__(
        self,
        graph: Graph | GraphSet,
        model: Model,
        directed: bool | None,
        asked: AskedAgain | None = None,
        units: AskedUnits | None = None,
    ):
        self.graph = graph
        self.model = model
        self.directed = directed  # whether a unit is a directed edge; None where it is unknown
        self.asked = asked or AskedAgain()  # by default, why the predicted class
        self.units = units or AskedUnits()
        self._key: Any = None
        self._held = torch.empty(0)  # the outputs on the graph and on no edges, of the last target
        self._everywhere: list[torch.Tensor] = []  # the same for every node, once they are needed

    def target(self, key: Any, columns: Mapping[str, Any]) -> list[str]:
        """What is wrong in the columns of a stored target, in words; raises ModelError, NodeNotFound."""
        if columns["prediction"] is None:
            return []  # its search never began
        outputs = self._ends(key)
        wrong = self._wrong_field(key, columns["hops"], columns["field_size"])
        if mistaken := self._wrong_class(outputs, columns):
            return [*wrong, mistaken]
        found = self._reading(outputs)
        tolerance = _tolerance(self.model, outputs, found.p)
        again = {"probability": found.shown[0], "p_empty": found.shown[1]}
        wrong += [
            f"{name} differs by {apart:.2g}"
            for name, value in again.items()
            if not (apart := _difference({name: value}, columns)) < tolerance * found.scale
        ]
        alone = bool(found.same[1])
        near = (found.gap < max(TIE, tolerance)).any()
        if columns["self_sufficient"] is not alone and not near:
            wrong.append(f"self_sufficient is {columns['self_sufficient']}, found {alone}")
        return wrong

    def explanation(self, stored: Stored) -> Finding:
        """The differences of a stored explanation; raises ModelError, NodeNotFound."""
        units = self.units.read(self._place(stored.target), stored)
        outputs = torch.cat([self._ends(stored.target), self._outputs(units.cuts())])
        finding = _compare(stored, units.missing, self.model, outputs, self._reading(outputs))
        wrong = self._wrong_worth(stored, units, outputs)
        if not wrong:
            return finding
        words = [wrong] if finding.ok else [finding.verdict, wrong]
        return Finding(finding.difference, "; ".join(words))

    def _place(self, key: Any) -> Place:
        own = self._own(key)
        roots = () if isinstance(self.graph, GraphSet) else self._roots(own, key)
        return Place(
            own,
            roots,
            self.model.hops,
            key,
            itself=self.units.itself,
            edge_type=self.model.edge_type,
        )

    def _roots(self, graph: Graph, key: Any) -> tuple[int, ...]:
        """The positions of a node, or of both ends of a link."""
        if self.model.links is not isinstance(key, LinkKey):
            judged = "links" if self.model.links else "nodes"
            raise NodeNotFound(
                f"the target {shown(key)} is none of the model, which judges {judged}"
            )
        return tuple(map(graph.position, key)) if self.model.links else (graph.position(key),)

    def _outputs(self, cuts: Sequence[Cut]) -> torch.Tensor:
        """The outputs [n, C] of a target on cut graphs."""
        return torch.stack([self._output(cut) for cut in cuts])

    def _output(self, cut: Cut) -> torch.Tensor:
        if not cut.roots:
            return _judge(self.model, cut)
        if self.model.links:
            return forward_full(self.model, cut.graph, cut.keep, np.array(cut.roots)[:, None])[0]
        return forward_full(self.model, cut.graph, cut.keep)[cut.roots[0]]

    def _wrong_worth(self, stored: Stored, units: Any, outputs: torch.Tensor) -> str:
        """What is wrong in the worth of one unit of an explanation, drawn at random; else empty."""
        if not units.units:
            return ""
        rng = np.random.default_rng(units.size)
        drawn = units.units[rng.integers(len(units.units))]
        cuts = units.without(drawn)
        # no unit is left: all nodes stay
        without = self._ends(stored.target).flip(0) if cuts is None else self._outputs(cuts)
        every = torch.cat([outputs, without])
        named, worth = units.worth(drawn)
        return _compare_worth(stored, (named, worth), self._reading(every), self._off(every))

    def _wrong_class(self, outputs: torch.Tensor, columns: Mapping[str, Any]) -> str:
        """What is wrong in `prediction`, `class` and `against`; or empty."""
        asked = self.asked
        c = column_of(self.model, outputs, asked)
        p = self.model.probabilities(outputs)[0].numpy()
        said = c if self.model.task == "regression" else int(p.argmax())
        near = TIE + _tolerance(self.model, outputs, p)
        if columns["prediction"] != said and not _near_top(p, columns["prediction"], near):
            return f"prediction is {columns['prediction']}, found {said}"
        if columns.get("against") != asked.against:
            return f"against is {columns['against']}, but the statement says {asked.against}"
        named = columns.get("class")
        others = p if asked.against is None else np.delete(p, asked.against)
        close = asked.for_class is None and named != asked.against
        if named not in (None, c) and not (close and _near_top(p, named, near, others.max())):
            return f"class is {named}, found {c}"
        return ""

    def _reading(self, outputs: torch.Tensor) -> Reading:
        """The outputs as the question of a target reads them."""
        c = column_of(self.model, outputs, self.asked)
        return read_again(self.model, outputs, self.asked, c)

    def _off(self, outputs: torch.Tensor) -> float:
        """How far the p of outputs, and their differences, may be off."""
        return _tolerance(self.model, outputs, self._reading(outputs).p)

    def _own(self, key: Any) -> Graph:
        """The graph that the target is, or that it is in."""
        graph = self.graph
        return graph.member(graph.position(key)) if isinstance(graph, GraphSet) else graph

    def _ends(self, key: Any) -> torch.Tensor:
        """The outputs [2, C] of a target on the whole graph, and on its loops only."""
        place = self._place(key)
        if len(place.roots) == 1 and self.units.over != "features":
            if not self._everywhere:
                keeps = None, place.loops
                self._everywhere = [forward_full(self.model, place.graph, keep) for keep in keeps]
            return torch.stack([output[place.roots[0]] for output in self._everywhere])
        if self._key != (key,):
            everything = place.cut(np.ones(place.graph.num_edges, bool))
            self._held = self._outputs([everything, self.units.empty(place)])
            self._key = (key,)
        return self._held

    def _wrong_field(self, key: Any, hops: Any, size: Any) -> list[str]:
        if isinstance(self.graph, GraphSet):
            return []
        if hops != self.model.hops:
            return [f"hops is {hops}, but the model looks {self.model.hops} deep"]
        if self.directed is None:
            return []
        place = self._place(key)
        if self.units.over == "features":
            found = len(varying(place))
            return [f"{found} features vary on the field, but {size} are stored"] * (found != size)
        size = size if self.units.over == "edges" else None
        at = FieldTarget(self.graph, self.model, place.roots, self.directed, place.there)
        mistake = field_mistake(at, size)
        return [mistake] if mistake else []


def _judge(model: Model, cut: Cut) -> torch.Tensor:
    """The output of one graph of a collection with some of its edges and nodes."""
    x = node_tensor(model, cut.graph)
    edge_index, weight, attr = edge_tensors(
        cut.graph, np.flatnonzero(cut.keep), model.device, model.call.edge_inputs
    )
    if cut.alive is not None and cut.alive.any():  # a loop is there only if its node is
        present = devices.to_device(cut.alive, x.device)
        number = present.cumsum(0) - 1
        alive = present[edge_index[0]]
        x = x[present]
        edge_index = number[edge_index[:, alive]]
        weight, attr = (None if values is None else values[alive] for values in (weight, attr))
    with blaming(model, "a graph of the collection, cut"), torch.inference_mode():
        return model(x, edge_index, weight, attr)[0].float().cpu()


def _compare(
    stored: Stored, missing: Sequence[str], model: Model, outputs: torch.Tensor, found: Reading
) -> Finding:
    """The differences, given outputs [4, C] on the graph, on no edges, on G_s and on G \\ G_s."""
    full, empty, p_kept, p_removed = found.p.tolist()
    tolerance = _tolerance(model, outputs, found.p)
    fall = abs(full - p_removed) if model.task == "regression" else full - p_removed
    again = {"fdl+": fall, "fdl-": full - p_kept, "lift": p_kept - empty}
    raw = _difference(again, stored.raw)
    flags = bool(found.same[2]), not found.same[3]
    wrong = list(missing[:1])
    if not raw < tolerance:
        wrong.append(f"raw values differ by {raw:.2g}")
    if flags != (stored.factual, stored.counterfactual) and not stored.tie:
        wrong.append(f"found factual = {flags[0]}, counterfactual = {flags[1]}")
    # Rounding decides what is a tie where the margin is just that wide.
    gap = found.gap[2:].min()
    if stored.tie and gap > 100 * max(TIE, tolerance):
        wrong.append("no tie: the margins between the two largest probabilities are wide")
    if not stored.tie and gap < TIE / 100:
        wrong.append("a tie: two probabilities are equally large")
    coarse = too_coarse(rounding(model, outputs).max())
    ok = "ok" if raw < TOLERANCE else f"ok to {tolerance:.1g}: {coarse}"
    return Finding(float(raw), "; ".join(wrong) or ok)


def _compare_worth(stored: Stored, unit: tuple[str, Any], found: Reading, tolerance: float) -> str:
    """What is wrong in the worth of a unit, given `_compare`'s outputs and those without it, as read."""
    kept, removed, kept_less, removed_less = found.p[2:].tolist()
    name, worth = unit
    named = f"of {name}"
    again = {"worth_kept": kept - kept_less, "worth_removed": removed_less - removed}
    known = {"worth_kept": worth.kept, "worth_removed": worth.removed}
    if not (apart := _difference(again, known)) < tolerance:
        return f"worth {named} differs by {apart:.2g}"
    lost = stored.factual and not found.same[4]
    turned = stored.counterfactual and bool(found.same[5])
    near = found.gap[2:].min() < max(TIE, tolerance)
    if worth.needed is not (lost or turned) and not near:
        return f"needed {named} is {worth.needed}, found {lost or turned}"
    return ""


def _tolerance(model: Model, outputs: torch.Tensor, p: np.ndarray) -> float:
    """How far p [n] and their differences may be off; p[0] is that on the graph."""
    off = inexactness(model, p, rounding(model, outputs).max())
    return float(max(TOLERANCE, off[:2].max() + off.max()))


def _near_top(p: np.ndarray, c: Any, near: float, most: float | None = None) -> bool:
    """Whether class c is as probable as the most probable one, but for a tie."""
    top = p.max() if most is None else most
    return isinstance(c, int) and 0 <= c < len(p) and bool(p[c] > top - near)


def _difference(again: Mapping[str, float], stored: Mapping[str, float | None]) -> float:
    """The largest difference to a stored value; infinite where one is not a number."""
    apart = (
        abs(value - known)
        for name, value in again.items()
        if (known := stored.get(name)) is not None
    )
    return max((float("inf") if math.isnan(one) else float(one) for one in apart), default=0.0)
