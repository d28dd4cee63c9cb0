"""Models and measures by name, beside the graphs and what was learned: everything a query can name."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sxq.errors import InvalidValue, ModelDetached, ModelError, NameTaken, UnknownName
from sxq.graph import Graph, GraphSet
from sxq.planning import GeneratorInfo, ModelInfo
from sxq.scoring.measures import MEASURES, Measure, user_measure
from sxq.session.graphs import Graphs, known
from sxq.session.learned import Learned


@dataclass(frozen=True, eq=False)
class Named:
    """A model at hand: the engine's copy, on one graph."""

    model: Any  # sxq.execution.Model
    model_id: int | None  # None where nothing is stored
    graph: str
    spec: Mapping[str, Any]
    content_hash: str  # of the module and what its output means


class Registry:
    """Everything a query can name: `graphs`, models, `measures`, generators, and what was `learned`."""

    def __init__(self, store, settings: Mapping[str, Any]):
        self._store, self._settings = store, settings
        self._models: dict[str, Named] = {}
        self._elsewhere: dict[tuple[str, str], Any] = {}  # models on graphs other than their own
        self.graphs, self.learned = Graphs(store, self._forget_models), Learned(store)
        self.measures: dict[str, Measure] = dict(MEASURES)

    def refresh(self) -> None:
        """Forget what another connection to the same file dropped or replaced; it is loaded when next used."""
        if self._store.path is None or self._store.read_only:
            return  # no other connection can change it
        ids = self._store.ids()
        self.graphs.refresh(ids["graphs"])
        self.learned.refresh(ids["refines"])
        gone = [
            name
            for name, entry in self._models.items()
            if ids["models"].get(name) != entry.model_id
        ]
        for name in gone:
            self._elsewhere.clear()
            del self._models[name]

    def add_model(
        self,
        name: str,
        module,
        graph: str | None,
        *,
        output: str = "logits",
        layers: int | None = None,
        spec: Mapping[str, Any] | None = None,
        weights: bytes | None = None,
        replace: bool = False,
    ) -> None:
        """Register a module on a graph; `spec` and `weights` only for named architectures, which are stored whole."""
        from sxq import execution
        from sxq import models as learning

        graph = graph or self._own_graph(name)
        on = known("graph", graph, self.graphs)
        model = execution.register(module, on, output, layers, self._settings["sxq_device"])
        spec = {
            **(spec or {}),
            "class": f"{type(module).__module__}.{type(module).__qualname__}",
            "output": output,
            "hops": model.hops,
            "halo": model.halo,
            "backend": model.backend,
            "reason": model.reason,
        }
        digest = learning.content_hash(module, (output, layers))
        if self._store.read_only:
            model_id = self._held_id(name, self.graphs.id_of(graph), digest, replace)
        else:
            model_id = self._store.save_model(
                name, self.graphs.id_of(graph), digest, spec, weights=weights, replace=replace
            )
        self._elsewhere.clear()
        self._models[name] = Named(model, model_id, graph, spec, digest)

    def _held_id(self, name: str, graph_id: int | None, digest: str, replace: bool) -> int | None:
        """The id of a model whose answers a read-only database holds, None where it holds no such model."""
        held, row = self._models.get(name), self._store.load_model(name)
        if row and (row.content_hash, row.graph_id) == (digest, graph_id):
            return row.model_id
        if (held.content_hash != digest if held else row) and not replace:
            raise NameTaken(
                f"model {name!r} exists with other content; use replace=True, or choose another name"
            )
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

        graph = self.graphs.stored(graph_id)
        row = self._store.load_model(model_id)
        entry = next((entry for entry in self._models.values() if entry.model_id == model_id), None)
        if entry is None:
            own = graph if row.graph_id == graph_id else self.graphs.stored(row.graph_id)
            model = self._revive(row, own)
        else:
            entry.model.check_unchanged(row.name)
            model = entry.model
        return graph, model if row.graph_id == graph_id else execution.transfer(model, graph)

    def model_names(self) -> list[str]:
        return sorted({*self._models, *(row.name for row in self._store.models())})

    def info(self, name: str, graph: str | None = None) -> ModelInfo:
        entry = self.model(name, graph)
        return ModelInfo(
            name,
            entry.graph,
            entry.model.hops,
            entry.model.halo,
            entry.model.backend,
            entry.model.reason,
        )

    def add_measure(self, name: str, fn, larger_is_better: bool, score=None) -> None:
        measure = user_measure(name, fn, larger_is_better, score)
        if measure.name in MEASURES or any(
            measure.column == built_in.column for built_in in MEASURES.values()
        ):
            raise NameTaken(f"measure {name!r} is built in; choose another name")
        self.measures[measure.name] = measure

    def require_free_model(self, name: str, replace: bool) -> None:
        """Raise NameTaken before a long training, not after."""
        if name in self.model_names() and not replace:
            raise NameTaken(
                f"model {name!r} exists; say TRAIN OR REPLACE MODEL, or choose another name"
            )

    def model_facts(self, name: str) -> dict[str, Any]:
        """What DESCRIBE MODEL says; of a detached model what the store remembers."""
        entry, row = self._models.get(name), self._store.load_model(name)
        spec = entry.spec if entry else row.spec
        graph = entry.graph if entry else self.graphs.name_of(row.graph_id)
        architecture = spec.get("architecture") or {}
        options = {
            key: value
            for key, value in architecture.items()
            if key != "dropout" and value != "none"
        }
        facts = {
            "model": name,
            "graph": graph,
            "class": spec["class"],
            **options,
            "output": spec["output"],
            "hops": spec["hops"],
            "halo": spec["halo"],
            "backend": spec["backend"],
            "reason": spec["reason"],
        }
        facts["state"] = (
            "attached"
            if entry
            else "stored whole"
            if row.weights
            else "detached: its code is not stored"
        )
        return {key: value for key, value in facts.items() if value != ""}

    def default_generators(self) -> tuple[str, ...]:
        from sxq.execution import DEFAULT

        return DEFAULT

    def generators(self) -> dict[str, GeneratorInfo]:
        from sxq.execution import GENERATORS

        return {
            name: GeneratorInfo(entry.options, entry.summary) for name, entry in GENERATORS.items()
        }

    def add_refine(
        self,
        name: str,
        model: Named,
        pretrained,
        spec: Mapping[str, Any],
        saliency: Mapping[str, Any],
        replace: bool,
    ) -> None:
        """Keep pre-trained attributors for a model, with their saliency; stored where the database can be written."""
        own = next(
            name
            for name, entry in self._models.items()
            if entry.model_id == model.model_id and entry.content_hash == model.content_hash
        )
        self.learned.add(
            name,
            pretrained,
            spec,
            saliency,
            replace,
            model=own,
            model_id=model.model_id,
            graph_id=self.graphs.id_of(model.graph),
        )

    def drop(self, kind: str, name: str, if_exists: bool) -> None:
        """Free the name of a graph, graphs, a model or a refine; what answers refer to stays in the store."""
        held = {"model": self.model_names, "refine": self.learned.models}.get(
            kind, lambda: self.graphs
        )()
        if name not in held and if_exists:
            return
        if kind == "refine":
            return self.learned.drop(name)
        if kind != "model":
            return self.graphs.drop(kind, name)
        known(kind, name, dict.fromkeys(held))
        self._store.drop(kind, name, if_exists=True)
        self._models.pop(name, None)

    def _own_graph(self, model: str) -> str:
        """The graph of a model that is registered without one: the one it was stored with, else the only one."""
        row, names = self._store.load_model(model), list(self.graphs)
        if row is not None and self.graphs.name_of(row.graph_id) in names:
            return self.graphs.name_of(row.graph_id)
        if len(names) != 1:
            found = f"known graphs are {', '.join(names)}" if names else "no graph is registered"
            raise InvalidValue(f"graph= is needed: {found}")
        return names[0]

    def _attach(self, name: str) -> Named:
        """Bring the stored model of a name back to life."""
        row = self._store.load_model(name)
        if row is None:
            raise UnknownName("model", name, self.model_names())
        graph = self.graphs.name_of(row.graph_id)
        if graph not in self.graphs:
            raise ModelError(
                f"the graph of model {name!r} was dropped or replaced; register or train the model again "
                f"on a graph that is there, known: {', '.join(self.graphs) or 'none'}"
            )
        model = self._revive(row, self.graphs[graph])
        self._models[name] = Named(model, row.model_id, graph, row.spec, row.content_hash)
        return self._models[name]

    def _revive(self, row, graph: Graph | GraphSet):
        """A stored model on its graph, built from its spec and weights, located as it was at registration."""
        if row.weights is None:
            raise ModelDetached(
                f"model {row.name!r} is a {row.spec['class']} whose code is not in the database; "
                f"con.register_model({row.name!r}, module) attaches it again"
            )
        from sxq import execution
        from sxq import models as learning

        module = learning.build(learning.ArchitectureSpec(**row.spec["architecture"]))
        learning.load_weights(module, row.weights)
        return execution.attach(module, graph, row.spec, self._settings["sxq_device"])

    def _on(self, name: str, entry: Named, graph: str):
        from sxq import execution

        if (name, graph) not in self._elsewhere:
            self._elsewhere[name, graph] = execution.transfer(
                entry.model, known("graph", graph, self.graphs)
            )
        return self._elsewhere[name, graph]

    def _forget_models(self, graph: str) -> None:
        """The name of a graph stands for other content: the models on it are no longer at hand."""
        self._models = {name: entry for name, entry in self._models.items() if entry.graph != graph}
        self._elsewhere.clear()
        self.learned.forget()
