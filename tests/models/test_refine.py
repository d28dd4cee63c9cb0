"""ReFine: losses and sampling against their definitions, pre-training on planted motifs, proposals, the database."""

from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import MessagePassing

import sxq
from sxq.errors import DataError, InvalidValue, NameTaken, UnknownName
from sxq.generators.explainers.mask_to_subgraphs import (
    all_sizes,
    grow_order,
    mask_to_subgraphs,
    top,
)
from sxq.graph import Graph, GraphSet, extract, whole
from sxq.inference.registration import register
from sxq.models import refine
from sxq.models.edge_mask import instances_of, log_probabilities
from sxq.models.refine import losses
from sxq.models.refine.instances import Instances
from sxq.models.refine.pretrain import pretrain as pretrain_model
from sxq.models.refine.train import AttributorTraining, draw
from tests.graphs import make, random_graph
from tests.pooled_models import Pools, some_graphs


class Counts(nn.Module):
    """Class 1 where many edges join two marked nodes: the planted motif is all that the model looks at."""

    def __init__(self):
        super().__init__()
        self.layer = Marked()

    def forward(self, x, edge_index, batch):
        votes = torch.zeros(int(batch.max()) + 1, x.shape[1]).index_add(
            0, batch, self.layer(x, edge_index)
        )
        return torch.stack([2 - votes[:, 0], votes[:, 0] - 2], dim=1)


class Marked(MessagePassing):
    """Messages between marked nodes."""

    def forward(self, x, edge_index):
        return self.propagate(edge_index, x=x)

    def message(self, x_i, x_j):
        return x_i * x_j


def planted(count=40, seed=0):
    """Rings of 12 nodes; in every other one, four neighbours in a row are marked (feature 0)."""
    rng, ring, graphs = np.random.default_rng(seed), np.arange(12), []
    for number in range(count):
        x = np.concatenate([np.zeros((12, 1)), rng.random((12, 2))], axis=1)
        if number % 2:
            x[(np.arange(4) + rng.integers(12)) % 12, 0] = 1
        graphs.append(Graph([ring, np.roll(ring, 1)], x))
    return GraphSet.join(graphs)


# losses and sampling


def test_the_contrastive_loss_is_that_of_its_definition_and_separates_classes():
    torch.manual_seed(0)
    h, classes = torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 1, 2])
    unit = h / h.norm(dim=1, keepdim=True)
    expected = []
    for i in range(5):  # the last has no partner
        others = [j for j in range(6) if j != i]
        total = sum(torch.exp(unit[i] @ unit[j] / 0.1) for j in others)
        partners = [j for j in others if classes[j] == classes[i]]
        expected.append(
            -sum(torch.log(torch.exp(unit[i] @ unit[j] / 0.1) / total) for j in partners)
            / len(partners)
        )
    assert losses.supervised(h, classes).item() == pytest.approx(
        torch.stack(expected).mean().item(), rel=1e-5
    )
    apart = torch.eye(3)[classes] + 0.01 * h[:, :3]
    assert losses.supervised(apart, classes) < 1 < losses.supervised(h, classes)
    assert losses.supervised(h[4:], classes[4:]) == 0


def test_the_published_contrastive_loss_is_equation_8():
    torch.manual_seed(0)
    h, classes = torch.randn(5, 4), torch.tensor([0, 0, 1, 1, 2])
    terms = [
        (-1 if classes[i] == classes[j] else 1) * torch.log1p(torch.exp(h[i] @ h[j]))
        for i in range(5)
        for j in range(5)
        if i != j
    ]
    expected = sum(terms).item() / len(terms)
    assert losses.published(h, classes).item() == pytest.approx(expected, rel=1e-5)
    assert losses.published(h[:1], classes[:1]) == 0
    longer = [losses.published(scale * torch.eye(3)[classes], classes) for scale in (1, 10, 100)]
    assert longer[0] > longer[1] > longer[2]  # unbounded below


