"""The losses of ReFine (Wang et al. 2021, equations 6 to 8 and 10), all over batches.

The contrastive loss has two forms, which CONTRAST chooses. `published` is equation 8: softplus of
inner products, less for graphs of one class, more for others. It is unbounded below: long
representations lower it without end. `supervised`, the default, is the supervised contrastive loss
(Khosla et al. 2020, eq. 2) on l2-normalised representations with temperature 0.1: it pulls graphs
of one class together and others apart, and is bounded.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

CONTRAST_TEMPERATURE = 0.1


def fidelity(log_probs: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of predictions on the masked graph and on the whole one [B, C]: eq. 7 and 10."""
    return -(target * log_probs.clamp(min=-100)).sum(dim=1).mean()


def published(representations: Tensor, classes: Tensor) -> Tensor:
    """Equation 8 over all pairs of graphs [B, h] with classes [B]; zero for a single graph."""
    pairs = ~torch.eye(len(classes), dtype=torch.bool, device=classes.device)
    if not pairs.any():
        return representations.sum() * 0
    sign = torch.where(classes[:, None] == classes, -1.0, 1.0)
    return (sign * F.softplus(representations @ representations.T))[pairs].mean()


def supervised(representations: Tensor, classes: Tensor) -> Tensor:
    """Supervised contrastive loss of graphs [B, h] with classes [B]; zero if no class occurs twice."""
    h = F.normalize(representations, dim=1)
    similarity = h @ h.T / CONTRAST_TEMPERATURE
    own = torch.eye(len(h), dtype=torch.bool, device=h.device)
    same = (classes[:, None] == classes) & ~own
    log_share = similarity - similarity.masked_fill(own, -torch.inf).logsumexp(dim=1, keepdim=True)
    anchors = same.any(dim=1)
    if not anchors.any():
        return representations.sum() * 0
    return -(log_share.masked_fill(~same, 0).sum(dim=1) / same.sum(dim=1).clamp(min=1))[
        anchors
    ].mean()


def size(mask: Tensor) -> Tensor:
    """The mean of unit probabilities: the L1 norm per unit."""
    return mask.mean() if len(mask) else mask.sum()


def entropy(mask: Tensor) -> Tensor:
    """The mean binary entropy of unit probabilities [U]: small if every unit is kept or dropped."""
    p = mask.clamp(1e-6, 1 - 1e-6)
    return -(p * p.log() + (1 - p) * (1 - p).log()).mean() if len(mask) else mask.sum()


CONTRASTS = {"supervised": supervised, "paper": published}  # by the option CONTRAST
