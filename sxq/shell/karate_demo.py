"""`sxq demo`: the main job on real input: load a graph, train a model, explain one member.

The input is Zachary's karate club as PyG ships it: 34 members, their friendships, and the four groups they split into.
"""

from sxq.connection import Connection
from sxq.pictures.words import meaning
from sxq.shell.laundering_demo import command
from sxq.shell.progress import watched
from sxq.shell.shell import Shell
from sxq.values.result import Result

MEMBER = 19  # a member who needs its friends: without edges the prediction changes

SCRIPT = (
    "CREATE OR REPLACE GRAPH karate FROM DATASET 'KarateClub'",
    "TRAIN OR REPLACE MODEL gcn ON GRAPH karate (ARCHITECTURE = gcn, LAYERS = 2, HIDDEN = 16, EPOCHS = 200, SEED = 0)",
    f"EXPLAIN NODE {MEMBER} USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 5 EPSILON 0.1",
)


def karate(path: str) -> int:
    """Run the demo into the database at `path`; return the exit code."""
    with Connection(path) as con, watched(con) as pressed:
        for statement in SCRIPT:
            print(f"sxq> {statement};")
            result = con.execute(statement)
            Shell(con).show(result)
            print()
            if pressed:
                return 130
    assert isinstance(result, Result), "the script ends with EXPLAIN"
    print(meaning(result.targets[0]))
    print(
        f'\nThe database {path} keeps all of it. Go on with:\n  {command()} {path} -c "'
        'SELECT target, rank, size, fdl_plus, fdl_minus FROM explanations"'
    )
    return 0
