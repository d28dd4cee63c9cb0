"""The manual page of the command `sxq` in roff, made from its argument parsers and the dot-commands.

sxq man | man -l -                                    reads it
sxq man > ~/.local/share/man/man1/sxq.1               keeps it
"""

from argparse import Action, ArgumentParser
from collections.abc import Iterator, Mapping

from sxq.shell.dot_commands import COMMANDS

_ENVIRONMENT = {
    "SXQ_INIT": "a script that runs before the first prompt, in place of ~/.sxqrc",
    "SXQ_HISTORY": "the file that keeps the history of the prompt, in place of ~/.sxq_history",
    "SXQ_DATASETS": "the folder of data sets that were fetched, in place of ~/.cache/sxq",
    "VISUAL, EDITOR": "the editor of .edit",
    "TERM": "dumb: a plain prompt, without colours and completion",
    "NO_COLOR": "any value: no colours",
}
_EXITS = {
    "0": "everything was done",
    "1": "a statement had an error",
    "2": "the command was called wrongly",
    "130": "Ctrl-C",
}


def man_page(parsers: Mapping[str, ArgumentParser], version: str) -> str:
    """The page; `parsers` by command, "" for `sxq` without one."""
    main = parsers[""]
    lines = [
        '.\\" Made by `sxq man`.',
        f'.TH SXQ 1 "" "sxq {version}" "User Commands"',
        ".nh",  # words that are copied are not hyphenated
        ".ad l",
        *_section("NAME", [f"sxq \\- {_text(main.description or '')}"]),
        ".SH SYNOPSIS",
        *(line for parser in parsers.values() for line in _usage(parser)),
        *_section("OPTIONS", _arguments(main)),
        ".SH COMMANDS",
        *(line for name, parser in parsers.items() if name for line in _command(parser)),
        *_section("DOT\\-COMMANDS", _dot_commands()),
        *_section("ENVIRONMENT", _items(_ENVIRONMENT)),
        *_section("EXIT STATUS", _items(_EXITS)),
        *_section("EXAMPLES", _examples()),
    ]
    return "\n".join(lines)


def _section(title: str, body) -> list[str]:
    return [f".SH {title}", *body]


def _usage(parser: ArgumentParser) -> list[str]:
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    name = parser.prog
    return [".PP", f"\\fB{_text(name)}\\fR {_text(usage.removeprefix(name))}"]


def _command(parser: ArgumentParser) -> Iterator[str]:
    yield f".SS {_text(parser.prog)}"
    said = parser.description or ""
    yield _text(f"{said[:1].upper()}{said[1:]}.")
    yield from _arguments(parser)


def _arguments(parser: ArgumentParser) -> Iterator[str]:
    """Every argument of a parser, with its help."""
    for action in parser._actions:
        yield ".TP"
        yield _head(action)
        yield _text((action.help or "").replace("%(prog)s", parser.prog)) or "\\&"


def _head(action: Action) -> str:
    value = action.metavar or ("|".join(action.choices) if action.choices else action.dest)
    if not action.option_strings:
        return f"\\fI{_text(str(value))}\\fR"
    names = ", ".join(f"\\fB{_text(option)}\\fR" for option in action.option_strings)
    return names if action.nargs == 0 else f"{names} \\fI{_text(str(value))}\\fR"


def _dot_commands() -> Iterator[str]:
    yield "At the prompt and in scripts, each on a line of its own:"
    for name, command in COMMANDS.items():
        yield ".TP"
        yield f"\\fB{_text('.' + name)}\\fR {_text(command.usage)}".rstrip()
        yield _text(command.summary)


def _items(known: Mapping[str, str]) -> Iterator[str]:
    for name, meaning in known.items():
        yield from (".TP", f"\\fB{_text(name)}\\fR", _text(meaning))


def _examples() -> Iterator[str]:
    for line in (
        "sxq demo",
        'sxq tx.duckdb -c "EXPLAIN NODE 42 USING MODEL gcn OPTIMIZE fdl+, fdl-, conc"',
        'sxq report tx.duckdb "EXPLAIN NODE 42 USING MODEL gcn OPTIMIZE fdl+, conc" -o answer.html',
        "sxq explore tx.duckdb",
    ):
        yield from (".PP", ".nf", f"    {_text(line)}", ".fi")


def _text(text: str) -> str:
    """Text that roff shows as it is: no escape, no request at the beginning of a line, hyphens to copy."""
    safe = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{safe}" if safe[:1] in (".", "'") else safe
