"""Graphs, models and measures by name: what is in memory, what the store holds, how one becomes the other.

Part of the corridor: `Connection` asks here for everything that has a name. torch is imported only when a model
is needed; a graph or a model that the file holds is loaded when first used.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sxq.errors import InvalidValue, ModelDetached, ModelError, NameTaken, UnknownName
from sxq.graph import Graph, GraphSet
from sxq.planning import GeneratorInfo, ModelInfo
from sxq.planning.nodes import Generate
from sxq.scoring.measures import MEASURES, Measure, user_measure


@dataclass(frozen=True, eq=False)
class Named:
    """A model at hand: the engine's copy, on one graph."""

    model: Any  # sxq.execution.Model
    model_id: int | None  # None where nothing is stored
    graph: str
    spec: Mapping[str, Any]
    content_hash: str  # of the module and what its output means


class Lazy(Mapping):
    """A mapping whose values are made when asked for."""

    def __init__(self, names: Callable[[], list[str]], load: Callable[[str], Any]):
        self._names, self._load = names, load

    def __getitem__(self, name: str) -> Any:
        if name not in self._names():
            raise KeyError(name)
        return self._load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())


class Registry:
    """Everything a query can name."""

    def __init__(self, store, settings: Mapping[str, Any]):
        self._store, self._settings = store, settings
        self._graphs: dict[str, tuple[Graph | GraphSet, int | None]] = {}
        self._models: dict[str, Named] = {}
        self._refines: dict[str, tuple[Any, str]] = {}  # pre-trained attributors and the name of their model
        self._elsewhere: dict[tuple[str, str], Any] = {}  # models on graphs other than their own
        self.explainers: dict[str, tuple[Callable, bool]] = {}  # how to make one, and whether it masks nodes
        self.measures: dict[str, Measure] = dict(MEASURES)
        self.graphs: Mapping[str, Graph | GraphSet] = Lazy(self._graph_names, self._load_graph)

    def of_kind(self, kind: str, name: str) -> Graph | GraphSet:
        """What is called `name` and is a "graph" or a collection of "graphs"; raises UnknownName, InvalidValue."""
        found = known(kind, name, self.graphs)
        if isinstance(found, GraphSet) != (kind == "graphs"):
            what = "a collection: say GRAPHS" if kind == "graph" else "a single graph: say GRAPH"
            raise InvalidValue(f"{name!r} is {what} {name}")
        return found

    def add_graph(self, name: str, graph: Graph | GraphSet, replace: bool = False) -> None:
        """Keep a graph or a collection under a name, stored where the database can be written."""
        if name in self._graph_names() and self._load_graph(name).content_hash == graph.content_hash:
            return
        if self._store.read_only:
            if name in self._graph_names() and not replace:
                raise NameTaken(f"graph {name!r} exists with other content; use replace=True, or choose another name")
            graph_id = None
        else:
            save = self._store.save_graphs if isinstance(graph, GraphSet) else self._store.save_graph
            graph_id = save(name, graph.content_hash, graph.columns(), graph.undirected, replace)
        self._graphs[name] = graph, graph_id
        self._forget_models(lambda entry: entry.graph == name)

    def graph_rows(self) -> list[Any]:
        """Every graph as the store lists it, or as it is in memory: both have these attributes."""
        stored = {row.name: row for row in self._store.graphs()}
        memory = {name: SimpleNamespace(name=name, num_nodes=graph.num_nodes, num_edges=graph.num_edges,
                                        num_features=graph.num_features, undirected=graph.undirected,
                                        num_graphs=len(graph) if isinstance(graph, GraphSet) else None)
                  for name, (graph, _) in self._graphs.items()}
        return [memory.get(name) or stored[name] for name in self._graph_names()]

    def graph_id(self, name: str) -> int | None:
        self._load_graph(name)
        return self._graphs[name][1]

    def add_model(self, name: str, module, graph: str | None, *, output: str = "logits", layers: int | None = None,
                  spec: Mapping[str, Any] | None = None, weights: bytes | None = None, replace: bool = False) -> None:
        """Register a module on a graph; `spec` and `weights` only for named architectures, which are stored whole."""
        from sxq import execution, learning

        graph = graph or self._own_graph(name)
        on = known("graph", graph, self.graphs)
        model = execution.register(module, on, output, layers, self._settings["sxq_device"])
        spec = {**(spec or {}), "class": f"{type(module).__module__}.{type(module).__qualname__}", "output": output,
                "hops": model.hops, "halo": model.halo, "backend": model.backend, "reason": model.reason}
        digest = learning.content_hash(module, (output, layers))
        if self._store.read_only:
            model_id = self._held_id(name, self.graph_id(graph), digest, replace)
        else:
            probe = model.full[:4].tolist()
            model_id = self._store.save_model(name, self.graph_id(graph), digest, spec, weights, probe, replace)
        self._elsewhere.clear()
        self._models[name] = Named(model, model_id, graph, spec, digest)

    def _held_id(self, name: str, graph_id: int | None, digest: str, replace: bool) -> int | None:
        """The id of a model whose answers a read-only database holds, None where it holds no such model."""
        held, row = self._models.get(name), self._store.load_model(name)
        if row and (row.content_hash, row.graph_id) == (digest, graph_id):
            return row.model_id
        if (held.content_hash != digest if held else row) and not replace:
            raise NameTaken(f"model {name!r} exists with other content; use replace=True, or choose another name")
        return None

    def model(self, name: str, graph: str | None = None) -> Named:
        """A model at hand, on its own graph or another; raises UnknownName, ModelDetached, ModelChanged."""
        entry = self._models.get(name) or self._attach(name)
        entry.model.check_unchanged(name)
        if graph is None or graph == entry.graph:
            return entry
        return dataclasses.replace(entry, graph=graph, model=self._on(name, entry, graph))

    def stored(self, model_id: int, graph_id: int) -> tuple[Graph | GraphSet, Any]:
        """The graph and the model that stored answers refer to, whatever their names stand for now."""
        from sxq import execution

        graph = next((graph for graph, number in self._graphs.values() if number == graph_id), None)
        graph = graph or self._graph_of(graph_id)
        row = self._store.load_model(model_id)
        entry = next((entry for entry in self._models.values() if entry.model_id == model_id), None)
        if entry is None:
            own = graph if row.graph_id == graph_id else self._graph_of(row.graph_id)
            model = self._revive(row, own)
        else:
            entry.model.check_unchanged(row.name)
            model = entry.model
        return graph, model if row.graph_id == graph_id else execution.transfer(model, graph)

    def model_names(self) -> list[str]:
        return sorted({*self._models, *(row.name for row in self._store.models())})

    def info(self, name: str, graph: str | None = None) -> ModelInfo:
        entry = self.model(name, graph)
        return ModelInfo(name, entry.graph, entry.model.hops, entry.model.halo, entry.model.backend, entry.model.reason)

    def add_measure(self, name: str, fn, larger_is_better: bool, score=None) -> None:
        measure = user_measure(name, fn, larger_is_better, score)
        if measure.name in MEASURES or any(measure.column == built_in.column for built_in in MEASURES.values()):
            raise NameTaken(f"measure {name!r} is built in; choose another name")
        self.measures[measure.name] = measure

    def require_free_model(self, name: str, replace: bool) -> None:
        """Raise NameTaken before a long training, not after."""
        if name in self.model_names() and not replace:
            raise NameTaken(f"model {name!r} exists; say TRAIN OR REPLACE MODEL, or choose another name")

    def model_facts(self, name: str) -> dict[str, Any]:
        """What DESCRIBE MODEL says; of a detached model what the store remembers."""
        entry, row = self._models.get(name), self._store.load_model(name)
        spec = entry.spec if entry else row.spec
        graph = entry.graph if entry else self._graph_name(row.graph_id)
        architecture = spec.get("architecture") or {}
        options = {key: value for key, value in architecture.items() if key != "dropout" and value != "none"}
        facts = {"model": name, "graph": graph, "class": spec["class"], **options, "output": spec["output"],
                 "hops": spec["hops"], "halo": spec["halo"], "backend": spec["backend"], "reason": spec["reason"]}
        facts["state"] = "attached" if entry else "stored whole" if row.weights else "detached: its code is not stored"
        return {key: value for key, value in facts.items() if value != ""}

    def default_generators(self) -> tuple[str, ...]:
        from sxq.execution import DEFAULT

        return DEFAULT

    def generators(self) -> dict[str, GeneratorInfo]:
        from sxq.execution import GENERATORS

        return {name: GeneratorInfo(entry.options, entry.summary) for name, entry in GENERATORS.items()}

    def add_refine(self, name: str, model: Named, pretrained, spec: Mapping[str, Any], saliency: Mapping[str, Any],
                   replace: bool) -> None:
        """Keep pre-trained attributors for a model, with their saliency; stored where the database can be written."""
        from sxq import learning
        from sxq.learning import refine

        weights, own = refine.to_bytes(pretrained)
        if not self._store.read_only:
            digest = learning.content_hash(pretrained.attributors, own)
            self._store.save_refine(name, model.model_id, self.graph_id(model.graph), digest, {**spec, **own}, weights,
                                    saliency, replace)
        self._refines[name] = pretrained, self._model_name(model)

    def add_explainer(self, name: str, make: Callable, node_mask: bool) -> None:
        """Keep a way to make a PyG explainer, for this connection."""
        if not callable(make):
            raise InvalidValue(f"register_explainer({name!r}, {make!r}): expected a function of the model that makes "
                               f"an ExplainerAlgorithm")
        self.explainers[name] = make, node_mask

    def refine_models(self) -> dict[str, str]:
        """The model of each set of attributors, by name; one that was replaced since is no model of today's."""
        live = {row.model_id for row in self._store.models()}
        stored = {row.name: row.model if row.model_id in live else f"{row.model} (replaced)"
                  for row in self._store.refines()}
        return {name: model for name, (_, model) in self._refines.items()} | stored

    def learned(self, plan) -> dict[str, Any]:
        """What the generators of a plan need to have learned, by name; loaded when first used."""
        names = {value for _, options in plan.find(Generate).generators for option, value in options
                 if option == "pretrained"}
        named = {value for _, options in plan.find(Generate).generators for option, value in options
                 if option == "explainer"}
        return {name: self._refine(name) for name in names} | {name: self.explainers[name] for name in named}

    def _refine(self, name: str):
        if name not in self._refines:
            from sxq.learning import refine

            row = self._store.load_refine(name)
            self._refines[name] = refine.load(row.weights, row.spec), row.model
        return self._refines[name][0]

    def _model_name(self, named: Named) -> str:
        return next(name for name, entry in self._models.items() if entry.model_id == named.model_id
                    and entry.content_hash == named.content_hash)

    def drop(self, kind: str, name: str, if_exists: bool) -> None:
        """Free a name; what answers refer to stays in the store."""
        names = {"model": self.model_names, "refine": self.refine_models}.get(kind, self._graph_names)()
        if name not in names:
            if if_exists:
                return
            raise UnknownName(kind, name, names)
        if kind in ("graph", "graphs"):
            self.of_kind(kind, name)
        self._store.drop(kind, name, if_exists=True)
        {"model": self._models, "refine": self._refines}.get(kind, self._graphs).pop(name, None)
        if kind in ("graph", "graphs"):
            self._forget_models(lambda entry: entry.graph == name)

    def _graph_names(self) -> list[str]:
        return sorted({*self._graphs, *(row.name for row in self._store.graphs())})

    def _graph_name(self, graph_id: int) -> str:
        return next((row.name for row in self._store.graphs() if row.graph_id == graph_id), "(dropped)")

    def _own_graph(self, model: str) -> str:
        """The graph of a model that is registered without one: the one it was stored with, else the only one."""
        row, names = self._store.load_model(model), self._graph_names()
        if row is not None and self._graph_name(row.graph_id) in names:
            return self._graph_name(row.graph_id)
        if len(names) != 1:
            found = f"known graphs are {', '.join(names)}" if names else "no graph is registered"
            raise InvalidValue(f"graph= is needed: {found}")
        return names[0]

    def _load_graph(self, name: str) -> Graph | GraphSet:
        if name not in self._graphs:
            row = next(row for row in self._store.graphs() if row.name == name)
            self._graphs[name] = self._graph_of(row.graph_id), row.graph_id
        return self._graphs[name][0]

    def _graph_of(self, graph_id: int) -> Graph | GraphSet:
        """A stored graph or collection, whatever its name stands for now."""
        if self._store.is_collection(graph_id):
            return GraphSet.of(self._store.load_graphs(graph_id))
        return Graph(**self._store.load_graph(graph_id))

    def _attach(self, name: str) -> Named:
        """Bring the stored model of a name back to life."""
        row = self._store.load_model(name)
        if row is None:
            raise UnknownName("model", name, self.model_names())
        graph = self._graph_name(row.graph_id)
        if graph not in self._graph_names():
            raise ModelError(f"the graph of model {name!r} was dropped or replaced; register or train the model again "
                             f"on a graph that is there, known: {', '.join(self._graph_names()) or 'none'}")
        model = self._revive(row, self._load_graph(graph))
        self._models[name] = Named(model, row.model_id, graph, row.spec, row.content_hash)
        return self._models[name]

    def _revive(self, row, graph: Graph | GraphSet):
        """A stored model on its graph, built from its spec and weights, located as it was at registration."""
        if row.weights is None:
            raise ModelDetached(f"model {row.name!r} is a {row.spec['class']} whose code is not in the database; "
                                f"con.register_model({row.name!r}, module) attaches it again")
        from sxq import execution, learning

        module = learning.build(learning.ArchitectureSpec(**row.spec["architecture"]))
        learning.load_weights(module, row.weights)
        return execution.attach(module, graph, row.spec, self._settings["sxq_device"])

    def _on(self, name: str, entry: Named, graph: str):
        from sxq import execution

        if (name, graph) not in self._elsewhere:
            self._elsewhere[name, graph] = execution.transfer(entry.model, known("graph", graph, self.graphs))
        return self._elsewhere[name, graph]

    def _forget_models(self, gone: Callable[[Named], bool]) -> None:
        self._models = {name: entry for name, entry in self._models.items() if not gone(entry)}
        self._refines.clear()  # the store says what is left of them
        self._elsewhere.clear()


def known(kind: str, name: str, entries: Mapping[str, Any]) -> Any:
    """The entry of a name, or UnknownName with the known ones."""
    if name not in entries:
        raise UnknownName(kind, name, entries)
    return entries[name]
