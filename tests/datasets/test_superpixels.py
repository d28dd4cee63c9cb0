"""Images as graphs: MNIST superpixels in PyG's file, and scikit-learn's digits."""

import sys

import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.datasets import MNISTSuperpixels
from torch_geometric.transforms import Cartesian

from sxq.datasets import load
from sxq.datasets.superpixels import cartesian
from sxq.errors import DataError, InvalidValue


def image(label: int) -> dict:
    """A path of three superpixels, as in the published file; the last one is dark."""
    return {
        "x": torch.tensor([[0.5], [label / 10 + 0.1], [0.0]]),
        "edge_index": torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]),
        "pos": torch.tensor([[1.0, 2.0], [4.0, 6.0], [4.0, 0.0]]),
        "y": torch.tensor([label]),
    }


def lay(root, train=12, test=4, change=None) -> None:
    halves = [[image(i % 10) for i in range(count)] for count in (train, test)]
    if change:
        change(halves)
    folder = root / "MNISTSuperpixels" / "raw"
    folder.mkdir(parents=True)
    torch.save(tuple(halves), folder / "MNISTSuperpixels.pt")


def test_both_splits_are_read_with_places_and_steps(tmp_path):
    lay(tmp_path)
    graphs = load("MNIST", folder=tmp_path)
    assert len(graphs) == 16 and graphs.split.tolist() == ["train"] * 12 + ["test"] * 4
    assert graphs.y.tolist() == [*range(10), 0, 1, 0, 1, 2, 3]
    second = graphs.member(1)
    assert second.attributes == {"pos_x": [1, 4, 4], "pos_y": [2, 6, 0]}
    assert second.edge_truth.tolist() == [True, True, False, False]
    plain = Data(**{**image(1), "edge_attr": None})
    published = Cartesian(cat=False, max_value=9)(plain).edge_attr
    assert np.allclose(second.edge_attr, 1 - published.numpy())  # PyG turned the steps round


def test_a_smaller_set_is_cut_as_in_the_published_code(tmp_path):
    lay(tmp_path)
    graphs = load("MNISTSuperpixels", folder=tmp_path, graphs=16)
    assert graphs.split.tolist() == ["train"] * 12 + ["test"] * 2 + ["val"] * 2
    assert graphs.y.tolist()[12:] == [
        0,
        1,
        2,
        3,
    ]  # train, then test, then val: all different images
    for count in (7, 24):
        with pytest.raises(InvalidValue, match=f"GRAPHS = {count}; expected .* from 8 to 16"):
            load("MNIST", folder=tmp_path, graphs=count)


def test_what_an_image_lacks_is_named(tmp_path):
    lay(tmp_path, change=lambda halves: [one.pop("pos") for one in halves[1]])
    with pytest.raises(DataError, match="test image 0 of .*MNISTSuperpixels has no pos; expected"):
        load("MNIST", folder=tmp_path)


def test_a_truncated_download_is_told_with_its_folder(tmp_path):
    lay(tmp_path)
    file = tmp_path / "MNISTSuperpixels" / "raw" / "MNISTSuperpixels.pt"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DataError, match=f"could not be read from {file.parent}: .*{file.name}"):
        load("MNIST", folder=tmp_path)


def test_a_failing_download_names_the_file(tmp_path, monkeypatch):
    def download(self):
        raise OSError("no route to host")

    monkeypatch.setattr(MNISTSuperpixels, "download", download)
    with pytest.raises(DataError, match="put MNISTSuperpixels.pt into .*MNISTSuperpixels/raw"):
        load("MNIST", folder=tmp_path)


def test_digits_are_patches_with_places():
    held = pytest.importorskip("sklearn.datasets").load_digits()
    graphs = load("Digits", graphs=30)
    assert len(graphs) == 30 and graphs.y.tolist() == held.target[:30].tolist()
    one = graphs.member(7)
    pos = np.array([one.attributes["pos_x"], one.attributes["pos_y"]]).T
    column, row = (pos / 3.5 - 0.5).T.astype(int)
    assert np.allclose(one.x[:, 0] * 16, held.images[7][row, column])
    assert one.num_nodes == 64 and one.num_edges == 420 and one.undirected is False
    assert np.allclose(one.edge_attr, cartesian(pos, one.edge_index))
    assert 0 < one.edge_attr.min() and one.edge_attr.max() < 1
    steps = np.abs(pos[one.edge_index[0]] - pos[one.edge_index[1]])
    assert steps.max() == 3.5 and (steps.max(axis=1) == 3.5).all()


def test_digits_are_split_by_the_seed():
    pytest.importorskip("sklearn")
    first, again, other = (load("digits", graphs=40, seed=seed) for seed in (0, 0, 1))
    assert first.content_hash == again.content_hash != other.content_hash
    assert [(first.split == name).sum() for name in ("train", "val", "test")] == [32, 4, 4]
    with pytest.raises(
        InvalidValue, match="GRAPHS = 2000; expected a whole number from 10 to 1797"
    ):
        load("digits", graphs=2000)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"pip install 'sxq\[experiments\]'"):
        load("Digits")
