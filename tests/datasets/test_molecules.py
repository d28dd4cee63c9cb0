"""Mutagenicity: TU's text files, and the groups NO2 and NH2 against the published ground truth."""

import os
from pathlib import Path

import numpy as np
import pytest
from torch_geometric.datasets import TUDataset

from sxq.datasets import load
from sxq.datasets.molecules import functional_groups
from sxq.errors import DataError
from sxq.graph.collection_readers import read_graphs

needs_data = pytest.mark.skipif(not os.environ.get("SXQ_DATA"), reason="SXQ_DATA names no folder")
C, O, H, N = 0, 1, 3, 4  # noqa: E741
# atoms, bonds (each once), and how many of these are of a group
MOLECULES = {
    "NO2": ([C, N, O, O], [(0, 1), (1, 2), (1, 3)], 2),
    "NH2": ([N, H, H, C, H], [(0, 1), (0, 2), (0, 3), (3, 4)], 2),
    "nitrite: no further atom": ([O, N, O, C], [(0, 1), (1, 2), (2, 3)], 0),
    "nitrate: three oxygens": ([N, O, O, O], [(0, 1), (0, 2), (0, 3)], 0),
    "hydroxylamine": ([O, N, H, H], [(0, 1), (1, 2), (1, 3)], 0),
    "ammonia": ([N, H, H, H], [(0, 1), (0, 2), (0, 3)], 0),
    "amide: one hydrogen": ([N, H, C, C], [(0, 1), (0, 2), (0, 3)], 0),
    "both": ([N, O, O, N, H, H], [(0, 1), (0, 2), (0, 3), (3, 4), (3, 5)], 4),
}


def both_ways(bonds) -> np.ndarray:
    return np.array([*bonds, *[(v, u) for u, v in bonds]]).T


@pytest.mark.parametrize("name", MOLECULES)
def test_groups_are_found_by_atoms_and_bonds(name):
    atoms, bonds, count = MOLECULES[name]
    marked = functional_groups(np.array(atoms), both_ways(bonds))
    assert marked.sum() == 2 * count
    ends = {tuple(sorted(atoms[v] for v in edge)) for edge in both_ways(bonds)[:, marked].T}
    assert ends <= {(O, N), (H, N)}


@needs_data
def test_the_groups_are_the_published_ground_truth():
    file = Path(os.environ["SXQ_DATA"]) / "mutagenicity.npz"
    union = read_graphs(file).union
    found = functional_groups(union.x.argmax(axis=1), union.edge_index)
    assert np.array_equal(found, np.load(file)["edge_gt"] == 1) and found.sum() == 7352


def tu_files(folder: Path) -> None:
    """All molecules above, and one atom of every kind, as TU writes them: numbers from 1."""
    nodes, edges, graphs, kinds = 0, [], [], []
    for atoms, bonds, _ in [*MOLECULES.values(), (range(14), [(0, 1)], 0)]:
        edges += [f"{u + nodes + 1}, {v + nodes + 1}" for u, v in both_ways(bonds).T]
        graphs += [str(len(set(graphs)) + 1)] * len(atoms)
        kinds += map(str, atoms)
        nodes += len(atoms)
    columns = {
        "A": edges,
        "graph_indicator": graphs,
        "graph_labels": [str(i % 2) for i in range(len(MOLECULES) + 1)],
        "node_labels": kinds,
        "edge_labels": [str(i % 3) for i in range(len(edges))],
    }
    folder.mkdir(parents=True)
    for name, lines in columns.items():
        (folder / f"Mutagenicity_{name}.txt").write_text("\n".join(lines) + "\n")


def test_tu_files_are_read_with_their_truth(tmp_path):
    tu_files(tmp_path / "TUDataset" / "Mutagenicity" / "raw")
    graphs = load("Mutagenicity", folder=tmp_path)
    assert len(graphs) == len(MOLECULES) + 1 and graphs.num_features == 14
    assert graphs.y.tolist() == [0, 1] * 4 + [0] and graphs.union.edge_attr.shape[1] == 3
    found = [int(graph.edge_truth.sum()) // 2 for graph in graphs]
    assert found == [count for _, _, count in MOLECULES.values()] + [0]


def test_a_missing_file_is_named(tmp_path):
    folder = tmp_path / "TUDataset" / "Mutagenicity" / "raw"
    tu_files(folder)
    (folder / "Mutagenicity_edge_labels.txt").unlink()
    with pytest.raises(DataError, match="raw/Mutagenicity_edge_labels.txt is missing"):
        load("Mutagenicity", folder=tmp_path)


def test_another_file_of_atoms_is_named(tmp_path):
    folder = tmp_path / "TUDataset" / "Mutagenicity" / "raw"
    tu_files(folder)
    atoms = folder / "Mutagenicity_node_labels.txt"
    atoms.write_text(atoms.read_text().replace("13", "12"))
    with pytest.raises(DataError, match="node_labels.txt has 13 kinds of atoms, expected 14"):
        load("Mutagenicity", folder=tmp_path)


def test_a_truncated_file_is_told_with_its_folder(tmp_path):
    folder = tmp_path / "TUDataset" / "Mutagenicity" / "raw"
    tu_files(folder)
    (folder / "Mutagenicity_A.txt").write_text("1, 2\n2")
    with pytest.raises(DataError, match=f"could not be read from {folder}: .*Mutagenicity_A.txt"):
        load("Mutagenicity", folder=tmp_path)


def test_a_failing_download_names_the_files(tmp_path, monkeypatch):
    def download(self):
        raise OSError("no route to host")

    monkeypatch.setattr(TUDataset, "download", download)
    with pytest.raises(
        DataError,
        match="put Mutagenicity_A.txt, .*, Mutagenicity_edge_labels.txt into .*Mutagenicity/raw",
    ):
        load("Mutagenicity", folder=tmp_path)
