"""Results and errors on a terminal: colours, small bars for measures, a pager for long results.

The only file that knows rich. Pipes and files never come here: they get the plain lines of `output_modes`.
"""

import io
import shutil
import sys
from collections.abc import Callable, Sequence
from textwrap import fill

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from sxq.errors import Error, UnknownName
from sxq.language.lexemes import lexemes
from sxq.shell import output_modes
from sxq.shell.output_modes import DUCKDB_PLAN, PLAIN, Look, numeric, of_engine, read, sql_types
from sxq.shell.programs import paged
from sxq.values.explanation import Explanation
from sxq.values.result import AuditResult, PlanText, Result, Table
from sxq.values.table import WIDEST as LONGEST
from sxq.values.table import cell, printable

WIDEST = 10_000  # columns: nothing is wrapped, the pager scrolls sideways
COLOURED = 2_000  # most rows that are coloured; drawing more would take seconds
BAR = 6  # characters of a bar
LEAST = 30  # characters of a column that is wrapped
LESSER = (
    "by",
    "nodes",
    "bars",
    "covers",
)  # columns that a narrow terminal leaves out, in this order
EIGHTHS = " ▏▎▍▌▋▊▉█"


def show(result: Table, pager: bool, look: Look = PLAIN) -> None:
    """Print a result, in the pager where it is too high or too wide for the terminal."""
    size = shutil.get_terminal_size()
    text = rendered(table(result, size.columns, look), colours=True)
    width = max((Text.from_ansi(line).cell_len for line in text.splitlines()), default=0)
    if pager and (width > size.columns or text.count("\n") >= size.lines - 1) and paged(text):
        return
    sys.stdout.write(text)
    sys.stdout.flush()


def rendered(shown: RenderableType, colours: bool = False) -> str:
    """Anything of rich as text, nothing wrapped."""
    written = io.StringIO()
    console = Console(
        file=written,
        width=WIDEST,
        force_terminal=colours,
        no_color=None if colours else True,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        color_system="256" if colours else None,
    )
    console.print(shown, soft_wrap=True)
    lines = written.getvalue().rstrip("\n").split("\n")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def table(result: Table, width: int = WIDEST, look: Look = PLAIN) -> RenderableType:
    """A result as rich draws it; a skyline loses its less important columns where they do not fit."""
    match result:
        case Result() | AuditResult():
            first, *rest = result.sentences()
            notes = (Text(fill(printable(note), width), "yellow") for note in rest)
            return Group(*_parts(result, width, look), Text(fill(first, width), "dim"), *notes)
        case PlanText():
            return _plan(str(result))
    if result.columns == DUCKDB_PLAN:
        return Text("\n".join(output_modes.table(result)))
    return _plain(result, look, width) if result.columns else Text("ok", "dim")


def _parts(result: Result | AuditResult, width: int, look: Look) -> list[RenderableType]:
    """The members of a skyline with bars; everything else as plain tables."""
    parts = result.shown()
    if isinstance(result, Result) and parts[0].columns == result.columns and not any(look.widths):
        return [_fitting(result, width, look), *_hidden(len(result) - _most(result, look))]
    return [_plain(part, look) for part in parts]


def _most(result: Table | Result, look: Look) -> int:
    """How many rows are shown."""
    return len(result) if look.most is None else min(look.most, len(result))


def _hidden(count: int) -> list[RenderableType]:
    return [Text(f"... {count:,} more {'row' if count == 1 else 'rows'} (.maxrows)", "dim")] * bool(
        count
    )


def _plain(result: Table, look: Look = PLAIN, width: int = WIDEST) -> RenderableType:
    """Rows and columns; many rows, and columns of a chosen width, without colours.

    Of the engine's own tables nothing is cut; the last column is wrapped where it does not fit.
    """
    shown = _most(result, look)
    if shown > COLOURED or any(look.widths):
        return Text("\n".join(output_modes.table(result, look)))
    grid = _grid()
    for number, name in enumerate(result.columns):
        grid.add_column(
            Text(cell(name)), justify="right" if numeric(result.rows, number) else "left"
        )
    types: Sequence[str | None] = sql_types(result) or [None] * len(result.columns)
    longest = sys.maxsize if of_engine(result) else LONGEST
    for row in result.rows[:shown]:
        grid.add_row(*(_value(value, kind, look, longest) for value, kind in zip(row, types)))
    if of_engine(result):
        _wrap_last(grid, width)
    return Group(grid, *_hidden(len(result) - shown))


