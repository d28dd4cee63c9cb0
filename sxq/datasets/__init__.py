"""Data sets by name: `load("Cora")` is a `Graph`, `load("Mutagenicity")` a `GraphSet`.

`CREATE GRAPH(S) ... FROM DATASET 'name'` uses it. The names of both papers are known in the papers'
spellings and in any other: case, spaces and punctuation do not matter. Files are kept in the folder
named by SXQ_DATASETS, by default ~/.cache/sxq; where a download fails, the error says which file
to put where. This room reads PyG's data, so it imports torch.

The files in reading order:

    names           the papers' spellings, and every known name
    fetched         data sets that PyG fetches and reads
    arxiv           OGBN-arxiv, from OGB's raw folder
    molecules       Mutagenicity, with NO2 and NH2 as ground truth
    superpixels     MNIST superpixels, and scikit-learn's digits as an offline stand-in
    scene_graphs    VG-5: scenes of Visual Genome, as the ReFine code lays them out
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sxq.datasets import fetched
from sxq.datasets.arxiv import arxiv
from sxq.datasets.molecules import mutagenicity
from sxq.datasets.names import found, known
from sxq.datasets.scene_graphs import vg5
from sxq.datasets.superpixels import digits, mnist
from sxq.errors import DataError, InvalidValue
from sxq.graph import Graph, GraphSet
from sxq.graph.generated import GENERATORS, generate

__all__ = ["load", "names"]


@dataclass(frozen=True)
class Source:
    """Where a data set comes from."""

    read: Callable[..., Graph | GraphSet]  # from the folder of all data sets, and options
    collection: bool
    options: tuple[str, ...] = ()  # of SEED and GRAPHS, those that it takes


READERS = {
    "OGBN-arxiv": Source(arxiv, False),
    "Mutagenicity": Source(mutagenicity, True),
    "MNISTSuperpixels": Source(mnist, True, ("graphs",)),
    "Digits": Source(digits, True, ("graphs", "seed")),
    "VG-5": Source(vg5, True, ("graphs", "seed")),
}


def load(
    name: str,
    *,
    folder: str | Path | None = None,
    seed: int | None = None,
    graphs: int | None = None,
    collection: bool | None = None,
) -> Graph | GraphSet:
    """The data set of a name, in any spelling.

    folder      of all data sets' files, by default the one that SXQ_DATASETS names
    seed        for data that are generated or split at random (by default 0)
    graphs      the most graphs of a collection
    collection  what is expected: True for many graphs, False for one; None for either

    Raises UnknownName; InvalidValue for an option that the data set does not take; DataError if it
    cannot be fetched or read, or if it is not what is expected.
    """
    made = generate(name, seed or 0, graphs)
    if made is not None:
        return _expected(name, made, collection)
    name = found(name, names())
    options = {"seed": seed, "graphs": graphs}
    given = {option: value for option, value in options.items() if value is not None}
    root = Path(folder or os.environ.get("SXQ_DATASETS") or Path.home() / ".cache" / "sxq")
    source = READERS.get(name) or Source(fetched.reader(name, collection), bool(collection))
    for option in set(given) - set(source.options):
        raise InvalidValue(f"{option.upper()} = {given[option]!r} is not for data set {name!r}")
    if name in READERS and collection not in (None, source.collection):
        raise _wrong_kind(name, source.collection)
    return source.read(root, **given)


def names() -> list[str]:
    """The names of all data sets."""
    return list(dict.fromkeys([*READERS, *GENERATORS, *known()]))


def _expected(name: str, made: Any, collection: bool | None) -> Any:
    if collection not in (None, isinstance(made, GraphSet)):
        raise _wrong_kind(name, isinstance(made, GraphSet))
    return made


def _wrong_kind(name: str, collection: bool) -> DataError:
    what = "a collection of graphs: CREATE GRAPHS" if collection else "a single graph: CREATE GRAPH"
    return DataError(f"data set {name!r} is {what} reads it")
