"""Graphs as compressed in-edge lists, and the receptive fields cut out of them. numpy only.

The verbs: `extract(graph, target, hops, halo, directed)` gives a `Field`; `read_npz` and `from_tables` give a `Graph`.
"""

from sxq.graph.csr import Graph
from sxq.graph.field import HALO, LOOP, Field, extract

__all__ = ["HALO", "LOOP", "Field", "Graph", "extract"]
