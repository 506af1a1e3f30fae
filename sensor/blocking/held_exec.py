"""An exec that fanotify holds, and the kernel's facts about it while it waits."""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.capture.fanotify.procfs import process_stat, program_path
from sensor.container.mounts import parse_mounts
from sensor.files.handles import OpenFile

if TYPE_CHECKING:
    from sensor.capture.fanotify.group import OpenEvent
    from sensor.container.mounts import Mount

MAX_REMEMBERED_BYTES: Final = 32 * 1024
"""Of a mount table that is remembered: a container may make a table of 100,000 mounts, and change it at each exec."""


class HeldExec:
    """An exec that waits for its answer.

    `kernel_ino` is the inode number as the kernel program sees it: overlay may report another one to stat(2).
    """

    def __init__(self, event: OpenEvent, status: os.stat_result) -> None:
        self.event = event
        # A second descriptor for the inspection: answering the event closes the kernel's.
        self.file = OpenFile(os.dup(event.fd), status.st_size, status.st_ino, status.st_dev, status.st_ctime_ns)
        fdinfo = _fdinfo(event.fd)
        self._mount_id, self.kernel_ino = fdinfo.get("mnt_id", -1), fdinfo.get("ino", status.st_ino)
        self.since = time.monotonic()

    def mount(self) -> Mount | None:
        """Return the mount that its file is reached by; None in a chroot that does not show it to the process."""
        try:
            return _mounts_by_id(Path(f"/proc/{self.event.pid}/mountinfo").read_bytes()).get(self._mount_id)
        except OSError:
            return None

    def device(self) -> int:
        """Return the device of the filesystem mounted there: overlay's own files may report a layer's device."""
        mount = self.mount()
        return mount.dev if mount is not None else self.file.dev

    def path(self) -> bytes:
        """Return the file's path as its mount namespace shows it."""
        path = os.readlink(f"/proc/self/fd/{self.file.fd}".encode())  # noqa: PTH115 - bytes
        return path.removesuffix(b" (deleted)") if os.fstat(self.file.fd).st_nlink == 0 else path

    def parent_name(self) -> bytes:
        """Return the file name of the parent process's program; its short name where the file is gone."""
        try:
            _, parent, _ = process_stat(self.event.pid)
            return program_path(parent).rpartition(b"/")[2] or process_stat(parent)[0]
        except (OSError, ValueError, IndexError):
            return b""


def _mounts_by_id(table: bytes) -> dict[int, Mount]:
    """Parse a mount table once, as long as it stays the same: in a flood of execs that is most of the work."""
    return _remembered(table) if len(table) <= MAX_REMEMBERED_BYTES else _parsed(table)


def _parsed(table: bytes) -> dict[int, Mount]:
    return {mount.id: mount for mount in parse_mounts(table)}


_remembered: Final = functools.lru_cache(maxsize=256)(_parsed)


def _fdinfo(fd: int) -> dict[str, int]:
    """Return the mount id and inode number of an open file (proc(5)); `ino` since Linux 5.14."""
    lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines if line.startswith(("mnt_id:", "ino:")))
    return {name: int(value) for name, value in values.items()}
