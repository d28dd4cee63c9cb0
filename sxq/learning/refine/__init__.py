"""ReFine: attributors pre-trained class by class, fine-tuned to an instance (Wang et al., NeurIPS 2021).

The verbs: `pretrain(instances, probabilities, masked, values)` learns attributors, `fine_tune` adapts one to an
instance and a ratio, `select` picks units; `to_bytes` and `load` write and read them as safetensors.
"""

from sxq.learning.refine.attributor import Attributors, AttributorSpec, check_fits, concrete
from sxq.learning.refine.finetuning import SELECTIONS, fine_tune, select
from sxq.learning.refine.instances import Batch, Instances
from sxq.learning.refine.keeping import load, to_bytes
from sxq.learning.refine.pretraining import PRESETS, PRETRAINING_OPTIONS, Pretrained, pretrain, read, saliency

__all__ = ["Attributors", "AttributorSpec", "Batch", "Instances", "PRESETS", "PRETRAINING_OPTIONS", "Pretrained",
           "SELECTIONS", "check_fits", "concrete", "fine_tune", "load", "pretrain", "read", "saliency", "select",
           "to_bytes"]
