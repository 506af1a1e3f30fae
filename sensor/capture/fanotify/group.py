"""fanotify(7) through ctypes: one group of marks, its events, and the answers to permission events."""

from __future__ import annotations

import collections
import ctypes
import enum
import errno
import functools
import os
import struct
from typing import TYPE_CHECKING, Final, Self

from sensor.capture.errors import CaptureUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOEXEC: Final = 0x01
NONBLOCK: Final = 0x02
CLASS_CONTENT: Final = 0x04
UNLIMITED_QUEUE: Final = 0x10
UNLIMITED_MARKS: Final = 0x20
REPORT_TID: Final = 0x100
OPEN_EXEC: Final = 0x0000_1000
"""A file was opened to be executed: the program, a script, its interpreter, the dynamic loader."""
CLOSE_WRITE: Final = 0x0000_0008
"""The last user of a file that was open for writing closed it, or its last mapping of it is gone."""
OPEN_EXEC_PERM: Final = 0x0004_0000
"""The same before it happens: the exec is held until it is answered. Only for a permission group."""
Q_OVERFLOW: Final = 0x4000
_ADD: Final = 0x01
_REMOVE: Final = 0x02
_FLUSH: Final = 0x80
_IGNORED_MASK: Final = 0x20
_EVICTABLE: Final = 0x200
_ALLOW: Final = 1
_DENY: Final = 2
_NO_FD: Final = -1
_METADATA: Final = struct.Struct("=IBBHQii")
_RESPONSE: Final = struct.Struct("=iI")
_VERSION: Final = 3
MAX_EVENTS: Final = 1_300
"""In one read; each is an open descriptor."""


class Scope(enum.IntFlag):
    """The scope of a mark."""

    INODE = 0
    MOUNT = 0x10
    """One mount, not its copies in other mount namespaces."""
    FILESYSTEM = 0x100
    """A superblock, through whatever mount. Linux 4.20."""


class OpenEvent:
    """A file that was opened to be executed. The reader closes it; a held one is answered first."""

    __slots__ = ("fd", "mask", "pid")

    def __init__(self, mask: int, fd: int, pid: int) -> None:
        self.mask = mask
        self.fd = fd
        """The file itself, open for reading, as the exec found it."""
        self.pid = pid
        """In this process's pid namespace; a thread's with `report_tid`."""

    @property
    def is_held(self) -> bool:
        """Whether the exec waits for `allow` or `deny`."""
        return bool(self.mask & OPEN_EXEC_PERM)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = _NO_FD


