"""Fine-tuning an attributor to one instance, for some ratios at once (Wang et al. 2021, section 3.2).

    S = H(G_att, rho)            eq. 9    `select`: rho |E| units, drawn by their probability without replacement
    L2: the model on A * S       eq. 10   `losses.fidelity` on the mask with everything else at zero
    Adam, learning rate 1e-4, 50 steps (the paper takes 20 on average)

With select = "top" the most probable units are taken, as in the published code. Every ratio has its
own copy of the attributor. The copies go side by side through the attributor (their parameters
stacked) and through the model (as one batch); Adam works number by number, so none affects another.
Cost: one masked forward and backward pass per step, of a batch with one instance for each ratio.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from sxq.models.refine import losses
from sxq.models.refine.attributor import Attributor, concrete
from sxq.models.refine.instances import Batch
from sxq.models.refine.train import MaskedModel
from sxq.models.thread_count import threads_for

SELECTIONS = ("sample", "top")
EDGES = 200_000  # the most edges of copies that go side by side


def fine_tune(
    attributor: Attributor,
    batch: Batch,
    target: Tensor,
    masked: MaskedModel,
    counts: Sequence[int],
    *,
    steps: int = 50,
    lr: float = 1e-4,
    selection: str = "sample",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Logits alpha [K, U] of one instance after fine-tuning K copies of the attributor.

    Copy i is tuned for counts[i] selected units; `target` is [1, C]. `attributor` is left as it
    was. Randomness comes from `generator` (CPU).
    """
    step = max(1, EDGES // max(1, len(batch.unit)))
    options: dict[str, Any] = {
        "steps": steps,
        "lr": lr,
        "selection": selection,
        "generator": generator,
    }
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
    masked: MaskedModel,
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
    with torch.enable_grad(), threads_for(copies.x.numel(), len(copies.unit)):
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
            # The loss is a mean over copies, but each has its own step.
            (len(counts) * losses.fidelity(log_p, target)).backward()
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
    """`count` units as 0/1 [U], by their probability [U]; or several draws [draws, U] at once.

    They are sampled without replacement, one by one, proportionally to `probability` (Gumbel's
    top-k).
    """
    key = probability.clamp(min=1e-12).log().cpu().expand(draws or 1, -1)
    if selection == "sample":
        noise = torch.rand(key.shape, generator=generator).clamp(1e-12, 1 - 1e-7)
        key = key - (-noise.log()).log()
    chosen = torch.zeros_like(key).scatter_(
        1, key.topk(min(count, key.shape[1]), dim=1).indices, 1.0
    )
    return (chosen if draws else chosen[0]).to(probability.device)
