"""Explanations to look at: text, matplotlib, the page in a real browser, and notebooks."""

import json
import re

import numpy as np
import pytest

import sxq
from sxq.pictures.page import content, page, script_json
from sxq.pictures.scene import scene
from sxq.pictures.text import drawing
from sxq.pictures.words import meaning
from sxq.values.explanation import Explanation, TargetReport
from sxq.values.result import Result
from tests import browser, toys

HOSTILE = '</script><script>window.broken = 1</script><img src=x onerror="window.broken = 2">'


def explanation(positions, target=0, **changed):
    """An explanation of these edges by position; the target is at 0."""
    ends = np.array(positions).T.reshape(2, -1)
    values = {
        "target": target,
        "rank": 1,
        "edge_index": ends,
        "nodes": np.unique([0, *ends.ravel()]),
        "edges": tuple(positions),
        "size": len(positions),
        "raw": {},
        "scores": {},
        "factual": True,
        "counterfactual": False,
        **changed,
    }
    return Explanation(**values)


@pytest.fixture(scope="module")
def karate():
    """Three targets of the karate club, stored; the connection is closed."""
    with sxq.connect() as con:
        con.execute(
            "CREATE GRAPH karate FROM DATASET 'KarateClub'; "
            "TRAIN MODEL gcn ON GRAPH karate (LAYERS = 2, EPOCHS = 60)"
        )
        return con.execute(
            "EXPLAIN NODES 19, 28, 9 USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 5 BUDGET 400 CANDIDATES"
        )


# -- text


def test_a_tree_from_the_target():
    both = [(0, 1), (1, 0), (1, 2), (2, 1), (0, 3), (3, 0)]
    assert drawing(explanation(both)) == "0\n├── 1\n│   └── 2\n└── 3"


def test_directions_and_circles():
    edges = [("a", "me"), ("me", "b"), ("b", "a"), ("c", "a"), ("a", "c")]
    e = explanation([(1, 0), (0, 2), (2, 1), (3, 1), (1, 3)], target="me", edges=tuple(edges))
    assert drawing(e) == "me\n├◀─ a\n│   └── c\n└─▶ b\n    b ─▶ a"


def test_what_is_too_large_is_said():
    assert "too many to draw" in drawing(explanation([(i, i + 1) for i in range(90)]))


def test_every_edge_is_drawn_once():
    rng = np.random.default_rng(0)
    for _ in range(30):
        edges = [(0, 1)] + [
            (int(a), int(b)) for a, b in rng.integers(0, 7, (rng.integers(1, 12), 2)) if a != b
        ]
        near, seen = {0}, 0
        while seen != len(near):
            seen = len(near)
            near |= {v for e in edges if set(e) & near for v in e}
        edges = list(dict.fromkeys(e for e in edges if set(e) <= near))
        arrows = re.findall(r"──|─▶|◀─", drawing(explanation(edges)))
        assert len(arrows) == len({frozenset(e) for e in edges})


# -- scenes


def test_the_target_is_first_and_every_member_is_whole(karate):
    members = karate.targets[0].explanations
    drawn = scene(members, nodes=12)
    assert drawn.keys()[0] == karate.targets[0].target and len(drawn.keys()) <= max(12, 34)
    assert np.abs(drawn.places).max() <= 1 + 1e-9 and not drawn.directed
    for e, own in zip(members, drawn.members):
        keys = drawn.keys()
        assert {(keys[u], keys[v]) for u, v in own} | {(keys[v], keys[u]) for u, v in own} == set(
            e.edges
        )
    apart = np.linalg.norm(drawn.places[:, None] - drawn.places[None], axis=2) + np.eye(
        len(drawn.places)
    )
    assert apart.min() > 0.01
    assert np.array_equal(scene(members, nodes=12).places, drawn.places)


