"""Graphs as compressed in-edge lists, and the receptive fields cut out of them. numpy only.

The verb: `extract(graph, target, hops, halo, directed)` gives a `Field`, `whole(graph, directed)` that of a
graph to be explained as a whole. `readers` makes graphs of files and tables.
"""

from sxq.graph.collection import GraphSet
from sxq.graph.csr import Graph
from sxq.graph.embedding import embed, embed_by_nodes
from sxq.graph.field import EdgeKind, Field, extract, induced_edges
from sxq.graph.node2vec import node2vec
from sxq.graph.whole import WholeGraph, whole

__all__ = [
    "EdgeKind",
    "Field",
    "Graph",
    "GraphSet",
    "WholeGraph",
    "embed",
    "embed_by_nodes",
    "extract",
    "induced_edges",
    "node2vec",
    "whole",
]
