"""Other programs that the shell starts at a person's wish: an editor, a pager, a command of the system.

While one of them runs, Ctrl-C is for it alone: the shell waits until it ends, and its prompt is clean afterwards.
"""

import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sxq.errors import DataError, InvalidValue


def edited(text: str) -> str:
    """The text as the user's editor leaves it; nothing if it was left as it is.

    Raises DataError if there is no editor, or if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "statement.sql"
        before = f"{text};\n" if text else ""
        path.write_text(before, encoding="utf-8")
        words = shlex.split(_editor())
        _run([*words, str(path)], f"the editor {words[0]!r}")
        try:
            after = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise DataError(f"the editor left no text to run: {problem}") from None
    return "" if after == before else after


def _editor() -> str:
    for name in ("VISUAL", "EDITOR"):
        if os.environ.get(name, "").strip():
            return os.environ[name]
    if found := shutil.which("vi") or shutil.which("nano"):
        return shlex.quote(found)
    raise DataError("there is no editor: set EDITOR to the command of yours, such as EDITOR=nano")


def run_command(command: str) -> None:
    """Run a command of the system's shell; raises InvalidValue if it fails."""
    _run(command, f".shell {command}")


def paged(text: str) -> bool:
    """Show text in `less`, which scrolls both ways; False if there is no `less`.

    `less` then runs no commands and reads no files, because the person at the prompt may be a stranger. Ctrl-C
    leaves it, as `q` does.
    """
    less = shutil.which("less")
    if not less:
        return False
    secure = {**os.environ, "LESSSECURE": "1", "LESS": ""}
    import subprocess

    with _ctrl_c_is_for_others():
        subprocess.run([less, "-RSXK"], input=text.encode(), check=False, env=secure)
    return True


def _run(command: str | list[str], said: str) -> None:
    import subprocess

    sys.stdout.flush()
    try:
        with _ctrl_c_is_for_others():
            code = subprocess.run(command, shell=isinstance(command, str), check=False).returncode
    except (OSError, ValueError) as problem:
        raise DataError(f"{said} cannot be started: {problem}") from None
    if code:
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise InvalidValue(f"{said} {ended}")


@contextmanager
def _ctrl_c_is_for_others() -> Iterator[None]:
    """Do nothing at Ctrl-C; the program that runs in this terminal gets it as well, and decides."""
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
