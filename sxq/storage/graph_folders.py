"""Folders of graphs on disk, beside the database: `tx.duckdb.graphs/7-5f3c.../` is graph 7 of tx.duckdb.

A folder is written under a name of its own, gets its name inside the transaction that stores the
graph, and loses its mark `unfinished` after it. So a folder with the mark belongs to no graph, or the process ended
between the commit and the removal of the mark: `tidy`, which runs when nobody else has the file open, tells them apart.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sxq.errors import Error, StoreError
from sxq.graph.disk import OUTPUTS, DiskGraph, open_graph, write
from sxq.graph.disk.manifest import sync
from sxq.storage import graph_rows
from sxq.storage.named_rows import KINDS, claim
from sxq.storage.rows import Cursor, next_ids, run

MARK = "unfinished"  # holds the name of the graph
DISK = graph_rows.DISK
_FULL = (errno.ENOSPC, errno.EDQUOT)


def folder_of(path: str | None, graph_id: int, content_hash: str) -> Path:
    """Where a graph on disk lies; `path` is that of the database."""
    return beside(path) / f"{graph_id}-{content_hash[:12]}"


def beside(path: str | None) -> Path:
    """The folder of all graphs of a database; one in memory has none."""
    assert path is not None, "graphs on disk are refused where there is no file"
    return Path(f"{path}.graphs")


@contextmanager
def written(
    path: str | None, name: str, columns: Mapping[str, Any], earlier: Path | None = None
) -> Iterator[DiskGraph]:
    """A new folder with a graph, marked unfinished; it is removed if what follows fails.

    earlier  the folder of the version before, with which it shares the files that are the same

    Raises StoreError if there is no room for it, GraphError.
    """
    own = beside(path) / f"writing-{secrets.token_hex(6)}"
    try:
        own.mkdir(parents=True)
        (own / MARK).write_text(name, encoding="utf-8")
        yield write(own / "graph", columns, earlier)
    except OSError as error:
        raise _no_room(own, error) from error
    finally:
        shutil.rmtree(own, ignore_errors=True)
        with suppress(OSError):
            own.parent.rmdir()  # the first graph on disk made it


def _no_room(folder: Path, error: OSError) -> StoreError:
    if error.errno in _FULL:
        return StoreError(
            f"no room on the disk of {str(folder.parent)!r} for the graph ({error.strerror}); what was "
            "written of it is removed, and the database is as it was"
        )
    return StoreError(f"the folder of the graph cannot be written: {error}")


def save(
    cursor: Cursor, path: str | None, graph: DiskGraph, folders: list[Path], named: tuple[str, bool]
) -> int:
    """Store the row of a written graph, and give its folder its name; the id of the graph.

    folders  gets the folder; it has the mark, unless the graph was stored before
    named    the name of the graph, and whether it replaces another

    Within a transaction. Raises NameTaken.
    """
    name, replace = named
    version = graph_rows.next_version(cursor, name)
    content = {"content_hash": graph.content_hash}
    held = claim(cursor, KINDS["graph"], name, content, replace, part=(DISK, True))
    if held is not None:
        folders.append(folder_of(path, held, graph.content_hash))
        return held
    (graph_id,) = next_ids(cursor, "graph_ids")
    graph_rows.save_on_disk(cursor, graph_id, graph, name, version)
    final = folder_of(path, graph_id, graph.content_hash)
    shutil.rmtree(final, ignore_errors=True)  # of a transaction that was not committed
    (graph.folder / MARK).write_text(name, encoding="utf-8")
    folders.append(final)
    os.rename(graph.folder, final)
    sync(final.parent)
    return graph_id


def finish(folder: Path) -> None:
    """The transaction that stored a graph is committed."""
    (folder / MARK).unlink(missing_ok=True)


def undo(folders: Sequence[Path]) -> None:
    """The transaction that was to store graphs failed: their folders are removed."""
    for folder in folders:
        if (folder / MARK).exists():
            shutil.rmtree(folder, ignore_errors=True)


def opened(path: str | None, graph_id: int, content_hash: str, whole: bool = False) -> DiskGraph:
    """The graph of a row; raises StoreError if its folder is not there, or not as it was written."""
    try:
        graph = open_graph(folder_of(path, graph_id, content_hash), whole)
    except Error:
        raise
    except Exception as error:  # a manifest that somebody made by hand
        raise StoreError(
            f"graph {graph_id} on disk cannot be opened ({type(error).__name__}: {error}); DROP GRAPH and create it again"
        ) from error
    if graph.content_hash != content_hash:
        raise StoreError(
            f"the folder {str(graph.folder)!r} holds another graph (hash {graph.content_hash}) than the "
            f"database says ({content_hash}); put the right one back"
        )
    return graph


def stored(cursor: Cursor) -> dict[str, int]:
    """The names of the folders of all graphs on disk, with their ids."""
    rows = run(
        cursor, "SELECT graph_id, content_hash FROM graphs WHERE list_contains(parts, ?)", [DISK]
    )
    return {f"{graph_id}-{found[:12]}": graph_id for graph_id, found in rows}


def remove(path: str | None, names: Sequence[str]) -> None:
    """Remove folders of graphs that were deleted; a folder that cannot be removed stays."""
    if path is None:
        return
    for name in names:
        shutil.rmtree(beside(path) / name, ignore_errors=True)
    if names:
        with suppress(OSError):
            beside(path).rmdir()


def tidy(path: str, known: Mapping[str, int]) -> list[str]:
    """Remove what a process left that was ended while it wrote; what was found, in words."""
    said = []
    own = beside(path)
    for folder in sorted(own.iterdir()) if own.is_dir() else ():
        mark = folder / MARK
        if folder.name in known:
            with suppress(OSError):  # a file in place of the folder: opening the graph says so
                mark.unlink(missing_ok=True)
            for part in (folder / OUTPUTS).glob("*.part"):
                shutil.rmtree(part, ignore_errors=True)
        elif mark.exists():
            with suppress(OSError):
                name = mark.read_text(encoding="utf-8")
                said.append(
                    f"the process that wrote graph {name!r} to disk was ended before it was complete; "
                    "what it had written is removed: create the graph again"
                )
            shutil.rmtree(folder, ignore_errors=True)
    return said


def copy(path: str, target: Path, names: Sequence[str]) -> None:
    """Copy the folders of graphs for a copy of the database at `target`, all or none; raises OSError.

    Files that versions share are copied once, where the file system has hard links.
    """
    done: list[Path] = []
    copied: dict[tuple[int, int], str] = {}

    def copy_once(source: str, target: str) -> str:
        about = os.stat(source)
        first = copied.setdefault((about.st_dev, about.st_ino), target)
        if first != target:
            with suppress(OSError):
                os.link(first, target)
                return target
        return shutil.copy2(source, target)

    try:
        for name in names:
            done.append(beside(str(target)) / name)
            shutil.copytree(beside(path) / name, done[-1], copy_function=copy_once)
    except FileExistsError:
        raise
    except BaseException:
        for folder in done:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def link(path: str, target: Path, names: Sequence[str]) -> None:
    """Give the files of these folders a second name beside `target`; raises OSError.

    Where the file system has no hard links they are copied. What is there already stays; what is half written is
    left out.
    """
    for name in names:
        source = beside(path) / name
        for file in source.rglob("*"):
            own = beside(str(target)) / name / file.relative_to(source)
            if not file.is_file() or file.name == MARK or own.exists():
                continue
            if any(parent.suffix == ".part" for parent in file.parents):
                continue
            own.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file, own)
            except OSError:
                shutil.copy2(file, own)


def remove_others(target: Path, names: Sequence[str]) -> None:
    """Remove the folders beside `target` that are none of these."""
    own = beside(str(target))
    there = [folder.name for folder in own.iterdir()] if own.is_dir() else []
    remove(str(target), sorted(set(there) - set(names)))
