"""From the text of a script to its steps: statements up to their `;`, and dot-commands, one on a line."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sxq.language.lexemes import lexemes


@dataclass(frozen=True)
class Statement:
    """One statement, of sxq or of SQL."""

    text: str
    line: int = 1  # of the script where it begins, from 1
    column: int = 1


@dataclass(frozen=True)
class DotCommand:
    """A line such as `.mode csv`, without its dot; or such as `\\d`, which users of psql type."""

    text: str
    line: int = field(default=1, compare=False)  # of the script, from 1


def is_dot_command(text: str) -> bool:
    """Whether a line begins as a dot-command does, or as one of psql's."""
    return text.lstrip()[:1] in (".", "\\")


def steps(script: str) -> Iterator[Statement | DotCommand]:
    """The steps of a script, in order; a dot-command is a line of its own between statements.

    Takes time linear in the length of the script: lines are counted from one step to the next.
    """
    at = 0
    line = 1
    line_start = 0
    seen = 0
    while (first := next(lexemes(script, at), None)) is not None:
        line += script.count("\n", seen, first.start)
        line_start = max(line_start, script.rfind("\n", seen, first.start) + 1)
        seen = first.start
        if is_dot_command(first.text) and not script[line_start : first.start].strip():
            end = script.find("\n", first.start)
            at = len(script) if end < 0 else end
            yield DotCommand(script[first.start : at].strip().removeprefix("."), line)
        else:
            end, at = _statement(script, first.start)
            if end > first.start:
                yield Statement(script[first.start : end], line, first.start - line_start + 1)


def _statement(script: str, start: int) -> tuple[int, int]:
    """Where the statement at `start` ends, and where the next one may begin."""
    end = start
    for lexeme in lexemes(script, start):
        if lexeme.kind == "symbol" and lexeme.text == ";":
            return end, lexeme.end
        end = lexeme.end
    return end, len(script)