def test_draws_follow_the_probabilities():
    p, generator = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.Generator().manual_seed(0)
    first = refine.select(p, 1, "sample", generator, draws=20_000).mean(dim=0)
    assert torch.allclose(first, p, atol=0.015)
    pairs = refine.select(p, 2, "sample", generator, draws=20_000)
    assert (pairs.sum(dim=1) == 2).all()
    both = sum(p[a] * p[b] / (1 - p[a]) for a, b in ((2, 3), (3, 2)))  # one, then the other
    assert (pairs[:, 2] * pairs[:, 3]).mean().item() == pytest.approx(both.item(), abs=0.015)
    assert refine.select(p, 2, "top").tolist() == [0, 0, 1, 1]


def test_the_concrete_distribution_is_a_sigmoid_without_noise_and_a_bernoulli_when_cold():
    alpha = torch.tensor([-1.0, 0.0, 2.0])
    assert torch.equal(refine.concrete(alpha, 1.0), torch.sigmoid(alpha))
    noise = torch.rand(20_000, 1, generator=torch.Generator().manual_seed(0)).expand(-1, 3)
    assert torch.allclose(
        refine.concrete(alpha, 0.01, noise).mean(dim=0), torch.sigmoid(alpha), atol=0.02
    )


# masks


@pytest.mark.slow
@pytest.mark.parametrize("pooled", [True, False])
def test_the_mask_of_ones_is_the_model_and_gradients_are_those_of_differences(pooled):
    graphs = some_graphs() if pooled else random_graph(np.random.default_rng(0))
    model = register(Pools("gin") if pooled else make("gin"), graphs)
    positions = np.arange(3)
    instances = instances_of(model, graphs, positions)
    batch = instances.batch(positions, torch.device("cpu"))
    loops = (
        sum(len(field.edges) for _, field in _pairs(model, graphs, positions))
        - batch.edge_index.shape[1]
    )
    assert loops > 0  # they are left out, so logits are compared without them
    mask = torch.ones(batch.edge_index.shape[1], requires_grad=True)
    out = log_probabilities(model, batch, mask)
    (slope,) = torch.autograd.grad(out[0, 1], mask)
    for edge in range(0, len(mask), 7):
        moved = [
            log_probabilities(model, batch, mask.detach() + h * (torch.arange(len(mask)) == edge))[
                0, 1
            ]
            for h in (1e-2, -1e-2)
        ]
        assert slope[edge].item() == pytest.approx(
            (moved[0] - moved[1]).item() / 2e-2, abs=0.03, rel=0.03
        )
    assert all(getattr(part, "_edge_mask", None) is None for part in model.module.modules())


def _pairs(model, graphs, positions):
    if isinstance(graphs, GraphSet):
        return [(graphs.member(i), whole(graphs.member(i))) for i in positions]
    return [(graphs, extract(graphs, v, model.hops, model.halo)) for v in positions]


