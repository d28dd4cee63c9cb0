"""The options in parentheses of CREATE MODEL, TRAIN and PRETRAIN: their tables, and their reader.

The tables are here, not beside the training code, so that completion can list them without torch.
An unknown name raises UnknownName; a value of the wrong type or out of range raises InvalidValue.
"""

import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sxq.errors import InvalidValue, UnknownName

# (name, value) pairs as the statement holds them; names in any case
Options = Iterable[tuple[str, Any]]


@dataclass(frozen=True)
class Option:
    """One option: its type, its default (None: deduced from the data), and its bounds, both included."""

    kind: type  # int, float, str or bool
    default: Any
    low: float | None = None
    high: float | None = None

    def read(self, name: str, value: Any) -> Any:
        """The value in the option's type; raises InvalidValue."""
        accepted = {int: numbers.Integral, float: numbers.Real, str: str, bool: bool}[self.kind]
        fits = isinstance(value, accepted) and isinstance(value, bool) == (self.kind is bool)
        if not fits or (self.low is not None and not self.low <= value <= self.high):
            raise InvalidValue(f"{name.upper()} = {value!r}, expected {self.expected}")
        return self.kind(value)

    @property
    def expected(self) -> str:
        """The values it takes, in words."""
        kinds = {int: "an integer", float: "a number", str: "a name", bool: "true or false"}
        kind = kinds[self.kind]
        return kind if self.low is None else f"{kind} from {self.low} to {self.high}"


@dataclass(frozen=True)
class NumbersOrName(Option):
    """An option that is one of some names, or numbers in brackets, each in the bounds."""

    names: tuple[str, ...] = ()

    def read(self, name: str, value: Any) -> Any:
        """A name in lower case, or a tuple of numbers; raises InvalidValue."""
        if isinstance(value, str) and value.lower() in self.names:
            return value.lower()
        if not isinstance(value, list | tuple) or not all(self._fits(each) for each in value):
            raise InvalidValue(f"{name.upper()} = {value!r}, expected {self.expected}")
        return tuple(float(each) for each in value)

    def _fits(self, value: Any) -> bool:
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        return number and self.low <= value <= self.high

    @property
    def expected(self) -> str:
        """The values it takes, in words."""
        return f"{' or '.join(self.names)}, or numbers from {self.low} to {self.high} in brackets"


def read_options(options: Options, known: Mapping[str, Option]) -> dict[str, Any]:
    """Every known option by lower-case name: the value given, else its default."""
    given: dict[str, Any] = {}
    for name, value in options:
        name = name.lower()
        if name not in known:
            raise UnknownName("option", name, known)
        if name in given:
            raise InvalidValue(f"{name.upper()} is given twice")
        given[name] = known[name].read(name, value)
    return {name: option.default for name, option in known.items()} | given


ARCHITECTURES = (
    *("appnp", "asap", "gat", "gcn", "gin", "gine", "graphconv", "leconv", "sage", "splinecnn"),
    "transformer",
)
TYPED_ARCHITECTURES = ("gat", "hgt", "rgcn", "sage")  # for heterogeneous graphs
ARCHITECTURE_OPTIONS = {
    "architecture": Option(str, None),  # gcn; of a heterogeneous graph, sage
    "layers": Option(int, 3, 1, 20),  # of appnp: steps of propagation
    "hidden": Option(int, 16, 1, 4096),
    "heads": Option(int, 1, 1, 64),  # gat and transformer only
    "dropout": Option(float, 0.0, 0, 0.99),  # between layers, in training only
    "classes": Option(int, None, 1, 10_000),  # default: from the graph's labels
    "pooling": Option(str, None),  # of graphs, by default mean
    "norm": Option(str, None),  # of graphs, by default none
    "alpha": Option(float, None, 0, 1),  # appnp only: weight of a node's own features; 0.1
    "kernel": Option(int, None, 2, 25),  # splinecnn only: control points along a dimension; 5
    # what the columns of the output are; by default classes: multiclass, or binary where there is one
    "task": Option(str, None),
    "ratio": Option(float, None, 0.01, 1),  # asap only: the share of clusters that is kept; 0.8
    # of TASK = link: what scores the rows of both ends, dot, mlp or distance; dot
    "decoder": Option(str, None),
    # of TASK = link in a heterogeneous graph: the type of the links, a relation or account -pays-> shop
    "edge_type": Option(str, None),
}
TRAINING_OPTIONS = {
    "epochs": Option(int, 200, 1, 1_000_000),
    "lr": Option(float, 0.01, 1e-8, 10),
    "weight_decay": Option(float, 5e-4, 0, 1),
    # of first weights, dropout, batches, and of the split if the graph has none
    "seed": Option(int, 0, 0, 2**63 - 1),
    # graphs at a time, by default 64; not for single graphs
    "batch": Option(int, None, 1, 1_000_000),
    # epochs without a better validation state after which training ends, by default all
    "patience": Option(int, None, 1, 1_000_000),
    "class_weights": NumbersOrName(tuple, "none", 0, 1e6, names=("none", "balanced")),
    # by default `graph` if it names training nodes, else `random`; or shares to draw anew
    "split": NumbersOrName(tuple, None, 0, 1, names=("graph", "random")),
}
OPTIONS = ARCHITECTURE_OPTIONS | TRAINING_OPTIONS  # of TRAIN
PRETRAINING_OPTIONS = {
    "preset": Option(str, "refine"),
    "epochs": Option(int, 100, 1, 1_000_000),
    "lr": Option(float, 1e-3, 1e-8, 10),
    "gamma": Option(float, None, 0, 1e6),  # of the contrastive loss; by default the preset's
    "contrast": Option(str, "supervised"),  # or paper: the contrastive loss as published
    "classwise": Option(bool, None),  # one attributor per class; by default the preset's
    "size": Option(float, 0.1, 0, 1e6),
    "entropy": Option(float, 0.01, 0, 1e6),
    "temperature": Option(float, 1.0, 1e-3, 100),  # beta
    "hidden": Option(int, 32, 1, 4096),
    "layers": Option(int, 2, 1, 20),
    "batch": Option(int, 64, 1, 100_000),
    "patience": Option(int, 20, 1, 1_000_000),
    "seed": Option(int, 0, 0, 2**63 - 1),
    "split": Option(str, None),  # learn from these targets only, by default from all
    # of a single graph: how many, drawn at random, by default 200; refused for a collection
    "nodes": Option(int, None, 1, 1_000_000),
}
