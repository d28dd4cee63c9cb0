"""Where people meet the engine: scripts, the prompt, tables on a terminal, the demos.

The verbs: `Shell(con, mode).run(script)` and `run_prompt(con)`, and of the demos `karate_demo.karate(path)` and
`laundering_demo.laundering(path, page)`; each returns an exit code.

    shell.py            runs the steps of a script and writes their results
    script_steps.py     splits a script into statements and dot-commands
    dot_commands.py     the dot-commands, one function each
    output_modes.py     results as plain lines: table, box, csv, json, markdown, html, ...
    progress.py         the line of progress, and what Ctrl-C does to a statement
    interrupts.py       what Ctrl-C does at all other times
    repl.py             the prompt: read, run, show, repeat
    interactive.py      the gate to rich and prompt_toolkit, which only a person at a terminal needs
    display.py          results and errors with colours and bars (rich)
    editor.py           the prompt with history and completion (prompt_toolkit)
    completion.py       which words may come next
    highlighting.py     colours of what is being typed (Pygments)
    karate_demo.py      `sxq demo`: one member of the karate club explained
    laundering_demo.py  `sxq demo laundering`: planted schemes, found and counted
    synthetic_bank.py   the bank of that demo
"""

from sxq.shell.interrupts import Interrupts
from sxq.shell.output_modes import MODES
from sxq.shell.progress import watched
from sxq.shell.repl import run_prompt
from sxq.shell.shell import Shell, format_error

__all__ = ["MODES", "Interrupts", "Shell", "format_error", "run_prompt", "watched"]
