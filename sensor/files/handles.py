"""Open files of a container, whose paths an attacker chose, and hash them within bounds.

Paths are bytes: file names need not be UTF-8.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import dataclasses
import errno
import functools
import hashlib
import os
import stat
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from sensor.files.budget import Budget
from sensor.files.deadline import QUICK_SECONDS, Worker
from sensor.files.status import status_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.wire import HashStatus

RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_IN_ROOT: Final = 0x10
_SYS_OPENAT2: Final = 437
"""The same number on every architecture."""

MAX_HASHED_BYTES: Final = 256 * 1024 * 1024
"""Larger files are reported with hash_status too_large; a quarter of a second at 1 GB/s."""
HASHED_PER_SECOND: Final = 16 * 1024 * 1024
HASHED_AT_ONCE: Final = 1024 * 1024 * 1024
"""Of one container: a budget that ever new large files run into, and that no honest workload does."""
HASH_SECONDS: Final = 5.0
HASHED_QUICKLY: Final = 50_000_000
"""For one file; 256 MiB take that at 50 MB/s, the bytes a second that no container is blamed for."""
FIRST_SILENCE: Final = 2.0
LONGEST_SILENCE: Final = 60.0
"""Seconds that nothing is read from a filesystem that gave no answer: a slow disk is soon asked again."""
RACY_NS: Final = 50_000_000
"""A file changed this shortly before may change again within one tick of its ctime: not cached."""


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def look_up(root: int, path: bytes, *, symlinks: bool = True) -> int:
    """Find `path` below the directory descriptor `root` as if that were `/`; returns an O_PATH descriptor.

    Neither `..` nor a symlink leads out of it (SENSOR: traps found by running). Without `symlinks`,
    one on the way fails with ELOOP, and one at the end is itself what is found. Nothing is opened:
    a device or FIFO put there does not notice. Raises OSError.
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
def directory(path: bytes | str) -> Iterator[int]:
    """A directory as a descriptor to look up from; raises OSError."""
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@dataclasses.dataclass(slots=True)
class OpenFile:
    """A regular file held, so that nobody can swap it between the look and the hash.

    What `found` and `at` make is no more than a handle (O_PATH): to open a file for reading, to ask for its facts and
    to close it all wait for its filesystem's server, which may be the container's own. The hash does, with a limit.
    """

    fd: int
    size: int
    ino: int
    dev: int
    ctime_ns: int

    @classmethod
    def found(cls, handle: int) -> Self:
        """Take over what `look_up` found; raises OSError, with that closed, where it is no regular file."""
        try:
            status = status_of(handle)
            if not stat.S_ISREG(status.mode):
                raise OSError(errno.EINVAL, "not a regular file")
        except OSError:
            os.close(handle)
            raise
        return cls(handle, status.size, status.ino, status.dev, status.ctime_ns)

    @classmethod
    def at(cls, link: str) -> Self:
        """Where a link of /proc leads; raises OSError where that is no regular file."""
        return cls.found(os.open(link, os.O_PATH | os.O_CLOEXEC))

    @property
    def key(self) -> tuple[int, int, int, int]:
        """Changes whenever the content does."""
        return self.dev, self.ino, self.ctime_ns, self.size

    def close(self) -> None:
        os.close(self.fd)


class _Silence(NamedTuple):
    until: float
    seconds: float


class Hasher:
    """sha256 of open files, remembered by device, inode, ctime and size. For one thread."""

    def __init__(
        self,
        limit: int = MAX_HASHED_BYTES,
        entries: int = 65_536,
        *,
        budget: Budget | None = None,
        worker: Worker | None = None,
        seconds: float = HASH_SECONDS,
    ) -> None:
        self._limit, self._seconds = limit, seconds
        self._budget = budget or Budget(HASHED_PER_SECOND, HASHED_AT_ONCE)
        self._worker = worker or Worker()
        self._silent: dict[int, _Silence] = {}
        self._entries = entries
        self._known: collections.OrderedDict[tuple[int, int, int, int], str] = collections.OrderedDict()

    def digest(self, file: OpenFile, payer: str = "") -> tuple[str | None, HashStatus]:
        """The file's sha256 in hex and "ok", or None and why not; "too_large" is also what is past a budget.

        `payer` is the container that it is hashed for; "" for an image's own file, which costs nobody.
        """
        known = self._known.get(file.key)
        if known is not None:
            self._known.move_to_end(file.key)
            return known, "ok"
        if file.size > self._limit or (payer and not self._budget.take(payer, file.size)):
            return None, "too_large"
        try:
            digest = self._in_time(file, payer)
        except OSError:
            return None, "unreadable"
        self._remember(file, digest)
        return digest, "ok"

    def _in_time(self, file: OpenFile, payer: str) -> str:
        """Raises OSError; a filesystem that did not answer is left alone for a while."""
        silence = self._silent.get(file.dev)
        if silence is not None and silence.until > time.monotonic():
            raise TimeoutError("its filesystem does not answer")
        self._worker.check(payer)
        again = OpenFile(os.dup(file.fd), file.size, file.ino, file.dev, file.ctime_ns)
        quick = QUICK_SECONDS + file.size / HASHED_QUICKLY
        try:
            digest = self._worker.run_for(payer, lambda: self._hash_and_close(again), self._seconds, quick=quick)
        except TimeoutError:
            self._silence(file.dev)
            raise
        self._silent.pop(file.dev, None)
        return digest

    def _silence(self, dev: int) -> None:
        """Longer each time, until the filesystem answers; long ones that are over are forgotten."""
        now = time.monotonic()
        self._silent = {
            each: silence for each, silence in self._silent.items() if silence.until > now - LONGEST_SILENCE
        }
        before = self._silent.get(dev)
        seconds = FIRST_SILENCE if before is None else min(2 * before.seconds, LONGEST_SILENCE)
        self._silent[dev] = _Silence(now + seconds, seconds)

    def _hash_and_close(self, file: OpenFile) -> str:
        try:
            return self._hash(file)
        finally:
            file.close()

    def _hash(self, file: OpenFile) -> str:
        path = f"/proc/self/fd/{file.fd}"
        with open(path, "rb", buffering=0) as again:  # noqa: PTH123 - own offset; O_PATH descriptors too
            return hashlib.file_digest(again, "sha256").hexdigest()

    def _remember(self, file: OpenFile, digest: str) -> None:
        if time.time_ns() - file.ctime_ns < RACY_NS:
            return
        self._known[file.key] = digest
        if len(self._known) > self._entries:
            self._known.popitem(last=False)
