"""ReFine: attributors pre-trained class by class, fine-tuned to an instance (Wang et al., NeurIPS 2021).

The verbs: `train_attributors(instances, probabilities, masked, values)` learns attributors;
`fine_tune` adapts one to an instance and some ratios; `select` picks units; `to_bytes` and `load`
write and read attributors as safetensors.

The files in reading order:

    instances    `Instances`: many targets' fields, in batches
    attributor   `Attributors`: which edges matter to a prediction of class c
    losses       fidelity, contrastive, size and entropy
    train        `train_attributors(...)`, and `saliency`
    finetuning   `fine_tune(...)` and `select`, for one instance
    keeping      `to_bytes` and `load`
    pretrain     `pretrain(model, graph, options)`: PRETRAIN REFINE on a borrowed model
"""

from sxq.models.refine.attributor import Attributors, AttributorSpec, check_fits, concrete
from sxq.models.refine.finetuning import SELECTIONS, fine_tune, select
from sxq.models.refine.instances import Batch, Instances
from sxq.models.refine.keeping import load, to_bytes
from sxq.models.refine.train import (
    PRESETS,
    PRETRAINING_OPTIONS,
    Pretrained,
    read,
    saliency,
    train_attributors,
)

__all__ = [
    "Attributors",
    "AttributorSpec",
    "Batch",
    "Instances",
    "PRESETS",
    "PRETRAINING_OPTIONS",
    "Pretrained",
    "SELECTIONS",
    "check_fits",
    "concrete",
    "fine_tune",
    "load",
    "read",
    "saliency",
    "select",
    "to_bytes",
    "train_attributors",
]
