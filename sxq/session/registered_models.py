"""Models by name; a model that only the store has is built again on first use."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sxq.errors import (
    Error,
    InvalidValue,
    ModelDetached,
    ModelError,
    NameTaken,
    StoreError,
    UnknownName,
)
from sxq.graph import Graph, GraphSet, shown_type
from sxq.planning import ModelInfo
from sxq.session import engine
from sxq.session.registered_graphs import RegisteredGraphs, known
from sxq.storage import ModelRow, Store
from sxq.storage.checked import DEEPEST

_ENTRIES = {  # of every stored spec
    "class": str,
    "output": ("logits", "log_probs", "probs", "numbers"),
    "hops": int,
    "halo": int,
    "backend": ("layered", "disjoint"),
    "reason": str,
}

ROWS = 1 << 18  # outputs whose probabilities are in memory together

# Facts of DESCRIBE MODEL that only some models have.
NOTES = ("targets", "output is", "inputs", "not taken")


@dataclass(frozen=True, eq=False)
class RegisteredModel:
    """A model that is ready to run: the engine's copy, on one graph."""

    model: Any  # sxq.models.borrow.Model
    model_id: int | None  # None if nothing is stored
    graph: str
    spec: Mapping[str, Any]
    content_hash: str  # of the module and the meaning of its output

    def remarks(self) -> list[str]:
        """What the user should know about the inputs and the output, once, at registration."""
        taken = self.model.call
        edges = [name for name in taken.not_taken if name not in taken.not_noted]
        lost = [f"the model does not take the graph's {', '.join(edges)}"] if edges else []
        doubts = [self.model.meant] if self.model.meant.startswith("output = ") else []
        return [*lost, *taken.said, *doubts]

    def slow(self) -> str:
        """Why the model does not run layer by layer, if its code is the reason; or empty."""
        found = self.model
        if found.backend == "layered" or not found.reason:
            return ""
        return (
            f"explained on the disjoint backend, with the same values but slower, because {found.reason} "
            f"(docs/models.md, What runs fast)"
        )

    def info(self, name: str, graph: Graph | GraphSet | None = None) -> ModelInfo:
        """The model as the planner sees it, on its graph."""
        found = self.model
        return ModelInfo(
            name=name,
            graph=self.graph,
            hops=found.hops,
            halo=found.halo,
            backend=found.backend,
            reason=found.reason,
            depth=found.depth,
            kind=found.kind,
            task=found.task,
            judged=found.judged,
            edge_type=found.edge_type,
            classes=found.num_classes,
            over_features=lambda: engine.registration().over_features_of(found, graph),
            predictions=self.predictions,
        )

    def predictions(self) -> np.ndarray:
        """The class [n] that the model predicts for every node, or every graph, of its graph."""
        return predicted_classes(self.model)


@dataclass(frozen=True, eq=False)
class Follower:
    """A model that follows its graph to the next version."""

    row: dict[str, Any]  # the arguments of `Store.save_model`: name, content_hash, spec, weights
    model: Any  # ready on the new version; None of a module whose code is not here


def _unpredicted(name: str, model: Any, graph: Graph | GraphSet) -> list[str]:
    """A remark on labels that are no class of a model."""
    if model is None or model.separate or model.pairs is not None or graph.y is None:
        return []
    y = graph.y
    if graph.types is not None and model.judged:
        y = y[np.isin(graph.types.of_node, list(map(graph.types.number_of, model.judged)))]
    strange, counts = np.unique(y[y >= model.num_classes], return_counts=True)
    if not len(strange):
        return []
    labels = ", ".join(map(str, strange.tolist()))
    noun = "graph" if isinstance(graph, GraphSet) else "node"
    nodes = f"{counts.sum():,} {noun}{'s' * bool(counts.sum() > 1)}"
    return [
        f"label{'s' * (len(strange) > 1)} {labels} of {nodes}: model {name} predicts only the classes 0 to "
        f"{model.num_classes - 1}; TRAIN it again to add classes"
    ]


