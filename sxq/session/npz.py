"""`save_npz`: graphs of every kind as files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sxq.graph import Graph, GraphSet
from sxq.graph.saved_npz import write_npz
from sxq.session import engine


def save_npz(graph: Any, path: str | Path) -> None:
    """Write a graph or a collection to an .npz file, which CREATE GRAPH(S) ... FROM FILE reads.

    graph  PyG's `Data`, a sequence of them (a collection), or what `sxq.datasets.load` returns
    path   of the file, which is overwritten; docs/files.md describes its arrays

    Raises DataError for a path that cannot be written, and GraphError for tensors that are no graph.
    """
    if not isinstance(graph, Graph | GraphSet):
        models = engine.models()
        several = isinstance(graph, Sequence) or hasattr(graph, "indices")  # a Dataset of PyG's
        graph = models.graphs_from_data(graph) if several else models.graph_from_data(graph)
    write_npz(graph, path)