def test_a_batch_is_its_instances_side_by_side():
    graphs = some_graphs(weighted=True)
    instances = Instances([(graph, whole(graph)) for graph in graphs])
    batch = instances.batch(np.array([2, 0]), torch.device("cpu"))
    assert (
        batch.size == 2 and batch.x.shape[0] == 20 and (batch.owner == torch.arange(20) // 10).all()
    )
    start = 0
    for place, number in enumerate((2, 0)):
        graph, field = graphs.member(number), whole(graphs.member(number))
        own = field.unit >= 0
        count = own.sum()
        edges = batch.edge_index[:, start : start + count] - 10 * place
        assert (field.nodes[edges.numpy()] == graph.edge_index[:, field.edges[own]]).all()
        assert (
            batch.edge_weight[start : start + count].tolist()
            == graph.edge_weight[field.edges[own]].tolist()
        )
        start += count
    mask = torch.arange(len(batch.unit_owner)).float()
    assert torch.equal(batch.spread(mask), batch.unit.float()) and torch.equal(
        batch.gather(batch.spread(mask)), mask
    )


# pre-training


@pytest.fixture(scope="module")
def motifs():
    graphs = planted()
    model = register(Counts(), graphs)
    return (
        graphs,
        model,
        pretrain_model(
            model, graphs, (("epochs", 60), ("lr", 0.005), ("gamma", 0.5), ("batch", 20))
        ),
    )


@pytest.mark.slow
def test_pretraining_finds_the_planted_motif(motifs):
    graphs, model, learned = motifs
    first, last = learned.pretrained.losses[0], learned.pretrained.losses[-1]
    assert last["fidelity"] < 0.7 * first["fidelity"]
    columns = learned.saliency
    recalls = []
    for number in range(1, len(graphs), 2):
        graph, own = graphs.member(number), np.array(columns["target"]) == number
        edges = columns["edge"][own] - graphs.edge_ptr[number]
        marked = (graph.x[graph.edge_index[:, edges], 0] > 0).all(axis=0)
        highest = np.argsort(-columns["saliency"][own])[:3]
        recalls.append(marked[highest].sum() / 3)
        assert (columns["class"][own] == 1).all()
    assert np.mean(recalls) > 0.8  # at random: 0.25


def attributor_training(motifs, **values):
    """A training with one attributor for each class, before its first step."""
    graphs, model, _ = motifs
    torch.manual_seed(0)
    options = {"epochs": 1, "batch": 40, "lr": 0.005, "gamma": 1.0} | values
    return AttributorTraining(
        refine.Attributors(refine.AttributorSpec(in_channels=3, classes=2)),
        instances_of(model, graphs, np.arange(len(graphs))),
        model.probabilities(model.full).numpy(),
        partial(log_probabilities, model),
        refine.read(tuple(options.items())),
    )


def seen(run, mask=None):
    """The batch of all graphs, sorted by class, their classes, and what the loss contrasts of them."""
    numbers = np.argsort(run.classes, kind="stable")
    batch = run.instances.batch(numbers, run.device)
    drawn, own = draw(run.attributors, run.instances, numbers, run.classes[numbers], run.device)
    mask = drawn if mask is None else mask(drawn)
    classes = torch.from_numpy(run.classes[numbers])
    return run.contrastive(batch, mask, own, classes), run.common.represent(batch, mask), classes


def separation(h, classes) -> float:
    """How much more alike graphs of one class are than graphs of different classes, by cosine."""
    unit = torch.nn.functional.normalize(h - h.mean(dim=0), dim=1)
    similar = unit @ unit.T
    same = classes[:, None] == classes
    return (similar[same].mean() - similar[~same].mean()).item()


@pytest.mark.slow
def test_the_contrast_moves_the_decoder_of_every_class_through_the_masks_alone(motifs):
    run = attributor_training(motifs)
    loss, _, _ = seen(run)
    loss.backward()
    for own in run.attributors:
        slopes = [weights.grad.abs().sum() for weights in own.decoder.parameters()]
        assert min(slopes) > 1e-4
    assert all(not weights.requires_grad for weights in run.common.parameters())
    fixed, _, _ = seen(run, lambda mask: torch.full_like(mask, 0.5))
    assert not fixed.requires_grad  # nothing but a mask can change what is contrasted


def test_equal_graphs_with_equal_masks_are_seen_equally_whatever_their_class(motifs):
    run = attributor_training(motifs)
    batch = run.instances.batch(np.array([1, 1]), run.device)
    mask = torch.rand(12, generator=torch.Generator().manual_seed(0)).repeat(2)
    one, two = run.common.represent(batch, mask)
    assert torch.allclose(one, two, atol=1e-6)
    own, other = (own.represent(batch, batch.spread(mask))[0] for own in run.attributors)
    assert (own - other).abs().max() > 0.05  # as the paper has it, the class alone tells them apart


def test_class_wise_attributors_learn_to_separate_the_classes_from_the_contrast_alone(motifs):
    """One attributor for each class, the default; neither fidelity nor size nor entropy counts."""
    graphs, model, _ = motifs
    floor = np.log(19)  # twenty of a class in a batch: all partners equally near, all others far
    run = attributor_training(motifs, epochs=40, size=0.0, entropy=0.0)
    run.masked = lambda batch, mask: torch.full((batch.size, 2), -0.7)
    before = separation(*seen(run)[1:])
    history, _ = run.epochs(np.arange(40), None, lambda: False)
    curve = [losses["contrastive"] - floor for losses in history]
    first, last = np.mean(curve[:3]), np.mean(curve[-3:])
    assert first > 0.5 and last < 0.5 * first
    assert separation(*seen(run)[1:]) > before + 0.2
    # What sets the classes apart are the edges between marked nodes, and the contrast found them.
    batch = run.instances.batch(np.arange(1, 40, 2), run.device)
    alpha = run.attributors.of(1)(batch)
    inside = batch.gather((batch.x[batch.edge_index, 0] > 0).all(dim=0).float()) > 0
    assert alpha[inside].mean() > alpha[~inside].mean() + 1


def test_the_published_contrast_is_learned_too_and_falls_without_end(motifs):
    run = attributor_training(motifs, contrast="paper", epochs=30, lr=0.01)
    history, stopped = run.epochs(np.arange(40), None, lambda: False)
    curve = [losses["contrastive"] for losses in history]
    assert stopped == "" and curve[0] > curve[9] > curve[19] > curve[29] and curve[29] < -10
    with pytest.raises(UnknownName, match="no contrast named 'papers', did you mean 'paper'"):
        refine.read((("contrast", "papers"),))


def test_gradients_reach_every_attributor(motifs):
    run = attributor_training(motifs)
    before = [[p.clone() for p in own.parameters()] for own in run.attributors]
    run.learn(np.arange(40))
    for own, was in zip(run.attributors, before):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in own.parameters())
        assert any(not torch.equal(p, q) for p, q in zip(own.parameters(), was))


