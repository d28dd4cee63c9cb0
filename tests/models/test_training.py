"""Named architectures: built, traced, loaded, trained; and PyG's data as graphs."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import fx
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import MessagePassing

import sxq
from sxq.datasets import load
from sxq.errors import DataError, GraphError, InvalidValue, ModelError, UnknownName
from sxq.graph import Graph
from sxq.graph.readers import read_npz
from sxq.models import (
    ArchitectureSpec,
    accuracies,
    build,
    by_class,
    confusion,
    content_hash,
    graph_from_data,
    load_weights,
    spec_from_options,
    to_bytes,
    train,
)
from sxq.models.training import class_weights, training_split

needs_data = pytest.mark.skipif(not os.environ.get("SXQ_DATA"), reason="SXQ_DATA names no folder")
SPEC = ArchitectureSpec("gcn", in_channels=34, out_channels=4)
FAST = (("epochs", 5),)


@pytest.fixture(autouse=True)
def one_thread():
    """Small products on busy cores wait for each other; one thread is faster and steady."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def karate() -> Graph:
    return load("KarateClub")


def labelled(y, split=None) -> Graph:
    """A ring with random features, correlated with the labels `y`."""
    y = np.array(y)
    ring = np.arange(len(y))
    x = np.random.default_rng(0).normal(size=(len(y), 4)) + np.maximum(y, 0)[:, None]
    return Graph([ring, np.roll(ring, 1)], x, y=y, split=split)


# data sets


def test_karate_club_is_at_hand(karate):
    assert (karate.num_nodes, karate.num_edges, karate.num_features, karate.undirected) == (
        34,
        156,
        34,
        True,
    )
    assert (karate.split == "train").sum() == 4
    assert load("karateclub").content_hash == karate.content_hash


def test_data_is_copied_with_its_tensors():
    data = Data(
        x=torch.tensor([[1.0], [2.0], [3.0]]),
        edge_index=torch.tensor([[0, 1], [1, 2]]),
        y=torch.tensor([[0.0], [1.0], [1.0]]),
        train_mask=torch.tensor([[1, 0], [0, 1], [0, 0]]) == 1,
        edge_weight=torch.tensor([0.5, 1.5]),
        edge_attr=torch.tensor([[1, 0], [0, 1]]),
    )
    graph = graph_from_data(data)
    data.x += 1
    assert graph.x.tolist() == [[1], [2], [3]] and graph.edge_index.tolist() == [[0, 1], [1, 2]]
    assert graph.y.tolist() == [0, 1, 1] and graph.split.tolist() == ["train", "", ""]
    assert graph.edge_weight.tolist() == [0.5, 1.5] and graph.edge_attr.tolist() == [[1, 0], [0, 1]]


def test_data_without_features_and_with_other_targets():
    data = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=3)
    assert graph_from_data(data).x.tolist() == [[1], [1], [1]]
    for y in (torch.tensor([0.5, 1, 2]), torch.eye(3), torch.tensor([1])):
        data.y = y
        assert graph_from_data(data).y is None


def test_sparse_half_precision_and_tracked_features_are_read():
    edge_index = torch.tensor([[0], [1]])
    for x in (torch.eye(2).to_sparse(), torch.eye(2).bfloat16(), torch.eye(2).requires_grad_()):
        assert graph_from_data(Data(x=x, edge_index=edge_index)).x.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "data, error, message",
    [
        (HeteroData(), GraphError, "the HeteroData has no node type"),
        (Data(x=torch.eye(2)), GraphError, "the data has no edge_index .*; found x"),
        (Data(), GraphError, "found nothing"),
        (Data(x=torch.eye(2) / 0, edge_index=torch.tensor([[0], [1]])), GraphError, "x holds NaN"),
        (Data(x=torch.eye(2), edge_index=torch.tensor([[0], [2]])), GraphError, "edge 0 is 0 -> 2"),
        (
            Data(x=torch.ones(2, 1, 1), edge_index=torch.tensor([[0], [1]])),
            GraphError,
            "x has shape",
        ),
        (
            Data(x=torch.eye(2), edge_index=torch.tensor([[0], [1]]), edge_attr=torch.ones(3)),
            GraphError,
            "has 3",
        ),
    ],
)
def test_data_that_is_no_graph(data, error, message):
    with pytest.raises(error, match=message):
        graph_from_data(data)


# architectures