def predicted_classes(model: Any) -> np.ndarray:
    """The class [n] of every output of a ready model."""
    parts = model.full.split(ROWS)  # in double, all rows of a large graph would not fit
    return np.concatenate([model.probabilities(rows).argmax(dim=1).cpu().numpy() for rows in parts])


class RegisteredModels:
    """Every model by its name, in memory or in the store."""

    def __init__(self, store: Store, graphs: RegisteredGraphs, settings: Mapping[str, Any]):
        self._store = store
        self._graphs = graphs
        self._settings = settings
        self._held: dict[str, RegisteredModel] = {}
        self._elsewhere: dict[tuple[str, str], Any] = {}  # models on other graphs than their own

    def names(self) -> list[str]:
        return sorted({*self._held, *self._store.ids()["models"]})

    def add(
        self,
        name: str,
        module,
        graph: str | None,
        *,
        output: str | None = None,
        task: str | None = None,
        layers: int | None = None,
        node_type: str | None = None,
        kind: str | None = None,
        edge_type: Any = None,
        output_key: Any = None,
        inputs: Mapping[str, str] | None = None,
        facts_of: Callable[[Any], Mapping[str, Any]] | None = None,
        weights: bytes | None = None,
        replace: bool = False,
    ) -> RegisteredModel:
        """Register a module on a graph.

        `weights`, and `facts_of` the ready model, are given only for named architectures, which are stored completely.
        """
        graph = graph or self._own_graph(name)
        output_key, inputs = self._as_before(name, module, output_key, inputs)
        _check_calling(output_key, inputs)
        on = known("graph", graph, self._graphs)
        model = engine.registration().register(
            module,
            on,
            output,
            layers,
            self._settings["sxq_device"],
            task=task,
            node_type=node_type,
            kind=kind,
            memory=self._settings["sxq_memory"],
            edge_type=edge_type,
            output_key=output_key,
            inputs=inputs,
        )
        graph_id = self._graphs.id_of(graph)
        # Classes have the hash that they had before there were tasks.
        meant = (model.output, layers, *([model.task] if model.separate else []))
        meant += () if node_type is None else (node_type,)
        meant += ("link",) if model.kind == "link" else ()
        meant += () if model.edge_type is None else model.edge_type
        meant += () if output_key is None else ("output_key", output_key)
        meant += ("inputs", *sorted(inputs.items())) if inputs else ()
        digest = engine.models().content_hash(module, meant)
        model = self._as_deep_as_stored(name, model, on, (graph_id, digest))
        spec = {
            **(facts_of(model) if facts_of else {}),
            "class": _class_of(module),
            **({} if output_key is None else {"output_key": output_key}),
            **({"given inputs": dict(inputs)} if inputs else {}),
            "output": model.output,
            "task": model.task,
            **({"spread": list(model.spread)} if model.spread else {}),
            "hops": model.hops,
            "halo": model.halo,
            "backend": model.backend,
            "reason": model.reason,
            **engine.registration().more_facts(model),
            **_notes(model),
        }
        if self._store.read_only:
            model_id = self._stored_id(name, graph_id, digest, replace)
        else:
            assert graph_id is not None, "a graph is stored where the store can be written"
            model_id = self._store.save_model(
                name, graph_id, digest, spec, weights=weights, replace=replace
            )
        self._elsewhere.clear()
        self._held[name] = RegisteredModel(model, model_id, graph, spec, digest)
        return self._held[name]

    def _as_deep_as_stored(
        self, name: str, model: Any, graph: Graph | GraphSet, content: tuple[int | None, str]
    ) -> Any:
        """A model that was registered before is never less deep than it was, though its graph has lost edges.

        content  the id of the graph, and the hash of the model
        """
        row = self._store.load_model(name)
        if row is None or (row.graph_id, row.content_hash) != content:
            return model
        hops = row.spec.get("hops")
        if not isinstance(hops, int) or not model.hops < hops <= DEEPEST:
            return model
        deeper = dataclasses.replace(model, hops=hops)
        return engine.registration().transfer(deeper, graph, self._settings["sxq_memory"])

    def get(self, name: str, graph: str | None = None) -> RegisteredModel:
        """A ready model, on its own graph or another; UnknownName, ModelDetached, ModelChanged."""
        entry = self._held.get(name) or self._attach(name)
        entry.model.check_unchanged(name)
        if graph is None or graph == entry.graph:
            return entry
        return dataclasses.replace(entry, graph=graph, model=self._transferred(name, entry, graph))

    def stored(self, model_id: int, graph_id: int, graph: Graph | GraphSet) -> Any:
        """The model of stored answers on their graph, even if its name now has other content.

        Raises StoreError if its row was deleted or changed, ModelDetached, ModelChanged.
        """
        row = self._store.load_model(model_id)
        if row is None:
            raise StoreError(f"no row of sxq.models has model_id {model_id}; it was deleted")
        row.require_intact()
        entry = next((entry for entry in self._held.values() if entry.model_id == model_id), None)
        if entry is None:
            own = graph if row.graph_id == graph_id else self._graphs.stored(row.graph_id)
            model = self._on_earlier(row, own) or self._revive(row, own)
        else:
            entry.model.check_unchanged(row.name)
            model = entry.model
        if row.graph_id != graph_id:
            model = engine.registration().transfer(model, graph, self._settings["sxq_memory"])
        return model

    def followers(
        self, graph_name: str, graph: Graph | GraphSet, say: Callable[[str], None]
    ) -> tuple[list[Follower], list[str]]:
        """The models of a graph, on its next version, and remarks on those that cannot run on it."""
        found = []
        notes = []
        for name in self.names():
            held = self._held.get(name)
            row = self._store.load_model(name)
            if row is None or self._graphs.name_of(row.graph_id) != graph_name:
                continue
            say(f"model {name} follows to the new version of graph {graph_name}")
            try:
                model = self._followed(row, held, graph)
            except Error as error:
                notes.append(f"model {name} stays on the version before: {error}")
                continue
            spec = row.spec if model is None else {**row.spec, **_facts(model)}
            notes += _unpredicted(name, model, graph)
            own = {"name": name, "content_hash": row.content_hash, "spec": spec}
            found.append(Follower({**own, "weights": row.weights}, model))
        return found, notes

    def altered(self, graph: str, followers: Sequence[Follower], ids: Mapping[str, int]) -> None:
        """Keep the models that followed their graph, which are stored under these ids by name."""
        for follower in followers:
            if follower.model is not None:
                name = follower.row["name"]
                own = (follower.model, ids[name], graph, follower.row["spec"])
                self._held[name] = RegisteredModel(*own, follower.row["content_hash"])

    def _followed(
        self, row: ModelRow, held: RegisteredModel | None, graph: Graph | GraphSet
    ) -> Any:
        """A model on the next version of its graph; None of a module whose code is not here."""
        if held is None and row.weights is None:
            return None
        if held is not None:
            held.model.check_unchanged(row.name)
            return engine.registration().follow(held.model, graph, self._settings["sxq_memory"])
        _require_spec(row)
        row.require_intact()
        assert row.weights is not None
        module = engine.models().restore(row.spec["architecture"], row.weights)
        own = engine.registration().attach(module, graph, row.spec, self._settings["sxq_device"])
        return engine.registration().follow(own, graph, self._settings["sxq_memory"])

    def _as_before(
        self, name: str, module: Any, output_key: Any, inputs: Mapping[str, str] | None
    ) -> tuple[Any, Mapping[str, str] | None]:
        """What was said of a stored model of that name and class, where nothing is said now."""
        row = self._store.load_model(name) if output_key is None or inputs is None else None
        if row is None or row.spec.get("class") != _class_of(module):
            return output_key, inputs
        key = row.spec.get("output_key") if output_key is None else output_key
        return key, row.spec.get("given inputs") if inputs is None else inputs

    def name_of(self, model: RegisteredModel) -> str:
        """The name under which a ready model was registered."""
        content = model.model_id, model.content_hash
        return next(
            name
            for name, entry in self._held.items()
            if (entry.model_id, entry.content_hash) == content
        )

    def facts(self, name: str) -> dict[str, Any]:
        """The facts of DESCRIBE MODEL; for a detached model, from the store. Raises UnknownName."""
        if name not in self.names():
            raise UnknownName("model", name, self.names())
        entry = self._held.get(name)
        row = self._store.load_model(name)
        if entry is not None:
            graph = entry.graph
            spec = entry.spec
        else:
            assert row is not None, "a name is at hand or stored"
            _require_spec(row)
            graph = self._graphs.name_of(row.graph_id)
            spec = row.spec
        state = "stored whole" if row and row.weights else "detached: its code is not stored"
        facts = {
            "model": name,
            "graph": graph,
            "class": spec["class"],
            **_options(spec),
            "task": spec.get("task", ""),
            "output": spec["output"],
            **({"output_key": spec["output_key"]} if "output_key" in spec else {}),
            **(
                {"given inputs": ", ".join(f"{a} = {b}" for a, b in spec["given inputs"].items())}
                if "given inputs" in spec
                else {}
            ),
            "spread": ", ".join(f"{each:.4g}" for each in spec.get("spread", ())),
            **{name: spec[name] for name in NOTES if name in spec},
            "hops": spec["hops"],
            "halo": spec["halo"],
            "depth": spec.get("depth", ""),
            "backend": spec["backend"],
            "reason": spec["reason"],
            "state": "attached" if entry else state,
        }
        facts = {key: value for key, value in facts.items() if value != ""}
        return facts | {key: value for key, value in _learned(spec).items() if key not in facts}

    def require_free(self, name: str, replace: bool) -> None:
        """Raise NameTaken if the name is in use: before a long training, not after it."""
        if name in self.names() and not replace:
            raise NameTaken(
                f"model {name!r} exists; say TRAIN OR REPLACE MODEL, or choose another name"
            )

    def drop(self, name: str) -> None:
        """Free the name of a model; raises UnknownName. Models of stored answers stay stored."""
        known("model", name, dict.fromkeys(self.names()))
        self._store.drop("model", name, if_exists=True)
        self._held.pop(name, None)

    def refresh(self, ids: Mapping[str, int]) -> None:
        """Forget models that the store no longer has under their names, given its `ids`."""
        gone = [name for name, entry in self._held.items() if ids.get(name) != entry.model_id]
        for name in gone:
            self._elsewhere.clear()
            del self._held[name]

    def forget_graph(self, graph: str) -> None:
        """Forget the models on a graph whose name now has other content."""
        self._held = {name: entry for name, entry in self._held.items() if entry.graph != graph}
        self._elsewhere.clear()

    def _stored_id(self, name: str, graph_id: int | None, digest: str, replace: bool) -> int | None:
        """The id of a model in a read-only database; None if it does not have the model."""
        held = self._held.get(name)
        row = self._store.load_model(name)
        if row and (row.content_hash, row.graph_id) == (digest, graph_id):
            return row.model_id
        if (held.content_hash != digest if held else row) and not replace:
            raise NameTaken(
                f"model {name!r} exists with other content; use replace=True, or choose another name"
            )
        return None

    def _own_graph(self, model: str) -> str:
        """The graph of a model registered without one: the stored one, else the only one."""
        row = self._store.load_model(model)
        names = list(self._graphs)
        if row is not None and self._graphs.name_of(row.graph_id) in names:
            return self._graphs.name_of(row.graph_id)
        if len(names) != 1:
            found = f"known graphs are {', '.join(names)}" if names else "no graph is registered"
            raise InvalidValue(f"graph= is needed: {found}")
        return names[0]

    def _attach(self, name: str) -> RegisteredModel:
        """Build the stored model of a name again."""
        row = self._store.load_model(name)
        if row is None:
            raise UnknownName("model", name, self.names())
        graph = self._graphs.name_of(row.graph_id)
        if graph not in self._graphs:
            raise ModelError(
                f"the graph of model {name!r} was dropped or replaced; register or train the model again "
                f"on an existing graph; known: {', '.join(self._graphs) or 'none'}"
            )
        model = self._revive(row, self._graphs[graph])
        self._held[name] = RegisteredModel(model, row.model_id, graph, row.spec, row.content_hash)
        return self._held[name]

    def _on_earlier(self, row: ModelRow, graph: Graph | GraphSet) -> Any:
        """A user's module, which is at hand on another version of its graph, on this one; else None."""
        held = self._held.get(row.name)
        if row.weights is not None or held is None or held.content_hash != row.content_hash:
            return None
        held.model.check_unchanged(row.name)
        _require_spec(row)
        return engine.registration().again(held.model, graph, row.spec)

    def _revive(self, row, graph: Graph | GraphSet):
        """A stored model on its graph, from its spec and weights, with the depth found at registration."""
        _require_spec(row)
        if row.weights is None:
            raise ModelDetached(
                f"model {row.name!r} is a {row.spec['class']} whose code is not in the database; "
                f"con.register_model({row.name!r}, module{_said_of(row.spec)}) attaches it again"
            )
        row.require_intact()
        try:
            module = engine.models().restore(row.spec["architecture"], row.weights)
        except Error as error:
            raise row.place.wrong("spec", f"what builds no model ({error})", "a model") from error
        return engine.registration().attach(
            module, graph, row.spec, self._settings["sxq_device"], self._settings["sxq_memory"]
        )

    def _transferred(self, name: str, entry: RegisteredModel, graph: str):
        """A ready model on another graph; its facts there are found once."""
        if (name, graph) not in self._elsewhere:
            on = known("graph", graph, self._graphs)
            self._elsewhere[name, graph] = engine.registration().transfer(
                entry.model, on, self._settings["sxq_memory"]
            )
        return self._elsewhere[name, graph]


