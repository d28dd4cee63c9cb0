"""Dot-commands: what one says to the shell, not to the engine. One function each; its docstring is its help."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sxq.errors import InvalidValue, UnknownName
from sxq.language import keywords
from sxq.language.manual import about
from sxq.shell.modes import MODES
from sxq.values.result import Result, Table

if TYPE_CHECKING:
    from sxq.shell.session import Session

QUIT = -1  # of `run`: leave the shell


@dataclass(frozen=True)
class Command:
    """A dot-command: what follows its name, and the function."""

    usage: str
    run: Callable[..., int | None]

    @property
    def summary(self) -> str:
        return self.run.__doc__.strip().split("\n")[0]


COMMANDS: dict[str, Command] = {}


def run(session: "Session", text: str) -> int:
    """Run one dot-command, given without its dot; the exit code, or QUIT. Raises UnknownName, InvalidValue."""
    name, *_ = text.split(maxsplit=1) or [""]
    try:
        arguments = shlex.split(text)[1:]
    except ValueError as problem:
        if name.lower() != "print":  # which takes what stands there
            raise InvalidValue(f".{text}: {str(problem).lower()}") from None
        arguments = [text[len(name) :].strip()]
    if not name:
        raise InvalidValue("a dot without a command; .help lists them")
    if name.lower() not in COMMANDS:
        raise UnknownName("dot-command", name, COMMANDS)
    command = COMMANDS[name.lower()]
    most, least = (
        len(command.usage.split()),
        len([word for word in command.usage.split() if word[0] != "["]),
    )
    if command.usage.endswith("...]"):
        most = len(arguments)
    if not least <= len(arguments) <= most:
        raise InvalidValue(f".{text}: expected .{name.lower()} {command.usage}".rstrip())
    return command.run(session, *arguments) or 0


def dot(name: str, usage: str = ""):
    """Register a function as a dot-command."""

    def register(function):
        COMMANDS[name] = Command(usage, function)
        return function

    return register


@dot("help", "[WORD]")
def _help(session, word=None):
    """list the dot-commands, or say what one of them or a keyword of the language means"""
    if word is None:
        rows = [
            (f".{name} {command.usage}".rstrip(), command.summary)
            for name, command in COMMANDS.items()
        ]
        return session.show(Table(["command", "what it does"], rows))
    command = COMMANDS.get(word.removeprefix("."))
    text = (
        f".{word.removeprefix('.')} {command.usage}: {command.summary}" if command else about(word)
    )
    if not text:
        raise UnknownName(
            "dot-command or keyword", word, [*COMMANDS, *sorted(map(str.lower, keywords()))]
        )
    session.write([text])


def _shows(name: str, statement: str, summary: str) -> None:
    """A dot-command that stands for a statement."""

    def command(session):
        session.show(session.con.execute(statement))

    command.__doc__ = summary
    dot(name)(command)


for _what in ("graphs", "models", "measures", "generators", "queries", "settings"):
    _shows(_what, f"SHOW {_what.upper()}", f"list the {_what}: SHOW {_what.upper()}")

_TABLES = """SELECT CASE WHEN schema_name = 'main' THEN table_name ELSE schema_name || '.' || table_name END AS "table",
                    count(*) AS columns, string_agg(column_name, ', ' ORDER BY column_index) AS names
             FROM duckdb_columns() WHERE NOT internal AND contains(table_name, $part) GROUP BY ALL ORDER BY ALL"""


@dot("tables", "[PART]")
def _tables(session, part=""):
    """list tables and views, those whose name holds PART"""
    session.show(session.con.execute(_TABLES, {"part": part}))


@dot("schema", "TABLE")
def _schema(session, table):
    """list the columns of a table with their types"""
    rows = session.con.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = $name "
        "ORDER BY column_index",
        {"name": table},
    ).rows
    if not rows:
        raise UnknownName("table", table, session.con.vocabulary().tables)
    session.show(Table(["column", "type"], rows))


@dot("mode", "[MODE]")
def _mode(session, mode=None):
    """how results are written: table, csv, json, markdown or line"""
    if mode is None:
        return session.write([session.mode])
    if mode not in MODES:
        raise UnknownName("mode", mode, MODES)
    session.mode = mode


@dot("timer", "on|off")
def _timer(session, switch):
    """print the time of each statement"""
    session.timer = _switched("timer", switch)


@dot("pager", "on|off")
def _pager(session, switch):
    """show in a pager what does not fit the terminal"""
    session.pager = _switched("pager", switch)


def _switched(name: str, switch: str) -> bool:
    if switch not in ("on", "off"):
        raise InvalidValue(f".{name} {switch}: expected on or off")
    return switch == "on"


@dot("read", "FILE")
def _read(session, path):
    """run the script in a file; it stops at the first error"""
    return session.read(path)


@dot("output", "[FILE]")
def _output(session, path=None):
    """write results to a file, or to the terminal again"""
    session.output(path)


@dot("once", "FILE")
def _once(session, path):
    """write the next result to a file"""
    session.output(path, once=True)


@dot("draw", "[RANK]")
def _draw(session, rank=None):
    """draw the explanations of the last EXPLAIN as text, or those of one rank"""
    members = [e for e in _last(session) if rank is None or str(e.rank) == rank]
    if not members:
        raise InvalidValue(
            f".draw {rank}: the last answer has ranks {', '.join(str(e.rank) for e in _last(session))}"
        )
    for e in members:
        flags = " and ".join(name for name in ("factual", "counterfactual") if getattr(e, name))
        title = f"{e.rank}: {e.size} {'edge' if e.size == 1 else 'edges'}, {flags}"
        session.write([title, *(f"  {line}" for line in e.draw().split("\n")), ""])


@dot("plot", "FILE")
def _plot(session, path):
    """draw the last answer with matplotlib into a file, such as answer.png or answer.svg"""
    _last(session).plot(path)
    session.write([f"wrote {path}"])


@dot("export", "FILE")
def _export(session, path):
    """write the last answer for other programs, as .graphml, .json or .csv"""
    _last(session).export(path)
    session.write([f"wrote {path}"])


@dot("report", "FILE")
def _report(session, path):
    """write the last answer as one page of HTML to look at in a browser"""
    _last(session).to_html(path)
    session.write([f"wrote {path}"])


def _last(session) -> Result:
    if session.con.last_result is None:
        raise InvalidValue("there is no answer yet to look at; EXPLAIN something first")
    return session.con.last_result


@dot("print", "[TEXT ...]")
def _print(session, *words):
    """write TEXT where results go"""
    session.write([" ".join(words)])


@dot("quit")
def _quit(session):
    """leave the shell; so does Ctrl-D"""
    return QUIT


@dot("exit")
def _exit(session):
    """the same as .quit"""
    return QUIT
