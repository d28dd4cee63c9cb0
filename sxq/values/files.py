"""Files are written whole or not at all: beside the file first, which then gets its name.

A program that is killed, a full disk or an error leave the old file as it was.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A new file in the folder of `path` to write to; at the end of the block it becomes `path`.

    The file keeps the permissions of the one it replaces, and a symbolic link stays one. After an
    error the new file is gone. A device or a pipe is written to directly. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    mode = target.stat().st_mode if target.exists() else None
    if mode is not None and not stat.S_ISREG(mode):
        yield target
        return
    fresh = _new_beside(target, mode)
    try:
        yield fresh
        _to_disk(fresh)
        os.replace(fresh, target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write a text in UTF-8; raises OSError."""
    with replacing(path) as file:
        file.write_text(text, encoding="utf-8")


def _new_beside(target: Path, mode: int | None) -> Path:
    """An empty file with the suffix of `target` and its permissions; `mode` None: those of a new file."""
    if mode is not None:
        with target.open("ab"):
            pass  # raises PermissionError, as writing to it would
    fresh = target.with_name(f".sxq-{secrets.token_hex(8)}{target.suffix}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    os.close(os.open(fresh, flags, 0o666 if mode is None else 0o600))
    if mode is not None:
        fresh.chmod(stat.S_IMODE(mode))
    return fresh


def _to_disk(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())