def test_equal_seeds_give_equal_attributors_and_leave_the_global_state_alone(motifs):
    graphs, model, _ = motifs
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, two, other = (
        pretrain_model(model, graphs, (("epochs", 2), ("seed", seed))) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert (
        refine.to_bytes(one.pretrained)
        == refine.to_bytes(two.pretrained)
        != refine.to_bytes(other.pretrained)
    )


def test_pretraining_stops_when_it_learns_no_more(motifs):
    graphs, model, _ = motifs
    learned = pretrain_model(model, graphs, (("epochs", 50), ("lr", 1e-8), ("patience", 3)))
    assert (
        len(learned.pretrained.losses) < 50
        and "had not fallen for 3 epochs" in learned.pretrained.stopped
    )


def test_presets_are_the_variants_of_the_paper():
    found = {name: refine.read((("preset", name),)) for name in refine.PRESETS}
    assert [found[name]["gamma"] > 0 for name in found] == [True, True, False, False]
    assert [found[name]["fine_tune"] for name in found] == [True, False, False, False]
    assert [found[name]["classwise"] for name in found] == [True, True, True, False]
    assert refine.read((("gamma", 3.0),))["gamma"] == 3
    with pytest.raises(InvalidValue, match="GAMMA = 2.0 contradicts PRESET = refine_ct"):
        refine.read((("preset", "refine_ct"), ("gamma", 2.0)))
    with pytest.raises(UnknownName, match="preset"):
        refine.read((("preset", "refined"),))


# fine-tuning


@pytest.mark.parametrize("selection", refine.SELECTIONS)
def test_fine_tuning_lowers_the_loss_of_the_instance_and_leaves_the_attributor(motifs, selection):
    graphs, model, learned = motifs
    own = learned.pretrained.attributors.of(
        0
    )  # of the other class: it has much to learn about graph 1
    weights = [p.clone() for p in own.parameters()]
    instances = instances_of(model, graphs, np.array([1]))
    batch, target = instances.batch(np.array([0]), torch.device("cpu")), torch.tensor([[0.0, 1.0]])

    def masked(batch, mask):
        return log_probabilities(model, batch, mask)

    def loss(alpha):
        return losses.fidelity(masked(batch, batch.spread(torch.sigmoid(alpha))), target)

    tuned = refine.fine_tune(
        own,
        batch,
        target,
        masked,
        [4, 6],
        steps=30,
        lr=0.01,
        selection=selection,
        generator=torch.Generator().manual_seed(0),
    )
    assert all(loss(alpha) < loss(own(batch).detach()) for alpha in tuned)
    assert all(torch.equal(p, q) for p, q in zip(own.parameters(), weights))


@pytest.mark.slow
def test_with_default_settings_the_attributor_of_a_graphs_own_class_is_tuned_to_it(motifs):
    """What is lowered is the loss of sampled subgraphs of the ratio: here measured on new samples."""
    graphs, model, _ = motifs
    options = (("epochs", 5), ("lr", 0.005), ("batch", 20))
    own = pretrain_model(model, graphs, options).pretrained.attributors.of(1)
    masked = partial(log_probabilities, model)
    for number in range(1, 16, 2):
        batch = instances_of(model, graphs, np.array([number])).batch(
            np.array([0]), torch.device("cpu")
        )
        target = model.probabilities(model.full[[number]]).float()
        generator = torch.Generator().manual_seed(number)
        before = own(batch).detach()
        (after,) = refine.fine_tune(own, batch, target, masked, [5], generator=generator)
        assert (after - before).abs().max() > 0.05
        found = []
        for alpha in (before, after):
            p, again = torch.sigmoid(alpha), torch.Generator().manual_seed(7)
            copies = batch.copies(200)
            drawn = (p * refine.select(p, 5, "sample", again, draws=200)).flatten()
            found.append(losses.fidelity(masked(copies, copies.spread(drawn)), target))
        assert found[1] < found[0] - 0.01


@pytest.mark.parametrize("edges", [10**6, 1])
def test_copies_that_are_tuned_side_by_side_do_not_touch_each_other(motifs, monkeypatch, edges):
    """One attributor tuned alone, by a loop that knows nothing of copies."""
    graphs, model, learned = motifs
    monkeypatch.setattr(refine.finetuning, "EDGES", edges)
    # Of the graph's own class, told to preserve the other one: it has much to learn.
    own, target = learned.pretrained.attributors.of(1), torch.tensor([[1.0, 0.0]])
    batch = instances_of(model, graphs, np.array([1])).batch(np.array([0]), torch.device("cpu"))
    monkeypatch.setattr(
        torch, "rand", lambda shape, generator: torch.full(tuple(shape), 0.5)
    )  # no noise
    tuned = refine.fine_tune(
        own,
        batch,
        target,
        partial(log_probabilities, model),
        [2, 5],
        steps=3,
        lr=0.01,
        selection="top",
    )
    for alpha, count in zip(tuned, (2, 5)):
        copy = deepcopy(own).requires_grad_(True)
        optimizer = torch.optim.Adam(copy.parameters(), 0.01)
        for _ in range(3):
            optimizer.zero_grad()
            mask = torch.sigmoid(copy(batch))
            kept = torch.zeros_like(mask).scatter_(0, mask.topk(count).indices, 1.0)
            losses.fidelity(
                log_probabilities(model, batch, batch.spread(mask * kept)), target
            ).backward()
            optimizer.step()
        assert (
            torch.allclose(alpha, copy(batch), atol=1e-3)
            and (alpha - own(batch)).abs().max() > 0.05
        )


# from a mask to subgraphs


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rooted", [True, False])
def test_subgraphs_of_a_mask_climb_and_are_connected(seed, rooted):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, 14, 16)
    field = extract(graph, 0, 2, 0) if rooted else whole(graph)
    saliency = rng.random(field.num_units)
    bits = mask_to_subgraphs(field, saliency)
    assert (field.component(bits) == bits).all() and bits.any(axis=1).all()
    assert len(np.unique(bits, axis=0)) == len(bits)
    order = grow_order(field, saliency)
    assert sorted(order) == list(range(field.num_units))
    state = np.zeros(field.num_units, bool)
    for unit in order:  # always the highest unit that touches
        near = field.frontier(state)
        if len(near):
            assert saliency[unit] == saliency[near].max()
        state[unit] = True
    assert (top(saliency, [3]).sum(), top(saliency, [3])[0, saliency.argmax()]) == (3, True)


