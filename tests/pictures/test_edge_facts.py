"""What pictures say about edges: weights, attributes and worth, as the graph and the answer have them."""

import numpy as np

from sxq.graph import Graph
from sxq.pictures.edge_facts import edge_facts
from sxq.values.explanation import Explanation, Worth

TAILS, HEADS = (
    [0, 1, 1, 2, 0],
    [1, 0, 2, 1, 1],
)  # 0-1 and 1-2 in both directions, and 0 -> 1 once more


def explanation(numbers, worth=None, over="edges", **arrays):
    graph = Graph(np.array([TAILS, HEADS]), np.ones((3, 1)), **arrays)
    ends = graph.edge_index[:, numbers]
    return Explanation(
        target=0, rank=1, edge_index=ends, nodes=np.arange(3), edges=tuple(map(tuple, ends.T.tolist())), size=1,
        raw={}, scores={}, factual=True, counterfactual=False, graph=graph, edge_numbers=np.array(numbers),
        over=over, worth=worth,
    )  # fmt: skip


def test_weights_and_attributes_by_edge():
    e = explanation(
        [1, 2], edge_weight=[1, 12345.67, 0.5, 3, 4], edge_attr=np.arange(10).reshape(5, 2) / 4
    )
    assert edge_facts(e, [(1, 2), (1, 0)], False) == [
        [("weight", "0.5"), ("attr[0]", "1"), ("attr[1]", "1.25")],
        [("weight", "12,345.67"), ("attr[0]", "0.5"), ("attr[1]", "0.75")],
    ]


def test_the_names_and_texts_of_the_users_columns():
    """Columns of a table of edges keep their names; text and times are no numbers."""
    columns = {"edge_attr": np.arange(5.0)[:, None] * 1000, "edge_names": ["amount"]}
    e = explanation([2], **columns, edge_attributes={"when": ["a", "b", "2026-01-02", None, "e"]})
    assert edge_facts(e, [(1, 2)], False) == [[("amount", "2,000"), ("when", "2026-01-02")]]
    wide = explanation([0], edge_attr=np.ones((5, 40)))
    assert len(edge_facts(wide, [(0, 1)], False)[0]) == 12


def test_parallel_edges_and_pairs():
    e = explanation([0, 1, 4], edge_weight=[1, 2, 0.5, 3, 4])
    assert edge_facts(e, [(0, 1)], False) == [[("weight", "1, 4")]]
    one_way = explanation([1], edge_weight=[1, 2, 0.5, 3, 4])
    assert edge_facts(one_way, [(0, 1)], True) == [[("weight", "2")]]
    assert edge_facts(one_way, [(0, 1)], False) == [[]]


def test_worth_where_it_was_measured_of_edges():
    worth = Worth(
        kept=np.array([0.25, 0]), removed=np.array([0.5, 1e-9]), needed=np.array([True, False])
    )
    facts = edge_facts(explanation([0, 2], worth), [(0, 1), (1, 2)], False)
    assert facts[0] == [("worth kept", "0.25"), ("worth removed", "0.5"), ("needed", "yes")]
    assert facts[1][-1] == ("needed", "no")
    assert edge_facts(explanation([0, 2], worth, over="nodes"), [(0, 1)], False) == [[]]
