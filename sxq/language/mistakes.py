"""The message of a ParseError: the text found and its place, the legal continuations, and the probable intention.

Typical mistakes are data (`ADVICE`): a new one is a line there and a case in `tests/golden/errors`.
"""

import difflib
import re
from itertools import islice, pairwise

from sxq.errors import ParseError
from sxq.language.lexemes import MAX_NESTING, Lexeme, lexemes, placeholders
from sxq.language.script import DUCKDB_EXPLAINS, Piece

_WIDTH = 100  # characters of a source line that are shown, around the caret

# The text found (a pattern; empty at the end of the text), a legal continuation there, the advice.
ADVICE = (
    (r";", "", "a ';' ends a statement"),
    (r"[“”‘’„`].*", "", "use straight quotes: 'text' and \"a name\""),
    (r"\(", "(SELECT ...)", f"parentheses of a sub-query nest at most {MAX_NESTING} deep"),
    (r",", "USING", "several targets are NODES 1, 2, 3 or GRAPHS 1, 2, 3"),
    (r"\(", "an integer", "a sub-query is written NODES (SELECT ...)"),
    (r"\.", "USING", "a key is an integer or a text in single quotes: NODE '3.5'"),
    (r"\w+", "an integer", "a key is an integer or a text in single quotes: NODE 'name'"),
    (r"", "USING", "say which model to explain: USING MODEL name"),
    (r"OPTIMIZE|TOP|BY|WHERE|EPSILON|ON", "USING", "say which model to explain: USING MODEL name"),
    (r".*", "OPTIMIZE", "say what to weigh against each other: OPTIMIZE fdl+, fdl-, conc"),
    (r"k|LIMIT", "TOP", "the number of answers is TOP k"),
    (r"OR", "TOP", "conditions are joined by AND only"),
    (r"AND", "TOP", "a condition is a flag (FACTUAL) or a comparison (size <= 12), after WHERE"),
    (r".*", "CANDIDATES", "a budget counts candidates: BUDGET 5000 CANDIDATES"),
    (r".*", "SECONDS", "a time limit is in seconds: WITHIN 10 SECONDS"),
    (r"=", "a number", "no '=' here: EPSILON 0.1; only WHERE compares: WHERE size = 12"),
    (r"'.*", "a name", 'a name is bare or in double quotes: gcn, "my model"'),
    (r"\".*", "'text'", "a text is in single quotes"),
    (
        r"[-./]",
        "",
        'a name with characters other than letters, digits and _ needs double quotes: "my-model"',
    ),
)


def unexpected(piece: Piece, position: int, expected: list[str]) -> ParseError:
    """The error for text at `position` where only `expected` is legal."""
    unclosed = _unclosed(piece.text, position)
    if unclosed:
        return mistake(piece, unclosed.start, f"{_opening_sign(unclosed)} is never closed")
    found = _found(piece.text, position)
    message = f"found {_shown(found)}, expected {_listing(expected)}"
    return mistake(piece, position, message + _meant(found, expected))


_KINDS = ("GRAPH", "GRAPHS", "MODEL", "REFINE")
_SECOND = {  # the words of ours that may follow a first word that is also SQL's
    "CREATE": _KINDS,
    "ALTER": ("GRAPH", "GRAPHS"),
    "DROP": (*_KINDS, "QUERY"),
    "DESCRIBE": ("GRAPH", "MODEL"),
    "SHOW": ("GRAPHS", "MODELS", "MEASURES", "GENERATORS", "QUERIES", "SETTINGS"),
}
_FIRST = (
    *("EXPLAIN", "PLAN", "PROFILE", "RESUME", "REFRESH", "AUDIT", "PREDICT", "TRAIN", "PRETRAIN"),
    *_SECOND,
)


# first word -> what may follow it, where a statement of ours stands inside of SQL
_NESTED = {
    "PREDICT": ("USING", "NODE", "NODES", "GRAPH", "GRAPHS", "LINK", "LINKS"),
    "EXPLAIN": ("NODE", "NODES", "GRAPH", "GRAPHS", "LINK", "LINKS", "CLASS"),
}


def _nested(text: str) -> ParseError | None:
    """The error for a statement of sxq inside of an SQL statement."""
    for word, after in pairwise(lexemes(text)):
        first = word.text.upper()
        if word.kind == "word" and after.text.upper() in _NESTED.get(first, ()):
            return mistake(
                Piece(text),
                word.start,
                f"{first} is a statement of its own: say {first} ... INTO name, then SELECT ... FROM name",
            )
    return None


