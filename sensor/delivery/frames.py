"""Framed JSON lines: `LENGTH CRC32 JSON\\n`, both numbers as 8 hex digits, so that a torn line is recognised.

A process may be killed, and a disk may fill, at any byte of a write. Complete lines are read back; a torn end is cut
off before anything is appended.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import zlib
from typing import TYPE_CHECKING, Final

from sensor.files.durable import sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_HEADER: Final = len("00000000 00000000 ")
OVERHEAD: Final = _HEADER + 1
"""Bytes that a frame takes beyond its line."""
TRANSIENT_ERRORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors of this process or machine: the file itself may be intact."""

log = logging.getLogger(__name__)


def frame(line: bytes) -> bytes:
    """Return one line of JSON (without newline) as it is stored."""
    return b"%08x %08x %s\n" % (len(line), zlib.crc32(line), line)


def parse(data: bytes) -> tuple[list[bytes], int, int]:
    """Return the complete lines in `data`, the end offset of the last one, and how many before it were broken.

    A broken line is skipped up to its newline; one at the very end is the torn tail and does not count.
    """
    lines: list[bytes] = []
    good_end = broken = broken_since = position = 0
    while position < len(data):
        line, end = _line_at(data, position)
        if line is None:
            broken_since += 1
        else:
            lines.append(line)
            good_end, broken, broken_since = end, broken + broken_since, 0
        position = end
    return lines, good_end, broken


def _line_at(data: bytes, start: int) -> tuple[bytes | None, int]:
    """Return the line at `start`, None where it is broken, and the offset of the next one."""
    newline = data.find(b"\n", start)
    end = len(data) if newline < 0 else newline + 1
    line = data[start + _HEADER : end - 1]
    if newline >= 0 and data[start:end] == frame(line):
        return line, end
    return None, end


def read(path: Path) -> tuple[list[bytes], int]:
    """Return the complete lines of a file and the number of broken ones, after cutting off a torn tail."""
    data = path.read_bytes()
    lines, good_end, broken = parse(data)
    if good_end < len(data):
        os.truncate(path, good_end)
    return lines, broken


def set_aside(path: Path, error: Exception) -> None:
    """Rename an unreadable file to `NAME.broken`, for an administrator to examine.

    Raises `error` itself where it is transient and the file may be intact.
    """
    if isinstance(error, OSError) and error.errno in TRANSIENT_ERRORS:
        raise error
    log.error("%s is unreadable and set aside: %s", path, error)
    with contextlib.suppress(OSError):
        path.replace(path.with_name(path.name + ".broken"))


class FrameFile:
    """A file to which lines are appended; a failed append leaves no trace."""

    def __init__(self, path: Path) -> None:
        """Create `path`, durably. Raises FileExistsError where it exists."""
        self.path = path
        self.size = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            sync_directory(path.parent)
        except OSError:
            self.close()
            path.unlink()
            raise

    def append(self, lines: Iterable[bytes], *, sync: bool) -> None:
        """Write all lines at once; with `sync`, returns once they are on disk.

        Raises OSError (disk full, I/O error) with the file as it was before, as far as the disk allows.
        """
        data = b"".join(map(frame, lines))
        try:
            _write_all(self._file, data)
            if sync:
                os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self.size)
            raise
        self.size += len(data)

    def close(self) -> None:
        os.close(self._file)


def replacement(path: Path, lines: Iterable[bytes]) -> FrameFile:
    """Replace `path` by a file of these lines alone, open for appending.

    After a crash `path` is the old file or the new one. Raises OSError with the old one unchanged.
    """
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)  # left by a process that was killed here
    file = FrameFile(beside)
    try:
        file.append(lines, sync=True)
        beside.replace(path)
    except OSError:
        file.close()
        beside.unlink(missing_ok=True)
        raise
    file.path = path
    sync_directory(path.parent)
    return file


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
