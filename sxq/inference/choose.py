"""Chooses the backend of a model: layered if it equals the plain model, otherwise disjoint.

A model that can be traced is checked before it is trusted, on random candidates of real fields: for
one candidate, for seven, and for as many as each layer has channels, because there a mix-up of
candidates and channels would show. The fields of a graph classifier are whole graphs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from torch import Tensor

from sxq.errors import InvalidValue, ModelError
from sxq.graph import Field, Graph, GraphSet, extract, extract_link, link_name, over_features, whole
from sxq.graph.feature_field import BASELINES
from sxq.inference import Backend, CandidateBatch
from sxq.inference.agreement import agree, difference
from sxq.inference.depth import heads_of
from sxq.inference.disjoint import Disjoint, Pooled
from sxq.inference.layered.backend import Layered
from sxq.inference.probes import changed
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models.model import Model

BACKENDS = {"layered": Layered, "disjoint": Disjoint}
FIELDS = 3  # real fields that the check uses
WIDEST = 64  # largest batch checked
# Bytes of a reference batch: on large fields only some candidates are compared.
REFERENCE = 100 * 2**20


def choose(model: Model, graph: Graph | GraphSet, setting: str = "auto") -> tuple[str, str]:
    """(name of the backend, reason) for a model with known hops and halo; `setting` is sxq_inference.

    Raises ModelError if 'layered' is requested and not possible.
    """
    if setting == "disjoint":
        return "disjoint", "as set"
    try:
        check(model, graph)
        return "layered", ""
    except Untraceable as why:
        if setting == "layered":
            raise ModelError(f"sxq_inference is 'layered', but {why}") from why
        return "disjoint", str(why)


def choose_over_features(model: Model, graph: Graph | GraphSet) -> tuple[str, str]:
    """(name of the backend, reason) where units are features; found once for a model.

    Raises InvalidValue if x is not float32, or if the model ignores it.
    """
    if "over features" not in model.opened:
        model.opened["over features"] = _over_features(model, graph)
    return model.opened["over features"]


def _over_features(model: Model, graph: Graph | GraphSet) -> tuple[str, str]:
    union = graph.union if isinstance(graph, GraphSet) else graph
    if union.x.dtype != np.float32:
        raise InvalidValue(
            f"OVER FEATURES, but x is {union.x.dtype}: a baseline stands for numbers, not for whole "
            "numbers that are names; say OVER NODES or OVER EDGES"
        )
    if _ignores_features(model, graph):
        raise InvalidValue(
            "OVER FEATURES, but the model ignores x: its output is the same whatever the features are; "
            "say OVER NODES or OVER EDGES"
        )
    if model.backend == "disjoint":
        return "disjoint", model.reason
    try:
        for baseline in BASELINES:
            check(model, graph, partial(_in_features, baseline=baseline))
    except Untraceable as why:
        return "disjoint", str(why)
    return "layered", ""


def _in_features(graph: Graph, field: Field, baseline: str) -> Field:
    return over_features(field, graph, baseline)


def _ignores_features(model: Model, graph: Graph | GraphSet) -> bool:
    """Whether other features never move the output."""
    rng = np.random.default_rng(0)
    plain = open_backend("disjoint", model)
    for _, own, field in _fields(model, graph, rng):
        nothing = CandidateBatch(plain.load(own, field), np.zeros((1, field.num_units), bool))
        found = plain.infer([nothing])[0]
        for times in (0.0, 1.0):
            x = (times * rng.standard_normal(own.x.shape) * (1 + own.x.std(axis=0))).astype(
                np.float32
            )
            other = CandidateBatch(plain.load(changed(own, x=x), field), nothing.bits)
            if not agree(model, plain.infer([other])[0], found):
                return False
    return True


def open_backend(name: str, model: Model) -> Backend:
    """The backend of that name, ready to load fields.

    A model has one of each name, as a backend keeps nothing of the candidates it runs.
    """
    if name not in model.opened:
        model.opened[name] = (
            Pooled(model) if model.pools and name == "disjoint" else BACKENDS[name](model)
        )
    return model.opened[name]


def check(
    model: Model,
    graph: Graph | GraphSet,
    units: Callable[[Graph, Field], Field] = lambda own, field: field,
) -> None:
    """Raise Untraceable, with the reason, unless the layered backend agrees with the plain model.

    `units` makes other units of a field whose units are edges.
    """
    with _untraceable("reading it layer by layer"):
        layered = Layered(model)
    plain = open_backend("disjoint", model)
    rng = np.random.default_rng(0)
    for where, own, edges in _fields(model, graph, rng):
        field = units(own, edges)
        with _untraceable("running it layer by layer"):
            fast = layered.load(own, field)
        slow = plain.load(own, field)
        for size in _sizes(model):
            bits = rng.random((size, field.num_units)) < rng.random((size, 1))
            if size > 1:
                bits[0] = False
                bits[-1] = True
            some = np.linspace(
                0, size - 1, min(size, max(1, REFERENCE // plain.cost(slow)))
            ).astype(int)
            found = _run(layered, CandidateBatch(fast, bits))[:, some]
            expected = plain.infer([CandidateBatch(slow, bits[some])])[0]
            if not agree(model, found, expected):
                raise Untraceable(
                    f"layer by layer, {where} differs by {difference(model, found, expected):.2g} "
                    f"from the plain model"
                )


def _run(layered: Layered, batch: CandidateBatch) -> Tensor:
    with _untraceable("running it layer by layer"):
        return layered.infer([batch])[0]


@contextmanager
def _untraceable(doing: str) -> Iterator[None]:
    """Within, every exception is a reason for the plain model: a layer has an option not foreseen."""
    try:
        yield
    except Untraceable:
        raise
    except Exception as error:
        said = (str(error).splitlines() or [""])[0]
        raise Untraceable(f"{doing} failed: {type(error).__name__}: {said}") from error


def _sizes(model: Model) -> list[int]:
    widths = {p.shape[0] for p in model.module.parameters() if p.ndim}
    return sorted({1, 7, *(width for width in widths if width <= WIDEST)})


def _fields(
    model: Model, graph: Graph | GraphSet, rng: np.random.Generator
) -> Iterator[tuple[str, Graph, Field]]:
    """Some targets that have edges: a description of each, the graph it is in, and its field."""
    if isinstance(graph, GraphSet):
        for number in _some(np.flatnonzero(np.diff(graph.edge_ptr)), rng):
            yield f"graph {graph.key(number)!r}", graph.member(number), whole(graph.member(number))
    elif model.pairs is not None:
        # The first pairs are edges, the last ones are not.
        for u, v in model.pairs.T[[*range(FIELDS - 1), -1]].tolist():
            position = u * graph.num_nodes + v
            field = extract_link(graph, position, model.hops, model.halo)
            yield f"link {link_name(graph, position)}", graph, field
    else:
        for target in _some(heads_of(model, graph), rng):
            yield (
                f"node {graph.key(target)!r}",
                graph,
                extract(graph, target, model.hops, model.halo),
            )


def _some(numbers: np.ndarray, rng: np.random.Generator) -> list[int]:
    return rng.choice(numbers, size=min(FIELDS, len(numbers)), replace=False).tolist()