def _wrap_last(grid: Grid, width: int) -> None:
    """Wrap the last column where the others leave it room enough on a terminal of this width."""
    whole = Console(width=WIDEST).measure(grid).maximum
    last = grid.columns[-1]
    widest = max((cells.cell_len for cells in last.cells if isinstance(cells, Text)), default=0)
    room = width - (whole - widest)
    if whole > width and room >= LEAST:
        last.max_width = room
        last.overflow = "fold"


def _grid() -> Grid:
    return Grid(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0)
    )


def _value(value, sql_type: str | None, look: Look, longest: int) -> Text:
    if value is None:
        return Text("NULL" if look.null is None else printable(look.null), "dim italic")
    text = read(value, sql_type)
    return Text(text if len(text) <= longest else text[: longest - 3] + "...")


def _fitting(result: Result, width: int, look: Look) -> Grid:
    """The skyline with as many of its columns as the width allows."""
    for left_out in range(len(LESSER) + 1):
        grid = _skyline(result, set(LESSER[:left_out]), look)
        if Console(width=WIDEST).measure(grid).maximum <= width:
            break
    return grid


def _skyline(result: Result, without: set[str], look: Look) -> Grid:
    """The members of a skyline. Each measure gets a bar for its score; longer is better."""
    best = {
        name: max((e.scores.get(name, 0.0) for e in result), default=0) for name in result.measures
    }
    bars = 0 if "bars" in without else BAR
    null = Text("" if look.null is None else printable(look.null), "dim italic")

    def measured(name: str) -> Callable[[Explanation], Text]:
        return lambda e: _measured(e.raw.get(name), e.scores.get(name), best[name], bars) or null

    columns: dict[str, tuple[JustifyMethod, Callable[[Explanation], Text | str]]] = {
        "target": ("right", lambda e: Text(cell(e.target), "bold magenta")),
        "rank": ("right", lambda e: str(e.rank)),
        "size": ("right", lambda e: str(e.size)),
        "nodes": ("right", lambda e: str(len(e.nodes))),
        "fact/cf": (
            "center",
            lambda e: Text.assemble(_flag(e.factual), "   ", _flag(e.counterfactual)),
        ),
        **{column: ("left", measured(name)) for name, column in result.measures.items()},
        "covers": ("right", lambda e: str(e.dominance)),
        "by": ("left", lambda e: Text(cell(e.generator), "dim")),
    }
    columns = {name: column for name, column in columns.items() if name not in without}
    grid = _grid()
    for name, (side, _) in columns.items():
        grid.add_column(name, justify=side)
    for e in result[: _most(result, look)]:
        grid.add_row(*(shown(e) for _, shown in columns.values()))
    return grid


def _flag(holds: bool) -> Text:
    return Text("●", "green") if holds else Text("·", "dim")


def _measured(raw: float | None, score: float | None, best: float, width: int) -> Text:
    if raw is None:
        return Text("")
    value = f"{cell(round(raw, 4)):>7}"
    if score is None or not width:
        return Text(value)
    return Text.assemble((bar(score, width), "green" if score == best else "cyan"), " ", value)


def bar(share: float, width: int = BAR) -> str:
    """A share from 0 to 1 as a bar of `width` characters, in eighths of a character."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, rest = divmod(eighths, 8)
    return (EIGHTHS[8] * full + (EIGHTHS[rest] if rest else "")).ljust(width)


def _plan(text: str) -> Text:
    """The tree of a plan, its operators bold."""
    shown = Text(text)
    shown.highlight_regex(r"(?m)^[ └─]*[A-Z]\w+(?=:)", "bold cyan")
    shown.highlight_regex(r"\[[^\]]*\]$", "green")
    return shown


def error(problem: Error, statement: str = "") -> None:
    """An error in red on stderr, with a caret below an unknown name."""
    message, *below = printable(str(problem)).split("\n")
    if isinstance(problem, UnknownName) and not below:
        below = list(map(printable, _caret(statement, problem.name)))
    shown = Text.assemble(("Error: ", "bold red"), message)
    for line in [*below, *map(printable, getattr(problem, "__notes__", ()))]:
        shown.append(f"\n{line}", "red" if set(line.strip()) == {"^"} else "")
    sys.stderr.write(rendered(shown, colours=True))


def _caret(statement: str, name: str) -> list[str]:
    """The line where a name stands, and a caret below it."""
    for lexeme in lexemes(statement):
        if lexeme.text.strip('"').lower() == str(name).lower():
            line = statement[statement.rfind("\n", 0, lexeme.start) + 1 :].split("\n", 1)[0]
            column = lexeme.start - statement.rfind("\n", 0, lexeme.start) - 1
            return [f"    {line}", f"    {' ' * column}{'^' * len(lexeme.text)}"]
    return []