@pytest.mark.parametrize("name", ["gat", "gcn", "gin", "leconv", "sage"])
@pytest.mark.parametrize("layers", [1, 3])
def test_modules_trace_and_round_trip(name, layers, karate, tmp_path):
    spec = ArchitectureSpec(name, 34, 4, layers=layers, hidden=8, heads=2 if name == "gat" else 1)
    module, other = build(spec), build(spec, seed=1)
    x, edge_index = torch.tensor(karate.x), torch.tensor(karate.edge_index)
    logits = module(x, edge_index)
    assert logits.shape == (34, 4) and not torch.equal(logits, other(x, edge_index))
    assert torch.equal(_traced(module)(x, edge_index), logits)
    load_weights(other, to_bytes(module))
    assert torch.equal(other(x, edge_index), logits)
    assert content_hash(other, spec) == content_hash(module, spec)


def _traced(module: torch.nn.Module) -> fx.GraphModule:
    class Tracer(fx.Tracer):
        def is_leaf_module(self, part, name):
            return isinstance(part, MessagePassing) or super().is_leaf_module(part, name)

    concrete = {"edge_weight": None} if module.spec.architecture == "gcn" else {}
    graph = Tracer().trace(module, concrete_args=concrete)
    leaves = [node.target for node in graph.nodes if node.op == "call_module"]
    assert len([name for name in leaves if name.startswith("conv")]) == module.spec.layers
    return fx.GraphModule(module, graph)


def test_parameter_names_are_those_of_the_published_model():
    expected = {f"conv{layer}.{part}" for layer in (1, 2, 3) for part in ("bias", "lin.weight")}
    assert set(build(SPEC).state_dict()) == expected


def test_gcn_takes_edge_weights(karate):
    module, (x, edge_index) = build(SPEC), (torch.tensor(karate.x), torch.tensor(karate.edge_index))
    ones = torch.ones(karate.num_edges)
    assert torch.allclose(module(x, edge_index, ones), module(x, edge_index))
    assert not torch.allclose(module(x, edge_index, ones.cumsum(0)), module(x, edge_index))


def test_hash_tells_weights_settings_and_structure_apart():
    hashes = [
        content_hash(build(SPEC)),
        content_hash(build(SPEC, seed=1)),
        content_hash(build(SPEC), SPEC),
    ]
    for slope in (0.1, 0.2):
        hashes.append(content_hash(torch.nn.Sequential(torch.nn.LeakyReLU(slope))))
    norm = torch.nn.BatchNorm1d(3)
    hashes.append(content_hash(norm))
    norm.running_mean += 1  # a buffer
    hashes.append(content_hash(norm))
    assert len(set(hashes)) == len(hashes)
    assert content_hash(norm.train()) == content_hash(norm.eval()) == hashes[-1]


def test_options_give_a_spec(karate):
    spec = spec_from_options(
        (("ARCHITECTURE", "GAT"), ("layers", 2), ("heads", 4), ("dropout", 0.2)), karate
    )
    assert spec == ArchitectureSpec("gat", 34, 4, layers=2, hidden=16, heads=4, dropout=0.2)
    assert spec_from_options((("classes", 9),), karate).out_channels == 9


@pytest.mark.parametrize(
    "options, error, message",
    [
        (
            (("layer", 2),),
            UnknownName,
            "no option named 'layer', did you mean 'layers'.*known: alpha, architecture, ",
        ),
        (
            (("architecture", "gnc"),),
            UnknownName,
            "no architecture named 'gnc', .*known: appnp, asap, gat, gcn, gin, gine, ",
        ),
        ((("architecture", 3),), InvalidValue, "ARCHITECTURE = 3, expected a name"),
        ((("layers", 0),), InvalidValue, "LAYERS = 0, expected an integer from 1 to 20"),
        ((("layers", 2.5),), InvalidValue, "LAYERS = 2.5, expected an integer"),
        ((("layers", True),), InvalidValue, "LAYERS = True, expected an integer"),
        ((("hidden", "big"),), InvalidValue, "HIDDEN = 'big', expected an integer"),
        (
            (("dropout", float("nan")),),
            InvalidValue,
            "DROPOUT = nan, expected a number from 0 to 0.99",
        ),
        (
            (("heads", 4),),
            InvalidValue,
            "HEADS = 4, but only gat, hgt, transformer have heads, not gcn",
        ),
        ((("layers", 2), ("LAYERS", 3)), InvalidValue, "LAYERS is given twice"),
    ],
)
def test_options_that_are_refused(karate, options, error, message):
    with pytest.raises(error, match=message):
        spec_from_options(options, karate)


