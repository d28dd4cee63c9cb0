"""Dot-commands: commands to the shell, not to the engine. One function each; its docstring is its help."""

import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from textwrap import fill
from typing import Protocol

from sxq.connection import Connection
from sxq.errors import InvalidValue, UnknownName
from sxq.shell import programs, table_files
from sxq.shell.help_topics import known_topics, topics
from sxq.shell.output_modes import MODES, Look
from sxq.values.result import Result, Table

QUIT = -1  # returned by `run`: leave the shell


class CommandContext(Protocol):
    """The parts of a `Shell` that dot-commands use."""

    con: Connection
    mode: str
    look: Look
    fancy: bool
    timer: bool
    pager: bool
    statement: str

    def run(self, script: str) -> int: ...

    def read(self, path: str) -> int: ...

    def open(self, path: str) -> None: ...

    def show(self, result: Table) -> None: ...

    def write(self, lines: Iterable[str]) -> None: ...

    def output(self, path: str | None, once: bool = False) -> None: ...


@dataclass(frozen=True)
class Command:
    """A dot-command: the arguments that follow its name, and its function.

    whole  the rest of the line is one argument, as it stands
    """

    usage: str
    run: Callable[..., int | None]
    whole: bool = False

    @property
    def summary(self) -> str:
        """One line of help."""
        return (self.run.__doc__ or "").strip().split("\n")[0]

    def takes(self, count: int) -> bool:
        """Whether the command may be called with that many arguments."""
        words = self.usage.split()
        least = sum(not word.startswith(("[", "...")) for word in words)
        return least <= count and (count <= len(words) or self.usage.endswith("...]"))


COMMANDS: dict[str, Command] = {}


PSQL = {  # the names that users of psql know, and the commands that do the same
    "\\d": "tables",
    "\\dt": "tables",
    "\\dn": "graphs",
    "\\e": "edit",
    "\\i": "read",
    "\\o": "output",
    "\\q": "quit",
    "\\!": "shell",
    "\\?": "help",
    "\\timing": "timer",
}


def run(shell: CommandContext, text: str) -> int:
    """Run one dot-command, given without its dot; return the exit code, or QUIT.

    Raises UnknownName and InvalidValue.
    """
    name, rest = _split(text)
    if not name:
        raise InvalidValue("a dot without a command; .help lists them")
    if name not in COMMANDS:
        raise UnknownName("dot-command", name, [*COMMANDS, *(PSQL if name[0] == "\\" else ())])
    command = COMMANDS[name]
    arguments = _arguments(name, rest, command.whole)
    if not command.takes(len(arguments)):
        raise InvalidValue(f".{text}: expected .{name} {command.usage}".rstrip())
    return command.run(shell, *arguments) or 0


def _split(text: str) -> tuple[str, str]:
    """The name of a command and the rest of its line; a name of psql becomes ours."""
    found = re.match(r"(\\?!|\S*)\s*(.*)", text, re.DOTALL)
    assert found is not None, "every text has a beginning"
    name, rest = found[1], found[2].strip()
    if not name.startswith("\\"):
        return name.lower(), rest
    name, rest = name.removesuffix(";").removesuffix("+"), rest.removesuffix(";").rstrip()
    if name == "\\d" and rest:
        return "schema", rest
    return PSQL.get(name, name), rest


def _arguments(name: str, rest: str, whole: bool) -> list[str]:
    """The words after the name, split as a Unix shell splits them."""
    if whole:
        return [rest] if rest else []
    try:
        return shlex.split(rest)
    except ValueError as problem:
        if name != "print":  # which writes its text as it stands
            raise InvalidValue(f".{name} {rest}: {str(problem).lower()}") from None
        return [rest]


def dot(name: str, usage: str = "", *, whole: bool = False):
    """Register a function as a dot-command."""

    def register(function):
        COMMANDS[name] = Command(usage, function, whole)
        return function

    return register


@dot("help", "[WORD]")
def _help(shell, word=None):
    """list the dot-commands, or say all that WORD means: command, keyword, measure, generator, option, setting"""
    if word is None:
        rows = [
            (f".{name} {command.usage}".rstrip(), command.summary)
            for name, command in COMMANDS.items()
        ]
        return shell.show(Table(["command", "what it does"], rows))
    name = PSQL.get("\\" + word.removeprefix("\\"), word.removeprefix("."))
    command = COMMANDS.get(name.lower())
    texts = [f".{name.lower()} {command.usage}: {command.summary}"] if command else []
    texts += [] if word.startswith((".", "\\")) else topics(shell.con, word)
    if not texts:
        known = dict.fromkeys([*COMMANDS, *known_topics(shell.con)])
        raise UnknownName(
            "dot-command, keyword, measure, generator, option or setting", word, known
        )
    shell.write(_fitted("\n\n".join(texts), shell.fancy))


