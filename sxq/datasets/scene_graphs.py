"""VG-5 (Wang et al. 2021, ReFine): scenes of Visual Genome (Krishna et al. 2017) in five classes.

The files lie as in a copy of the ReFine code with its two downloads, in the folder `ReFine`:

    data/VG/raw/2369664-2.jpg                an image: its number in Visual Genome, and its class
    visual_genome/raw/by-id/2369664.json     its objects (object_id, x, y, w, h), and relationships
                                             (subject_id, object_id)

A node is an object: its part of the image, 20 x 20 pixels of three colours (1,200 features, by
colour, column and row). An edge leads from subject to object, each once, none to itself. The classes
(stadium, street, farm, surfing, forest) are 0 to 4, as the names of the files number them. Images
without relationships are left out. The paper's split was drawn at random and is not published; as
there, 399 graphs are for tests, 400 for validation and the rest for training, here by `seed`.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sxq.errors import DataError, InvalidValue
from sxq.graph import Graph, GraphSet

FOLDER = "ReFine"
SIDE_OF_NODE = 20  # pixels
CLASSES = 5
HELD_OUT = {"test": 399, "val": 400}
PUBLISHED = 4_443  # graphs
SOURCE = "https://github.com/Wuyxin/ReFine links to both downloads"


def vg5(root: Path, graphs: int | None = None, seed: int = 0) -> GraphSet:
    """The scenes; of `graphs` scenes the first ones by their number."""
    folder = root / FOLDER
    files = _images(folder / "data" / "VG" / "raw")
    if graphs is not None and not 1 <= graphs <= len(files):
        raise InvalidValue(f"GRAPHS = {graphs}; expected a whole number from 1 to {len(files)}")
    scenes: list[tuple[int, int, Graph]] = []
    for number, label, file in files:
        if len(scenes) == graphs:
            break
        described = folder / "visual_genome" / "raw" / "by-id" / f"{number}.json"
        if (graph := _scene(file, _described(described), described)) is not None:
            scenes.append((number, label, graph))
    if not scenes:
        raise DataError(f"no image in {folder / 'data' / 'VG' / 'raw'} has relationships")
    return GraphSet.join(
        [graph for _, _, graph in scenes],
        y=[label for _, label, _ in scenes],
        split=_split(len(scenes), seed),
        keys=[number for number, _, _ in scenes],
    )


def _images(folder: Path) -> list[tuple[int, int, Path]]:
    """The number, class and file of every image, by number."""
    files = sorted(folder.glob("*.jpg"))
    if not files:
        raise DataError(
            f"data set 'VG-5' is not in {folder}: put the {PUBLISHED:,} images there, such as "
            f"2369664-2.jpg, and their 2369664.json into visual_genome/raw/by-id; {SOURCE}"
        )
    found = []
    for file in files:
        named = re.fullmatch(r"(\d+)-(\d)\.jpg", file.name)
        if not named or int(named[2]) >= CLASSES:
            raise DataError(
                f"{file} should be named by number and class (0 to {CLASSES - 1}): 2369664-2.jpg"
            )
        found.append((int(named[1]), int(named[2]), file))
    return sorted(found)


def _described(path: Path) -> dict[str, Any]:
    """The scene graph of an image as it is in its file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {SOURCE}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read, expected a scene graph as JSON: {error}") from None
    for name in ("objects", "relationships"):
        if not isinstance(found, dict) or not isinstance(found.get(name), list):
            raise DataError(f"{path} has no list {name!r}; expected a scene graph of Visual Genome")
    return found


def _scene(file: Path, described: dict[str, Any], source: Path) -> Graph | None:
    """The graph of an image as `source` describes it; None where nothing is related."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError("images are read by Pillow: pip install 'sxq[experiments]'") from None
    try:
        related = _related(described["objects"], described["relationships"])
        if not related:
            return None
        with Image.open(file) as image:
            pixels = image.convert("RGB")
        x = np.stack([_node(pixels, thing) for thing in described["objects"]])
    except (KeyError, TypeError) as error:
        raise DataError(f"{source}: an object or a relationship has no {error}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as an image: {error}") from None
    edges = np.array([pair for pair in related if pair[0] != pair[1]], np.int64).reshape(-1, 2).T
    return Graph(edges, x, edge_attr=np.ones((edges.shape[1], 1)))


def _node(image: Any, thing: dict[str, Any]) -> np.ndarray:
    """The part of an image that holds an object, as 3 colours x 20 columns x 20 rows."""
    left, upper = thing["x"], thing["y"]
    width, height = (
        max(1, thing[short] if short in thing else thing[long])
        for short, long in (("w", "width"), ("h", "height"))
    )
    part = np.array(image.crop((left, upper, left + width, upper + height)), np.float32)
    colours = torch.from_numpy(part).permute(2, 1, 0)
    return torch.nn.functional.adaptive_avg_pool2d(colours, SIDE_OF_NODE).numpy().reshape(-1)


def _related(objects: list[dict], relationships: list[dict]) -> list[tuple[int, int]]:
    """Pairs (subject, object), each once; relationships of unknown objects are left out."""
    place: dict[Any, int] = {}
    for i, thing in enumerate(objects):
        place.setdefault(thing["object_id"], i)  # an object that is listed twice is its first entry
    ends = [(one["subject_id"], one["object_id"]) for one in relationships]
    pairs = [(place[u], place[v]) for u, v in ends if u in place and v in place]
    return list(dict.fromkeys(pairs))


def _split(count: int, seed: int) -> np.ndarray:
    """As many for tests and validation as the paper takes, in proportion where there are fewer."""
    sizes = {name: held * count // PUBLISHED for name, held in HELD_OUT.items()}
    sizes = HELD_OUT if count == PUBLISHED else sizes
    names = ["train", *sizes]
    parts = np.repeat(names, [count - sum(sizes.values()), *sizes.values()])
    return np.random.default_rng(seed).permutation(parts.astype(object))
