"""Fine-tuning an attributor to one instance, for some ratios at once (Wang et al. 2021, section 3.2).

    S = H(G_att, rho)            eq. 9    `select`: rho |E| units, drawn by their probability without replacement
    L2: the model on A * S       eq. 10   `losses.fidelity` on the mask with everything else at zero
    Adam, learning rate 1e-4, about 20 steps

With select = "top" the most probable units are taken instead, which is what the published code does.
Every ratio has a copy of the attributor of its own; the copies go side by side through the attributor (their
parameters stacked) and through the model (one batch), and as Adam works number by number, none touches another.
Cost: one masked forward and backward pass per step, of a batch of one instance for each ratio.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from sxq.models.refine import losses
from sxq.models.refine.attributor import Attributor, concrete
from sxq.models.refine.instances import Batch
from sxq.models.refine.train import Masked

SELECTIONS = ("sample", "top")
EDGES = 200_000  # most edges of the copies that go side by side


def fine_tune(
    attributor: Attributor,
    batch: Batch,
    target: Tensor,
    masked: Masked,
    counts: Sequence[int],
    *,
    steps: int = 20,
    lr: float = 1e-4,
    selection: str = "sample",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Logits alpha [K, U] of one instance after fine-tuning K copies, each for so many selected units; target [1, C].

    `attributor` is left as it was. Randomness comes from `generator` (CPU).
    """
    step = max(1, EDGES // max(1, len(batch.unit)))
    options = {"steps": steps, "lr": lr, "selection": selection, "generator": generator}
    return torch.cat(
        [
            _side_by_side(
                attributor, batch, target, masked, counts[start : start + step], **options
            )
            for start in range(0, len(counts), step)
        ]
    )


def _side_by_side(
    attributor: Attributor,
    batch: Batch,
    target: Tensor,
    masked: Masked,
    counts: Sequence[int],
    *,
    steps: int,
    lr: float,
    selection: str,
    generator: torch.Generator | None,
) -> Tensor:
    copies = batch.copies(len(counts))
    own = {
        name: value.detach().expand(len(counts), *value.shape).clone().requires_grad_()
        for name, value in attributor.named_parameters()
    }
    ranked = vmap(lambda parameters: functional_call(attributor, parameters, (batch,)))
    optimizer = torch.optim.Adam(own.values(), lr)
    with torch.enable_grad():
        for _ in range(steps):
            optimizer.zero_grad()
            alpha = ranked(own)
            noise = torch.rand(alpha.shape, generator=generator).to(alpha.device)
            mask = concrete(alpha, attributor.spec.temperature, noise)
            chosen = torch.stack(
                [
                    select(row, count, selection, generator)
                    for row, count in zip(mask.detach(), counts)
                ]
            )
            log_p = masked(copies, copies.spread((mask * chosen).flatten()))
            (
                len(counts) * losses.fidelity(log_p, target)
            ).backward()  # a mean over copies, but each has its own step
            optimizer.step()
    with torch.no_grad():
        return ranked(own)


def select(
    probability: Tensor,
    count: int,
    selection: str = "sample",
    generator: torch.Generator | None = None,
    draws: int | None = None,
) -> Tensor:
    """`count` of the units probability [U] as 0/1 [U], or as many draws [draws, U] at once.

    Sampled without replacement, unit by unit with probabilities proportional to `probability` (Gumbel's top-k).
    """
    key = probability.clamp(min=1e-12).log().cpu().expand(draws or 1, -1)
    if selection == "sample":
        noise = torch.rand(key.shape, generator=generator).clamp(1e-12, 1 - 1e-7)
        key = key - (-noise.log()).log()
    chosen = torch.zeros_like(key).scatter_(
        1, key.topk(min(count, key.shape[1]), dim=1).indices, 1.0
    )
    return (chosen if draws else chosen[0]).to(probability.device)
