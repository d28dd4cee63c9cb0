"""Names of data sets in any spelling, and PyG's own by class."""

import inspect
import re
from collections.abc import Sequence

import torch_geometric.datasets as pyg

from sxq.errors import UnknownName
from sxq.graph.generated import GENERATORS

# Data sets that PyG names by a class and a name; those with a class of their own need no entry.
NAMED = {
    "Cora": "Planetoid",
    "CiteSeer": "Planetoid",
    "PubMed": "Planetoid",
    "Computers": "Amazon",
    "Photo": "Amazon",
    "CS": "Coauthor",
    "Physics": "Coauthor",
    "Cornell": "WebKB",
    "Texas": "WebKB",
    "Wisconsin": "WebKB",
    "Chameleon": "WikipediaNetwork",
    "Squirrel": "WikipediaNetwork",
    "Cora_ML": "CitationFull",
    "DBLP": "CitationFull",
}
COLLECTIONS = {  # data sets of many graphs, by name
    **dict.fromkeys(
        (
            "AIDS",
            "BZR",
            "COX2",
            "DD",
            "DHFR",
            "ENZYMES",
            "MUTAG",
            "Mutagenicity",
            "NCI1",
            "NCI109",
            "PROTEINS",
            "PTC_MR",
            "IMDB-BINARY",
            "REDDIT-BINARY",
        ),
        "TUDataset",
    )
}
# How the papers and their code spell a name, in lower case without punctuation.
ALIASES = {
    "amazon": "Computers",
    "amazoncomputer": "Computers",
    "amazoncomputers": "Computers",
    "facebook": "FacebookPagePage",
    "facebookpage": "FacebookPagePage",
    "arxiv": "OGBN-arxiv",
    "mnist": "MNISTSuperpixels",
    "mnistsuperpixel": "MNISTSuperpixels",
    "vg": "VG-5",
    "visualgenome": "VG-5",
}


def found(name: str, names: Sequence[str]) -> str:
    """The one of the names that a text means; raises UnknownName."""
    spelled = plain(name)
    by_spelling = {plain(each): each for each in reversed(names)}
    meant = ALIASES.get(spelled) or by_spelling.get(spelled)
    if meant is None:
        raise UnknownName("data set", name, names)
    return meant


def plain(name: str) -> str:
    """A name without what does not count: case, spaces and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def known() -> list[str]:
    """Names of the data sets that PyG fetches and reads."""
    return [*NAMED, *COLLECTIONS, *_plain_datasets()]


def _plain_datasets() -> list[str]:
    """Names of PyG's homogeneous data sets that need no argument but a folder."""
    return [name for name in (*pyg.homo_datasets, *pyg.synthetic_datasets) if _fits(name)]


def _fits(name: str) -> bool:
    made_here = name == "MNISTSuperpixels" or plain(name) in map(plain, GENERATORS)
    return required(name) <= {"root"} and not made_here


def required(name: str) -> set[str]:
    """The arguments without default of a class of PyG's."""
    parameters = inspect.signature(getattr(pyg, name)).parameters.values()
    return {p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
