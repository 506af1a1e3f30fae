"""The roles of the files that one exec opens: scripts and loaders are opened to be executed too."""

from __future__ import annotations

import enum
import os
import struct
from typing import Final

from sensor.container.recent import Recent

HEAD_BYTES: Final = 4_096
_PT_INTERP: Final = 3
MAX_WAITING: Final = 16_384


class FileShape(enum.Enum):
    """How the kernel handles a file that is executed."""

    SCRIPT = enum.auto()
    """`#!`: its interpreter is opened next."""
    DYNAMIC = enum.auto()
    """A program whose dynamic loader is opened next."""
    STATIC = enum.auto()
    """A program, or a loader, that needs none."""
    OTHER = enum.auto()
    """Not something that Linux runs by itself: the exec fails (a shell then reads the file)."""


class FileRole(enum.Enum):
    """The role of a file in its exec."""

    SCRIPT = enum.auto()
    PROGRAM = enum.auto()
    LOADER = enum.auto()
    """Opened by the kernel for the program before it."""
    REJECTED = enum.auto()
    """Not something that Linux runs: the exec fails."""


def file_shape(fd: int) -> FileShape:
    """Return the format that a file's first bytes show; raises OSError."""
    head = os.pread(fd, HEAD_BYTES, 0)
    if head.startswith(b"#!"):
        return FileShape.SCRIPT
    if not head.startswith(b"\x7fELF"):
        return FileShape.OTHER
    return FileShape.DYNAMIC if _has_interpreter(head) else FileShape.STATIC


def _has_interpreter(head: bytes) -> bool:
    """Whether an ELF file names a dynamic loader (elf(5)); its program headers nearly always follow its header."""
    if len(head) < 64:
        return False
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    start = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)[0]
    size, number = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    offsets = range(start, min(start + size * number, len(head) - 3), max(size, 1))
    return any(struct.unpack_from(order + "I", head, offset)[0] == _PT_INTERP for offset in offsets)


class OpenSequences:
    """Follows the files that each process opens, in order."""

    def __init__(self) -> None:
        self._last: Recent[int, FileShape] = Recent(MAX_WAITING)

    def role(self, pid: int, shape: FileShape) -> FileRole:
        """Return the role of the file that a process opened now."""
        before = self._last.get(pid)
        self._last.put(pid, shape)
        if shape is FileShape.SCRIPT:
            return FileRole.SCRIPT
        if shape is FileShape.OTHER:
            return FileRole.REJECTED
        if before is FileShape.DYNAMIC and shape is FileShape.STATIC:
            # An exec that is made to fail between the two, so that the next program passes for a loader, gains an
            # attacker nothing: a loader that is not the image's is judged all the same.
            return FileRole.LOADER
        return FileRole.PROGRAM
