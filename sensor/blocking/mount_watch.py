"""Watches the host's mount table for root filesystems of containers: mounted before their first exec."""

from __future__ import annotations

import os
import select
import threading
from typing import Final

from sensor.container.mounts import HOST_INIT, Mount, parse_mounts

_CHANGED: Final = select.POLLPRI | select.POLLERR
"""What poll(2) reports on a mountinfo file after the table has changed (proc(5))."""


class MountWatch:
    """The host's mount table. `wait` in one thread, `wake` from any. Raises OSError where it is unreadable."""

    def __init__(self) -> None:
        self._table = os.open(f"/proc/{HOST_INIT}/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._is_closed = False
        self._poll = select.poll()
        self._poll.register(self._table, _CHANGED)
        self._poll.register(self._wake, select.POLLIN)

    def close(self) -> None:
        """Close the table; no other thread may be in `wait`."""
        with self._lock:
            self._is_closed = True
            os.close(self._table)
            os.close(self._wake)

    def wait(self, seconds: float) -> bool:
        """Wait for a change of the table, a `wake` or the timeout; returns whether the table has changed."""
        ready = {fd for fd, _ in self._poll.poll(seconds * 1_000)}
        if self._wake in ready:
            os.eventfd_read(self._wake)
        return self._table in ready

    def wake(self) -> None:
        """End a `wait` in another thread; does nothing once the table is closed."""
        with self._lock:
            # By then another file may have the descriptor's number.
            if not self._is_closed:
                os.eventfd_write(self._wake, 1)

    def overlays(self) -> dict[int, list[Mount]]:
        """Return every mounted overlay by its device, with all places where it is mounted."""
        os.lseek(self._table, 0, os.SEEK_SET)
        with open(os.dup(self._table), "rb") as file:  # noqa: PTH123 - the poll is on this open table
            mounts = parse_mounts(file.read())
        found: dict[int, list[Mount]] = {}
        for mount in mounts:
            if mount.fstype == b"overlay":
                found.setdefault(mount.dev, []).append(mount)
        return found
