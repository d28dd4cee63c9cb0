"""What generators need beside their options, by name: pre-trained attributors and registered PyG explainers."""

from collections.abc import Callable, Mapping
from typing import Any

from sxq.errors import InvalidValue, UnknownName
from sxq.planning.nodes import Generate, Plan


class Learned:
    """Attributors of PRETRAIN REFINE, stored and in memory, and the explainers of this connection."""

    def __init__(self, store):
        self._store = store
        self._refines: dict[
            str, tuple[Any, str]
        ] = {}  # pre-trained attributors and the name of their model
        self._ids: dict[str, int] = {}  # of those, where they are stored
        self.explainers: dict[
            str, tuple[Callable, bool]
        ] = {}  # how to make one, and whether it masks nodes

    def models(self) -> dict[str, str]:
        """The model of each set of attributors, by name; one that was replaced since is no model of today's."""
        live = {row.model_id for row in self._store.models()}
        stored = {
            row.name: row.model if row.model_id in live else f"{row.model} (replaced)"
            for row in self._store.refines()
        }
        return {name: model for name, (_, model) in self._refines.items()} | stored

    def add(
        self,
        name: str,
        pretrained,
        spec: Mapping[str, Any],
        saliency: Mapping[str, Any],
        replace: bool,
        *,
        model: str,
        model_id: int | None,
        graph_id: int | None,
    ) -> None:
        """Keep pre-trained attributors for a model, with their saliency; stored where the database can be written."""
        from sxq import models as learning
        from sxq.models import refine

        weights, own = refine.to_bytes(pretrained)
        if not self._store.read_only:
            digest = learning.content_hash(pretrained.attributors, own)
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
        """Forget what the store no longer has under its name, by the `ids` of today's names."""
        for name in list(self._refines):
            if ids.get(name) != self._ids[name]:
                del self._refines[name]

    def forget(self) -> None:
        """A model changed: the store says what is left."""
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
        """What the generators of a plan need to have learned, by name; loaded when first used."""
        options = [option for _, options in plan.find(Generate).generators for option in options]
        found = {name: self._refine(name) for option, name in options if option == "pretrained"}
        return found | {
            name: self.explainers[name] for option, name in options if option == "explainer"
        }

    def _refine(self, name: str) -> Any:
        if name not in self._refines:
            from sxq.models import refine

            row = self._store.load_refine(name)
            self._refines[name] = refine.load(row.weights, row.spec), row.model
            self._ids[name] = row.refine_id
        return self._refines[name][0]
