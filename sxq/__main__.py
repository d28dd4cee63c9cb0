"""The command line: `sxq [database]` opens a shell; `-c "..."`, `-f FILE` and pipes run scripts.

`sxq report [database] "EXPLAIN ..." -o report.html` writes an answer as a page, `sxq backup FROM TO` copies a
database, `sxq import model.pt` makes safetensors of a state dict, `sxq demo` shows a first example. `sxq explore
DATABASE` serves the stored answers to a browser, `sxq mcp DATABASE` to programs that speak the Model Context
Protocol. `sxq completion bash` and `sxq man` write what completes these words in a shell, and a manual page.

Results go to stdout, everything else to stderr; progress only where stderr is a terminal.
Exit codes: 0 done, 1 an error in a statement, 2 wrong usage, 130 interrupted.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from sxq import __version__
from sxq.connection import Connection, import_weights
from sxq.errors import Error, InvalidValue
from sxq.shell import MODES, Interrupts, Shell, format_error, run_prompt, watched
from sxq.started import INTERRUPTED


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    name, *rest = arguments if arguments and arguments[0] in COMMANDS else ["", *arguments]
    action, parser = COMMANDS[name]
    options = (
        parser().parse_intermixed_args(rest) if name == "report" else parser().parse_args(rest)
    )
    if wrong := _misread(name, options):
        parser().error(wrong)
    return _guarded(lambda: action(options))


def _misread(name: str, options) -> str:
    """The message for a statement in the place of a database, or the other way round; empty if all is well."""
    database = getattr(options, "database", None)
    if name == "report" and not _has_space(options.query):
        return f"there is no statement: {options.query!r} is taken for one; sxq report [database] 'EXPLAIN ...'"
    if name == "report" and database and not Path(database).exists():
        return f"there is no database {database!r}"
    if name in ("explore", "mcp") and not Path(options.database).exists():
        return f"there is no database {database!r}"
    if name == "report" and not Path(options.output).absolute().parent.is_dir():
        return f"there is no folder to write {options.output!r} to"
    if database and _has_space(database) and not (Path(database).suffix or Path(database).exists()):
        return f"{database!r} looks like a statement: use -c"
    return ""


def _has_space(text: str) -> bool:
    return any(map(str.isspace, text))


def _connection(options) -> Connection:
    return Connection(
        options.database,
        options.read_only,
        untrusted=options.untrusted,
        allow=options.allow,
        memory_limit=options.memory_limit,
    )


def _with_database(options) -> int:
    with _connection(options) as con:
        if not options.scripts and sys.stdin.isatty():
            return run_prompt(con, options.mode, init=not options.no_init)
        shell = Shell(con, options.mode)
        try:
            return _run_scripts(shell, options.scripts or [("command", sys.stdin.read())])
        finally:
            shell.close()


def _run_scripts(shell: Shell, scripts: list[tuple[str, str]]) -> int:
    """Run the scripts of -c and -f in their order, up to the first that is interrupted or says .exit."""
    for kind, script in scripts:
        code = shell.read(script) if kind == "file" else shell.run(script)
        if code:
            return max(code, 0)
    return 0


def _report(options) -> int:
    """Run the statements and write the answer of the last EXPLAIN among them as a page."""
    with _connection(options) as con:
        with watched(con) as pressed:
            con.execute(options.query)
        if con.last_result is None:
            raise InvalidValue("nothing to report: the statements hold no EXPLAIN")
        con.last_result.to_html(options.output)
        print(f"wrote {options.output}", file=sys.stderr)
        return INTERRUPTED if pressed else 0


def _backup(options) -> int:
    with Connection(options.source, read_only=True) as con:
        con.backup(options.target)
    print(f"wrote {options.target}", file=sys.stderr)
    return 0


def _import(options) -> int:
    target = options.target or str(Path(options.source).with_suffix(".safetensors"))
    done = import_weights(options.source, target)
    print(f"wrote {target}: {done}", file=sys.stderr)
    return 0


def _explore(options) -> int:
    try:
        from sxq.explorer.serve import serve
    except ModuleNotFoundError as error:
        raise _without_extra("explore", error) from None
    return serve(options.database, options.port, options.write)


def _mcp(options) -> int:
    try:
        from sxq.explorer.tool_server import serve_tools
    except ModuleNotFoundError as error:
        raise _without_extra("mcp", error) from None
    return serve_tools(options.database, options.write)


def _parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, in the order in which they are told of."""
    return {name: parser() for name, (_, parser) in COMMANDS.items()}


def _completion(options) -> int:
    from sxq.shell.shell_completion import completion  # few ask for it

    sys.stdout.write(completion(options.shell, _parsers()))
    return 0


def _man(options) -> int:
    from sxq.shell.man_page import man_page  # few ask for it

    print(man_page(_parsers(), __version__))
    return 0


def _without_extra(extra: str, error: ModuleNotFoundError) -> InvalidValue:
    """The error for a library that only an extra installs."""
    return InvalidValue(
        f"sxq {extra} needs {error.name}, which is not installed: pip install 'sxq[{extra}]'"
    )


def _guarded(action) -> int:
    """Run an action: an error of ours prints one message, a closed pipe ends quietly, Ctrl-C exits with 130."""
    interrupts = Interrupts()
    with interrupts.installed():
        try:
            interrupts.armed = True
            code = _without_errors(action)
            interrupts.armed = False
            return code
        except KeyboardInterrupt:
            interrupts.armed = False
            print("interrupted", file=sys.stderr)
            return INTERRUPTED


