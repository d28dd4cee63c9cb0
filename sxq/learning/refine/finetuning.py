"""Fine-tuning an attributor to one instance and one ratio (Wang et al. 2021, section 3.2).

    S = H(G_att, rho)            eq. 9    `select`: rho |E| units, drawn by their probability without replacement
    L2: the model on A * S       eq. 10   `losses.fidelity` on the mask with everything else at zero
    Adam, learning rate 1e-4, about 20 steps

With select = "top" the most probable units are taken instead, which is what the published code does.
Cost: one masked forward and backward pass per step.
"""

import copy

import torch
from torch import Tensor

from sxq.learning.refine import losses
from sxq.learning.refine.attributor import Attributor, concrete
from sxq.learning.refine.instances import Batch
from sxq.learning.refine.pretraining import Masked

SELECTIONS = ("sample", "top")


def fine_tune(attributor: Attributor, batch: Batch, target: Tensor, masked: Masked, count: int, *, steps: int = 20,
              lr: float = 1e-4, selection: str = "sample", generator: torch.Generator | None = None) -> Tensor:
    """Logits alpha [U] of one instance after fine-tuning a copy for `count` selected units; target [1, C].

    `attributor` is left as it was. Randomness comes from `generator` (CPU).
    """
    own = copy.deepcopy(attributor).train().requires_grad_(True)
    optimizer = torch.optim.Adam(own.parameters(), lr)
    for _ in range(steps):
        optimizer.zero_grad()
        alpha = own(batch)
        noise = torch.rand(alpha.shape, generator=generator).to(alpha.device)
        mask = concrete(alpha, own.spec.temperature, noise)
        chosen = select(mask.detach(), count, selection, generator)
        losses.fidelity(masked(batch, batch.spread(mask * chosen)), target).backward()
        optimizer.step()
    with torch.no_grad():
        return own(batch)


def select(probability: Tensor, count: int, selection: str = "sample", generator: torch.Generator | None = None,
           draws: int | None = None) -> Tensor:
    """`count` of the units probability [U] as 0/1 [U], or as many draws [draws, U] at once.

    Sampled without replacement, unit by unit with probabilities proportional to `probability` (Gumbel's top-k).
    """
    key = probability.clamp(min=1e-12).log().cpu().expand(draws or 1, -1)
    if selection == "sample":
        noise = torch.rand(key.shape, generator=generator).clamp(1e-12, 1 - 1e-7)
        key = key - (-noise.log()).log()
    chosen = torch.zeros_like(key).scatter_(1, key.topk(min(count, key.shape[1]), dim=1).indices, 1.0)
    return (chosen if draws else chosen[0]).to(probability.device)
