"""Which of the files that one exec opens is the program? Scripts and loaders are opened to be executed too."""

from __future__ import annotations

import enum
import os
import struct
from typing import Final

from sensor.container.recent import Recent

HEAD_BYTES: Final = 4_096
_PT_INTERP: Final = 3
MAX_WAITING: Final = 16_384


class Shape(enum.Enum):
    """What the kernel makes of a file that is executed."""

    SCRIPT = enum.auto()
    """`#!`: its interpreter is opened next."""
    DYNAMIC = enum.auto()
    """A program whose dynamic loader is opened next."""
    STATIC = enum.auto()
    """A program, or a loader, that needs none."""
    OTHER = enum.auto()
    """Nothing that Linux runs by itself: the exec fails (a shell then reads the file)."""


class Role(enum.Enum):
    """What a file is in its exec."""

    SCRIPT = enum.auto()
    PROGRAM = enum.auto()
    LOADER = enum.auto()
    """Opened by the kernel for the program before it."""
    REFUSED = enum.auto()


def shape_of(fd: int) -> Shape:
    """From a file's first bytes; raises OSError."""
    head = os.pread(fd, HEAD_BYTES, 0)
    if head.startswith(b"#!"):
        return Shape.SCRIPT
    if not head.startswith(b"\x7fELF"):
        return Shape.OTHER
    return Shape.DYNAMIC if _has_interpreter(head) else Shape.STATIC


def _has_interpreter(head: bytes) -> bool:
    """Whether an ELF file names a dynamic loader (elf(5)); its program headers nearly always follow its header."""
    if len(head) < 64:
        return False
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    start = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)[0]
    size, number = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    places = range(start, min(start + size * number, len(head) - 3), max(size, 1))
    return any(struct.unpack_from(order + "I", head, place)[0] == _PT_INTERP for place in places)


class Sequences:
    """Follows the files that each process opens, in order."""

    def __init__(self) -> None:
        self._last: Recent[int, Shape] = Recent(MAX_WAITING)

    def role(self, pid: int, shape: Shape) -> Role:
        """What the file is that a process opened now."""
        before = self._last.get(pid)
        self._last.put(pid, shape)
        if shape is Shape.SCRIPT:
            return Role.SCRIPT
        if shape is Shape.OTHER:
            return Role.REFUSED
        if before is Shape.DYNAMIC and shape is Shape.STATIC:
            # Whoever contrives an exec that fails between the two, so that the next program passes for a
            # loader, gains nothing: one that is not the image's is judged all the same.
            return Role.LOADER
        return Role.PROGRAM