def _without_errors(action) -> int:
    try:
        return action()
    except Error as error:
        print(f"Error: {format_error(error)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "sxq",
        description="a skyline query engine that explains graph neural networks",
        epilog="sxq report --help: an answer as a page; sxq explore --help: the answers as pages;"
        " sxq mcp --help: as tools; sxq backup --help: a copy of a database; sxq import --help: weights of torch.save;"
        " sxq demo --help: a first look;"
        " sxq completion --help: for bash and zsh; sxq man: the manual page",
    )
    parser.add_argument(
        "database",
        nargs="?",
        help="a DuckDB file, created if missing; without it everything stays in memory",
    )
    for option, kind, metavar, what in (
        ("-c", "command", "SCRIPT", "statements to run, instead of those on stdin"),
        ("-f", "file", "FILE", "a file with statements to run"),
    ):
        parser.add_argument(
            option,
            f"--{kind}",
            dest="scripts",
            action="append",
            type=partial(_script, kind),
            metavar=metavar,
            help=f"{what}; -c and -f may be given several times, and run in their order",
        )
    parser.add_argument("--version", action="version", version=f"sxq {__version__}")
    parser.add_argument(
        "--mode", choices=list(MODES), default="table", help="how results are written"
    )
    parser.add_argument(
        "--json",
        action="store_const",
        const="jsonlines",
        dest="mode",
        help="the same as --mode jsonlines",
    )
    parser.add_argument(
        "--no-init", action="store_true", help="do not read ~/.sxqrc before the prompt"
    )
    _add_rights(parser)
    return parser


def _script(kind: str, text: str) -> tuple[str, str]:
    return kind, text


def _add_rights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--read-only", action="store_true", help="explain without storing")
    parser.add_argument(
        "--untrusted",
        action="store_true",
        help="for statements from strangers: they reach no files, settings or extensions",
    )
    parser.add_argument(
        "--allow",
        metavar="DIR",
        action="append",
        default=[],
        help="a folder whose files untrusted statements may read; may be given several times",
    )
    parser.add_argument(
        "--memory-limit", metavar="SIZE", help="of untrusted SQL, such as '512 MB' (1 GB)"
    )


def _report_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "sxq report", description="an answer as one page of HTML to look at in a browser"
    )
    parser.add_argument("database", nargs="?", help="the DuckDB file that holds graph and model")
    parser.add_argument("query", help="EXPLAIN ..., after any statements that it needs")
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="report.html", help="the page (report.html)"
    )
    _add_rights(parser)
    return parser


def _demo(options) -> int:
    from sxq.shell.karate_demo import karate  # the demos import the pictures
    from sxq.shell.laundering_demo import laundering

    if options.story == "laundering":
        return laundering(options.into or "laundering.duckdb", options.output)
    return karate(options.into or "karate.duckdb")


def _demo_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "sxq demo", description="a first example of sxq, from start to end"
    )
    parser.add_argument(
        "story",
        nargs="?",
        choices=["karate", "laundering"],
        default="karate",
        help="a member of Zachary's karate club (default), or schemes planted in a bank",
    )
    parser.add_argument(
        "--into",
        metavar="FILE",
        help="the database it leaves behind (karate.duckdb, laundering.duckdb)",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="laundering.html", help="the page of 'laundering'"
    )
    return parser


def _backup_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "sxq backup", description="a copy of a database that no other process has open"
    )
    parser.add_argument("source", metavar="FROM", help="the DuckDB file to copy")
    parser.add_argument("target", metavar="TO", help="the new file; an existing one is refused")
    return parser


def _import_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "sxq import",
        description="weights that torch.save wrote (a state dict) as safetensors, for CREATE MODEL ... FROM FILE;"
        " nothing in the file is executed",
    )
    parser.add_argument("source", metavar="FILE", help="the file of torch.save, such as model.pt")
    parser.add_argument(
        "target", metavar="TO", nargs="?", help="the new file (the same name with .safetensors)"
    )
    return parser


def _explore_parser() -> argparse.ArgumentParser:
    parser = _served_parser(
        "explore", "the stored answers as pages for a browser on this machine, until Ctrl-C"
    )
    parser.add_argument("--port", type=_port, default=0, help="the port to listen on (a free one)")
    return parser


def _mcp_parser() -> argparse.ArgumentParser:
    return _served_parser(
        "mcp", "the stored answers as tools of the Model Context Protocol, over stdin and stdout"
    )


def _served_parser(name: str, description: str) -> argparse.ArgumentParser:
    """The options of a server of stored answers."""
    parser = argparse.ArgumentParser(f"sxq {name}", description=description)
    parser.add_argument("database", help="the DuckDB file with the answers")
    parser.add_argument(
        "--write", action="store_true", help="also run EXPLAIN, and store its answers"
    )
    return parser


def _completion_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "sxq completion", description="a script that completes the words of sxq in a shell"
    )
    parser.add_argument(
        "shell", choices=["bash", "zsh"], help='in ~/.bashrc: eval "$(sxq completion bash)"'
    )
    return parser


def _man_parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        "sxq man", description="the manual page of sxq in roff: sxq man | man -l -"
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port; expected 0 (a free one) to 65535")
    return port


COMMANDS = {
    "": (_with_database, _parser),
    "backup": (_backup, _backup_parser),
    "completion": (_completion, _completion_parser),
    "demo": (_demo, _demo_parser),
    "explore": (_explore, _explore_parser),
    "import": (_import, _import_parser),
    "man": (_man, _man_parser),
    "mcp": (_mcp, _mcp_parser),
    "report": (_report, _report_parser),
}


if __name__ == "__main__":
    sys.exit(main())
