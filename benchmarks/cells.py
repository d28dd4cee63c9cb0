"""The cells of the skyline paper's experiments: one data set and model, searched by every method of its comparison.

A search does not depend on k or epsilon, so every generator searches a target once, and the answers for every k and
epsilon are chosen from what it verified. DivSX peels like ApxSX-OP, and takes its candidates.

    Cell       a data set, an architecture, its layers, targets, budget
    METHODS    the generator and the rule of choice of every row
    Shown      what one method shows of one target for one k and epsilon

What a cell found is kept as one file of JSON in a folder, written after every target, so that a run that was stopped
goes on from it. It knows nothing of the code that made it: empty the folder when the code changes.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import data
import numpy as np
import rivals
from peers import paper_scale
from suites import EPSILON, FRONT_LIMIT, TOP, Call, Suite

from sxq.execution import answer as answering
from sxq.execution.target import Found
from sxq.generators.catalog import GENERATORS
from sxq.generators.protocol import OPENING
from sxq.inference.registration import register
from sxq.models.refine.pretrain import pretrain
from sxq.scoring.diversify import cosine
from sxq.scoring.hypervolume import hypervolume
from sxq.scoring.lattice import Answer, Lattice

METHODS = {  # row -> generator, rule of choice
    "ApxSX-OP": ("onion", "swap"),
    "ApxSX-I": ("growing", "swap"),
    "DivSX": ("onion", "divsx"),
    "DivSX, first k": ("onion first", "divsx_first"),
    "search": ("search", "coverage"),
    "search, DIVERSIFY": ("search", "diversity"),
    "GNNExplainer": ("gnnexplainer", "coverage"),
    "PGExplainer": ("pgexplainer", "coverage"),
    "CF2": ("cf2", "coverage"),
    "MOExp": ("moexp", "coverage"),
    "reference": ("reference_onion", "coverage"),  # what the authors' code stored
}
PRETRAINING = {"cora": (50, 30)}  # nodes and epochs of PGExplainer
LARGE = (5, 10)  # the same where fields are large
SHARES = (0.03, 0.1, 0.3, 1.0)  # of the budget, on the anytime curve
Point = tuple[int, float]  # k and epsilon


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One data set and model, with the targets to explain."""

    data: str
    architecture: str = "gcn"
    layers: int = 3
    targets: int = 26
    budget: int = 5000
    epochs: int = 200  # of the model, where it is trained here
    points: tuple[Point, ...] = ((TOP, EPSILON),)
    methods: tuple[str, ...] = tuple(METHODS)

    @property
    def name(self) -> str:
        return f"{self.data}-{self.architecture}-{self.layers}-{self.budget}"

    @property
    def label(self) -> str:
        return f"{self.data}, {self.architecture.upper()} of {self.layers} layers"

    def stage(self) -> Suite:
        """The graph, the registered model and the targets."""
        graph, model = _registered(self.data, self.architecture, self.layers, self.epochs)
        if self.data == "cora":
            nodes = data.published_targets()[: self.targets]
        else:
            nodes = data.random_targets(graph, self.targets)
        return Suite(self.data, graph, model, tuple(nodes))


@cache
def _registered(name: str, architecture: str, layers: int, epochs: int):
    graph = data.graph(name)
    return graph, register(data.trained(name, architecture, layers, epochs), graph, layers=layers)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What one method shows of one target: an answer of at most k members."""

    paper: list[list[float]]  # [k, 3] fdl+, 1 - fdl-, conciseness on the paper's scale
    scores: list[list[float]]  # [k, 3] ours
    coverage: float
    hypervolume: float
    nodes: float  # share of the field's nodes that the members hold
    apart: float  # mean cosine distance of the members' embeddings; 0 for fewer than two
    candidates: int
    seconds: float  # of CPU, its share of pre-training included
    factual: float  # share of the members that are factual, and so on
    counterfactual: float
    edges: float  # mean directed edges of the members


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What one generator found for one target."""

    front: list[list[float]]  # [f, 3] scores
    reached: list[float]  # hypervolume after SHARES of the budget
    shown: dict[str, Shown]  # by method, k and epsilon: `place`


Searches = dict[str, dict[int, Searched]]  # by generator and target


def place(method: str, point: Point) -> str:
    """The key of an answer."""
    return f"{method} {point[0]} {point[1]:g}"


def run(cell: Cell, folder: Path | None = None) -> Searches:
    """Every generator on every target of a cell; read from the folder as far as it is kept."""
    file = folder and folder / f"{cell.name}.json"
    found = _read(file) if file and file.exists() else {}
    stage = cell.stage()
    for generator, rules in _generators(cell).items():
        done = found.setdefault(generator, {})
        missing = [target for target in stage.targets if not _holds(done.get(target), rules, cell)]
        if not missing:
            continue
        learned, spent = _learn(stage, generator)
        for target in missing:
            done[target] = _search(stage, cell, target, rules, learned, spent / len(stage.targets))
            if file:
                _write(file, found)
    return {
        generator: {target: found[generator][target] for target in stage.targets}
        for generator in _generators(cell)
    }


def _generators(cell: Cell) -> dict[str, dict[str, str]]:
    """By generator, the rules of its methods, by method."""
    stored = data.stored_masks() is not None and (cell.data, cell.architecture, cell.layers)
    found: dict[str, dict[str, str]] = {}
    for method in cell.methods:
        generator, rule = METHODS[method]
        if generator.startswith("reference") and stored != ("cora", "gcn", 3):
            continue
        found.setdefault(generator, {})[method] = rule
    return found


