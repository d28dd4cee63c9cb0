"""Weights in and out as safetensors (no file is executed), and a digest of a model's content.

`load_weights` compares every name and shape before it changes the module. Its error lists what does
not fit, with the options of CREATE MODEL that the weights suggest.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sxq.errors import DataError, ModelError
from sxq.graph.npz_files import require_file
from sxq.models.architectures import ArchitectureSpec, build
from sxq.models.foreign_names import adopted

ROWS = 40  # of a table of names
LONGEST = 80  # characters of a name in it
SHOWN = 3  # differences listed before "and n more"
# Of a layer, by architecture: the name that marks it, the first matrix, the bias of the output.
LAYOUTS = {
    "gat": ("att_src", "lin.weight", "bias"),
    "sage": ("lin_l.weight", "lin_l.weight", "lin_l.bias"),
    "gine": ("lin.bias", "nn.0.weight", "nn.2.bias"),  # before gin, whose names it has
    "graphconv": ("lin_rel.weight", "lin_rel.weight", "lin_rel.bias"),
    "splinecnn": ("weight", "lin.weight", "bias"),
    "transformer": ("lin_key.weight", "lin_key.weight", "lin_skip.bias"),
    "gin": ("nn.2.weight", "nn.0.weight", "nn.2.bias"),
    "gcn": ("lin.weight", "lin.weight", "bias"),  # after all that have the same name
}


def load_weights(module: nn.Module, source: str | Path | bytes) -> None:
    """Fill a built module from a safetensors file or its bytes.

    Raises DataError for a file that is not safetensors, and ModelError for weights that do not fit;
    the module is unchanged then.
    """
    declared = adopted(_shapes(source))
    differences = _differences(module.state_dict(), declared)
    if differences:
        spec: Any = module.spec
        more = f" and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        raise ModelError(
            f"the weights do not fit the architecture: {'; '.join(differences[:SHOWN])}{more}"
            f"{_hint(spec, declared)}\n{_compared(module.state_dict(), declared)}"
        )
    state = adopted(_read(source))  # now that its size is known to be the module's
    broken = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise ModelError(f"the weights hold NaN or infinite values in {', '.join(broken[:SHOWN])}")
    module.load_state_dict(state)


def restore(options: Mapping[str, Any], weights: bytes) -> nn.Module:
    """The module of a stored architecture, given the fields of its spec and its weights.

    Raises ModelError, DataError, InvalidValue or UnknownName if they do not fit, before memory is
    taken for sizes that no weight has.
    """
    try:
        spec = ArchitectureSpec(**options)
    except TypeError as error:
        raise ModelError(f"an architecture is described by its options: {error}") from error
    # The steps of appnp have no weights; the spec bounds their number.
    counts = {} if spec.architecture == "appnp" else {"layers": spec.layers}
    require_fit(lambda: build(spec), weights, counts)
    module = build(spec)
    load_weights(module, weights)
    return module


def require_fit(make: Callable[[], nn.Module], weights: bytes, counts: Mapping[str, Any]) -> None:
    """Raise ModelError unless the module that `make` would build has the names and shapes of weights.

    counts  by name, the numbers of parts that each have weights of their own
    """
    state = _read(weights)
    for name, count in counts.items():
        if type(count) is not int or not 1 <= count <= len(state):
            raise ModelError(
                f"{name} is {str(count)[:80]}, expected a whole number from 1 to {len(state)}:"
                " each has weights"
            )
    try:
        with torch.device("meta"):  # sizes without memory
            module = make()
    except Exception as error:
        raise ModelError(f"nothing can be built: {type(error).__name__}: {error}") from error
    if differences := _differences(module.state_dict(), state):
        raise ModelError(f"the weights do not fit: {'; '.join(differences[:SHOWN])}")


def to_bytes(module: nn.Module) -> bytes:
    """The module's state as safetensors bytes; `load_weights` reads them back."""
    return safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    )


def content_hash(module: nn.Module, spec: object = None) -> str:
    """A digest of classes, plain settings, parameters, buffers, and of the repr of any `spec`.

    Equal content has an equal hash, on every machine.
    """
    digest = hashlib.sha256(repr(spec).encode())
    for name, part in module.named_modules():
        kind = f"{type(part).__module__}.{type(part).__qualname__}"
        digest.update(f"{name}:{kind}{_settings(part)}".encode())
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if is_lazy(tensor):
            continue
        digest.update(f"{name}:{tensor.dtype}{list(tensor.shape)}".encode())
        digest.update(_raw_bytes(tensor))
    return digest.hexdigest()[:32]


def _settings(module: nn.Module) -> list[tuple[str, Any]]:
    """Public attributes with plain values, such as heads or slopes: they also decide the output."""
    return sorted(
        (name, value)
        for name, value in vars(module).items()
        if isinstance(value, bool | int | float | str) and name != "training" and name[0] != "_"
    )


def _raw_bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().to_dense().reshape(-1).view(torch.uint8).numpy().tobytes()


