"""Graphs as compressed in-edge lists, and the receptive fields cut out of them. numpy only.

The verb: `extract(graph, target, hops, halo, directed)` gives a `Field`. `readers` makes graphs of files and tables.
"""

from sxq.graph.collection import GraphSet
from sxq.graph.csr import Graph
from sxq.graph.embedding import embed
from sxq.graph.field import HALO, LOOP, Field, extract, induced_edges

__all__ = ["HALO", "LOOP", "Field", "Graph", "GraphSet", "embed", "extract", "induced_edges"]
