"""How much each node of a field moves the model's answer: the measure `influence` adds these up.

The influence of u is |d log p(c) / d x_u|, summed over the features, as a share of that of all nodes
of the field: the influence score of Xu et al. 2018 ("Representation Learning on Graphs with Jumping
Knowledge Networks", definition 3.1), of the answer in place of a whole embedding. Cost: one forward
and backward pass for each target.
"""

import numpy as np
import torch

from sxq.errors import ModelError
from sxq.graph import Field, Graph
from sxq.models import device as devices
from sxq.models.call import EDGE_TYPE, NODE_TYPE
from sxq.models.edge_mask import log_answers, place_of_answer
from sxq.models.forward import edge_tensors, node_tensor
from sxq.models.model import Model
from sxq.models.thread_count import one_thread
from sxq.scoring.question import Question


@one_thread()
def node_influence(
    model: Model, graph: Graph, field: Field, question: Question, predicted: int
) -> np.ndarray:
    """Shares [N] of the field's nodes; equal ones where no feature moves the answer.

    Raises ModelError for a model that reads more than features, edges, weights and attributes.
    """
    if others := [name for name in model.call.carries if name not in (NODE_TYPE, EDGE_TYPE)]:
        raise ModelError(
            f"the measure influence does not pass on {', '.join(others)}; leave it out"
        )
    x = node_tensor(model, graph, field.nodes).clone().requires_grad_()
    _, weight, attr = edge_tensors(graph, field.edges, model.device, model.call.edge_inputs)
    edge_index = devices.to_device(field.edge_index, model.device)
    owner = torch.zeros(len(x), dtype=torch.long, device=model.device)
    with torch.enable_grad():
        own = model.at_targets(x, edge_index, weight, attr, starts=owner[:1], owner=owner)
        answer = log_answers(model, own, question)[0, place_of_answer(question, predicted)]
        (gradient,) = torch.autograd.grad(answer, x)
    total = gradient.abs().double().sum(dim=1).cpu().numpy()
    return total / total.sum() if total.sum() > 0 else np.full(len(total), 1 / len(total))
