"""Find and hold files of a container: an attacker chose their paths, and may serve their filesystem.

Everything here works on O_PATH handles, for which the kernel answers alone. Paths are bytes: file names need not be
UTF-8.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import functools
import os
import stat
import struct
from typing import TYPE_CHECKING, Final, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_IN_ROOT: Final = 0x10
_SYS_OPENAT2: Final = 437
"""The same number on every architecture."""
_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_STATX_DONT_SYNC: Final = 0x4000
_BASIC_STATS: Final = 0x07FF
_STATX_BYTES: Final = 256
_STATX: Final = struct.Struct("=16xI8xH2xQQ48xqI4x16x8xII")
"""`struct statx` (linux/stat.h): nlink, mode, ino, size, ctime, device."""
_StatxBuffer: Final = ctypes.c_char * _STATX_BYTES
_NS: Final = 1_000_000_000


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def look_up(root: int, path: bytes, *, symlinks: bool = True) -> int:
    """Find `path` below the directory descriptor `root` as if that were `/`; returns an O_PATH descriptor.

    Neither `..` nor a symlink leads out of `root` (docs/detection.md#reading-a-containers-files). Without `symlinks`,
    one on the way fails with ELOOP, and one at the end is itself what is found. Nothing is opened: a device or FIFO
    at that path does not notice. Raises OSError.
    """
    resolve = RESOLVE_IN_ROOT | (RESOLVE_NO_MAGICLINKS if symlinks else RESOLVE_NO_SYMLINKS)
    flags = os.O_PATH | os.O_CLOEXEC | (0 if symlinks else os.O_NOFOLLOW)
    how = _OpenHow(flags, 0, resolve)
    fd = _libc().syscall(_SYS_OPENAT2, root, path, ctypes.byref(how), ctypes.sizeof(how))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return int(fd)


@contextlib.contextmanager
def open_directory(path: bytes | str) -> Iterator[int]:
    """Yield a directory as a descriptor to look up from; raises OSError."""
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def open_file(directory: bytes | str, path: bytes, *, symlinks: bool = True) -> OpenFile:
    """Hold the regular file at `path` below a directory, as `look_up` finds it; raises OSError."""
    with open_directory(directory) as root:
        return OpenFile.adopt(look_up(root, path, symlinks=symlinks))


class FileStatus(NamedTuple):
    """A file's attributes, as os.stat_result has them."""

    dev: int
    ino: int
    size: int
    ctime_ns: int
    nlink: int
    mode: int


def file_status(file: int | str) -> FileStatus:
    """Attributes of an open descriptor (O_PATH too), or of the target of a link in /proc; raises OSError."""
    buffer = _StatxBuffer()
    # stat(2) waits for a FUSE server, also through an overlay on top of it, for as long as that likes: the
    # server may be the container's own. DONT_SYNC takes what the kernel has cached.
    if isinstance(file, int):
        where, path, flags = file, b"", _AT_EMPTY_PATH | _AT_STATX_DONT_SYNC
    else:
        where, path, flags = _AT_FDCWD, os.fsencode(file), _AT_STATX_DONT_SYNC
    if _libc().statx(where, path, flags, _BASIC_STATS, buffer) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), file)
    nlink, mode, ino, size, seconds, rest, major, minor = _STATX.unpack_from(buffer)
    return FileStatus(os.makedev(major, minor), ino, size, seconds * _NS + rest, nlink, mode)


@dataclasses.dataclass(slots=True)
class OpenFile:
    """A regular file, held so that it cannot be swapped between the check and the hash.

    `adopt` and `from_link` make a handle only (O_PATH). Opening a file for reading, its attributes by stat(2) and
    closing it afterwards all wait for the filesystem's server, which may be the container's own. Only the hash opens
    it, with a time limit; `is_readable` are those that the kernel itself opened for reading.
    """

    fd: int
    size: int
    ino: int
    dev: int
    ctime_ns: int
    is_readable: bool = False

    @classmethod
    def adopt(cls, handle: int, *, is_readable: bool = False) -> Self:
        """Take over what `look_up` found; closes it and raises OSError where it is not a regular file."""
        try:
            status = file_status(handle)
            if not stat.S_ISREG(status.mode):
                raise OSError(errno.EINVAL, "not a regular file")
        except OSError:
            os.close(handle)
            raise
        return cls(handle, status.size, status.ino, status.dev, status.ctime_ns, is_readable)

    @classmethod
    def from_link(cls, link: str) -> Self:
        """Hold the target of a link in /proc; raises OSError where it is not a regular file."""
        return cls.adopt(os.open(link, os.O_PATH | os.O_CLOEXEC))

    @property
    def key(self) -> tuple[int, int, int, int]:
        """Changes whenever the content does."""
        return self.dev, self.ino, self.ctime_ns, self.size

    def close(self) -> None:
        """Release the handle."""
        os.close(self.fd)
