"""Colours for what is being typed: Pygments' SQL, with the words and measures of sxq."""

from functools import cache

from pygments.lexer import inherit, words
from pygments.lexers.sql import SqlLexer
from pygments.token import Keyword, Name, Number, Operator, String

from sxq.language import keywords

STYLE = {
    "pygments.keyword": "#5f87d7 bold",
    "pygments.name.builtin": "#00afaf",
    "pygments.name.function": "#00afaf bold",
    "pygments.literal.string": "#87af5f",
    "pygments.literal.number": "#d7af5f",
    "pygments.comment": "#808080 italic",
    "pygments.operator": "",
    "pygments.name.variable": "#af87d7",
}


@cache
def lexer() -> type[SqlLexer]:
    """The lexer class; made on first use, because the keywords come from the grammar."""

    class SxqLexer(SqlLexer):
        """SQL, EXPLAIN and dot-commands."""

        name = "sxq"
        tokens = {
            "root": [
                (r"^\s*\.\w+", Name.Function),
                (r"\bfdl(?:\+|-(?!-)|_plus\b|_minus\b)", Name.Builtin),
                (r"\b(conc|lift|shapley|density|size|influence|variety)\b", Name.Builtin),
                (r"[?]\d*|\$\w+", Name.Variable),
                (r"'(?:[^']|'')*'", String),
                (r"\d+(?:\.\d+)?(?:e[+-]?\d+)?\b", Number),
                (
                    words(sorted(keywords(), key=len, reverse=True), prefix=r"\b", suffix=r"\b"),
                    Keyword,
                ),
                (r"[<>=!]+", Operator),
                inherit,
            ]
        }

    return SxqLexer
