"""Attributors in and out of the database, as safetensors bytes and a spec of plain values."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sxq.errors import ModelError
from sxq.models import weights
from sxq.models.refine.attributor import Attributors, AttributorSpec
from sxq.models.refine.train import Pretrained


def to_bytes(pretrained: Pretrained) -> tuple[bytes, dict[str, Any]]:
    """The weights, and all other facts as plain values."""
    return weights.to_bytes(pretrained.attributors), {
        "attributor": asdict(pretrained.spec),
        "fine_tune": pretrained.fine_tune,
    }


def load(content: bytes, spec: Mapping[str, Any]) -> Pretrained:
    """The attributors that `to_bytes` wrote; raises ModelError if weights and spec do not fit."""
    try:
        own = AttributorSpec(**spec["attributor"])
    except TypeError as error:
        raise ModelError(f"attributors are described by their sizes: {error}") from error
    if type(own.temperature) is not float or not 0 < own.temperature < math.inf:
        raise ModelError(f"temperature is {own.temperature!r}, expected a number above 0")
    counts = {"layers": own.layers} | ({"classes": own.classes} if own.classwise else {})
    weights.require_fit(lambda: Attributors(own), content, counts)
    attributors = Attributors(own)
    weights.load_weights(attributors, content)
    return Pretrained(attributors.eval().requires_grad_(False), attributors.spec, spec["fine_tune"])
