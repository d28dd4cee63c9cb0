"""Where people meet the engine: scripts, the prompt, tables on a terminal, the demo.

The verbs: `Session(con, mode).run(script)`, `talk(con)`, `demo(path)` and `laundering(path, page)`;
each returns an exit code. What a script needs is imported here; the editor (prompt_toolkit) and colours (rich) only
when a person sits at a terminal.
"""

from sxq.shell.demo import demo
from sxq.shell.modes import MODES
from sxq.shell.session import Session, told
from sxq.shell.story import laundering
from sxq.shell.talking import talk
from sxq.shell.watching import watched

__all__ = ["MODES", "Session", "demo", "laundering", "talk", "told", "watched"]