def _class_of(module: Any) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _said_of(spec: Mapping[str, Any]) -> str:
    """The arguments with which a model was registered, as code."""
    given = {"output_key": spec.get("output_key"), "inputs": spec.get("given inputs")}
    return "".join(f", {name}={value!r}" for name, value in given.items() if value is not None)


def _check_calling(output_key: Any, inputs: Any) -> None:
    """Raise InvalidValue unless these can be stored and given again."""
    if output_key is not None and (
        isinstance(output_key, bool) or not isinstance(output_key, str | int)
    ):
        raise InvalidValue(
            f"output_key = {output_key!r}: expected the position in a tuple (a whole number), or the key of a "
            f"dictionary (text)"
        )
    texts = isinstance(inputs, Mapping) and all(
        isinstance(part, str) for pair in inputs.items() for part in pair
    )
    if inputs is not None and not texts:
        raise InvalidValue(
            f"inputs = {inputs!r}: expected a dictionary from arguments of forward to fields of the data, "
            f"such as {{'weight': 'edge_weight'}}"
        )


def _require_spec(row: ModelRow) -> None:
    """Raise StoreError unless the spec of a stored model is one that `add` makes."""
    row.place.require_entries("spec", row.spec, _ENTRIES)
    for name in ("hops", "halo"):
        row.place.whole(f"spec.{name}", row.spec[name], DEEPEST)
    if row.weights is not None:
        row.place.require_entries("spec", row.spec, {"architecture": dict})


def _facts(model: Any) -> dict[str, Any]:
    """What was found about a model on another version of its graph."""
    own = {name: getattr(model, name) for name in ("hops", "halo", "backend", "reason")}
    return {**own, **engine.registration().more_facts(model)}


def _notes(model: Any) -> dict[str, str]:
    """What was inferred, converted and left out at registration, in words, by the names in NOTES."""
    notes = {
        "targets": f"links {shown_type(model.edge_type)}"
        if model.edge_type
        else "links"
        if model.kind == "link"
        else f"nodes of type {', '.join(model.judged)}"
        if model.judged
        else "",
        "output is": model.meant,
        "inputs": "; ".join(model.call.said),
        "not taken": ", ".join(model.call.not_taken),
    }
    return {name: text for name, text in notes.items() if text}


def _options(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a named architecture, without dropout: explanations do not use it."""
    architecture = spec.get("architecture")
    options = architecture.items() if isinstance(architecture, dict) else ()
    return {
        key: value for key, value in options if key not in ("dropout", "types") and value != "none"
    }


def _learned(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The course of a training, accuracies and confusion, as `add` was given them in words."""
    learned = spec.get("learned")
    return learned if isinstance(learned, dict) else {}
