"""Graphs from PyG's data sets, by name.

Data sets are kept under SXQ_DATASETS, by default ~/.cache/sxq. KarateClub and the generated data
sets (`sxq.graph.generated`: BA-Shapes, Tree-Cycles, BA-3motif) need no download.
"""

import inspect
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch_geometric.datasets as pyg

from sxq.errors import DataError, UnknownName
from sxq.graph import Graph, GraphSet
from sxq.graph.generated import GENERATORS, generate
from sxq.models.pyg_data import graph_from_data, graphs_from_data

# Data sets that PyG names by a class and a name; those with a class of their own need no entry.
NAMED = {
    "Cora": "Planetoid",
    "CiteSeer": "Planetoid",
    "PubMed": "Planetoid",
    "Computers": "Amazon",
    "Photo": "Amazon",
    "CS": "Coauthor",
    "Physics": "Coauthor",
    "Cornell": "WebKB",
    "Texas": "WebKB",
    "Wisconsin": "WebKB",
    "Chameleon": "WikipediaNetwork",
    "Squirrel": "WikipediaNetwork",
    "Cora_ML": "CitationFull",
    "DBLP": "CitationFull",
}
COLLECTIONS = {  # data sets of many graphs, by name
    **dict.fromkeys(
        (
            "AIDS",
            "BZR",
            "COX2",
            "DD",
            "DHFR",
            "ENZYMES",
            "MUTAG",
            "Mutagenicity",
            "NCI1",
            "NCI109",
            "PROTEINS",
            "PTC_MR",
            "IMDB-BINARY",
            "REDDIT-BINARY",
        ),
        "TUDataset",
    )
}


def load_dataset(name: str, root: str | Path | None = None) -> Graph:
    """The graph of a PyG data set, by name in any case.

    Raises UnknownName, and DataError if it cannot be fetched or is not one homogeneous graph.
    """
    if (made := generate(name)) is not None:
        if isinstance(made, GraphSet):
            raise DataError(f"data set {name!r} is a collection of graphs: CREATE GRAPHS reads it")
        return made
    name = _known(name, [*NAMED, *_plain_datasets()])
    return graph_from_data(_only(name, _fetch(name, root)))


def load_graphs(name: str, root: str | Path | None = None) -> GraphSet:
    """The collection of a PyG data set, by name in any case; raises the errors of `load_dataset`."""
    if (made := generate(name)) is not None:
        if isinstance(made, Graph):
            raise DataError(f"data set {name!r} is a single graph: CREATE GRAPH reads it")
        return made
    name = _known(name, [*COLLECTIONS, *_plain_datasets()])
    return graphs_from_data(_fetch(name, root))


def _known(name: str, names: Sequence[str]) -> str:
    known = {plain.lower(): plain for plain in names}
    if name.lower() not in known:
        raise UnknownName("data set", name, [*known.values(), *GENERATORS])
    return known[name.lower()]


def _fetch(name: str, root: str | Path | None) -> Sequence[Any]:
    root = Path(root or os.environ.get("SXQ_DATASETS") or Path.home() / ".cache" / "sxq")
    try:
        return _constructor(name, root)()
    except Exception as error:  # PyG's downloaders, parsers and optional packages raise anything
        raise DataError(
            f"data set {name!r} could not be fetched into {root}: {type(error).__name__}: {error}"
        ) from error


def _plain_datasets() -> list[str]:
    """Names of PyG's homogeneous data sets that need no argument but a folder."""
    return [
        name
        for name in (*pyg.homo_datasets, *pyg.synthetic_datasets)
        if _required(name) <= {"root"}
    ]


def _required(name: str) -> set[str]:
    parameters = inspect.signature(getattr(pyg, name)).parameters.values()
    return {p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}


def _constructor(name: str, root: Path) -> Callable[[], Sequence[Any]]:
    if kind := {**NAMED, **COLLECTIONS}.get(name):
        return partial(getattr(pyg, kind), root=str(root / kind), name=name)
    folder = {"root": str(root / name)} if "root" in _required(name) else {}
    return partial(getattr(pyg, name), **folder)


def _only(name: str, dataset: Sequence[Any]) -> Any:
    if len(dataset) != 1:
        raise DataError(
            f"data set {name!r} holds {len(dataset)} graphs, expected one; "
            "CREATE GRAPHS reads collections"
        )
    return dataset[0]
