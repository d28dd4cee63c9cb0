"""`DiskGraph`: a graph whose arrays are files that are mapped into memory, not read.

Opening costs the same for every size. A field reads the in-edges and the rows of its nodes, and
the system keeps what was read as long as there is room. Everything that takes a pass over the
whole graph (kind, hash, degrees) was found when the folder was written.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sxq.graph.csr import Graph
from sxq.graph.disk import manifest
from sxq.graph.disk.disk_keys import DiskKeys
from sxq.graph.disk.half_rows import HalfRows
from sxq.graph.disk.stored_list import StoredList
from sxq.graph.encoding import Encoding

ARRAYS = ("x", "edge_index", "y", "edge_weight", "edge_attr", "edge_truth")


class DiskGraph(Graph):
    """A graph in a folder that `write` made; `facts` are those of its manifest."""

    keeps_outputs = True  # whether outputs of models may be added to the folder

    def __init__(self, folder: Path, facts: dict[str, Any]):
        self.folder = folder
        self.facts = facts
        self.types = None
        encoding = facts["encoding"]
        self.encoding = Encoding.from_dict(encoding) if encoding else None
        self.forms = facts["forms"]
        self.left_out = facts["left_out"]
        self.feature_names = facts["feature_names"]
        self.edge_names = facts["edge_names"]
        for name in ARRAYS:
            setattr(self, name, manifest.array(folder, name))
        if facts["half"]:
            self.x: Any = HalfRows(self.x)
        self.node_inputs = self._inputs("node_input", facts["node_inputs"])
        self.edge_inputs = self._inputs("edge_input", facts["edge_inputs"])
        self.attributes = self._lists("attribute", facts["attributes"])
        self.edge_attributes = self._lists("edge_attribute", facts["edge_attributes"])
        self._typed = None
        self._names = DiskKeys(folder, facts["keys"]) if facts["keys"] else None
        self._start: Any = manifest.array(folder, "start")
        self._by_head: Any = manifest.array(folder, "numbers")
        self._tails: Any = manifest.array(folder, "tails")
        self.one_hot = facts["one_hot"]
        if "undirected" in facts:
            self.undirected = facts["undirected"]
        if "content_hash" in facts:
            self.content_hash = facts["content_hash"]

    def _inputs(self, prefix: str, names: list[str]) -> dict[str, Any]:
        return {
            name: manifest.array(self.folder, f"{prefix}.{number}")
            for number, name in enumerate(names)
        }

    def _lists(self, prefix: str, kinds: dict[str, str]) -> dict[str, Any]:
        return {
            name: StoredList(self.folder, f"{prefix}.{number}", kind)
            for number, (name, kind) in enumerate(kinds.items())
        }

    @cached_property
    def split(self) -> np.ndarray | None:  # type: ignore[override]
        """The split of every node; only training asks for it."""
        if self.facts["split"] is None:
            return None
        held = manifest.array(self.folder, "split")
        assert held is not None, "a manifest that holds has the file"
        return np.array(self.facts["split"], object)[held]

    def in_edges(self, nodes: np.ndarray) -> np.ndarray:
        """Edge numbers of all edges into `nodes` [k], grouped by node in the order given."""
        return self._numbers(self._slots(np.asarray(nodes)))

    def entering(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The `in_edges` of nodes, and their ends [2, m]; what is read lies together, node by node."""
        nodes = np.asarray(nodes)
        slots = self._slots(nodes)
        heads = np.repeat(nodes, self.in_degrees(nodes))
        return self._numbers(slots), np.stack([self._tails[slots].astype(np.int64), heads])

    def tail_of(self, nodes: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The tail [k] of one in-edge of each of the nodes [k], by its place among those of the node."""
        return self._tails[self._start[nodes] + place].astype(np.int64)

    def _slots(self, nodes: np.ndarray) -> np.ndarray:
        """Where the in-edges of nodes [k] lie, one node after another."""
        count = self.in_degrees(nodes)
        before = np.cumsum(count) - count
        return np.repeat(self._start[nodes] - before, count) + np.arange(int(count.sum()))

    def _numbers(self, slots: np.ndarray) -> np.ndarray:
        return slots if self._by_head is None else self._by_head[slots].astype(np.int64)

    @property
    def outputs(self) -> Path:
        """The folder of the outputs of models on the whole graph."""
        return self.folder / manifest.OUTPUTS

    def __reduce__(self) -> Any:
        return open_graph, (self.folder,)


def open_graph(folder: Path, whole: bool = False) -> DiskGraph:
    """The graph of a folder; raises StoreError if it is not there, or not as it was written.

    whole  compare the content of every file, not only size, time, head and end
    """
    return DiskGraph(folder, manifest.read(folder, whole))
