"""Inputs of generators, by name: pre-trained attributors and registered PyG explainers."""

from collections.abc import Callable, Mapping
from typing import Any

from sxq.errors import Error, InvalidValue, UnknownName
from sxq.planning.nodes import Generate, Plan
from sxq.session import engine
from sxq.storage import RefineRow, Store

_ENTRIES = {"options": dict, "targets": int, "losses": list, "attributor": dict, "fine_tune": bool}


class LearnedInputs:
    """Attributors of PRETRAIN REFINE, stored and in memory, and the explainers of this connection."""

    def __init__(self, store: Store):
        self._store = store
        self._refines: dict[str, tuple[Any, str]] = {}  # attributors, and the name of their model
        self._ids: dict[str, int] = {}  # their ids, if they are stored
        # The function that makes each explainer, and whether the explainer masks nodes.
        self.explainers: dict[str, tuple[Callable, bool]] = {}

    def models(self) -> dict[str, str]:
        """The model of each set of attributors, by name; a model replaced since then is marked."""
        live = set(self._store.ids()["models"].values())
        stored = {
            name: model if model_id in live else f"{model} (replaced)"
            for name, (model_id, model) in self._store.refine_models().items()
        }
        return {name: model for name, (_, model) in self._refines.items()} | stored

    def add(
        self,
        name: str,
        *,
        pretrained,
        spec: Mapping[str, Any],
        saliency: Mapping[str, Any],
        replace: bool,
        model: str,
        model_id: int | None,
        graph_id: int | None,
    ) -> None:
        """Keep attributors of a model, with their saliency; in the store if it can be written."""
        weights, own = engine.refine().to_bytes(pretrained)
        if not self._store.read_only:
            assert model_id is not None and graph_id is not None, "what can be written has ids"
            digest = engine.models().content_hash(pretrained.attributors, own)
            self._ids[name] = self._store.save_refine(
                name,
                model_id,
                graph_id,
                digest,
                {**spec, **own},
                weights=weights,
                saliency=saliency,
                replace=replace,
            )
        self._refines[name] = pretrained, model

    def drop(self, name: str) -> None:
        """Free the name of a set of attributors; raises UnknownName."""
        if name not in self.models():
            raise UnknownName("refine", name, self.models())
        self._store.drop("refine", name, if_exists=True)
        self._refines.pop(name, None)

    def refresh(self, ids: Mapping[str, int]) -> None:
        """Forget attributors that the store no longer has under their names, given its `ids`."""
        for name in list(self._refines):
            if ids.get(name) != self._ids[name]:
                del self._refines[name]

    def forget(self) -> None:
        """Forget all attributors in memory: a model changed, and the store has the valid ones."""
        self._refines.clear()

    def add_explainer(self, name: str, make: Callable, node_mask: bool) -> None:
        """Keep a way to make a PyG explainer, for this connection."""
        if not callable(make):
            raise InvalidValue(
                f"register_explainer({name!r}, {make!r}): expected a function of the model that makes "
                f"an ExplainerAlgorithm"
            )
        self.explainers[name] = make, node_mask

    def needed(self, plan: Plan) -> dict[str, Any]:
        """The attributors and explainers that the generators of a plan name; loaded when first used."""
        options = [option for _, options in plan.find(Generate).generators for option in options]
        attributors = {name: self.attributors(name) for key, name in options if key == "pretrained"}
        explainers = {name: self.explainers[name] for key, name in options if key == "explainer"}
        return attributors | explainers

    def attributors(self, name: str) -> Any:
        """A pre-trained set of attributors that exists, loaded when first used."""
        if name not in self._refines:
            row = self._store.load_refine(name)
            assert row is not None, "the planner knows every name of attributors"
            require_refine(row)
            row.require_intact()
            try:
                loaded = engine.refine().load(row.weights, row.spec)
            except Error as error:
                found = f"what builds no attributors ({error})"
                raise row.place.wrong("spec", found, "attributors") from error
            self._refines[name] = loaded, row.model
            self._ids[name] = row.refine_id
        return self._refines[name][0]


def require_refine(row: RefineRow) -> None:
    """Raise StoreError unless the spec of stored attributors is one that PRETRAIN makes."""
    row.place.require_entries("spec", row.spec, _ENTRIES)
    row.place.require_entries("spec.options", row.spec["options"], {"preset": str})