def test_a_ladder_has_every_size_or_some_of_many():
    assert (
        all_sizes(7).tolist() == list(range(1, 8))
        and len(all_sizes(100_000)) <= 512
        and all_sizes(100_000)[-1] == 100_000
    )


# the engine


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    path = tmp_path_factory.mktemp("pretrained") / "r.duckdb"
    with sxq.connect(str(path)) as con:
        con.execute(
            "CREATE GRAPHS motifs FROM DATASET 'BA-3motif' (GRAPHS = 30);"
            "TRAIN MODEL m ON GRAPHS motifs (ARCHITECTURE = leconv, LAYERS = 2, HIDDEN = 16, EPOCHS = 10);"
            "PRETRAIN REFINE r FOR MODEL m ON GRAPHS motifs (EPOCHS = 3, SPLIT = train)"
        )
    return path.read_bytes()


@pytest.fixture
def con(pretrained, tmp_path):
    (tmp_path / "r.duckdb").write_bytes(pretrained)
    with sxq.connect(str(tmp_path / "r.duckdb")) as con:
        yield con


ASK = "EXPLAIN GRAPHS 0, 1 USING MODEL m OPTIMIZE fdl+, fdl-, conc BY refine (pretrained = r, ratios = [0.2, 0.5])"


@pytest.mark.slow
def test_saving_and_loading_gives_identical_proposals(con, tmp_path):
    first = con.execute(f"{ASK} SEED 4")
    assert {e.generator for e in first} <= {"refine", "field"} and first.candidates > 20
    con.close()
    with sxq.connect(str(tmp_path / "r.duckdb")) as again:
        second = again.execute(f"{ASK} SEED 4")
        assert [(e.edges, e.scores) for e in first] == [(e.edges, e.scores) for e in second]
        assert second.candidates == first.candidates
        assert {verdict for *_, verdict in again.execute("AUDIT").rows} == {"ok"}
        assert again.execute("SHOW REFINES").rows == [("r", "m", "motifs", "refine", 24, 3)]


