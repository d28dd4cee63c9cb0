"""Whether two commits store the same answers, bit for bit: 60 targets of the suites, by statement and seed.

    python benchmarks/same_answers.py --write before.json     # at one commit
    python benchmarks/same_answers.py --against before.json   # at the other

Only SQL and public names are used, so that the script runs on any commit. Where the folder that
SXQ_DATA names has no files, generated graphs stand in.
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

import sxq

COLUMNS = (
    "target, rank, size, num_nodes, factual, counterfactual, generator, dominance, fdl_plus, fdl_minus, conc, "
    "raw::VARCHAR, scores::VARCHAR"
)
STATEMENTS = {
    "cora pairs": (
        "EXPLAIN NODES ? USING MODEL cora OPTIMIZE fdl+, fdl-, conc BUDGET 2000 CANDIDATES",
        16,
    ),
    "cora pairs, other generators": (
        "EXPLAIN NODES ? USING MODEL cora OPTIMIZE fdl+, fdl-, conc BY onion, growing, random BUDGET 1000 CANDIDATES",
        6,
    ),
    "cora directed": (
        "EXPLAIN NODES ? USING MODEL cora OPTIMIZE fdl+, fdl-, conc EDGES DIRECTED BUDGET 2000 CANDIDATES",
        10,
    ),
    "ba-shapes": (
        "EXPLAIN NODES ? USING MODEL shapes OPTIMIZE fdl+, fdl-, conc, lift BUDGET 2000 CANDIDATES",
        12,
    ),
    "karate, GAT": (
        "EXPLAIN NODES ? USING MODEL karate OPTIMIZE fdl+, fdl-, conc DIVERSIFY BUDGET 2000 CANDIDATES",
        8,
    ),
    "ba-3motif": (
        "EXPLAIN GRAPHS ? USING MODEL motifs OPTIMIZE fdl+, fdl-, conc BUDGET 2000 CANDIDATES",
        8,
    ),
}


def fill(con: sxq.Connection, data: Path) -> None:
    """The graphs and models of the statements: published weights where there are any, else trained here."""
    con.execute(f"""
        {_cora(data)}
        CREATE GRAPH shapes FROM DATASET 'BA-Shapes';
        TRAIN MODEL shapes ON GRAPH shapes (ARCHITECTURE = gcn, LAYERS = 3, HIDDEN = 20, EPOCHS = 300, SEED = 0);
        CREATE GRAPH karate FROM DATASET 'KarateClub';
        TRAIN MODEL karate ON GRAPH karate (ARCHITECTURE = gat, LAYERS = 2, HIDDEN = 8, HEADS = 2, SEED = 0);
        {_motifs(data)}""")


def _cora(data: Path) -> str:
    if (data / "cora.npz").exists():
        return f"""
        CREATE GRAPH cora FROM FILE '{data}/cora.npz';
        CREATE MODEL cora ON GRAPH cora FROM FILE '{data}/models/skyexp_cora_gcn.safetensors'
            (ARCHITECTURE = gcn, LAYERS = 3, HIDDEN = 16);"""
    print("cora: SXQ_DATA names no folder with cora.npz; BA-Community stands in, trained here")
    return """
        CREATE GRAPH cora FROM DATASET 'BA-Community';
        TRAIN MODEL cora ON GRAPH cora (ARCHITECTURE = gcn, LAYERS = 3, HIDDEN = 16, SEED = 0);"""


def _motifs(data: Path) -> str:
    if (data / "ba3motif_800.npz").exists():
        return f"""
        CREATE GRAPHS motifs FROM FILE '{data}/ba3motif_800.npz';
        CREATE MODEL motifs ON GRAPHS motifs FROM FILE '{data}/models/trained_here_ba3_leconv.safetensors'
            (ARCHITECTURE = leconv, LAYERS = 2, HIDDEN = 64)"""
    print("ba-3motif: 800 generated graphs stand in, the model is trained here")
    return """
        CREATE GRAPHS motifs FROM DATASET 'BA-3motif' (GRAPHS = 800);
        TRAIN MODEL motifs ON GRAPHS motifs
            (ARCHITECTURE = leconv, LAYERS = 2, HIDDEN = 64, EPOCHS = 20, SEED = 0)"""


def keys(con: sxq.Connection, name: str, count: int) -> list:
    """Seeded targets of a statement: nodes with an edge, or graphs."""
    rng = np.random.default_rng(len(name))
    if name == "ba-3motif":
        return [int(key) for key in rng.choice(800, count, replace=False)]
    graph = name.split(" ")[0].split(",")[0].replace("ba-", "")
    rows = con.execute(
        "SELECT DISTINCT dst::VARCHAR::INT FROM sxq.edges e JOIN sxq.graphs g USING (graph_id) "
        "WHERE g.name = ? ORDER BY 1",
        [graph],
    ).fetchall()
    return [int(row[0]) for row in rng.choice(np.array(rows), count, replace=False)]


def answers() -> dict[str, list[str]]:
    """For every statement one line a stored explanation: its columns, and a hash of its edges."""
    torch.set_num_threads(1)
    found = {}
    with sxq.connect() as con:
        fill(con, Path(os.environ.get("SXQ_DATA") or "/nowhere"))
        for name, (statement, count) in STATEMENTS.items():
            query = con.execute(statement, [keys(con, name, count)]).query_id
            lines = con.execute(
                f"SELECT explanation_id, {COLUMNS} FROM sxq.explanations WHERE query_id = {query} "
                "ORDER BY target::VARCHAR, rank"
            ).fetchall()
            found[name] = [repr(row[1:]) + edges_of(con, row[0]) for row in lines]
            print(f"{name}: {count} targets, {len(lines)} explanations")
    return found


def edges_of(con: sxq.Connection, explanation: int) -> str:
    rows = con.execute(
        "SELECT src::VARCHAR, dst::VARCHAR FROM sxq.explanation_edges WHERE explanation_id = ? "
        "ORDER BY ALL",
        [explanation],
    ).fetchall()
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", metavar="FILE", help="where to write the answers of this commit")
    parser.add_argument("--against", metavar="FILE", help="the answers of the other commit")
    options = parser.parse_args()
    found = answers()
    if options.write:
        Path(options.write).write_text(json.dumps(found))
    if options.against:
        other = json.loads(Path(options.against).read_text())
        differ = [name for name in found if found[name] != other.get(name)]
        print("identical, bit for bit" if not differ else f"different: {', '.join(differ)}")
        sys.exit(bool(differ))


if __name__ == "__main__":
    main()
