"""Arrays from an .npz file that a stranger may have written: nothing is executed, and nothing is taken on trust.

An array is read when it is asked for, so arrays that nobody asks for cost nothing. Before memory is taken for one,
the size in its header must agree with the size of its member of the zip, and that with the bytes that the file
really has: a member can be compressed by a factor of 1,032 and no more.
"""

import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from sxq.errors import DataError, GraphError
from sxq.graph.named_columns import may_be_text

DEFLATE = 1_032  # bytes that one compressed byte can become
RATIO = 10_000  # bytes that an array made dense may take for each byte that was given
SMALL = 2**30  # bytes; up to here an array may be made dense however sparse it is
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of numpy.savez and savez_compressed


class NpzArrays(Mapping[str, np.ndarray]):
    """The arrays of an .npz file by name, each read when asked for.

    most  bytes that all arrays together may take; None: the memory of this machine

    Raises DataError for a file that is not an .npz file of plain arrays, GraphError for an array without numbers.
    """

    def __init__(self, path: str | Path, most: int | None = None):
        self.path = Path(path)
        self.most = memory_of_machine() if most is None else most
        self._read: dict[str, np.ndarray] = {}
        require_file(self.path)
        try:
            with zipfile.ZipFile(self.path) as file:
                members = file.infolist()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from None
        except _BROKEN as error:
            raise self._no_npz(error) from None
        self._size = self.path.stat().st_size
        self._members = {member.filename.removesuffix(".npy"): member for member in members}
        if len(self._members) < len(members):
            raise self._no_npz("two arrays have one name")

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._read:
            self._read[name] = self._load(name)
        return self._read[name]

    def _load(self, name: str) -> np.ndarray:
        member = self._members[name]
        try:
            with zipfile.ZipFile(self.path) as file:
                self._check_member(name, member)
                with file.open(member) as stream:
                    self._check_header(name, member, stream)
                with file.open(member) as stream:
                    array = npy.read_array(stream, allow_pickle=False)
                    if stream.read(1):
                        raise self._no_npz(f"{name} continues past its end")
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror or error}") from None
        except (*_BROKEN, MemoryError) as error:
            raise self._no_npz(f"{name}: {error}") from None
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def _check_member(self, name: str, member: zipfile.ZipInfo) -> None:
        """Refuse a member that is encrypted, or whose sizes cannot be true."""
        if member.flag_bits & 0x1:
            raise self._no_npz(f"{name} is encrypted; save it without a password")
        if member.compress_type not in METHODS:
            raise self._no_npz(
                f"{name} is compressed by method {member.compress_type}, which numpy.savez does not use"
            )
        most = member.compress_size * (
            DEFLATE if member.compress_type == zipfile.ZIP_DEFLATED else 1
        )
        if member.header_offset + member.compress_size > self._size or member.file_size > most:
            raise self._no_npz(
                f"{name} claims {member.file_size:,} bytes, which {member.compress_size:,} bytes in a file of"
                f" {self._size:,} cannot hold"
            )

    def _check_header(self, name: str, member: zipfile.ZipInfo, stream: IO[bytes]) -> None:
        """Refuse an array whose header claims another size than the member has, or more than may be taken."""
        version = npy.read_magic(stream)
        if version not in _HEADERS:
            raise self._no_npz(f"{name} has a header of version {version}")
        shape, _, dtype = _HEADERS[version](stream)
        if dtype.hasobject:
            raise self._no_npz(
                f"{name} holds Python objects, which only pickle could read; save it as numbers"
            )
        if dtype.kind not in ("biufU" if may_be_text(name) else "biuf") or not shape:
            raise GraphError(
                f"{self.path}: {name} is {dtype} of shape {list(shape)}, expected numbers"
            )
        count = prod(shape)
        held = member.file_size - stream.tell()
        # an empty array costs nothing, but its other dimensions could claim any number of nodes
        if min(shape) < 0 or count * dtype.itemsize != held or (not count and max(shape) > 2**24):
            raise self._no_npz(
                f"{name} claims shape {list(shape)} of {dtype}, {count * dtype.itemsize:,} bytes, and holds {held:,}"
            )
        taken = count * dtype.itemsize + sum(array.nbytes for array in self._read.values())
        if taken > self.most:
            raise DataError(
                f"{self.path}: {name} of shape {list(shape)} would take {taken:,} bytes with the arrays before it;"
                f" {self.most:,} may be taken"
            )

    def _no_npz(self, problem: object) -> DataError:
        return DataError(f"{self.path} is not an .npz file of plain arrays: {problem}")


def require_file(path: Path) -> None:
    """Raise DataError unless `path` is a regular file that can be found: a device or a pipe would never end."""
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "no regular file"
            raise DataError(f"cannot read {str(path)!r}: it is {kind}")
        path.stat()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:  # a NUL, or a lone surrogate
        raise DataError(f"cannot read {str(path)!r}: {error}") from None


def require_dense(name: str, shape: tuple[int, int], given: int) -> None:
    """Raise GraphError where a dense [n, width] float32 array would dwarf the `given` bytes that ask for it."""
    needed = 4 * prod(shape)
    if needed > min(max(SMALL, RATIO * given), memory_of_machine() // 2):
        raise GraphError(
            f"{name} asks for features of shape {list(shape)}, {needed:,} bytes, and holds {given:,} bytes;"
            " give fewer features"
        )


def memory_of_machine() -> int:
    """Bytes of physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_BROKEN = (  # what zipfile and numpy raise for bytes that make no sense
    *(zipfile.BadZipFile, zlib.error, ValueError, TypeError, EOFError, RuntimeError, OverflowError),
    *(NotImplementedError, SyntaxError, IndexError, KeyError, RecursionError),
    *(struct.error, tokenize.TokenError),
)