def misspelt(text: str) -> ParseError | None:
    """The error for SQL that DuckDB refused and that holds a statement of sxq, or nearly begins as one; else None."""
    if nested := _nested(text):
        return nested
    words = [
        lexeme
        for lexeme in islice(lexemes(text), 4)
        if lexeme.text.upper() not in ("OR", "REPLACE")
    ]
    if not words:
        return None
    second = _SECOND.get(words[0].text.upper())
    place, meant = (1, second) if second else (0, _FIRST)
    if len(words) <= place or words[place].kind != "word":
        return None
    near = difflib.get_close_matches(words[place].text[:40].upper(), meant, n=1, cutoff=0.7)
    if not near or near[0] == words[place].text.upper():
        return None
    return mistake(
        Piece(text),
        words[place].start,
        f"found {_shown(words[place].text)}, did you mean {near[0]!r}?",
    )


def repeated(piece: Piece, position: int) -> ParseError:
    """The error for a clause or an option that is given a second time at `position`."""
    return mistake(piece, position, f"{_shown(_found(piece.text, position))} is given twice")


def refuse_mixed_placeholders(piece: Piece) -> None:
    """Raise the error for a statement that has both `?` and `$name`."""
    found = placeholders(piece.text)
    for placeholder in found:
        if (placeholder.text == "?") != (found[0].text == "?"):
            raise mistake(
                piece, placeholder.start, "a statement has placeholders ? or $name, not both"
            )


def mistake(piece: Piece, position: int, message: str) -> ParseError:
    """`message` with line and column, the source line, and a caret below it."""
    before = piece.text[:position]
    start = before.rfind("\n") + 1
    line = piece.line + before.count("\n")
    column = position - start + 1
    shown = _source_line(piece.text[start:].split("\n", 1)[0], position - start)
    column += piece.column - 1 if line == piece.line else 0
    return ParseError(f"line {line}, column {column}: {message}\n{shown}", line, column)


def _source_line(source: str, at: int) -> str:
    """The line, or the part of a long line around `at`, with a caret below."""
    left = max(0, at - _WIDTH // 2) if len(source) > _WIDTH else 0
    window = "".join(char if char.isprintable() else " " for char in source[left : left + _WIDTH])
    return f"    {window.rstrip()}\n    {' ' * (at - left)}^"


def _unclosed(text: str, position: int) -> Lexeme | None:
    """The innermost parenthesis, string or comment that opens at `position` or before and never closes."""
    opened = []
    for lexeme in lexemes(text):
        if lexeme.kind == "unclosed" or lexeme.text == "(":
            opened.append(lexeme)
        elif lexeme.text == ")" and opened:
            opened.pop()
    return opened[-1] if opened and opened[0].start <= position else None


def _opening_sign(unclosed: Lexeme) -> str:
    if unclosed.text == "(":
        return "this parenthesis"
    if unclosed.text.startswith("/*"):
        return "this comment"
    return "this quoted name" if unclosed.text.startswith('"') else "this string"


def _found(text: str, position: int) -> str:
    """The lexeme at `position`, or nothing at the end."""
    lexeme = next(lexemes(text, position), None)
    return lexeme.text if lexeme else ""


def _shown(found: str) -> str:
    if not found:
        return "the end of the statement"
    short = found if len(found) <= 40 else found[:37] + "..."
    if not short.isprintable():
        return ascii(short)
    return f"the text {short}" if short.endswith("'") else f"'{short}'"


def _listing(expected: list[str]) -> str:
    *others, last = expected
    return f"{', '.join(others)} or {last}" if others else last


def _meant(found: str, expected: list[str]) -> str:
    """`, did you mean 'X'?` for a near keyword, else the advice for a typical mistake, or nothing."""
    keywords = [word for word in expected if word.isupper() and word.isalpha()]
    if "NODE" in keywords:
        keywords += sorted(DUCKDB_EXPLAINS)  # EXPLAIN SELCT was meant for DuckDB
    near = difflib.get_close_matches(found[:40].upper(), keywords, n=1, cutoff=0.7)
    if near and found.upper() != "OR":  # which has advice of its own
        return f", did you mean '{near[0]}'?"
    for pattern, legal, advice in ADVICE:
        if (not legal or legal in expected) and re.fullmatch(
            pattern, found, re.IGNORECASE | re.DOTALL
        ):
            return f"; {advice}"
    return ""
