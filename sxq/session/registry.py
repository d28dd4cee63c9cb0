"""Everything that a statement can name: graphs, models, measures, generators and attributors.

Each is in memory, or in the store and loaded on first use.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sxq.errors import NameTaken
from sxq.generators.catalog import DEFAULT, GENERATORS, GeneratorEntry
from sxq.graph import Graph, GraphSet
from sxq.graph.disk import DiskGraph
from sxq.scoring.measures import MEASURES, Measure, user_measure
from sxq.session.learned import LearnedInputs
from sxq.session.registered_graphs import RegisteredGraphs
from sxq.session.registered_models import Follower, RegisteredModel, RegisteredModels
from sxq.storage import Store


class Registry:
    """Everything that a statement can name, by kind."""

    def __init__(self, store: Store, settings: Mapping[str, Any]):
        self._store = store
        self.graphs = RegisteredGraphs(store, self._forget_graph, settings)
        self.models = RegisteredModels(store, self.graphs, settings)
        self.learned = LearnedInputs(store)
        self.measures: dict[str, Measure] = dict(MEASURES)

    def refresh(self) -> None:
        """Forget objects that another connection dropped or replaced; the next use loads them."""
        if self._store.path is None or self._store.read_only:
            return  # no other connection can change the database
        ids = self._store.ids()
        self.graphs.refresh(ids["graphs"])
        self.learned.refresh(ids["refines"])
        self.models.refresh(ids["models"])

    def alter_graph(
        self, name: str, graph: Graph | GraphSet, say: Callable[[str], None]
    ) -> tuple[list[str], list[str]]:
        """Store the next version of a graph or a collection; the models that follow to it, and remarks on those that do not.

        Raises StoreError, TransactionOpen; then nothing has changed.
        """
        if isinstance(graph, Graph) and isinstance(self.graphs[name], DiskGraph):
            return self._alter_on_disk(name, graph, say)
        followers, notes = self.models.followers(name, graph, say)
        graph_id, ids = self._store.alter_graph(
            name,
            graph.content_hash,
            graph.columns(),
            graph.undirected,
            [follower.row for follower in followers],
        )
        self.graphs.altered(name, graph, graph_id)
        self.models.altered(name, followers, ids)
        return [follower.row["name"] for follower in followers], notes

    def _alter_on_disk(
        self, name: str, graph: Graph, say: Callable[[str], None]
    ) -> tuple[list[str], list[str]]:
        """The same for a graph in a folder: the next version gets one, too, with the outputs of the models."""
        followers: list[Follower] = []
        notes: list[str] = []

        def follow(mapped: Graph) -> list[Mapping[str, Any]]:
            found, said = self.models.followers(name, mapped, say)
            followers.extend(found)
            notes.extend(said)
            return [follower.row for follower in found]

        graph_id, ids, mapped = self._store.alter_graph_on_disk(name, graph.columns(), follow)
        self.graphs.altered(name, mapped, graph_id)
        self.models.altered(name, followers, ids)
        return [follower.row["name"] for follower in followers], notes

    def generators(self) -> Mapping[str, GeneratorEntry]:
        return GENERATORS

    def default_generators(self) -> tuple[str, ...]:
        return DEFAULT

    def add_measure(
        self, name: str, fn: Callable, larger_is_better: bool, score: Callable | None = None
    ) -> None:
        """Add a user's measure; raises NameTaken for the name or column of a built-in measure."""
        measure = user_measure(name, fn, larger_is_better, score)
        built_in = {built_in.column for built_in in MEASURES.values()}
        if measure.name in MEASURES or measure.column in built_in:
            raise NameTaken(f"measure {name!r} is built in; choose another name")
        self.measures[measure.name] = measure

    def add_refine(self, name: str, model: RegisteredModel, **learned: Any) -> None:
        """Keep pre-trained attributors for a ready model; see `LearnedInputs.add`."""
        self.learned.add(
            name,
            model=self.models.name_of(model),
            model_id=model.model_id,
            graph_id=self.graphs.id_of(model.graph),
            **learned,
        )

    def drop(self, kind: str, name: str, if_exists: bool) -> None:
        """Free the name of a graph, graphs, model or refine; data of stored answers stay stored."""
        if if_exists and name not in self._names(kind):
            return
        match kind:
            case "refine":
                self.learned.drop(name)
            case "model":
                self.models.drop(name)
            case _:
                self.graphs.drop(kind, name)

    def _names(self, kind: str):
        if kind == "refine":
            return self.learned.models()
        return self.models.names() if kind == "model" else self.graphs

    def _forget_graph(self, graph: str) -> None:
        """Forget everything that depends on a graph whose name now has other content."""
        self.models.forget_graph(graph)
        self.learned.forget()