class Fanotify:
    """One fanotify group. Not thread-safe but for `allow` and `deny`.

    A group for `permission` holds each exec until it is answered; closing it, or the end of the process,
    allows all that are held.
    """

    def __init__(self, *, permission: bool = False, report_tid: bool = False) -> None:
        """Raises CaptureUnavailable with the reason."""
        flags = CLOEXEC | NONBLOCK | UNLIMITED_QUEUE | UNLIMITED_MARKS
        flags |= (CLASS_CONTENT if permission else 0) | (REPORT_TID if report_tid else 0)
        fd = _libc().fanotify_init(flags, os.O_RDONLY | os.O_CLOEXEC | os.O_LARGEFILE | os.O_NONBLOCK)
        if fd < 0:
            raise _unavailable(ctypes.get_errno())
        self._fd = int(fd)
        self.lost: collections.Counter[str] = collections.Counter()
        """`queue`: times that the kernel had no memory for an event. `event`: files that could not be opened."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Readable when there are events."""
        return self._fd

    def mark(self, mask: int, scope: Scope, *, path: bytes | str | None = None, fd: int | None = None) -> None:
        """Watch `path`, or an open descriptor (O_PATH too); raises OSError."""
        self._mark(_ADD | scope, mask, path, fd)

    def unmark(self, mask: int, scope: Scope, *, path: bytes | str | None = None, fd: int | None = None) -> None:
        """Stop watching a path or descriptor; raises OSError. A mark ends by itself with its mount or filesystem."""
        self._mark(_REMOVE | scope, mask, path, fd)

    def ignore(self, mask: int, fd: int) -> None:
        """Leave out this one file until it is written to or its inode forgotten (Linux 5.19); raises OSError."""
        self._mark(_ADD | _IGNORED_MASK | _EVICTABLE, mask, None, fd)

    def watch_while_ignored(self, mask: int, fd: int) -> None:
        """Watch this one file as long as it may be left out by `ignore`; raises OSError."""
        self._mark(_ADD | _EVICTABLE, mask, None, fd)

    def stop_ignoring(self, mask: int, fd: int) -> None:
        """Undo `ignore`; raises OSError."""
        self._mark(_REMOVE | _IGNORED_MASK, mask, None, fd)

    def flush(self, scope: Scope) -> None:
        """Take away all marks of this scope."""
        self._mark(_FLUSH | scope, 0, b"/", None)

    def _mark(self, flags: int, mask: int, path: bytes | str | None, fd: int | None) -> None:
        # By its link in /proc an O_PATH descriptor works too, which the call itself rejects.
        where = os.fsencode(path) if path is not None else f"/proc/self/fd/{fd}".encode()
        if _libc().fanotify_mark(self._fd, flags, ctypes.c_uint64(mask), -1, where) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), where)

    def read(self, most: int = MAX_EVENTS) -> list[OpenEvent]:
        """Return up to `most` events, oldest first, [] where none waits; raises OSError once the group is unusable."""
        try:
            data = os.read(self._fd, most * _METADATA.size)
        except BlockingIOError:
            return []
        except OSError as error:
            if error.errno in {errno.EBADF, errno.EINVAL, errno.EFAULT}:
                raise
            # The kernel could not open the first event's file: that event is lost, those behind it are not.
            self.lost["event"] += 1
            return []
        return [event for event in _decode(data) if self._is_file(event)]

    def _is_file(self, event: OpenEvent) -> bool:
        if event.fd >= 0:
            return True
        self.lost["queue" if event.mask & Q_OVERFLOW else "event"] += 1
        return False

    def allow(self, event: OpenEvent) -> None:
        """Allow a held exec, and close the event."""
        self._answer(event, _ALLOW)

    def deny(self, event: OpenEvent) -> None:
        """Make a held exec fail with EPERM, and close the event."""
        self._answer(event, _DENY)

    def _answer(self, event: OpenEvent, answer: int) -> None:
        try:
            os.write(self._fd, _RESPONSE.pack(event.fd, answer))
        except FileNotFoundError:
            pass  # killed while it was held: nothing waits for the answer
        finally:
            event.close()

    def close(self) -> None:
        """End the group and its marks; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = _NO_FD


def _decode(data: bytes) -> Iterator[OpenEvent]:
    """Yield the events of one read; whole ones only, as the kernel gives them."""
    start = 0
    while start + _METADATA.size <= len(data):
        length, version, _, _, mask, fd, pid = _METADATA.unpack_from(data, start)
        if version != _VERSION or length < _METADATA.size:
            raise OSError(errno.EINVAL, "this kernel has another fanotify version")
        yield OpenEvent(mask, fd, pid)
        start += length


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _unavailable(code: int) -> CaptureUnavailable:
    why = {
        errno.EPERM: "needs root (CAP_SYS_ADMIN)",
        errno.ENOSYS: "needs a kernel with CONFIG_FANOTIFY",
        errno.EINVAL: "needs Linux 5.0, and CONFIG_FANOTIFY_ACCESS_PERMISSIONS to hold execs",
        errno.EMFILE: "reached the limit on fanotify groups (fs.fanotify.max_user_groups)",
    }
    return CaptureUnavailable(f"fanotify capture {why.get(code, f'failed: {os.strerror(code)}')}")