def test_without_labels_classes_must_be_said():
    graph = Graph([[0], [1]], np.eye(2))
    with pytest.raises(InvalidValue, match="no labels to count classes from: say CLASSES = n"):
        spec_from_options((), graph)
    assert spec_from_options((("classes", 2),), graph).out_channels == 2


# weights


@pytest.mark.parametrize(
    "stored, message",
    [
        ({"layers": 2}, r"conv2.bias is \[4\], expected \[16\]; .*; the file suggests LAYERS = 2"),
        (
            {"hidden": 64},
            r"conv1.bias is \[64\], expected \[16\]; .* and 2 more; the file suggests HIDDEN = 64",
        ),
        (
            {"out_channels": 7},
            r"conv3.bias is \[7\], expected \[4\]; .*; the file suggests CLASSES = 7",
        ),
        (
            {"in_channels": 50},
            r"is \[16, 50\], expected \[16, 34\]; .* are for 50 features, the graph has 34",
        ),
        (
            {"architecture": "gat", "heads": 2, "hidden": 8},
            "ARCHITECTURE = gat, HEADS = 2, HIDDEN = 8",
        ),
        (
            {"architecture": "sage"},
            "conv1.lin.weight is missing.*; the file suggests ARCHITECTURE = sage\n",
        ),
        (
            {"architecture": "gin", "layers": 1},
            "the file suggests ARCHITECTURE = gin, LAYERS = 1\n",
        ),
    ],
)
def test_weights_that_do_not_fit_say_what_would(stored, message):
    module = build(SPEC)
    before = content_hash(module)
    with pytest.raises(ModelError, match=message):
        load_weights(module, to_bytes(build(ArchitectureSpec(**{**vars(SPEC), **stored}))))
    assert content_hash(module) == before


def test_weights_of_something_else():
    with pytest.raises(ModelError, match="conv1.bias is missing; .* and 4 more\n"):
        load_weights(build(SPEC), save({"fc.weight": torch.eye(3)}))
    broken = build(SPEC).state_dict() | {"conv1.bias": torch.full([16], torch.nan)}
    with pytest.raises(ModelError, match="the weights hold NaN or infinite values in conv1.bias"):
        load_weights(build(SPEC), save(broken))


def test_files_that_hold_no_weights(tmp_path):
    with pytest.raises(DataError, match="cannot read .*none.safetensors: No such file"):
        load_weights(build(SPEC), tmp_path / "none.safetensors")
    with pytest.raises(DataError, match="the stored weights: not a safetensors"):
        load_weights(build(SPEC), b"")
    torch.save(build(SPEC).state_dict(), tmp_path / "w.pt")
    with pytest.raises(DataError, match="w.pt: not a safetensors file; it looks like torch.save"):
        load_weights(build(SPEC), tmp_path / "w.pt")


@needs_data
@pytest.mark.parametrize(
    "graph, weights", [("cora", "skyexp_cora_gcn"), ("facebook", "trained_here_facebook_svd_gcn")]
)
def test_published_weights_reach_their_accuracy(graph, weights):
    folder = Path(os.environ["SXQ_DATA"])
    graph = read_npz(folder / f"{graph}.npz")
    module = build(
        spec_from_options((("architecture", "gcn"), ("layers", 3), ("hidden", 16)), graph)
    )
    load_weights(module, folder / "models" / f"{weights}.safetensors")
    assert accuracies(module, graph)["all"] == pytest.approx(0.935, abs=0.001)


# training


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize("name, bar", [("gcn", 0.7), ("sage", 0.5), ("gat", 0.7), ("gin", 0.35)])
def test_karate_club_is_learned(karate, name, bar):
    trained = train(karate, (("architecture", name),))
    assert trained.accuracy["train"] == 1 and trained.accuracy["all"] >= bar
    assert trained.epochs_run == 200 and not trained.stopped and not trained.module.training
    assert trained.accuracy == accuracies(trained.module, karate)


def test_training_is_deterministic_and_leaves_the_global_generator_alone(karate):
    options = (*FAST, ("dropout", 0.5))
    state = torch.get_rng_state()
    first, again, other = (train(karate, (*options, ("seed", seed))) for seed in (0, 0, 1))
    assert content_hash(first.module, first.spec) == content_hash(again.module, again.spec)
    assert content_hash(first.module, first.spec) != content_hash(other.module, other.spec)
    assert torch.equal(torch.get_rng_state(), state)


