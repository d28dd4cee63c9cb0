"""The verbs that need the grammar, and the one gate to the parser.

lark is imported, and the parser built, at the first statement of sxq's own: a script of plain SQL never pays for
them (30 ms and 0.2 s).
"""

from types import ModuleType

from sxq.language import mistakes
from sxq.language.binding import parameters
from sxq.language.script import Piece, is_sxq, opening
from sxq.language.statements import Explain, Sql, Statement


def parse(text: str, line: int = 1, column: int = 1) -> Statement:
    """The statement that `text` is; it begins at `line` and `column` of its script. Raises ParseError."""
    piece = Piece(text, line, column)
    mistakes.refuse_mixed_placeholders(piece)
    if is_sxq(text):
        return _parser().parse(piece)
    prepares = opening(text)[:1] == ["PREPARE"]  # EXECUTE fills its placeholders
    return Sql(text, () if prepares else parameters(text))


def continuations(text: str) -> list[str]:
    """What may follow `text`, the beginning of a statement of sxq: keywords, `a name`, `a number`, signs, ...

    In the order and the words of a ParseError; nothing where `text` is already wrong.
    """
    return _parser().continuations(text)


def keywords() -> frozenset[str]:
    """Every keyword of the grammar, upper-case."""
    return _parser().keywords()


def write(statement: Explain) -> str:
    """The text of a statement; parsing it gives the statement again, but for the values of a sub-query."""
    return _parser().write(statement)


def _parser() -> ModuleType:
    from sxq.language import parser

    return parser