def test_the_context_is_what_is_near():
    """A long chain: of its far end nothing is drawn, but all of a member is."""
    n = 300
    ends = np.stack([np.arange(1, n), np.arange(n - 1)])
    graph = sxq.graph.Graph(np.concatenate([ends, ends[::-1]], axis=1), np.ones((n, 1)))
    member = explanation(
        [(v, u) for u in range(150) for v in (u + 1,)] + [(u, u + 1) for u in range(150)],
        graph=graph,
    )
    drawn = scene([member], nodes=20)
    assert len(drawn.positions) == 151 and drawn.hops.max() == 150
    assert len(scene([explanation([(1, 0), (0, 1)], graph=graph)], nodes=20).positions) == 20


@pytest.mark.slow
def test_of_a_huge_member_the_nearest_is_drawn():
    """A star of 2,000 neighbours with a tail on each: the nearest 500 nodes, and a count of what is left out."""
    n = 2000
    ends = np.concatenate(
        [
            [np.arange(1, n + 1), np.zeros(n, int)],
            [np.arange(n + 1, 2 * n + 1), np.arange(1, n + 1)],
        ],
        1,
    )
    graph = sxq.graph.Graph(ends, np.ones((2 * n + 1, 1)))
    whole = explanation([tuple(e) for e in ends.T.tolist()], graph=graph)
    drawn = scene([whole, explanation([(1, 0)], graph=graph)])
    assert (
        drawn.hops.max() == 1 and len(drawn.positions) == 501 and drawn.left_out == [4000 - 500, 0]
    )
    assert len(drawn.members[0]) == 500 and len(drawn.members[1]) == 1


# -- matplotlib


@pytest.mark.slow
def test_figures(karate, tmp_path):
    figure = karate.plot(tmp_path / "answer.png", target=28)
    assert (
        len(figure.axes) == len(karate.targets[1].explanations) + 3
        and (tmp_path / "answer.png").stat().st_size > 20_000
    )
    assert "node 28" in figure.get_suptitle()
    single = karate[0].plot(tmp_path / "one.svg")
    assert "<svg" in (tmp_path / "one.svg").read_text() and len(single.axes) == 1
    with pytest.raises(sxq.DataError, match="no explanations of target 33"):
        karate.plot(target=33)
    with pytest.raises(sxq.DataError, match="cannot write"):
        karate[0].plot(tmp_path / "one.nonsense")


def test_what_cannot_be_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toys.write_files(tmp_path)
    with sxq.connect() as con:
        toys.fill(con)
        empty = con.execute("EXPLAIN NODE 'acct-40' USING MODEL votes OPTIMIZE fdl+, conc")
        with pytest.raises(sxq.DataError, match="nothing to draw"):
            empty.plot()
        assert content(empty)["targets"][0]["scene"] is None and "no candidate" in page(empty)
        directed = con.execute("EXPLAIN NODE 'acct-17' USING MODEL votes OPTIMIZE fdl+, conc")
        assert scene(directed.explanations).directed and directed.plot() is not None


# -- the page


def test_the_page_is_one_file_that_loads_nothing(karate):
    text = page(karate)
    assert "default-src 'none'" in text and not re.search(
        r"""(?:src|href)\s*=\s*["'](?!data:)""", text
    )
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text) and "innerHTML" not in text
    assert len(text) < 250_000


def test_json_cannot_leave_its_script_element():
    text = script_json({"a": HOSTILE, "b": float("nan"), "c": "\u2028"})
    assert (
        "<" not in text
        and "\u2028" not in text
        and json.loads(text) == {"a": HOSTILE, "b": None, "c": "\u2028"}
    )


needs_browser = pytest.mark.skipif(bool(browser.missing()), reason=browser.missing())