def test_without_a_split_nodes_are_drawn_class_by_class():
    graph = labelled([0] * 40 + [1] * 20 + [-1] * 5)
    assert set(train(graph, FAST).accuracy) == {"train", "val", "test", "all"}
    split = training_split(graph, seed=0)
    for label, counts in ((0, (32, 4, 4)), (1, (16, 2, 2)), (-1, (0, 0, 0))):
        assert (
            tuple((split[graph.y == label] == name).sum() for name in ("train", "val", "test"))
            == counts
        )


def test_the_best_validation_state_is_kept():
    graph = labelled([0] * 40 + [1] * 40)
    seen = []
    trained = train(graph, (("lr", 1.0), ("epochs", 30)), progress=lambda *now: seen.append(now))
    assert trained.accuracy["val"] >= max(accuracy for *_, accuracy in seen)


def test_training_ends_when_validation_gets_no_better():
    graph = labelled([0] * 40 + [1] * 40)
    options = (("epochs", 400), ("lr", 0.1), ("patience", 5))
    trained = train(graph, options)
    assert trained.epochs_run < 400 and trained.stopped == "no better validation state for 5 epochs"
    until = train(graph, (("epochs", trained.epochs_run), ("lr", 0.1)))
    assert content_hash(trained.module) == content_hash(until.module)  # the best state is kept
    assert train(graph, (("epochs", 6), ("patience", 6))).stopped == ""


def test_the_split_is_chosen_by_shares():
    graph = labelled([0] * 40 + [1] * 20, ["train"] * 50 + ["test"] * 10)
    own = training_split(graph, 0)
    assert (own == graph.split).all() and (training_split(graph, 0, "graph") == own).all()
    for choice, counts in (("random", (48, 6, 6)), ((0.5, 0.25, 0.25), (30, 15, 15))):
        split = training_split(graph, 0, choice)
        assert tuple((split == name).sum() for name in ("train", "val", "test")) == counts
        assert (split[graph.y == 0] == "train").sum() == 2 * (split[graph.y == 1] == "train").sum()


def test_class_weights_weigh_the_loss():
    graph = labelled([0] * 76 + [1] * 4)
    y = graph.y
    assert class_weights("none", y, 2) is None
    balanced = class_weights("balanced", y, 2)
    assert balanced.tolist() == pytest.approx([80 / (2 * 76), 80 / (2 * 4)])
    assert class_weights("balanced", y, 3).isfinite().all()  # the last class is never seen
    options = (("epochs", 30), ("lr", 0.02), ("layers", 1), ("split", [1, 0, 0]))
    plain, even, only = (
        np.array(train(graph, (*options, ("class_weights", choice))).confusion["counts"])
        for choice in ("none", "balanced", [0, 1])
    )
    assert plain[:, 1].sum() < even[:, 1].sum() < only[:, 1].sum()


def test_confusion_counts_labels_and_predictions(karate):
    module = train(karate, FAST).module
    found = confusion(module, karate)
    with torch.inference_mode():
        predicted = module(*(torch.tensor(a) for a in (karate.x, karate.edge_index))).argmax(dim=1)
    expected = [[0] * 4 for _ in range(4)]
    for label, other in zip(karate.y, predicted):
        expected[label][other] += 1
    assert found == {"split": "all", "counts": expected}
    assert confusion(module, Graph(karate.edge_index, karate.x)) == {}


@pytest.mark.slow
def test_a_model_is_described_with_what_it_learned(tmp_path):
    file = str(tmp_path / "a.duckdb")
    with sxq.connect(file) as con:
        con.register_graph("g", labelled([0] * 20 + [1] * 20))
        row = con.execute(
            "TRAIN MODEL m ON GRAPH g (LAYERS = 1, EPOCHS = 90, PATIENCE = 3, SPLIT = [0.5, 0.3, 0.2])"
        )
        result = dict(zip(row.columns, row.rows[0]))
    with sxq.connect(file, read_only=True) as con:
        facts = dict(con.execute("DESCRIBE MODEL m").rows)
    assert facts["epochs"] == f"{result['epochs']}, no better validation state for 3 epochs"
    for split in ("train", "val", "test"):
        assert facts[f"{split} accuracy"] == f"{result[f'{split}_accuracy']:.4f}"
    rows = [facts[f"test: label {label}"] for label in (0, 1)]
    counts = [dict(part.split(" as ")[::-1] for part in row.split(", ")) for row in rows]
    assert [sum(map(int, count.values())) for count in counts] == [4, 4]
    right = sum(int(count.get(str(label), 0)) for label, count in enumerate(counts))
    assert right / 8 == result["test_accuracy"]


