"""CF2: one mask that is enough for the prediction and whose complement is not.

Source: Tan et al., "Learning and Evaluating Graph Neural Network Explanations based on Counterfactual and Factual
Reasoning", WWW 2022, equations 7 to 11.

    factual strength         s_f = p(c | A * M)                      `kept`
    counterfactual strength  s_c = -p(c | A - A * M)                 `left`
    loss = |M|_1 + lam (alpha hinge(margin + best other - p(c)) on A * M
                        + (1 - alpha) hinge(margin + p(c) - best other) on A - A * M)

The mask is learned for the target alone, then becomes candidates (`mask_to_subgraphs.py`).
Shapes: a field of U units; yields bits [n, U]. Cost: `epochs` x 2 masked passes.

Departures. Units are masked, not edges; probabilities, not logits, stand in the hinges; |M|_1 is the mean over units.
"""

import numpy as np
import torch
from torch import Tensor

from sxq.generators.explainers.mask_to_subgraphs import mask_to_subgraphs, propose
from sxq.generators.protocol import Context, Search
from sxq.graph import Field
from sxq.models.edge_mask import log_probabilities, place_of_answer
from sxq.models.refine import Instances
from sxq.models.thread_count import threads_for

MARGIN = 0.5  # of the hinges, on probabilities


def cf2(
    field: Field,
    context: Context,
    *,
    epochs: int = 100,
    lr: float = 0.05,
    alpha: float = 0.6,
    lam: float = 10.0,
) -> Search:
    """Candidates of the mask that is factual and counterfactual at once."""
    mask = learn(field, context, epochs, lr, alpha=alpha, lam=lam)
    yield from propose(context, mask_to_subgraphs(field, mask))


def learn(
    field: Field, context: Context, epochs: int, lr: float, *, alpha: float, lam: float
) -> np.ndarray:
    """The mask of every unit, [U] in (0, 1)."""
    subject = context.subject
    device = subject.model.device
    answer = place_of_answer(subject.question, subject.predicted)
    batch = Instances([(subject.graph, field)]).batch(np.array([0]), device)
    start = context.rng.normal(0, 0.1, field.num_units)
    logit = torch.tensor(start, dtype=torch.float, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([logit], lr)
    with threads_for(batch.x.numel(), len(batch.unit)):
        for _ in range(epochs):
            optimizer.zero_grad()
            mask = logit.sigmoid()
            kept, left = (
                log_probabilities(subject.model, batch, batch.spread(part), subject.question).exp()[
                    0
                ]
                for part in (mask, 1 - mask)
            )
            factual = (MARGIN - lead(kept, answer)).relu()
            counterfactual = (MARGIN + lead(left, answer)).relu()
            loss = mask.mean() + lam * (alpha * factual + (1 - alpha) * counterfactual)
            loss.backward()
            optimizer.step()
    return logit.detach().sigmoid().double().cpu().numpy()


def lead(p: Tensor, predicted: int) -> Tensor:
    """p(c) minus the largest of the other classes, of p [C]."""
    others = torch.cat([p[:predicted], p[predicted + 1 :]])
    return p[predicted] - others.max()
