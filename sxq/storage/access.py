"""What SQL may reach outside of the database, by the kind of connection.

*Untrusted* SQL reaches nothing. DuckDB itself refuses files, extensions and settings (`Access.config`), with two
gaps that the list of statements closes: it still reads and writes the database's own files by name, and it tells
settings and paths of this machine. *Read-only* SQL may write other files, but not the database's own.

The text is taken apart by DuckDB's own tokenizer, so that comments, quotes and names mean here what they mean there.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from sxq.errors import NotAllowed, SQLError, StoreError

MEMORY = 10**9  # bytes that untrusted SQL may take

# First word of an allowed statement; EXPLAIN is allowed if the statement after it is.
_STATEMENTS = {
    *("SELECT", "FROM", "WITH", "VALUES", "TABLE", "PIVOT", "UNPIVOT", "DESCRIBE", "DESC", "SHOW"),
    *("SUMMARIZE", "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "CREATE", "DROP", "ALTER"),
    *("COMMENT", "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "ANALYZE", "VACUUM"),
}
# The same, as DuckDB's parser calls them; MULTI is PIVOT.
_KINDS = {
    *(
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "MERGE_INTO",
        "CREATE",
        "CREATE_FUNC",
        "DROP",
        "ALTER",
    ),
    *("TRANSACTION", "EXPLAIN", "ANALYZE", "VACUUM", "MULTI"),
}
_SHOWN = {"TABLES", "ALL", "DATABASES", "SCHEMAS"}  # after SHOW: any other word may be a setting
# Functions and views that read files or tell settings, paths and secrets; and those that run text as SQL.
_REFUSED = re.compile(
    r"read_\w+|glob|sniff_csv|parquet_\w+|query|query_table|json_execute_serialized_sql|getenv"
    r"|json_serialize_plan|current_setting|write_log|which_secret|\w*arrow_scan\w*|\w*pandas_scan|python_\w+"
    r"|\w*external_resource\w*|start_ui\w*"
)
_REFUSED_VIEWS = re.compile(
    r"duckdb_(settings|databases|secrets?|secret_\w+|extensions?|extension_\w+|logs?|logs_\w+|log_\w+|temporary_files"
    r"|external_\w+|profiling_settings|variables|prepared_statements|connection_count)"
    r"|pragma_(database_list|user_agent|database_size)|pg_settings|pg_file_settings"
)
_LOGGING = {"enable_logging", "enable_profiling"}  # settings, and functions
_WRITES_FILES = {"profile_output", "profiling_output", "log_query_path", *_LOGGING}
_PREFIX = re.compile(r"(?:duckdb:|file:(?://(?:localhost)?(?=/))?)", re.IGNORECASE)


class Token(NamedTuple):
    """A token of SQL; `kind` is DuckDB's: keyword, identifier, operator, string_const or numeric_const."""

    kind: str
    text: str

    @property
    def word(self) -> str:
        """A keyword or an unquoted name in capitals; empty for everything else."""
        plain = self.kind in ("keyword", "identifier") and not self.text.startswith('"')
        return self.text.upper() if plain else ""

    @property
    def name(self) -> str:
        """A name, quoted or not, in small letters; empty for everything else."""
        if self.kind not in ("keyword", "identifier"):
            return ""
        return self.text.strip('"').replace('""', '"').lower()


@dataclass(frozen=True)
class Access:
    """What the SQL of a connection may do.

    untrusted  it reaches nothing outside of the database
    read_only  it changes nothing in the database's files
    folders    what `require_readable` admits for untrusted statements
    memory     bytes that untrusted SQL may take, and that one of its results may take in Python
    """

    read_only: bool = False
    untrusted: bool = False
    folders: tuple[Path, ...] = ()
    memory: int = MEMORY

    def config(self) -> dict[str, Any]:
        """DuckDB's configuration; it holds for all connections to the database in this process."""
        if not self.untrusted:
            return {}
        return {
            "enable_external_access": "false",
            "python_enable_replacements": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "allow_persistent_secrets": "false",
            "memory_limit": f"{self.memory}B",
            "temp_directory": "",  # DuckDB would let SQL read and write this folder
            "lock_configuration": "true",
        }

    @property
    def most_bytes(self) -> int | None:
        """The most bytes of a result; None for any number."""
        return self.memory if self.untrusted else None

    def check(self, connection: duckdb.DuckDBPyConnection, sql: str, own: str | None) -> None:
        """Raise NotAllowed for SQL that reaches further than it may; `own` is the path of the database."""
        if self.untrusted:
            _require_harmless(connection, sql)
        if self.read_only and own is not None:
            _require_other_files(sql, Path(own))

    def require_readable(self, path: str) -> None:
        """Raise NotAllowed for a file that an untrusted statement must not read."""
        if not self.untrusted:
            return
        try:
            found = Path(path).resolve()
        except (OSError, ValueError, RuntimeError):
            found = None
        if found is None or not any(found.is_relative_to(folder) for folder in self.folders):
            known = ", ".join(map(str, self.folders)) or "none"
            raise NotAllowed(
                f"{path!r}: this connection is untrusted and reads files only in folders that were allowed"
                f" when it was opened: {known}"
            )

    def require_trusted(self, what: str) -> None:
        """Raise NotAllowed if the connection is untrusted and must not do this."""
        if self.untrusted:
            raise NotAllowed(f"{what} is not allowed on an untrusted connection")


