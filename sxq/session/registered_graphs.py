"""Graphs and collections by name; a graph that only the store has is loaded on first use."""

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from sxq.errors import GraphError, InvalidValue, NameTaken, UnknownName
from sxq.graph import Graph, GraphSet
from sxq.graph.disk import ArrayColumns, DiskGraph, column_bytes
from sxq.session import engine
from sxq.storage import CheckedRow, Store
from sxq.storage.checked import short


class RegisteredGraphs(Mapping[str, Graph | GraphSet]):
    """Every graph and collection by its name.

    renewed  called with a name that from now on has other content, or none
    """

    def __init__(self, store: Store, renewed: Callable[[str], None], settings: Mapping[str, Any]):
        self._store = store
        self._settings = settings
        self._renewed = renewed
        # With their ids; None if nothing is stored.
        self._held: dict[str, tuple[Graph | GraphSet, int | None]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._held, *(row.name for row in self._store.graphs())}))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._held or any(row.name == name for row in self._store.graphs())

    def __getitem__(self, name: str) -> Graph | GraphSet:
        if name not in self._held:
            ids = [row.graph_id for row in self._store.graphs() if row.name == name]
            if not ids:
                raise KeyError(name)
            self._held[name] = self._loaded(ids[0]), ids[0]
        return self._held[name][0]

    def of_kind(self, kind: str, name: str) -> Any:
        """The "graph", or the collection of "graphs", of a name; raises UnknownName, InvalidValue."""
        found = known(kind, name, self)
        _require_kind(kind, name, "graphs" if isinstance(found, GraphSet) else "graph")
        return found

    def add(
        self,
        name: str,
        graph: Graph | GraphSet | ArrayColumns,
        replace: bool = False,
        storage: str | None = None,
    ) -> None:
        """Keep a graph or a collection under a name, and store it if the database can be written.

        storage  "memory", or "disk" for a folder beside the database; by default disk for a graph that
                 takes more than sxq_memory

        The same content again is a no-op. Raises NameTaken for other content, or the same in the other storage,
        without `replace`.
        """
        if self._disk(graph, storage):
            assert not isinstance(graph, GraphSet), "collections are kept in memory"
            self._add_on_disk(name, graph, replace)
            return
        if isinstance(graph, ArrayColumns):
            graph = Graph(**graph.columns())
        if self._hash_of(name) == (graph.content_hash, False):
            return
        if self._store.read_only:
            if name in self and not replace:
                raise NameTaken(
                    f"graph {name!r} exists with other content; use replace=True, or choose another name"
                )
            graph_id = None
        else:
            graph_id = self._save(name, graph, replace)
        self._held[name] = graph, graph_id
        self._renewed(name)

    def altered(self, name: str, graph: Graph | GraphSet, graph_id: int) -> None:
        """Keep the next version of a graph, which is stored, in the place of the one before."""
        self._held[name] = graph, graph_id
        self._renewed(name)

    def _disk(self, graph: Graph | GraphSet | ArrayColumns, storage: str | None) -> bool:
        """Whether a graph goes into a folder; raises StoreError or NotAllowed where it was asked for and cannot."""
        store = self._store
        if storage == "disk":
            if isinstance(graph, GraphSet):
                raise InvalidValue(
                    "STORAGE = disk is for a single graph; collections are kept in memory"
                )
            self.require_disk()
            return True
        if storage == "memory" or isinstance(graph, GraphSet):
            return False
        if store.path is None or store.read_only or store.access.untrusted:
            return False
        columns = graph.columns()
        return columns["types"] is None and column_bytes(columns) > self._settings["sxq_memory"]

    def require_disk(self) -> None:
        """Raise StoreError or NotAllowed where no graph can be put on disk: before it is read, not after."""
        store = self._store
        store.require_writable("STORAGE = disk")
        store.require_file("STORAGE = disk")
        store.access.require_trusted("STORAGE = disk, which writes a folder beside the database,")

    def _add_on_disk(self, name: str, graph: Graph | ArrayColumns, replace: bool) -> None:
        """Write a graph into a folder, unless the name has it."""
        if isinstance(graph, Graph) and self._hash_of(name) == (graph.content_hash, True):
            return
        graph_id, mapped = self._store.save_graph_on_disk(name, graph.columns(), replace)
        if self._held.get(name, (None, None))[1] == graph_id:
            return  # the same content, which only its hash could tell
        self._held[name] = mapped, graph_id
        self._renewed(name)

    def _hash_of(self, name: str) -> tuple[str, bool] | None:
        """The hash of the content that a name has, and whether it is on disk; None if it has none."""
        if name in self._held:
            graph = self._held[name][0]
            return graph.content_hash, isinstance(graph, DiskGraph)
        rows = [row for row in self._store.graphs() if row.name == name]
        return (rows[0].content_hash, rows[0].on_disk) if rows else None

    def _save(self, name: str, graph: Graph | GraphSet, replace: bool) -> int:
        save = self._store.save_graphs if isinstance(graph, GraphSet) else self._store.save_graph
        columns = graph.columns()
        return save(name, graph.content_hash, columns, graph.undirected, replace=replace)

    def add_data(self, name: str, data: Any, replace: bool, storage: str | None = None) -> None:
        """Register PyG's `Data` or `HeteroData`, or a `Graph`; raises what `add` raises, and GraphError."""
        if storage not in (None, "disk", "memory"):
            raise InvalidValue(f"storage = {storage!r}; expected disk or memory")
        graph = data
        if not isinstance(data, Graph | ArrayColumns):
            most = None if storage == "disk" else self._settings["sxq_memory"]
            graph = None if storage == "memory" else engine.models().plain_arrays(data, most)
            graph = engine.models().graph_from_data(data) if graph is None else graph
        self.add(name, graph, replace, storage)

    def add_dataset(self, name: str, dataset: Any, replace: bool) -> None:
        """Register a container of `Data`, or a `GraphSet`; raises what `add` raises, and GraphError."""
        is_set = isinstance(dataset, GraphSet)
        graphs = dataset if is_set else engine.models().graphs_from_data(dataset)
        self.add(name, graphs, replace)

    def refresh(self, ids: Mapping[str, int]) -> None:
        """Forget graphs that the store no longer has under their names, given its `ids`."""
        for name, (_, graph_id) in list(self._held.items()):
            if ids.get(name) != graph_id:
                self._renewed(name)
                del self._held[name]

    def drop(self, kind: str, name: str) -> None:
        """Free the name of a "graph" or of a collection of "graphs"; raises UnknownName, InvalidValue.

        The graph is not loaded, so that one whose rows are damaged can be dropped, too.
        """
        kinds = {row.name: "graph" if row.num_graphs is None else "graphs" for row in self.rows()}
        _require_kind(kind, name, known(kind, name, kinds))
        self._store.drop(kind, name, if_exists=True)
        self._held.pop(name, None)
        self._renewed(name)

    def rows(self) -> list[Any]:
        """Every graph, from the store or from memory; both have the same attributes."""
        stored = {row.name: row for row in self._store.graphs()}
        memory = {name: _row(name, graph) for name, (graph, _) in self._held.items()}
        return [memory.get(name) or stored[name] for name in self]

    def id_of(self, name: str) -> int | None:
        """The id of a graph by its name; None if nothing is stored."""
        self[name]  # loads the graph, and with it the id
        return self._held[name][1]

    def name_of(self, graph_id: int) -> str:
        """The present name of a stored graph."""
        return next(
            (row.name for row in self._store.graphs() if row.graph_id == graph_id), "(dropped)"
        )

    def stored(self, graph_id: int) -> Graph | GraphSet:
        """A graph by its id, even if its name now has other content."""
        held = next((graph for graph, held in self._held.values() if held == graph_id), None)
        return held or self._loaded(graph_id)

    def reloaded(self, graph_id: int) -> Graph | GraphSet:
        """A stored graph as its rows are now; raises StoreError if they were changed, InvalidValue."""
        loaded = self._loaded(graph_id, whole=True)
        row = next((row for row in self._store.graphs() if row.graph_id == graph_id), None)
        if isinstance(loaded, DiskGraph):
            return loaded  # whose hash holds for all of it
        labels = None if loaded.y is None else len(np.unique(loaded.y))
        if row and (row.undirected, row.num_classes) != (loaded.undirected, labels):
            raise CheckedRow("graphs", "graph_id", graph_id, row.name).wrong(
                "undirected, num_classes",
                f"{row.undirected}, {row.num_classes}",
                f"{loaded.undirected}, {labels} as in nodes and edges",
            )
        return loaded

    def _loaded(self, graph_id: int, whole: bool = False) -> Graph | GraphSet:
        """The stored graph; raises StoreError if its rows are not those that were stored.

        whole  of a graph on disk, read and compare all of it
        """
        place = CheckedRow("graphs", "graph_id", graph_id)
        if self._store.is_on_disk(graph_id):
            return self._store.open_graph(graph_id, self._store.graph_hash(graph_id), whole)
        try:
            if self._store.is_collection(graph_id):
                loaded: Graph | GraphSet = GraphSet.of(self._store.load_graphs(graph_id))
            else:
                loaded = Graph(**self._store.load_graph(graph_id))
        except GraphError as error:
            raise place.wrong(
                "content_hash", f"rows that are no graph: {error}", "a graph"
            ) from None
        hashed = self._store.graph_hash(graph_id)
        if loaded.content_hash != hashed:
            found = f"nodes and edges with hash {loaded.content_hash}"
            raise place.wrong("content_hash", found, f"hash {short(hashed)}")
        return loaded


def _row(name: str, graph: Graph | GraphSet) -> SimpleNamespace:
    """A graph in memory, with the attributes of a row of the store's list."""
    return SimpleNamespace(
        name=name,
        num_nodes=graph.num_nodes,
        num_edges=graph.num_edges,
        num_features=graph.num_features,
        undirected=graph.undirected,
        num_graphs=len(graph) if isinstance(graph, GraphSet) else None,
        node_types=0
        if isinstance(graph, GraphSet) or graph.types is None
        else len(graph.types.node_types),
    )


def _require_kind(kind: str, name: str, found: str) -> None:
    """Raise InvalidValue if a "graph" was asked for and a collection of "graphs" found, or the reverse."""
    if found != kind:
        what = "a collection: say GRAPHS" if kind == "graph" else "a single graph: say GRAPH"
        raise InvalidValue(f"{name!r} is {what} {name}")


def known(kind: str, name: str, entries: Mapping[str, Any]) -> Any:
    """The entry of a name, or UnknownName with the known ones."""
    if name not in entries:
        raise UnknownName(kind, name, entries)
    return entries[name]
