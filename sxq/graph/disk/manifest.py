"""The manifest of a folder: its files with sizes and digests, and the facts that are no arrays.

Opening compares size and time of each file, and the digest of its head and its end. A file whose
time alone has changed, as after a copy, is read whole and compared with its full digest.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sxq.errors import StoreError

VERSION = 1  # of the layout of a folder
MANIFEST = "manifest.json"
OUTPUTS = "outputs"  # the folder of outputs of models; not part of the graph
ENDS = 4096  # bytes of the head and of the end of a file that opening compares
BLOCK = 1 << 24  # bytes that are read at once
_ADVICE = (
    "DROP GRAPH and create it again, or put a copy of the folder that is as it was in its place"
)


def save(folder: Path, facts: Mapping[str, Any], earlier: Path | None = None) -> None:
    """Write the manifest of a complete folder; it is on the disk afterwards, with all files.

    earlier  the folder of the version before, with which it shares the files that are the same
    """
    files = {path.name: described(path) for path in sorted(folder.glob("*.npy"))}
    if earlier is not None:
        files |= _shared(folder, files, earlier)
    content = {"version": VERSION, "facts": dict(facts), "files": files}
    text = json.dumps({**content, "check": _check(content)}, indent=1)
    path = folder / MANIFEST
    path.write_text(text, encoding="utf-8")
    sync(path)
    sync(folder)


def read(folder: Path, whole: bool = False) -> dict[str, Any]:
    """The facts of a folder whose files are those that were written; raises StoreError.

    whole  compare the content of every file, not only size, time, head and end
    """
    content = _content(folder)
    for name, known in content["files"].items():
        require_same(folder / name, known, whole)
    return content["facts"]


def array(folder: Path, name: str) -> np.ndarray | None:
    """A file of a folder as a read-only array that is mapped, not read; None if there is none."""
    path = folder / f"{name}.npy"
    if not path.exists():
        return None
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        try:  # an array without elements cannot be mapped
            found = np.load(path, allow_pickle=False)
        except (ValueError, OSError):
            raise StoreError(f"{str(path)!r} is no array ({error}); {_ADVICE}") from None
    found = np.asarray(found)
    found.flags.writeable = False
    return found


def created(folder: Path, name: str, kind: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A new file as an array to write to; blocks of it are filled one after another."""
    path = folder / f"{name}.npy"
    if not np.prod(shape):
        np.save(path, np.zeros(shape, kind))
        return np.zeros(shape, kind)
    found = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(kind), shape=shape)
    _reserve(path)
    return found


def _reserve(path: Path) -> None:
    """Take the room of a file now: a full disk would otherwise end the process in the middle of it."""
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def folder_bytes(folder: Path) -> int:
    """The size of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # folders cannot be opened there
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _shared(
    folder: Path, files: Mapping[str, dict[str, Any]], earlier: Path
) -> dict[str, dict[str, Any]]:
    """Put in the place of files that an earlier version has, too, hard links to its own; what tells these.

    Where the file system has no hard links, or the earlier file is damaged, the new one stays.
    """
    try:
        known = _content(earlier)["files"]
    except StoreError:
        return {}
    found = {}
    for name, own in files.items():
        if name not in known or known[name]["digest"] != own["digest"]:
            continue
        second = folder / f"{name}.same"
        try:
            require_same(earlier / name, known[name], whole=True)
            os.link(earlier / name, second)
            os.replace(second, folder / name)
        except (OSError, StoreError):
            continue
        found[name] = {**own, "time": (folder / name).stat().st_mtime_ns}
    return found


def _content(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not folder.is_dir():
        raise StoreError(
            f"the folder {str(folder)!r} is not there: a graph on disk lies in a folder beside its "
            "database, and moves along with it; put it back, or DROP GRAPH and create it again"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(
            f"{str(path)!r} cannot be read ({type(error).__name__}: {error}); {_ADVICE}"
        ) from None
    if version != VERSION:
        raise StoreError(
            f"the folder {str(folder)!r} has version {version!r}, and this program knows version "
            f"{VERSION}; use the sxq that wrote it, or create the graph again"
        )
    check = content.pop("check", None)
    if check != _check(content):
        raise StoreError(f"{str(path)!r} was changed after it was written; {_ADVICE}")
    return content


def _check(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def described(path: Path) -> dict[str, Any]:
    """What tells whether a file is still the same; it is on the disk afterwards."""
    sync(path)
    about = path.stat()
    return {
        "bytes": about.st_size,
        "time": about.st_mtime_ns,
        "ends": _digest(_ends_of(path, about.st_size)),
        "digest": _digest(_whole(path)),
    }


def require_same(path: Path, known: Mapping[str, Any], whole: bool) -> None:
    """Raise StoreError unless a file is as it was `described`."""
    try:
        about = path.stat()
        if about.st_size != known["bytes"]:
            raise StoreError(
                f"{str(path)!r} has {about.st_size:,} bytes, expected {known['bytes']:,}; {_ADVICE}"
            )
        same = _digest(_ends_of(path, about.st_size)) == known["ends"]
        if same and (whole or about.st_mtime_ns != known["time"]):
            same = _digest(_whole(path)) == known["digest"]
    except OSError as error:
        raise StoreError(f"{str(path)!r} cannot be read: {error.strerror}; {_ADVICE}") from None
    if not same:
        raise StoreError(f"{str(path)!r} was changed after it was written; {_ADVICE}")


def _digest(blocks: Iterator[bytes]) -> str:
    found = hashlib.sha256()
    for block in blocks:
        found.update(block)
    return found.hexdigest()


def _whole(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def _ends_of(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield file.read(ENDS)
        file.seek(max(0, size - ENDS))
        yield file.read(ENDS)
