"""Images as graphs: MNIST superpixels (Monti et al. 2017), and scikit-learn's digits without a download.

A node is a superpixel or a patch; its feature is its brightness in [0, 1], its attributes `pos_x`
and `pos_y` are its place in an image of 28 x 28. An edge attribute is the step from source to
target, (pos[target] - pos[source]) / (2 REACH) + 0.5, as in the ReFine code (PyG's `Cartesian` has
turned the step round since). Opposite steps differ, so each direction is a unit of explanation. The
ground truth are the edges between bright nodes, as in the ReFine code.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sxq.datasets.fetched import fetch
from sxq.errors import DataError, GraphError, InvalidValue
from sxq.graph import Graph, GraphSet

REACH = 9  # the longest step along an axis
SIDE = 28  # of an image
PATCHES = 8  # of a digit in each direction
SHARES = {"train": 6, "test": 1, "val": 1}  # eighths of a smaller set, as in the ReFine code
NEEDED = ("x", "edge_index", "pos", "y")


def mnist(root: Path, graphs: int | None = None) -> GraphSet:
    """MNIST superpixels: 60,000 images for training and 10,000 for tests.

    graphs  so many instead: six eighths of the training images; of the test images an eighth for
            tests and the next eighth for validation. 8,000 is what the ReFine code takes.
    """
    halves = {
        name: fetch("MNISTSuperpixels", root, train=name == "train") for name in ("train", "test")
    }
    parts = {name: range(len(images)) for name, images in halves.items()}
    if graphs is not None:
        parts = _fewer(graphs, halves)
    members = []
    for name, numbers in parts.items():
        half = halves["train" if name == "train" else "test"]
        members += [(name, _image(half[i], f"{name} image {i}", root)) for i in numbers]
    return _joined([image for _, image in members], [name for name, _ in members])


def _fewer(graphs: int, halves: dict) -> dict[str, range]:
    share = graphs // sum(SHARES.values())
    most = min(len(halves["train"]) // 6, len(halves["test"]) // 2)
    if not 1 <= share <= most:
        raise InvalidValue(f"GRAPHS = {graphs}; expected a whole number from 8 to {8 * most}")
    return {"train": range(6 * share), "test": range(share), "val": range(share, 2 * share)}


def _image(data, what: str, root: Path) -> tuple[Graph, int]:
    missing = [name for name in NEEDED if data.get(name) is None]
    if missing:
        raise DataError(
            f"{what} of {root / 'MNISTSuperpixels'} has no {', '.join(missing)}; "
            "expected MNISTSuperpixels.pt as PyG publishes it"
        )
    arrays = [data[name].numpy() for name in ("x", "edge_index", "pos")]
    try:
        return image_graph(*arrays), int(data.y)
    except (GraphError, ValueError, IndexError) as error:
        raise DataError(f"{what} of {root / 'MNISTSuperpixels'}: {error}") from None


def digits(root: Path, graphs: int | None = None, seed: int = 0) -> GraphSet:
    """The 1,797 digits of scikit-learn (Alpaydin and Kaynak 1998), with nothing to download.

    Each of the 8 x 8 numbers is the brightness of a patch of a scan, so a node is a patch; patches
    that touch, corners included, are joined. Eight tenths are for training, the rest for validation
    and tests, by `seed`; of `graphs` images the first ones are taken.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError(
            "data set 'Digits' comes with scikit-learn: pip install 'sxq[experiments]'"
        ) from None
    held = load_digits()
    most = len(held.target)
    count = most if graphs is None else graphs
    if not 10 <= count <= most:
        raise InvalidValue(f"GRAPHS = {graphs}; expected a whole number from 10 to {most}")
    edge_index, pos = _patches()
    images = [
        (image_graph(values.reshape(-1, 1) / 16, edge_index, pos), int(label))
        for values, label in zip(held.images[:count], held.target[:count])
    ]
    tenth = count // 10
    split = np.repeat(["train", "val", "test"], [count - 2 * tenth, tenth, tenth])
    return _joined(images, np.random.default_rng(seed).permutation(split).astype(object))


def image_graph(x: np.ndarray, edge_index: np.ndarray, pos: np.ndarray) -> Graph:
    """The graph of brightness x [n, 1], edges [2, E] and places pos [n, 2]."""
    bright = x.reshape(len(x), -1)[:, 0] > 0
    return Graph(
        edge_index,
        x,
        edge_attr=cartesian(pos, edge_index),
        edge_truth=bright[edge_index].all(axis=0),
        attributes={"pos_x": pos[:, 0].tolist(), "pos_y": pos[:, 1].tolist()},
    )


def cartesian(pos: np.ndarray, edge_index: np.ndarray) -> np.ndarray:
    """The steps [E, 2] from source to target, with REACH as 1 and the place itself as 0.5."""
    return (pos[edge_index[1]] - pos[edge_index[0]]) / (2 * REACH) + 0.5


def _patches() -> tuple[np.ndarray, np.ndarray]:
    """Edges [2, E] between patches that touch, and the middles [64, 2] of the patches."""
    row, column = np.divmod(np.arange(PATCHES**2), PATCHES)
    apart = np.maximum(np.abs(row[:, None] - row[None]), np.abs(column[:, None] - column[None]))
    return np.array(np.nonzero(apart == 1)), (np.stack([column, row], axis=1) + 0.5) * (
        SIDE / PATCHES
    )


def _joined(images: list[tuple[Graph, int]], split: Iterable[str]) -> GraphSet:
    return GraphSet.join(
        [graph for graph, _ in images], y=[label for _, label in images], split=list(split)
    )
