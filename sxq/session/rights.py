"""What the statements of a connection may do: the rights it was opened with, and what they mean for sxq's own.

An untrusted connection runs text from strangers. `sxq.storage.access` restricts their SQL; this file restricts
what sxq's statements could do: files, data sets, and settings that take more of the machine.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sxq.errors import InvalidValue, NotAllowed
from sxq.planning import SETTINGS
from sxq.planning.settings import memory
from sxq.storage import Access

MEMORY_LIMIT = "1 GB"  # of untrusted SQL
DATA_SETS_IN_MEMORY = (
    "karateclub",
)  # of PyG's data sets, those that need no file; generated ones do not, either
MOST_GRAPHS = 10_000  # of a generated collection
# Settings that an untrusted statement may lower but not raise, and those that it may set freely.
BOUNDS = ("sxq_batch_memory", "sxq_budget", "sxq_front_limit")
FREE = (
    *("sxq_answer", "sxq_embedding", "sxq_inference", "sxq_keep_candidates"),
    *("sxq_report", "sxq_resolution"),
)


def access(
    read_only: bool, untrusted: bool, allow: Iterable[str | Path], memory_limit: Any
) -> Access:
    """The rights of a connection; raises InvalidValue for folders or a limit that make no sense."""
    folders = [allow] if isinstance(allow, str | Path) else list(allow)
    if not untrusted and (folders or memory_limit is not None):
        name = "allow" if folders else "memory_limit"
        raise InvalidValue(f"{name}= is for untrusted=True; a trusted connection reads any file")
    return Access(
        read_only=read_only,
        untrusted=untrusted,
        folders=tuple(_folder(folder) for folder in folders),
        memory=_bytes(MEMORY_LIMIT if memory_limit is None else memory_limit),
    )


def require_setting(rights: Access, name: str, value: Any) -> None:
    """Raise NotAllowed if an untrusted statement lets a setting take more of the machine; `value` is legal."""
    if not rights.untrusted or name in FREE:
        return
    if name not in BOUNDS:
        raise NotAllowed(f"SET {name} is not allowed on an untrusted connection")
    setting = SETTINGS[name]
    if setting.read(value) > setting.read(setting.default):
        raise NotAllowed(
            f"{name} = {value!r} is more than {setting.default!r}, the most on an untrusted connection"
        )


def require_count(rights: Access, name: str, count: int | None) -> None:
    """Raise NotAllowed if an untrusted statement asks for more generated graphs than it may."""
    if rights.untrusted and (count or 0) > MOST_GRAPHS:
        raise NotAllowed(
            f"{name} = {count} is more than {MOST_GRAPHS}, the most on an untrusted connection"
        )


def require_data_set(rights: Access, name: str) -> None:
    """Raise NotAllowed for a data set that would be downloaded, or read from files that may run code."""
    if name.lower() not in DATA_SETS_IN_MEMORY:
        rights.require_trusted(f"FROM DATASET {name!r}, which downloads and reads files,")


def _folder(given: str | Path) -> Path:
    try:
        folder = Path(given).resolve()
        found = folder.is_dir()
    except (OSError, TypeError, ValueError, RuntimeError):
        found = False
    if not found:
        raise InvalidValue(f"allow names {str(given)!r}; expected a folder that exists")
    return folder


def _bytes(written: Any) -> int:
    try:
        return memory(written)
    except (ValueError, TypeError, OverflowError):
        raise InvalidValue(
            f"memory_limit = {written!r}; expected a size of 1 MB or more, such as '512 MB'"
        ) from None
