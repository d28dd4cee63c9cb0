"""VG-5: tiny images and scene graphs, laid out as a copy of the ReFine code."""

import json

import numpy as np
import pytest

from sxq.datasets import load
from sxq.errors import DataError

pytest.importorskip("PIL")
from PIL import Image

OBJECTS = [
    {"object_id": 10, "x": 0, "y": 0, "w": 20, "h": 20, "names": ["man"], "synsets": []},
    {"object_id": 11, "x": 20, "y": 0, "w": 20, "h": 40, "names": ["wave"], "synsets": []},
    {"object_id": 12, "x": 30, "y": 30, "w": 0, "h": 1, "names": ["dot"], "synsets": []},
]


def related(*pairs) -> list[dict]:
    return [
        {"relationship_id": i, "subject_id": u, "predicate": "on", "object_id": v, "synsets": []}
        for i, (u, v) in enumerate(pairs)
    ]


SCENES = {  # number: (class, relationships)
    7: (3, related((10, 11), (11, 12), (10, 11), (12, 12), (10, 99))),
    20: (0, related((12, 10))),
    100: (4, related((99, 98))),  # of unknown objects only
    5: (1, related()),
}


def lay(root) -> tuple:
    """The two folders, of images and of scene graphs."""
    images = root / "ReFine" / "data" / "VG" / "raw"
    graphs = root / "ReFine" / "visual_genome" / "raw" / "by-id"
    images.mkdir(parents=True)
    graphs.mkdir(parents=True)
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, :20, 0], pixels[:, 20:, 2] = 200, 100  # red on the left, blue on the right
    for number, (label, relationships) in SCENES.items():
        Image.fromarray(pixels).save(images / f"{number}-{label}.jpg", quality=100, subsampling=0)
        scene = {"image_id": number, "objects": OBJECTS, "relationships": relationships}
        (graphs / f"{number}.json").write_text(json.dumps(scene))
    return images, graphs


def test_the_published_layout_is_read(tmp_path):
    lay(tmp_path)
    graphs = load("VG-5", folder=tmp_path)
    assert graphs.keys == [7, 20] and graphs.y.tolist() == [3, 0]
    first = graphs.member(0)
    assert first.edge_index.tolist() == [[0, 1], [1, 2]] and (first.edge_attr == 1).all()
    colours = first.x.reshape(3, 3, 20, 20)  # object, colour, column, row
    assert np.allclose(colours[0, 0], 200, atol=3) and np.allclose(colours[0, 2], 0, atol=3)
    assert np.allclose(colours[1, 2], 100, atol=3) and np.allclose(colours[1, 0], 0, atol=3)


def test_an_object_keeps_its_columns_and_rows(tmp_path):
    images, graphs = lay(tmp_path)
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, 5, 1] = 255  # one green column
    Image.fromarray(pixels).save(images / "7-3.jpg", quality=100, subsampling=0)
    green = load("vg5", folder=tmp_path, graphs=1).member(0).x[0].reshape(3, 20, 20)[1]
    assert green.mean(axis=1).argmax() == 5 and green[5].min() > 200 and green[9].max() < 20


def test_splits_are_in_the_papers_proportion(tmp_path):
    from sxq.datasets.scene_graphs import _split

    split = _split(4443, seed=0)
    assert [(split == name).sum() for name in ("train", "val", "test")] == [3644, 400, 399]


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda i, g: (g / "7.json").unlink(), "by-id/7.json is missing; https"),
        (lambda i, g: (g / "7.json").write_text('{"obj'), "7.json cannot be read, expected a sc"),
        (lambda i, g: (g / "7.json").write_text("[]"), "7.json has no list 'objects'"),
        (
            lambda i, g: (g / "7.json").write_text(
                json.dumps(
                    {"objects": [{"object_id": 1, "x": 1}], "relationships": related((1, 1))}
                )
            ),
            "7.json: an object or a relationship has no 'y'",
        ),
        (
            lambda i, g: (i / "7-3.jpg").write_bytes((i / "7-3.jpg").read_bytes()[:300]),
            "7-3.jpg cannot be read as an image",
        ),
        (
            lambda i, g: (i / "7-3.jpg").rename(i / "7-9.jpg"),
            r"7-9.jpg should be named .* \(0 to 4\)",
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path, spoil, message):
    spoil(*lay(tmp_path))
    with pytest.raises(DataError, match=message):
        load("VG-5", folder=tmp_path)


def test_without_files_the_error_says_what_to_put_where(tmp_path):
    with pytest.raises(DataError, match="not in .*ReFine/data/VG/raw: put the 4,443 images there"):
        load("VG-5", folder=tmp_path)
