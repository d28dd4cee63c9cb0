"""Whether this process is the program `sxq`; if so, Ctrl-C ends it quietly from the first import on.

The package imports this module before any library. Later on, `__main__` and the shell decide what Ctrl-C does.
"""

import os
import signal
import sys
import threading
from pathlib import PurePath
from types import FrameType

INTERRUPTED = 130  # the exit code after Ctrl-C


def _is_program() -> bool:
    """Whether `python -m sxq` or the command `sxq` started this process."""
    if threading.current_thread() is not threading.main_thread():
        return False
    started = sys.argv[0] if sys.argv else ""
    if started == "-m":  # a package is being imported to run a module of it
        return any(word in ("sxq", "-msxq") for word in sys.orig_argv)
    return PurePath(started).stem == "sxq"


def leave(number: int, frame: FrameType | None) -> None:
    """End the process at once, as a signal handler: nothing is open yet, or nothing more."""
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


AS_PROGRAM = _is_program() and signal.getsignal(signal.SIGINT) is signal.default_int_handler

if AS_PROGRAM:
    signal.signal(signal.SIGINT, leave)
