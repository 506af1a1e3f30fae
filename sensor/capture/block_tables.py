"""The kernel program's tables of what to block: the layouts of `bpf/block.h`, written from user space."""

from __future__ import annotations

import dataclasses
import enum
import struct
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.record import kernel_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.capture.libbpf import Libbpf

MAX_DEVICES: Final = 32
MARK_SECONDS: Final = 2.0
"""From the answer to a held exec to its tracepoint; an exec that failed in between leaves its mark behind."""
_ENTRY: Final = struct.Struct(f"<QQQII{MAX_DEVICES}I")
_GUARD: Final = struct.Struct("<QII")
_MARK_KEY: Final = struct.Struct("<QII")
_MARK: Final = struct.Struct("<QII")
UNTOLD_SCRIPT: Final = 0
"""In place of an inode's number: the `#!` script of an exec of which the kernel program can't tell it any more."""


class ExecMark(enum.IntEnum):
    """What was found of a held exec: `enum mark_what`."""

    KILL = 1
    LATE = 2


class BlockTableDescriptors(NamedTuple):
    """Of the maps: enforcement, image_names, marks, guard."""

    enforcement: int
    image_names: int
    marks: int
    guard: int


@dataclasses.dataclass(frozen=True)
class ContainerEntry:
    """What the kernel does in one container; `devices` as os.makedev, of the filesystems that its runtime mounted."""

    upper_ino: int
    workload: int
    image: int
    kinds: int
    devices: Sequence[int] = ()

    def packed(self) -> bytes:
        devices = [kernel_device(dev) for dev in self.devices]
        padding = [0] * (MAX_DEVICES - len(devices))
        return _ENTRY.pack(self.upper_ino, self.workload, self.image, self.kinds, len(devices), *devices, *padding)


class BlockTables:
    """Threads may share it: each call is one system call. Errors are CaptureUnavailable."""

    def __init__(self, libbpf: Libbpf, fds: BlockTableDescriptors) -> None:
        self._libbpf, self.fds = libbpf, fds

    def enforce(self, root_dev: int, entry: ContainerEntry) -> None:
        """Set what is blocked in the container with this root filesystem."""
        self._libbpf.update(self.fds.enforcement, _word(kernel_device(root_dev)), entry.packed())

    def release(self, root_dev: int) -> None:
        """Block nothing there any more."""
        self._libbpf.delete(self.fds.enforcement, _word(kernel_device(root_dev)))

    def name(self, image: int, names: bytes) -> None:
        """Tell the names of an image's files (`name_filter`): without, no new file is stopped by the kernel."""
        self._libbpf.update(self.fds.image_names, image.to_bytes(8, "little"), names)

    def forget(self, image: int) -> None:
        self._libbpf.delete(self.fds.image_names, image.to_bytes(8, "little"))

    def clear(self) -> None:
        """Stop blocking at once, and forget what an earlier sensor left."""
        self.renew(0.0, 0)
        for fd, size in ((self.fds.enforcement, 4), (self.fds.image_names, 8), (self.fds.marks, _MARK_KEY.size)):
            for key in self._libbpf.keys(fd, size):
                self._libbpf.delete(fd, key)

    def renew(self, seconds: float, kills_per_minute: int) -> None:
        """Block for so many seconds more; 0 ends it now."""
        deadline = _soon(seconds) if seconds else 0
        self._libbpf.update(self.fds.guard, _word(0), _GUARD.pack(deadline, kills_per_minute, 0))

    def seconds_left(self) -> float:
        """How long the kernel goes on blocking; 0 or less where it does not."""
        deadline, _, _ = _GUARD.unpack(self._libbpf.lookup(self.fds.guard, _word(0), _GUARD.size))
        return (deadline - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) / 1e9 if deadline else 0.0

    def mark(self, thread: int, ino: int, what: ExecMark) -> None:
        """Say what becomes of the exec that a thread is about to make of a file."""
        self._libbpf.update(self.fds.marks, _MARK_KEY.pack(ino, thread, 0), _MARK.pack(_soon(MARK_SECONDS), what, 0))

    def unmark(self, thread: int, ino: int) -> None:
        """Forget what was said of an exec that a thread did not make."""
        self._libbpf.delete(self.fds.marks, _MARK_KEY.pack(ino, thread, 0))


def _word(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _soon(seconds: float) -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(seconds * 1e9)
