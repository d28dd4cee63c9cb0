"""`sxq import`: the weights in a file of torch.save as safetensors. Nothing in the file is executed.

torch reads the file with `weights_only`, which knows tensors, plain values and containers and refuses everything else.
"""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from sxq.errors import DataError, NameTaken
from sxq.graph.npz_files import require_file

_HOLDERS = ("state_dict", "model_state_dict", "model", "weights")  # where checkpoints keep weights
_PREFIX = "module."  # of every name, after DataParallel
_SAVE = "in the program that has the class: torch.save(model.state_dict(), 'weights.pt')"


def import_weights(source: str, target: str) -> str:
    """Write the tensors of a state dict to a new safetensors file; what was done, in words.

    Raises DataError for a file that holds anything else, NameTaken for a target that exists.
    """
    if Path(target).exists():
        raise NameTaken(f"{target!r} exists; name another file after {source!r}")
    notes: list[str] = []
    state = _tensors(source, _state(source, _loaded(source), notes))
    if all(name.startswith(_PREFIX) for name in state):
        notes.append(f"names without {_PREFIX!r}")
        state = {name.removeprefix(_PREFIX): tensor for name, tensor in state.items()}
    try:
        safetensors.torch.save_file(
            {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}, target
        )
    except (OSError, safetensors.SafetensorError, ValueError, RuntimeError) as error:
        raise DataError(f"cannot write {target}: {error}") from error
    size = sum(tensor.numel() for tensor in state.values())
    return "; ".join([f"{len(state)} tensors with {size:,} values", *notes])


def _loaded(source: str) -> Any:
    require_file(Path(source))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about files that are refused below
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = _named(str(error))
        raise DataError(
            f"{source}: holds {found}, which only running its code could restore; save its weights alone, {_SAVE}"
        ) from None
    except (
        RuntimeError,
        ValueError,
        EOFError,
        KeyError,
        OSError,
        AttributeError,
        TypeError,
    ) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{source}: torch.save did not write this file, or it is cut short ({first:.200})"
        ) from None


def _named(message: str) -> str:
    """The class that torch refuses, by the text of its message."""
    after = message.partition("GLOBAL ")[2].split()
    return f"an object of {after[0]}" if after else "an object that is no tensor"


def _state(source: str, loaded: Any, notes: list[str]) -> Mapping[Any, Any]:
    """The mapping of names to tensors in what was loaded."""
    if isinstance(loaded, Mapping) and not any(
        isinstance(value, Tensor) for value in loaded.values()
    ):
        for name in _HOLDERS:
            if isinstance(loaded.get(name), Mapping):
                rest = [str(other) for other in loaded if other != name]
                notes.append(f"from {name!r}" + (f", without {', '.join(rest)}" if rest else ""))
                return loaded[name]
    if not isinstance(loaded, Mapping) or not loaded:
        found = "nothing" if not loaded and isinstance(loaded, Mapping) else type(loaded).__name__
        raise DataError(f"{source}: holds {found}, expected a state dict; {_SAVE}")
    return loaded


def _tensors(source: str, state: Mapping[Any, Any]) -> dict[str, Tensor]:
    wrong = [
        f"{name} is {type(value).__name__}"
        for name, value in state.items()
        if not (
            isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided
        )
    ]
    if wrong or not state:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise DataError(
            f"{source}: {'; '.join(wrong[:3]) or 'no tensors'}{more}; expected a dense tensor under every name; {_SAVE}"
        )
    return dict(state)