def test_progress_and_stopping(karate):
    seen = []
    train(karate, FAST, progress=lambda *now: seen.append(now))
    assert seen[0][:2] == (1, 5) and seen[-1][:2] == (5, 5) and len(seen) <= 3
    answers = iter([False, False, True])
    stopped = train(karate, FAST, should_stop=lambda: next(answers))
    assert stopped.stopped and stopped.epochs_run == 2
    assert train(karate, FAST, should_stop=lambda: True).epochs_run == 0


@pytest.mark.parametrize(
    "graph, options, error, message",
    [
        (Graph([[0], [1]], np.eye(2)), (), DataError, "the graph has no labels to train on"),
        (
            labelled([1, 1, 1]),
            (),
            DataError,
            "the training nodes have only class 1, expected two classes",
        ),
        (
            labelled([0, 1, -1], ["test", "val", "train"]),
            (),
            DataError,
            "the training nodes have no labels",
        ),
        (
            labelled([0, 1, 5]),
            (("classes", 3),),
            InvalidValue,
            "CLASSES = 3, but labels go up to 5",
        ),
        (
            labelled([0, 1]),
            (("epoch", 3),),
            UnknownName,
            "no option named 'epoch', .* 'epochs'.*patience",
        ),
        (
            labelled([0, 1]),
            (("lr", 0),),
            InvalidValue,
            "LR = 0, expected a number from 1e-08 to 10",
        ),
        (
            labelled([0, 1]),
            (("epochs", 0),),
            InvalidValue,
            "EPOCHS = 0, expected an integer from 1 to 1000000",
        ),
        (
            labelled([0] * 9 + [1] * 9),
            (("patience", 5),),
            InvalidValue,
            "PATIENCE = 5 needs a validation split, and there is none: say SPLIT = random",
        ),
        (
            labelled([0, 1]),
            (("split", "graph"),),
            InvalidValue,
            "SPLIT = graph, but the graph names no training nodes",
        ),
        (
            labelled([0, 1]),
            (("split", [0.5, 0.2]),),
            InvalidValue,
            r"SPLIT = \[0.5, 0.2\], expected the shares of training, validation and test",
        ),
        (
            labelled([0, 1]),
            (("split", "half"),),
            InvalidValue,
            "SPLIT = 'half', expected graph or random, or numbers from 0 to 1 in brackets",
        ),
        (
            labelled([0, 1]),
            (("class_weights", [1, 2, 3]),),
            InvalidValue,
            "expected 2 numbers, one for each class",
        ),
        (
            labelled([0, 10**9]),
            (),
            InvalidValue,
            "CLASSES = 1000000001, expected an integer from 1 to 10000",
        ),
    ],
)
def test_training_that_is_refused(graph, options, error, message):
    with pytest.raises(error, match=message):
        train(graph, options)


def test_a_loss_that_is_no_number_says_why():
    graph = Graph(
        [[0, 1], [1, 0]], np.eye(2), y=[0, 1], edge_weight=[-3.0, -3.0]
    )  # degrees below zero
    with pytest.raises(
        ModelError, match="the loss became nan in epoch 1: features or edge weights are"
    ):
        train(graph)
    graph = Graph([[], []], np.eye(2) * 1e36, y=[0, 1])
    with pytest.raises(ModelError, match="the loss became .* in epoch [2-9]: try LR below 10"):
        train(graph, (("lr", 10), ("epochs", 9)))


# -- what TRAIN says


def bank(weights=None, attributes=None, rare=3):
    """60 nodes in a ring; `rare` of them are of class 1, and nothing tells them apart."""
    ends = np.array([np.arange(60), (np.arange(60) + 1) % 60])
    y = np.arange(60) % 60 < rare
    return Graph(ends, np.ones((60, 2)), y=y.astype(int), edge_weight=weights, edge_attr=attributes)


def notes(graph, *options):
    return train(graph, [("epochs", 5), ("split", (0.6, 0.2, 0.2)), *options]).notes