def _holds(searched: Searched | None, rules: Mapping[str, str], cell: Cell) -> bool:
    keys = {place(method, point) for method in rules for point in _points(cell, method)}
    return searched is not None and keys <= searched.shown.keys()


def _points(cell: Cell, method: str) -> list[Point]:
    """Every k and epsilon that a method can answer; a search that ends with the first k knows one k."""
    return [point for point in cell.points if point[0] == TOP or "first" not in METHODS[method][0]]


def _learn(stage: Suite, generator: str) -> tuple[dict[str, object], float]:
    """What a generator needs to have learned, and the CPU seconds that this took."""
    if generator.startswith("reference"):
        rivals.enter_stored()
    if not GENERATORS[generator.split()[0]].pretrained:
        return {}, 0.0
    started = time.process_time()
    nodes, epochs = PRETRAINING.get(stage.name, LARGE)
    options = (("preset", "pgexplainer"), ("nodes", nodes), ("epochs", epochs), ("seed", 0))
    learned = pretrain(stage.model, stage.graph, options).pretrained
    return {generator: learned}, time.process_time() - started


def _search(
    stage: Suite,
    cell: Cell,
    target: int,
    rules: Mapping[str, str],
    learned: Mapping[str, object],
    spent: float,
) -> Searched:
    """One target searched by one generator, and the answers of its methods."""
    (generator,) = {METHODS[method][0] for method in rules}
    options = (("pretrained", generator),) if learned else ()
    calls: tuple[Call, ...] = ((generator.split()[0], options),)
    rule = "divsx_first" if generator.endswith("first") else "coverage"
    started = time.process_time()
    found = stage.search(target, calls, cell.budget, learned=learned, rule=rule)
    seconds = time.process_time() - started + spent
    if generator.startswith("reference"):  # the field is no find of theirs
        found = replace(found, lattice=_lattice(found, EPSILON, opening=False))
    rows = found.table.rows(slice(None))
    scores = np.where(rows.explanatory[:, None], rows.scores[:, :3], 0.0)
    return Searched(
        front=found.lattice.front_scores.round(4).tolist(),
        reached=[hypervolume(scores[: int(share * cell.budget)]) for share in SHARES],
        shown={
            place(method, point): _show(stage, found, rule, point, seconds)
            for method, rule in rules.items()
            for point in _points(cell, method)
        },
    )


def _show(stage: Suite, found: Found, rule: str, point: Point, seconds: float) -> Shown:
    k, epsilon = point
    started = time.process_time()
    lattice = found.lattice if epsilon == EPSILON else _lattice(found, epsilon)
    choice = replace(found.choice, k=k, rule=rule)
    asked = replace(found, choice=choice, lattice=lattice)
    answer = answering.alone(asked)
    seconds += time.process_time() - started
    members = list(answer.members)
    nodes, embeddings = answering.shape(found, np.array(members, np.int64))
    distance = 1 - cosine(embeddings)
    pairs = len(members) * (len(members) - 1)
    rows = found.table.rows(members)
    field = found.loaded.field
    return Shown(
        paper=paper_scale(stage, found, answer.members).round(6).tolist(),
        scores=rows.scores[:, :3].tolist(),
        coverage=answer.coverage or 0.0,
        hypervolume=answer.hypervolume,
        nodes=float(nodes.any(axis=0).mean()) if members else 0.0,
        apart=float(distance.sum() / pairs) if pairs else 0.0,
        candidates=found.table.count,
        seconds=seconds,
        factual=_mean(rows.factual),
        counterfactual=_mean(rows.counterfactual),
        edges=_mean([len(field.edges_of(bits)) for bits in _bits(found, answer)]),
    )


def _bits(found: Found, answer: Answer) -> np.ndarray:
    return found.bits_of(answer.members) if answer.members else np.zeros((0, 0), bool)


def _mean(values: Sequence | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _lattice(found: Found, epsilon: float, opening: bool = True) -> Lattice:
    """The lattice of the same candidates under another epsilon, or without the whole field."""
    rows = found.table.rows(slice(None))
    able = rows.explanatory & (opening | (rows.generator != OPENING))
    chosen = np.flatnonzero(able)
    lattice = Lattice(3, epsilon, FRONT_LIMIT)
    if len(chosen):
        sizes = found.bits_of(chosen).sum(axis=1)
        lattice.add(chosen, rows.scores[chosen, :3], sizes, rows.bits[chosen])
    return lattice


def _read(file: Path) -> Searches:
    held = json.loads(file.read_text())
    return {
        generator: {int(target): _searched(own) for target, own in targets.items()}
        for generator, targets in held.items()
    }


def _searched(own: dict) -> Searched:
    return Searched(**own | {"shown": {key: Shown(**one) for key, one in own["shown"].items()}})


def _write(file: Path, found: Searches) -> None:
    """A file that is whole at any time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = {
        generator: {target: asdict(own) for target, own in targets.items()}
        for generator, targets in found.items()
    }
    scratch = file.with_suffix(f".{os.getpid()}")
    scratch.write_text(json.dumps(plain))
    scratch.replace(file)


def answers(found: Searches, point: Point) -> Iterator[tuple[str, dict[int, Shown]]]:
    """Every method that was run, with its answers by target."""
    for method, (generator, _) in METHODS.items():
        targets = found.get(generator, {})
        own = {target: each.shown.get(place(method, point)) for target, each in targets.items()}
        if own and all(own.values()):
            yield method, own