@pytest.mark.slow
@needs_browser
def test_the_page_in_a_browser(karate, tmp_path):
    """It renders; a click on a point selects the member; nodes are dragged in all members; no console errors."""
    karate.to_html(tmp_path / "r.html")
    with browser.browser() as window:
        window.open(tmp_path / "r.html")
        members = len(karate.targets[0].explanations)
        assert window.count(".member") == window.count(".point") == members
        assert "node 19" in window.text("#meaning") and "EXPLAIN NODES 19, 28, 9" in window.text(
            "#text"
        )
        assert str(karate.targets[0].candidates) in window.text(
            "#proof"
        ) and "AUDIT QUERY" in window.text("#sql")
        window.click('.point[data-rank="2"]')
        assert window.run("return document.querySelector('.member.selected').dataset.rank") == "2"
        window.hover('.member[data-rank="1"] .node[data-node="0"] .ring')
        assert window.text("#tip").startswith("19\nclass") and window.count(".node.near") == members
        where = "return [...document.querySelectorAll('.node[data-node=\"0\"]')].map(n => n.getAttribute('transform'))"
        before = window.run(where)
        window.drag('.member[data-rank="1"] .node[data-node="0"] .ring', 30, 10)
        window.run(
            "return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        after = window.run(where)
        assert len(set(after)) == 1 and after[0] != before[0]
        picture = "return document.getElementById('space').toDataURL()"
        flat = window.run(picture)
        window.drag("#space", 60, 20)
        assert window.run(picture) != flat
        window.run(
            "const s = document.getElementById('axis-x'); s.value = 'conc'; s.dispatchEvent(new Event('change'))"
        )
        assert "score of conc" in window.text("#plane")
        window.run(
            "const s = document.getElementById('target'); s.value = 1; s.dispatchEvent(new Event('change'))"
        )
        assert "node 28" in window.text("#meaning")
        window.click("#theme")
        assert window.run("return document.documentElement.dataset.theme") == "dark"
        assert window.errors() == []


@pytest.fixture(scope="module")
def motifs():
    """One graph of a collection with planted motifs, and one that falls into three parts."""
    with sxq.connect() as con:
        con.execute(
            "CREATE GRAPHS motifs FROM DATASET 'BA-3motif' (GRAPHS = 12, SEED = 0); "
            "TRAIN MODEL kinds ON GRAPHS motifs (ARCHITECTURE = gin, LAYERS = 2, POOLING = mean, EPOCHS = 10)"
        )
        return con.execute(
            "EXPLAIN GRAPH 3 USING MODEL kinds OPTIMIZE fdl+, conc TOP 4 BUDGET 300 CANDIDATES"
        )


@pytest.mark.slow
def test_a_whole_graph_has_no_node_in_the_middle(motifs, tmp_path):
    members = motifs.targets[0].explanations
    drawn = scene(members)
    assert not drawn.rooted and set(drawn.truth) < set(drawn.context)
    planted = members[0].graph
    assert 2 * len(drawn.truth) == planted.edge_truth.sum()
    for number, e in enumerate(members):
        assert {drawn.keys()[i] for i in drawn.inside(number)} == {
            key for edge in e.edges for key in edge
        }
    motifs.plot(str(tmp_path / "motifs.png"))


def test_parts_that_hang_together_nowhere_do_not_lie_on_each_other():
    from sxq.pictures.scene import packed

    places = packed(9, [(0, 1), (1, 2), (2, 3), (4, 5), (6, 7)], [])
    assert np.abs(places).max() <= 1
    boxes = [
        (places[part].min(axis=0), places[part].max(axis=0))
        for part in ([0, 1, 2, 3], [4, 5], [6, 7], [8])
    ]
    for i, (low, high) in enumerate(boxes):
        for other_low, other_high in boxes[:i]:
            assert (high < other_low).any() or (other_high < low).any()


@pytest.mark.slow
@needs_browser
def test_the_page_of_a_whole_graph(motifs, tmp_path):
    motifs.to_html(str(tmp_path / "motifs.html"))
    members = motifs.targets[0].explanations
    with browser.browser() as window:
        window.open(tmp_path / "motifs.html")
        for e in members:  # what is not faint are the nodes of its edges, no other
            drawn = window.count(f".member[data-rank='{e.rank}'] .node:not(.out)")
            assert drawn == len({key for edge in e.edges for key in edge})
        assert window.text("#legend") == "named by the ground truth" and not window.errors()


@pytest.mark.slow
@needs_browser
def test_hostile_names_and_a_large_answer(tmp_path):
    """Keys, attributes and the statement are shown as they are; ten members of 500 edges stay usable."""
    rng = np.random.default_rng(1)
    n, edges = 400, rng.integers(0, 400, (2, 1500))
    keys = [f"{HOSTILE}{i}" for i in range(n)]
    graph = sxq.graph.Graph(
        edges,
        rng.normal(size=(n, 40)),
        y=rng.integers(0, 9, n),
        keys=keys,
        attributes={HOSTILE: [HOSTILE] * n},
    )
    members = [
        explanation(
            [(int(u), int(v)) for u, v in edges[:, rng.permutation(1500)[:500]].T],
            target=keys[0],
            rank=i + 1,
            graph=graph,
            raw={HOSTILE: 0.5, "conc": float("nan")},
            scores={HOSTILE: 0.1 * i},
            generator=HOSTILE,
        )
        for i in range(10)
    ]
    report = sxq.TargetReport(
        target=keys[0],
        ordinal=0,
        status="done",
        prediction=1,
        probability=0.9,
        p_empty=0.1,
        self_sufficient=False,
        field_size=1500,
        hops=3,
        candidates=5000,
        explanatory=4000,
        front=10,
        dominance=4000,
        coverage=1.0,
        epsilon_achieved=0.05,
        explanations=tuple(members),
        note=HOSTILE,
        examined={HOSTILE: np.linspace(0, 1, 1000)},
    )
    result = sxq.Result(
        [report],
        {HOSTILE: "x", "conc": "conc"},
        query_id=1,
        plan=HOSTILE,
        seconds=0.1,
        text=HOSTILE,
    )
    result.to_html(tmp_path / "r.html")
    with browser.browser() as window:
        window.open(tmp_path / "r.html")
        assert window.run("return window.broken") is None and window.count("img") == 0
        assert window.text("#text") == HOSTILE and window.count(".member") == 10
        assert window.count('.member[data-rank="1"] .hit') >= 480
        window.drag('.member[data-rank="3"] .node[data-node="0"] .ring', 20, 20)
        assert window.errors() == []


# -- sentences


def report(*members, **values):
    """A report of a target that the model puts in class 1 with probability 0.95."""
    given = {"ordinal": 0, "prediction": 1, "asked": 1, "probability": 0.95, **values}
    return TargetReport(target="a", explanations=tuple(members), **given)


def test_a_target_that_needs_no_edge_is_told_so_first():
    one = explanation([("b", "a")], raw={"fdl+": 0.2})
    two = explanation([("c", "a")], raw={"fdl+": 0.3}, counterfactual=True)
    needs = report(one, p_empty=0.3, self_sufficient=False)
    assert "the edge b → a alone preserves this prediction" in meaning(needs)
    for members, rest in (
        ([one], "removing the edge b → a lowers the probability most, by 0.20."),
        ([one, two], "Yet removing the edge c → a changes the prediction."),
        ([explanation([("b", "a")])], "Removing any one explanation leaves it as it is."),
        ([], "keeps this prediction without any edge (probability 0.90)."),
    ):
        said = meaning(report(*members, p_empty=0.9, self_sufficient=True))
        assert said.startswith(
            "The model puts node a in class 1 with probability 0.95, and keeps this prediction "
            "without any edge (probability 0.90)."
        )
        assert said.endswith(rest) and "alone" not in said


def test_notes_that_differ_in_numbers_only_are_counted():
    noted = [
        report(ordinal=number, note=f"none of {number} candidates keeps the prediction")
        for number in range(30)
    ]
    result = Result([*noted, report(ordinal=30, note="another")], {})
    assert result.notes() == [
        "30 nodes, such as 'a': none of 0 candidates keeps the prediction",
        "node 'a': another",
    ]
    needs = Result([report(self_sufficient=True, p_empty=0.9)], {}).summary()
    assert needs.startswith("1 node keeps its prediction with no edges at all")
