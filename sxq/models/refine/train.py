"""Trains the attributors: they learn what the model looks for, class by class.

Source: Wang et al. 2021, section 3.1.

    for each batch of instances                    seeded random batches of BATCH
        M ~ attributor of the predicted class      `draw`, one pass per class over its own instances
        L1: the model on A * M                     `losses.fidelity`
        L_cts: attentive graphs, by class          `losses`, by CONTRAST, with weight GAMMA
        size and entropy of M                      as GNNExplainer, with weights SIZE and ENTROPY
        Adam, learning rate 1e-3                   `learn`

The model is masked, not cut: attributors rank edges, and verification later removes them. Training
stops early if the loss has not fallen by one percent for PATIENCE epochs. Cost: one masked forward
and backward pass per instance and epoch.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.errors import DataError, InvalidValue, ModelError, UnknownName
from sxq.models import device as devices
from sxq.models.architectures import seeded
from sxq.models.refine import losses
from sxq.models.refine.attributor import Attributors, AttributorSpec, CommonView, concrete
from sxq.models.refine.instances import Batch, Instances
from sxq.models.thread_count import threads_for
from sxq.planning.options import PRETRAINING_OPTIONS, Options, read_options

PRESETS = {  # the variants of the paper's ablation, its table 1
    "refine": {"gamma": 0.1, "classwise": True, "fine_tune": True},
    "refine_ft": {"gamma": 0.1, "classwise": True, "fine_tune": False},
    "refine_ct": {"gamma": 0.0, "classwise": True, "fine_tune": False},
    "pgexplainer": {"gamma": 0.0, "classwise": False, "fine_tune": False},
}
LEAST_FALL = 0.01  # a loss has fallen if it is below the best so far by this share of it
PROGRESS_SECONDS = 0.1  # between two progress calls

# (instances, edge mask [E]) -> log-probabilities [B, C], differentiable
MaskedModel = Callable[[Batch, Tensor], Tensor]
Progress = Callable[[int, int, float], None]  # epoch, epochs, loss


@dataclass(frozen=True, eq=False)
class Pretrained:
    """Trained attributors; `fine_tune` is the default of the generator that uses them."""

    attributors: Attributors  # on the CPU, eval mode
    spec: AttributorSpec
    fine_tune: bool
    # Of every epoch: total, fidelity, contrastive, size, entropy.
    losses: tuple[dict[str, float], ...] = ()
    stopped: str = ""  # the reason if it ended before the last epoch


def read(options: Options) -> dict[str, Any]:
    """Every option by lower-case name, with those of the preset; raises UnknownName, InvalidValue."""
    values = read_options(options, PRETRAINING_OPTIONS)
    name = values["preset"].lower()
    if name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    for option, preset in PRESETS[name].items():
        if (
            option != "fine_tune"
            and values[option] is not None
            and values[option] != preset
            and name != "refine"
        ):
            raise InvalidValue(f"{option.upper()} = {values[option]} contradicts PRESET = {name}")
    contrast = values["contrast"].lower()
    if contrast not in losses.CONTRASTS:
        raise UnknownName("contrast", contrast, losses.CONTRASTS)
    given = {option: value for option, value in values.items() if value is not None}
    return {**values, **PRESETS[name], **given, "preset": name, "contrast": contrast}


def train_attributors(
    instances: Instances,
    probabilities: np.ndarray,
    masked: MaskedModel,
    values: Mapping[str, Any],
    *,
    device: torch.device,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Pretrained:
    """Learn attributors from instances with the model's `probabilities` [n, C]; `values` as of `read`.

    The global random state is left as it was. Raises DataError without units, and ModelError for a
    loss that is not finite.
    """
    usable = np.flatnonzero(instances.num_units)
    if not len(usable):
        raise DataError("no graph has an edge to learn from")
    edge_features = 0 if instances.edge_attr is None else instances.edge_attr.shape[1]
    spec = AttributorSpec(
        in_channels=instances.x.shape[1],
        classes=probabilities.shape[1],
        edge_features=edge_features,
        rooted=instances.rooted,
        classwise=values["classwise"],
        hidden=values["hidden"],
        layers=values["layers"],
        temperature=values["temperature"],
    )
    with seeded(values["seed"], device):
        training = AttributorTraining(
            Attributors(spec).to(device), instances, probabilities, masked, values
        )
        history, stopped = training.epochs(usable, progress, should_stop)
    attributors = training.attributors.cpu().eval().requires_grad_(False)
    return Pretrained(attributors, spec, values["fine_tune"], tuple(history), stopped)


class AttributorTraining:
    """One training of attributors, on the device that they are on."""

    def __init__(
        self,
        attributors: Attributors,
        instances: Instances,
        probabilities: np.ndarray,
        masked: MaskedModel,
        values: Mapping[str, Any],
    ):
        self.attributors = attributors
        self.instances = instances
        self.masked = masked
        self.values = values
        device = next(attributors.parameters()).device
        self.device = device
        self.probabilities = devices.to_device(probabilities.astype(np.float32), device)
        self.classes = probabilities.argmax(axis=1)
        self.common = CommonView(attributors.spec).to(device)
        self.optimizer = torch.optim.Adam(attributors.parameters(), values["lr"])

    def epochs(
        self, usable: np.ndarray, progress: Progress | None, should_stop: Callable[[], bool]
    ):
        """Run the epochs: returns the losses of each, and the reason if it stopped early."""
        history: list[dict[str, float]] = []
        best = np.inf
        since = 0
        shown = -PROGRESS_SECONDS
        for epoch in range(1, self.values["epochs"] + 1):
            if should_stop():
                return history, "interrupted"
            history.append(self.epoch(usable))
            total = history[-1]["total"]
            if progress and (
                time.monotonic() - shown >= PROGRESS_SECONDS or epoch == self.values["epochs"]
            ):
                progress(epoch, self.values["epochs"], total)
                shown = time.monotonic()
            fallen = best - total > LEAST_FALL * abs(best) if history[1:] else True
            best, since = (total, 0) if fallen else (best, since + 1)
            if since >= self.values["patience"]:
                return history, f"the loss had not fallen for {since} epochs"
        return history, ""

    def epoch(self, usable: np.ndarray) -> dict[str, float]:
        order = usable[torch.randperm(len(usable)).numpy()]
        found = [
            self.learn(order[start : start + self.values["batch"]])
            for start in range(0, len(order), self.values["batch"])
        ]
        return {name: float(np.mean([each[name] for each in found])) for name in found[0]}

    def learn(self, numbers: np.ndarray) -> dict[str, float]:
        """One step of the optimizer on some instances."""
        # Sorted, so that a class is a slice of the batch.
        numbers = numbers[np.argsort(self.classes[numbers], kind="stable")]
        batch = self.instances.batch(numbers, self.device)
        with threads_for(batch.x.numel(), len(batch.unit)):
            return self._step(batch, numbers)

    def _step(self, batch: Batch, numbers: np.ndarray) -> dict[str, float]:
        self.optimizer.zero_grad()
        mask, own = draw(
            self.attributors, self.instances, numbers, self.classes[numbers], self.device
        )
        classes = devices.to_device(self.classes[numbers], self.device)
        parts = {
            "fidelity": losses.fidelity(
                self.masked(batch, batch.spread(mask)), self.probabilities[numbers]
            ),
            "contrastive": self.contrastive(batch, mask, own, classes),
            "size": losses.size(mask),
            "entropy": losses.entropy(mask),
        }
        weights = {
            "fidelity": 1.0,
            "contrastive": self.values["gamma"],
            "size": self.values["size"],
            "entropy": self.values["entropy"],
        }
        total = sum(weights[name] * part for name, part in parts.items() if weights[name])
        if not torch.isfinite(total):
            raise ModelError(
                f"the loss of pre-training became {total.item()}: try LR below {self.values['lr']:g}"
            )
        total.backward()
        self.optimizer.step()
        return {"total": total.item(), **{name: part.item() for name, part in parts.items()}}

    def contrastive(self, batch: Batch, mask: Tensor, own: Tensor, classes: Tensor) -> Tensor:
        """The contrastive loss of the attentive graphs; `own`: by each class's own encoder."""
        loss = losses.CONTRASTS[self.values["contrast"]]
        if self.values["contrast"] == "paper":
            return loss(own, classes)
        seen = self.common.represent(batch, mask)
        # What all graphs have in common would make every two of them similar.
        return loss(seen - seen.mean(dim=0), classes)


