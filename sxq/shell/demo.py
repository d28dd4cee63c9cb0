"""`sxq demo`: the main job on real input, start to end: a graph, a trained model, one member explained.

The input is Zachary's karate club as PyG ships it: 34 members, their friendships, and the four groups they split into.
"""

import sys

from sxq.connection import Connection
from sxq.result import Result
from sxq.shell.session import Session
from sxq.shell.watching import watched

MEMBER = 19  # a member who needs its friends: without any edge the model would say otherwise

SCRIPT = (
    "CREATE OR REPLACE GRAPH karate FROM DATASET 'KarateClub'",
    "TRAIN OR REPLACE MODEL gcn ON GRAPH karate (ARCHITECTURE = gcn, LAYERS = 2, HIDDEN = 16, EPOCHS = 200, SEED = 0)",
    f"EXPLAIN NODE {MEMBER} USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 5 EPSILON 0.1",
)


def demo(path: str) -> int:
    """Run the demo into the database at `path`; the exit code."""
    with Connection(path) as con, watched(con) as pressed:
        for statement in SCRIPT:
            print(f"sxq> {statement};")
            result = con.execute(statement)
            Session(con).show(result)
            print()
            if pressed:
                return 130
    print(meaning(result))
    print(f'\nThe database {path} keeps all of it. Go on with:\n  {_command()} {path} -c "'
          "SELECT target, rank, size, fdl_plus, fdl_minus FROM explanations\"")
    return 0


def meaning(result: Result) -> str:
    """What a skyline of one node says, in one sentence."""
    report = result.targets[0]
    keeps = min((e for e in result if e.factual), key=lambda e: e.size, default=None)
    turns = min((e for e in result if e.counterfactual), key=lambda e: e.size, default=None)
    said = f"The model puts node {report.target} in class {report.prediction} with probability {report.probability:.2f}"
    parts = []
    if keeps:
        parts.append(f"{_edges(keeps)} alone would be enough for it to say so")
    if turns:
        same = keeps is not None and set(keeps.edges) == set(turns.edges)
        them = "them" if turns.size > 1 else "that edge"
        parts.append(f"without {them if same else _edges(turns)} it would say something else")
    return f"{said}: {', and '.join(parts)}." if parts else f"{said}, and no part of its neighbourhood explains why."


def _edges(explanation) -> str:
    pairs = list(dict.fromkeys(tuple(sorted(edge)) for edge in explanation.edges))
    named = ", ".join(f"{u}-{v}" for u, v in pairs[:6])
    more = ", ..." if len(pairs) > 6 else ""
    return f"the edge {named}" if len(pairs) == 1 else f"the {len(pairs)} edges {named}{more}"


def _command() -> str:
    return "sxq" if sys.argv[0].endswith("sxq") else f"{sys.executable} -m sxq"
