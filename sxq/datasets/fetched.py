"""Data sets that PyG fetches and reads, as graphs; an error names the files and their folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch_geometric.datasets as pyg

from sxq.datasets.names import COLLECTIONS, NAMED, required
from sxq.errors import DataError
from sxq.graph import Graph, GraphSet
from sxq.models import graph_from_data, graphs_from_data

# Nodes and features of the papers' graphs: files that give others are of another version.
SIZES = {
    "Cora": (2_708, 1_433),
    "CiteSeer": (3_327, 3_703),
    "PubMed": (19_717, 500),
    "Computers": (13_752, 767),
    "FacebookPagePage": (22_470, 128),
}

OPTIONAL = {  # files that PyG reads without, but sxq does not
    "Mutagenicity": tuple(
        f"Mutagenicity_{name}.txt" for name in ("graph_labels", "node_labels", "edge_labels")
    )
}


def reader(name: str, collection: bool | None) -> Callable[[Path], Graph | GraphSet]:
    """How a data set is read: as one graph or as many; if neither is asked for, as what it is."""

    def read(root: Path) -> Graph | GraphSet:
        dataset = fetch(name, root)
        many = len(dataset) > 1 if collection is None else collection
        if many:
            return graphs_from_data(dataset)
        if len(dataset) != 1:
            raise DataError(
                f"data set {name!r} holds {len(dataset)} graphs, expected one; "
                "CREATE GRAPHS reads collections"
            )
        return _checked(name, graph_from_data(dataset[0]), root)

    return read


def fetch(name: str, root: Path, **options: Any) -> Sequence[Any]:
    """PyG's own object of a data set; raises DataError, whose message says which files go where."""
    kind = NAMED.get(name) or COLLECTIONS.get(name)
    arguments = {"name": name} if kind else {}
    if "root" in required(kind or name):
        arguments["root"] = str(root / (kind or name))
    try:
        return _telling(kind or name)(**arguments, **options)
    except DataError as error:
        raise DataError(f"data set {name!r} {error}") from error.__cause__
    except Exception as error:  # PyG's parsers and optional packages raise anything
        raise DataError(
            f"data set {name!r} could not be fetched into {root}: {_said(error)}"
        ) from error


def _telling(kind: str) -> Callable[..., Sequence[Any]]:
    """PyG's class; its download and its reading say which files they need, and where."""
    base = getattr(pyg, kind)
    if "root" not in required(kind):  # it is made, not fetched
        return base

    def download(self) -> None:
        try:
            base.download(self)
        except Exception as error:
            raise DataError(
                f"could not be fetched into {self.root}: {_said(error)}; "
                f"put {_listed(self)} into {self.raw_dir}"
            ) from error

    def process(self) -> None:
        try:
            base.process(self)
        except Exception as error:
            raise DataError(
                f"could not be read from {self.raw_dir}: {_said(error)}; expected {_listed(self)}, "
                "whole: delete what is damaged, and it is fetched again"
            ) from error

    own = {"download": download, "process": process}
    return type(base.__name__, (base,), {name: own[name] for name in own if name in vars(base)})


def _listed(dataset: Any) -> str:
    names = dataset.raw_file_names
    more = OPTIONAL.get(getattr(dataset, "name", ""), ())
    return ", ".join([names] if isinstance(names, str) else [*names, *more])


def _said(error: Exception) -> str:
    """The error and, where a package is missing, what installs it."""
    advice = " (pip install 'sxq[experiments]')" if isinstance(error, ImportError) else ""
    return f"{type(error).__name__}: {error}{advice}"


def _checked(name: str, graph: Graph, root: Path) -> Graph:
    found = graph.num_nodes, graph.num_features
    expected = SIZES.get(name, found)
    if found != expected:
        raise DataError(
            f"the files of data set {name!r} in {root / NAMED.get(name, name)} give {found[0]:,} "
            f"nodes with {found[1]:,} features, expected {expected[0]:,} with {expected[1]:,}"
        )
    return graph
