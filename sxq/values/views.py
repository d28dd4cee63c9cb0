"""How a value reaches a room that draws or converts it, without importing that room.

A method such as `Explanation.plot` keeps its signature and its docstring and calls `view`. When the package is
imported, it attaches one loader, which returns the functions: those of `sxq.pictures`, and `sxq.pyg.to_data`.
`view` runs the loader, which imports `sxq.pictures`: a program that draws nothing never waits for it. The functions
import matplotlib, networkx and torch only when called.
"""

from collections.abc import Callable, Mapping
from typing import Any

Functions = Mapping[str, Callable[..., Any]]  # by the method that calls them, "Explanation.plot"

_loaders: list[Callable[[], Functions]] = []


def attach(loader: Callable[[], Functions]) -> None:
    """Attach the functions that a loader returns; it runs only when a method needs its function."""
    _loaders.append(loader)


def attached() -> frozenset[str]:
    """The methods that have a function, by name."""
    return frozenset(_functions())


def view(method: str, value: Any, *options: Any) -> Any:
    """What the function attached to a method makes of a value."""
    return _functions()[method](value, *options)


def _functions() -> Functions:
    return {method: function for loader in _loaders for method, function in loader().items()}