@pytest.mark.slow
def test_the_class_wise_view_is_a_table(con):
    rows = con.execute(
        "SELECT g.graph, e.src, e.dst, s.class, s.saliency FROM saliency s JOIN edges e USING (edge) "
        "JOIN graph_members g ON g.graph = s.target AND g.graph = e.graph"
    ).rows
    graphs = con.execute("SELECT sum(num_edges) FROM graph_members WHERE split = 'train'").rows[0][
        0
    ]
    assert len(rows) == graphs and all(0 < row[-1] < 1 for row in rows)
    pairs = {(g, u, v): s for g, u, v, _, s in rows}
    assert all(pairs[g, v, u] == s for (g, u, v), s in pairs.items())  # a pair is one unit
    con.execute("DROP REFINE r")
    assert (
        con.execute("SELECT count(*) FROM saliency").rows == [(0,)]
        and con.execute("SHOW REFINES").rows == []
    )


@pytest.mark.slow
def test_refine_shares_a_lattice_and_needs_what_it_names(con):
    both = con.execute(ASK.replace("BY refine", "BY onion, refine"))
    alone = con.execute(ASK)
    for one, two in zip(alone.targets, both.targets):
        assert two.hypervolume >= 0.9 * one.hypervolume and two.candidates > one.candidates
    for statement, error, message in (
        ("BY refine", InvalidValue, "PRETRAIN REFINE r FOR MODEL m"),
        ("BY refine (pretrained = q)", UnknownName, "no refine named 'q'"),
        ("BY refine (pretrained = r, ratios = [0.2, 2])", InvalidValue, "ratios.: 2"),
        ("BY refine (pretrained = r, select = best)", InvalidValue, "sample or top"),
    ):
        with pytest.raises(error, match=message):
            con.execute(f"EXPLAIN GRAPH 0 USING MODEL m OPTIMIZE conc {statement}")
    with pytest.raises(NameTaken, match="OR REPLACE"):
        con.execute("PRETRAIN REFINE r FOR MODEL m ON GRAPHS motifs")
    with pytest.raises(DataError, match="splits are test, train, val"):
        con.execute("PRETRAIN REFINE s FOR MODEL m ON GRAPHS motifs (SPLIT = dev)")


@pytest.mark.slow
def test_fine_tuning_is_done_if_asked_or_else_as_the_preset_says(con, monkeypatch):
    con.execute(
        "PRETRAIN REFINE r_ft FOR MODEL m ON GRAPHS motifs (EPOCHS = 1, PRESET = refine_ft)"
    )
    tuned, original = [], refine.fine_tune

    def fine_tune(*given, **options):
        tuned.append(options["steps"])
        return original(*given, **options)

    monkeypatch.setattr(refine, "fine_tune", fine_tune)
    for pretrained, asked, times in (
        ("r_ft", ", fine_tune = true, steps = 3", 1),
        ("r_ft", ", fine_tune = false", 0),
        ("r_ft", "", 0),
        ("r", ", steps = 3", 1),
        ("r", ", fine_tune = false", 0),
    ):
        tuned.clear()
        con.execute(
            "EXPLAIN GRAPH 0 USING MODEL m OPTIMIZE fdl-, conc "
            f"BY refine (pretrained = {pretrained}, ratios = [0.5]{asked}) BUDGET 100 CANDIDATES"
        )
        assert tuned == [3] * times
    with pytest.raises(InvalidValue, match="refine.fine_tune. 3; expected true or false"):
        con.execute(
            "EXPLAIN GRAPH 0 USING MODEL m OPTIMIZE conc BY refine (pretrained = r, fine_tune = 3)"
        )


