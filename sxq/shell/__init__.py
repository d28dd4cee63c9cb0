"""Where people meet the engine: scripts, a plain prompt, tables on a terminal, the demo.

The verbs: `run_script(con, text, as_json)`, `talk(con, as_json)` and `demo(path)`; each returns an exit code.
"""

from sxq.shell.demo import demo
from sxq.shell.session import run_script, talk

__all__ = ["demo", "run_script", "talk"]