def tokens(sql: str) -> list[Token]:
    """The tokens of SQL without comments; raises SQLError for text that has none."""
    try:
        found = duckdb.tokenize(sql)
    except duckdb.Error as error:
        raise SQLError(str(error)) from error
    text = sql.encode()
    ends = [start for start, _ in found[1:]] + [len(text)]
    return [
        Token(kind.name, text[start:end].decode().strip())
        for (start, kind), end in zip(found, ends)
        if kind.name != "comment"
    ]


# -- untrusted SQL -------------------------------------------------------------------------------


def _require_harmless(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    try:
        kinds = [statement.type.name for statement in connection.extract_statements(sql)]
    except duckdb.Error as error:
        raise SQLError(str(error)) from error
    except (
        ValueError
    ):  # a statement that DuckDB's interface has no name for, such as UPDATE EXTENSIONS
        kinds = ["this statement"]
    found = tokens(sql)
    for statement in _statements(found):
        _require_allowed_statement(statement)
    for kind in kinds:
        if kind not in _KINDS:
            raise _refused(kind)
    for place, (token, after) in enumerate(pairwise([*found, Token("operator", "")])):
        called = after.text == "("
        begins = not place or found[place - 1].text in ("(", ";") or found[place - 1].word == "AS"
        if token.word == "SHOW" and begins and after.name and after.word not in _SHOWN:
            raise NotAllowed(
                f"SHOW {after.text} could show a setting, which is not allowed on an untrusted connection;"
                " for a table say DESCRIBE"
            )
        if _REFUSED_VIEWS.fullmatch(token.name) or (called and _REFUSED.fullmatch(token.name)):
            raise _refused(token.name)
    if next(_copies(found), None) is not None:
        raise _refused("COPY")


def _statements(found: Sequence[Token]) -> Iterator[list[Token]]:
    """The tokens of each statement."""
    statement: list[Token] = []
    for token in found:
        if token.text == ";":
            yield statement
            statement = []
        else:
            statement.append(token)
    yield statement


def _require_allowed_statement(statement: Sequence[Token]) -> None:
    words = [token.word for token in statement if not token.text.startswith("(")]
    if not statement or statement[0].text.startswith("("):
        return
    if words[0] == "EXPLAIN":
        _require_allowed_statement(_explained(statement))
    elif words[0] not in _STATEMENTS:
        raise _refused(words[0] or statement[0].text)
    elif words[0] in ("CREATE", "DROP", "ALTER") and "SECRET" in words[1:5]:
        raise _refused(f"{words[0]} SECRET")
    elif words[:2] == ["ALTER", "DATABASE"]:  # under another name the engine does not find it
        raise NotAllowed("ALTER DATABASE is not allowed on an untrusted connection")


def _explained(statement: Sequence[Token]) -> Sequence[Token]:
    """The statement after EXPLAIN, ANALYZE and options in parentheses."""
    rest = list(statement[1:])
    while rest and rest[0].word == "ANALYZE":
        rest = rest[1:]
    if rest and rest[0].text == "(" and len(rest) > 1 and rest[1].word in ("ANALYZE", "FORMAT"):
        rest = rest[[token.text for token in rest].index(")") + 1 :] if _closed(rest) else []
    return rest


def _closed(rest: Sequence[Token]) -> bool:
    return any(token.text == ")" for token in rest)


def _refused(what: str) -> NotAllowed:
    return NotAllowed(
        f"{what} is not allowed on an untrusted connection: SQL there neither reads nor writes files, and sees or"
        " changes no settings"
    )


# -- files of a read-only database ---------------------------------------------------------------


def _copies(found: Sequence[Token]) -> Iterator[int]:
    """The places of COPY where it begins a statement, which may stand in a WITH."""
    for place, token in enumerate(found):
        if token.word != "COPY" or place + 1 == len(found):
            continue
        before = found[place - 1] if place else Token("operator", ";")
        begins = before.text in (";", "(", ")") or before.word in ("EXPLAIN", "ANALYZE", "AS")
        after = found[place + 1]
        if begins and (after.name or after.kind == "string_const" or after.text == "("):
            yield place


def _require_other_files(sql: str, own: Path) -> None:
    found = tokens(sql)
    for place in _copies(found):
        _require_copy_elsewhere(found[place:], own)
    for statement in _statements(found):
        words = [token.word for token in statement]
        first = words[0] if words else ""
        if first in ("EXPORT", "IMPORT") or (first == "PRAGMA" and "IMPORT_DATABASE" in words):
            raise NotAllowed(
                f"{first} DATABASE is not allowed on a read-only connection; open the database without read_only"
            )
        if first in ("CREATE", "DROP") and "SECRET" in words[1:5] and "PERSISTENT" in words[1:4]:
            raise NotAllowed(f"{first} PERSISTENT SECRET is not allowed on a read-only connection")
        if wrong := _logging(statement):
            raise NotAllowed(
                f"{wrong} can write a file, which is not allowed on a read-only connection"
            )
        if first == "ATTACH":
            _require_elsewhere("ATTACH", _first_path(statement), own)


def _logging(statement: Sequence[Token]) -> str:
    """What writes a log or a profile of statements to a file: a setting or a function; or empty."""
    sets = bool(statement) and statement[0].word in ("SET", "PRAGMA", "CALL")
    for token, after in pairwise([*statement, Token("operator", "")]):
        if token.name in (_WRITES_FILES if sets else _LOGGING) and (sets or after.text == "("):
            return token.name
    return ""


def _require_copy_elsewhere(copy: Sequence[Token], own: Path) -> None:
    depth = 0
    if [token.word for token in copy[1:3]] == ["FROM", "DATABASE"]:
        return  # into a database that is attached, which is another one
    for place, token in enumerate(copy[1:], start=1):
        if token.text == ";" or depth < 0:
            return
        if depth == 0 and token.word == "TO":
            _require_elsewhere("COPY TO", copy[place + 1 : place + 2], own)
            return
        depth += token.text.count("(") - token.text.count(")") if token.kind == "operator" else 0


def _first_path(statement: Sequence[Token]) -> Sequence[Token]:
    """The token after ATTACH, DATABASE, OR REPLACE and IF NOT EXISTS."""
    skipped = ("ATTACH", "DATABASE", "OR", "REPLACE", "IF", "NOT", "EXISTS")
    return [token for token in statement if token.word not in skipped][:1]


def _require_elsewhere(what: str, target: Sequence[Token], own: Path) -> None:
    """Raise NotAllowed unless the target is a path in quotes that cannot be one of the database's own files."""
    text = target[0].text if target else ""
    if what == "COPY TO" and target and target[0].word in ("STDOUT", "STDERR"):
        return
    if not re.fullmatch(r"'(?:[^']|'')*'", text, re.DOTALL):
        raise NotAllowed(
            f"{what} {text}: on a read-only connection the path stands in plain quotes, so that it can be compared"
            " with the database's own"
        )
    path = text[1:-1].replace("''", "'")
    while match := _PREFIX.match(path):
        path = path[match.end() :]
    if _same_file(Path(path).expanduser(), own):
        raise NotAllowed(
            f"{what} {text} could write the database {str(own)!r}, which was opened read-only; choose another file"
        )


def _same_file(path: Path, own: Path) -> bool:
    """Whether writing to `path`, or to files below it, could change the database, its log or a file that replaces it."""
    try:
        target = path.resolve()
        for kept in (own, own.with_name(own.name + ".wal")):
            real = kept.resolve()
            # DuckDB writes tmp_NAME first
            names = {target, target.with_name(f"tmp_{target.name}")}
            if real in names or kept.absolute() in names or real.is_relative_to(target):
                return True
            if path.exists() and kept.exists() and path.samefile(kept):
                return True
        return False
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(f"cannot use the path {str(path)!r}: {error}") from None