def _fitted(text: str, fancy: bool) -> Iterable[str]:
    """Lines of help; a person's terminal gets no longer ones than it is wide, broken between words."""
    width = shutil.get_terminal_size().columns if fancy else sys.maxsize
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()))
        fits = len(line) <= width
        yield line if fits else fill(line, width, subsequent_indent=indent, break_on_hyphens=False)


def _shows(name: str, statement: str, summary: str) -> None:
    """A dot-command that stands for a statement."""

    def command(shell):
        shell.show(shell.con.execute(statement))

    command.__doc__ = summary
    dot(name)(command)


for _listed in ("graphs", "models", "measures", "generators", "queries", "settings"):
    _shows(_listed, f"SHOW {_listed.upper()}", f"list the {_listed}: SHOW {_listed.upper()}")

_NAMED = (
    "CASE WHEN schema_name = 'main' THEN table_name ELSE schema_name || '.' || table_name END"
    ' AS "table"'
)
_TABLES = f"""SELECT * FROM (
                  SELECT {_NAMED}, count(*) AS columns, string_agg(column_name, ', ' ORDER BY column_index) AS names
                  FROM duckdb_columns() WHERE NOT internal AND contains(table_name, $part) GROUP BY ALL)
              ORDER BY starts_with("table", 'sxq.'), 1"""
_SCHEMA = f"""SELECT {_NAMED}, column_name AS "column", data_type AS type
              FROM duckdb_columns() WHERE NOT internal AND CASE WHEN $name = ''
              THEN schema_name = 'main'
                   OR schema_name <> 'sxq' AND table_oid IN (SELECT table_oid FROM duckdb_tables())  -- no graph's views
              ELSE lower($name) IN (lower(table_name), lower(schema_name), lower(schema_name || '.' || table_name),
                                    lower(database_name || '.' || schema_name || '.' || table_name)) END
              ORDER BY database_name, starts_with("table", 'sxq.'), "table", column_index"""


@dot("tables", "[PART]")
def _tables(shell, part=""):
    """list tables and views, or only those whose name contains PART"""
    shell.show(shell.con.execute(_TABLES, {"part": part}))


@dot("schema", "[NAME]")
def _schema(shell, name=""):
    """list columns with their types: of all your tables, or of the table or graph NAME"""
    found = shell.con.execute(_SCHEMA, {"name": name.replace('"', "").rstrip(";")})
    if name and not found.rows:
        raise UnknownName("table", name, shell.con.vocabulary().tables)
    several = not name or len({row[0] for row in found.rows}) > 1
    rows = found.rows if several else [row[1:] for row in found.rows]
    shell.show(Table(found.columns if several else found.columns[1:], rows))


@dot("mode", "[MODE] [TABLE]")
def _mode(shell, mode=None, table=None):
    """set or show the format of results, such as box, csv or json; of insert also the table that it names"""
    if mode is None:
        return shell.write([shell.mode])
    if mode not in MODES:
        raise UnknownName("mode", mode, MODES)
    if table is not None and mode != "insert":
        raise InvalidValue(f".mode {mode} {table}: only insert takes a table")
    shell.mode = mode
    shell.look = replace(shell.look, name=table or shell.look.name)


@dot("nullvalue", "[TEXT]")
def _nullvalue(shell, text=None):
    """set or show what is written for NULL, except in json, jsonlines and insert"""
    if text is None:
        return shell.write([repr(shell.look.null or "")])
    shell.look = replace(shell.look, null=text)


@dot("maxrows", "[COUNT]")
def _maxrows(shell, count=None):
    """set or show the most rows of a table or a box; 0 for all"""
    if count is None:
        return shell.write([str(shell.look.most or 0)])
    shell.look = replace(shell.look, most=_whole(f".maxrows {count}", count) or None)


@dot("width", "[COUNT ...]")
def _width(shell, *counts):
    """set or show the characters of the first columns of a table or a box; 0 for as wide as the content"""
    if not counts:
        return shell.write([" ".join(map(str, shell.look.widths)) or "0"])
    said = f".width {' '.join(counts)}"
    shell.look = replace(shell.look, widths=tuple(_whole(said, count) for count in counts))


