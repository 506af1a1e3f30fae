"""What the kernel knows of a file without asking its filesystem's server, which may be the container's own.

stat(2) asks a FUSE server, also through an overlay that lies on it, and so waits for as long as that likes.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
from typing import Final, NamedTuple

_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_STATX_DONT_SYNC: Final = 0x4000
_BASIC_STATS: Final = 0x07FF
_BYTES: Final = 256
_FIELDS: Final = struct.Struct("=16xI8xH2xQQ48xqI4x16x8xII")
"""`struct statx` (linux/stat.h): nlink, mode, ino, size, ctime, device."""
_NS: Final = 1_000_000_000


class Status(NamedTuple):
    """As os.stat_result has them."""

    dev: int
    ino: int
    size: int
    ctime_ns: int
    nlink: int
    mode: int


def status_of(file: int | str) -> Status:
    """Of an open descriptor (O_PATH too), or of where a link of /proc leads; raises OSError."""
    buffer = ctypes.create_string_buffer(_BYTES)
    if isinstance(file, int):
        where, path, flags = file, b"", _AT_EMPTY_PATH | _AT_STATX_DONT_SYNC
    else:
        where, path, flags = _AT_FDCWD, os.fsencode(file), _AT_STATX_DONT_SYNC
    if _libc().statx(where, path, flags, _BASIC_STATS, buffer) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), file)
    nlink, mode, ino, size, seconds, rest, major, minor = _FIELDS.unpack_from(buffer)
    return Status(os.makedev(major, minor), ino, size, seconds * _NS + rest, nlink, mode)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