def test_rare_classes_and_a_single_prediction_are_noted():
    lone, uneven = notes(bank(rare=5), ("architecture", "sage"))
    assert lone == "the model predicts class 0 for every labelled target of split test"
    assert uneven.startswith("class 1 has 3 of 36 training labels") and "balanced" in uneven
    weighted = notes(bank(rare=5), ("architecture", "sage"), ("class_weights", "balanced"))
    assert not any("training labels" in note for note in weighted)
    assert not any("training labels" in note for note in notes(bank(rare=30)))


@pytest.mark.parametrize(
    ("architecture", "unused"),
    [("sage", ["weights", "attributes"]), ("gcn", ["attributes"]), ("gine", ["weights"])],
)
def test_edge_values_that_the_layers_do_not_take_are_noted(architecture, unused):
    said = notes(bank(np.ones(60), np.ones((60, 1)), rare=30), ("architecture", architecture))
    assert [note for note in said if "does not use" in note] == [
        f"{architecture} does not use the graph's edge {what}; {able} do"
        for what, able in (
            ("weights", "appnp, gcn, graphconv, leconv"),
            ("attributes", "gine, splinecnn, transformer"),
        )
        if what in unused
    ]


def test_precision_and_recall_of_each_class():
    assert by_class([[8, 2], [1, 4]]) == [(8 / 9, 0.8), (4 / 6, 0.8)]
    assert by_class([[3, 0, 0], [1, 0, 0], [0, 0, 0]]) == [(0.75, 1), (None, 0), (None, None)]


def test_describe_tells_how_a_model_was_trained():
    with sxq.connect() as con:
        con.register_graph("bank", bank(np.ones(60)))
        row = con.execute("TRAIN MODEL m ON GRAPH bank (ARCHITECTURE = sage, EPOCHS = 5)")
        said = row.rows[0][row.columns.index("notes")]
        assert "sage does not use the graph's edge weights" in said
        facts = dict(con.execute("DESCRIBE MODEL m").rows)
        assert facts["trained on"] == "random 80, 10 and 10 % of each class"
        assert facts["class weights"] == facts["patience"] == "none"
        assert any("recall" in value and "precision" in value for value in facts.values())
        assert facts["note 1"] in said


def test_metrics_of_a_model_are_rows():
    with sxq.connect() as con:
        con.register_graph("bank", bank())
        con.execute("TRAIN MODEL m ON GRAPH bank (EPOCHS = 20)")
        con.execute("TRAIN MODEL other ON GRAPH bank (EPOCHS = 1)")
        facts = dict(con.execute("DESCRIBE MODEL m").rows)
        rows = con.execute(
            "SELECT split, metric, class, predicted, value FROM model_metrics WHERE model = 'm'"
        ).rows
        shares = {row[0]: row[4] for row in rows if row[1] == "accuracy"}
        assert {f"{split} accuracy": f"{share:.4f}" for split, share in shares.items()} == {
            name: value for name, value in facts.items() if name.endswith(" accuracy")
        }
        counts = np.zeros((2, 2), int)
        for split, _, label, predicted, value in (row for row in rows if row[1] == "count"):
            assert split == "test"
            counts[label, predicted] = value
        assert counts.sum() and len(rows) == len(shares) + 4 + np.count_nonzero(counts)
        rates = {(row[1], row[2]): row[4] for row in rows if row[1] in ("precision", "recall")}
        for label, own in enumerate(by_class(counts.tolist())):
            assert (rates["precision", label], rates["recall", label]) == pytest.approx(own)
        con.execute("DROP MODEL m")
        assert con.sql("SELECT DISTINCT model FROM model_metrics").rows == [("other",)]


def test_an_interrupted_training_keeps_the_earlier_model():
    with sxq.connect() as con:
        con.register_graph("bank", bank(rare=30))
        con.execute("TRAIN MODEL m ON GRAPH bank (EPOCHS = 5)")
        before = con.execute("SELECT content_hash FROM models").rows

        def stop(said):
            con.report = None
            con.interrupt()

        con.report = stop
        row = con.execute("TRAIN OR REPLACE MODEL m ON GRAPH bank (EPOCHS = 100000, SEED = 3)")
        assert "interrupted: the model that had this name is kept" in row.rows[0]
        assert con.execute("SELECT content_hash FROM models").rows == before
        con.report = stop
        con.execute("TRAIN MODEL fresh ON GRAPH bank (EPOCHS = 100000)")
        assert ("fresh",) in con.execute("SELECT name FROM models").rows
