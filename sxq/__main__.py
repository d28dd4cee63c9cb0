"""The command line: `sxq [database]` opens a shell; `-c "..."`, `-f FILE` and pipes run scripts; and `sxq demo`.

Results go to stdout, everything else to stderr; progress only where stderr is a terminal.
Exit codes: 0 done, 1 an error in a statement, 2 wrong usage, 130 interrupted.
"""

import argparse
import sys

from sxq.connection import Connection
from sxq.errors import Error
from sxq.shell import MODES, Session, demo, talk

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    options = _parser().parse_args(arguments)
    if options.database == "demo":
        return _guarded(lambda: demo(options.into))
    return _guarded(lambda: _with_database(options))


def _with_database(options) -> int:
    with Connection(options.database, options.read_only) as con:
        if options.command is None and options.file is None and sys.stdin.isatty():
            return talk(con, options.mode, init=not options.no_init)
        session = Session(con, options.mode)
        if options.file is not None:
            code = session.read(options.file)
        else:
            code = session.run(sys.stdin.read() if options.command is None else options.command)
        session.output(None)
        return max(code, 0)


def _guarded(action) -> int:
    """An error of ours is one message; a closed pipe ends quietly; Ctrl-C has its own exit code."""
    try:
        return action()
    except Error as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output is gone
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("sxq", description="a skyline query engine that explains graph neural networks")
    parser.add_argument("database", nargs="?", help="a DuckDB file, made if missing; without it all is kept in memory; "
                                                    "'demo' explains a member of Zachary's karate club")
    script = parser.add_mutually_exclusive_group()
    script.add_argument("-c", "--command", metavar="SCRIPT", help="statements to run, instead of those on stdin")
    script.add_argument("-f", "--file", help="a script to run")
    parser.add_argument("--mode", choices=list(MODES), default="table", help="how results are written")
    parser.add_argument("--json", action="store_const", const="json", dest="mode", help="the same as --mode json")
    parser.add_argument("--no-init", action="store_true", help="do not read ~/.sxqrc before the prompt")
    parser.add_argument("--read-only", action="store_true", help="explain without storing")
    parser.add_argument("--into", metavar="FILE", default="karate.duckdb", help="the database 'demo' leaves behind")
    return parser


if __name__ == "__main__":
    sys.exit(main())
