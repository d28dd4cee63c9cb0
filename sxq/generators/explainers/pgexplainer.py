"""PGExplainer as a generator: candidates from one attributor that was pre-trained for all classes.

Source: Luo et al., "Parameterized Explainer for Graph Neural Network", NeurIPS 2020. ReFine is built on it, and its
training is ReFine's without classes, contrast and fine-tuning: PRETRAIN REFINE r ... (PRESET = pgexplainer).

    omega_ij = MLP([z_i, z_j])   the explanation network: `alpha`; for a node it reads the target's z too
    the edges it ranks highest   `mask_to_subgraphs.py`

Shapes: a field of U units; yields bits [n, U]. Cost: one pass of the attributor, two candidates for each size.

Departures. z comes from the attributor's own encoder, so the layers of the model are not needed.
"""

import copy

import torch

from sxq.errors import InvalidValue
from sxq.generators.explainers.mask_to_subgraphs import mask_to_subgraphs, propose
from sxq.generators.paper.refine import instance
from sxq.generators.protocol import Context, Search
from sxq.graph import Field
from sxq.models.refine import Pretrained


def pgexplainer(field: Field, context: Context, pretrained: str = "") -> Search:
    """Candidates from the attributor `pretrained`; InvalidValue if it was pre-trained by class."""
    learned: Pretrained = context.subject.learned[pretrained]
    if learned.spec.classwise:
        raise InvalidValue(
            f"{pretrained!r} was pre-trained class by class: BY refine takes it; BY pgexplainer "
            f"needs one with PRESET = pgexplainer"
        )
    batch = instance(field, context.subject, learned)
    own = copy.deepcopy(learned.attributors.of(context.subject.predicted)).to(
        context.subject.model.device
    )
    with torch.no_grad():
        alpha = own(batch)
    yield from propose(context, mask_to_subgraphs(field, alpha.double().cpu().numpy()))
