"""Dot-commands: commands to the shell, not to the engine. One function each; its docstring is its help."""

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from sxq.connection import Connection
from sxq.errors import InvalidValue, UnknownName
from sxq.language import keywords
from sxq.language.manual import about
from sxq.shell.output_modes import MODES, Look
from sxq.values.result import Result, Table

QUIT = -1  # returned by `run`: leave the shell


class CommandContext(Protocol):
    """The parts of a `Shell` that dot-commands use."""

    con: Connection
    mode: str
    look: Look
    timer: bool
    pager: bool

    def read(self, path: str) -> int: ...

    def show(self, result: Table) -> None: ...

    def write(self, lines: Iterable[str]) -> None: ...

    def output(self, path: str | None, once: bool = False) -> None: ...


@dataclass(frozen=True)
class Command:
    """A dot-command: the arguments that follow its name, and its function."""

    usage: str
    run: Callable[..., int | None]

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


def run(shell: CommandContext, text: str) -> int:
    """Run one dot-command, given without its dot; return the exit code, or QUIT.

    Raises UnknownName and InvalidValue.
    """
    name, *_ = text.split(maxsplit=1) or [""]
    arguments = _arguments(name, text)
    if not name:
        raise InvalidValue("a dot without a command; .help lists them")
    if name.lower() not in COMMANDS:
        raise UnknownName("dot-command", name, COMMANDS)
    command = COMMANDS[name.lower()]
    if not command.takes(len(arguments)):
        raise InvalidValue(f".{text}: expected .{name.lower()} {command.usage}".rstrip())
    return command.run(shell, *arguments) or 0


def _arguments(name: str, text: str) -> list[str]:
    """The words after the name, split as a Unix shell splits them."""
    try:
        return shlex.split(text)[1:]
    except ValueError as problem:
        if name.lower() != "print":  # which writes its text as it stands
            raise InvalidValue(f".{text}: {str(problem).lower()}") from None
        return [text[len(name) :].strip()]


def dot(name: str, usage: str = ""):
    """Register a function as a dot-command."""

    def register(function):
        COMMANDS[name] = Command(usage, function)
        return function

    return register


@dot("help", "[WORD]")
def _help(shell, word=None):
    """list the dot-commands, or say what one of them or a keyword of the language means"""
    if word is None:
        rows = [
            (f".{name} {command.usage}".rstrip(), command.summary)
            for name, command in COMMANDS.items()
        ]
        return shell.show(Table(["command", "what it does"], rows))
    command = COMMANDS.get(word.removeprefix("."))
    text = (
        f".{word.removeprefix('.')} {command.usage}: {command.summary}" if command else about(word)
    )
    if not text:
        raise UnknownName(
            "dot-command or keyword", word, [*COMMANDS, *sorted(map(str.lower, keywords()))]
        )
    shell.write([text])


def _shows(name: str, statement: str, summary: str) -> None:
    """A dot-command that stands for a statement."""

    def command(shell):
        shell.show(shell.con.execute(statement))

    command.__doc__ = summary
    dot(name)(command)


for _listed in ("graphs", "models", "measures", "generators", "queries", "settings"):
    _shows(_listed, f"SHOW {_listed.upper()}", f"list the {_listed}: SHOW {_listed.upper()}")

_TABLES = """SELECT CASE WHEN schema_name = 'main' THEN table_name ELSE schema_name || '.' || table_name END AS "table",
                    count(*) AS columns, string_agg(column_name, ', ' ORDER BY column_index) AS names
             FROM duckdb_columns() WHERE NOT internal AND contains(table_name, $part) GROUP BY ALL ORDER BY ALL"""


@dot("tables", "[PART]")
def _tables(shell, part=""):
    """list tables and views, or only those whose name contains PART"""
    shell.show(shell.con.execute(_TABLES, {"part": part}))


@dot("schema", "TABLE")
def _schema(shell, table):
    """list the columns of a table with their types"""
    rows = shell.con.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = $name "
        "ORDER BY column_index",
        {"name": table},
    ).rows
    if not rows:
        raise UnknownName("table", table, shell.con.vocabulary().tables)
    shell.show(Table(["column", "type"], rows))


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


@dot("nullvalue", "TEXT")
def _nullvalue(shell, text):
    """write TEXT for NULL, except in json, jsonlines and insert"""
    shell.look = replace(shell.look, null=text)


@dot("maxrows", "[COUNT]")
def _maxrows(shell, count=None):
    """set or show the most rows of a table or a box; 0 for all"""
    if count is None:
        return shell.write([str(shell.look.most or 0)])
    shell.look = replace(shell.look, most=_whole(f".maxrows {count}", count) or None)


@dot("width", "[COUNT ...]")
def _width(shell, *counts):
    """set the characters of the first columns of a table or a box; 0 for as wide as the content"""
    said = f".width {' '.join(counts)}"
    shell.look = replace(shell.look, widths=tuple(_whole(said, count) for count in counts))


def _whole(said: str, count: str) -> int:
    if not (count.isascii() and count.isdigit() and len(count) < 10):
        raise InvalidValue(f"{said}: expected a whole number of 0 or more, found {count!r}")
    return int(count)


@dot("timer", "on|off")
def _timer(shell, switch):
    """print the time of each statement"""
    shell.timer = _switched("timer", switch)


@dot("pager", "on|off")
def _pager(shell, switch):
    """show results that do not fit the terminal in a pager"""
    shell.pager = _switched("pager", switch)


def _switched(name: str, switch: str) -> bool:
    if switch not in ("on", "off"):
        raise InvalidValue(f".{name} {switch}: expected on or off")
    return switch == "on"


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
