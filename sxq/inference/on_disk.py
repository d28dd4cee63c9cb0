"""Models on a graph on disk: examined on a part of it, with outputs that are kept beside the graph.

What registration finds out about a model (the way to call it, its output, depth, halo and backend)
it finds on a part of the graph that is held in memory; a small graph is its own part, so that all is as for a
graph in memory. The outputs on the whole graph are computed once, in blocks, and are a file
in the folder of the graph, by the content of the module; attaching the model again reads it.
"""

import json
import os
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.errors import Error, ModelError, ModelNotLocal, ModelOutputError, StoreError
from sxq.graph import Graph, GraphSet, extract
from sxq.graph.disk import DiskGraph, induced, manifest, thinned
from sxq.inference import CandidateBatch
from sxq.inference.agreement import agree, difference
from sxq.inference.disjoint import Disjoint
from sxq.inference.full_outputs import write_outputs
from sxq.models.borrow import spreads
from sxq.models.model import Model
from sxq.models.weights import content_hash
from sxq.models.wrappers import unwrapped

MEMORY = 2 * 10**9  # bytes that the computation of outputs takes
PART = 100_000  # edges of a graph that is its own part
ROOTS = 16  # nodes behind which a part lies
EACH = 3  # in-neighbours of a node that a part follows, so that it has long paths
NODES = 10_000  # that a part has besides those at the largest hub
AT_HUB = 50_000  # of these
CHECKED = 3  # nodes whose stored outputs are compared with those on their fields
ROWS = 1 << 16  # of outputs that are looked at together


def part_of(graph: Any) -> Any:
    """A part of a large graph on disk, the same each time, or all of a small one, in memory; any other graph itself."""
    if not isinstance(graph, DiskGraph):
        return graph
    if graph.num_edges <= PART:
        return Graph(**graph.columns())
    rng = np.random.default_rng(0)
    some = rng.integers(0, graph.num_nodes, 64 * ROOTS)
    hub = np.array([graph.facts["hub"]])
    roots = np.append(some[graph.in_degrees(some) > 0][:ROOTS], hub)
    deep = thinned(graph, roots, EACH, NODES, rng)
    # sums over the most edges are the least exact in float32, which is measured, too
    near = rng.permutation(graph.entering(hub)[1][0])[:AT_HUB]
    return induced(graph, np.union1d(deep, near))


@contextmanager
def on_part(graph: Any) -> Iterator[Any]:
    """`part_of` a graph; a model that fails on it may need the whole graph, and the error says so."""
    part = part_of(graph)
    try:
        yield part
    except ModelError as error:
        if type(error) is ModelError and isinstance(graph, DiskGraph) and graph.num_edges > PART:
            raise ModelError(
                f"{error}; the graph lies on disk, and the model was run on a part of it ({part.num_nodes} nodes, "
                f"{part.num_edges} edges): models that hold a row for each node are for graphs in memory"
            ) from error
        raise


def on_whole(
    model: Model, graph: Graph | GraphSet, memory: int = MEMORY, checked: bool = True
) -> Model:
    """A model that was examined on `part_of(graph)`, with its outputs on all of it.

    checked  compare some outputs that were stored earlier with those on fields

    A model on a graph in memory has its outputs already. Raises ModelError, ModelOutputError, ModelNotLocal.
    """
    if not isinstance(graph, DiskGraph):
        return model
    if model.links:
        if graph.num_edges <= PART:
            return model
        raise ModelError(
            "models of links are not built for large graphs on disk: each statement would run the model on "
            "the whole graph; keep the graph in memory, STORAGE = memory"
        )
    asked = model.output_key, model.inputs, model.arguments, model.call.named, model.call.order
    key = content_hash(unwrapped(model.module), ("outputs", *asked))
    small = graph.num_edges <= PART
    full = _kept(graph, key)
    if full is not None and checked and not small and _apart(replace(model, full=full), graph):
        full = None
    if full is None:
        full = _computed(model, graph, key, memory, small)
    model = replace(model, full=full)
    _require_numbers(full, model)
    if not small and checked and (apart := _apart(model, graph)):
        raise ModelNotLocal(
            f"the outputs on the whole graph, computed in blocks, differ from those on receptive fields by {apart:.2g}; "
            "register the model with layers= its true depth"
        )
    return replace(model, spread=_spreads(full)) if model.task == "regression" else model


