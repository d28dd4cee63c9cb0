"""Data sets by name: the papers' spellings, what is expected of them, and their options."""

import pytest

import sxq
from sxq.datasets import READERS, load, names
from sxq.datasets.names import found
from sxq.errors import DataError, InvalidValue, UnknownName
from sxq.graph.generated import GENERATORS, ba_3motif, ba_community, ba_shapes, tree_grid


@pytest.mark.parametrize(
    "spelled, name",
    [
        ("cora", "Cora"),
        ("Citeseer", "CiteSeer"),
        ("Pubmed", "PubMed"),
        ("FacebookPage", "FacebookPagePage"),
        ("AmazonComputer", "Computers"),
        ("Amazon", "Computers"),
        ("ogbn_arxiv", "OGBN-arxiv"),
        ("OGBN-Arxiv", "OGBN-arxiv"),
        ("mutagenicity", "Mutagenicity"),
        ("MNIST superpixels", "MNISTSuperpixels"),
        ("MNIST", "MNISTSuperpixels"),
        ("VG5", "VG-5"),
        ("Visual Genome", "VG-5"),
        ("digits", "Digits"),
        ("MUTAG", "MUTAG"),
        ("cora ML", "Cora_ML"),
    ],
)
def test_the_papers_spellings_are_known(spelled, name):
    assert found(spelled, names()) == name


@pytest.mark.parametrize(
    "spelled, make",
    [
        ("syn1", ba_shapes),
        ("BA Community", ba_community),
        ("syn2", ba_community),
        ("TreeGrid", tree_grid),
        ("syn5", tree_grid),
        ("BA3", ba_3motif),
    ],
)
def test_generated_sets_have_the_names_of_the_published_code(spelled, make):
    assert load(spelled).content_hash == make().content_hash


def test_every_name_stands_for_itself():
    all_names = names()
    assert len(set(all_names)) == len(all_names) and {*READERS, *GENERATORS} < set(all_names)
    assert [name for name in all_names if found(name, all_names) != name] == []


def test_unknown_data_sets_get_a_suggestion():
    with pytest.raises(UnknownName, match="no data set named 'Coral', did you mean 'Cora'"):
        load("Coral")


def test_data_sets_that_need_a_name_are_not_offered_without_it():
    with pytest.raises(UnknownName, match="no data set named 'Planetoid'"):
        load("Planetoid")


@pytest.mark.parametrize(
    "name, collection, message",
    [
        ("BA-3motif", False, "is a collection of graphs: CREATE GRAPHS reads it"),
        ("Tree-Grid", True, "is a single graph: CREATE GRAPH reads it"),
        ("Mutagenicity", False, "is a collection of graphs"),
        ("OGBN-arxiv", True, "is a single graph"),
    ],
)
def test_one_graph_and_many_are_told_apart(name, collection, message):
    with pytest.raises(DataError, match=message):
        load(name, collection=collection)


def test_options_that_a_data_set_does_not_take_are_refused():
    with pytest.raises(InvalidValue, match="SEED = 1 is not for data set 'KarateClub'"):
        load("karateclub", seed=1)
    with pytest.raises(InvalidValue, match="GRAPHS = 5 is not for data set 'Mutagenicity'"):
        load("Mutagenicity", graphs=5)


def test_statements_read_data_sets_by_the_same_names():
    with sxq.connect() as con:
        con.execute(
            "CREATE GRAPH g FROM DATASET 'syn5' (SEED = 2); CREATE GRAPH k FROM DATASET 'karate club'"
        )
        assert con.execute("SELECT num_nodes FROM graphs ORDER BY name").fetchall() == [
            (1231,),
            (34,),
        ]
        with pytest.raises(InvalidValue, match="SEED = 2 is not for data set 'KarateClub'"):
            con.execute("CREATE GRAPH l FROM DATASET 'KarateClub' (SEED = 2)")


def test_the_module_is_there_when_it_is_asked_for():
    assert sxq.datasets.load is load
    with pytest.raises(AttributeError, match="no attribute 'dataset'"):
        sxq.dataset  # noqa: B018
