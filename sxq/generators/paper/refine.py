"""ReFine as a generator: attributors pre-trained class by class, then fine-tuned to the target.

Source: Wang et al., "Towards Multi-Grained Explainability for Graph Neural Networks", NeurIPS 2021, section 3.

    attributor of the predicted class: M          `alpha`, the global view
    for each ratio rho                            `ratios`, all at once
        fine-tune a copy with selection H         `fine_tune` steps, the local view
        select rho |E| edges by probability       `select`: `samples` draws, and the highest

The ranking by the attributor becomes candidates of all sizes (`mask_to_subgraphs.py`); the ranking
by a fine-tuned one becomes candidates of the size of its ratio. The connected part of each draw is
kept. Shapes: a field of U units; yields bits [n, U]. Cost: two candidates per size and ratio and
`samples` per ratio; `steps` masked passes per ratio of fine-tuning.

Departures. The paper returns one edge set per ratio, connected or not; here the connected part is verified and ranked
with everything else. `select = top` takes the highest edges while fine-tuning, as the published code does.
"""

import copy
import functools
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from sxq.errors import InvalidValue, ModelError
from sxq.generators.explainers.mask_to_subgraphs import distinct, mask_to_subgraphs, propose
from sxq.generators.protocol import Context, Search
from sxq.graph import Field
from sxq.models import device as devices
from sxq.models import refine as learning
from sxq.models.edge_mask import log_probabilities
from sxq.models.refine import SELECTIONS, Batch, Instances, Pretrained
from sxq.scoring.ratios import RATIOS, sizes


def refine(
    field: Field,
    context: Context,
    *,
    pretrained: str = "",
    fine_tune: bool | None = None,
    ratios: Sequence[float] = RATIOS,
    select: str = "sample",
    samples: int = 8,
    steps: int = 50,
    lr: float = 1e-4,
) -> Search:
    """Candidates from the attributors `pretrained`, fine-tuned if asked, or else if their preset says so."""
    check(ratios, select)
    subject = context.subject
    learned: Pretrained = subject.learned[pretrained]
    own = copy.deepcopy(learned.attributors.of(subject.predicted)).to(subject.model.device)
    batch = instance(field, subject, learned)
    masked = functools.partial(log_probabilities, subject.model)
    generator = torch.Generator().manual_seed(int(context.rng.integers(2**62)))
    with torch.no_grad():
        alpha = own(batch)
    yield from propose(context, mask_to_subgraphs(field, alpha.double().cpu().numpy()))
    target = devices.to_device(subject.probabilities.astype(np.float32), alpha.device)[None]
    counts = sizes(field.num_units, ratios).tolist()
    tuned: Iterable[Tensor] = [alpha] * len(counts)
    if learned.fine_tune if fine_tune is None else fine_tune:
        tuned = learning.fine_tune(
            own,
            batch,
            target,
            masked,
            counts,
            steps=steps,
            lr=lr,
            selection=select,
            generator=generator,
        )
    for own_alpha, size in zip(tuned, counts):
        drawn = learning.select(
            torch.sigmoid(own_alpha), size, "sample", generator, draws=max(samples, 1)
        )
        connected = field.component(drawn.cpu().numpy()[:samples].astype(bool))
        highest = mask_to_subgraphs(field, own_alpha.double().cpu().numpy(), [size])
        yield from propose(context, distinct(np.concatenate([highest, connected])))


def check(ratios: Sequence[float], select: str) -> None:
    """Raise InvalidValue for ratios outside (0, 1], or an unknown selection."""
    bad = [ratio for ratio in ratios if isinstance(ratio, str | bool) or not 0 < ratio <= 1]
    if bad or not len(ratios):
        raise InvalidValue(
            f"refine(ratios): {bad[0] if bad else 'none'}; expected numbers above 0, up to 1"
        )
    if select not in SELECTIONS:
        raise InvalidValue(f"refine(select = {select}); expected {' or '.join(SELECTIONS)}")


def instance(field: Field, subject, learned: Pretrained) -> Batch:
    """The field as a batch of one; raises ModelError if the attributors expect other features."""
    instances = Instances([(subject.graph, field)])
    width = 0 if instances.edge_attr is None else instances.edge_attr.shape[1]
    wrong = learning.check_fits(
        learned.spec,
        {
            "in_channels": instances.x.shape[1],
            "classes": len(subject.probabilities),
            "edge_features": width,
            "rooted": field.rooted,
        },
    )
    if wrong:
        raise ModelError(f"what was pre-trained does not fit: {'; '.join(wrong)}")
    return instances.batch(np.array([0]), subject.model.device)
