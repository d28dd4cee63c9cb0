"""SQL text as lexemes: the only part of SQL's grammar that sxq must know.

Splitting a script, finding placeholders and skipping over a sub-query all ask the same question: is this
character plain text, or part of a string, a quoted name or a comment? This file answers it, once,
with DuckDB's rules. Every pattern is possessive: no text is read twice, so time is linear in its length.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_NESTING = 50  # of parentheses in a sub-query: regular expressions cannot count
_MAX_COMMENT_NESTING = 8  # DuckDB nests block comments without limit; people do not

_STRING = r"[eE]'(?:[^'\\]|\\[\s\S]|'')*+'|'(?:[^']|'')*+'"
_QUOTED_NAME = r'"(?:[^"]|"")*+"'
_LINE_COMMENT = r"--[^\r\n]*+"


def _dollar_string(tag: str) -> str:
    """`$$...$$` or `$tag$...$tag$`; `tag` names the group, which must be unique within a pattern."""
    return rf"\$(?P<{tag}>(?:[^\W\d]\w*+)?)\$(?:[^$]|\$(?!(?P={tag})\$))*+\$(?P={tag})\$"


def _block_comment(nesting: int) -> str:
    inner = rf"|{_block_comment(nesting - 1)}" if nesting else ""
    return rf"/\*(?:[^*/]|\*(?!/)|/(?!\*){inner})*+\*/"


BLOCK_COMMENT = _block_comment(_MAX_COMMENT_NESTING)


def parenthesised(nesting: int = MAX_NESTING) -> str:
    """The pattern of SQL text in balanced parentheses, strings and comments skipped."""
    pattern = r"(?!)"
    for level in range(nesting):
        opaque = rf"{_STRING}|{_QUOTED_NAME}|{_dollar_string(f'tag{level}')}|{_LINE_COMMENT}|{BLOCK_COMMENT}"
        plain = r"""\w++|[^\w()'"$/-]|-(?!-)|/(?!\*)|\$(?!\w*\$)"""
        pattern = rf"\((?:{opaque}|{plain}|{pattern})*+\)"
    return pattern


_LEXEME = re.compile(
    rf"""(?P<blank>\s++|{_LINE_COMMENT}|{BLOCK_COMMENT})
    |(?P<string>{_STRING}|{_dollar_string("tag")})
    |(?P<quoted>{_QUOTED_NAME})
    |(?P<unclosed>(?:[eE]?'|"|/\*|\$(?:[^\W\d]\w*)?\$)[\s\S]*)
    |(?P<placeholder>\?\d*|\$\w+)
    |(?P<word>\w++)
    |(?P<symbol>[<>=!]++|[\s\S])""",
    re.VERBOSE,
)


class Lexeme(NamedTuple):
    """A piece of text. Its kind: string, quoted, placeholder, word, symbol (a comparison or one character),
    or unclosed: what should have been a string, quoted name or comment, up to the end of the text."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def lexemes(text: str, start: int = 0) -> Iterator[Lexeme]:
    """The lexemes of `text` from `start` on, in order, without blanks and comments."""
    for match in _LEXEME.finditer(text, start):
        kind = match.lastgroup
        assert kind is not None, "every alternative of the pattern has a name"
        if kind != "blank":
            yield Lexeme(kind, match.group(), match.start())


def placeholders(text: str) -> list[Lexeme]:
    """The `?` and `$name` of a statement, in order."""
    if "?" not in text and "$" not in text:  # reading a long text takes time
        return []
    return [lexeme for lexeme in lexemes(text) if lexeme.kind == "placeholder"]
