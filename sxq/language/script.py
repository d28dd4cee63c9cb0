"""From a script to its statements, and from a statement to its owner: sxq or DuckDB.

Nothing here builds the parser: a script of plain SQL never pays for it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice

from sxq.language.lexemes import Lexeme, lexemes


@dataclass(frozen=True)
class Piece:
    """One statement of a script, without its `;` and the comments around it."""

    text: str
    line: int = 1  # where the text begins in the script, both from 1
    column: int = 1


def split(script: str) -> list[Piece]:
    """The statements of a script, split at each `;` that is not part of a string, quoted name or comment."""
    pieces = []
    line = 1
    line_start = 0
    seen = 0
    for start, end in _spans(script):
        line += script.count("\n", seen, start)
        line_start = max(line_start, script.rfind("\n", seen, start) + 1)
        pieces.append(Piece(script[start:end], line, start - line_start + 1))
        seen = start
    return pieces


def _spans(script: str) -> Iterator[tuple[int, int]]:
    """Where each statement starts and ends."""
    for is_end, group in groupby(lexemes(script), key=_is_end):
        if not is_end:
            own = list(group)
            yield own[0].start, own[-1].end


def complete(text: str) -> bool:
    """Whether a `;` finishes the last statement of `text`, so that a shell need not ask for more lines."""
    last = deque(lexemes(text), maxlen=1)
    return bool(last) and _is_end(last[0])


def _is_end(lexeme: Lexeme) -> bool:
    return lexeme.kind == "symbol" and lexeme.text == ";"


# The words that may follow DuckDB's own EXPLAIN (each tried against DuckDB 2.0).
DUCKDB_EXPLAINS = frozenset(
    """( ABORT ALTER ANALYSE ANALYZE BEGIN CALL CHECKPOINT COMMIT COPY CREATE DEALLOCATE DELETE DESC DESCRIBE
    DROP END EXECUTE FORCE FROM INSERT LOAD MERGE PIVOT PIVOT_LONGER PIVOT_WIDER PRAGMA PREPARE RESET
    ROLLBACK SELECT SET SHOW START SUMMARIZE TABLE UNPIVOT UPDATE VACUUM VALUES WITH""".split()
)


def is_sxq(text: str) -> bool:
    """Whether the statement is sxq's, by its first words; every other statement is DuckDB's."""
    match opening(text):
        case [
            "PLAN" | "PROFILE" | "RESUME" | "REFRESH" | "AUDIT" | "PREDICT" | "TRAIN" | "PRETRAIN",
            *_,
        ]:
            return True
        case ["ALTER", "GRAPH" | "GRAPHS", *rest]:
            return rest[:1] != ["."]
        case ["EXPLAIN", *rest]:
            return not rest or rest[0] not in DUCKDB_EXPLAINS
        case ["CREATE", "OR", "REPLACE", kind, *_] | ["CREATE" | "DROP", kind, *_]:
            return kind in ("GRAPH", "GRAPHS", "MODEL", "REFINE", "QUERY")
        case [
            "SHOW",
            "GRAPHS" | "MODELS" | "MEASURES" | "GENERATORS" | "QUERIES" | "SETTINGS" | "REFINES",
            *rest,
        ]:
            return rest[:1] != ["."]  # SHOW models.t is a table in a schema
        case ["DESCRIBE", "GRAPH" | "GRAPHS" | "MODEL" | "REFINE", following, *_]:
            return following not in (".", ";")  # DESCRIBE graph is a table, so is DESCRIBE graph.t
        case ["SET" | "RESET", setting, *_]:
            return setting.startswith("SXQ_")
    return False


def opening(text: str) -> list[str]:
    """The first lexemes of a statement, upper-case; a quoted name keeps its quotes and so is no keyword."""
    return [lexeme.text.upper() for lexeme in islice(lexemes(text), 4)]