def _kept(graph: DiskGraph, key: str) -> Tensor | None:
    """Outputs that were stored and not changed since."""
    path = graph.outputs / f"{key}.npy"
    try:
        manifest.require_same(path, json.loads(path.with_suffix(".json").read_text()), False)
        found = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError, StoreError):
        return None
    usable = found.dtype == np.float32 and found.ndim == 2 and len(found) == graph.num_nodes
    return torch.from_numpy(np.asarray(found)) if usable else None


def _computed(model: Model, graph: DiskGraph, key: str, memory: int, small: bool) -> Tensor:
    """Outputs that are computed now, and stored where the folder may be written."""
    with suppress(OSError):
        if graph.keeps_outputs:
            graph.outputs.mkdir(exist_ok=True)
    keeps = graph.keeps_outputs and os.access(graph.outputs, os.W_OK)
    own = graph.outputs / f"{key}-{secrets.token_hex(4)}.part"
    scratch = own if keeps else Path(tempfile.mkdtemp(prefix="sxq-outputs-"))
    try:
        scratch.mkdir(exist_ok=True)
        if small:
            np.save(scratch / "outputs.npy", model.full.numpy())
        else:
            write_outputs(model, graph, scratch, memory)
        if not keeps:
            return _mapped(
                scratch / "outputs.npy", lambda: shutil.rmtree(scratch, ignore_errors=True)
            )
        final = graph.outputs / f"{key}.npy"
        os.replace(scratch / "outputs.npy", final)
        final.with_suffix(".json").write_text(json.dumps(manifest.described(final)))
        return _mapped(final)
    except OSError as error:
        raise StoreError(
            f"the outputs of the model on the whole graph cannot be written to {str(scratch)!r}: {error}"
        ) from error
    finally:
        if keeps:
            shutil.rmtree(scratch, ignore_errors=True)


def _mapped(path: Path, forgotten: Callable[[], object] | None = None) -> Tensor:
    found = torch.from_numpy(np.asarray(np.load(path, mmap_mode="c")))
    if forgotten is not None:
        weakref.finalize(found, forgotten)
    return found


def _apart(model: Model, graph: DiskGraph) -> float:
    """How far the outputs of some nodes are from those on their fields; 0 where they agree."""
    rng = np.random.default_rng(1)
    backend = Disjoint(model)
    heads = rng.integers(0, graph.num_nodes, 64)
    small = heads[np.argsort(graph.in_degrees(heads), kind="stable")][:CHECKED]
    for node in small.tolist():
        field = extract(graph, node, model.hops, model.halo)
        loaded = backend.load(graph, field)
        nothing = np.zeros((1, field.num_units), bool)
        try:
            found = backend.infer([CandidateBatch(loaded, nothing)])[0][1].cpu()
        except Error:
            return float("inf")
        if found.shape[1] != model.full.shape[1]:
            return float("inf")
        if not agree(model, found, model.full[[node]]):
            return difference(model, found, model.full[[node]])
    return 0.0


def _require_numbers(full: Tensor, model: Model) -> None:
    for rows in full.split(ROWS):
        if rows.isnan().any() or rows.isposinf().any():
            raise ModelOutputError(
                "the model returned NaN or infinite values on the registered graph"
            )
        if not model.probabilities(rows).isfinite().all():
            raise ModelOutputError("the model returned rows of outputs that give no probabilities")


def _spreads(full: Tensor) -> tuple[float, ...]:
    """`spreads` of outputs that do not fit into memory in double."""
    if len(full) <= ROWS:
        return spreads(full)
    mean = sum(rows.double().sum(dim=0) for rows in full.split(ROWS)) / len(full)
    squares = sum(((rows.double() - mean) ** 2).sum(dim=0) for rows in full.split(ROWS))
    spread = (squares / len(full)).sqrt()
    size = torch.stack([rows.double().abs().amax(dim=0) for rows in full.split(ROWS)]).amax(dim=0)
    spread = torch.where(spread > 1e-6 * size, spread, size)
    return tuple(torch.where(spread > 0, spread, 1.0).tolist())
