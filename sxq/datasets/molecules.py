"""Mutagenicity (Kazius et al. 2005): PyG's TUDataset, with the groups NO2 and NH2 as ground truth.

Ying et al. (GNNExplainer) and Luo et al. (PGExplainer) take these groups as what makes a molecule
mutagenic. A group is a nitrogen with three neighbours: two oxygens, or two hydrogens, and one atom
that is neither. Its edges are the bonds between the nitrogen and the two.
"""

from pathlib import Path

import numpy as np

from sxq.datasets.fetched import OPTIONAL, fetch
from sxq.errors import DataError
from sxq.graph import Graph, GraphSet
from sxq.models import graphs_from_data

OXYGEN, HYDROGEN, NITROGEN = 1, 3, 4  # node labels of the file
ATOMS = 14  # kinds of atoms; more or fewer mean another file


def mutagenicity(root: Path) -> GraphSet:
    """The molecules: one-hot atoms and bonds; class 0 is mutagenic; the truth is NO2 and NH2."""
    dataset = fetch("Mutagenicity", root)
    folder = root / "TUDataset" / "Mutagenicity" / "raw"
    for file in OPTIONAL["Mutagenicity"]:
        if not (folder / file).exists():
            raise DataError(f"{folder / file} is missing")
    graphs = graphs_from_data(dataset)
    if graphs.num_features != ATOMS:
        raise DataError(
            f"{folder / 'Mutagenicity_node_labels.txt'} has {graphs.num_features} kinds of atoms, "
            f"expected {ATOMS}"
        )
    return with_groups(graphs)


def with_groups(graphs: GraphSet) -> GraphSet:
    """Molecules with their groups marked as ground truth."""
    union = graphs.union
    truth = functional_groups(union.x.argmax(axis=1), union.edge_index)
    marked = Graph(**{**union.columns(), "edge_truth": truth})
    return GraphSet(marked, graphs.node_ptr, graphs.edge_ptr, y=graphs.y, split=graphs.split)


def functional_groups(atoms: np.ndarray, edge_index: np.ndarray) -> np.ndarray:
    """Which edges [E] are bonds of NO2 or NH2, given atoms [n] and bonds in both directions."""
    source, target = edge_index
    neighbours = np.bincount(source, minlength=len(atoms))
    count = {
        kind: np.bincount(source[atoms[target] == kind], minlength=len(atoms))
        for kind in (OXYGEN, HYDROGEN)
    }
    others = neighbours - count[OXYGEN] - count[HYDROGEN]
    heart = (atoms == NITROGEN) & (neighbours == 3) & (others == 1)
    marked = np.zeros(len(source), bool)
    for kind, number in count.items():
        group = heart & (number == 2)
        marked |= group[source] & (atoms[target] == kind)
        marked |= group[target] & (atoms[source] == kind)
    return marked
