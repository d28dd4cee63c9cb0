"""Graphs, models, measures and what was learned, by name: what is in memory, what the store holds, how one becomes the
other.

Part of the corridor: `Connection` asks a `Registry` for everything that has a name. torch is imported only when a model
is needed; a graph or a model that the file holds is loaded when first used.
"""

from sxq.session.graphs import Graphs, known
from sxq.session.learned import Learned
from sxq.session.registry import Named, Registry

__all__ = ["Graphs", "Learned", "Named", "Registry", "known"]
