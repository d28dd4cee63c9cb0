"""How a value reaches a room that draws or converts it, without importing that room.

A method such as `Explanation.plot` keeps its signature and its docstring and calls `view`. The package attaches
the functions once, when it is imported: those of `sxq.pictures`, and `sxq.pyg.to_data`. They import
matplotlib, networkx and torch only when called.
"""

from collections.abc import Callable, Mapping
from typing import Any

_attached: dict[str, Callable[..., Any]] = {}


def attach(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Attach functions of a value by the method that calls them, such as "Explanation.plot"."""
    _attached.update(functions)


def attached() -> frozenset[str]:
    """The methods that have a function, by name."""
    return frozenset(_attached)


def view(method: str, value: Any, *options: Any) -> Any:
    """What the function attached to a method makes of a value."""
    return _attached[method](value, *options)
