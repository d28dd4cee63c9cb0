"""The words that may come next: words of the grammar, names of the catalog, tables and columns of SQL.

`suggest(text, vocabulary)` is pure, so that tests and editors need no terminal: the grammar says which words are
legal after `text`, and the keyword before the cursor says which names are meant by `a name`.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path

from sxq import language
from sxq.language.lexemes import Lexeme, lexemes
from sxq.session.vocabulary import Vocabulary
from sxq.shell.output_modes import MODES
from sxq.shell.script_steps import is_dot_command

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
_RESERVED = {word for phrase in SQL for word in phrase.split()} | {
    *(
        "INNER",
        "OUTER",
        "FULL",
        "RIGHT",
        "CROSS",
        "NATURAL",
        "SEMI",
        "ANTI",
        "ASOF",
        "WINDOW",
        "QUALIFY",
    ),
    *(
        "EXCEPT",
        "INTERSECT",
        "OFFSET",
        "SAMPLE",
        "PIVOT",
        "UNPIVOT",
        "SET",
        "GROUP",
        "ORDER",
        "UNION",
    ),
}  # no aliases
_PARTIAL = re.compile(r"[\w$]+[+-]?$|\.\w*$")


def suggest(
    text: str, vocabulary: Vocabulary, commands: tuple[str, ...] = (), after: str = ""
) -> tuple[str, list[str]]:
    """The word being typed at the end of `text`, and its possible completions, the likeliest first.

    `after` is what stands behind the cursor: a FROM there tells which tables the names before it are of.
    """
    if is_dot_command(text):
        return _dot_command(text.lstrip(), vocabulary, commands)
    statement = _last_statement(text)
    found = _PARTIAL.search(statement)
    partial = found.group().removeprefix(".") if found else ""
    before = statement[: len(statement) - len(partial)]
    near = [
        word
        for word in _candidates(before, vocabulary, after)
        if word.upper().startswith(partial.upper())
    ]
    return partial, [word for word in dict.fromkeys(near) if word.upper() != partial.upper()]


def _candidates(before: str, vocabulary: Vocabulary, after: str) -> list[str]:
    words = list(lexemes(before))
    if words and words[-1].kind in ("unclosed", "string"):
        return []
    if not words:
        return [*_keywords(language.continuations("")), *SQL]
    rest = _first_statement(after)
    query = _open_query(words)
    if query is not None:
        return _sql(query, vocabulary, rest)
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
    return _sql(words, vocabulary, rest)


def _first_statement(text: str) -> list[Lexeme]:
    """The words up to the end of the statement that the cursor is in."""
    return list(takewhile(lambda word: word.text != ";", lexemes(text)))


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


def _sql(words: list[Lexeme], vocabulary: Vocabulary, rest: list[Lexeme]) -> list[str]:
    """Tables after FROM and its like; after `t.` the columns of t; else columns of the tables named, and keywords.

    Columns of the tables that stand behind the cursor count, too; `rest` holds the words there.
    """
    upper = [word.text.upper() for word in words]
    tables = vocabulary.tables
    if upper and upper[-1] == "." and len(upper) > 1:
        named = _tables_in([*words[:-2], _HERE, *rest], tables)
        return list(map(_quoted, tables.get(_table_of(_plain(words[-2]), named, tables), ())))
    if upper and upper[-1] in _AFTER_TABLES:
        return [_quoted(name) for name in tables]
    named = _tables_in([*words, _HERE, *rest], tables)
    of = list(dict.fromkeys(table for table, _ in named)) or list(tables)
    return [
        *(_quoted(column) for table in of for column in tables[table]),
        *(_quoted(alias) for table, alias in named if alias != table),
        *SQL,
        *map(_quoted, tables),
    ]


_HERE = Lexeme("symbol", "|", 0)  # stands for the cursor, so that words around it are no neighbours


def _tables_in(words: list[Lexeme], tables: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """The tables that a query names, each with its alias, or with its own name where it has none."""
    known = {name.lower(): name for name in tables}
    found = []
    for number, word in enumerate(words):
        table = known.get(_plain(word).lower())
        if (
            table is None
            or word.kind not in ("word", "quoted")
            or not _names_a_table(words, number)
        ):
            continue
        following = [w for w in words[number + 1 : number + 3] if w.text.upper() != "AS"][:1]
        alias = following[0] if following else _HERE
        is_alias = alias.kind in ("word", "quoted") and alias.text.upper() not in _RESERVED
        found.append((table, _plain(alias) if is_alias else table))
    return found


def _names_a_table(words: list[Lexeme], number: int) -> bool:
    """Whether a word stands where a table does: behind FROM, JOIN, INTO or a comma, a schema in between or not."""
    while number >= 2 and words[number - 1].text == ".":
        number -= 2
    return number > 0 and words[number - 1].text.upper() in (*_AFTER_TABLES, ",")


def _table_of(name: str, named: list[tuple[str, str]], tables: Mapping) -> str:
    """The table that `name` stands for, as in `FROM explanations e` or `explanations AS e`."""
    wanted = name.lower()
    for table, alias in named:
        if alias.lower() == wanted:
            return table
    return next((table for table in tables if table.lower() == wanted), name)


def _plain(word: Lexeme) -> str:
    """The name that a word is, without its quotes."""
    return word.text[1:-1].replace('""', '"') if word.kind == "quoted" else word.text


def _quoted(name: str) -> str:
    plain = re.fullmatch(r"[^\W\d]\w*[+-]?", name)
    return name if plain else '"' + name.replace('"', '""') + '"'


def _dot_command(
    text: str, vocabulary: Vocabulary, commands: tuple[str, ...]
) -> tuple[str, list[str]]:
    name, blank, argument = text[1:].partition(" ")
    if not blank:
        return text, [
            f".{command}"
            for command in commands
            if text[0] == "." and command.startswith(name) and command != name
        ]
    if text[0] == "\\":
        name = {"i": "read", "o": "output"}.get(name, "tables" if name[:1] == "d" else "")
    known = {
        "mode": tuple(sorted(MODES)),
        "timer": ("off", "on"),
        "pager": ("off", "on"),
        "schema": tuple(vocabulary.tables),
        "tables": tuple(vocabulary.tables),
        "help": (*commands, *_topics(vocabulary)),
    }
    first, second, last = argument.rpartition(" ")
    if name == "import" and second and first.strip():
        return last, [table for table in vocabulary.tables if table.startswith(last)]
    if name in _WITH_FILES:
        return argument, list(_paths(argument))
    return argument, [
        word for word in known.get(name, ()) if word.startswith(argument) and word != argument
    ]


_WITH_FILES = ("read", "output", "once", "plot", "report", "export", "open", "import")


def _topics(vocabulary: Vocabulary) -> list[str]:
    """The words of the engine that `.help` tells of, without keywords."""
    return [
        *vocabulary.measures,
        *vocabulary.generators,
        *vocabulary.options,
        *vocabulary.pretraining,
        *vocabulary.settings,
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