def _whole(said: str, count: str) -> int:
    if not (count.isascii() and count.isdigit() and len(count) < 10):
        raise InvalidValue(f"{said}: expected a whole number of 0 or more, found {count!r}")
    return int(count)


@dot("timer", "[on|off]")
def _timer(shell, switch=None):
    """switch the printing of the time of each statement, or show whether it is on"""
    if switch is None:
        return shell.write(["on" if shell.timer else "off"])
    shell.timer = _switched("timer", switch)


@dot("pager", "[on|off]")
def _pager(shell, switch=None):
    """switch the pager for results that do not fit the terminal, or show whether it is on"""
    if switch is None:
        return shell.write(["on" if shell.pager else "off"])
    shell.pager = _switched("pager", switch)


def _switched(name: str, switch: str) -> bool:
    if switch not in ("on", "off"):
        raise InvalidValue(f".{name} {switch}: expected on or off")
    return switch == "on"


@dot("open", "[FILE]")
def _open(shell, path=None):
    """close the database and open another, created if missing (:memory: for none); alone, show which is open"""
    if path is None:
        return shell.write([shell.con.session.store.path or ":memory:"])
    shell.con.rights.require_trusted(".open")
    shell.open(path)


@dot("import", "FILE TABLE")
def _import(shell, path, table):
    """read a file (csv, tsv, parquet, json, also .gz and .zst) into a table: a new one, or at the end of an old one"""
    shell.con.rights.require_trusted(".import")
    shell.write([table_files.read_into(shell.con, path, table)])


@dot("edit")
def _edit(shell):
    """change the last statement in your editor ($VISUAL or $EDITOR), then run it"""
    shell.con.rights.require_trusted(".edit")
    text = programs.edited(shell.statement)
    return shell.run(text) if text else shell.write(["nothing was changed, so nothing is run"])


@dot("shell", "COMMAND", whole=True)
def _system(shell, command):
    """run a command of the operating system"""
    shell.con.rights.require_trusted(".shell")
    programs.run_command(command)


@dot("read", "FILE")
def _read(shell, path):
    """run the script in a file; it stops at the first error"""
    shell.con.rights.require_readable(path)
    return shell.read(path)


@dot("output", "[FILE]")
def _output(shell, path=None):
    """write results to a file, or back to the terminal"""
    if path:
        shell.con.rights.require_trusted(".output FILE")
    shell.output(path)


@dot("once", "FILE")
def _once(shell, path):
    """write the next result to a file"""
    shell.con.rights.require_trusted(".once")
    shell.output(path, once=True)


@dot("draw", "[RANK]")
def _draw(shell, rank=None):
    """draw the explanations of the last EXPLAIN as text, or those of one rank"""
    members = [e for e in _last(shell) if rank is None or str(e.rank) == rank]
    if not members:
        raise InvalidValue(
            f".draw {rank}: the last answer has ranks "
            + ", ".join(str(e.rank) for e in _last(shell))
        )
    for e in members:
        flags = " and ".join(name for name in ("factual", "counterfactual") if getattr(e, name))
        title = f"{e.rank}: {e.size} {'edge' if e.size == 1 else 'edges'}, {flags}"
        shell.write([title, *(f"  {line}" for line in e.draw().split("\n")), ""])


@dot("plot", "FILE")
def _plot(shell, path):
    """draw the last answer with matplotlib into a file, such as answer.png or answer.svg"""
    shell.con.rights.require_trusted(".plot")
    _last(shell).plot(path)
    shell.write([f"wrote {path}"])


@dot("export", "FILE")
def _export(shell, path):
    """write the last answer for other programs, as .graphml, .json or .csv"""
    shell.con.rights.require_trusted(".export")
    _last(shell).export(path)
    shell.write([f"wrote {path}"])


@dot("report", "FILE")
def _report(shell, path):
    """write the last answer as one page of HTML to look at in a browser"""
    shell.con.rights.require_trusted(".report")
    _last(shell).to_html(path)
    shell.write([f"wrote {path}"])


def _last(shell) -> Result:
    if shell.con.last_result is None:
        raise InvalidValue("there is no answer yet to look at; EXPLAIN something first")
    return shell.con.last_result


@dot("print", "[TEXT ...]")
def _print(shell, *words):
    """write TEXT where results go"""
    shell.write([" ".join(words)])


@dot("quit")
def _quit(shell):
    """leave the shell; so does Ctrl-D"""
    return QUIT


@dot("exit")
def _exit(shell):
    """the same as .quit"""
    return QUIT