def _shapes(source: str | Path | bytes) -> dict[str, Tensor]:
    """The tensors of a source without their values, which take no memory."""
    if isinstance(source, bytes):
        return _read(source)
    path = Path(source)
    require_file(path)
    with _reading(path), safetensors.safe_open(path, "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in list(file.keys())}
        return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def _read(source: str | Path | bytes) -> dict[str, Tensor]:
    with _reading(source):
        if isinstance(source, bytes):
            return safetensors.torch.load(source)
        return safetensors.torch.load_file(source)


@contextmanager
def _reading(source: str | Path | bytes) -> Iterator[None]:
    """Raise DataError, which names the source, for a file that is not a safetensors file."""
    where = "the stored weights" if isinstance(source, bytes) else str(source)
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot read {where}: {error.strerror or error}") from None
    except (SafetensorError, RuntimeError, ValueError, TypeError, KeyError, MemoryError) as error:
        advice = (
            "it looks like torch.save: `sxq import` reads a state dict of it and writes safetensors"
        )
        said = advice if _is_pickled(source) else error
        raise DataError(f"{where}: not a safetensors file; {said}") from None


def _is_pickled(source: str | Path | bytes) -> bool:
    """Whether a file begins as torch.save writes it; it is not read further."""
    if isinstance(source, bytes):
        return False
    with suppress(OSError), Path(source).open("rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02")
    return False


def _differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    shapes = [
        f"{name} is {list(found[name].shape)}, expected {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    missing = [f"{name} is missing" for name in expected if name not in found]
    unexpected = [f"{name} is unexpected" for name in sorted(found) if name not in expected]
    return shapes + missing + unexpected


def _compared(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """A table of all names with the shapes that are expected and found."""
    rows: list[tuple[str, ...]] = [("name", "expected", "found")]
    for name in [*expected, *sorted(found.keys() - expected.keys())][:ROWS]:
        rows.append((name[:LONGEST], *(_shape(state, name) for state in (expected, found))))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    left = len(expected.keys() | found.keys()) - ROWS
    return "\n".join([*lines, *([f"... and {left} more"] if left > 0 else [])])


def _shape(state: Mapping[str, Tensor], name: str) -> str:
    return str(list(state[name].shape)) if name in state else "-"


def _hint(spec: ArchitectureSpec, state: Mapping[str, Tensor]) -> str:
    """The options that the weights suggest, if they differ from the spec."""
    if not isinstance(spec, ArchitectureSpec):
        return ""
    suggested = suggested_options(state)
    features = suggested.pop("in_channels", spec.in_channels)
    if features != spec.in_channels:
        return f"; the weights are for {features} features, the graph has {spec.in_channels}"
    asked = {"classes": spec.out_channels, **vars(spec)}
    wrong = [
        f"{name.upper()} = {value}" for name, value in suggested.items() if value != asked[name]
    ]
    return f"; the file suggests {', '.join(wrong)}" if wrong else ""


def _suggested_for_graphs(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The same for a graph classifier; its pooling has no weights."""
    marks = {"leconv": "lin3.weight"} | {name: mark for name, (mark, _, _) in LAYOUTS.items()}
    architecture = next((name for name, mark in marks.items() if f"convs.0.{mark}" in state), None)
    first = state["node_emb.weight"]
    hidden = state.get("lin1.weight")
    last = state.get("lin2.weight")
    if architecture is None or hidden is None or last is None:
        return {}
    if any(part.dim() != 2 for part in (first, hidden, last)):
        return {}
    layers = len({name.split(".")[1] for name in state if name.startswith("convs.")})
    return {
        "in_channels": first.shape[1],
        "architecture": architecture,
        "layers": layers,
        "classes": len(last),
        "hidden": hidden.shape[0],
        "heads": first.shape[0] // max(1, hidden.shape[0]),
    }


def suggested_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """in_channels and options of CREATE MODEL, read off a state dict.

    Empty if its names are not those of a named architecture.
    """
    architecture = next(
        (name for name, (mark, _, _) in LAYOUTS.items() if f"conv1.{mark}" in state), None
    )
    if "node_emb.weight" in state:
        return _suggested_for_graphs(state)
    layers = len({name.partition(".")[0] for name in state if name.startswith("conv")})
    _, matrix, bias = LAYOUTS.get(architecture or "", ("", "", ""))
    first = state.get(f"conv1.{matrix}")
    last = state.get(f"conv{layers}.{bias}")
    if first is None or last is None or first.dim() != 2:
        return {}
    heads = state["conv1.att_src"].shape[1] if architecture == "gat" else 1
    if architecture == "transformer":  # the last layer has the mean over its heads
        heads = len(state[f"conv{layers}.lin_key.weight"]) // len(last)
    # The width of a single layer is the number of classes.
    hidden = {"hidden": first.shape[0] // heads} if layers > 1 else {}
    return {
        "in_channels": first.shape[1],
        "architecture": architecture,
        "layers": layers,
        "heads": heads,
        "classes": len(last),
        **hidden,
    }
