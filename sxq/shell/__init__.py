"""Where people meet the engine: scripts, the prompt, tables on a terminal, the demos.

The verbs: `Shell(con, mode).run(script)` and `run_prompt(con)`, and of the demos `karate_demo.karate(path)` and
`laundering_demo.laundering(path, page)`; each returns an exit code.

    shell.py            runs the steps of a script and writes their results
    script_steps.py     splits a script into statements and dot-commands
    dot_commands.py     the dot-commands, one function each; of these three files have the parts:
    help_topics.py      what `.help WORD` says of a word
    table_files.py      tables from files, for `.import`
    programs.py         other programs that the shell starts: an editor, the pager, commands
    output_modes.py     results as plain lines: table, box, csv, json, markdown, html, ...
    progress.py         the line of progress, and what Ctrl-C does to a statement
    interrupts.py       what Ctrl-C does at all other times
    repl.py             the prompt: read, run, show, repeat
    interactive.py      the gate to rich and prompt_toolkit, which only a person at a terminal needs
    display.py          results and errors with colours and bars (rich)
    editor.py           the prompt with history and completion (prompt_toolkit)
    completion.py       which words may come next
    highlighting.py     colours of what is being typed (Pygments)
    shell_completion.py scripts for bash and zsh that complete the command `sxq`
    man_page.py         the manual page
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