def draw(
    attributors: Attributors,
    instances: Instances,
    numbers: np.ndarray,
    classes: np.ndarray,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Noisy masks [U] of instances sorted by class, and the representations [B, h] of masked graphs."""
    masks = []
    representations = []
    for label in np.unique(classes):
        batch = instances.batch(numbers[classes == label], device)
        own = attributors.of(int(label))
        alpha = own(batch)
        mask = concrete(alpha, attributors.spec.temperature, torch.rand_like(alpha))
        masks.append(mask)
        representations.append(own.represent(batch, batch.spread(mask)))
    return torch.cat(masks), torch.cat(representations)


@torch.no_grad()
def saliency(
    pretrained: Pretrained, instances: Instances, classes: np.ndarray, step: int = 256
) -> list[np.ndarray]:
    """The probability of every unit by the attributor of each instance's class: [units] each."""
    found: list[np.ndarray] = [np.zeros(0)] * len(instances)
    for label in np.unique(classes):
        chosen = np.flatnonzero(classes == label)
        for start in range(0, len(chosen), step):
            numbers = chosen[start : start + step]
            batch = instances.batch(numbers, torch.device("cpu"))
            alpha = concrete(
                pretrained.attributors.of(int(label))(batch), pretrained.spec.temperature
            )
            parts = np.split(
                alpha.numpy().astype(np.float64), np.cumsum(instances.num_units[numbers])[:-1]
            )
            for number, part in zip(numbers, parts):
                found[number] = part
    return found
