"""The demo `laundering`: what is planted is what the tables say, and every statement of it runs."""

import re
from collections import defaultdict

import pytest

import sxq
from sxq.shell import synthetic_bank
from sxq.shell.laundering_demo import laundering


def test_what_is_planted_is_there():
    made = synthetic_bank.generate(seed=3)
    assert made == synthetic_bank.generate(seed=3) != synthetic_bank.generate(seed=4)
    payments = {(payer, payee) for payer, payee, _, _ in made.transfers}
    role = {row[0]: row[5] for row in made.accounts}
    schemes = defaultdict(list)
    for scheme, kind, collector, payer, payee, hop in made.planted:
        assert (payer, payee) in payments and role[collector] == "collector"
        schemes[scheme, kind, collector].append((hop, payer, payee))
    for (_, kind, collector), edges in schemes.items():
        distance = {collector: 0}
        for hop, payer, payee in sorted(edges):
            assert distance[payee] == hop - 1  # each edge leads on towards the collector
            distance[payer] = hop
        assert len(edges) <= 5 if kind == "chain" else len(edges) % 2 == 0
    served = defaultdict(set)
    for _, kind, collector in schemes:
        served[collector].add(kind)
    assert set(role.values()) == {"honest", "mule", "source", "collector"} and 2 in map(
        len, served.values()
    )
    assert not payments & {(payee, payee) for _, payee in payments}


@pytest.mark.slow
def test_the_story_from_start_to_end(tmp_path, monkeypatch, capsys):
    for name, number in (("HONEST", 240), ("MERCHANTS", 20), ("COLLECTORS", 40)):
        monkeypatch.setattr(synthetic_bank, name, number)
    assert laundering(str(tmp_path / "bank.duckdb"), str(tmp_path / "bank.html")) == 0
    shown = capsys.readouterr().out
    found = re.search(r"1 to 2 +\d+ +([\d.]+) +([\d.]+)\n", shown)
    precision, chance = map(float, found.groups())
    assert precision > 5 * chance
    recalls = re.findall(r"(?:chain|spindle) +\d+ +[\d.]+ +([\d.]+) +([\d.]+)\n", shown)
    assert len(recalls) == 2 and all(float(recall) > 5 * float(of) for recall, of in recalls)
    assert "acct-" in (tmp_path / "bank.html").read_text()
    with sxq.connect(str(tmp_path / "bank.duckdb")) as con:
        planted = set(
            con.sql("SELECT collector, payer, payee, 'account -pays-> account' FROM planted").rows
        )
        for target, rank, edges in con.sql(
            "SELECT target, rank, list((src, dst, edge_type)) FROM explanations "
            "JOIN explanation_edges USING (explanation_id) WHERE query_id = 1 GROUP BY ALL"
        ).rows:
            counted = con.sql(
                "SELECT edges, planted FROM members WHERE target = ? AND rank = ?", [target, rank]
            ).rows
            assert counted == [(len(edges), sum((target, *edge) in planted for edge in edges))]
