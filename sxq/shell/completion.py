"""The words that may come next: words of the grammar, names of the catalog, tables and columns of SQL.

`suggest(text, vocabulary)` is pure, so that tests and editors need no terminal: the grammar says which words are
legal after `text`, and the keyword before the cursor says which names are meant by `a name`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from sxq import language
from sxq.language.lexemes import Lexeme, lexemes
from sxq.session.vocabulary import Vocabulary
from sxq.shell.output_modes import MODES

SQL = (
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "JOIN",
    "LEFT JOIN",
    "USING",
    "ON",
    "AS",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS NULL",
    "IS NOT NULL",
    "BETWEEN",
    "LIKE",
    "DISTINCT",
    "UNION ALL",
    "WITH",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "count(",
    "sum(",
    "avg(",
    "min(",
    "max(",
    "median(",
    "round(",
    "list(",
    "unnest(",
    "DESC",
    "CREATE TABLE",
    "CREATE VIEW",
    "INSERT INTO",
    "VALUES",
    "COPY",
    "DESCRIBE",
    "SUMMARIZE",
)
_AFTER_TABLES = ("FROM", "JOIN", "INTO", "TABLE", "DESCRIBE", "SUMMARIZE", "UPDATE", "COPY")
_NAMES = {  # the last keyword before a name, and what it names
    "MODEL": "models",
    "GRAPH": "graphs",
    "GRAPHS": "collections",
    "REFINE": "refines",
    "OPTIMIZE": "measures",
    "WHERE": "measures",
    "AND": "measures",
    "NOT": "",
    "SET": "settings",
    "RESET": "settings",
    "BY": "generators",
    "LABELS": "labels",
    "TYPE": "node_types",
}
_VALUES = {
    "architecture": "architectures",
    "pretrained": "refines",
    "explainer": "explainers",
}  # of options
_PARTIAL = re.compile(r"[\w$]+[+-]?$|\.\w*$")


def suggest(
    text: str, vocabulary: Vocabulary, commands: tuple[str, ...] = ()
) -> tuple[str, list[str]]:
    """The word being typed at the end of `text`, and its possible completions, the likeliest first."""
    if text.lstrip().startswith("."):
        return _dot_command(text.lstrip(), vocabulary, commands)
    statement = _last_statement(text)
    found = _PARTIAL.search(statement)
    partial = found.group().removeprefix(".") if found else ""
    before = statement[: len(statement) - len(partial)]
    near = [
        word for word in _candidates(before, vocabulary) if word.upper().startswith(partial.upper())
    ]
    return partial, [word for word in dict.fromkeys(near) if word.upper() != partial.upper()]


def _candidates(before: str, vocabulary: Vocabulary) -> list[str]:
    words = list(lexemes(before))
    if words and words[-1].kind in ("unclosed", "string"):
        return []
    if not words:
        return [*_keywords(language.continuations("")), *SQL]
    query = _open_query(words)
    if query is not None:
        return _sql(query, vocabulary)
    if words[0].text.upper() in (
        "CREATE",
        "DROP",
        "SHOW",
        "DESCRIBE",
        "SET",
        "RESET",
    ) or language.is_sxq(before):
        legal = language.continuations(before)
        if legal:
            return [*_named(words, vocabulary, legal), *_keywords(legal)]
    return _sql(words, vocabulary)


def _last_statement(text: str) -> str:
    end = max((lexeme.end for lexeme in lexemes(text) if lexeme.text == ";"), default=0)
    return text[end:]


def _open_query(words: list[Lexeme]) -> list[Lexeme] | None:
    """The words of a sub-query (SELECT ... that is not closed yet, or None."""
    opened = []
    for number, word in enumerate(words):
        if word.text == "(":
            opened.append(number)
        elif word.text == ")" and opened:
            opened.pop()
    for number in opened:
        follows = words[number + 1].text.upper() if number + 1 < len(words) else ""
        behind = words[number - 1].text.upper() if number else ""
        if follows in ("SELECT", "FROM", "WITH") or (
            not follows and behind in ("NODES", "EDGES", "GRAPHS", "FEATURES", "INCLUDE", "EXCLUDE")
        ):
            return words[number + 1 :]
    return None


def _keywords(legal: list[str]) -> list[str]:
    return [word for word in legal if word.isupper() and word.isalpha()]


def _named(words: list[Lexeme], vocabulary: Vocabulary, legal: list[str]) -> list[str]:
    """The names of the catalog that may stand here."""
    if "a name" not in legal:
        return []
    if _in_options(words):
        return _options(words, vocabulary)
    last = next((w.text.upper() for w in reversed(words) if w.text.upper() in _NAMES), "")
    if _defines(words):
        return []  # a name of the user's choice
    return [_quoted(name) for name in getattr(vocabulary, _NAMES.get(last, ""), ())]


def _defines(words: list[Lexeme]) -> bool:
    """Whether the name that comes next is a new one: CREATE GRAPH ..., TRAIN MODEL ..., INTO ..."""
    texts = [word.text.upper() for word in words]
    told = {"CREATE": "ON", "TRAIN": "ON", "PRETRAIN": "FOR"}.get(
        texts[0]
    )  # the first word behind the new name
    return texts[-1] == "INTO" or told is not None and told not in texts


def _in_options(words: list[Lexeme]) -> bool:
    depth = sum({"(": 1, ")": -1}.get(word.text, 0) for word in words)
    return depth > 0


def _options(words: list[Lexeme], vocabulary: Vocabulary) -> list[str]:
    """Names of options, or after `ARCHITECTURE =` and its like their values."""
    texts = [word.text.lower() for word in words]
    if texts[-1] == "=":
        return list(getattr(vocabulary, _VALUES.get(texts[-2], ""), ()))
    opening = len(texts) - 1 - texts[::-1].index("(")
    match words[0].text.upper():
        case "CREATE" if _created(texts) != "model":
            return ["UNDIRECTED", "ENCODE", "SCALE", "DANGLING", "STORAGE"]
        case "CREATE" | "TRAIN":
            return [name.upper() for name in vocabulary.options]
        case "PRETRAIN":
            return [name.upper() for name in vocabulary.pretraining]
    return list(vocabulary.generators.get(texts[opening - 1], ()))


def _created(texts: list[str]) -> str:
    """What a CREATE statement creates: graph, graphs or model."""
    return next((text for text in texts if text in ("graph", "graphs", "model")), "")


def _sql(words: list[Lexeme], vocabulary: Vocabulary) -> list[str]:
    """Tables after FROM and its like; after `t.` the columns of t; else columns of the tables named, and keywords."""
    texts = [word.text for word in words]
    upper = [text.upper() for text in texts]
    tables = vocabulary.tables
    if texts and texts[-1] == "." and len(texts) > 1:
        return list(tables.get(_aliased(texts[-2], texts, tables), ()))
    if upper and upper[-1] in _AFTER_TABLES:
        return [_quoted(name) for name in tables]
    named = [name for name in tables if name in texts] or list(tables)
    return [
        *(_quoted(column) for name in named for column in tables[name]),
        *SQL,
        *map(_quoted, tables),
    ]


def _aliased(name: str, texts: list[str], tables) -> str:
    """The table that `name` stands for, as in `FROM explanations e` or `explanations AS e`."""
    for table, alias, third in zip(texts, [*texts[1:], ""], [*texts[2:], "", ""]):
        if table in tables and name in (alias, third if alias.upper() == "AS" else table):
            return table
    return name


def _quoted(name: str) -> str:
    plain = re.fullmatch(r"[^\W\d]\w*[+-]?", name)
    return name if plain else '"' + name.replace('"', '""') + '"'


def _dot_command(
    text: str, vocabulary: Vocabulary, commands: tuple[str, ...]
) -> tuple[str, list[str]]:
    name, blank, argument = text[1:].partition(" ")
    if not blank:
        return text, [
            f".{command}" for command in commands if command.startswith(name) and command != name
        ]
    known = {
        "mode": tuple(sorted(MODES)),
        "timer": ("off", "on"),
        "pager": ("off", "on"),
        "schema": tuple(vocabulary.tables),
        "tables": tuple(vocabulary.tables),
        "help": commands,
    }
    if name in ("read", "output", "once", "plot", "report", "export"):
        return argument, list(_paths(argument))
    return argument, [
        word for word in known.get(name, ()) if word.startswith(argument) and word != argument
    ]


def _paths(start: str) -> Iterator[str]:
    """Files and folders whose path begins with `start`."""
    folder, slash, beginning = start.rpartition("/")
    try:
        found = sorted(Path(folder + slash or ".").iterdir())
    except OSError:
        return
    for path in found:
        if path.name.startswith(beginning) and (beginning or not path.name.startswith(".")):
            yield f"{folder}{slash}{path.name}{'/' if path.is_dir() else ''}"
