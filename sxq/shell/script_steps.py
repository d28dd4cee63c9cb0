"""From the text of a script to its steps: statements up to their `;`, and dot-commands, one on a line."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sxq.language.lexemes import lexemes


@dataclass(frozen=True)
class Statement:
    """One statement, of sxq or of SQL; blank space in front of it keeps the lines and columns of its script."""

    text: str

    @property
    def line(self) -> int:
        """The line of the script where it begins, from 1."""
        return len(self.text) - len(self.text.lstrip("\n")) + 1


@dataclass(frozen=True)
class DotCommand:
    """A line such as `.mode csv`, without its dot."""

    text: str
    line: int = field(default=1, compare=False)  # of the script, from 1


def steps(script: str) -> Iterator[Statement | DotCommand]:
    """The steps of a script, in order; a dot-command is a line of its own between statements."""
    at = 0
    while (first := next(lexemes(script, at), None)) is not None:
        line_start = script.rfind("\n", 0, first.start) + 1
        if first.text == "." and not script[line_start : first.start].strip():
            end = script.find("\n", first.start)
            at = len(script) if end < 0 else end
            yield DotCommand(script[first.end : at].strip(), script.count("\n", 0, line_start) + 1)
        else:
            end, at = _statement(script, first.start)
            if end > first.start:
                padding = "\n" * script.count("\n", 0, first.start) + " " * (
                    first.start - line_start
                )
                yield Statement(padding + script[first.start : end])


def _statement(script: str, start: int) -> tuple[int, int]:
    """Where the statement at `start` ends, and where the next one may begin."""
    end = start
    for lexeme in lexemes(script, start):
        if lexeme.kind == "symbol" and lexeme.text == ";":
            return end, lexeme.end
        end = lexeme.end
    return end, len(script)