def test_a_number_of_nodes_is_refused_for_a_collection(con):
    with pytest.raises(InvalidValue, match="NODES = 5 is for a single graph: .* its 30 graphs"):
        con.execute("PRETRAIN REFINE s FOR MODEL m ON GRAPHS motifs (NODES = 5)")
    assert "nodes" not in dict(con.execute("DESCRIBE REFINE r").rows)


def test_pgexplainer_takes_one_attributor_for_all_classes(con):
    con.execute(
        "PRETRAIN REFINE p FOR MODEL m ON GRAPHS motifs (PRESET = pgexplainer, SPLIT = train, EPOCHS = 2)"
    )
    result = con.execute(
        "EXPLAIN GRAPHS 0, 1 USING MODEL m OPTIMIZE fdl+, fdl-, conc BY pgexplainer (pretrained = p)"
    )
    assert result.candidates > 10 and {e.generator for e in result} <= {"pgexplainer", "field"}
    with pytest.raises(InvalidValue, match="was pre-trained class by class: BY refine takes it"):
        con.execute("EXPLAIN GRAPH 0 USING MODEL m OPTIMIZE conc BY pgexplainer (pretrained = r)")
    con.execute("DROP REFINE p")


@pytest.mark.slow
def test_attributors_of_a_model_that_was_replaced_are_refused(con):
    con.execute(
        "TRAIN OR REPLACE MODEL m ON GRAPHS motifs (ARCHITECTURE = leconv, HIDDEN = 16, EPOCHS = 1, SEED = 8)"
    )
    with pytest.raises(InvalidValue, match="pre-trained for model 'm .replaced.', not for 'm'"):
        con.execute(ASK)


def test_an_interrupted_pretraining_leaves_nothing_half_written(con):
    def stop(_):
        raise KeyboardInterrupt

    before = con.execute(
        "SELECT (SELECT count(*) FROM refines), (SELECT count(*) FROM saliency)"
    ).rows
    con.report = stop
    with pytest.raises(KeyboardInterrupt):
        con.execute(
            "PRETRAIN OR REPLACE REFINE r FOR MODEL m ON GRAPHS motifs (EPOCHS = 1000, SEED = 9)"
        )
    con.report = None
    assert (
        con.execute("SELECT (SELECT count(*) FROM refines), (SELECT count(*) FROM saliency)").rows
        == before
    )
    con.execute("PRETRAIN OR REPLACE REFINE r FOR MODEL m ON GRAPHS motifs (EPOCHS = 1, SEED = 9)")
    assert len(con.execute("SHOW REFINES").rows) == 1


@pytest.mark.slow
def test_nodes_are_explained_by_their_fields():
    with sxq.connect() as con:
        con.execute(
            "CREATE GRAPH t FROM DATASET 'Tree-Cycles';"
            "TRAIN MODEL m ON GRAPH t (ARCHITECTURE = gcn, LAYERS = 2, HIDDEN = 8, EPOCHS = 10);"
            "TRAIN MODEL other ON GRAPH t (ARCHITECTURE = gcn, LAYERS = 2, HIDDEN = 8, EPOCHS = 5);"
            "PRETRAIN REFINE r FOR MODEL m ON GRAPH t (EPOCHS = 2, NODES = 20)"
        )
        result = con.execute(
            "EXPLAIN NODES 600, 700 USING MODEL m OPTIMIZE fdl+, conc BY refine (pretrained = r, "
            "ratios = [0.5])"
        )
        assert result.candidates > 4
        assert all(report.target in (600, 700) for report in result.targets)
        with pytest.raises(InvalidValue, match="pre-trained for model 'm'"):
            con.execute(
                "EXPLAIN NODE 600 USING MODEL other OPTIMIZE conc BY refine (pretrained = r)"
            )
