"""The benchmarks of the papers: their indicators by hand, and a whole cell on a small graph."""

import attribution as metrics
import cells
import numpy as np
import published
import pytest
import quality_indicators as quality
import torch
from cells import Cell, Searched, Shown

from sxq.graph.generated import ba_community

POINT = (10, 0.1)


def shown(points, **values):
    kept = dict.fromkeys(("coverage", "hypervolume", "nodes", "apart", "factual"), 0.0)
    kept |= {"counterfactual": 0.0, "edges": 1.0, "candidates": 3, "seconds": 1.0}
    return Shown(paper=points, scores=points, **kept | values)


def searched(method, points, reached):
    own = {cells.place(method, POINT): shown(points)}
    return Searched(front=points, reached=reached, shown=own)


def test_indicators_are_means_over_targets_against_the_union_of_methods():
    found = {
        "onion": {7: searched("ApxSX-OP", [[0.2, 0.4, 0.6]], [0.0, 0.02, 0.04, 0.048])},
        "growing": {7: searched("ApxSX-I", [[0.4, 0.4, 0.3]], [0.048] * 4)},
    }
    table = quality.table(found, POINT)
    assert table["ApxSX-OP"]["ipf"] == pytest.approx(0.4)
    assert table["ApxSX-OP"]["ms fdl+"] == pytest.approx(0.5)
    assert table["ApxSX-OP"]["ms"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert table["ApxSX-OP"]["igd"] == pytest.approx((0 + 0.2 + 0 + 0 + 0.3) / 6)
    assert table["ApxSX-I"]["front"] == pytest.approx(0.048 / (2 * 0.048 - 0.2 * 0.4 * 0.3))
    assert quality.anytime(found)["onion"] == pytest.approx(
        np.array([0, 0.02, 0.04, 0.048]) / (2 * 0.048 - 0.024)
    )


def test_a_cell_is_kept_and_gone_on_with(tmp_path, monkeypatch):
    module = torch.nn.Identity()
    graph = ba_community()
    monkeypatch.setattr(cells.data, "graph", lambda name: graph)
    monkeypatch.setattr(cells.data, "trained", lambda *options: module)
    train = cells.data._trained.__globals__["train"]
    module = train(graph, (("layers", 2), ("epochs", 3))).module
    cell = Cell(
        data="small",
        layers=2,
        targets=2,
        budget=60,
        points=(POINT, (2, 0.1), (10, 0.5)),
        methods=("ApxSX-OP", "DivSX", "DivSX, first k", "MOExp"),
    )
    cells._registered.cache_clear()
    found = cells.run(cell, tmp_path)
    monkeypatch.setattr(cells, "_search", None)  # nothing is searched again
    again = cells.run(cell, tmp_path)
    cells._registered.cache_clear()
    assert quality.table(again, POINT) == quality.table(found, POINT)
    assert set(quality.table(found, POINT)) == set(cell.methods)
    assert "DivSX, first k" not in quality.table(found, (2, 0.1))
    assert all(row["answers"] <= 2 for row in quality.table(found, (2, 0.1)).values())


def test_recall_of_members_at_equal_counts():
    truth = np.array([1, 1, 0, 0, 0], bool)
    bits = np.array([[1, 0, 1, 0, 0], [1, 0, 0, 1, 0], [0, 1, 1, 1, 0]], bool)
    assert metrics.of_members(bits, truth, 2) == (0.5, 0.5)
    assert metrics.of_members(bits, truth, 4) == (0.5, 1.0)
    assert metrics.of_members(bits, truth, 1)[0] == 0.0
    assert np.isnan(metrics.of_members(bits, ~truth & truth, 2)).all()


def test_the_table_joins_rows_and_refuses_a_file_that_is_not_there(tmp_path, capsys):
    file = tmp_path / "rows.json"
    published.write(file, [("skyline", "Exp-1", "IPF", "1.34", "1.10", "cora (stand-in)")])
    published.main([str(file)])
    out = capsys.readouterr().out
    assert "1.34" in out and out.splitlines()[1].split()[:3] == ["paper", "where", "what"]
    with pytest.raises(SystemExit, match="none.json: expected the rows that paper_skyline.py"):
        published.main([str(tmp_path / "none.json")])
