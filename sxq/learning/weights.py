"""Weights in and out: safetensors only (nothing in a file is executed), and a digest of what a model is.

`load_weights` compares every name and shape before it changes the module; what does not fit is said in the words
of CREATE MODEL, with the options that the weights themselves suggest.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from sxq.errors import DataError, ModelError
from sxq.learning.architectures import ArchitectureSpec, NodeClassifier

SHOWN = 3  # differences listed before "and n more"


def load_weights(module: NodeClassifier, source: str | Path | bytes) -> None:
    """Fill a built module from a safetensors file or its bytes.

    Raises DataError for what is no safetensors file, ModelError for weights that do not fit; the module is then
    unchanged.
    """
    state = _read(source)
    differences = _differences(module.state_dict(), state)
    if differences:
        more = f" and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        raise ModelError(f"the weights do not fit the architecture: {'; '.join(differences[:SHOWN])}{more}"
                         f"{_hint(module.spec, state)}")
    broken = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise ModelError(f"the weights hold NaN or infinite values in {', '.join(broken[:SHOWN])}")
    module.load_state_dict(state)


def to_bytes(module: nn.Module) -> bytes:
    """The module's state as safetensors bytes; `load_weights` reads them back."""
    return safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in
                                   module.state_dict().items()})


def content_hash(module: nn.Module, spec: ArchitectureSpec | None = None) -> str:
    """A digest of classes, plain settings, parameters and buffers; equal content, equal hash, in any process."""
    digest = hashlib.sha256(repr(spec).encode())
    for name, part in module.named_modules():
        kind = f"{type(part).__module__}.{type(part).__qualname__}"
        digest.update(f"{name}:{kind}{_settings(part)}".encode())
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        digest.update(f"{name}:{tensor.dtype}{list(tensor.shape)}".encode())
        digest.update(_raw_bytes(tensor))
    return digest.hexdigest()[:32]


def _settings(module: nn.Module) -> list[tuple[str, Any]]:
    """Public attributes with plain values: heads, slopes, normalisation; two such modules differ in what they say."""
    return sorted((name, value) for name, value in vars(module).items()
                  if isinstance(value, bool | int | float | str) and name != "training" and name[0] != "_")


def _raw_bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _read(source: str | Path | bytes) -> dict[str, Tensor]:
    where = "the stored weights" if isinstance(source, bytes) else str(source)
    try:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        return safetensors.torch.load(content)
    except OSError as error:
        raise DataError(f"cannot read {where}: {error.strerror or error}") from None
    except SafetensorError as error:
        pickled = content[:2] in (b"PK", b"\x80\x02")
        advice = ("it looks like torch.save; convert it with "
                  "safetensors.torch.save_file(model.state_dict(), path)" if pickled else str(error))
        raise DataError(f"{where} is not a safetensors file: {advice}") from None


def _differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    shapes = [f"{name} is {list(found[name].shape)}, expected {list(tensor.shape)}"
              for name, tensor in expected.items() if name in found and found[name].shape != tensor.shape]
    missing = [f"{name} is missing" for name in expected if name not in found]
    unexpected = [f"{name} is unexpected" for name in sorted(found) if name not in expected]
    return shapes + missing + unexpected


def _hint(spec: ArchitectureSpec, state: Mapping[str, Tensor]) -> str:
    """What the weights suggest, where it differs from the spec."""
    suggested = suggested_options(state)
    features = suggested.pop("in_channels", spec.in_channels)
    if features != spec.in_channels:
        return f"; the weights are for {features} features, the graph has {spec.in_channels}"
    asked = {"classes": spec.out_channels, **vars(spec)}
    wrong = [f"{name.upper()} = {value}" for name, value in suggested.items() if value != asked[name]]
    return f"; the file suggests {', '.join(wrong)}" if wrong else ""


def suggested_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Options of CREATE MODEL deduced from names and shapes of a state dict; empty if it is none of ours."""
    layers = len({name.split(".")[0] for name in state if name.startswith("conv")})
    inner = {"gat": "lin.weight", "gcn": "lin.weight", "sage": "lin_l.weight", "gin": "nn.0.weight"}
    marks = {"gat": "att_src", "sage": "lin_l.weight", "gin": "nn.2.weight", "gcn": "lin.weight"}
    architecture = next((name for name, mark in marks.items() if f"conv1.{mark}" in state), None)
    last = f"conv{layers}.{'nn.2.' if architecture == 'gin' else 'lin_l.' if architecture == 'sage' else ''}bias"
    first = f"conv1.{inner.get(architecture)}"
    if first not in state or last not in state:
        return {}
    hidden, features = state[first].shape
    heads = state["conv1.att_src"].shape[1] if architecture == "gat" else 1
    return {"in_channels": features, "architecture": architecture, "layers": layers, "heads": heads,
            "hidden": hidden // heads, "classes": len(state[last])}
