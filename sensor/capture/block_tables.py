"""The kernel program's tables of what to block: the layouts of `bpf/block.h`, written from user space."""

from __future__ import annotations

import collections
import dataclasses
import enum
import os
import struct
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.capture.write_records import KernelWriteRecords
from sensor.judgement.provenance import SESSIONS
from sensor.record import kernel_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.capture.libbpf import Libbpf
    from sensor.file_state import FileState

MAX_DEVICES: Final = 32
MARK_SECONDS: Final = 60.0
"""From the answer to a held exec until its tracepoint, which a thread of little priority reaches late on a busy node.
An exec that fails in between leaves its mark behind."""
_ENTRY: Final = struct.Struct(f"<QQ4III{MAX_DEVICES}I")
_GUARD: Final = struct.Struct("<Q")
_MARK_KEY: Final = struct.Struct("<QII")
_MARK: Final = struct.Struct("<QQQQQII")
_WHAT_BITS: Final = 4
_SESSIONS: Final = 4
"""Places for each session in a mark: `SESSION_MASK` and one."""
HOLD_SERVER: Final = 5
"""The key of the map `state`: `STATE_HOLD_SERVER`."""
ANY_SCRIPT_INO: Final = 0
"""In place of an inode number: the `#!` script of an exec. At the tracepoint only its interpreter's is known."""
ANY_SCRIPT_SECONDS: Final = 2.0
"""Such a mark is good for this long: left behind, it would be taken for that of another script of the thread."""


class ExecMark(enum.IntEnum):
    """What the kernel program does with a held exec that goes on: `enum mark_what`."""

    KILL = 1
    """Kill it before its first instruction."""
    LATE = 2
    """Let it run, and report it as `timeout`."""
    CHECKED = 3
    """Let it run if the file has the data that it had at its check; else kill it."""


class ExecMarks(NamedTuple):
    """The marks of an exec for each session of SessionOf, None where it may run: the kernel program knows which it is.

    `unknown` of a file of which not all writers are known, `known` of one with the writers that the record has: None
    where they make no difference.
    """

    unknown: tuple[ExecMark | None, ...]
    known: tuple[ExecMark | None, ...] | None = None

    @classmethod
    def always(cls, mark: ExecMark | None) -> ExecMarks:
        """Return the same mark for all."""
        return cls((mark,) * len(SESSIONS))

    @property
    def all(self) -> frozenset[ExecMark | None]:
        """Return the marks that there are."""
        return frozenset(self.unknown + (self.known or ()))

    @property
    def depends_on_writers(self) -> bool:
        """Whether known writers make a difference."""
        return self.known is not None and self.known != self.unknown

    @property
    def sure_kills(self) -> ExecMarks:
        """Return what of it is KILL whoever the writers are."""
        pairs = zip(self.unknown, self.known or self.unknown, strict=True)
        return ExecMarks(tuple(one if one is other is ExecMark.KILL else None for one, other in pairs))

    def with_denied(self, denied: ExecMarks) -> ExecMarks:
        """Return these marks with KILL for LATE where `denied` has it, which looks at no writers."""
        known = None if self.known is None else _denied(self.known, denied.unknown)
        return ExecMarks(_denied(self.unknown, denied.unknown), known)

    def packed(self) -> int:
        """Return `what` of `struct mark`."""
        known = self.unknown if self.known is None else self.known
        places = [*self.unknown, *(None,) * (_SESSIONS - len(self.unknown)), *known]
        return sum((mark or 0) << (_WHAT_BITS * place) for place, mark in enumerate(places))


def _denied(marks: Sequence[ExecMark | None], denied: Sequence[ExecMark | None]) -> tuple[ExecMark | None, ...]:
    pairs = zip(marks, denied, strict=True)
    return tuple(deny if mark is ExecMark.LATE and deny is ExecMark.KILL else mark for mark, deny in pairs)


class BlockTableDescriptors(NamedTuple):
    """File descriptors of the maps."""

    enforcement: int
    image_names: int
    marks: int
    guard: int
    state: int
    observed: int
    writers: int


@dataclasses.dataclass(frozen=True)
class ContainerEntry:
    """What the kernel blocks in one container; `devices` (as os.makedev) are the filesystems its runtime mounted.

    `kinds` by session, as of a BlockPlan.
    """

    upper_ino: int
    image: int
    kinds: Sequence[int]
    devices: Sequence[int] = ()

    def packed(self) -> bytes:
        """Return the entry as `struct enforcement`."""
        devices = [kernel_device(dev) for dev in self.devices]
        padding = [0] * (MAX_DEVICES - len(devices))
        return _ENTRY.pack(self.upper_ino, self.image, *self.kinds, 0, len(devices), 0, *devices, *padding)


