"""Checks at registration that a graph classifier judges each graph on its own.

Whole graphs must get the same output alone as in a batch. Cut graphs, whose many equal nodes tie
where a model ranks them, may differ; then the model runs one graph at a time.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from sxq.errors import ModelError, ModelNotLocal, ModelOutputError
from sxq.graph import GraphSet, whole
from sxq.inference import CandidateBatch
from sxq.inference.agreement import agree, difference
from sxq.inference.causes import mixing_cause, random_cause, watch
from sxq.inference.disjoint import Pooled
from sxq.inference.precision import in_double, measured_error
from sxq.models.blame import blaming
from sxq.models.forward import batch_tensors
from sxq.models.model import Model

GRAPHS = 4  # compared whole
CUT = 6  # compared with some units removed
TIMES = 8  # random removals of each

ONE_BY_ONE = "one graph at a time, as other graphs in a batch change its output (ties?)"


def require_alone(model: Model, graphs: GraphSet) -> Model:
    """The graph classifier, with `alone` if it must run one graph at a time.

    Raises ModelError if two runs differ, ModelNotLocal if whole graphs get another output in a
    batch.
    """
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(graphs), min(GRAPHS, len(graphs)), replace=False).tolist()
    alone = [_repeatable(model, graphs, number) for number in chosen]
    model = replace(model, error=measured_error(model, in_double(model, graphs), graphs))
    for number, out in zip(chosen, alone):
        if not agree(model, out, model.full[[number]]):
            return _if_it_ranks(model, graphs, number, out)
    return model if _cut_graphs_agree(model, graphs, rng) else one_by_one(model, graphs)


def _repeatable(model: Model, graphs: GraphSet, number: int) -> Tensor:
    """The output [1, C] of one graph alone; raises ModelError if a second run gives another."""
    out = whole_graph_alone(model, graphs, number)
    again = whole_graph_alone(model, graphs, number)
    if not agree(model, again, out):
        raise ModelError(
            f"two runs on graph {graphs.key(number)!r} differ by "
            f"{difference(model, again, out):.2g}: {random_cause(watch(model, graphs))}"
        )
    return out


def whole_graph_alone(model: Model, graphs: GraphSet, number: int) -> Tensor:
    """The output [1, C] of one graph alone. Raises ModelError or ModelOutputError."""
    with blaming(model, f"graph {graphs.key(number)!r} alone"), torch.inference_mode():
        out = (
            model(*batch_tensors(graphs, np.array([number]), model.device, model.call))
            .float()
            .cpu()
        )
    if out.shape != (1, model.full.shape[1]):
        raise ModelOutputError(
            f"for graph {graphs.key(number)!r} alone the model returned shape {list(out.shape)}, "
            f"expected [1, {model.full.shape[1]}]: one row for each graph, also for one graph; "
            f"is it squeezed? Say .squeeze(1) or .squeeze(-1) for the axis that is meant, or drop it"
        )
    return out


def _if_it_ranks(model: Model, graphs: GraphSet, number: int, alone: Tensor) -> Model:
    """The model to be run one graph at a time, if ranking is why a whole graph gets another output."""
    named = f"graph {graphs.key(number)!r}"
    witness = watch(model, graphs)
    if witness.ranks and not witness.norms:
        return one_by_one(model, graphs)
    raise ModelNotLocal(
        f"{named} alone gets another output than in a batch, by "
        f"{difference(model, alone, model.full[[number]]):.2g}; a graph must be judged without "
        f"looking at the others ({mixing_cause(model, witness)})"
    )


def one_by_one(model: Model, graphs: GraphSet) -> Model:
    """The model to be run one graph at a time, with its outputs found that way."""
    full = torch.cat([whole_graph_alone(model, graphs, number) for number in range(len(graphs))])
    return replace(model, alone=True, full=full)


def _cut_graphs_agree(model: Model, graphs: GraphSet, rng: np.random.Generator) -> bool:
    """Whether graphs with random units removed get the same outputs alone and in a batch."""
    together = Pooled(model)
    alone = Pooled(replace(model, alone=True))
    with_edges = np.flatnonzero(np.diff(graphs.edge_ptr))
    batches = []
    for number in rng.choice(with_edges, min(CUT, len(with_edges)), replace=False).tolist():
        member = graphs.member(number)
        field = whole(member)
        bits = rng.random((TIMES, field.num_units)) < np.linspace(0, 0.9, TIMES)[:, None]
        batches.append(CandidateBatch(together.load(member, field), bits))
    if not batches:
        return True
    with blaming(model, "graphs of the collection, cut"):
        pairs = zip(together.infer(batches), alone.infer(batches))
        return all(agree(model, one, other) for one, other in pairs)
