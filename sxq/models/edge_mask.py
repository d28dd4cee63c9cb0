"""The model under an edge mask: learned explainers differentiate through it.

Masking is not removal: it multiplies messages after normalisation or softmax. It serves training,
and never scores candidates.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

from sxq.errors import ModelError
from sxq.graph import Graph, GraphSet, extract, whole
from sxq.models.model import Model
from sxq.models.odds import answer_odds, as_two_classes
from sxq.models.refine import Batch, Instances
from sxq.scoring.question import Question

LEAD = 1.0  # log-odds by which the answer of a number stands out on the whole graph


def log_probabilities(
    model: Model, batch: Batch, mask: Tensor, question: Question | None = None
) -> Tensor:
    """log p [B, C] of the targets of a batch whose messages are multiplied by mask [E].

    One column of output gives two classes; so does a `question` that is not about the predicted class
    (`log_answers`). The engine's own copy of the model is masked, and left
    without masks even after an exception.
    """
    if model.call.carries:
        raise ModelError(
            f"explainers that learn an edge mask do not pass on {', '.join(model.call.carries)}; "
            f"choose another generator, such as BY search"
        )
    try:
        with torch.enable_grad():
            set_masks(model.module, mask, batch.edge_index, apply_sigmoid=False)
            own = model.at_targets(
                batch.x,
                batch.edge_index,
                batch.edge_weight,
                batch.edge_attr,
                starts=batch.root,
                owner=batch.owner,
            )
            return log_answers(model, own, question)
    finally:
        clear_masks(model.module)


def log_answers(model: Model, output: Tensor, question: Question | None) -> Tensor:
    """log p of output rows [n, C]: of the classes, or [n, 2] of the other answer to a question and of its own."""
    if question is None or question.plain:
        return as_log_probabilities(output, model.output)
    odds = answer_odds(model, output, question)
    return as_two_classes(odds + LEAD if question.numeric else odds)


def place_of_answer(question: Question | None, predicted: int) -> int:
    """The column of `log_answers` that holds the answer on the whole graph."""
    return predicted if question is None or question.plain else 1


def as_log_probabilities(output: Tensor, kind: str) -> Tensor:
    """Output rows [n, C] as log p; differentiable, and saturates late."""
    if kind == "probs":
        output = output.clamp(1e-12, 1 - 1e-7).log()
    if output.shape[1] == 1:
        if kind == "logits":
            return torch.cat([F.logsigmoid(-output), F.logsigmoid(output)], dim=1)
        return torch.cat([torch.log1p(-output.exp().clamp(max=1 - 1e-7)), output], dim=1)
    return output.log_softmax(dim=1) if kind == "logits" else output


def instances_of(model: Model, graph: Graph | GraphSet, positions: np.ndarray) -> Instances:
    """The fields of some targets, each with its halo, in the units of their graph."""
    if isinstance(graph, GraphSet):
        return Instances(
            [
                (graph.member(i), whole(graph.member(i), not graph.undirected))
                for i in positions.tolist()
            ]
        )
    return Instances(
        [(graph, extract(graph, v, model.hops, model.halo)) for v in positions.tolist()]
    )


def probabilities_of(model: Model, positions: np.ndarray) -> np.ndarray:
    """The model's probabilities [n, C] for whole targets, as registration kept them."""
    return model.probabilities(model.full[torch.from_numpy(positions)]).numpy()