class BlockTables:
    """Threads may share it. Raises CaptureUnavailable."""

    def __init__(self, libbpf: Libbpf, fds: BlockTableDescriptors) -> None:
        self._libbpf, self.fds = libbpf, fds
        self._marked: collections.OrderedDict[bytes, float] = collections.OrderedDict()
        self._lock = threading.Lock()

    def enforce(self, root_dev: int, entry: ContainerEntry) -> None:
        """Set which execs are blocked in the container with this root filesystem."""
        self._libbpf.update(self.fds.enforcement, _word(kernel_device(root_dev)), entry.packed())

    def release(self, root_dev: int) -> None:
        """Block nothing there any more."""
        self._libbpf.delete(self.fds.enforcement, _word(kernel_device(root_dev)))

    def set_image_names(self, image: int, names: bytes) -> None:
        """Set the `name_filter` of an image's files; without one the kernel kills no new file in its containers."""
        self._libbpf.update(self.fds.image_names, image.to_bytes(8, "little"), names)

    def remove_image_names(self, image: int) -> None:
        """Remove an image's filter."""
        self._libbpf.delete(self.fds.image_names, image.to_bytes(8, "little"))

    def clear(self) -> None:
        """Stop blocking at once, and remove what an earlier sensor left."""
        self.renew(0.0)
        for fd, size in ((self.fds.enforcement, 4), (self.fds.image_names, 8)):
            for key in self._libbpf.keys(fd, size):
                self._libbpf.delete(fd, key)
        self.remove_marks()

    def renew(self, seconds: float) -> None:
        """Renew the lease: block for this many more seconds; 0 ends blocking now."""
        deadline = _boottime_deadline(seconds) if seconds else 0
        self._libbpf.update(self.fds.guard, _word(0), _GUARD.pack(deadline))

    def seconds_left(self) -> float:
        """Return how long the lease lasts; 0 or less where the kernel does not block."""
        (deadline,) = _GUARD.unpack(self._libbpf.lookup(self.fds.guard, _word(0), _GUARD.size))
        return (deadline - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) / 1e9 if deadline else 0.0

    def mark(self, thread: int, ino: int, marks: ExecMarks, data: FileState | None = None) -> None:
        """Mark the exec that a thread is about to make of a file.

        CHECKED, and marks for known writers, hold for the data that were checked. Of ANY_SCRIPT_INO there is one mark
        for all scripts of the exec: whatever kills in one of them stays.
        """
        times = (data.begun_ns, data.opened_ns, data.written_ns) if data is not None else (0, 0, 0)
        origins = data.origins if data is not None else 0
        seconds = MARK_SECONDS if ino != ANY_SCRIPT_INO else ANY_SCRIPT_SECONDS
        key, now = _MARK_KEY.pack(ino, thread, 0), time.monotonic()
        with self._lock:
            what = marks.packed() | (self._kills_left(key) if ino == ANY_SCRIPT_INO else 0)
            value = _MARK.pack(_boottime_deadline(seconds), *times, what, origins, int(marks.depends_on_writers))
            while self._marked and now - next(iter(self._marked.values())) > MARK_SECONDS:
                self._libbpf.delete(self.fds.marks, self._marked.popitem(last=False)[0])
            self._libbpf.update(self.fds.marks, key, value)
            self._marked[key] = now
            self._marked.move_to_end(key)

    def _kills_left(self, key: bytes) -> int:
        """Return `what` of the mark that another script of the exec has left: it has KILL alone, or nothing."""
        left = self._libbpf.find(self.fds.marks, key, _MARK.size)
        if left is None:
            return 0
        until, *_, what, _, _ = _MARK.unpack(left)
        return int(what) if until > _boottime_deadline(0.0) else 0

    def remove_marks(self) -> None:
        """Remove all marks of execs, as of a process that held execs before."""
        for key in self._libbpf.keys(self.fds.marks, _MARK_KEY.size):
            self._libbpf.delete(self.fds.marks, key)

    def write_records(self) -> KernelWriteRecords:
        """Return the record of writers for this process, which becomes the one that holds execs."""
        self._libbpf.update(self.fds.state, _word(HOLD_SERVER), os.getpid().to_bytes(8, "little"))
        return KernelWriteRecords(self._libbpf, self.fds.observed, self.fds.writers)

    def unmark(self, thread: int, ino: int) -> None:
        """Remove the mark of an earlier exec of the file by this thread, which failed."""
        self._libbpf.delete(self.fds.marks, _MARK_KEY.pack(ino, thread, 0))


def _word(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _boottime_deadline(seconds: float) -> int:
    # CLOCK_BOOTTIME is what the kernel program compares with; it also advances while the machine sleeps.
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(seconds * 1e9)
